//! What NetworkPolicies allow, as the Kubernetes API describes them
//! (networking.k8s.io/v1): a pod that no policy of a direction selects is open
//! in it; another one may do what any rule of those that select it says. A
//! connection needs both ends' consent.
//!
//! Pods have no addresses here, so an `ipBlock` only ever means what is outside
//! the cluster.

mod selector;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

pub use selector::matches;

/// Labels of a pod or namespace.
pub type Labels = BTreeMap<String, String>;

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// What it is called in a test.
    pub name: String,
    /// Where it is.
    pub namespace: String,
    /// By them it is selected.
    pub labels: Labels,
    /// Its containers' ports by name.
    pub ports: BTreeMap<String, u16>,
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End<'p> {
    /// In the cluster.
    Pod(&'p Pod),
    /// Outside.
    Address(IpAddr),
}

/// `TCP` or `UDP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Policies, and the labels of all namespaces.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// All there are.
    pub policies: Vec<NetworkPolicy>,
    /// Labels by namespace. The API server gives each its own name as
    /// `kubernetes.io/metadata.name`.
    pub namespaces: BTreeMap<String, Labels>,
}

/// Which way a rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ingress,
    Egress,
}

impl Network {
    /// Whether a connection can be made.
    pub fn allows(&self, from: End<'_>, to: End<'_>, port: u16, protocol: Protocol) -> bool {
        let service = Service { target: to, port, protocol };
        self.consents(from, Direction::Egress, to, service)
            && self.consents(to, Direction::Ingress, from, service)
    }

    /// Whether `own`, if it is a pod, lets `other` be reached or reach it.
    fn consents(
        &self,
        own: End<'_>,
        direction: Direction,
        other: End<'_>,
        to: Service<'_>,
    ) -> bool {
        let End::Pod(own) = own else { return true };
        let mut selected = false;
        for policy in &self.policies {
            let Some(spec) = policy.spec.as_ref().filter(|spec| selects(policy, spec, own)) else {
                continue;
            };
            if !concerns(spec, direction) {
                continue;
            }
            selected = true;
            if rules(spec, direction).iter().any(|rule| self.fits(rule, own, other, to)) {
                return true;
            }
        }
        !selected
    }

    fn fits(&self, rule: &Rule<'_>, own: &Pod, other: End<'_>, to: Service<'_>) -> bool {
        (rule.ports.is_empty() || rule.ports.iter().any(|port| to.is(port)))
            && (rule.peers.is_empty()
                || rule.peers.iter().any(|peer| self.is(peer, &own.namespace, other)))
    }

    /// Whether `end` is such a peer for a policy of `namespace`.
    fn is(&self, peer: &NetworkPolicyPeer, namespace: &str, end: End<'_>) -> bool {
        match (end, &peer.ip_block) {
            (End::Address(address), Some(block)) => holds(block, address),
            (End::Pod(pod), None) => {
                let place = match &peer.namespace_selector {
                    Some(selector) => {
                        let labels = self.namespaces.get(&pod.namespace);
                        labels.is_some_and(|labels| matches(selector, labels))
                    }
                    None => pod.namespace == namespace,
                };
                let fits = |selector| matches(selector, &pod.labels);
                place && peer.pod_selector.as_ref().is_none_or(fits)
            }
            _ => false,
        }
    }
}

/// A port of one end.
#[derive(Debug, Clone, Copy)]
struct Service<'p> {
    target: End<'p>,
    port: u16,
    protocol: Protocol,
}

impl Service<'_> {
    /// Whether an entry of `ports` means it. A name is a container's port.
    fn is(&self, entry: &NetworkPolicyPort) -> bool {
        let protocol = match self.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        };
        if entry.protocol.as_deref().unwrap_or("TCP") != protocol {
            return false;
        }
        let own = i32::from(self.port);
        match (&entry.port, self.target) {
            (None, _) => true,
            (Some(IntOrString::Int(first)), _) => {
                (*first..=entry.end_port.unwrap_or(*first)).contains(&own)
            }
            (Some(IntOrString::String(name)), End::Pod(pod)) => {
                pod.ports.get(name) == Some(&self.port)
            }
            (Some(IntOrString::String(_)), End::Address(_)) => false,
        }
    }
}

/// A rule of either direction. No peers are all, and no ports are all.
struct Rule<'r> {
    ports: &'r [NetworkPolicyPort],
    peers: &'r [NetworkPolicyPeer],
}

fn rules(spec: &NetworkPolicySpec, direction: Direction) -> Vec<Rule<'_>> {
    let rule = |ports, peers| Rule {
        ports: Option::as_deref(ports).unwrap_or_default(),
        peers: Option::as_deref(peers).unwrap_or_default(),
    };
    match direction {
        Direction::Ingress => {
            spec.ingress.iter().flatten().map(|one| rule(&one.ports, &one.from)).collect()
        }
        Direction::Egress => {
            spec.egress.iter().flatten().map(|one| rule(&one.ports, &one.to)).collect()
        }
    }
}

fn selects(policy: &NetworkPolicy, spec: &NetworkPolicySpec, pod: &Pod) -> bool {
    policy.metadata.namespace.as_deref() == Some(&pod.namespace)
        && spec.pod_selector.as_ref().is_none_or(|selector| matches(selector, &pod.labels))
}

/// Without `policyTypes` a policy is about Ingress, and about Egress where it
/// has such rules.
fn concerns(spec: &NetworkPolicySpec, direction: Direction) -> bool {
    let name = format!("{direction:?}");
    match &spec.policy_types {
        Some(types) => types.contains(&name),
        None => direction == Direction::Ingress || spec.egress.is_some(),
    }
}

/// A block that can't be read holds nothing.
fn holds(block: &IPBlock, address: IpAddr) -> bool {
    let within = |cidr: &String| cidr.parse::<IpNet>().is_ok_and(|net| net.contains(&address));
    within(&block.cidr) && !block.except.iter().flatten().any(within)
}

#[cfg(test)]
mod tests;
