//! Delivery's two doors: the viewers' and the administrators' listener.

pub mod pages;
pub mod problem;
pub mod range;
pub mod respond;
pub mod serve;
pub mod stall;
