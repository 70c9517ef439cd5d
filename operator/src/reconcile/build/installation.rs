//! What the installation, not the stream, decides about its children.

/// The installation's side of every child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Prefix of topics, keys and objects; may be empty.
    pub id: String,
    /// Where workers run.
    pub workers_namespace: String,
    /// The image that holds all workers.
    pub image: String,
    /// Their ServiceAccount, which may do nothing.
    pub service_account: String,
    /// `RUST_LOG` of the workers.
    pub log_filter: String,
    /// `text` or `json`.
    pub log_format: String,
    /// Publish the source itself as the only rung, without ffmpeg.
    pub mock_ffmpeg: bool,
    /// Where the image has ffmpeg.
    pub ffmpeg_path: String,
}

impl Default for Installation {
    fn default() -> Self {
        Self {
            id: String::new(),
            workers_namespace: "millrace".to_owned(),
            image: format!("millrace:{}", env!("CARGO_PKG_VERSION")),
            service_account: "millrace-worker".to_owned(),
            log_filter: "info".to_owned(),
            log_format: "json".to_owned(),
            mock_ffmpeg: false,
            ffmpeg_path: "ffmpeg".to_owned(),
        }
    }
}
