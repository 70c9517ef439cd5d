//! Stands for a worker in the tests of `local`: says it is ready, leaves its
//! environment for the test to read, and ends with its stdin.
//!
//! A file `<name>.fail` beside it makes it end at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    // Not current_exe: the test runs it by links of several names.
    let me = PathBuf::from(std::env::args().next().unwrap_or_default());
    let beside = |extension: &str| me.with_extension(extension);
    let mut environment: Vec<_> = std::env::vars().map(|(k, v)| format!("{k}={v}\n")).collect();
    environment.sort();
    std::fs::write(beside("env"), environment.concat())?;
    // `local` keeps its workers running itself: no first process of a container.
    if beside("fail").exists() || std::env::args().len() > 1 {
        std::process::exit(3);
    }
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let port = std::env::var("HEALTH_PORT").or_else(|_| std::env::var("ADMIN_PORT"));
    let address = std::env::var("LISTEN_ADDRESS").unwrap_or_default();
    let listener = TcpListener::bind(format!("{address}:{}", port.unwrap_or_default()))?;
    for stream in listener.incoming() {
        let mut stream = stream?;
        let mut line = String::new();
        let mut reader = BufReader::new(&mut stream);
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nok")?;
    }
    Ok(())
}
