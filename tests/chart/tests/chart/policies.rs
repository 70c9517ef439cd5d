//! The NetworkPolicies of the chart against the table of who is to reach whom.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use millrace_chart::helm::{Helm, Rendered, text};
use millrace_chart::network::{Labels, Network, Pod};
use serde_json::{Value, json};

use super::matrix::{Connection, People, differences};
use super::pods;
use super::settings::Installed;

/// A pod of ours, as rendered or built.
fn ours(name: &str, pod: &Value) -> Pod {
    let containers = pod["spec"]["containers"].as_array().unwrap();
    let ports = containers.iter().filter_map(|one| one["ports"].as_array()).flatten();
    let ports = ports.map(|port| {
        let number = port["containerPort"].as_u64().unwrap();
        (text(port, "/name").to_owned(), u16::try_from(number).unwrap())
    });
    Pod {
        name: name.to_owned(),
        namespace: text(pod, "/metadata/namespace").to_owned(),
        labels: serde_json::from_value(pod["metadata"]["labels"].clone()).unwrap(),
        ports: ports.collect(),
    }
}

fn stranger(name: &str, namespace: &str) -> Pod {
    let labels = Labels::from([("app".to_owned(), name.to_owned())]);
    Pod { name: name.to_owned(), namespace: namespace.to_owned(), labels, ports: BTreeMap::new() }
}

fn worker(name: &str, deployment: Option<Deployment>) -> Pod {
    let deployment = serde_json::to_value(deployment.unwrap()).unwrap();
    let mut pod = deployment["spec"]["template"].clone();
    pod["metadata"]["namespace"] = deployment["metadata"]["namespace"].clone();
    ours(name, &pod)
}

const STRANGERS: [&str; 10] = [
    "neighbour",
    "publisher",
    "ingress",
    "prometheus",
    "admin",
    "dns",
    "internet",
    "api-server",
    "servers",
    "node-cache",
];

/// Everybody: all pods of the rendering, workers of a stream, and others around
/// them. `neighbour` is a pod of somebody else in the workers' namespace.
fn people(installed: &Installed, workers: &str) -> People {
    let children = installed.children();
    let mut pods: Vec<Pod> = pods::of(&installed.rendered)
        .iter()
        .map(|(name, pod)| ours(name.rsplit_once("millrace-").unwrap().1, pod))
        .collect();
    pods.push(worker("ingest", children.ingest));
    pods.push(worker("transcode", children.transcode));
    pods.extend([
        stranger("neighbour", workers),
        stranger("publisher", "events"),
        stranger("ingress", "ingress"),
        stranger("prometheus", "monitoring"),
        stranger("admin", "admins"),
        stranger("dns", "kube-system"),
    ]);
    let outside = [
        ("internet", "203.0.113.7"),
        ("api-server", "192.0.2.1"),
        ("servers", "192.0.2.9"),
        ("node-cache", "169.254.20.10"),
    ];
    let outside = outside.map(|(name, address)| (name, address.parse().unwrap()));
    let ports = vec![22, 53, 80, 443, 1935, 1936, 5432, 6379, 6443, 8080, 8081, 8090, 9000, 9092];
    People { pods, outside: outside.into(), ports, strangers: STRANGERS.into() }
}

fn network(installed: &Installed, people: &People) -> Network {
    let name = "kubernetes.io/metadata.name";
    let namespaces = people.pods.iter().map(|pod| {
        let labels = Labels::from([(name.to_owned(), pod.namespace.clone())]);
        (pod.namespace.clone(), labels)
    });
    Network {
        policies: installed.rendered.of_kind("NetworkPolicy").unwrap(),
        namespaces: namespaces.collect(),
    }
}

/// The table of the quickstart. What is not here must not be possible.
fn quickstart(neighbours: bool) -> BTreeSet<Connection> {
    let mut table = BTreeSet::new();
    let clients: [(&str, u16, &[&str]); 4] = [
        ("quickstart-postgres", 5432, &["operator", "ingest", "delivery"]),
        ("quickstart-redis", 6379, &["operator", "ingest", "transcode", "delivery"]),
        ("quickstart-kafka", 9092, &["operator", "ingest", "transcode", "delivery"]),
        ("quickstart-s3", 9000, &["operator", "transcode", "delivery"]),
    ];
    for (server, port, clients) in clients {
        table.extend(clients.iter().map(|client| Connection::tcp(client, server, port)));
    }
    for program in ["operator", "release", "check", "ingest", "transcode", "delivery"] {
        for dns in ["dns", "node-cache"] {
            table.insert(Connection::tcp(program, dns, 53));
            table.insert(Connection::udp(program, dns, 53));
        }
    }
    // Where the API server is the chart can't know: its ports at every address.
    for program in ["operator", "release", "delivery"] {
        for end in [
            "internet",
            "api-server",
            "servers",
            "node-cache",
            "publisher",
            "ingress",
            "prometheus",
            "admin",
            "dns",
        ] {
            table.insert(Connection::tcp(program, end, 443));
            table.insert(Connection::tcp(program, end, 6443));
        }
        if neighbours {
            table.insert(Connection::tcp(program, "neighbour", 443));
            table.insert(Connection::tcp(program, "neighbour", 6443));
        }
    }
    table.insert(Connection::tcp("check", "operator", 8090));
    table.insert(Connection::tcp("check", "delivery", 8080));
    table.insert(Connection::tcp("check", "delivery", 8081));
    for (program, port) in
        [("operator", 8090), ("ingest", 8090), ("transcode", 8090), ("delivery", 8081)]
    {
        table.insert(Connection::tcp("prometheus", program, port));
    }
    let others = [
        "publisher",
        "ingress",
        "prometheus",
        "admin",
        "dns",
        "internet",
        "api-server",
        "servers",
        "node-cache",
    ];
    for from in others.into_iter().chain(neighbours.then_some("neighbour")) {
        table.insert(Connection::tcp(from, "ingest", 1935));
        table.insert(Connection::tcp(from, "delivery", 8080));
    }
    table
}

#[tokio::test]
async fn in_one_namespace_everybody_reaches_whom_he_needs_and_nobody_else() {
    let Some(helm) = Helm::find().unwrap() else { return };
    let installed = Installed::new(&helm, &["quickstart"]);
    let people = people(&installed, "live");
    let able = people.able(&network(&installed, &people));
    assert_eq!(differences(&quickstart(false), &able), Vec::<String>::new());
}

#[tokio::test]
async fn in_two_namespaces_too() {
    let Some(helm) = Helm::find().unwrap() else { return };
    let installed = Installed::new(&helm, &["quickstart", "workers.namespace=media"]);
    let people = people(&installed, "media");
    let able = people.able(&network(&installed, &people));
    assert_eq!(differences(&quickstart(false), &able), Vec::<String>::new());
}

#[tokio::test]
async fn neighbours_keep_their_freedom_where_the_values_say_so() {
    let Some(helm) = Helm::find().unwrap() else { return };
    let installed = Installed::new(&helm, &["quickstart", "networkPolicies.wholeNamespace=false"]);
    let people = people(&installed, "live");
    let able = people.able(&network(&installed, &people));
    assert_eq!(differences(&quickstart(true), &able), Vec::<String>::new());
}

#[tokio::test]
async fn with_own_servers_each_program_reaches_the_addresses_of_its_servers() {
    let Some(helm) = Helm::find().unwrap() else { return };
    let installed = Installed::new(&helm, &["servers"]);
    let mut people = people(&installed, "media");
    let of = |end: u8| std::net::IpAddr::from([192, 0, 2, end]);
    people.outside = vec![
        ("api-server", of(1)),
        ("postgres", of(2)),
        ("redis", of(3)),
        ("kafka", of(4)),
        ("s3", of(5)),
        ("internet", "203.0.113.7".parse().unwrap()),
        ("studio", "198.51.100.9".parse().unwrap()),
    ];
    people.ports.extend([6432, 6380, 9093]);
    people.strangers.extend(["postgres", "redis", "kafka", "s3", "studio"]);
    let able = people.able(&network(&installed, &people));

    let mut table = BTreeSet::new();
    for program in ["operator", "release", "check", "ingest", "transcode", "delivery"] {
        table.insert(Connection::tcp(program, "dns", 53));
        table.insert(Connection::udp(program, "dns", 53));
    }
    for (server, port, clients) in [
        ("api-server", 6443, &["operator", "release", "delivery"][..]),
        ("postgres", 6432, &["operator", "ingest", "delivery"]),
        ("redis", 6380, &["operator", "ingest", "transcode", "delivery"]),
        ("kafka", 9093, &["operator", "ingest", "transcode", "delivery"]),
        ("s3", 443, &["operator", "transcode", "delivery"]),
    ] {
        table.extend(clients.iter().map(|client| Connection::tcp(client, server, port)));
    }
    table.insert(Connection::tcp("studio", "ingest", 1935));
    table.insert(Connection::tcp("ingress", "delivery", 8080));
    table.insert(Connection::tcp("admin", "delivery", 8081));
    table.insert(Connection::tcp("check", "operator", 8090));
    table.insert(Connection::tcp("check", "delivery", 8080));
    table.insert(Connection::tcp("check", "delivery", 8081));
    for (program, port) in
        [("operator", 8090), ("ingest", 8090), ("transcode", 8090), ("delivery", 8081)]
    {
        table.insert(Connection::tcp("prometheus", program, port));
    }
    assert_eq!(differences(&table, &able), Vec::<String>::new());
}

/// The ports that delivery may reach anywhere.
fn reached_by_delivery(rendered: &Rendered) -> BTreeSet<i32> {
    let policy: NetworkPolicy = rendered.one("NetworkPolicy", "millrace-delivery").unwrap();
    let rules = policy.spec.unwrap().egress.unwrap();
    let ports = rules.into_iter().flat_map(|rule| rule.ports.unwrap());
    let number = |port| match port {
        Some(IntOrString::Int(number)) => number,
        other => panic!("{other:?} is no number"),
    };
    ports.map(|port| number(port.port)).collect()
}

#[test]
fn ports_of_servers_are_those_of_their_addresses_unless_the_values_name_others() {
    let Some(helm) = Helm::find().unwrap() else { return };
    let table: [(&[&str], &[i32]); 9] = [
        (&["servers"], &[53, 6443, 6432, 6380, 9093, 443]),
        (
            &["servers", "kafka.brokers=a:9093\\,b:9094\\,c:9093"],
            &[53, 6443, 6432, 6380, 9093, 9094, 443],
        ),
        (
            &["servers", "networkPolicies.kafka.ports={9095,9096}"],
            &[53, 6443, 6432, 6380, 9095, 9096, 443],
        ),
        (
            &["servers", "redis.mediaUrl=rediss://:1@media"],
            &[53, 6443, 6432, 6379, 6380, 9093, 443],
        ),
        (&["servers", "objectStore.endpoint=http://s3"], &[53, 6443, 6432, 6380, 9093, 80]),
        (
            &["servers", "objectStore.endpoint=https://s3:9000/"],
            &[53, 6443, 6432, 6380, 9093, 9000],
        ),
        (&["directory"], &[53, 443, 6443, 5432, 6379, 9092]),
        // What is in Secrets that are there already the chart does not know.
        (&["references"], &[53, 5432, 6379, 9092, 443]),
        (&["references", "networkPolicies.postgres.ports={6432}"], &[53, 6432, 6379, 9092, 443]),
    ];
    for (values, ports) in table {
        let reached = reached_by_delivery(&helm.render("live", values).unwrap());
        assert_eq!(reached, ports.iter().copied().collect::<BTreeSet<_>>(), "{values:?}");
    }
}

/// Changes one policy.
fn spoil(policies: &mut [NetworkPolicy], name: &str, change: impl FnOnce(&mut Value)) {
    let one = policies.iter_mut().find(|one| one.metadata.name.as_deref() == Some(name)).unwrap();
    let mut value = serde_json::to_value(&*one).unwrap();
    change(&mut value["spec"]);
    *one = serde_json::from_value(value).unwrap();
}

#[tokio::test]
async fn planted_bad_policies_are_caught_by_the_connection_they_open_or_close() {
    let Some(helm) = Helm::find().unwrap() else { return };
    let installed = Installed::new(&helm, &["quickstart"]);
    let people = people(&installed, "live");
    let good = network(&installed, &people);
    let caught = |spoil: &dyn Fn(&mut Vec<NetworkPolicy>)| {
        let mut network = good.clone();
        spoil(&mut network.policies);
        differences(&quickstart(false), &people.able(&network))
    };
    let has = |found: &[String], one: &str| {
        assert!(found.iter().any(|line| line == one), "{one} is not among {found:#?}");
    };

    let open = caught(&|policies| {
        spoil(policies, "millrace-quickstart-postgres", |spec| spec["ingress"] = json!([{}]));
    });
    has(&open, "+ internet → quickstart-postgres:5432 Tcp");

    let no_default = caught(&|policies| {
        policies.retain(|one| one.metadata.name.as_deref() != Some("millrace-deny"));
    });
    has(&no_default, "+ operator → neighbour:443 Tcp");

    let misspelt = caught(&|policies| {
        spoil(policies, "millrace-ingest", |spec| {
            spec["ingress"][0]["ports"][0]["port"] = json!("rtpm");
        });
    });
    has(&misspelt, "- publisher → ingest:1935 Tcp");

    let one_sided = caught(&|policies| {
        spoil(policies, "millrace-transcode", |spec| {
            spec["egress"].as_array_mut().unwrap().pop();
        });
    });
    has(&one_sided, "- transcode → quickstart-s3:9000 Tcp");

    let admin = caught(&|policies| {
        spoil(policies, "millrace-delivery", |spec| {
            spec["ingress"][0]["ports"] = json!([{ "port": "http" }, { "port": "admin" }]);
        });
    });
    has(&admin, "+ internet → delivery:8081 Tcp");
}
