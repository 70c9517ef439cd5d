//! What the installation, not the stream, decides about its children.

use super::playback_rules::PlaybackRules;

/// The installation's side of every child. The chart fills it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Prefix of topics, keys and objects; may be empty.
    pub id: String,
    /// Where workers and delivery run.
    pub workers_namespace: String,
    /// The domain of the cluster's DNS.
    pub cluster_domain: String,
    /// The image that holds all workers.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: String,
    /// Secrets of the workers namespace that let the image be pulled.
    pub image_pull_secrets: Vec<String>,
    /// The workers' ServiceAccount, which may do nothing.
    pub service_account: String,
    /// Delivery's viewers' Service, in the workers namespace.
    pub delivery_service: String,
    /// Its port.
    pub delivery_port: u16,
    /// Where viewers reach delivery: `https://video.example`, without a slash
    /// at the end; none while nothing leads there from outside.
    pub public_url: Option<String>,
    /// The Ingress class for own host names that name none; none is the
    /// cluster's default.
    pub default_ingress_class: Option<String>,
    /// Under which name or address publishers reach a node's ports.
    pub external_host: Option<String>,
    /// Which host names, classes and Gateways namespaces may use.
    pub playback_rules: PlaybackRules,
    /// Delivery has keys to check viewers' tokens with.
    pub playback_keys: bool,
    /// The Secret of the workers namespace with the connection settings.
    pub connections: String,
    /// A ConfigMap of the workers namespace with certificates (`ca.crt`) that
    /// vouch for the servers, in place of the machine's.
    pub ca_config_map: Option<String>,
    /// A volume for media, where the object store is a directory.
    pub media_volume: Option<MediaVolume>,
    /// `RUST_LOG` of the workers.
    pub log_filter: String,
    /// `text` or `json`.
    pub log_format: String,
    /// Publish the source itself as the only rung, without ffmpeg.
    pub mock_ffmpeg: bool,
    /// Where the image has ffmpeg.
    pub ffmpeg_path: String,
}

/// A claim of the workers namespace, mounted where `OBJECT_STORE_URL` points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaVolume {
    /// The PersistentVolumeClaim.
    pub claim: String,
    /// The directory.
    pub path: String,
    /// The group that owns its files.
    pub group: i64,
}

impl Installation {
    /// The host of [`public_url`](Self::public_url).
    pub fn public_host(&self) -> Option<&str> {
        let (_, rest) = self.public_url.as_deref()?.split_once("://")?;
        let authority = rest.split('/').next()?;
        Some(authority.split_once(':').map_or(authority, |(host, _)| host))
    }
}

impl Default for Installation {
    fn default() -> Self {
        Self {
            id: String::new(),
            workers_namespace: "millrace".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            image: format!("millrace:{}", env!("CARGO_PKG_VERSION")),
            image_pull_policy: "IfNotPresent".to_owned(),
            image_pull_secrets: Vec::new(),
            service_account: "millrace-worker".to_owned(),
            delivery_service: "millrace-delivery".to_owned(),
            delivery_port: 80,
            public_url: None,
            default_ingress_class: None,
            external_host: None,
            playback_rules: PlaybackRules::default(),
            playback_keys: false,
            connections: "millrace-connections".to_owned(),
            ca_config_map: None,
            media_volume: None,
            log_filter: "info".to_owned(),
            log_format: "json".to_owned(),
            mock_ffmpeg: false,
            ffmpeg_path: "ffmpeg".to_owned(),
        }
    }
}
