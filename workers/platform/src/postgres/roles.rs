//! The roles the programs log in with, each with only what it needs.
//!
//! Written after the migrations, each time: what a role could do before and
//! needs no more is taken away in the same transaction. A role may be there
//! already, made by whoever; whoever migrates owns the tables and gives.

mod grants;

use std::time::Duration;

use sqlx::{ConnectOptions, Connection, PgConnection};

use super::migrate::{MigrateError, while_it_answers};
use super::{DatabaseError, options, scram};
use crate::backoff::Backoff;
use crate::config::{DatabaseConfig, RoleConfig, RolesConfig};
use grants::Grants;

/// Tries while another migration, perhaps of another database, changes the
/// same roles.
const TRIES: u32 = 8;

/// Makes the roles that are named and gives each what it needs.
///
/// # Errors
/// [`MigrateError::Role`] for a role to which grants would mean nothing;
/// `Denied` when whoever migrates may not make roles: make them yourself, and
/// set no passwords here.
pub async fn grant_roles(config: &DatabaseConfig, roles: &RolesConfig) -> Result<(), MigrateError> {
    let named = [
        (&roles.control, grants::CONTROL),
        (&roles.worker, grants::WORKER),
        (&roles.viewer, grants::VIEWER),
    ];
    let named: Vec<_> =
        named.into_iter().filter_map(|(role, grants)| Some((role.as_ref()?, grants))).collect();
    if named.is_empty() {
        return Ok(());
    }
    while_it_answers(config, grant(config, &named)).await
}

async fn grant(
    config: &DatabaseConfig,
    named: &[(&RoleConfig, Grants)],
) -> Result<(), MigrateError> {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
    loop {
        match try_grant(config, named).await {
            Err(GrantError::Statement(error))
                if is_race(&error) && backoff.attempts() + 1 < TRIES =>
            {
                backoff.wait().await;
            }
            Err(GrantError::Statement(error)) => {
                let server = config.url.to_string();
                return Err(DatabaseError::new("give the roles".to_owned(), server, error).into());
            }
            Err(GrantError::Refused(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
}

enum GrantError {
    Statement(sqlx::Error),
    Refused(MigrateError),
}

impl From<sqlx::Error> for GrantError {
    fn from(error: sqlx::Error) -> Self {
        Self::Statement(error)
    }
}

async fn try_grant(
    config: &DatabaseConfig,
    roles: &[(&RoleConfig, Grants)],
) -> Result<(), GrantError> {
    // A statement with a verifier in it must not be logged.
    let options =
        options(config).map_err(|e| GrantError::Refused(e.into()))?.disable_statement_logging();
    let mut connection = options.connect().await?;
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('millrace roles', 0))")
        .execute(&mut *transaction)
        .await?;
    for (role, _) in roles {
        make(&mut transaction, role).await?;
    }
    // All of it before any of it is given: one role may stand for several.
    for (role, _) in roles {
        for statement in grants::REVOKE {
            run(&mut transaction, statement, role).await?;
        }
    }
    for (role, grants) in roles {
        for statement in grants::EVERYBODY.iter().chain(*grants) {
            run(&mut transaction, statement, role).await?;
        }
    }
    transaction.commit().await?;
    for (role, _) in roles {
        tracing::info!(role = %role.name, "granted");
    }
    Ok(())
}

/// Makes the role or gives it its password.
async fn make(connection: &mut PgConnection, role: &RoleConfig) -> Result<(), GrantError> {
    // Not macros: catalogues of the server, not of the schema.
    let found: Option<(bool, bool, bool, bool)> = sqlx::query_as(
        "SELECT rolsuper, rolname = current_user,
                EXISTS (SELECT FROM pg_class c
                        WHERE c.relnamespace = current_schema()::regnamespace
                          AND pg_has_role(role.oid, c.relowner, 'MEMBER')),
                EXISTS (SELECT FROM pg_roles every
                        WHERE every.rolname IN ('pg_read_all_data', 'pg_write_all_data')
                          AND pg_has_role(role.oid, every.oid, 'MEMBER'))
         FROM pg_roles role WHERE rolname = $1",
    )
    .bind(role.name.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let refuse = |why| {
        let role = role.name.to_string();
        Err(GrantError::Refused(MigrateError::Role { role, why }))
    };
    match found {
        Some((true, ..)) => return refuse("is a superuser"),
        Some((_, true, ..)) => return refuse("is the one that migrates"),
        Some((_, _, true, _)) => return refuse("owns tables, or is a member of who does"),
        Some((.., true)) => return refuse("may read or write all data"),
        Some(_) if role.password.is_none() => return Ok(()),
        _ => {}
    }
    let verb = if found.is_some() { "ALTER" } else { "CREATE" };
    let password = role.password.as_ref().map_or_else(String::new, |password| {
        format!(" PASSWORD '{}'", scram::verifier(password.expose(), rand::random()))
    });
    run(connection, &format!("{verb} ROLE {{role}} LOGIN{password}"), role).await?;
    Ok(())
}

/// A statement about a role. Its name needs no escape in quotes, and a
/// verifier none in apostrophes.
async fn run(
    connection: &mut PgConnection,
    statement: &str,
    role: &RoleConfig,
) -> Result<(), sqlx::Error> {
    let statement = statement.replace("{role}", &format!("\"{}\"", role.name));
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(connection).await.map(drop)
}

/// Another changes the same role: the catalogue says so in three ways.
fn is_race(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(db) = error else { return false };
    match db.code().as_deref() {
        Some("23505" | "42710" | "40P01") => true,
        Some("XX000") => db.message().contains("concurrently"),
        _ => false,
    }
}
