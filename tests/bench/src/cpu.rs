//! CPU time that other processes have used, and how busy the machine is.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::Pid;

/// What `processes` have used so far.
pub(crate) fn used(processes: &[Pid]) -> Result<Duration> {
    processes.iter().map(|pid| millrace_harness::process::cpu(*pid)).sum()
}

/// Ticks of all CPUs since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    busy: u32,
    total: u32,
    cpus: u32,
}

impl Machine {
    pub(crate) fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
        Self::parse(&text).context("/proc/stat is not as proc(5) says")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut ticks = Vec::new();
        for field in lines.next()?.strip_prefix("cpu ")?.split_ascii_whitespace().take(8) {
            // Only differences are used: the low 32 bits are enough.
            ticks.push(u32::try_from(field.parse::<u64>().ok()? & u64::from(u32::MAX)).ok()?);
        }
        let total = ticks.iter().fold(0_u32, |sum, ticks| sum.wrapping_add(*ticks));
        // idle and iowait.
        let idle = ticks.get(3)?.wrapping_add(*ticks.get(4)?);
        let cpus = lines.take_while(|line| line.starts_with("cpu")).count();
        Some(Self { busy: total.wrapping_sub(idle), total, cpus: u32::try_from(cpus).ok()? })
    }

    /// How many of the CPUs were busy, on average, between `self` and `later`.
    pub(crate) fn busy_until(self, later: Self) -> f64 {
        let total = f64::from(later.total.wrapping_sub(self.total));
        let busy = f64::from(later.busy.wrapping_sub(self.busy));
        f64::from(self.cpus) * busy / total.max(1.0)
    }

    pub(crate) fn cpus(self) -> u32 {
        self.cpus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_what_is_neither_idle_nor_waiting_for_a_disk() {
        let before =
            Machine::parse("cpu  10 0 10 100 0 0 0 0 0 0\ncpu0 1\ncpu1 1\nintr 5\n").unwrap();
        let after =
            Machine::parse("cpu  30 0 30 200 60 0 0 0 0 0\ncpu0 1\ncpu1 1\nintr 5\n").unwrap();
        assert!((before.busy_until(after) - 2.0 * 40.0 / 200.0).abs() < 1e-9);
        assert_eq!(before.cpus(), 2);
    }

    #[test]
    fn a_process_uses_time_by_counting() {
        let own = [Pid::this()];
        let before = used(&own).unwrap();
        let mut sum = 0_u64;
        while used(&own).unwrap() < before + Duration::from_millis(2) {
            sum = std::hint::black_box(sum + 1);
        }
    }
}
