//! LiveStream manifests for tests, sized for a machine of two cores.

use std::fmt;

use crate::certificate::Certificate;

/// A manifest; its [`Display`](fmt::Display) is YAML.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// Name, height and kbit/s of each rung.
    pub ladder: Vec<(&'static str, u32, u32)>,
    /// `spec.ingest.reconnectWindow` in seconds.
    pub reconnect_window: u32,
    /// Viewers need a token.
    pub token: bool,
    /// How long parts and segments are, where not by default: `100ms`, `1s`.
    pub pieces: Option<(&'static str, &'static str)>,
    /// `spec.packaging.dvrWindow`, where not by default.
    pub dvr_window: Option<&'static str>,
    /// Transcoders at once.
    pub redundancy: u32,
    /// With one, publishers speak RTMPS.
    pub certificate: Option<Certificate>,
}

impl Manifest {
    /// Two rungs, encoded as cheaply as x264 can.
    pub fn new(name: &str) -> Self {
        Self {
            namespace: "tests".to_owned(),
            name: name.to_owned(),
            ladder: vec![("480p", 480, 1_000), ("720p", 720, 2_000)],
            reconnect_window: 60,
            token: false,
            pieces: None,
            dvr_window: None,
            redundancy: 1,
            certificate: None,
        }
    }

    /// `<namespace>.<name>`.
    pub fn stream_id(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "apiVersion: millrace.dev/v1alpha1")?;
        writeln!(f, "kind: LiveStream")?;
        writeln!(f, "metadata:")?;
        writeln!(f, "  name: {}", self.name)?;
        writeln!(f, "  namespace: {}", self.namespace)?;
        writeln!(f, "spec:")?;
        writeln!(f, "  broadcaster: tests")?;
        writeln!(f, "  ingest:")?;
        writeln!(f, "    reconnectWindow: {}s", self.reconnect_window)?;
        if self.certificate.is_some() {
            writeln!(f, "    protocol: RTMPS")?;
            writeln!(f, "    tls: {{ secretName: rtmps }}")?;
        }
        let redundancy = self.redundancy;
        writeln!(f, "  transcode: {{ preset: ultrafast, threads: 1, redundancy: {redundancy} }}")?;
        if self.token {
            writeln!(f, "  playback: {{ access: Token }}")?;
        }
        if self.pieces.is_some() || self.dvr_window.is_some() {
            writeln!(f, "  packaging:")?;
        }
        if let Some((part, segment)) = self.pieces {
            writeln!(f, "    partDuration: {part}")?;
            writeln!(f, "    segmentDuration: {segment}")?;
        }
        if let Some(window) = self.dvr_window {
            writeln!(f, "    dvrWindow: {window}")?;
        }
        writeln!(f, "  ladder:")?;
        for (name, height, kbps) in &self.ladder {
            writeln!(f, "    - {{ name: {name}, height: {height}, bitrateKbps: {kbps} }}")?;
        }
        if let Some(certificate) = &self.certificate {
            writeln!(f, "---")?;
            writeln!(f, "apiVersion: v1")?;
            writeln!(f, "kind: Secret")?;
            writeln!(f, "metadata: {{ name: rtmps, namespace: {} }}", self.namespace)?;
            writeln!(f, "type: kubernetes.io/tls")?;
            writeln!(f, "stringData:")?;
            // A YAML double-quoted text may hold what a Rust one holds here.
            writeln!(f, "  tls.crt: {:?}", certificate.certificate)?;
            writeln!(f, "  tls.key: {:?}", certificate.key)?;
        }
        Ok(())
    }
}
