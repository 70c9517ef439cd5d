//! Delivery: everything a viewer or an administrator asks for over HTTP.

pub mod assets;
pub mod http;
