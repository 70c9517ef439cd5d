//! Variables of a container, as docs/architecture.md ("The environment") has
//! them: literals from the spec, connection settings from one Secret.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector};

use super::Installation;

/// The Secret in the workers namespace with the connection settings; its keys
/// are the variables' names, but for Postgres: each program's role has a URL.
pub const CONNECTIONS_SECRET: &str = "millrace-connections";

/// A variable with a value of its own. An empty one is left out, as the API
/// server does; a variable without a value is empty.
#[expect(clippy::needless_pass_by_value, reason = "numbers, texts and references alike")]
pub(crate) fn literal(name: &str, value: impl ToString) -> EnvVar {
    let value = Some(value.to_string()).filter(|value| !value.is_empty());
    EnvVar { name: name.to_owned(), value, value_from: None }
}

/// A variable whose value is a connection setting that has to be there.
pub(crate) fn connection(name: &str) -> EnvVar {
    from_connections(name, name, None)
}

/// `DATABASE_URL`, as the role of this program logs in.
pub(crate) fn database(role: DatabaseRole) -> EnvVar {
    from_connections("DATABASE_URL", role.entry(), None)
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
pub(crate) fn optional_connection(name: &str) -> EnvVar {
    from_connections(name, name, Some(true))
}

fn from_connections(name: &str, key: &str, optional: Option<bool>) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                key: key.to_owned(),
                name: CONNECTIONS_SECRET.to_owned(),
                optional,
            }),
            ..EnvVarSource::default()
        }),
    }
}

/// Redis: one URL, an override for each logical database named, and whom to
/// trust.
pub(crate) fn redis(databases: &[&str]) -> Vec<EnvVar> {
    std::iter::once(connection("REDIS_URL"))
        .chain(databases.iter().map(|name| optional_connection(&format!("REDIS_{name}_URL"))))
        .chain([optional_connection("REDIS_CA_FILE")])
        .collect()
}

/// The object store: its URL and what S3 needs beyond it.
pub(crate) fn object_store() -> Vec<EnvVar> {
    let s3 = ["S3_ENDPOINT", "S3_REGION", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"];
    std::iter::once(connection("OBJECT_STORE_URL"))
        .chain(s3.into_iter().map(optional_connection))
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
