//! CPU and memory of the workers' containers where the spec gives none: the
//! table that was measured (docs/resources.md).
//!
//! A request is what a container needs. Memory is limited to the same amount,
//! CPU is not: a transcoder that is throttled falls behind, and one that has to
//! catch up takes what is free.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use millrace_media::ladder::Rung;

use super::quantity::{Bytes, MilliCores};
use crate::api::transcode::{Preset, Tune};
use crate::reconcile::validated::{Amounts, ValidatedStream};

/// Frames that ingest holds while Kafka can't take them.
pub(super) const INGEST_RING_MEGABYTES: u64 = 64;

/// A publisher costs about a hundredth of a core; the memory is the ring,
/// twice, and the process.
pub(super) fn ingest() -> ResourceRequirements {
    requirements(
        &Amounts { cpu: Some(MilliCores::new(100)), memory: Some(Bytes::mebi(128)) },
        &Amounts { cpu: None, memory: Some(Bytes::mebi(256)) },
    )
}

/// What the spec says, and the table where it says nothing.
pub(super) fn transcode(stream: &ValidatedStream, mock_ffmpeg: bool) -> ResourceRequirements {
    let (requests, limits) = (&stream.transcode.requests, &stream.transcode.limits);
    let needed = if mock_ffmpeg { COPYING } else { encoding(stream) };
    let memory_limit = limits.memory.unwrap_or_else(|| larger(requests.memory, needed.1));
    // What may not be used need not be set aside.
    let cpu = requests.cpu.unwrap_or_else(|| limits.cpu.map_or(needed.0, |l| l.min(needed.0)));
    let memory = requests.memory.unwrap_or_else(|| smaller(memory_limit, needed.1));
    requirements(
        &Amounts { cpu: Some(cpu), memory: Some(memory) },
        &Amounts { cpu: limits.cpu, memory: Some(memory_limit) },
    )
}

fn larger(one: Option<Bytes>, other: Bytes) -> Bytes {
    one.filter(|one| one.get() > other.get()).unwrap_or(other)
}

fn smaller(one: Bytes, other: Bytes) -> Bytes {
    if one.get() < other.get() { one } else { other }
}

fn requirements(requests: &Amounts, limits: &Amounts) -> ResourceRequirements {
    let map = |amounts: &Amounts| {
        let cpu = amounts.cpu.map(|cpu| ("cpu".to_owned(), Quantity::from(cpu)));
        let memory = amounts.memory.map(|memory| ("memory".to_owned(), Quantity::from(memory)));
        let map: BTreeMap<_, _> = cpu.into_iter().chain(memory).collect();
        (!map.is_empty()).then_some(map)
    };
    ResourceRequirements {
        requests: map(requests),
        limits: map(limits),
        ..ResourceRequirements::default()
    }
}

/// A transcoder that only packages.
const COPYING: (MilliCores, Bytes) = (MilliCores::new(100), Bytes::mebi(WORKER_MEBI));
/// Reading the log, decoding, packaging: before the first rung.
const BASE_MILLICORES: u64 = 150;
/// The frame rate that is reckoned with.
const FRAMES_PER_SECOND: u64 = 30;
/// The worker itself: 32, segments that wait for the object store at most 160,
/// a GOP that is being read at most 64.
const WORKER_MEBI: u64 = 256;
/// ffmpeg with its decoder, before the first rung.
const FFMPEG_MEBI: u64 = 70;

/// What a ladder needs: it grows with the pixels of all rungs.
fn encoding(stream: &ValidatedStream) -> (MilliCores, Bytes) {
    let transcode = &stream.transcode;
    let cost = cost(transcode.preset);
    let pixels: u64 = stream.ladder.iter().map(pixels).sum();
    let percent = match transcode.tune {
        Tune::ZeroLatency => 100,
        Tune::Film => 120,
        Tune::Animation => 140,
    };
    let microcores = pixels * FRAMES_PER_SECOND * cost.microcores / 1_000_000 * percent / 100;
    let millicores = (BASE_MILLICORES + microcores / 1_000).next_multiple_of(50);
    // A tune that looks ahead keeps the frames it looks at, and works at a
    // frame per thread instead of a slice.
    let threads = u64::from(transcode.threads);
    let per_megapixel = match transcode.tune {
        Tune::ZeroLatency => 55 + 2 * threads,
        Tune::Film | Tune::Animation => cost.look_ahead_mebi + 12 * threads,
    };
    let mebi = WORKER_MEBI + FFMPEG_MEBI + pixels * per_megapixel / 1_000_000;
    (MilliCores::new(millicores), Bytes::mebi(mebi.next_multiple_of(64)))
}

/// Of a picture of 16 to 9.
fn pixels(rung: &Rung) -> u64 {
    let height = u64::from(rung.height);
    height * height * 16 / 9
}

/// What a preset costs.
struct Cost {
    /// Microcores for a megapixel a second.
    microcores: u64,
    /// Memory for a megapixel of rungs with look-ahead, besides the threads'.
    look_ahead_mebi: u64,
}

fn cost(preset: Preset) -> Cost {
    let (microcores, look_ahead_mebi) = match preset {
        Preset::Ultrafast => (5_000, 30),
        Preset::Superfast => (8_200, 30),
        Preset::Veryfast => (12_400, 60),
        Preset::Faster => (19_000, 100),
        Preset::Fast => (31_000, 140),
        Preset::Medium => (38_000, 180),
        Preset::Slow => (67_000, 250),
    };
    Cost { microcores, look_ahead_mebi }
}

#[cfg(test)]
mod tests;
