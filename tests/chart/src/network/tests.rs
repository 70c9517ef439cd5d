//! The evaluator against what the API's documentation says of each case.

use serde_json::{Value, json};

use super::*;

fn pod(namespace: &str, app: &str) -> Pod {
    Pod {
        name: app.to_owned(),
        namespace: namespace.to_owned(),
        labels: Labels::from([("app".to_owned(), app.to_owned())]),
        ports: BTreeMap::from([("web".to_owned(), 8080)]),
    }
}

fn network(specs: &[Value]) -> Network {
    let policy = |spec: &Value| {
        let policy = json!({ "metadata": { "namespace": "a" }, "spec": spec });
        serde_json::from_value(policy).unwrap()
    };
    let namespace =
        |name: &str| (name.to_owned(), Labels::from([("name".to_owned(), name.to_owned())]));
    Network {
        policies: specs.iter().map(policy).collect(),
        namespaces: ["a", "b"].map(namespace).into(),
    }
}

fn tcp(network: &Network, from: &Pod, to: &Pod, port: u16) -> bool {
    network.allows(End::Pod(from), End::Pod(to), port, Protocol::Tcp)
}

#[test]
fn without_a_policy_everything_is_open_and_a_default_deny_closes_both_ways() {
    let (one, two, far) = (pod("a", "one"), pod("a", "two"), pod("b", "far"));
    let open = network(&[]);
    assert!(tcp(&open, &one, &two, 1) && tcp(&open, &far, &one, 1));
    let types = json!(["Ingress", "Egress"]);
    let closed = network(&[json!({ "podSelector": {}, "policyTypes": types })]);
    assert!(!tcp(&closed, &one, &two, 1));
    assert!(!tcp(&closed, &far, &one, 1) && !tcp(&closed, &one, &far, 1));
    // It is a policy of another namespace to this one.
    assert!(tcp(&closed, &far, &pod("b", "other"), 1));
    let outside = End::Address("203.0.113.7".parse().unwrap());
    assert!(!closed.allows(End::Pod(&one), outside, 443, Protocol::Tcp));
    assert!(!closed.allows(outside, End::Pod(&one), 443, Protocol::Tcp));
}

#[test]
fn both_ends_have_to_consent() {
    let (one, two) = (pod("a", "one"), pod("a", "two"));
    let ingress = json!({ "podSelector": { "matchLabels": { "app": "two" } },
        "policyTypes": ["Ingress"], "ingress": [{}] });
    let no_egress = json!({ "podSelector": { "matchLabels": { "app": "one" } },
        "policyTypes": ["Egress"] });
    assert!(tcp(&network(std::slice::from_ref(&ingress)), &one, &two, 1));
    assert!(!tcp(&network(&[ingress, no_egress]), &one, &two, 1));
}

#[test]
fn policy_types_follow_from_the_rules_where_they_are_not_said() {
    let (one, two) = (pod("a", "one"), pod("a", "two"));
    let only = |rules: Value| {
        let mut spec = json!({ "podSelector": { "matchLabels": { "app": "one" } } });
        spec.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
        network(&[spec])
    };
    let ingress = only(json!({ "ingress": [] }));
    assert!(!tcp(&ingress, &two, &one, 1) && tcp(&ingress, &one, &two, 1));
    let egress = only(json!({ "egress": [] }));
    assert!(!tcp(&egress, &two, &one, 1) && !tcp(&egress, &one, &two, 1));
}

#[test]
fn ports_are_numbers_ranges_and_names_of_the_target_and_tcp_by_default() {
    let (one, two) = (pod("a", "one"), pod("a", "two"));
    let with = |ports: Value| {
        network(&[json!({ "podSelector": { "matchLabels": { "app": "two" } },
            "ingress": [{ "ports": ports }] })])
    };
    let number = with(json!([{ "port": 80 }]));
    assert!(tcp(&number, &one, &two, 80) && !tcp(&number, &one, &two, 81));
    assert!(!number.allows(End::Pod(&one), End::Pod(&two), 80, Protocol::Udp));
    let range = with(json!([{ "port": 80, "endPort": 82 }]));
    assert!(tcp(&range, &one, &two, 82) && !tcp(&range, &one, &two, 83));
    let name = with(json!([{ "port": "web" }]));
    assert!(tcp(&name, &one, &two, 8080) && !tcp(&name, &one, &two, 80));
    let unknown = with(json!([{ "port": "wbe" }]));
    assert!(!tcp(&unknown, &one, &two, 8080));
    let any = with(json!([{ "protocol": "UDP" }]));
    assert!(any.allows(End::Pod(&one), End::Pod(&two), 9, Protocol::Udp));
    assert!(!tcp(&any, &one, &two, 9));
}

#[test]
fn a_peer_is_a_pod_here_pods_of_namespaces_or_both_at_once() {
    let target = pod("a", "target");
    let from = |peer: Value| {
        network(&[json!({ "podSelector": { "matchLabels": { "app": "target" } },
            "ingress": [{ "from": [peer] }] })])
    };
    let who = |network: &Network| -> Vec<String> {
        let all = [pod("a", "one"), pod("a", "two"), pod("b", "one"), pod("b", "two")];
        let able = all.iter().filter(|pod| tcp(network, pod, &target, 1));
        able.map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect()
    };
    let one = json!({ "matchLabels": { "app": "one" } });
    let b = json!({ "matchExpressions": [{ "key": "name", "operator": "In", "values": ["b"] }] });
    assert_eq!(who(&from(json!({ "podSelector": one }))), ["a/one"]);
    assert_eq!(who(&from(json!({ "namespaceSelector": b }))), ["b/one", "b/two"]);
    assert_eq!(who(&from(json!({ "namespaceSelector": b, "podSelector": one }))), ["b/one"]);
    assert_eq!(who(&from(json!({ "namespaceSelector": {} }))).len(), 4);
    assert_eq!(who(&from(json!({ "ipBlock": { "cidr": "0.0.0.0/0" } }))).len(), 0);
}

#[test]
fn a_block_holds_addresses_outside_but_for_its_exceptions() {
    let one = pod("a", "one");
    let block = json!({ "ipBlock": { "cidr": "203.0.113.0/24", "except": ["203.0.113.128/25"] } });
    let network = network(&[json!({ "podSelector": {}, "egress": [{ "to": [block] }] })]);
    let reaches = |address: &str| {
        let to = End::Address(address.parse().unwrap());
        network.allows(End::Pod(&one), to, 443, Protocol::Tcp)
    };
    assert!(reaches("203.0.113.7"));
    assert!(!reaches("203.0.113.200") && !reaches("198.51.100.1") && !reaches("2001:db8::1"));
}

#[test]
fn expressions_of_selectors_are_as_the_api_has_them() {
    let labels = Labels::from([("tier".to_owned(), "web".to_owned())]);
    let fits = |expression: Value| {
        let selector = json!({ "matchExpressions": [expression] });
        matches(&serde_json::from_value(selector).unwrap(), &labels)
    };
    assert!(fits(json!({ "key": "tier", "operator": "Exists" })));
    assert!(!fits(json!({ "key": "tier", "operator": "DoesNotExist" })));
    assert!(fits(json!({ "key": "tier", "operator": "In", "values": ["web", "db"] })));
    assert!(!fits(json!({ "key": "tier", "operator": "NotIn", "values": ["web"] })));
    assert!(fits(json!({ "key": "zone", "operator": "NotIn", "values": ["web"] })));
    assert!(!fits(json!({ "key": "tier", "operator": "Near", "values": ["web"] })));
}
