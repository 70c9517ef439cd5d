//! What the person sees: lines, steps that tick while they take long, one line that is rewritten.

use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

use tokio::time::{Instant, interval_at};

/// Standard output.
#[derive(Debug)]
pub struct Screen {
    terminal: bool,
}

impl Screen {
    /// Asks the system what stdout is.
    #[expect(clippy::new_without_default, reason = "a screen is looked for, not made up")]
    pub fn new() -> Self {
        Self { terminal: stdout().is_terminal() }
    }

    /// Whether lines can be rewritten.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// One line that stays.
    pub fn say(&self, line: &str) {
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        write(&format!("{clear}{line}\n"));
    }

    /// One line that the next one replaces; on no terminal it stays.
    pub fn live(&self, line: &str) {
        if self.terminal {
            write(&format!("\r\x1b[K{line}"));
        } else {
            self.say(line);
        }
    }

    /// Runs a step, showing that it lives.
    pub async fn step<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let start = Instant::now();
        self.live(&format!("{what} …"));
        let period = Duration::from_secs(if self.terminal { 1 } else { 5 });
        let mut tick = interval_at(start + period, period);
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => {
                    self.say(&format!("{what}: {:.1} s", start.elapsed().as_secs_f64()));
                    return result;
                }
                _ = tick.tick() => self.live(&format!("{what} … {} s", start.elapsed().as_secs())),
            }
        }
    }
}

// A closed pipe is no reason to leave servers running.
fn write(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}
