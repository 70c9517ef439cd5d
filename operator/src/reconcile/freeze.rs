//! A live stream is left alone: a new pod template waits, in a paused
//! Deployment, until the broadcast is over or somebody asks for it now.
//!
//! A paused Deployment gives back a killed pod from the template it had, and
//! still scales. It is paused in the very write that brings the new template,
//! so that no pod is ever replaced by accident. It gets no more pods until then
//! either: a second transcoder of a template that knows of one would fight it.

use k8s_openapi::api::apps::v1::Deployment;

use super::prepared::digest;
use super::seen::{DeploymentFacts, TEMPLATE};

/// The annotation of a LiveStream that replaces its pods at once: `now`.
pub const ROLL: &str = "millrace.dev/roll";

/// Whether pods may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rolling {
    /// Nobody would notice, or somebody wants it.
    Allowed,
    /// A broadcast is on, or might be.
    Waits,
}

/// Name the template, and pause the Deployment if it has to wait. `seen` is
/// what there is of it now.
pub fn freeze(deployment: &mut Deployment, seen: Option<&DeploymentFacts>, rolling: Rolling) {
    let Some(spec) = &mut deployment.spec else { return };
    let text = serde_json::to_string(&spec.template).unwrap_or_default();
    let digest = digest(&text);
    let waits = seen.is_some_and(|seen| seen.paused || seen.template != digest);
    spec.paused = if waits && rolling == Rolling::Waits {
        let most = seen.map_or(1, |seen| seen.wanted.max(1));
        spec.replicas = spec.replicas.map(|replicas| replicas.min(most));
        Some(true)
    } else {
        // Said where somebody else may have paused it; else left out, as it is
        // stored.
        seen.is_some_and(|seen| seen.paused).then_some(false)
    };
    let annotations = deployment.metadata.annotations.get_or_insert_default();
    annotations.insert(TEMPLATE.to_owned(), digest);
}

/// Whether a new template waits.
pub fn waits(deployment: &Deployment) -> bool {
    deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or_default()
}

/// The pods have the template that is wanted, or soon will.
pub fn is_rolled(deployment: &Deployment, seen: Option<&DeploymentFacts>) -> bool {
    let wanted = deployment.metadata.annotations.as_ref().and_then(|all| all.get(TEMPLATE));
    seen.is_some_and(|seen| !seen.paused && Some(&seen.template) == wanted)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::DeploymentSpec;

    use super::*;

    fn deployment() -> Deployment {
        Deployment { spec: Some(DeploymentSpec::default()), ..Deployment::default() }
    }

    fn seen(template: &str, paused: bool) -> DeploymentFacts {
        DeploymentFacts { template: template.to_owned(), paused, ..DeploymentFacts::default() }
    }

    #[test]
    fn a_template_that_waits_brings_no_more_pods() {
        for (wanted, replicas, expected) in [(1, 2, 1), (2, 2, 2), (2, 1, 1), (0, 2, 1), (1, 0, 0)]
        {
            let mut next = deployment();
            next.spec.as_mut().unwrap().replicas = Some(replicas);
            let seen = DeploymentFacts { wanted, ..seen("older", false) };
            freeze(&mut next, Some(&seen), Rolling::Waits);
            assert_eq!(next.spec.as_ref().unwrap().replicas, Some(expected));
            next.spec.as_mut().unwrap().replicas = Some(replicas);
            freeze(&mut next, Some(&seen), Rolling::Allowed);
            assert_eq!(next.spec.unwrap().replicas, Some(replicas));
        }
    }

    #[test]
    fn only_a_new_template_of_a_live_stream_waits() {
        let mut first = deployment();
        freeze(&mut first, None, Rolling::Waits);
        assert!(!waits(&first), "a new Deployment would never have a pod");
        let digest = first.metadata.annotations.unwrap()[TEMPLATE].clone();

        for (template, paused, rolling, expected) in [
            (digest.as_str(), false, Rolling::Waits, false),
            ("older", false, Rolling::Waits, true),
            ("older", false, Rolling::Allowed, false),
            // Its pods may be of a third template: what waits goes on waiting.
            (digest.as_str(), true, Rolling::Waits, true),
            (digest.as_str(), true, Rolling::Allowed, false),
        ] {
            let mut next = deployment();
            freeze(&mut next, Some(&seen(template, paused)), rolling);
            assert_eq!(waits(&next), expected, "{template} {paused} {rolling:?}");
        }
    }
}
