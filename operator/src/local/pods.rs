//! From a rendered Deployment to the processes that stand for its pods.
//!
//! It supports what the builders use and refuses everything else by name:
//! better a clear error than a process that runs otherwise than its pod would.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use millrace_media::id::StreamId;
use serde_json::Value;

use super::environment::{self, Entries, Sources, Unresolved};
use super::ports::{NoFreePort, Ports};
use super::probe::Probe;
use super::state::{StateDir, StateError};
use super::volumes::{Files, Mounts};
use crate::reconcile::build::transcode_deployment::SUPERVISE;

/// One process: what a container of a pod becomes.
#[derive(Clone)]
pub(super) struct ProcessPlan {
    /// For people: `events.keynote/ingest`.
    pub(super) name: String,
    /// The container's name: `ingest`, `transcode`, `delivery`.
    pub(super) component: String,
    /// The stream it works for; delivery works for all.
    pub(super) stream: Option<StreamId>,
    /// The binary.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) arguments: Vec<String>,
    /// Its whole environment.
    pub(super) environment: Entries,
    /// Ports by name.
    pub(super) ports: BTreeMap<String, u16>,
    /// The container's readiness probe.
    pub(super) ready: Probe,
}

/// A Deployment that can't become processes.
#[derive(Debug, thiserror::Error)]
pub enum Unrunnable {
    /// A field that local doesn't know how to honour.
    #[error("{name}: {field} is not supported by local")]
    Unsupported {
        /// The process.
        name: String,
        /// The field's path.
        field: String,
    },
    /// A variable can't be had.
    #[error("{name}")]
    Environment {
        /// The process.
        name: String,
        /// Which variable and why.
        source: Unresolved,
    },
    /// A volume's Secret isn't there.
    #[error("{process}: there is no Secret {name} for a volume")]
    NoSecret {
        /// The process.
        process: String,
        /// The Secret's name.
        name: String,
    },
    /// A volume's folder can't be made.
    #[error("{process}")]
    Volume {
        /// The process.
        process: String,
        /// Why.
        source: StateError,
    },
    /// No port is left.
    #[error("{name}")]
    Port {
        /// The process.
        name: String,
        /// Why.
        source: NoFreePort,
    },
    /// The binary isn't there.
    #[error("{name}: there is no program {}", program.display())]
    NoProgram {
        /// The process.
        name: String,
        /// Where it was looked for.
        program: PathBuf,
    },
}

/// What all pods of a run share.
pub(super) struct Host<'a> {
    /// Where binaries are.
    pub(super) bin_dir: &'a Path,
    /// Address of every listener.
    pub(super) listen: IpAddr,
    /// What every process gets besides its rendered environment.
    pub(super) essentials: &'a Entries,
    /// Where references point to.
    pub(super) sources: &'a Sources,
    /// What volumes hold.
    pub(super) secrets: &'a Files,
    /// Where volumes are.
    pub(super) state: &'a StateDir,
}

/// Fields of a pod that ask nothing of a plain process, or that local honours.
const POD_FIELDS: [&str; 12] = [
    "automountServiceAccountToken",
    "containers",
    "enableServiceLinks",
    "imagePullSecrets",
    "nodeSelector",
    "priorityClassName",
    "securityContext",
    "serviceAccountName",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
];

/// The same of a container.
const CONTAINER_FIELDS: [&str; 13] = [
    "args",
    "command",
    "env",
    "image",
    "imagePullPolicy",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resources",
    "securityContext",
    "startupProbe",
    "volumeMounts",
];

/// The processes of a Deployment: one per container and replica.
pub(super) fn processes(
    deployment: &Deployment,
    stream: Option<&StreamId>,
    host: &Host<'_>,
    ports: &mut Ports,
) -> Result<Vec<ProcessPlan>, Unrunnable> {
    let owner = stream.map_or_else(String::new, |stream| format!("{stream}/"));
    let deployment_name = deployment.metadata.name.clone().unwrap_or_default();
    let Some(spec) = &deployment.spec else { return Ok(Vec::new()) };
    let empty = PodSpec::default();
    let pod = spec.template.spec.as_ref().unwrap_or(&empty);
    known_fields(&deployment_name, "spec.template.spec", pod, &POD_FIELDS)?;

    let replicas = spec.replicas.unwrap_or(1);
    let mut plans = Vec::new();
    for replica in 0..replicas {
        for container in &pod.containers {
            let field = format!("spec.template.spec.containers[{}]", container.name);
            known_fields(&deployment_name, &field, container, &CONTAINER_FIELDS)?;
            let number = if replicas > 1 { format!("-{replica}") } else { String::new() };
            let name = format!("{owner}{}{number}", container.name);
            let mut sources = host.sources.clone();
            sources.fields = BTreeMap::from([
                ("metadata.name".to_owned(), format!("{deployment_name}-{replica}")),
                (
                    "metadata.namespace".to_owned(),
                    deployment.metadata.namespace.clone().unwrap_or_default(),
                ),
                ("status.podIP".to_owned(), host.listen.to_string()),
            ]);
            let mounts = Mounts::make(&name, pod, container, host.secrets, host.state)?;
            plans.push(process(name, stream, container, &mounts, &sources, host, ports)?);
        }
    }
    Ok(plans)
}

fn process(
    name: String,
    stream: Option<&StreamId>,
    container: &Container,
    mounts: &Mounts,
    sources: &Sources,
    host: &Host<'_>,
    ports: &mut Ports,
) -> Result<ProcessPlan, Unrunnable> {
    let named = named_ports(&name, container, ports)?;
    mounts.check(&name, container)?;
    let env = mounts.rewrite(&name, container.env.as_deref().unwrap_or_default())?;
    let mut environment = host.essentials.clone();
    environment.extend(
        environment::resolve(&env, sources)
            .map_err(|source| Unrunnable::Environment { name: name.clone(), source })?,
    );
    environment.insert("LISTEN_ADDRESS".to_owned(), host.listen.to_string());
    // The process ends when the pipe that is its stdin does: with its parent,
    // however that ends.
    environment.insert("EXIT_WITH_PARENT".to_owned(), "stdin".to_owned());
    for (port, number) in &named {
        environment.insert(format!("{}_PORT", port.to_uppercase()), number.to_string());
    }

    let mut command = container.command.iter().flatten();
    let unsupported =
        |field: &str| Unrunnable::Unsupported { name: name.clone(), field: field.to_owned() };
    // `local` starts workers again itself.
    let arguments = container.args.iter().flatten().filter(|word| *word != SUPERVISE);
    let program = command.next().ok_or_else(|| unsupported("a container without command"))?;
    let program = Path::new(program)
        .file_name()
        .map(|file| host.bin_dir.join(file))
        .ok_or_else(|| unsupported("a command without a file name"))?;
    if !program.is_file() {
        return Err(Unrunnable::NoProgram { name, program });
    }
    let ready = ready_probe(container, &named, host.listen)
        .ok_or_else(|| unsupported("a readiness probe other than httpGet on a named port"))?;
    Ok(ProcessPlan {
        component: container.name.clone(),
        stream: stream.cloned(),
        program,
        arguments: command.chain(arguments).cloned().collect(),
        environment,
        ports: named,
        ready,
        name,
    })
}

fn named_ports(
    name: &str,
    container: &Container,
    ports: &mut Ports,
) -> Result<BTreeMap<String, u16>, Unrunnable> {
    let mut named = BTreeMap::new();
    for port in container.ports.iter().flatten() {
        let unsupported = |field: &str| Unrunnable::Unsupported {
            name: name.to_owned(),
            field: field.to_owned(),
        };
        if port.protocol.as_deref().unwrap_or("TCP") != "TCP" {
            return Err(unsupported("a port other than TCP"));
        }
        let port_name = port.name.clone().ok_or_else(|| unsupported("a port without a name"))?;
        let declared =
            u16::try_from(port.container_port).map_err(|_| unsupported("a port above 65535"))?;
        let number = ports
            .take(declared)
            .map_err(|source| Unrunnable::Port { name: name.to_owned(), source })?;
        named.insert(port_name, number);
    }
    Ok(named)
}

fn ready_probe(
    container: &Container,
    ports: &BTreeMap<String, u16>,
    listen: IpAddr,
) -> Option<Probe> {
    let get = container.readiness_probe.as_ref()?.http_get.as_ref()?;
    let IntOrString::String(port) = &get.port else { return None };
    // "Any address" is no address to ask at.
    let host = match listen {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(address) if address.is_unspecified() => "::1".parse().ok()?,
        address => address,
    };
    Some(Probe {
        address: SocketAddr::new(host, *ports.get(port)?),
        path: get.path.clone().unwrap_or_else(|| "/".to_owned()),
    })
}

/// Refuse the first field that is set and not known.
pub(super) fn known_fields(
    name: &str,
    path: &str,
    object: &impl serde::Serialize,
    known: &[&str],
) -> Result<(), Unrunnable> {
    let Ok(Value::Object(fields)) = serde_json::to_value(object) else { return Ok(()) };
    match fields.keys().find(|field| !known.contains(&field.as_str())) {
        None => Ok(()),
        Some(field) => {
            Err(Unrunnable::Unsupported { name: name.to_owned(), field: format!("{path}.{field}") })
        }
    }
}
