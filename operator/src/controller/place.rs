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
        let namespaces = env.text("WATCH_NAMESPACES").map(|list| {
            list.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect()
        });
        Ok(Self {
            namespaces: namespaces.filter(|list: &Vec<String>| !list.is_empty()),
            own_namespace: own_namespace?,
            identity: identity?.unwrap_or_else(|| format!("operator-{}", uuid::Uuid::new_v4())),
        })
    }
}
