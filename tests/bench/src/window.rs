//! CPU time over one window of publishing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use millrace_harness::rtmp::client::Target;
use millrace_harness::rtmp::publisher::Publisher;
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use crate::cpu::{self, Machine};
use crate::material::Material;

/// Publishing before the window begins: connections, caches and checks of keys are over then.
pub(crate) const WARM_UP: Duration = Duration::from_secs(3);
/// How long a server is watched while nobody publishes.
pub(crate) const IDLE: Duration = Duration::from_secs(5);

/// What was measured while one publisher published, or none.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    /// CPU seconds per minute, of each group of processes.
    pub(crate) cpu: Vec<f64>,
    /// How many of the machine's CPUs were busy, by whomever.
    pub(crate) busy: f64,
    /// What the publisher sent.
    pub(crate) kbps: f64,
}

/// Publishes to `target` and measures `groups` for `length`, after the warm-up.
pub(crate) async fn measure(
    target: &Target,
    material: &Arc<Material>,
    groups: &[Vec<Pid>],
    length: Duration,
) -> Result<Window> {
    let mut publisher = Publisher::start(target, material.film()).await?;
    publisher.during(sleep(WARM_UP)).await?;
    let before = Reading::now(publisher.bytes(), groups)?;
    publisher.during(sleep(length)).await?;
    let after = Reading::now(publisher.bytes(), groups)?;
    publisher.stop().await?;
    before.until(&after)
}

/// Measures `groups` while nobody publishes.
pub(crate) async fn idle(groups: &[Vec<Pid>]) -> Result<Window> {
    let before = Reading::now(0, groups)?;
    sleep(IDLE).await;
    before.until(&Reading::now(0, groups)?)
}

struct Reading {
    at: Instant,
    cpu: Vec<Duration>,
    machine: Machine,
    /// Bytes.
    sent: u64,
}

impl Reading {
    fn now(sent: u64, groups: &[Vec<Pid>]) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            cpu: groups.iter().map(|group| cpu::used(group)).collect::<Result<_>>()?,
            machine: Machine::now()?,
            sent,
        })
    }

    fn until(&self, after: &Self) -> Result<Window> {
        let seconds = after.at.duration_since(self.at).as_secs_f64();
        let used = after.cpu.iter().zip(&self.cpu);
        let used = used.map(|(after, before)| after.saturating_sub(*before).as_secs_f64());
        let bytes = u32::try_from(after.sent - self.sent).context("too many bytes")?;
        Ok(Window {
            cpu: used.map(|used| used * 60.0 / seconds).collect(),
            busy: self.machine.busy_until(after.machine),
            kbps: f64::from(bytes) * 8.0 / 1_000.0 / seconds,
        })
    }
}
