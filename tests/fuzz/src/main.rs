//! Everything that reads bytes from a network, under libFuzzer.
//!
//! One program, so that it is linked once: `FUZZ_TARGET` says which part is
//! tried. tests/fuzz.sh builds and runs it.

#![no_main]
// The files below are whole modules of other crates, of which a part is used.
#![allow(dead_code, unused_imports)]

mod fold;
mod media;
mod playback;
mod text;
mod tokens;
mod wire;

/// The harness's reader of fragmented MP4.
#[path = "../../harness/src/recorder/fragment.rs"]
mod fragment;

use std::sync::LazyLock;

/// Tries one input; a panic is a finding.
type Target = fn(&[u8]);

/// All of them, by name: each has a folder corpus/NAME.
const TARGETS: [(&str, Target); 10] = [
    ("amf0", wire::amf0),
    ("flv", media::flv),
    ("fmp4", media::fmp4),
    ("fold", fold::records),
    ("paths", text::paths),
    ("query", text::query),
    ("record", wire::record),
    ("rtmp", wire::rtmp),
    ("snapshot", fold::snapshot),
    ("token", text::token),
];

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    match TARGETS.iter().find(|(known, _)| *known == name) {
        Some((_, target)) => *target,
        None => {
            let names = TARGETS.map(|(name, _)| name).join(" ");
            eprintln!("FUZZ_TARGET={name} is none of: {names}");
            std::process::exit(2);
        }
    }
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
