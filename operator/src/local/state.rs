//! What must outlive a run of `local`: each stream's UID and its publish-key
//! Secret, and a token of the API, as plain files.
//!
//! ```text
//! <state>/streams/<namespace>.<name>/uid
//! <state>/streams/<namespace>.<name>/publish-keys.yaml   (mode 0600)
//! <state>/api-token                                      (mode 0600)
//! <state>/volumes/<process>/<volume>/…                   (mode 0600, of the last run)
//! <state>/media/                                          (without OBJECT_STORE_URL)
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Secret;
use millrace_platform::tokens::ApiToken;

/// A file of the state that can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}", path.display())]
pub struct StateError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// The directory that holds it.
#[derive(Debug, Clone)]
pub(super) struct StateDir(PathBuf);

impl StateDir {
    /// Open it, making it if it is not there; only its owner may look in.
    pub(super) fn open(path: &Path) -> Result<Self, StateError> {
        let err = |source| error("can't make the state directory", path, source);
        let path = std::path::absolute(path).map_err(err)?;
        make_private(&path).map_err(err)?;
        Ok(Self(path))
    }

    /// Where it is, absolute.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The UID of a stream, made up the first time.
    pub(super) fn uid(&self, namespace: &str, name: &str) -> Result<String, StateError> {
        let path = self.stream(namespace, name)?.join("uid");
        match fs::read_to_string(&path) {
            Ok(uid) => Ok(uid.trim().to_owned()),
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                let uid = uuid::Uuid::new_v4().to_string();
                write_private(&path, uid.as_bytes())?;
                Ok(uid)
            }
            Err(source) => Err(error("can't read", &path, source)),
        }
    }

    /// The stream's Secret, if it has one.
    pub(super) fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, StateError> {
        let path = self.stream(namespace, name)?.join("publish-keys.yaml");
        match fs::read_to_string(&path) {
            Ok(text) => serde_yaml::from_str(&text)
                .map(Some)
                .map_err(|source| error("can't read", &path, source)),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(error("can't read", &path, source)),
        }
    }

    /// The token of the API, made up the first time.
    pub(super) fn api_token(&self) -> Result<ApiToken, StateError> {
        let path = self.0.join("api-token");
        let kept = match fs::read_to_string(&path) {
            Ok(text) => ApiToken::parse(text.trim()),
            Err(source) if source.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(error("can't read", &path, source)),
        };
        if let Some(token) = kept {
            return Ok(token);
        }
        let token = ApiToken::generate(&mut rand::rng());
        write_private(&path, token.reveal().as_bytes())?;
        Ok(token)
    }

    /// Keep the stream's Secret.
    pub(super) fn keep_secret(
        &self,
        namespace: &str,
        name: &str,
        secret: &Secret,
    ) -> Result<(), StateError> {
        let path = self.stream(namespace, name)?.join("publish-keys.yaml");
        let text =
            serde_yaml::to_string(secret).map_err(|source| error("can't write", &path, source))?;
        write_private(&path, text.as_bytes())
    }

    /// The folder that is a process's volume, with these files and no others.
    pub(super) fn volume(
        &self,
        process: &Path,
        name: &str,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<PathBuf, StateError> {
        let path = self.0.join("volumes").join(process).join(name);
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(error("can't empty", &path, source));
            }
            _ => {}
        }
        make_private(&path).map_err(|source| error("can't make the volume", &path, source))?;
        for (name, bytes) in files {
            write_private(&path.join(name), bytes)?;
        }
        Ok(path)
    }

    fn stream(&self, namespace: &str, name: &str) -> Result<PathBuf, StateError> {
        let path = self.0.join("streams").join(format!("{namespace}.{name}"));
        make_private(&path)
            .map_err(|source| error("can't make the state directory", &path, source))?;
        Ok(path)
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Whole or not at all, and for its owner only.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let write = || {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|source| error("can't write", path, source))
}

fn error(
    what: &'static str,
    path: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StateError {
    StateError { what, path: path.to_owned(), source: source.into() }
}
