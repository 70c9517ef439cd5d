//! What an encoder says about its stream in `onMetaData` (FLV 10.1 annex E.5).
//!
//! Announcements, not facts: the decoder configuration decides. Good for logs.

use super::amf0::Value;

/// The announced properties that mean something here.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metadata {
    /// Picture width in pixels.
    pub width: Option<u32>,
    /// Picture height in pixels.
    pub height: Option<u32>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// Video codec: an FLV codec id, or a name as some encoders write it.
    pub video_codec: Option<String>,
    /// Audio codec, likewise.
    pub audio_codec: Option<String>,
    /// Audio samples per second.
    pub audio_sample_rate: Option<u32>,
    /// The encoder's name.
    pub encoder: Option<String>,
}

/// Longest text kept of a property, in characters.
const MAX_TEXT: usize = 64;

impl Metadata {
    /// From a data message's values: `@setDataFrame`, `onMetaData`, the
    /// properties; or without the first. `None` when it is other data.
    pub fn from_values(values: &[Value]) -> Option<Self> {
        let mut values = values.iter();
        let mut name = values.next()?.as_str()?;
        if name == "@setDataFrame" {
            name = values.next()?.as_str()?;
        }
        if name != "onMetaData" {
            return None;
        }
        let properties = values.next()?;
        let number = |name: &str| properties.get(name).and_then(Value::as_number);
        Some(Self {
            width: number("width").and_then(whole),
            height: number("height").and_then(whole),
            frame_rate: number("framerate")
                .or_else(|| number("videoframerate"))
                .filter(|rate| rate.is_finite() && *rate > 0.0),
            video_codec: properties.get("videocodecid").and_then(text),
            audio_codec: properties.get("audiocodecid").and_then(text),
            audio_sample_rate: number("audiosamplerate").and_then(whole),
            encoder: properties.get("encoder").and_then(text),
        })
    }
}

/// A number that is positive, whole after rounding, and fits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked before"
)]
fn whole(number: f64) -> Option<u32> {
    (1.0..=f64::from(u32::MAX)).contains(&number).then(|| number.round() as u32)
}

fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    Some(text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoders_announcement_is_read_with_and_without_set_data_frame() {
        let properties = Value::EcmaArray(vec![
            ("width".to_owned(), 1280.0.into()),
            ("height".to_owned(), Value::Number(-1.0)),
            ("framerate".to_owned(), 29.97.into()),
            ("videocodecid".to_owned(), 7.0.into()),
            ("audiocodecid".to_owned(), "mp4a".into()),
        ]);
        let expected = Metadata {
            width: Some(1280),
            frame_rate: Some(29.97),
            video_codec: Some("7".to_owned()),
            audio_codec: Some("mp4a".to_owned()),
            ..Metadata::default()
        };
        let plain = vec!["onMetaData".into(), properties];
        assert_eq!(Metadata::from_values(&plain), Some(expected.clone()));
        let mut set = vec!["@setDataFrame".into()];
        set.extend(plain);
        assert_eq!(Metadata::from_values(&set), Some(expected));
        assert_eq!(Metadata::from_values(&["onCuePoint".into()]), None);
    }
}
