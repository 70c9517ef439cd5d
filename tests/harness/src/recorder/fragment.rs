//! What is inside an init segment and inside parts and segments, read by
//! another hand than the one that wrote them.

use anyhow::{Context, Result, bail, ensure};
use mp4_atom::{Atom, Codec, Decode, Header, Mdat, Moof, Moov};
use sha2::{Digest, Sha256};

/// sample_is_non_sync_sample (ISO 14496-12 §8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;
/// nal_unit_type of an IDR slice.
const IDR: u8 = 5;

/// One access unit as published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Decode time in ticks of the rendition's timescale.
    pub dts: i64,
    /// Presentation time in ticks of the rendition's timescale.
    pub pts: i64,
    /// In ticks of the rendition's timescale.
    pub duration: i64,
    /// Bytes.
    pub size: usize,
    /// First eight bytes of the SHA-256 of its data.
    pub sha: u64,
    /// A decoder can start here: an IDR picture, or any AAC frame.
    pub sync: bool,
}

/// What an init segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Init {
    /// Ticks per second.
    pub timescale: u32,
    /// Bytes of a NAL unit's length; `None` for audio.
    length_size: Option<usize>,
    size: (u16, u16),
    /// sample_flags where a fragment has none (ISO 14496-12 §8.8.3).
    flags: Option<u32>,
}

impl Init {
    /// Of an init segment with one track.
    ///
    /// # Errors
    /// When it is no such thing, or neither H.264 nor AAC.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes;
        let mut found = None;
        while !rest.is_empty() {
            let header = Header::decode(&mut rest)?;
            let (body, behind) = split(rest, header.size)?;
            if header.kind == Moov::KIND {
                found = Some(Moov::decode_body(&mut plain(body)?)?);
            }
            rest = behind;
        }
        let moov = found.context("no moov")?;
        let [track] = &moov.trak[..] else { bail!("{} tracks", moov.trak.len()) };
        let media = &track.mdia;
        let (length_size, size) = match media.minf.stbl.stsd.codecs.first() {
            Some(Codec::Avc1(avc1)) => {
                let size = (avc1.visual.width, avc1.visual.height);
                (Some(usize::from(avc1.avcc.length_size)), size)
            }
            Some(Codec::Mp4a(_)) => (None, (0, 0)),
            other => bail!("sample entry {other:?}"),
        };
        ensure!(media.mdhd.timescale > 0, "timescale 0");
        let extends = moov.mvex.as_ref().and_then(|mvex| mvex.trex.first());
        let flags = extends.map(|trex| trex.default_sample_flags);
        Ok(Self { timescale: media.mdhd.timescale, length_size, size, flags })
    }

    /// Whether the track is video.
    pub fn is_video(&self) -> bool {
        self.length_size.is_some()
    }

    /// Width and height of the pictures.
    pub fn size(&self) -> Option<(u16, u16)> {
        self.is_video().then_some(self.size)
    }

    /// The frames of a part, or of a segment's several.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn frames(&self, bytes: &[u8]) -> Result<Vec<Frame>> {
        let mut rest = bytes;
        let mut frames = Vec::new();
        let mut moof = None;
        while !rest.is_empty() {
            let header = Header::decode(&mut rest)?;
            let (body, behind) = split(rest, header.size)?;
            if header.kind == Moof::KIND {
                ensure!(moof.is_none(), "moof after moof");
                moof = Some(Moof::decode_body(&mut plain(body)?)?);
            } else if header.kind == Mdat::KIND {
                let moof = moof.take().context("mdat without moof")?;
                self.fragment(&moof, body, &mut frames)?;
            }
            rest = behind;
        }
        ensure!(moof.is_none(), "moof without mdat");
        Ok(frames)
    }

    fn fragment(&self, moof: &Moof, mut media: &[u8], frames: &mut Vec<Frame>) -> Result<()> {
        let [traf] = &moof.traf[..] else { bail!("{} tracks in moof", moof.traf.len()) };
        let tfdt = traf.tfdt.as_ref().context("no tfdt")?;
        let mut dts = i64::try_from(tfdt.base_media_decode_time)?;
        for entry in traf.trun.iter().flat_map(|trun| trun.samples.iter()) {
            let defaults = &traf.tfhd;
            let size = entry.size.or(defaults.default_sample_size).context("no sample size")?;
            let flags = entry.flags.or(defaults.default_sample_flags).or(self.flags);
            let flags = flags.context("no flags")?;
            let duration = entry.duration.or(defaults.default_sample_duration);
            let duration = i64::from(duration.context("no sample duration")?);
            let (data, behind) = split(media, Some(usize::try_from(size)?))?;
            media = behind;
            let sync = flags & NON_SYNC == 0;
            if let Some(length_size) = self.length_size {
                ensure!(sync == has_idr(data, length_size)?, "sync flag and IDR disagree at {dts}");
            }
            frames.push(Frame {
                dts,
                pts: dts + entry.cts.unwrap_or(0),
                duration,
                size: data.len(),
                sha: sha(data),
                sync,
            });
            dts += duration;
        }
        ensure!(media.is_empty(), "{} bytes of mdat belong to no sample", media.len());
        Ok(())
    }
}

/// First eight bytes of a SHA-256.
pub fn sha(data: &[u8]) -> u64 {
    let digest = Sha256::digest(data);
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Headers without sample groups (ISO 14496-12 §8.9.3): mp4-atom makes as many entries as a box of
/// them says, though they may have no size. None that is read here has any.
fn plain(body: &[u8]) -> Result<&[u8]> {
    ensure!(!body.windows(4).any(|kind| kind == b"sgpd"), "sample groups");
    Ok(body)
}

fn split(bytes: &[u8], size: Option<usize>) -> Result<(&[u8], &[u8])> {
    let size = size.unwrap_or(bytes.len());
    bytes.split_at_checked(size).context("a box or sample reaches past the end")
}

fn has_idr(mut data: &[u8], length_size: usize) -> Result<bool> {
    let mut idr = false;
    while !data.is_empty() {
        let (length, behind) = split(data, Some(length_size))?;
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let (nal, behind) = split(behind, Some(length))?;
        idr |= nal.first().is_some_and(|header| header & 0x1f == IDR);
        data = behind;
    }
    Ok(idr)
}
