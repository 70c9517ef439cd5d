//! How a process ends: one line that says why, and an exit code.

use std::fmt::Display;
use std::process::ExitCode;

/// Success, or the error with its causes on one line of stderr and code 1.
///
/// Returned from `main` as it is, an error would be printed with a backtrace
/// where RUST_BACKTRACE is set; whoever reads this wants to know what to do.
pub fn with<E: Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
