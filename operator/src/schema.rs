//! Postgres's schema and roles, as this version needs them.

use std::time::Duration;

use futures::future::BoxFuture;
use millrace_platform::config::{DatabaseConfig, Env, Problem, RolesConfig};
use millrace_platform::postgres::{self, MigrateError};
use tracing::warn;

/// Whoever owns the schema, and the roles that get their rights.
#[derive(Debug, Clone)]
pub struct Schema {
    config: DatabaseConfig,
    roles: RolesConfig,
}

impl Schema {
    /// From the environment; `variable` has the owner's URL.
    pub fn read(env: &Env, variable: &str) -> Result<Self, Problem> {
        let config = DatabaseConfig::read_as(env, variable);
        let roles = RolesConfig::read(env);
        Ok(Self { config: config?, roles: roles? })
    }

    /// Migrates, and makes the roles. Waits up to `patience` for the server.
    ///
    /// # Errors
    /// See [`MigrateError`]; with `allow_newer` the schema of a newer version,
    /// and its roles, stay as they are.
    pub fn bring_up(
        &self,
        patience: Duration,
        allow_newer: bool,
    ) -> BoxFuture<'_, Result<(), MigrateError>> {
        Box::pin(async move {
            match postgres::migrate(&self.config, patience).await {
                // Its roles were given what the newer version needs.
                Err(error @ MigrateError::Newer { .. }) if allow_newer => {
                    warn!("{error}: left as it is");
                    return Ok(());
                }
                done => done?,
            }
            postgres::grant_roles(&self.config, &self.roles).await
        })
    }
}
