//! Parts, CMAF's chunks (ISO 23000-19 §7.3.2.3): one `moof` with one `traf`,
//! and one `mdat`.

use bytes::Bytes;

use super::boxes::BoxWriter;

/// sample_flags (ISO 14496-12 §8.8.3.1) of a sample that depends on none.
const SYNC: u32 = 0x0200_0000;
/// sample_flags of a sample that depends on others and is no sync sample.
const NON_SYNC: u32 = 0x0101_0000;

/// tfhd flags (§8.8.7.1).
const DEFAULT_DURATION: u32 = 0x08;
const DEFAULT_SIZE: u32 = 0x10;
const DEFAULT_FLAGS: u32 = 0x20;
const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
/// trun flags (§8.8.8.1).
const DATA_OFFSET: u32 = 0x001;
const FIRST_FLAGS: u32 = 0x004;
const DURATION: u32 = 0x100;
const SIZE: u32 = 0x200;
const FLAGS: u32 = 0x400;
const COMPOSITION: u32 = 0x800;

/// One access unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Distance to the next sample's decode time, in ticks of the track.
    pub duration: u32,
    /// Presentation minus decode time, in ticks of the track.
    pub composition_offset: i32,
    /// A decoder can start here. Always so for AAC.
    pub sync: bool,
    /// Length-prefixed NAL units, or one raw AAC frame.
    pub data: Bytes,
}

impl Sample {
    fn flags(&self) -> u32 {
        if self.sync { SYNC } else { NON_SYNC }
    }

    fn size(&self) -> u32 {
        u32::try_from(self.data.len()).unwrap_or(u32::MAX)
    }
}

/// One part of a segment.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// mfhd's number: grows from part to part of a rendition.
    pub sequence: u32,
    /// Decode time of the first sample, in ticks of the track since the
    /// timeline's zero. It can't say a time before that: a source whose first
    /// decode times are negative is shifted by its packager, with the
    /// composition offsets shifted back.
    pub base_decode_time: u64,
    /// In decode order; not empty.
    pub samples: &'a [Sample],
}

/// Which fields the samples need one by one. What they share stands once, in
/// `tfhd`: at 200 ms a part the headers weigh.
struct Shape {
    duration: Option<u32>,
    size: Option<u32>,
    /// Flags of every sample but the first, which may differ.
    flags: Option<u32>,
    first_differs: bool,
    composition: bool,
}

impl Shape {
    fn of(samples: &[Sample]) -> Self {
        let flags = shared(samples.iter().skip(1).map(Sample::flags));
        let first = samples.first().map(Sample::flags);
        Self {
            duration: shared(samples.iter().map(|s| s.duration)),
            size: shared(samples.iter().map(Sample::size)),
            flags: if samples.len() == 1 { first } else { flags },
            first_differs: samples.len() > 1 && flags.is_some() && flags != first,
            composition: samples.iter().any(|s| s.composition_offset != 0),
        }
    }

    fn tfhd_flags(&self) -> u32 {
        let bit = |on: bool, bit| if on { bit } else { 0 };
        DEFAULT_BASE_IS_MOOF
            | bit(self.duration.is_some(), DEFAULT_DURATION)
            | bit(self.size.is_some(), DEFAULT_SIZE)
            | bit(self.flags.is_some(), DEFAULT_FLAGS)
    }

    fn trun_flags(&self) -> u32 {
        let bit = |on: bool, bit| if on { bit } else { 0 };
        DATA_OFFSET
            | bit(self.first_differs, FIRST_FLAGS)
            | bit(self.duration.is_none(), DURATION)
            | bit(self.size.is_none(), SIZE)
            | bit(self.flags.is_none(), FLAGS)
            | bit(self.composition, COMPOSITION)
    }
}

/// The value all have, if they have one.
fn shared(mut values: impl Iterator<Item = u32>) -> Option<u32> {
    let first = values.next()?;
    values.all(|v| v == first).then_some(first)
}

impl Part<'_> {
    /// The part's bytes.
    pub fn write(&self) -> Bytes {
        let media: usize = self.samples.iter().map(|s| s.data.len()).sum();
        let shape = Shape::of(self.samples);
        let mut w = BoxWriter::with_capacity(media + 128 + 16 * self.samples.len());
        let mut data_offset = 0;
        w.plain(*b"moof", |w| {
            w.full(*b"mfhd", 0, 0, |w| _ = w.u32(self.sequence));
            w.plain(*b"traf", |w| {
                w.full(*b"tfhd", 0, shape.tfhd_flags(), |w| {
                    w.u32(1);
                    for default in [shape.duration, shape.size, shape.flags].iter().flatten() {
                        w.u32(*default);
                    }
                });
                w.full(*b"tfdt", 1, 0, |w| _ = w.u64(self.base_decode_time));
                data_offset = self.trun(w, &shape);
            });
        });
        // From the first byte of `moof` to the first behind `mdat`'s header.
        w.patch(data_offset, w.len() + 8);
        w.plain(*b"mdat", |w| self.samples.iter().for_each(|s| _ = w.bytes(&s.data)));
        w.finish()
    }

    /// Writes the sample list; returns where its data offset stands.
    fn trun(&self, w: &mut BoxWriter, shape: &Shape) -> usize {
        let mut data_offset = 0;
        w.full(*b"trun", 1, shape.trun_flags(), |w| {
            w.u32(u32::try_from(self.samples.len()).unwrap_or(u32::MAX));
            data_offset = w.len();
            w.u32(0);
            if let (true, Some(first)) = (shape.first_differs, self.samples.first()) {
                w.u32(first.flags());
            }
            for sample in self.samples {
                if shape.duration.is_none() {
                    w.u32(sample.duration);
                }
                if shape.size.is_none() {
                    w.u32(sample.size());
                }
                if shape.flags.is_none() {
                    w.u32(sample.flags());
                }
                if shape.composition {
                    w.i32(sample.composition_offset);
                }
            }
        });
        data_offset
    }
}

#[cfg(test)]
mod tests {
    use mp4_atom::{Decode, Moof};
    use proptest::prelude::*;

    use super::*;

    fn any_sample() -> impl Strategy<Value = Sample> {
        // Few values, so that shared ones are common.
        let data = prop::collection::vec(any::<u8>(), 0..3);
        (1_u32..3, -1_i32..2, any::<bool>(), data).prop_map(
            |(duration, composition_offset, sync, data)| Sample {
                duration,
                composition_offset,
                sync,
                data: data.into(),
            },
        )
    }

    /// What a reader that knows nothing of us finds in the part.
    fn read(bytes: &Bytes) -> (u32, u64, Vec<Sample>) {
        let mut rest = bytes.as_ref();
        let moof = Moof::decode(&mut rest).unwrap();
        let moof_size = bytes.len() - rest.len();
        let traf = &moof.traf[0];
        let mdat = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        assert_eq!((mdat, &rest[4..8]), (rest.len(), &b"mdat"[..]));
        assert_eq!(traf.trun[0].data_offset, Some(i32::try_from(moof_size).unwrap() + 8));
        let tfhd = &traf.tfhd;
        let mut media = &rest[8..];
        let samples = traf.trun[0].samples.iter().map(|entry| {
            let size = entry.size.or(tfhd.default_sample_size).unwrap() as usize;
            let (data, behind) = media.split_at(size);
            media = behind;
            let flags = entry.flags.or(tfhd.default_sample_flags).unwrap();
            assert!(flags == SYNC || flags == NON_SYNC);
            Sample {
                duration: entry.duration.or(tfhd.default_sample_duration).unwrap(),
                composition_offset: entry.cts.unwrap_or(0).try_into().unwrap(),
                sync: flags == SYNC,
                data: Bytes::copy_from_slice(data),
            }
        });
        let samples = samples.collect();
        assert_eq!(media.len(), 0);
        let base = traf.tfdt.as_ref().unwrap().base_media_decode_time;
        (moof.mfhd.sequence_number, base, samples)
    }

    proptest! {
        #[test]
        fn another_reader_finds_the_samples_and_every_size_adds_up(
            samples in prop::collection::vec(any_sample(), 1..9),
            sequence in any::<u32>(),
            base_decode_time in any::<u64>(),
        ) {
            let part = Part { sequence, base_decode_time, samples: &samples };
            prop_assert_eq!(read(&part.write()), (sequence, base_decode_time, samples));
        }
    }

    #[test]
    fn a_part_of_equal_samples_lists_only_their_number() {
        let sample =
            Sample { duration: 1_024, composition_offset: 0, sync: true, data: vec![1, 2].into() };
        let part =
            |samples: &[Sample]| Part { sequence: 1, base_decode_time: 0, samples }.write().len();
        let (one, two) = (part(&vec![sample.clone(); 1]), part(&vec![sample; 2]));
        assert_eq!(two - one, 2);
    }
}
