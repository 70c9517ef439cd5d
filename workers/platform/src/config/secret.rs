//! Values that must not be shown.

use std::fmt;

use url::Url;

use super::setting::Setting;

/// A secret text. `Debug` hides it and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that hands it to a server.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Setting for Secret {
    const EXPECTED: &'static str = "a secret";
    const SECRET: bool = true;
    fn parse(text: &str) -> Option<Self> {
        Some(Self::new(text))
    }
}

/// The URL of a server, which may hold a password. `Display` and `Debug` show
/// it without password and query.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceUrl(Url);

impl ServiceUrl {
    /// The whole URL with its password, for the client that connects.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// For example `redis`.
    pub fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// The path without its leading slash.
    pub fn path(&self) -> &str {
        self.0.path().trim_start_matches('/')
    }

    /// Whether its query has an option of this name.
    pub fn names(&self, option: &str) -> bool {
        self.0.query_pairs().any(|(name, _)| name == option)
    }

    /// The same server, another path.
    #[must_use]
    pub fn with_path(&self, path: &str) -> Self {
        let mut url = self.0.clone();
        url.set_path(path);
        Self(url)
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        // A URL that can't have a password has none.
        let _ = shown.set_password(None);
        shown.set_query(None);
        shown.set_fragment(None);
        f.write_str(shown.as_str())
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceUrl({self})")
    }
}

impl Setting for ServiceUrl {
    const EXPECTED: &'static str = "a URL";
    const SECRET: bool = true;
    fn parse(text: &str) -> Option<Self> {
        Url::parse(text).ok().map(Self)
    }
}

impl ServiceUrl {
    /// From a text.
    pub fn parse(text: &str) -> Option<Self> {
        <Self as Setting>::parse(text)
    }
}
