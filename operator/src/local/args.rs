//! The command line of `local`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use crate::api::duration::Duration;

/// Run LiveStreams as plain processes, without Kubernetes.
///
/// The same plan as in a cluster: validate, build, external, and then each
/// container as a child process with the rendered environment, restarted when
/// it ends. Connection settings come from the operator's own environment:
/// DATABASE_URL (and DATABASE_WORKER_URL and DATABASE_VIEWER_URL where ingest
/// and delivery have roles of their own), REDIS_URL, KAFKA_BROKERS,
/// OBJECT_STORE_URL (default: a directory under the state directory),
/// MILLRACE_INSTALLATION, PLAYBACK_KEYS_FILE (for streams whose viewers need
/// tokens), RUST_LOG, LOG_FORMAT, FFMPEG_PATH and MOCK_FFMPEG.
#[derive(Debug, Clone, Args)]
pub struct LocalArgs {
    /// A manifest of LiveStreams and the Secrets with their certificates; may
    /// hold several, may be given several times. Read once, at start
    #[arg(short = 'f', long = "file", required = true, value_name = "PATH")]
    pub files: Vec<PathBuf>,

    /// Where the workers' binaries are [default: beside this one]
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,

    /// What must outlive a run: publish keys, UIDs, media
    /// [default: $XDG_STATE_HOME/millrace or ~/.local/state/millrace]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Address of every listener
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub listen: IpAddr,

    /// Take the ports the manifests name where they are free (1935, 8080, …)
    #[arg(long)]
    pub prefer_ports: bool,

    /// Where other ports are taken from
    #[arg(long, value_name = "FIRST-LAST", default_value = "20000-32000")]
    pub ports: PortRange,

    /// Run no delivery process
    #[arg(long)]
    pub no_delivery: bool,

    /// Write addresses, keys and process ids here as NAME=value lines once
    /// everything is ready, and again when a process was restarted
    #[arg(long, value_name = "PATH")]
    pub env_file: Option<PathBuf>,

    /// Write each process's output to a file here instead of to stderr
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<PathBuf>,

    /// How long all may take to become ready
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub ready_timeout: Duration,
}

/// Ports from the first to the last, both included.
///
/// The default ends below the range Linux takes the near ends of outgoing
/// connections from (32768 up): a port there could be gone when a process
/// restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// Not 0.
    pub first: u16,
    /// Not below `first`.
    pub last: u16,
}

impl FromStr for PortRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let err = "expected two ports, the first not above the last, such as 20000-29999";
        let (first, last) = text.split_once('-').ok_or(err)?;
        let (first, last) = (first.parse().map_err(|_| err)?, last.parse().map_err(|_| err)?);
        if first == 0 || first > last { Err(err) } else { Ok(Self { first, last }) }
    }
}
