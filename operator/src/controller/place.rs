//! Where the operator is, and which LiveStreams are its own.

use millrace_platform::config::{ConfigError, Env};

/// Where the operator is, and which LiveStreams are its own.
#[derive(Debug, Clone)]
pub struct Place {
    /// Namespaces whose LiveStreams are looked after; none is all of them.
    pub namespaces: Option<Vec<String>>,
    /// Where the operator's own Lease is.
    pub own_namespace: String,
    /// Which replica this is.
    pub identity: String,
}

impl Place {
    /// Read it.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let own_namespace = env.or("POD_NAMESPACE", "millrace".to_owned());
        let identity = env.optional::<String>("POD_NAME");
        let namespaces = list(env, "WATCH_NAMESPACES");
        Ok(Self {
            namespaces: (!namespaces.is_empty()).then_some(namespaces),
            own_namespace: own_namespace?,
            identity: identity?.unwrap_or_else(|| format!("operator-{}", uuid::Uuid::new_v4())),
        })
    }
}

/// What stands between commas.
pub(super) fn list(env: &Env, name: &str) -> Vec<String> {
    let text = env.text(name).unwrap_or_default();
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}
