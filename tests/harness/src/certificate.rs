//! Certificates for 127.0.0.1, made by openssl, and folders that show them as Kubernetes does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A certificate that signs itself, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// `tls.crt`.
    pub certificate: String,
    /// `tls.key`.
    pub key: String,
}

impl Certificate {
    /// A new one, good for so many days.
    ///
    /// # Errors
    /// When openssl makes none.
    pub fn new(days: u32) -> Result<Self> {
        let folder = tempfile::tempdir().context("a folder for a certificate")?;
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", &days.to_string(), "-subj", "/CN=millrace test"])
            .args(["-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .context("running openssl")?;
        if !output.status.success() {
            bail!("openssl: {}", String::from_utf8_lossy(&output.stderr));
        }
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
        };
        Ok(Self { certificate: read(&certificate)?, key: read(&key)? })
    }
}

/// A folder with `tls.crt` and `tls.key`, both swapped at once as the kubelet swaps those of a
/// Secret: they are links through the link `..data`.
#[derive(Debug)]
pub struct Mount {
    folder: tempfile::TempDir,
    version: u32,
}

impl Mount {
    /// One that shows this.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(certificate: &Certificate) -> Result<Self> {
        let folder = tempfile::tempdir().context("a folder for a mount")?;
        let mut mount = Self { folder, version: 0 };
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), mount.path(name))?;
        }
        mount.show(&certificate.certificate, &certificate.key)?;
        Ok(mount)
    }

    /// Shows these two texts from now on.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn show(&mut self, certificate: &str, key: &str) -> Result<()> {
        self.version += 1;
        let name = format!("..{}", self.version);
        fs::create_dir(self.path(&name))?;
        fs::write(self.path(&name).join("tls.crt"), certificate)?;
        fs::write(self.path(&name).join("tls.key"), key)?;
        symlink(&name, self.path("..data_tmp"))?;
        Ok(fs::rename(self.path("..data_tmp"), self.path("..data"))?)
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
