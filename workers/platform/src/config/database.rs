//! The settings of Postgres.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::env::{Env, Problem};
use super::secret::{Secret, ServiceUrl};
use super::services::service_url;
use super::setting::Setting;

/// Postgres, and how this process uses it.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// `DATABASE_URL`; its `sslmode` and `sslrootcert` say how to use TLS.
    pub url: ServiceUrl,
    /// `DATABASE_CA_FILE`: certificates (PEM) that vouch for the server, where
    /// its URL names none. Matters for the modes that look at them.
    pub ca_file: Option<PathBuf>,
    /// `DATABASE_MAX_CONNECTIONS`.
    pub max_connections: u32,
    /// `DATABASE_ACQUIRE_TIMEOUT_MS`: longest wait for a connection.
    pub acquire_timeout: Duration,
    /// `DATABASE_STATEMENT_TIMEOUT_MS`: longest statement, enforced by the
    /// server.
    pub statement_timeout: Duration,
    /// `DATABASE_IDLE_TIMEOUT_SECONDS`: a connection unused for so long is
    /// closed.
    pub idle_timeout: Duration,
}

impl DatabaseConfig {
    /// From the environment.
    pub fn read(env: &Env) -> Result<Self, Problem> {
        Self::read_as(env, "DATABASE_URL")
    }

    /// The same server as another role, whose URL is in `variable`.
    pub fn read_as(env: &Env, variable: &str) -> Result<Self, Problem> {
        let url = service_url(env, variable, &["postgres", "postgresql"]);
        let ca_file = env.optional("DATABASE_CA_FILE");
        let max_connections = env.within("DATABASE_MAX_CONNECTIONS", 8, 1..=1_000);
        let acquire = env.within("DATABASE_ACQUIRE_TIMEOUT_MS", 3_000, 10..=600_000);
        let statement = env.within("DATABASE_STATEMENT_TIMEOUT_MS", 5_000, 10..=600_000);
        let idle = env.within("DATABASE_IDLE_TIMEOUT_SECONDS", 300, 1..=86_400);
        let url =
            url?.ok_or_else(|| env.note(variable, "not set", "postgres://user@host:port/database"));
        Ok(Self {
            url: url?,
            ca_file: ca_file?,
            max_connections: max_connections?,
            acquire_timeout: Duration::from_millis(acquire?),
            statement_timeout: Duration::from_millis(statement?),
            idle_timeout: Duration::from_secs(idle?),
        })
    }
}

/// The name of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleName(String);

impl RoleName {
    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Setting for RoleName {
    const EXPECTED: &'static str =
        "1 to 63 of a-z, 0-9, _ and -, a letter first, not beginning with pg_";
    fn parse(text: &str) -> Option<Self> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        (begins && text.len() <= 63 && text.bytes().all(fits) && !text.starts_with("pg_"))
            .then(|| Self(text.to_owned()))
    }
}

/// A role that programs log in with.
#[derive(Debug, Clone)]
pub struct RoleConfig {
    /// `DATABASE_ROLE_<ROLE>`.
    pub name: RoleName,
    /// `DATABASE_ROLE_<ROLE>_PASSWORD`; without it whoever made the role sees
    /// to how it logs in.
    pub password: Option<Secret>,
}

/// The roles of the programs; one that is not named is left alone.
#[derive(Debug, Clone, Default)]
pub struct RolesConfig {
    /// `DATABASE_ROLE_CONTROL`: the operator and the API.
    pub control: Option<RoleConfig>,
    /// `DATABASE_ROLE_WORKER`: ingest and transcode.
    pub worker: Option<RoleConfig>,
    /// `DATABASE_ROLE_VIEWER`: delivery.
    pub viewer: Option<RoleConfig>,
}

impl RolesConfig {
    /// From the environment.
    pub fn read(env: &Env) -> Result<Self, Problem> {
        let control = role(env, "CONTROL");
        let worker = role(env, "WORKER");
        let viewer = role(env, "VIEWER");
        Ok(Self { control: control?, worker: worker?, viewer: viewer? })
    }
}

fn role(env: &Env, role: &str) -> Result<Option<RoleConfig>, Problem> {
    let variable = format!("DATABASE_ROLE_{role}");
    let name = env.optional(&variable);
    let secret = format!("{variable}_PASSWORD");
    let password: Option<Secret> = env.optional(&secret)?;
    // Others would need the server's own way of preparing them.
    let printable = |p: &Secret| p.expose().bytes().all(|b| (b' '..=b'~').contains(&b));
    if password.as_ref().is_some_and(|p| !printable(p)) {
        return Err(env.note(&secret, "a value that is not right", "printable ASCII"));
    }
    match (name?, password) {
        (Some(name), password) => Ok(Some(RoleConfig { name, password })),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(env.note(&variable, "not set", RoleName::EXPECTED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_a_plain_name_and_a_hidden_password() {
        let env = Env::from_pairs([
            ("DATABASE_ROLE_WORKER", "millrace-worker"),
            ("DATABASE_ROLE_WORKER_PASSWORD", "hunter2"),
        ]);
        let roles = RolesConfig::read(&env).unwrap();
        assert!(roles.viewer.is_none() && roles.control.is_none());
        assert!(!format!("{roles:?}").contains("hunter2"), "{roles:?}");
        for bad in ["pg_x", "1a", "a\"b", "A", &"a".repeat(64)] {
            assert!(RoleName::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_password_without_a_role_or_out_of_ascii_is_refused_unseen() {
        for pairs in [
            vec![("DATABASE_ROLE_VIEWER_PASSWORD", "hunter2")],
            vec![("DATABASE_ROLE_VIEWER", "v"), ("DATABASE_ROLE_VIEWER_PASSWORD", "hunter2\u{e9}")],
        ] {
            let problem = RolesConfig::read(&Env::from_pairs(pairs)).unwrap_err().to_string();
            assert!(problem.contains("DATABASE_ROLE_VIEWER"), "{problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn time_outs_have_defaults_and_bounds() {
        let url = ("DATABASE_URL", "postgres://p@h/d");
        let config = DatabaseConfig::read(&Env::from_pairs([url])).unwrap();
        assert_eq!(config.statement_timeout, Duration::from_secs(5));
        let env = Env::from_pairs([url, ("DATABASE_STATEMENT_TIMEOUT_MS", "0")]);
        assert!(DatabaseConfig::read(&env).is_err());
    }
}
