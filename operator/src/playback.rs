//! Keys and tokens of viewers by hand (docs/playback.md).

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use millrace_platform::playback::sign::Signer;
use millrace_platform::playback::{Claims, OneOrMany};
use millrace_platform::tokens::StreamPattern;
use millrace_platform::wall;

use crate::api::duration::Duration;
use crate::cli::print;

/// Largest file of a key, bytes.
const MOST: u64 = 64 * 1024;

/// Print a key as it stands in the installation's file of keys
///
/// A new secret for HS256; with --key, the public half of a pair for ES256.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlaybackKeyArgs {
    /// The key's id
    #[arg(long, value_name = "ID")]
    kid: String,

    /// A P-256 private key in PEM (PKCS #8), as openssl genpkey makes it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// What it may sign for: namespace.name or namespace.*, may be given
    /// several times [default: every stream]
    #[arg(long = "stream", value_name = "STREAMS")]
    streams: Vec<StreamPattern>,
}

/// Sign a token for a viewer
#[derive(Debug, Clone, Args)]
pub(crate) struct PlaybackTokenArgs {
    /// The private key in PEM for ES256, or the key that playback-key printed
    /// for HS256
    #[arg(long, value_name = "FILE")]
    key: PathBuf,

    /// The key's id, where the file has none
    #[arg(long, value_name = "ID")]
    kid: Option<String>,

    /// What may be watched: namespace.name or namespace.*, may be given several
    /// times
    #[arg(long = "stream", value_name = "STREAMS", required = true)]
    streams: Vec<StreamPattern>,

    /// How long it is good
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    ttl: Duration,

    /// An address or network the viewer is in, may be given several times
    /// [default: everywhere]
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<String>,
}

/// Prints the key.
pub(crate) fn key(args: &PlaybackKeyArgs) -> anyhow::Result<()> {
    let signer = match &args.key {
        None => Signer::generate(&args.kid),
        Some(file) => Signer::parse(&read(file)?, Some(&args.kid)),
    };
    let streams = (!args.streams.is_empty()).then(|| texts(&args.streams));
    print(&format!("{}\n", signer?.entry(streams)?))
}

/// Prints the token.
pub(crate) fn token(args: &PlaybackTokenArgs) -> anyhow::Result<()> {
    let signer = Signer::parse(&read(&args.key)?, args.kid.as_deref())
        .with_context(|| format!("can't sign with {}", args.key.display()))?;
    let now = wall::ms().div_euclid(1_000);
    let ttl = i64::try_from(args.ttl.get().as_secs()).unwrap_or(i64::MAX);
    let claims = Claims {
        exp: now.saturating_add(ttl),
        streams: Some(texts(&args.streams)),
        ip: (!args.ip.is_empty()).then(|| OneOrMany::Many(args.ip.clone())),
        ..Claims::default()
    };
    print(&format!("{}\n", signer.sign(&claims)?))
}

fn texts(streams: &[StreamPattern]) -> Vec<String> {
    streams.iter().map(ToString::to_string).collect()
}

fn read(file: &PathBuf) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    let mut text = Vec::new();
    let open = std::fs::File::open(file);
    let read = open.and_then(|open| open.take(MOST).read_to_end(&mut text));
    read.with_context(|| format!("can't read {}", file.display()))?;
    Ok(text)
}
