//! The object store: S3, or a directory.
//!
//! Paths are those of [`names::objects`](crate::names::objects); the prefix of
//! the bucket's URL and of the installation are added here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    RetryConfig,
};

use crate::backoff::Backoff;
use crate::config::{Installation, StoreConfig};

/// Longest single request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest operation, its retries with it.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(25);
/// Objects deleted at once.
const DELETIONS: usize = 16;
/// Retries of a request that failed in a way that may heal.
const RETRIES: u32 = 3;

/// A request to the object store that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store can't be used at all.
    #[error("open the object store {url}")]
    Open {
        /// Where it is.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An operation failed, its retries too.
    #[error("{what} in the object store {url}")]
    Failed {
        /// What was attempted on what.
        what: String,
        /// Where it is.
        url: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// An operation took too long.
    #[error("{what} in the object store {url} took longer than {seconds} s")]
    Late {
        /// What was attempted on what.
        what: String,
        /// Where it is.
        url: String,
        /// The bound.
        seconds: u64,
    },
}

impl StoreError {
    /// In a few words for everybody: the kind of failure, and the HTTP status if
    /// there was one. What a server says besides may tell its secrets.
    pub fn brief(&self) -> String {
        let source = match self {
            Self::Open { .. } => return "can't be opened".to_owned(),
            Self::Late { seconds, .. } => return format!("no answer within {seconds} s"),
            Self::Failed { source, .. } => source,
        };
        let kind = match source {
            object_store::Error::NotFound { .. } => "not found",
            object_store::Error::AlreadyExists { .. } => "already there",
            object_store::Error::Precondition { .. } => "precondition failed",
            object_store::Error::PermissionDenied { .. } => "permission denied",
            object_store::Error::Unauthenticated { .. } => "not authenticated",
            _ => "failed",
        };
        status(source).map_or_else(|| kind.to_owned(), |status| format!("{kind}: HTTP {status}"))
    }
}

/// The HTTP status in an error's text, which has it nowhere else.
fn status(error: &object_store::Error) -> Option<u16> {
    let text = error.to_string();
    let (_, after) = text.split_once("non-2xx status code: ")?;
    after.get(..3)?.parse().ok()
}

/// How a conditional create went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The object is ours.
    Created,
    /// There was one already; it is untouched.
    AlreadyThere,
}

/// What an object holds after a conditional create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adopted {
    /// Our bytes.
    Ours,
    /// Somebody else's.
    Theirs(Bytes),
}

/// The store. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    root: Path,
    url: String,
}

impl Store {
    /// Opens the store. A directory is made if it is missing; S3 is not asked.
    /// S3 over TLS needs [`tls::install_provider`](crate::tls::install_provider)
    /// first.
    pub fn open(config: &StoreConfig, installation: &Installation) -> Result<Self, StoreError> {
        let (store, prefix, url): (Arc<dyn ObjectStore>, &str, String) =
            match config {
                StoreConfig::Directory(directory) => {
                    let url = format!("file://{}", directory.display());
                    let error = |source: Box<dyn std::error::Error + Send + Sync>| {
                        StoreError::Open { url: url.clone(), source }
                    };
                    std::fs::create_dir_all(directory).map_err(|e| error(e.into()))?;
                    let store =
                        LocalFileSystem::new_with_prefix(directory).map_err(|e| error(e.into()))?;
                    (Arc::new(store), "", url)
                }
                StoreConfig::S3 { bucket, prefix, ca_file, .. } => {
                    let url = format!("s3://{bucket}/{prefix}");
                    let error = |source: Box<dyn std::error::Error + Send + Sync>| {
                        StoreError::Open { url: url.clone(), source }
                    };
                    let trusted = ca_file.as_deref().map_or(Ok(Vec::new()), certificates);
                    let store = s3(config, trusted.map_err(error)?).map_err(|e| error(e.into()))?;
                    (Arc::new(store), prefix, url)
                }
            };
        let root = Path::from(format!("{prefix}/{}", installation.as_str()));
        Ok(Self { objects: store, root, url })
    }

    /// Where it is, for messages.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Creates an object only if there is none.
    ///
    /// After a lost answer a retry finds its own object and says
    /// [`Created::AlreadyThere`]; where that matters, use [`Store::adopt`] or
    /// bytes that say whose they are.
    pub async fn create(&self, path: &str, bytes: Bytes) -> Result<Created, StoreError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let location = self.location(path);
        let put = || {
            async {
                match self.objects.put_opts(&location, bytes.clone().into(), options.clone()).await
                {
                    Ok(_) => Ok(Created::Created),
                    Err(object_store::Error::AlreadyExists { .. }) => Ok(Created::AlreadyThere),
                    Err(error) => Err(error),
                }
            }
            .boxed()
        };
        self.retry(|| format!("create {path}"), put).await
    }

    /// Creates an object only if there is none, and says what it holds then.
    pub async fn adopt(&self, path: &str, bytes: Bytes) -> Result<Adopted, StoreError> {
        if self.create(path, bytes.clone()).await? == Created::Created {
            return Ok(Adopted::Ours);
        }
        match self.get(path).await? {
            Some(theirs) if theirs != bytes => Ok(Adopted::Theirs(theirs)),
            // Gone again: whoever deletes broadcasts was here. Ours is as good.
            _ => Ok(Adopted::Ours),
        }
    }

    /// Creates or replaces an object.
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        let location = self.location(path);
        let put =
            || async { self.objects.put(&location, bytes.clone().into()).await.map(drop) }.boxed();
        self.retry(|| format!("write {path}"), put).await
    }

    /// The object, if there is one.
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>, StoreError> {
        let location = self.location(path);
        let get = || {
            async {
                match self.objects.get(&location).await {
                    Ok(found) => found.bytes().await.map(Some),
                    Err(object_store::Error::NotFound { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            .boxed()
        };
        self.retry(|| format!("read {path}"), get).await
    }

    /// The paths of all objects below this one, in order.
    pub async fn list(&self, path: &str) -> Result<Vec<String>, StoreError> {
        let location = self.location(path);
        let list = || self.objects.list(Some(&location)).try_collect::<Vec<_>>().boxed();
        let found = self.retry(|| format!("list {path}"), list).await?;
        let below = |location: &Path| {
            let parts = location.prefix_match(&self.root)?;
            Some(parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
        };
        let mut paths: Vec<_> = found.iter().filter_map(|meta| below(&meta.location)).collect();
        paths.sort();
        Ok(paths)
    }

    /// The names of the folders right below this one, in order.
    pub async fn folders(&self, path: &str) -> Result<Vec<String>, StoreError> {
        let location = self.location(path);
        let list = || self.objects.list_with_delimiter(Some(&location));
        let found = self.retry(|| format!("list the folders of {path}"), list).await?;
        let name = |folder: &Path| folder.parts().next_back().map(|p| p.as_ref().to_owned());
        let mut names: Vec<_> = found.common_prefixes.iter().filter_map(name).collect();
        names.sort();
        Ok(names)
    }

    /// Deletes an object; none is fine.
    pub async fn delete(&self, path: &str) -> Result<(), StoreError> {
        let location = self.location(path);
        let delete = || {
            async {
                match self.objects.delete(&location).await {
                    Err(object_store::Error::NotFound { .. }) => Ok(()),
                    other => other,
                }
            }
            .boxed()
        };
        self.retry(|| format!("delete {path}"), delete).await
    }

    /// Deletes all objects below this path, some at a time; says how many there
    /// were. What is deleted before a failure is gone.
    pub async fn delete_below(&self, path: &str) -> Result<usize, StoreError> {
        let paths = self.list(path).await?;
        let number = paths.len();
        // Paths are given away: of borrowed ones the compiler can't see that
        // the future may move between threads.
        let mut deletions = futures::stream::iter(paths)
            .map(|path| async move { self.delete(&path).await })
            .buffer_unordered(DELETIONS);
        while let Some(done) = deletions.next().await {
            done?;
        }
        Ok(number)
    }

    fn location(&self, path: &str) -> Path {
        self.root.parts().chain(&Path::from(path)).collect()
    }

    /// S3's client retries by itself; a directory on a network volume doesn't.
    ///
    /// The work is boxed: the compiler can't see that an async closure's future
    /// may move between threads.
    async fn retry<'a, T>(
        &self,
        what: impl Fn() -> String,
        work: impl Fn() -> BoxFuture<'a, Result<T, object_store::Error>>,
    ) -> Result<T, StoreError> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let attempts = async {
            loop {
                match work().await {
                    Err(error) if may_heal(&error) && backoff.attempts() < RETRIES => {
                        tracing::debug!(what = what(), %error, "trying again");
                        backoff.wait().await;
                    }
                    other => return other,
                }
            }
        };
        match tokio::time::timeout(TOTAL_TIMEOUT, attempts).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(source)) => {
                Err(StoreError::Failed { what: what(), url: self.url.clone(), source })
            }
            Err(_) => {
                let seconds = TOTAL_TIMEOUT.as_secs();
                Err(StoreError::Late { what: what(), url: self.url.clone(), seconds })
            }
        }
    }
}

fn may_heal(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::Generic { .. })
}

/// Those of a PEM file; the error names it.
fn certificates(
    file: &std::path::Path,
) -> Result<Vec<Certificate>, Box<dyn std::error::Error + Send + Sync>> {
    let pem = std::fs::read(file).map_err(|e| format!("S3_CA_FILE {}: {e}", file.display()))?;
    let found = Certificate::from_pem_bundle(&pem)?;
    if found.is_empty() {
        return Err(format!("S3_CA_FILE {}: no certificate in it", file.display()).into());
    }
    Ok(found)
}

fn s3(
    config: &StoreConfig,
    trusted: Vec<Certificate>,
) -> Result<impl ObjectStore + use<>, object_store::Error> {
    let mut builder = AmazonS3Builder::new()
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(
            trusted
                .into_iter()
                .fold(ClientOptions::new(), ClientOptions::with_root_certificate)
                .with_timeout(REQUEST_TIMEOUT)
                .with_connect_timeout(Duration::from_secs(2)),
        )
        .with_retry(RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(50),
                max_backoff: Duration::from_secs(1),
                base: 2.0,
            },
            max_retries: 2,
            retry_timeout: REQUEST_TIMEOUT,
        });
    if let StoreConfig::S3 { bucket, endpoint, region, access_key_id, secret_access_key, .. } =
        config
    {
        builder = builder.with_bucket_name(bucket).with_region(region);
        if let Some(endpoint) = endpoint {
            let plain = endpoint.starts_with("http://");
            builder = builder.with_endpoint(endpoint).with_allow_http(plain);
        }
        if let (Some(id), Some(secret)) = (access_key_id, secret_access_key) {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret.expose());
        }
    }
    builder.build()
}

#[cfg(test)]
mod tests;
