//! A door to the API server: a proxy between one program and it, through which a test refuses
//! chosen requests, ends watches and slows all down. What it is not told about it passes on.
//!
//! It speaks TLS with the API server's own certificate, so that a kubeconfig only needs its URL.

mod answer;
mod asked;
mod serve;

use std::collections::HashSet;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use super::Cluster;
pub use answer::Refusal;
pub use asked::Asked;
use serve::TlsListener;

/// Watches that may end at once without one that misses it.
const ENDS: usize = 64;

/// An open door. Dropped, it takes no new connections.
pub struct Door {
    url: String,
    inside: Arc<Inside>,
    serving: JoinHandle<()>,
}

/// Which requests a refusal is for.
type Which = Box<dyn FnMut(&Asked) -> bool + Send>;

struct Inside {
    server: String,
    client: reqwest::Client,
    rules: Mutex<Vec<(Which, Refusal)>>,
    asked: Mutex<Vec<Asked>>,
    delay: Mutex<Duration>,
    ends: broadcast::Sender<(String, Refusal)>,
    hushed: Mutex<HashSet<String>>,
}

impl Cluster {
    /// Opens a door to this API server.
    ///
    /// # Errors
    /// When its certificates cannot be read or no port be had.
    pub async fn door(&self) -> Result<Door> {
        // A second installation in the same process fails, and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let file = |name: &str| {
            let path = self.folder.join("pki").join(name);
            fs::read(&path).with_context(|| format!("reading {}", path.display()))
        };
        let ca = reqwest::Certificate::from_pem(&file("ca.crt")?)?;
        let client = reqwest::Client::builder().no_proxy().http1_only().tls_certs_only([ca]);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("https://{}", listener.local_addr()?);
        let inside = Arc::new(Inside {
            server: self.url(),
            client: client.build()?,
            rules: Mutex::default(),
            asked: Mutex::default(),
            delay: Mutex::default(),
            ends: broadcast::channel(ENDS).0,
            hushed: Mutex::default(),
        });
        let (chain, key) = (file("kube-apiserver.crt")?, file("kube-apiserver.key")?);
        let listener = TlsListener::new(listener, &chain, &key)?;
        let serving = tokio::spawn(serve::run(listener, Arc::clone(&inside)));
        Ok(Door { url, inside, serving })
    }
}

impl Door {
    /// `https://127.0.0.1:port`, for the kubeconfig of whoever is to go through it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on, answers requests of which `which` is true in the API server's place. Of several
    /// rules that are true the first counts.
    pub fn refuse(&self, refusal: Refusal, which: impl FnMut(&Asked) -> bool + Send + 'static) {
        lock(&self.inside.rules).push((Box::new(which), refusal));
    }

    /// Refuses nothing any more.
    pub fn refuse_nothing(&self) {
        lock(&self.inside.rules).clear();
    }

    /// From now on, every request and every piece of an answer takes so much longer.
    pub fn slow_down(&self, delay: Duration) {
        *lock(&self.inside.delay) = delay;
    }

    /// Ends all watches of a resource with an ERROR event, as the API server does when it has
    /// forgotten what they have not seen yet. Returns how many there are at most.
    pub fn end_watches(&self, resource: &str, refusal: Refusal) -> usize {
        self.inside.ends.send((resource.to_owned(), refusal)).unwrap_or_default()
    }

    /// From now on, new watches of a resource are taken, and nothing comes of them.
    pub fn hush(&self, resource: &str) {
        lock(&self.inside.hushed).insert(resource.to_owned());
    }

    /// New watches are passed on again.
    pub fn hush_nothing(&self) {
        lock(&self.inside.hushed).clear();
    }

    /// What was asked through it so far, refused or not, oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.inside.asked).clone()
    }

    /// Forgets what was asked.
    pub fn forget(&self) {
        lock(&self.inside.asked).clear();
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Inside {
    /// Notes what is asked, and says how it is refused, if it is.
    fn judge(&self, mut asked: Asked) -> Option<Refusal> {
        let mut rules = lock(&self.rules);
        let rule = rules.iter_mut().find_map(|(which, refusal)| which(&asked).then_some(*refusal));
        asked.refused = rule.map(|refusal| refusal.code);
        lock(&self.asked).push(asked);
        rule
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
