//! A token of the API for whoever runs `local`: kept in the state, and good
//! for everything.

use millrace_platform::config::{ConfigError, DatabaseConfig, Env, Installation};
use millrace_platform::postgres::Database;
use millrace_platform::postgres::tokens::{NewToken, Tokens};
use millrace_platform::tokens::{ApiToken, Scope, StreamPattern};

use super::plan::PlanError;
use super::state::StateDir;

/// The state's token, made the first time; its row, too.
pub(super) async fn make(env: &Env, state: &StateDir) -> Result<ApiToken, PlanError> {
    let config = DatabaseConfig::read(env).map_err(ConfigError::from)?;
    let installation = Installation::read(env).map_err(ConfigError::from)?;
    let database = Database::open(&config).map_err(|e| PlanError::External(e.into()))?;
    let token = state.api_token()?;
    let row = NewToken {
        name: "local".parse()?,
        scopes: Scope::ALL.into_iter().collect(),
        streams: [StreamPattern::All].into_iter().collect(),
        created_by: "millrace-operator local".to_owned(),
        expires_ms: None,
    };
    let tokens = Tokens::new(database, installation);
    tokens.insert(&row, token.hash()).await.map_err(|e| PlanError::External(e.into()))?;
    Ok(token)
}
