//! Ending with the process that started this one.
//!
//! A parent that is killed can tell its children nothing. But the kernel
//! closes the pipe it held as their standard input, and that they see.

use std::io::Read;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The variable that says how to know of the parent's end: `stdin`.
const VARIABLE: &str = "EXIT_WITH_PARENT";

/// Nobody is left to kill a stop that hangs.
const DEADLINE: Duration = Duration::from_secs(10);

/// Cancels `stop` at the end of standard input, if `EXIT_WITH_PARENT=stdin`
/// asks for it, and ends the process 10 s later if it still runs then.
///
/// # Errors
/// When no thread can be started.
pub(super) fn watch(stop: CancellationToken) -> std::io::Result<()> {
    if std::env::var_os(VARIABLE).is_none_or(|value| value != "stdin") {
        return Ok(());
    }
    // A thread, not a task: a blocked read would hold up the runtime's end.
    std::thread::Builder::new().name("parent".to_owned()).spawn(move || {
        wait_for_end(std::io::stdin().lock());
        tracing::info!("the parent is gone, stopping");
        stop.cancel();
        std::thread::sleep(DEADLINE);
        tracing::warn!("still there {DEADLINE:?} after the parent, ending at once");
        std::process::exit(1);
    })?;
    Ok(())
}

/// Reads what nobody wants until there is no more. A stdin that can't be read
/// is at its end too.
fn wait_for_end(mut input: impl Read) {
    let mut buffer = [0; 64];
    loop {
        match input.read(&mut buffer) {
            Ok(1..) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, pipe};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_the_parent_writes_is_passed_over() {
        wait_for_end(Cursor::new(vec![0; 1_000]));
    }

    #[test]
    fn the_end_comes_when_the_other_side_is_closed_and_not_before() {
        let (reader, writer) = pipe().unwrap();
        let (ended, seen) = mpsc::channel();
        let waiting = std::thread::spawn(move || {
            wait_for_end(reader);
            ended.send(()).unwrap();
        });
        assert!(seen.try_recv().is_err());
        drop(writer);
        waiting.join().unwrap();
        seen.recv().unwrap();
    }
}
