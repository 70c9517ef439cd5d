//! Paths in the object store, relative to the installation (which [`Store`]
//! adds).
//!
//! [`Store`]: crate::store::Store

use millrace_media::id::{BroadcastId, Msn, RenditionName, Run, StreamId};
use millrace_media::published::InitHash;

/// The paths of one broadcast.
#[derive(Debug, Clone)]
pub struct BroadcastObjects {
    root: String,
}

impl BroadcastObjects {
    /// Of this broadcast.
    pub fn new(stream: &StreamId, broadcast: BroadcastId) -> Self {
        Self { root: format!("{stream}/{broadcast}") }
    }

    /// Everything of the broadcast is below this.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Where runs are claimed; list it to find the highest.
    pub fn runs(&self) -> String {
        format!("{}/runs", self.root)
    }

    /// The claim of one run.
    pub fn run(&self, run: Run) -> String {
        format!("{}/runs/{:08}", self.root, run.0)
    }

    /// One segment.
    pub fn segment(&self, rendition: &RenditionName, msn: Msn, run: Run) -> String {
        format!("{}/{rendition}/{msn}-{run}.m4s", self.root)
    }

    /// One init segment.
    pub fn init(&self, hash: &InitHash) -> String {
        format!("{}/init-{}.mp4", self.root, hash.as_str())
    }

    /// Where heads and chunks of the index are.
    pub fn index(&self) -> String {
        format!("{}/index", self.root)
    }

    /// The head of one run.
    pub fn head(&self, run: Run) -> String {
        format!("{}/index/head-{:08}.json", self.root, run.0)
    }

    /// An immutable chunk of the index.
    pub fn chunk(&self, first: Msn, run: Run) -> String {
        format!("{}/index/chunk-{first}-{run}.json", self.root)
    }
}

/// The run in the name of a claim or a head, given its whole path.
pub fn run_of(path: &str) -> Option<Run> {
    let name = path.rsplit('/').next()?;
    let digits =
        name.strip_prefix("head-").and_then(|rest| rest.strip_suffix(".json")).unwrap_or(name);
    let eight = digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_digit());
    eight.then(|| digits.parse().ok().map(Run)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_back_from_its_claim_and_its_head() {
        let stream: StreamId = "a.b".parse().unwrap();
        let objects = BroadcastObjects::new(&stream, BroadcastId(uuid::Uuid::nil()));
        assert_eq!(run_of(&objects.run(Run(42))), Some(Run(42)));
        assert_eq!(run_of(&objects.head(Run(42))), Some(Run(42)));
        assert_eq!(run_of(&objects.chunk(Msn(3), Run(42))), None);
        assert_eq!(run_of("a.b/x/runs/README"), None);
    }
}
