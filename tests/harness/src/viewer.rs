//! A viewer who follows the live edge by blocking reload and knows whether it moves.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::http::{Http, eventually};
use crate::playlist::{Media, Multivariant, resolve};
use crate::probe::{self, Depth};

/// A viewer of one rendition.
#[derive(Debug)]
pub struct Viewer {
    http: Http,
    index: String,
    media: String,
    last: Media,
    /// URIs of the parts in `last`.
    known: HashSet<String>,
    /// Sum of the durations of parts that appeared since the viewer came.
    seen: Duration,
}

impl Viewer {
    /// Joins the first variant of the stream at `index`.
    ///
    /// # Errors
    /// When there is nothing to play yet.
    pub async fn join(http: &Http, index: &str) -> Result<Self> {
        let text = http.text(index).await?;
        let playlist = Multivariant::parse(&text)?;
        let variant = playlist.variants.first().context("no variant")?;
        let media = resolve(index, &variant.uri)?;
        let last = Media::parse(&http.text(&media).await?)?;
        ensure!(!last.ended, "the broadcast has ended");
        let known = parts(&last).map(|(uri, _)| uri.to_owned()).collect();
        Ok(Self {
            http: http.clone(),
            index: index.to_owned(),
            media,
            last,
            known,
            seen: Duration::ZERO,
        })
    }

    /// Waits for the next part; joins the new broadcast when this one has ended.
    ///
    /// # Errors
    /// When the playlist cannot be had.
    pub async fn next(&mut self) -> Result<()> {
        if self.last.ended {
            let seen = self.seen;
            *self = Self::join(&self.http, &self.index).await?;
            self.seen = seen;
            return Ok(());
        }
        let (msn, part) = self.last.next()?;
        let url = format!("{}?_HLS_msn={msn}&_HLS_part={part}", self.media);
        self.last = Media::parse(&self.http.text(&url).await?)?;
        for (uri, seconds) in parts(&self.last) {
            if !self.known.contains(uri) {
                self.seen += Duration::try_from_secs_f64(seconds).unwrap_or_default();
            }
        }
        self.known = parts(&self.last).map(|(uri, _)| uri.to_owned()).collect();
        Ok(())
    }

    /// Follows the edge until `wanted` more video has appeared; waits out errors.
    ///
    /// # Errors
    /// When that takes longer than `limit`.
    pub async fn watch(&mut self, wanted: Duration, limit: Duration) -> Result<()> {
        let until = self.seen + wanted;
        eventually(&format!("{wanted:?} of new video"), limit, async || {
            while self.seen < until {
                self.next().await?;
            }
            Ok(())
        })
        .await
    }

    /// The URL of the media playlist it watches.
    pub fn media_url(&self) -> &str {
        &self.media
    }

    /// That playlist as last read.
    pub fn playlist(&self) -> &Media {
        &self.last
    }

    /// How much video appeared since the viewer came.
    pub fn seen(&self) -> Duration {
        self.seen
    }

    /// Downloads the newest independent part and all after it, and decodes them.
    ///
    /// # Errors
    /// When there is none or a picture in it does not decode.
    pub async fn decode(&self) -> Result<u64> {
        let complete = self.last.segments.iter().flat_map(|segment| &segment.parts);
        let all: Vec<_> = complete.chain(&self.last.open_parts).collect();
        let from =
            all.iter().rposition(|part| part.independent).context("no independent part yet")?;
        let chosen = all.get(from..).unwrap_or_default();
        let map = chosen.first().and_then(|part| part.map.as_deref()).context("no EXT-X-MAP")?;
        let mut pieces = vec![self.fetch(map).await?];
        for part in chosen {
            pieces.push(self.fetch(&part.uri).await?);
        }
        let pieces: Vec<&[u8]> = pieces.iter().map(AsRef::as_ref).collect();
        let frames = probe::bytes(&pieces, Depth::Frames).await?.frames("video");
        ensure!(frames > 0, "no picture in the newest parts");
        Ok(frames)
    }

    async fn fetch(&self, uri: &str) -> Result<bytes::Bytes> {
        self.http.bytes(&resolve(&self.media, uri)?).await
    }
}

fn parts(playlist: &Media) -> impl Iterator<Item = (&str, f64)> {
    let complete = playlist.segments.iter().flat_map(|segment| &segment.parts);
    complete.chain(&playlist.open_parts).map(|part| (part.uri.as_str(), part.duration))
}
