//! Media without the last picture of each segment. The one before it stays as much longer, so that
//! all lengths are still right: only who reads the pictures sees it.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use millrace_media::cmaf::{Part, Sample};
use mp4_atom::{Atom, Decode, Header, Mdat, Moof};

/// sample_is_non_sync_sample (ISO 14496-12 §8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;
/// Ticks of video in a segment of two seconds. Sound has other ticks, and never ends there.
const SEGMENT: u64 = 2 * 90_000;

/// A part or a segment without it; none where no segment of video ends in it.
pub(super) fn last_pictures(bytes: &Bytes) -> Option<Bytes> {
    let fragments = fragments(bytes).ok()?;
    let is_last = |fragment: &Fragment| {
        fragment.samples.len() > 1 && fragment.end().is_multiple_of(SEGMENT) && fragment.end() > 0
    };
    fragments.iter().any(is_last).then(|| {
        let written = fragments.into_iter().map(|fragment| {
            let is_last = is_last(&fragment);
            if is_last { fragment.cut() } else { fragment.raw }
        });
        written.collect::<Vec<_>>().concat().into()
    })
}

/// One `moof` with its `mdat`.
struct Fragment {
    raw: Bytes,
    sequence: u32,
    base: u64,
    samples: Vec<Sample>,
}

impl Fragment {
    fn end(&self) -> u64 {
        self.base + self.samples.iter().map(|sample| u64::from(sample.duration)).sum::<u64>()
    }

    fn cut(mut self) -> Bytes {
        let gone = self.samples.pop();
        if let Some((last, gone)) = self.samples.last_mut().zip(gone) {
            last.duration += gone.duration;
        }
        let (sequence, base_decode_time) = (self.sequence, self.base);
        Part { sequence, base_decode_time, samples: &self.samples }.write()
    }
}

fn fragments(bytes: &Bytes) -> Result<Vec<Fragment>> {
    let (mut rest, mut moof, mut fragments) = (bytes.as_ref(), None, Vec::new());
    let mut begin = 0;
    while !rest.is_empty() {
        let header = Header::decode(&mut rest)?;
        let size = header.size.unwrap_or(rest.len());
        let (body, behind) = rest.split_at_checked(size).context("a box reaches past the end")?;
        rest = behind;
        if header.kind == Moof::KIND {
            moof = Some(Moof::decode_body(&mut &*body)?);
        } else if header.kind == Mdat::KIND {
            let end = bytes.len() - rest.len();
            let raw = bytes.slice(begin..end);
            begin = end;
            fragments.push(fragment(raw, &moof.take().context("mdat without moof")?, body)?);
        }
    }
    Ok(fragments)
}

fn fragment(raw: Bytes, moof: &Moof, mut media: &[u8]) -> Result<Fragment> {
    let traf = moof.traf.first().context("no traf")?;
    let base = traf.tfdt.as_ref().context("no tfdt")?.base_media_decode_time;
    let mut samples = Vec::new();
    for entry in traf.trun.iter().flat_map(|trun| trun.samples.iter()) {
        let size = entry.size.or(traf.tfhd.default_sample_size).context("no size")?;
        let flags = entry.flags.or(traf.tfhd.default_sample_flags).context("no flags")?;
        let duration = entry.duration.or(traf.tfhd.default_sample_duration);
        let size = usize::try_from(size)?;
        let (data, behind) = media.split_at_checked(size).context("a sample past the end")?;
        media = behind;
        samples.push(Sample {
            duration: duration.context("no duration")?,
            composition_offset: i32::try_from(entry.cts.unwrap_or(0))?,
            sync: flags & NON_SYNC == 0,
            data: Bytes::copy_from_slice(data),
        });
    }
    ensure!(media.is_empty(), "bytes that belong to no sample");
    Ok(Fragment { raw, sequence: moof.mfhd.sequence_number, base, samples })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six pictures of 30 a second from this tick on, each of one byte.
    fn part(base: u64) -> Bytes {
        let picture = |byte: u8| Sample {
            duration: 3_000,
            composition_offset: 0,
            sync: byte == 0,
            data: Bytes::copy_from_slice(&[byte]),
        };
        let samples: Vec<_> = (0..6).map(picture).collect();
        Part { sequence: 7, base_decode_time: base, samples: &samples }.write()
    }

    fn pictures(bytes: &Bytes) -> Vec<(u8, u32)> {
        let samples = fragments(bytes).unwrap().into_iter().flat_map(|fragment| fragment.samples);
        samples.map(|sample| (sample.data[0], sample.duration)).collect()
    }

    #[test]
    fn the_last_picture_of_a_segment_is_cut_and_its_time_is_filled() {
        let last = part(SEGMENT - 6 * 3_000);
        let cut = last_pictures(&last).unwrap();
        let expected = [(0, 3_000), (1, 3_000), (2, 3_000), (3, 3_000), (4, 6_000)];
        assert_eq!(pictures(&cut), expected);
        let whole: Bytes = [part(0), last].concat().into();
        assert_eq!(pictures(&last_pictures(&whole).unwrap()).len(), 11);
    }

    #[test]
    fn what_no_segment_ends_in_stays_as_it_is() {
        assert_eq!(last_pictures(&part(0)), None);
        assert_eq!(last_pictures(&Bytes::from_static(b"no media")), None);
    }
}
