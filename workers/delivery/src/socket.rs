//! What happens to a stream, pushed to whoever listens: the WebSocket.
//!
//! A stream that has clients has one task ([`feed`]), which looks once a second
//! what the stream is doing and writes what is new ([`news`], [`message`]) into
//! a channel; its clients ([`client`]) read from there, so that a message is
//! written out once and one look serves them all. [`hub`] begins a feed with
//! the first client and ends it after the last; [`seats`] bound them. A client
//! that does not keep up is dropped: nothing waits for it.

pub mod channel;
pub mod client;
pub mod feed;
pub mod hub;
pub mod message;
pub mod news;
pub mod seats;
