//! What holds for every pod of the chart.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use millrace_chart::helm::{Helm, Rendered, text};
use serde_json::Value;

/// Every pod with the name of what makes it.
pub(crate) fn of(rendered: &Rendered) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for object in &rendered.objects {
        let kind = text(object, "/kind");
        let (metadata, spec) = match kind {
            "Pod" => ("/metadata", "/spec"),
            "Deployment" | "StatefulSet" | "Job" => {
                ("/spec/template/metadata", "/spec/template/spec")
            }
            _ => continue,
        };
        let mut pod = serde_json::json!({
            "metadata": object.pointer(metadata), "spec": object.pointer(spec),
        });
        pod["metadata"]["namespace"] = object["metadata"]["namespace"].clone();
        found.push((format!("{kind} {}", text(object, "/metadata/name")), pod));
    }
    found
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

#[test]
fn every_pod_is_restricted_and_says_what_it_needs() {
    let Some(helm) = Helm::find().unwrap() else { return };
    for set in super::SETS {
        let pods = of(&helm.render("live", &[set]).unwrap());
        assert!(pods.len() >= 3, "{set}");
        for (name, pod) in pods {
            let spec: PodSpec = serde_json::from_value(pod["spec"].clone()).unwrap();
            let security = spec.security_context.clone().unwrap();
            assert_eq!(security.run_as_non_root, Some(true), "{name}");
            assert_eq!(security.seccomp_profile.unwrap().type_, "RuntimeDefault", "{name}");
            assert_eq!(spec.enable_service_links, Some(false), "{name}");
            let reviews = name.ends_with("delivery") && set != "references";
            let asks_api = ["operator", "release"].iter().any(|one| name.ends_with(one)) || reviews;
            assert_eq!(spec.automount_service_account_token, Some(asks_api), "{name}");
            for container in containers(&spec) {
                let security = container.security_context.clone().unwrap();
                assert_eq!(security.read_only_root_filesystem, Some(true), "{name}");
                assert_eq!(security.allow_privilege_escalation, Some(false), "{name}");
                assert_eq!(security.capabilities.unwrap().drop.unwrap(), ["ALL"], "{name}");
                let resources = container.resources.clone().unwrap();
                assert!(resources.requests.unwrap().len() == 2, "{name}");
                assert!(resources.limits.unwrap().contains_key("memory"), "{name}");
                let command = container.command.clone().unwrap();
                assert!(command[0].starts_with("/usr/local/bin/millrace-"), "{name}: {command:?}");
            }
            let serves = name.starts_with("Deployment") || name.starts_with("StatefulSet");
            for container in spec.containers.iter().filter(|_| serves) {
                assert!(container.readiness_probe.is_some(), "{name}");
                assert!(container.liveness_probe.is_some(), "{name}");
                assert!(container.startup_probe.is_some(), "{name}");
            }
        }
    }
}

#[test]
fn values_for_pods_reach_them() {
    let Some(helm) = Helm::find().unwrap() else { return };
    let rendered = helm.render("live", &["servers"]).unwrap();
    let pods = of(&rendered);
    let of_name = |name: &str| &pods.iter().find(|(found, _)| found.ends_with(name)).unwrap().1;
    for name in ["millrace-operator", "millrace-delivery"] {
        let pod = of_name(name);
        assert_eq!(pod["metadata"]["labels"]["team"], "video", "{name}");
        assert_eq!(pod["metadata"]["labels"]["example.org/extra"], "label", "{name}");
        assert_eq!(pod["metadata"]["annotations"]["example.org/extra"], "annotation", "{name}");
        assert_eq!(pod["spec"]["imagePullSecrets"][0]["name"], "registry", "{name}");
        let image = text(pod, "/spec/containers/0/image");
        assert!(image.starts_with("registry.example/millrace/operator@sha256:0123"), "{image}");
    }
    let operator = of_name("millrace-operator");
    assert_eq!(operator["spec"]["nodeSelector"]["disk"], "ssd");
    assert_eq!(operator["spec"]["tolerations"][0]["key"], "video");
    assert_eq!(operator["spec"]["priorityClassName"], "system-cluster-critical");
    assert!(operator["spec"]["affinity"]["podAntiAffinity"].is_object());
}

#[test]
fn an_upgrade_to_another_chart_version_alone_changes_no_pod() {
    let Some(helm) = Helm::find().unwrap() else { return };
    for (name, pod) in of(&helm.render("live", &["servers"]).unwrap()) {
        let labels: BTreeSet<&str> =
            pod["metadata"]["labels"].as_object().unwrap().keys().map(String::as_str).collect();
        assert!(!labels.contains("helm.sh/chart"), "{name}");
        assert!(!labels.contains("app.kubernetes.io/version"), "{name}");
    }
}
