//! Volumes of a pod as folders of the host.
//!
//! A process sees the whole file system, so nothing can be put at a mount's
//! path: the folder is elsewhere, and literals of the environment that begin
//! with the path are rewritten to it. What can't be done so is refused by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, Secret, Volume};

use super::pods::{Unrunnable, known_fields};
use super::state::StateDir;

/// Entries of Secrets by name, for volumes.
pub(super) type Files = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// A Secret's entries, under its name.
pub(super) fn files(secrets: impl IntoIterator<Item = Secret>) -> Files {
    let entries = |secret: Secret| {
        let data = secret.data.unwrap_or_default().into_iter();
        (secret.metadata.name.unwrap_or_default(), data.map(|(k, v)| (k, v.0)).collect())
    };
    secrets.into_iter().map(entries).collect()
}

/// Where the mounts of a container really are.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// Path in the container, folder of the host.
    folders: Vec<(String, PathBuf)>,
}

impl Mounts {
    /// Makes the folders, anew.
    pub(super) fn make(
        process: &str,
        pod: &PodSpec,
        container: &Container,
        secrets: &Files,
        state: &StateDir,
    ) -> Result<Self, Unrunnable> {
        let mut mounts = Self::default();
        for mount in container.volume_mounts.iter().flatten() {
            let field = format!("volumeMounts[{}]", mount.name);
            known_fields(process, &field, mount, &["mountPath", "name", "readOnly"])?;
            let volume = pod.volumes.iter().flatten().find(|volume| volume.name == mount.name);
            let volume = volume.ok_or_else(|| unsupported(process, &format!("{field}.name")))?;
            let folder = folder(process, volume, secrets, state)?;
            mounts.folders.push((mount.mount_path.trim_end_matches('/').to_owned(), folder));
        }
        // The path of a mount inside another's comes first.
        mounts.folders.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Ok(mounts)
    }

    /// The variables, with the paths of the host.
    pub(super) fn rewrite(&self, process: &str, env: &[EnvVar]) -> Result<Vec<EnvVar>, Unrunnable> {
        let rewritten = |variable: &EnvVar| {
            let mut variable = variable.clone();
            if let Some(value) = &mut variable.value {
                let field = format!("env[{}], a mounted path inside its value", variable.name);
                *value = self.path(value).ok_or_else(|| unsupported(process, &field))?;
            }
            Ok(variable)
        };
        env.iter().map(rewritten).collect()
    }

    /// The command line is not rewritten.
    pub(super) fn check(&self, process: &str, container: &Container) -> Result<(), Unrunnable> {
        let mut words = container.command.iter().chain(&container.args).flatten();
        match words.find(|word| self.mentions(word)) {
            Some(word) => Err(unsupported(process, &format!("a mounted path in {word:?}"))),
            None => Ok(()),
        }
    }

    /// None if it holds a mounted path elsewhere than at its beginning.
    fn path(&self, value: &str) -> Option<String> {
        for (path, folder) in &self.folders {
            let Some(rest) = value.strip_prefix(path.as_str()) else { continue };
            if (rest.is_empty() || rest.starts_with('/')) && !self.mentions(rest) {
                return Some(format!("{}{rest}", folder.display()));
            }
        }
        (!self.mentions(value)).then(|| value.to_owned())
    }

    fn mentions(&self, text: &str) -> bool {
        self.folders.iter().any(|(path, _)| text.contains(path.as_str()))
    }
}

fn folder(
    process: &str,
    volume: &Volume,
    secrets: &Files,
    state: &StateDir,
) -> Result<PathBuf, Unrunnable> {
    let field = format!("volumes[{}]", volume.name);
    known_fields(process, &field, volume, &["emptyDir", "name", "secret"])?;
    let nothing = BTreeMap::new();
    let entries = match (&volume.secret, &volume.empty_dir) {
        (Some(secret), None) => {
            let field = format!("{field}.secret");
            known_fields(process, &field, secret, &["defaultMode", "optional", "secretName"])?;
            let name = secret.secret_name.as_deref().unwrap_or_default();
            match secrets.get(name) {
                Some(entries) => entries,
                None if secret.optional == Some(true) => &nothing,
                None => {
                    let (name, process) = (name.to_owned(), process.to_owned());
                    return Err(Unrunnable::NoSecret { process, name });
                }
            }
        }
        (None, Some(_)) => &nothing,
        _ => return Err(unsupported(process, &field)),
    };
    let failed = |source| Unrunnable::Volume { process: process.to_owned(), source };
    state.volume(Path::new(process), &volume.name, entries).map_err(failed)
}

fn unsupported(process: &str, field: &str) -> Unrunnable {
    Unrunnable::Unsupported { name: process.to_owned(), field: field.to_owned() }
}

#[cfg(test)]
mod tests;
