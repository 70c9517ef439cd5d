//! ffmpeg and ffprobe as the second opinion on what this crate reads and
//! writes. A test fails when they are missing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where it stands")]

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs a program with `input` on its stdin and returns its stdout. Panics
/// with its stderr when it fails or complains.
pub(crate) fn run(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("start {program}: {e}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Both pipes fill up: one end must be served by another thread.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A program that has read enough may close its end.
    drop(writer.join().unwrap());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{program}: {complaint}");
    output.stdout
}
