//! A viewer of the top rung who follows the playlist by blocking reload (RFC 8216bis §6.2.5.2),
//! fetches each part when it is listed, and notes when it had all of it.
//!
//! It keeps the bytes and looks into them only afterwards: nothing is delayed by that.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use millrace_harness::http::{Http, eventually};
use millrace_harness::playlist::{Media, Multivariant, Part, resolve};
use reqwest::Url;
use tokio::time::Instant;

/// One part as it came.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// When its last byte was here.
    pub(crate) at: Instant,
    pub(crate) bytes: Bytes,
}

/// What the viewer got.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) init: Bytes,
    /// The first segment of the playlist when the viewer came, and its number.
    pub(crate) first: (u64, Bytes),
    pub(crate) parts: Vec<Arrival>,
}

/// Joins the stream whose multivariant playlist is `index` and takes `count` parts.
pub(crate) async fn watch(http: &Http, index: &str, count: usize) -> Result<Seen> {
    let limit = Duration::from_secs(20);
    let (url, first, init, mut playlist) =
        eventually("a first segment", limit, async || join(http, index).await).await?;
    let mut known = names(&playlist);
    let mut seen = Vec::new();
    while seen.len() < count {
        ensure!(!playlist.ended, "the broadcast ended after {} of {count} parts", seen.len());
        let (msn, part) = playlist.next()?;
        let mut reload = Url::parse(&url)?;
        reload
            .query_pairs_mut()
            .append_pair("_HLS_msn", &msn.to_string())
            .append_pair("_HLS_part", &part.to_string());
        playlist = Media::parse(&http.text(reload.as_str()).await?)?;
        for part in parts(&playlist).filter(|part| !known.contains(&part.uri)) {
            let bytes = http.bytes(&resolve(&url, &part.uri)?).await?;
            seen.push(Arrival { at: Instant::now(), bytes });
        }
        known = names(&playlist);
    }
    Ok(Seen { init, first, parts: seen })
}

/// The media playlist's URL, its first real segment, its init segment, and itself.
async fn join(http: &Http, index: &str) -> Result<(String, (u64, Bytes), Bytes, Media)> {
    let multivariant = Multivariant::parse(&http.text(index).await?)?;
    let top = multivariant.variants.iter().max_by_key(|variant| variant.resolution());
    let url = resolve(index, &top.context("no variant")?.uri)?;
    let playlist = Media::parse(&http.text(&url).await?)?;
    let segment = playlist.segments.iter().find(|segment| !segment.gap).context("no segment")?;
    let map = segment.map.as_deref().context("no EXT-X-MAP")?;
    let first = (segment.msn, http.bytes(&resolve(&url, &segment.uri)?).await?);
    let init = http.bytes(&resolve(&url, map)?).await?;
    Ok((url, first, init, playlist))
}

fn parts(playlist: &Media) -> impl Iterator<Item = &Part> {
    playlist.segments.iter().flat_map(|segment| &segment.parts).chain(&playlist.open_parts)
}

fn names(playlist: &Media) -> HashSet<String> {
    parts(playlist).map(|part| part.uri.clone()).collect()
}
