//! Who did what: events of the log, at target `audit`. Never a token.

use std::time::Duration;

use moka::future::Cache;

use super::caller::{Act, Caller, Target};

/// A refusal like one that was told is told again after this.
const AGAIN: Duration = Duration::from_secs(10);
/// Refusals remembered.
const MOST: u64 = 10_000;

/// What was told lately.
#[derive(Debug)]
pub struct Audit(Cache<(String, Act), ()>);

impl Default for Audit {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST).time_to_live(AGAIN).build())
    }
}

impl Audit {
    /// Somebody may not. Whatever it asks for in a flood, it is told once in a
    /// while.
    pub async fn refused(&self, caller: &Caller, act: Act, target: Target<'_>) {
        let like = (caller.subject.to_string(), act);
        if self.0.contains_key(&like) {
            return;
        }
        self.0.insert(like, ()).await;
        let (verb, scope) = (act.verb(), act.scope());
        tracing::info!(target: "audit", subject = %caller.subject, verb, %scope,
            resource = %target, result = "refused");
    }
}

/// Something was written, or was not.
pub fn wrote<T, E: std::fmt::Debug>(
    caller: &Caller,
    verb: &str,
    resource: &str,
    result: &Result<T, E>,
) {
    let result = if result.is_ok() { "done" } else { "failed" };
    tracing::info!(target: "audit", subject = %caller.subject, verb, resource, result);
}
