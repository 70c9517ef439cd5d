//! From manifests to processes, through the controller's own stages.

use std::collections::BTreeMap;
use std::path::PathBuf;

use millrace_media::id::InvalidId;
use millrace_platform::config::{ConfigError, Env};
use millrace_platform::keys::InvalidKeyName;
use millrace_platform::tokens::ApiToken;
use millrace_platform::wall;

use super::api_token;
use super::args::LocalArgs;
use super::certificates::Certificates;
use super::delivery;
use super::endpoints::Published;
use super::environment::Sources;
use super::manifest::{self, ManifestError};
use super::outside::{self, Made};
use super::pods::{self, Host, ProcessPlan, Unrunnable};
use super::ports::Ports;
use super::settings::Settings;
use super::state::{StateDir, StateError};
use super::volumes;
use crate::reconcile::build::publish_keys_secret::{self, StreamKeys};
use crate::reconcile::build::{self, Circumstances};
use crate::reconcile::external::{ExternalError, StepError};
use crate::reconcile::publish_keys;
use crate::reconcile::validate::{InvalidSpec, validate};
use crate::reconcile::validated::ValidatedStream;

/// Streams that can't be run.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// No place for state.
    #[error("no state directory: set --state-dir, XDG_STATE_HOME or HOME")]
    NoStateDir,
    /// Settings are missing or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The state can't be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// A manifest is no good.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A spec is no good.
    #[error("LiveStream {stream}")]
    Invalid {
        /// Which.
        stream: String,
        /// The field, and why.
        source: InvalidSpec,
    },
    /// A stream's certificate is in none of the files.
    #[error(
        "LiveStream {stream}: spec.ingest.tls.secretName: there is no Secret {secret} of type kubernetes.io/tls in the given files"
    )]
    NoCertificate {
        /// Which stream.
        stream: String,
        /// `<namespace>/<name>`
        secret: String,
    },
    /// A key can't be made.
    #[error("can't make a publish key")]
    Key(#[from] InvalidId),
    /// A token of the API can't be made.
    #[error("can't make a token of the API")]
    Token(#[from] InvalidKeyName),
    /// Postgres, Redis or Kafka can't be opened.
    #[error(transparent)]
    External(#[from] ExternalError),
    /// Postgres or Kafka.
    #[error(transparent)]
    Outside(#[from] StepError),
    /// A child can't be run as a process.
    #[error(transparent)]
    Unrunnable(#[from] Unrunnable),
    /// The operator doesn't know where it is itself.
    #[error("can't find the directory of the binaries; set --bin-dir")]
    NoBinDir(#[source] std::io::Error),
}

/// What is to run.
pub(super) struct Plan {
    /// Processes, in the order they are started.
    pub(super) processes: Vec<ProcessPlan>,
    /// Streams with their keys, in the manifests' order.
    pub(super) streams: Vec<Published>,
    /// For the API, if there is one.
    pub(super) api_token: Option<ApiToken>,
    /// What they have outside.
    pub(super) made: Made,
}

/// Make it: everything up to, but not with, the first process.
pub(super) async fn make(args: &LocalArgs) -> Result<Plan, PlanError> {
    let state = StateDir::open(&state_dir(args)?)?;
    let env = Env::from_process();
    let settings = Settings::read(&env, state.path())?;
    let mut streams = Vec::new();
    let manifests = manifest::read(&args.files, &state)?;
    for raw in manifests.streams {
        let named = |source| PlanError::Invalid {
            stream: raw.metadata.name.clone().unwrap_or_default(),
            source,
        };
        streams.push(validate(&raw).map_err(named)?);
    }
    let seen = circumstances(&streams, &manifests.certificates)?;
    let keys = publish_keys_of(&streams, &state)?;
    let seen = streams.iter().zip(&seen);
    let processes = processes(args, &settings, &state, seen)?;
    // Last, so that nothing is made for a plan that can't run.
    let made = outside::apply(&env, streams.clone(), &keys, args.ready_timeout.get()).await?;
    let api_token =
        if args.no_delivery { None } else { Some(api_token::make(&env, &state).await?) };
    let published = streams.into_iter().zip(&keys).map(|(stream, keys)| Published {
        key: stream
            .keys
            .first()
            .and_then(|first| keys.0.get(&first.name))
            .map(|named| named.current.clone()),
        id: stream.id,
    });
    Ok(Plan { processes, streams: published.collect(), api_token, made })
}

fn state_dir(args: &LocalArgs) -> Result<PathBuf, PlanError> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    args.state_dir
        .clone()
        .or_else(|| Some(set("XDG_STATE_HOME")?.join("millrace")))
        .or_else(|| Some(set("HOME")?.join(".local/state/millrace")))
        .ok_or(PlanError::NoStateDir)
}

/// Each stream's keys, kept in its Secret by now.
fn publish_keys_of(
    streams: &[ValidatedStream],
    state: &StateDir,
) -> Result<Vec<StreamKeys>, PlanError> {
    let now = wall::ms() / 1_000;
    streams
        .iter()
        .map(|stream| {
            let (namespace, name) = (stream.id.namespace(), stream.id.name());
            let held = state.secret(namespace, name)?;
            let held = held.as_ref().map(publish_keys_secret::read).unwrap_or_default();
            let keys = publish_keys::desired(&stream.keys, &held, now, &mut rand::rng())?;
            let secret = publish_keys_secret::build(stream, &keys);
            state.keep_secret(namespace, name, &secret)?;
            Ok(keys)
        })
        .collect()
}

/// What is seen of each stream: its certificate. The rest asks nothing of
/// plain processes.
fn circumstances(
    streams: &[ValidatedStream],
    certificates: &Certificates,
) -> Result<Vec<Circumstances>, PlanError> {
    let of = |stream: &ValidatedStream| {
        let Some(name) = &stream.ingest.tls_secret else { return Ok(Circumstances::default()) };
        let namespace = stream.id.namespace();
        let certificate = certificates.get(namespace, name).cloned().ok_or_else(|| {
            let (stream, secret) = (stream.id.to_string(), format!("{namespace}/{name}"));
            PlanError::NoCertificate { stream, secret }
        })?;
        Ok(Circumstances { rtmps_certificate: Some(certificate), ..Circumstances::default() })
    };
    streams.iter().map(of).collect()
}

fn processes<'a>(
    args: &LocalArgs,
    settings: &Settings,
    state: &StateDir,
    streams: impl Iterator<Item = (&'a ValidatedStream, &'a Circumstances)>,
) -> Result<Vec<ProcessPlan>, PlanError> {
    let bin_dir = match &args.bin_dir {
        Some(dir) => dir.clone(),
        None => std::env::current_exe()
            .map_err(PlanError::NoBinDir)?
            .parent()
            .map(PathBuf::from)
            .unwrap_or_default(),
    };
    // The publish keys' Secrets are in the streams' namespaces, where workers
    // can't refer to them.
    let secrets =
        BTreeMap::from([(settings.installation.connections.clone(), settings.connections.clone())]);
    let sources = Sources { secrets, ..Sources::default() };
    // Services, Ingresses and budgets ask nothing of plain processes.
    let children: Vec<_> = streams
        .map(|(stream, seen)| (&stream.id, build::children(stream, &settings.installation, seen)))
        .collect();
    // Their names differ between streams.
    let secrets = children.iter().filter_map(|(_, of)| of.rtmps_certificate.clone());
    let host = Host {
        bin_dir: &bin_dir,
        listen: args.listen,
        essentials: &settings.essentials,
        sources: &sources,
        secrets: &volumes::files(secrets),
        state,
    };
    let mut ports = Ports::new(args.listen, args.ports, rand::random(), args.prefer_ports);
    let mut plans = Vec::new();
    for (stream, children) in &children {
        for deployment in [&children.ingest, &children.transcode].into_iter().flatten() {
            plans.extend(pods::processes(deployment, Some(stream), &host, &mut ports)?);
        }
    }
    if !args.no_delivery {
        let deployment =
            delivery::deployment(&settings.installation, settings.playback_keys.as_deref());
        plans.extend(pods::processes(&deployment, None, &host, &mut ports)?);
    }
    Ok(plans)
}
