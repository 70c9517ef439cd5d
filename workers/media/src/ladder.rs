//! The ladder: which renditions a source is encoded to.

use serde::{Deserialize, Serialize};

use crate::id::RenditionName;

/// One quality of the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rung {
    /// Its name in URLs and figures, for example `720p`.
    pub name: RenditionName,
    /// Picture height in pixels; the width follows from the source's aspect.
    pub height: u32,
    /// Target video bitrate in kbit/s.
    pub bitrate_kbps: u32,
}

/// The default ladder: 480p 1.5 Mb/s, 720p 3 Mb/s, 1080p 5 Mb/s, lowest first.
pub fn default_ladder() -> Vec<Rung> {
    [("480p", 480, 1_500), ("720p", 720, 3_000), ("1080p", 1_080, 5_000)]
        .into_iter()
        .filter_map(|(name, height, bitrate_kbps)| {
            Some(Rung { name: name.parse().ok()?, height, bitrate_kbps })
        })
        .collect()
}

/// The rungs used for a source of this height: those not above it, and at
/// least the lowest one.
pub fn rungs_for(ladder: &[Rung], source_height: u32) -> Vec<Rung> {
    let fitting: Vec<_> = ladder.iter().filter(|r| r.height <= source_height).cloned().collect();
    if fitting.is_empty() {
        ladder.iter().min_by_key(|r| r.height).cloned().into_iter().collect()
    } else {
        fitting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_above_the_source_are_left_out_but_one_stays() {
        let names = |height| {
            rungs_for(&default_ladder(), height)
                .iter()
                .map(|r| r.name.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(1080), ["480p", "720p", "1080p"]);
        assert_eq!(names(720), ["480p", "720p"]);
        assert_eq!(names(240), ["480p"]);
    }
}
