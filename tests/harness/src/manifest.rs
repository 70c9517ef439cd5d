//! LiveStream manifests for tests, sized for a machine of two cores.

use std::fmt;

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
}

impl Manifest {
    /// Two rungs, encoded as cheaply as x264 can.
    pub fn new(name: &str) -> Self {
        Self {
            namespace: "tests".to_owned(),
            name: name.to_owned(),
            ladder: vec![("480p", 480, 1_000), ("720p", 720, 2_000)],
            reconnect_window: 60,
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
        writeln!(f, "  ingest: {{ reconnectWindow: {}s }}", self.reconnect_window)?;
        writeln!(f, "  transcode: {{ preset: ultrafast, threads: 1 }}")?;
        writeln!(f, "  ladder:")?;
        for (name, height, kbps) in &self.ladder {
            writeln!(f, "    - {{ name: {name}, height: {height}, bitrateKbps: {kbps} }}")?;
        }
        Ok(())
    }
}
