//! A viewer's connection that costs next to nothing, so that the machine is the server's:
//! HTTP/1.1, kept alive, bodies read and dropped.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Of an answer's head, in bytes.
const MAX_HEAD: u64 = 16 * 1024;

/// One connection.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(64 * 1024, stream) })
    }

    /// Gets it, drops the body, and says how long that was. Anything but a 200 fails.
    pub(crate) async fn drain(&mut self, path: &str) -> Result<u64> {
        let length = self.ask(path).await?;
        let mut left = length;
        while left > 0 {
            let there = self.stream.fill_buf().await?.len() as u64;
            ensure!(there > 0, "{path}: cut off with {left} bytes to come");
            let taken = there.min(left);
            self.stream.consume(usize::try_from(taken)?);
            left -= taken;
        }
        Ok(length)
    }

    /// Gets a text.
    pub(crate) async fn text(&mut self, path: &str) -> Result<String> {
        let length = self.ask(path).await?;
        let mut body = vec![0; usize::try_from(length)?];
        self.stream.read_exact(&mut body).await?;
        String::from_utf8(body).with_context(|| format!("{path} is no text"))
    }

    /// Sends the request, reads the head, says how long the body is.
    async fn ask(&mut self, path: &str) -> Result<u64> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).await?;
        let mut head = (&mut self.stream).take(MAX_HEAD);
        let (mut line, mut first, mut length) = (String::new(), true, None);
        loop {
            line.clear();
            ensure!(head.read_line(&mut line).await? > 0, "{path}: cut off in the head");
            let text = line.trim_end();
            if first && !text.contains(" 200 ") {
                bail!("{path}: {text}");
            }
            first = false;
            if text.is_empty() {
                return length.with_context(|| format!("{path}: no Content-Length"));
            }
            if let Some((name, value)) = text.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse()?);
            }
        }
    }
}
