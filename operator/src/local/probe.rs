//! One HTTP probe of a process, as the kubelet would make it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Where a process says whether it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    /// Address of its listener.
    pub(super) address: SocketAddr,
    /// Path to ask for.
    pub(super) path: String,
}

/// Longest a probe may take.
const LIMIT: Duration = Duration::from_secs(2);
/// As much of an answer as is read.
const LONGEST_ANSWER: u64 = 4_096;

impl Probe {
    /// Ask once: fine on 200, else what was seen, in a few words.
    ///
    /// Plain HTTP/1.0 by hand: it is one request to one's own child.
    pub(super) async fn ask(&self) -> Result<(), String> {
        match timeout(LIMIT, self.get()).await {
            Err(_) => Err("no answer in 2 s".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(answer)) => verdict(&answer),
        }
    }

    async fn get(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.address).await?;
        let request = format!("GET {} HTTP/1.0\r\nHost: {}\r\n\r\n", self.path, self.address);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

fn verdict(answer: &str) -> Result<(), String> {
    let status = answer.lines().next().unwrap_or_default();
    let code = status.split(' ').nth(1).unwrap_or_default();
    if code == "200" {
        return Ok(());
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
    let body: String = body.chars().take(200).map(|c| if c == '\n' { ' ' } else { c }).collect();
    Err(format!("answered {code} {body}").trim_end().to_owned())
}
