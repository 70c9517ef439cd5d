//! The operator's settings, from its environment.

use std::net::SocketAddr;
use std::time::Duration;

use millrace_platform::config::{ConfigError, Env, StoreConfig};

use super::place::{Place, list};
use crate::reconcile::build::Installation;
use crate::reconcile::build::installation::MediaVolume;
use crate::reconcile::external::sweep::Pace;
use crate::schema::Schema;

/// Seconds of a drain before a live stream's ingest pod may be evicted.
const DRAIN_TIMEOUT: u64 = 300;
/// The group of the images' user, which owns the files of the media volume.
const MEDIA_GROUP: i64 = 10_001;
/// The variable with the URL of Postgres as the role that owns the schema.
const SCHEMA_OWNER: &str = "DATABASE_MIGRATE_URL";

/// The operator's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where this is, and whose LiveStreams are looked after.
    pub place: Place,
    /// Where `/health/*` and `/metrics` are served.
    pub health: SocketAddr,
    /// Reconciles at once.
    pub concurrency: u16,
    /// When what deleted LiveStreams left outside is cleaned up.
    pub sweep: Pace,
    /// How long a live stream's ingest pod is kept on a node that is being
    /// emptied.
    pub drain_timeout: Duration,
    /// What this process brings up in Postgres, unless somebody else does.
    pub schema: Option<Schema>,
    /// What the installation decides about children.
    pub installation: Installation,
}

impl Settings {
    /// Read them.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let place = Place::read(env);
        let health = env.listen("HEALTH", 8090);
        let concurrency = env.within("RECONCILE_CONCURRENCY", 16, 1..=256);
        let usual = Pace::default();
        let after = env.within("SWEEP_AFTER_SECONDS", usual.after.as_secs(), 10..=86_400);
        let every = env.within("SWEEP_EVERY_SECONDS", usual.every.as_secs(), 1..=3_600);
        let drain = env.within("DRAIN_TIMEOUT_SECONDS", DRAIN_TIMEOUT, 0..=86_400);
        let schema = env.text(SCHEMA_OWNER).map(|_| Schema::read(env, SCHEMA_OWNER)).transpose();
        let installation = installation(env);
        env.report()?;
        let place = place?;
        let mut installation = installation?;
        if env.text("WORKERS_NAMESPACE").is_none() {
            installation.workers_namespace.clone_from(&place.own_namespace);
        }
        Ok(Self {
            place,
            health: health?,
            concurrency: concurrency?,
            sweep: Pace { after: Duration::from_secs(after?), every: Duration::from_secs(every?) },
            drain_timeout: Duration::from_secs(drain?),
            schema: schema?,
            installation,
        })
    }
}

fn installation(env: &Env) -> Result<Installation, ConfigError> {
    let usual = Installation::default();
    let id = millrace_platform::config::Installation::read(env)?;
    Ok(Installation {
        id: id.to_string(),
        workers_namespace: env.or("WORKERS_NAMESPACE", usual.workers_namespace)?,
        cluster_domain: env.or("CLUSTER_DOMAIN", usual.cluster_domain)?,
        image: env.or("WORKER_IMAGE", usual.image)?,
        image_pull_policy: env.or("WORKER_IMAGE_PULL_POLICY", usual.image_pull_policy)?,
        image_pull_secrets: list(env, "WORKER_IMAGE_PULL_SECRETS"),
        service_account: env.or("WORKER_SERVICE_ACCOUNT", usual.service_account)?,
        connections: env.or("WORKER_CONNECTIONS", usual.connections)?,
        ca_config_map: env.optional("WORKER_CA_CONFIG_MAP")?,
        media_volume: media_volume(env)?,
        delivery_service: env.or("DELIVERY_SERVICE", usual.delivery_service)?,
        delivery_port: env.or("DELIVERY_PORT", usual.delivery_port)?,
        public_url: env.optional("PUBLIC_URL")?,
        default_ingress_class: env.optional("DEFAULT_INGRESS_CLASS")?,
        external_host: env.optional("EXTERNAL_HOST")?,
        playback_rules: env.or("PLAYBACK_RULES", usual.playback_rules)?,
        playback_keys: env.or("PLAYBACK_KEYS", usual.playback_keys)?,
        log_filter: env.or("WORKER_LOG", usual.log_filter)?,
        log_format: env.or("WORKER_LOG_FORMAT", usual.log_format)?,
        mock_ffmpeg: env.or("MOCK_FFMPEG", usual.mock_ffmpeg)?,
        ffmpeg_path: env.or("FFMPEG_PATH", usual.ffmpeg_path)?,
    })
}

/// The claim of `MEDIA_CLAIM`, for the directory of `OBJECT_STORE_URL`.
fn media_volume(env: &Env) -> Result<Option<MediaVolume>, ConfigError> {
    let group = env.within("MEDIA_GROUP", MEDIA_GROUP, 0..=i64::from(i32::MAX));
    let Some(claim) = env.optional("MEDIA_CLAIM")? else { return Ok(None) };
    match StoreConfig::read(env)? {
        StoreConfig::Directory(path) => {
            Ok(Some(MediaVolume { claim, path: path.display().to_string(), group: group? }))
        }
        StoreConfig::S3 { .. } => {
            let expected = "nothing, as OBJECT_STORE_URL is no directory";
            Err(env.note("MEDIA_CLAIM", "set", expected).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Installation, ConfigError> {
        Settings::read(&Env::from_pairs(pairs.iter().copied())).map(|read| read.installation)
    }

    #[test]
    fn a_claim_is_mounted_where_the_object_store_is_a_directory() {
        let claim = ("MEDIA_CLAIM", "media");
        let at = |url| read(&[claim, ("OBJECT_STORE_URL", url), ("MEDIA_GROUP", "7")]);
        let volume = at("file:///var/media").unwrap().media_volume;
        let path = "/var/media".to_owned();
        assert_eq!(volume, Some(MediaVolume { claim: "media".to_owned(), path, group: 7 }));
        let wrong = at("s3://bucket").unwrap_err().to_string();
        assert!(wrong.contains("MEDIA_CLAIM"), "{wrong}");
        let nowhere = read(&[claim]).unwrap_err().to_string();
        assert!(nowhere.contains("OBJECT_STORE_URL"), "{nowhere}");
        assert_eq!(read(&[("OBJECT_STORE_URL", "file:///var/media")]).unwrap().media_volume, None);
    }

    #[test]
    fn what_workers_refer_to_has_the_names_that_are_set() {
        let set = [("WORKER_CONNECTIONS", "servers"), ("WORKER_CA_CONFIG_MAP", "authority")];
        let installation = read(&set).unwrap();
        assert_eq!(installation.connections, "servers");
        assert_eq!(installation.ca_config_map.as_deref(), Some("authority"));
        assert_eq!(read(&[]).unwrap().connections, "millrace-connections");
    }
}
