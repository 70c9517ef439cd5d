//! Material that tells what of it was published: each picture has a number burnt in ([`counter`]),
//! and no two frames of its sound are alike, so that a hash names each. Made once by ffmpeg, kept in
//! the cache.
//!
//! 30 pictures a second, B-frames where they are asked for, a closed GOP every 2 s; noise as AAC-LC,
//! 48 kHz.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

use super::client::Announced;
use super::flv::{self, Kind, Tag};
use super::publisher::Film;
use crate::process::run;
use crate::recorder::sha;
use crate::{counter, repo};

/// Pictures per second.
pub const FPS: u16 = 30;
/// From keyframe to keyframe, in ms.
pub const GOP_MS: i64 = 2_000;
/// Change it when the recipe changes.
const RECIPE: u32 = 1;

/// Which material.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// Pixels, a multiple of 40.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Number of the first picture.
    pub first: u32,
    /// How long it is.
    pub seconds: u32,
    /// So many B-frames between two others.
    pub b_frames: u32,
}

/// A file to publish.
#[derive(Debug, Clone)]
pub struct Numbered {
    recipe: Recipe,
    /// All of it, configurations first.
    pub tags: Arc<[Tag]>,
    /// Number of the picture in each tag.
    numbers: Vec<Option<u32>>,
}

impl Numbered {
    /// Reads it, making it first if need be; `progress` hears what takes long.
    ///
    /// # Errors
    /// When ffmpeg cannot encode, or what is there is not what it should be.
    pub async fn get(recipe: Recipe, mut progress: impl FnMut(&str)) -> Result<Self> {
        let folder = repo::cache().join("clips");
        let Recipe { width, height, first, seconds, b_frames } = recipe;
        let kind = if b_frames > 0 { format!("-b{b_frames}") } else { String::new() };
        let name = format!("numbered-{RECIPE}-{width}x{height}-{first}-{seconds}{kind}.flv");
        let file = folder.join(&name);
        if !file.exists() {
            fs::create_dir_all(&folder)
                .with_context(|| format!("creating {}", folder.display()))?;
            let work = tempfile::tempdir_in(&folder)?;
            let encoded = work.path().join(&name);
            progress(&format!("Encoding {seconds} s of numbered pictures, once"));
            encode(recipe, &encoded).await?;
            Self::read(recipe, &encoded)?;
            // Others may have made it meanwhile: the same, so replacing it is harmless.
            fs::rename(&encoded, &file)?;
        }
        Self::read(recipe, &file).with_context(|| format!("{} (delete it)", file.display()))
    }

    fn read(recipe: Recipe, file: &Path) -> Result<Self> {
        let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        Self::new(recipe, flv::tags(Bytes::from(bytes))?)
    }

    fn new(recipe: Recipe, tags: Vec<Tag>) -> Result<Self> {
        let numbers = in_order_of_presentation(&tags, recipe.first);
        let made = numbers.iter().flatten().count();
        let wanted = usize::try_from(recipe.seconds * u32::from(FPS))?;
        ensure!(made == wanted, "{made} pictures instead of {wanted}");
        let mut known = HashSet::new();
        let sounds = tags.iter().filter(|tag| tag.kind == Kind::Sound);
        let alike = sounds.filter(|tag| !known.insert(sha(tag.access_unit()))).count();
        ensure!(alike == 0 && !known.is_empty(), "{alike} frames of sound are like another");
        Ok(Self { recipe, tags: tags.into(), numbers })
    }

    /// To be published from the first keyframe at or after this time; none when there is none.
    pub fn film(&self, media_ms: i64, stamp_ms: i64) -> Option<Film> {
        let mut keyframes = self.tags.iter().enumerate().filter(|(_, tag)| tag.is_keyframe());
        let from = keyframes.find(|(_, tag)| i64::from(tag.time_ms) >= media_ms)?.0;
        let Recipe { width, height, .. } = self.recipe;
        let announced = Announced { width, height, fps: FPS };
        Some(Film { tags: Arc::clone(&self.tags), from, announced, stamp_ms })
    }

    /// The number of the picture in this tag.
    pub fn number(&self, tag: usize) -> Option<u32> {
        self.numbers.get(tag).copied().flatten()
    }

    /// The hash of the frame of sound in this tag.
    pub fn sound(&self, tag: usize) -> Option<u64> {
        let tag = self.tags.get(tag).filter(|tag| tag.kind == Kind::Sound)?;
        Some(sha(tag.access_unit()))
    }
}

/// The number of the picture in each tag.
fn in_order_of_presentation(tags: &[Tag], first: u32) -> Vec<Option<u32>> {
    let pictures = tags.iter().enumerate().filter(|(_, tag)| tag.kind == Kind::Picture);
    let mut places: Vec<(i64, usize)> = pictures.map(|(at, tag)| (tag.shown_ms(), at)).collect();
    places.sort_unstable();
    let mut numbers = vec![None; tags.len()];
    for (number, (_, at)) in (first..).zip(places) {
        if let Some(place) = numbers.get_mut(at) {
            *place = Some(number);
        }
    }
    numbers
}

async fn encode(recipe: Recipe, target: &Path) -> Result<()> {
    let Recipe { width, height, first, seconds, b_frames } = recipe;
    let fps = u32::from(FPS);
    let pictures = counter::source(width, height, fps, first)?;
    let noise = format!("anoisesrc=color=pink:amplitude=0.1:sample_rate=48000:seed={first}");
    let (target, length) = (target.display().to_string(), seconds.to_string());
    let (count, gop) = ((seconds * fps).to_string(), (fps * 2).to_string());
    let between = b_frames.to_string();
    let mut arguments = vec!["-nostdin", "-v", "error"];
    arguments.extend(["-f", "lavfi", "-i", &pictures, "-f", "lavfi", "-i", &noise]);
    arguments.extend(["-frames:v", &count, "-t", &length, "-pix_fmt", "yuv420p"]);
    arguments.extend(["-c:v", "libx264", "-preset", "ultrafast", "-bf", &between]);
    arguments.extend([
        "-flags",
        "+cgop",
        "-g",
        &gop,
        "-keyint_min",
        &gop,
        "-sc_threshold",
        "0",
        "-b:v",
        "1000k",
    ]);
    arguments.extend(["-c:a", "aac", "-ac", "2", "-b:a", "96k"]);
    arguments.extend(["-flvflags", "no_duration_filesize", "-f", "flv", &target]);
    run("ffmpeg", &arguments).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: Recipe = Recipe { width: 640, height: 480, first: 7, seconds: 1, b_frames: 0 };

    fn tag(kind: Kind, time_ms: u32, body: Vec<u8>) -> Tag {
        Tag { kind, time_ms, body: body.into() }
    }

    /// A second of pictures, of which every tenth is a keyframe, and as many frames of sound.
    fn tags(sound: impl Fn(u8) -> u8) -> Vec<Tag> {
        let both = |n: u8| {
            let kind = if n.is_multiple_of(10) { 0x17 } else { 0x27 };
            let time = u32::from(n) * 1_000 / 30;
            [
                tag(Kind::Picture, time, vec![kind, 1, 0, 0, 0, n]),
                tag(Kind::Sound, time, vec![0xaf, 1, sound(n)]),
            ]
        };
        (0..30).flat_map(both).collect()
    }

    #[test]
    fn each_picture_has_its_number_and_each_frame_of_sound_its_hash() {
        let numbered = Numbered::new(RECIPE, tags(|n| n)).unwrap();
        assert_eq!([0, 1, 2, 58].map(|at| numbered.number(at)), [Some(7), None, Some(8), Some(36)]);
        assert_eq!(numbered.sound(3), Some(sha(&[1])));
        assert_eq!(numbered.sound(2), None);
        let film = numbered.film(100, 0).unwrap();
        assert_eq!(numbered.number(film.from), Some(17));
        assert!(numbered.film(900, 0).is_none());
    }

    #[test]
    fn b_frames_have_the_numbers_of_their_places_in_time() {
        let mut tags = tags(|n| n);
        // Decoded after the one that is shown after it, as CompositionTime says.
        for (at, later) in [(2, 66), (4, 0)] {
            let tag = &mut tags[at];
            let mut body = tag.body.to_vec();
            body[4] = later;
            tag.body = body.into();
        }
        let numbered = Numbered::new(RECIPE, tags).unwrap();
        assert_eq!([0, 2, 4, 6].map(|at| numbered.number(at)), [7, 9, 8, 10].map(Some));
    }

    #[test]
    fn sound_that_could_be_mistaken_and_missing_pictures_are_refused() {
        let error = Numbered::new(RECIPE, tags(|n| n % 29)).unwrap_err().to_string();
        assert_eq!(error, "1 frames of sound are like another");
        let short: Vec<Tag> = tags(|n| n).into_iter().skip(2).collect();
        let error = Numbered::new(RECIPE, short).unwrap_err().to_string();
        assert_eq!(error, "29 pictures instead of 30");
    }
}
