//! An RTMP publisher that we hold by its every message: what is sent, when, under which stamp, and
//! how the connection ends. The protocol is another implementation's.
//!
//! [`flv`] reads what is published out of a file, [`numbered`] makes such a file, [`client`] speaks
//! RTMP, [`stamps`] says what the publisher's clock shows, and [`publisher`] sends each message at
//! its time.

pub mod client;
pub mod flv;
pub mod numbered;
pub mod publisher;
pub mod stamps;
