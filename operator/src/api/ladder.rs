//! `spec.ladder`: the qualities a source is encoded to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::{LABEL_PATTERN, rules};

/// One quality.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RungSpec {
    /// Its name in URLs and figures, for example `720p`; not `audio`.
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = LABEL_PATTERN),
        extend("x-kubernetes-validations" = rules(&[
            ("self != 'audio'", "audio is the name of the audio group"),
        ]))
    )]
    pub name: String,
    /// Picture height in pixels, even; the width follows from the source.
    #[schemars(range(min = 144, max = 2_160), extend("multipleOf" = 2, "format" = "int32"))]
    pub height: u32,
    /// Video bitrate in kbit/s.
    #[schemars(range(min = 100, max = 50_000), extend("format" = "int32"))]
    pub bitrate_kbps: u32,
}

/// 480p 1.5 Mb/s, 720p 3 Mb/s, 1080p 5 Mb/s.
pub fn default_ladder() -> Vec<RungSpec> {
    millrace_media::ladder::default_ladder()
        .into_iter()
        .map(|rung| RungSpec {
            name: rung.name.to_string(),
            height: rung.height,
            bitrate_kbps: rung.bitrate_kbps,
        })
        .collect()
}
