//! A viewer who follows the live edge by blocking reload and knows whether it moves.

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
    /// How much video appeared since the viewer came.
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
        Ok(Self { http: http.clone(), index: index.to_owned(), media, last, seen: Duration::ZERO })
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
        let now = Media::parse(&self.http.text(&url).await?)?;
        self.seen += appeared(&self.last, msn, &now);
        self.last = now;
        Ok(())
    }

    /// Looks at what there is; what appeared since the last look is not seen.
    ///
    /// # Errors
    /// When the playlist cannot be had.
    pub async fn catch_up(&mut self) -> Result<()> {
        self.last = Media::parse(&self.http.text(&self.media).await?)?;
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

/// What `now` lists and `before`, whose open segment was `msn`, did not. Parts are listed for a while
/// only, so that whole segments are counted.
fn appeared(before: &Media, msn: u64, now: &Media) -> Duration {
    let open = |media: &Media| media.open_parts.iter().map(|part| part.duration).sum::<f64>();
    let complete = now.segments.iter().filter(|segment| segment.msn >= msn);
    let seconds = complete.map(|segment| segment.duration).sum::<f64>() + open(now) - open(before);
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playlist(first: u64, segments: usize, open: usize) -> Media {
        let head = format!("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        let complete = "#EXTINF:2.00000,\ns.mp4\n".repeat(segments);
        let parts = "#EXT-X-PART:DURATION=0.25000,URI=\"p.mp4\"\n".repeat(open);
        Media::parse(&(head + &complete + &parts)).unwrap()
    }

    #[test]
    fn what_appeared_is_counted_though_its_parts_are_listed_no_more() {
        let before = playlist(3, 2, 3);
        let after = |now: &Media| appeared(&before, 5, now);
        assert_eq!(after(&playlist(3, 2, 3)), Duration::ZERO);
        assert_eq!(after(&playlist(3, 2, 4)), Duration::from_millis(250));
        assert_eq!(after(&playlist(4, 4, 1)), Duration::from_millis(3 * 2_000 + 250 - 3 * 250));
        // What was listed and left meanwhile is not known of.
        assert_eq!(after(&playlist(9, 1, 0)), Duration::from_millis(2_000 - 3 * 250));
    }
}
