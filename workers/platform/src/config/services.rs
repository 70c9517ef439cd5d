//! The settings of each outside service, typed.

use std::fmt;
use std::path::PathBuf;

use super::env::{Env, Problem};
use super::secret::{Secret, ServiceUrl};
use super::setting::Setting;

/// The id of this installation: it prefixes topics, Redis keys and objects, so
/// that two installations can share servers. Empty by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Installation(String);

impl Installation {
    /// `MILLRACE_INSTALLATION`.
    pub fn read(env: &Env) -> Result<Self, Problem> {
        env.or("MILLRACE_INSTALLATION", Self::default())
    }

    /// The id; empty when there is none.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `<installation><separator>`, or nothing.
    pub fn prefix(&self, separator: char) -> String {
        if self.0.is_empty() { String::new() } else { format!("{}{separator}", self.0) }
    }
}

impl Setting for Installation {
    const EXPECTED: &'static str = "1 to 32 of a-z, 0-9 and -";
    fn parse(text: &str) -> Option<Self> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (text.len() <= 32 && text.bytes().all(fits)).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One logical database of Redis and how its server is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisServer {
    /// Where it is; with `rediss` the connection is TLS.
    pub url: ServiceUrl,
    /// `REDIS_CA_FILE`: certificates (PEM) that vouch for the servers, in
    /// place of the machine's. Matters for TLS only.
    pub ca_file: Option<PathBuf>,
}

/// Redis: one server per logical database, which may all be the same.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// Database 0: verdicts on publish keys.
    pub keys: RedisServer,
    /// Database 1: parts, segments, playlists, the writer's lease.
    pub media: RedisServer,
    /// Database 2: metrics.
    pub metrics: RedisServer,
    /// Database 3: who watches.
    pub viewers: RedisServer,
}

impl RedisConfig {
    /// From `REDIS_URL`, which carries no database number, and the overrides
    /// `REDIS_KEYS_URL`, `REDIS_MEDIA_URL`, `REDIS_METRICS_URL` and
    /// `REDIS_VIEWERS_URL`, which may; and `REDIS_CA_FILE`.
    pub fn read(env: &Env) -> Result<Self, Problem> {
        let base = redis_url(env, "REDIS_URL").and_then(|url| match url {
            Some(url) if !url.path().is_empty() => Err(env.note(
                "REDIS_URL",
                "carries a database number",
                "redis://host:port, the number of each use is appended",
            )),
            url => Ok(url),
        });
        let ca_file = env.optional::<PathBuf>("REDIS_CA_FILE");
        let one = |name: &str, number: &str| {
            let url = match (redis_url(env, name)?, base.clone()?) {
                (Some(own), _) => own,
                (None, Some(base)) => base.with_path(number),
                (None, None) => {
                    return Err(env.note("REDIS_URL", "not set", "redis://host:port"));
                }
            };
            Ok(RedisServer { url, ca_file: ca_file.clone()? })
        };
        let keys = one("REDIS_KEYS_URL", "0");
        let media = one("REDIS_MEDIA_URL", "1");
        let metrics = one("REDIS_METRICS_URL", "2");
        let viewers = one("REDIS_VIEWERS_URL", "3");
        Ok(Self { keys: keys?, media: media?, metrics: metrics?, viewers: viewers? })
    }
}

fn redis_url(env: &Env, name: &str) -> Result<Option<ServiceUrl>, Problem> {
    service_url(env, name, &["redis", "rediss"])
}

/// A URL of one of these schemes, if set.
pub(super) fn service_url(
    env: &Env,
    name: &str,
    schemes: &[&str],
) -> Result<Option<ServiceUrl>, Problem> {
    let expected = || format!("a URL of scheme {}", schemes.join(" or "));
    let Some(text) = env.text(name) else { return Ok(None) };
    match ServiceUrl::parse(text) {
        Some(url) if schemes.contains(&url.scheme()) => Ok(Some(url)),
        Some(url) => Err(env.note(name, format!("found scheme {:?}", url.scheme()), expected())),
        None => Err(env.note(name, "found no URL (not shown, it may hold a password)", expected())),
    }
}

/// Where segments and the index live.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// `file:///dir`
    Directory(PathBuf),
    /// `s3://bucket/prefix`
    S3 {
        /// The bucket.
        bucket: String,
        /// In front of every object; may be empty.
        prefix: String,
        /// `S3_ENDPOINT`; AWS's own by default.
        endpoint: Option<String>,
        /// `S3_REGION`.
        region: String,
        /// `S3_ACCESS_KEY_ID`; without it the machine's own identity is used.
        access_key_id: Option<String>,
        /// `S3_SECRET_ACCESS_KEY`.
        secret_access_key: Option<Secret>,
        /// `S3_CA_FILE`: certificates (PEM) that vouch for the server, besides
        /// the machine's.
        ca_file: Option<PathBuf>,
    },
}

impl StoreConfig {
    /// From `OBJECT_STORE_URL` and, for S3, the `S3_…` settings.
    pub fn read(env: &Env) -> Result<Self, Problem> {
        const NAME: &str = "OBJECT_STORE_URL";
        const EXPECTED: &str = "file:///dir or s3://bucket/prefix";
        let text: String = env.required(NAME)?;
        let hidden = "found no such URL (not shown, it may hold a password)";
        let wrong = || env.note(NAME, hidden, EXPECTED);
        let url = url::Url::parse(&text).map_err(|_| wrong())?;
        match url.scheme() {
            "file" => {
                let path = url.to_file_path().map_err(|()| wrong())?;
                Ok(Self::Directory(path))
            }
            "s3" => {
                let bucket = url.host_str().ok_or_else(wrong)?.to_owned();
                let endpoint = env.optional("S3_ENDPOINT");
                let region = env.or("S3_REGION", "us-east-1".to_owned());
                let access_key_id = env.optional("S3_ACCESS_KEY_ID");
                let secret_access_key = env.optional("S3_SECRET_ACCESS_KEY");
                let ca_file = env.optional("S3_CA_FILE");
                Ok(Self::S3 {
                    bucket,
                    prefix: url.path().trim_matches('/').to_owned(),
                    endpoint: endpoint?,
                    region: region?,
                    access_key_id: access_key_id?,
                    secret_access_key: secret_access_key?,
                    ca_file: ca_file?,
                })
            }
            scheme => Err(env.note(NAME, format!("found scheme {scheme:?}"), EXPECTED)),
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Setting for LogFormat {
    const EXPECTED: &'static str = "text or json";
    fn parse(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// `RUST_LOG`, tracing-subscriber's filter syntax.
    pub filter: String,
    /// `LOG_FORMAT`.
    pub format: LogFormat,
}

impl TelemetryConfig {
    /// From the environment.
    pub fn read(env: &Env) -> Result<Self, Problem> {
        let filter: Result<String, _> = env.or("RUST_LOG", "info".to_owned());
        let filter =
            filter.and_then(|text| match tracing_subscriber::EnvFilter::builder().parse(&text) {
                Ok(_) => Ok(text),
                Err(_) => Err(env.note(
                    "RUST_LOG",
                    format!("found {text:?}"),
                    "a filter, for example info or info,millrace_ingest=debug",
                )),
            });
        let format = env.or("LOG_FORMAT", LogFormat::Text);
        Ok(Self { filter: filter?, format: format? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_redis_database_has_its_number_unless_overridden() {
        let env = Env::from_pairs([
            ("REDIS_URL", "redis://r:6379"),
            ("REDIS_VIEWERS_URL", "redis://other:6379/9"),
        ]);
        let redis = RedisConfig::read(&env).unwrap();
        assert_eq!(redis.media.url.expose(), "redis://r:6379/1");
        assert_eq!(redis.viewers.url.expose(), "redis://other:6379/9");
    }

    #[test]
    fn a_store_is_a_directory_or_a_bucket() {
        let read = |url: &str| StoreConfig::read(&Env::from_pairs([("OBJECT_STORE_URL", url)]));
        assert!(matches!(read("file:///var/m"), Ok(StoreConfig::Directory(p)) if p.ends_with("m")));
        assert!(
            matches!(read("s3://b/a/c"), Ok(StoreConfig::S3 { bucket, prefix, .. }) if bucket == "b" && prefix == "a/c")
        );
        for bad in ["/var/m", "http://x:secret@y/z", "s3://", "file://secret@host/m"] {
            let problem = read(bad).unwrap_err();
            assert!(!problem.found.contains("secret"), "{problem:?}");
        }
    }

    #[test]
    fn an_installation_prefixes_with_its_separator() {
        assert_eq!(Installation::default().prefix('.'), "");
        assert_eq!(Installation::parse("blue").unwrap().prefix('.'), "blue.");
        assert!(Installation::parse("Blue").is_none());
    }
}
