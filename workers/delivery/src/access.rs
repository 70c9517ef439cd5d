//! Who may watch what is not for everybody: the keys that sign tokens, read
//! again when their file changes, and the tokens that were seen to be right.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use millrace_platform::config::{ConfigError, Env};
use millrace_platform::playback::{Grant, Keys, NotAdmitted, PlaybackKey, Refused, Visit};
use millrace_platform::report::report;
use moka::future::Cache;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use crate::metrics::{DeniedLabels, Metrics};

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_secs(2);
/// Tokens remembered: those of so many viewers are checked by a look-up.
const MOST_SEEN: u64 = 100_000;

/// How tokens are checked, from the environment.
#[derive(Debug, Clone)]
pub struct PlaybackSettings {
    /// The JWK Set (`PLAYBACK_KEYS_FILE`); without it nobody watches what
    /// needs a token.
    pub keys: Option<PathBuf>,
    /// The longest that a token may live from now (`PLAYBACK_TOKEN_HOURS`).
    pub longest: Duration,
}

impl PlaybackSettings {
    /// Reads them.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let keys = env.optional("PLAYBACK_KEYS_FILE");
        let hours = env.within("PLAYBACK_TOKEN_HOURS", 24_u64, 1..=8_760);
        Ok(Self { keys: keys?, longest: Duration::from_secs(hours? * 60 * 60) })
    }
}

/// The check of tokens; clones share it.
#[derive(Debug, Clone)]
pub struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: Option<PathBuf>,
    longest: i64,
    metrics: Metrics,
    state: RwLock<State>,
}

/// The keys as last read, and what came of tokens since.
#[derive(Debug, Clone)]
struct State {
    keys: Option<Arc<Keys>>,
    /// Of the file whose text they are.
    digest: Option<Fingerprint>,
    seen: Cache<Fingerprint, Arc<Grant>>,
    /// Why the file as it is now is not in use.
    problem: Option<String>,
}

/// A hash, so that no token is kept.
type Fingerprint = [u8; 32];

/// Why somebody may not watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A token is needed, and there is no key to check one with.
    #[error("this stream is for those with a token, and this server has no keys to check one with")]
    NoKeys,
    /// A token is needed.
    #[error("this stream is for those with a token")]
    NoToken,
    /// The token counts for nothing.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The token is right, and not for this.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
}

impl Denied {
    /// Another token might do: 401, not 403.
    pub fn asks_for_token(self) -> bool {
        match self {
            Self::NoToken | Self::Refused(_) => true,
            Self::NotAdmitted(why) => {
                matches!(why, NotAdmitted::Over | NotAdmitted::Early | NotAdmitted::Long)
            }
            Self::NoKeys => false,
        }
    }

    /// `WWW-Authenticate` of a 401 (RFC 6750 §3).
    pub fn challenge(self) -> &'static str {
        match self {
            Self::NoToken => "Bearer",
            _ => "Bearer error=\"invalid_token\"",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::NoKeys => "no keys",
            Self::NoToken => "no token",
            Self::Refused(Refused::Malformed) => "malformed",
            Self::Refused(Refused::Key) => "unknown key",
            Self::Refused(Refused::Signature) => "signature",
            Self::NotAdmitted(NotAdmitted::Over) => "over",
            Self::NotAdmitted(NotAdmitted::Early) => "early",
            Self::NotAdmitted(NotAdmitted::Long) => "long",
            Self::NotAdmitted(NotAdmitted::Stream) => "stream",
            Self::NotAdmitted(NotAdmitted::Address) => "address",
            Self::NotAdmitted(NotAdmitted::Path) => "path",
        }
    }
}

impl Access {
    /// Reads the file once; [`watch`](Self::watch) reads it again.
    pub async fn open(settings: &PlaybackSettings, metrics: Metrics) -> Self {
        let longest = i64::try_from(settings.longest.as_secs()).unwrap_or(i64::MAX);
        let state = RwLock::new(State { keys: None, digest: None, seen: seen(), problem: None });
        let file = settings.keys.clone();
        let access = Self(Arc::new(Inner { file, longest, metrics, state }));
        access.look().await;
        access
    }

    /// Looks at the file until the shutdown.
    pub async fn watch(self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(PERIOD);
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            self.look().await;
        }
    }

    /// Takes the keys of the file if it changed. A file that is not right
    /// leaves those that are in use.
    async fn look(&self) {
        let Some(file) = &self.0.file else { return };
        let text = match read(file).await {
            Ok(text) => text,
            Err(error) => return self.keep(report(&error)),
        };
        let digest = fingerprint(&text);
        if self.state().digest == Some(digest) {
            return self.note(None);
        }
        match Keys::parse(&text) {
            Err(error) => self.keep(error.to_string()),
            Ok(keys) => {
                let count = keys.list().len();
                tracing::info!(keys = count, "playback keys read");
                self.0.metrics.playback_keys.set(i64::try_from(count).unwrap_or(i64::MAX));
                let keys = Some(Arc::new(keys));
                // What was right by the old ones is looked at again.
                let state = State { keys, digest: Some(digest), seen: seen(), problem: None };
                *self.0.state.write().unwrap_or_else(PoisonError::into_inner) = state;
                self.note(None);
            }
        }
    }

    fn keep(&self, problem: String) {
        if self.state().problem.as_ref() != Some(&problem) {
            tracing::warn!(problem, "playback keys not read; those before stay in use");
        }
        self.note(Some(problem));
    }

    fn note(&self, problem: Option<String>) {
        self.0.metrics.playback_keys_unread.set(i64::from(problem.is_some()));
        self.0.state.write().unwrap_or_else(PoisonError::into_inner).problem = problem;
    }

    fn state(&self) -> State {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is a file of keys.
    pub fn has_file(&self) -> bool {
        self.0.file.is_some()
    }

    /// Why the file as it is now is not in use.
    pub fn problem(&self) -> Option<String> {
        self.state().problem
    }

    /// The keys in use, without what is secret.
    pub fn keys(&self) -> Vec<PlaybackKey> {
        self.state().keys.map(|keys| keys.list()).unwrap_or_default()
    }

    /// Whether the token admits this visit; the end of the token's life,
    /// seconds since 1970, if it does.
    pub async fn admit(&self, token: Option<&str>, visit: &Visit<'_>) -> Result<i64, Denied> {
        let admitted = self.check(token, visit).await;
        if let Err(denied) = admitted {
            let reason = denied.label();
            self.0.metrics.denied.get_or_create(&DeniedLabels { reason }).inc();
        }
        admitted
    }

    async fn check(&self, token: Option<&str>, visit: &Visit<'_>) -> Result<i64, Denied> {
        let State { keys, seen, .. } = self.state();
        let keys = keys.ok_or(Denied::NoKeys)?;
        let token = token.ok_or(Denied::NoToken)?;
        let name = fingerprint(token.as_bytes());
        let grant = if let Some(grant) = seen.get(&name).await {
            grant
        } else {
            let grant = Arc::new(keys.verify(token)?);
            seen.insert(name, Arc::clone(&grant)).await;
            grant
        };
        grant.admits(visit, self.0.longest)?;
        Ok(grant.until)
    }
}

fn seen() -> Cache<Fingerprint, Arc<Grant>> {
    Cache::builder().max_capacity(MOST_SEEN).build()
}

fn fingerprint(bytes: &[u8]) -> Fingerprint {
    Sha256::digest(bytes).into()
}

/// The file, up to a byte more than is taken.
async fn read(file: &PathBuf) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = tokio::fs::File::open(file).await?;
    let most = u64::try_from(Keys::MOST_BYTES).unwrap_or(u64::MAX);
    file.take(most.saturating_add(1)).read_to_end(&mut text).await?;
    Ok(text)
}
