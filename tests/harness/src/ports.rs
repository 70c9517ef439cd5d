//! Free TCP ports on the loopback address.

use std::io;
use std::net::TcpListener;

/// A port that nobody listens on now. Somebody else may take it before the caller does: who
/// starts a server on it must be ready to try again.
pub fn free() -> io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}
