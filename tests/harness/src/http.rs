//! A small HTTP client for tests and the demo: loopback only, every request bounded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

/// The client. Cloning it shares its connections.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    token: Option<Arc<str>>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    /// # Errors
    /// When no TLS provider can be installed.
    pub fn new() -> Result<Self> {
        Self::with_names(&[], SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// One for whom the host names are at `address`, whatever DNS says.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn with_names(names: &[&str], address: SocketAddr) -> Result<Self> {
        // A second installation in the same process fails, and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(10));
        for name in names {
            client = client.resolve(name, address);
        }
        let client = client.build().context("building the HTTP client")?;
        Ok(Self { client, token: None })
    }

    /// The same one, with a token in every request.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { client: self.client.clone(), token: Some(token.into()) }
    }

    /// Status and body of a GET.
    ///
    /// # Errors
    /// When there is no answer in time.
    pub async fn get(&self, url: &str) -> Result<(StatusCode, Bytes)> {
        let mut request = self.client.get(url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.with_context(|| format!("GET {url}"))?;
        let status = response.status();
        let body = response.bytes().await.with_context(|| format!("body of {url}"))?;
        Ok((status, body))
    }

    /// Body of a GET that must succeed.
    ///
    /// # Errors
    /// When there is no answer in time, or another status than 2xx.
    pub async fn bytes(&self, url: &str) -> Result<Bytes> {
        let (status, body) = self.get(url).await?;
        if !status.is_success() {
            let said: String = String::from_utf8_lossy(&body).chars().take(200).collect();
            bail!("GET {url}: {status}: {said}");
        }
        Ok(body)
    }

    /// Text of a GET that must succeed.
    ///
    /// # Errors
    /// As [`Http::bytes`].
    pub async fn text(&self, url: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.bytes(url).await?).into_owned())
    }

    /// JSON of a GET that must succeed.
    ///
    /// # Errors
    /// As [`Http::bytes`], and when the body is not a `T`.
    pub async fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T> {
        let body = self.bytes(url).await?;
        serde_json::from_slice(&body).with_context(|| format!("JSON of {url}"))
    }
}

/// Tries until it works.
///
/// # Errors
/// The last try's error, when `limit` has passed.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => {
                return Err(error.context(format!("{what}: not within {} s", limit.as_secs())));
            }
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}
