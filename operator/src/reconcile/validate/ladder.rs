//! `spec.ladder`.

use std::collections::BTreeSet;

use millrace_media::id::RenditionName;
use millrace_media::ladder::Rung;

use crate::api::ladder::RungSpec;

use super::InvalidSpec;
use super::bounds::{invalid, number};

pub(super) fn validate(ladder: &[RungSpec]) -> Result<Vec<Rung>, InvalidSpec> {
    if !(1..=8).contains(&ladder.len()) {
        return Err(invalid("spec.ladder", format!("has {} rungs, expected 1 to 8", ladder.len())));
    }
    let mut names = BTreeSet::new();
    let mut heights = BTreeSet::new();
    let mut rungs = Vec::with_capacity(ladder.len());
    for (i, rung) in ladder.iter().enumerate() {
        let field = |name| format!("spec.ladder[{i}].{name}");
        let name: RenditionName =
            rung.name.parse().map_err(|error| invalid(field("name"), format!("{error}")))?;
        if name == RenditionName::audio() {
            return Err(invalid(field("name"), "audio is the name of the audio group"));
        }
        number(&field("height"), rung.height, 144..=2_160)?;
        if !rung.height.is_multiple_of(2) {
            return Err(invalid(field("height"), format!("is {}, expected even", rung.height)));
        }
        number(&field("bitrateKbps"), rung.bitrate_kbps, 100..=50_000)?;
        if !heights.insert(rung.height) {
            return Err(invalid(field("height"), format!("{} is there twice", rung.height)));
        }
        if !names.insert(name.clone()) {
            return Err(invalid(field("name"), format!("{name} is there twice")));
        }
        rungs.push(Rung { name, height: rung.height, bitrate_kbps: rung.bitrate_kbps });
    }
    rungs.sort_by_key(|rung| rung.height);
    Ok(rungs)
}
