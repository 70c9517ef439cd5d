//! Variables of a container, as docs/architecture.md ("The environment") has
//! them: literals from the spec, connection settings from one Secret.
//!
//! The Secret is in the workers namespace. Its keys are the variables' names,
//! but for Postgres: each program's role has a URL.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector};

use super::{Installation, certificate_authority};

/// A variable with a value of its own. An empty one is left out, as the API
/// server does; a variable without a value is empty.
#[expect(clippy::needless_pass_by_value, reason = "numbers, texts and references alike")]
pub(crate) fn literal(name: &str, value: impl ToString) -> EnvVar {
    let value = Some(value.to_string()).filter(|value| !value.is_empty());
    EnvVar { name: name.to_owned(), value, value_from: None }
}

/// A variable whose value is a connection setting that has to be there.
fn connection(installation: &Installation, name: &str) -> EnvVar {
    from_connections(installation, name, name, None)
}

/// Postgres, as the role of this program logs in.
pub(crate) fn database(installation: &Installation, role: DatabaseRole) -> Vec<EnvVar> {
    let url = from_connections(installation, "DATABASE_URL", role.entry(), None);
    let ca_file = certificates(installation, "DATABASE_CA_FILE");
    vec![url, ca_file]
}

/// Who logs in to Postgres.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DatabaseRole {
    /// Ingest and transcode.
    Worker,
    /// Delivery.
    Viewer,
}

impl DatabaseRole {
    /// The Secret's key.
    pub(crate) const fn entry(self) -> &'static str {
        match self {
            Self::Worker => "DATABASE_WORKER_URL",
            Self::Viewer => "DATABASE_VIEWER_URL",
        }
    }
}

/// A variable whose value is a connection setting, if it is there.
pub(crate) fn optional(installation: &Installation, name: &str) -> EnvVar {
    from_connections(installation, name, name, Some(true))
}

fn from_connections(
    installation: &Installation,
    name: &str,
    key: &str,
    optional: Option<bool>,
) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                key: key.to_owned(),
                name: installation.connections.clone(),
                optional,
            }),
            ..EnvVarSource::default()
        }),
    }
}

/// The variable that names the certificates which vouch for a server: those
/// that are mounted, else the Secret may name some.
fn certificates(installation: &Installation, name: &str) -> EnvVar {
    match installation.ca_config_map {
        Some(_) => literal(name, certificate_authority::FILE),
        None => optional(installation, name),
    }
}

/// Redis: one URL, an override for each logical database named, and whom to
/// trust.
pub(crate) fn redis(installation: &Installation, databases: &[&str]) -> Vec<EnvVar> {
    let own = databases.iter().map(|name| optional(installation, &format!("REDIS_{name}_URL")));
    std::iter::once(connection(installation, "REDIS_URL"))
        .chain(own)
        .chain([certificates(installation, "REDIS_CA_FILE")])
        .collect()
}

/// Kafka: its brokers, whether they speak TLS and how to log in.
pub(crate) fn kafka(installation: &Installation) -> Vec<EnvVar> {
    let more = ["KAFKA_TLS", "KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"];
    std::iter::once(connection(installation, "KAFKA_BROKERS"))
        .chain(more.map(|name| optional(installation, name)))
        .chain([certificates(installation, "KAFKA_CA_FILE")])
        .collect()
}

/// The object store: its URL and what S3 needs beyond it.
pub(crate) fn object_store(installation: &Installation) -> Vec<EnvVar> {
    let s3 = ["S3_ENDPOINT", "S3_REGION", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"];
    std::iter::once(connection(installation, "OBJECT_STORE_URL"))
        .chain(s3.map(|name| optional(installation, name)))
        .chain([certificates(installation, "S3_CA_FILE")])
        .collect()
}

/// What every worker reads.
pub(crate) fn common(installation: &Installation) -> Vec<EnvVar> {
    vec![
        literal("MILLRACE_INSTALLATION", &installation.id),
        literal("RUST_LOG", &installation.log_filter),
        literal("LOG_FORMAT", &installation.log_format),
    ]
}
