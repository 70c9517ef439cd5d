//! Delivery's two doors: the viewers' and the administrators' listener.

pub mod api;
pub mod asker;
pub mod beacon;
pub mod cdn;
pub mod count;
pub mod dash;
pub mod freshness;
pub mod growing;
pub mod media;
pub mod pages;
pub mod playlists;
pub mod problem;
pub mod range;
pub mod respond;
pub mod serve;
pub mod socket;
pub mod stall;
pub mod state;
pub mod streams;
pub mod ticket;
pub mod timed;
pub mod viewers;
pub mod visits;
