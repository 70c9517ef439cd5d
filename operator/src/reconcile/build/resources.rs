//! CPU and memory of the workers' containers where the spec gives none: the
//! table that was measured (docs/resources.md).
//!
//! Requests are what a container needs; memory is bounded by the same amount,
//! CPU by none: a transcoder that is throttled falls behind, while one that is
//! only short of its request's surplus takes what is free.

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
const COPYING: (MilliCores, Bytes) = (MilliCores::new(100), Bytes::mebi(256));
/// Reading the log, decoding, packaging: before the first rung.
const BASE_MILLICORES: u64 = 150;
/// The frame rate that is reckoned with.
const FRAMES_PER_SECOND: u64 = 30;

/// What a ladder needs: it grows with the pixels of all rungs.
fn encoding(stream: &ValidatedStream) -> (MilliCores, Bytes) {
    let (preset, tune) = (stream.transcode.preset, stream.transcode.tune);
    let pixels: u64 = stream.ladder.iter().map(pixels).sum();
    let microcores = pixels * FRAMES_PER_SECOND * per_megapixel(preset, tune) / 1_000_000;
    let millicores = (BASE_MILLICORES + microcores / 1_000).next_multiple_of(50);
    (MilliCores::new(millicores), Bytes::mebi(512))
}

/// Of a picture of 16 to 9.
fn pixels(rung: &Rung) -> u64 {
    let height = u64::from(rung.height);
    height * height * 16 / 9
}

/// Microcores for a megapixel a second.
fn per_megapixel(preset: Preset, _tune: Tune) -> u64 {
    match preset {
        Preset::Ultrafast => 5_000,
        Preset::Superfast => 8_200,
        Preset::Veryfast => 12_400,
        Preset::Faster => 22_000,
        Preset::Fast => 30_400,
        Preset::Medium => 40_000,
        Preset::Slow => 70_000,
    }
}
