//! A number burnt into every picture, to tell that each was published, once,
//! in order.
//!
//! Two rows of [`BITS`] cells in the top left half: the upper row shows the
//! number with its lowest bit first, white for one; the lower row shows the
//! opposite. A bit counts only when its two cells differ clearly, so blur and
//! noise make a number unreadable, never wrong. Cells scale with the picture,
//! and drawing them costs ffmpeg next to nothing.

use std::fmt::Write as _;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::publisher::TO_THE_END;

/// Bits of the number: nine hours at 30 pictures per second.
pub const BITS: u32 = 20;
/// The width of a picture is a multiple of this; a cell is one of them.
const CELLS_ACROSS: u32 = 40;
/// Pixels a side to which a decoded cell is scaled before it is read.
const SAMPLE: usize = 8;
/// Difference of brightness that makes a bit.
const CLEAR: u32 = 80;

/// A lavfi graph of a moving test picture with the counter; its first picture
/// shows `first`.
///
/// # Errors
/// When `width` is not a multiple of 40.
pub fn source(width: u32, height: u32, fps: u32, first: u32) -> Result<String> {
    ensure!(width.is_multiple_of(CELLS_ACROSS), "a counter needs a width that is a multiple of 40");
    let cell = width / CELLS_ACROSS;
    let strip = cell * BITS;
    let mut graph = format!(
        "testsrc2=size={width}x{height}:rate={fps},\
         drawbox=x=0:y=0:w={strip}:h={cell}:color=black:t=fill,\
         drawbox=x=0:y={cell}:w={strip}:h={cell}:color=white:t=fill"
    );
    for bit in 0..BITS {
        let (x, weight) = (bit * cell, 1 << bit);
        for (y, color) in [(0, "white"), (cell, "black")] {
            write!(
                graph,
                ",drawbox=x={x}:y={y}:w={cell}:h={cell}:color={color}:t=fill\
                 :enable='mod(floor((n+{first})/{weight}),2)'"
            )?;
        }
    }
    Ok(graph)
}

/// Draws the counter into the luma of a picture of this width, a multiple of 40.
pub fn draw(luma: &mut [u8], width: usize, number: u32) {
    const CELLS: usize = CELLS_ACROSS as usize;
    const WHITE: u8 = 235;
    const BLACK: u8 = 16;
    let cell = width / CELLS;
    for (y, line) in luma.chunks_exact_mut(width).take(cell * 2).enumerate() {
        for (bit, pixels) in (0..BITS).zip(line.chunks_exact_mut(cell.max(1))) {
            let white = (number >> bit & 1 == 1) == (y < cell);
            pixels.fill(if white { WHITE } else { BLACK });
        }
    }
}

/// An ffmpeg that publishes 1280x720 with the counter and a tone to `url`, at
/// the speed of real time, a keyframe every two seconds, no B-frames; `more`
/// are options for the pictures.
///
/// # Errors
/// None in practice.
pub fn publisher(fps: u32, first: u32, more: &[&str], url: &str) -> Result<Command> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "warning"]);
    command.args(["-re", "-f", "lavfi", "-i", &source(1_280, 720, fps, first)?]);
    command.args(["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]);
    command.args(more);
    command.args(["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast"]);
    command.args(["-b:v", "1500k", "-g", &(fps * 2).to_string(), "-c:a", "aac", "-ac", "2"]);
    command.args(["-f", "flv"]).args(TO_THE_END).arg(url);
    Ok(command)
}

/// The numbers in the pictures of a file, in the order they are shown; `None`
/// for a picture whose number can't be read.
///
/// # Errors
/// When ffmpeg can't be run or can't decode all of it.
pub async fn read(media: Vec<u8>) -> Result<Vec<Option<u32>>> {
    read_cropped(media, "crop=iw/2:iw/20:0:0").await
}

/// The same of pictures of this shape, width to height, that have bars at both sides.
///
/// # Errors
/// As [`read`].
pub async fn read_between_bars(
    media: Vec<u8>,
    (width, height): (u32, u32),
) -> Result<Vec<Option<u32>>> {
    let inside = format!("ih*{width}/{height}");
    read_cropped(media, &format!("crop={inside}/2:{inside}/20:(iw-{inside})/2:0")).await
}

async fn read_cropped(media: Vec<u8>, crop: &str) -> Result<Vec<Option<u32>>> {
    let (width, height) = (SAMPLE * usize::try_from(BITS)?, SAMPLE * 2);
    // Times are nobody's business here, and pictures a millisecond apart would be refused.
    let times = "settb=1/1000,setpts=1000*N";
    let filter = format!("{crop},scale={width}:{height}:flags=area,format=gray,{times}");
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error", "-i", "pipe:0", "-map", "0:v", "-vf", &filter])
        .args(["-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("running ffmpeg")?;
    let mut stdin = child.stdin.take().context("ffmpeg's stdin")?;
    // The other end of both pipes is ffmpeg: writing and reading go on together.
    let writer = tokio::spawn(async move { stdin.write_all(&media).await });
    let output = child.wait_with_output().await?;
    writer.await?.context("feeding ffmpeg")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.is_empty(), "ffmpeg: {}", said.trim());
    Ok(output.stdout.chunks_exact(width * height).map(number).collect())
}

/// The number in one gray picture of the two rows.
fn number(picture: &[u8]) -> Option<u32> {
    let mut number = 0;
    for bit in 0..BITS {
        let (upper, lower) = (brightness(picture, bit, 0)?, brightness(picture, bit, 1)?);
        if upper.abs_diff(lower) < CLEAR {
            return None;
        }
        number |= u32::from(upper > lower) << bit;
    }
    Some(number)
}

/// Mean of the middle of a cell, 0 to 255.
fn brightness(picture: &[u8], bit: u32, row: usize) -> Option<u32> {
    let width = SAMPLE * usize::try_from(BITS).ok()?;
    let left = SAMPLE * usize::try_from(bit).ok()?;
    let middle = SAMPLE / 4..SAMPLE - SAMPLE / 4;
    let mut sum = 0;
    let mut count = 0;
    for y in middle.clone() {
        for x in middle.clone() {
            sum += u32::from(*picture.get((row * SAMPLE + y) * width + left + x)?);
            count += 1;
        }
    }
    Some(sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_number_is_read_back() {
        let (width, cell) = (SAMPLE * CELLS_ACROSS as usize, SAMPLE);
        for drawn in [0, 0x5_5555, 0xa_aaaa, 0xf_ffff, 123_456] {
            let mut luma = vec![128; width * 4 * cell];
            draw(&mut luma, width, drawn);
            let half = width / 2;
            let rows = luma.chunks_exact(width).take(2 * cell);
            let crop: Vec<u8> = rows.flat_map(|line| &line[..half]).copied().collect();
            assert_eq!(number(&crop), Some(drawn));
            assert!(luma[width * 2 * cell..].iter().all(|pixel| *pixel == 128));
        }
    }

    async fn encode(width: u32, first: u32, filter: &str) -> Vec<u8> {
        let graph = source(width, 720, 30, first).unwrap();
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", &graph, "-frames:v", "90", "-vf", filter])
            .args(["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast"])
            .args(["-tune", "zerolatency", "-b:v", "1500k", "-maxrate", "1605k"])
            .args(["-bufsize", "1500k", "-g", "60", "-f", "flv", "pipe:1"])
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[tokio::test]
    async fn every_number_survives_scaling_and_encoding_twice() {
        for first in [0, 0x5_5555] {
            let source = encode(1_280, first, "scale=-2:480").await;
            let expected: Vec<_> = (first..first + 90).map(Some).collect();
            assert_eq!(read(source).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_picture_between_bars_is_read_as_such_and_not_as_a_whole_one() {
        for first in [0, 0x5_5555] {
            let media = encode(960, first, "scale=-2:480,pad=852:480:106:0").await;
            let expected: Vec<_> = (first..first + 90).map(Some).collect();
            assert_eq!(read_between_bars(media.clone(), (4, 3)).await.unwrap(), expected);
            assert_eq!(read(media).await.unwrap(), vec![None; 90]);
        }
    }

    #[test]
    fn a_gray_picture_has_no_number() {
        assert_eq!(number(&[128; 160 * 16]), None);
        assert_eq!(number(&[]), None);
    }
}
