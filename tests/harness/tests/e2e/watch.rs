//! A whole rendition as a viewer gets it, and what must be true of its times.

use bytes::Bytes;
use millrace_harness::http::Http;
use millrace_harness::playlist::{Media, Multivariant, Segment, resolve};
use millrace_harness::probe::{self, Depth, Packet};

/// A picture of the clip, in seconds.
pub(crate) const PICTURE: f64 = 1.0 / 25.0;

/// A rendition's complete segments with their bytes.
pub(crate) struct Rendition {
    pub(crate) uri: String,
    pub(crate) resolution: Option<(u32, u32)>,
    pub(crate) playlist: Media,
    pub(crate) init: Bytes,
    pub(crate) segments: Vec<(Segment, Bytes)>,
}

impl Rendition {
    /// Every variant and audio rendition of the stream at `index`, video first.
    pub(crate) async fn all(http: &Http, index: &str) -> Vec<Self> {
        let multivariant = Multivariant::parse(&http.text(index).await.unwrap()).unwrap();
        let mut renditions = Vec::new();
        for variant in &multivariant.variants {
            let url = resolve(index, &variant.uri).unwrap();
            renditions.push(Self::fetch(http, url, variant.resolution()).await);
        }
        for uri in &multivariant.audio {
            renditions.push(Self::fetch(http, resolve(index, uri).unwrap(), None).await);
        }
        renditions
    }

    async fn fetch(http: &Http, uri: String, resolution: Option<(u32, u32)>) -> Self {
        let playlist = Media::parse(&http.text(&uri).await.unwrap()).unwrap();
        let map = playlist.segments[0].map.clone().unwrap();
        let init = http.bytes(&resolve(&uri, &map).unwrap()).await.unwrap();
        let mut segments = Vec::new();
        for segment in &playlist.segments {
            let bytes = http.bytes(&resolve(&uri, &segment.uri).unwrap()).await.unwrap();
            segments.push((segment.clone(), bytes));
        }
        Self { uri, resolution, playlist, init, segments }
    }

    /// All of it through ffprobe, every frame decoded: fails on any damage.
    pub(crate) async fn probe(&self) -> probe::Report {
        let mut pieces: Vec<&[u8]> = vec![&self.init];
        pieces.extend(self.segments.iter().map(|(_, bytes)| bytes.as_ref()));
        probe::bytes(&pieces, Depth::Frames).await.unwrap()
    }

    /// One segment's packets.
    pub(crate) async fn packets(&self, bytes: &Bytes) -> Vec<Packet> {
        probe::bytes(&[&self.init, bytes], Depth::Packets).await.unwrap().packets
    }

    /// Seconds of all segments by their EXTINF.
    pub(crate) fn duration(&self) -> f64 {
        self.segments.iter().map(|(segment, _)| segment.duration).sum()
    }
}

/// Presentation times in seconds, sorted.
pub(crate) fn times(packets: &[Packet]) -> Vec<f64> {
    let mut times: Vec<f64> =
        packets.iter().map(|packet| packet.pts_time.as_deref().unwrap().parse().unwrap()).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Every time follows the one before by `step`: nothing is missing and nothing is there twice.
#[track_caller]
pub(crate) fn assert_even(times: &[f64], step: f64) {
    assert!(times.len() > 1, "only {} frames", times.len());
    for pair in times.windows(2) {
        let difference = pair[1] - pair[0];
        // ffprobe prints microseconds.
        assert!(
            (difference - step).abs() < 2e-6 * 25.0,
            "from {} to {} it is {difference:.6} s, expected {step:.6}",
            pair[0],
            pair[1]
        );
    }
}
