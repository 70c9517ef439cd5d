//! What child processes print: each line to stderr behind the process's name.

use std::io::Write;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// A longer line is broken here.
const LONGEST_LINE: usize = 16 * 1_024;

/// Copy until the end of what the process prints.
pub(super) async fn prefix_lines(name: &str, output: impl AsyncRead + Unpin) {
    let mut reader = BufReader::with_capacity(LONGEST_LINE, output);
    let mut line = Vec::new();
    loop {
        let Ok(buffer) = reader.fill_buf().await else { return };
        if buffer.is_empty() {
            break;
        }
        let end = buffer.iter().position(|b| *b == b'\n');
        let taken = end.map_or(buffer.len(), |end| end + 1);
        line.extend_from_slice(buffer.get(..taken).unwrap_or_default());
        reader.consume(taken);
        if end.is_some() || line.len() >= LONGEST_LINE {
            print(name, &line);
            line.clear();
        }
    }
    if !line.is_empty() {
        print(name, &line);
    }
}

fn print(name: &str, line: &[u8]) {
    let mut whole = Vec::with_capacity(name.len() + line.len() + 4);
    whole.extend_from_slice(b"[");
    whole.extend_from_slice(name.as_bytes());
    whole.extend_from_slice(b"] ");
    whole.extend_from_slice(line);
    if !line.ends_with(b"\n") {
        whole.push(b'\n');
    }
    // One write, so that lines of several processes don't mix. Nobody is told
    // when stderr is gone.
    let _ = std::io::stderr().write_all(&whole);
}
