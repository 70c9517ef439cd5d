//! The children of streams as a person would review them: `tests/golden`, a
//! folder per case, a file per child.
//!
//! `UPDATE_GOLDEN=1 cargo test -p millrace-operator --test golden` writes them
//! again; then read the difference.

#![expect(clippy::unwrap_used, reason = "tests and what helps them")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use millrace_operator::api::LiveStream;
use millrace_operator::reconcile::build::installation::MediaVolume;
use millrace_operator::reconcile::build::publish_keys_secret::{
    self, NamedKey, PreviousKey, StreamKeys,
};
use millrace_operator::reconcile::build::{
    Certificate, Circumstances, Installation, Transcoders, children,
};
use millrace_operator::reconcile::validate::validate;
use millrace_operator::reconcile::validated::ValidatedStream;
use serde::Serialize;

fn stream(spec: &str) -> ValidatedStream {
    let text = format!(
        "apiVersion: millrace.dev/v1alpha1
kind: LiveStream
metadata: {{ name: keynote, namespace: events, uid: 6f1c1a52-8a0f-4c1e-9d5e-0c6a2f6f7a11 }}
spec: {spec}
"
    );
    let stream: LiveStream = serde_yaml::from_str(&text).unwrap();
    validate(&stream).unwrap()
}

fn installation() -> Installation {
    Installation { image: "millrace:test".to_owned(), ..Installation::default() }
}

/// Compare with the golden file; `None` is a child that is not to be there.
fn check(case: &str, child: &str, object: Option<&impl Serialize>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(case)
        .join(format!("{child}.yaml"));
    let written = object.map(|object| serde_yaml::to_string(object).unwrap());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match &written {
            Some(text) => fs::write(&path, text).unwrap(),
            None => drop(fs::remove_file(&path)),
        }
    }
    let golden = fs::read_to_string(&path).ok();
    assert!(written == golden, "{case}/{child} is not what is built now:\n{written:?}");
}

fn check_all(case: &str, spec: &str, installation: &Installation, seen: &Circumstances) {
    let built = children(&stream(spec), installation, seen);
    check(case, "ingest-deployment", built.ingest.as_ref());
    check(case, "ingest-service", Some(&built.ingest_service));
    check(case, "ingest-budget", built.ingest_budget.as_ref());
    check(case, "transcode-deployment", built.transcode.as_ref());
    check(case, "local-name", Some(&built.local_name));
    check(case, "rtmps-certificate", built.rtmps_certificate.as_ref());
    check(case, "playback-certificate", built.playback_certificate.as_ref());
    check(case, "ingress", built.ingress.as_ref());
    check(case, "http-route", built.http_route.as_ref());
}

#[test]
fn a_stream_of_defaults() {
    check_all("defaults", "{ broadcaster: acme }", &installation(), &Circumstances::default());
}

const FULL: &str = "
  broadcaster: acme
  ingest:
    protocol: RTMPS
    service: { type: LoadBalancer }
    tls: { secretName: keynote-rtmps }
    reconnectWindow: 2m
    replayWindow: 1h
    maxBitrateKbps: 8000
    takeover: Always
  ladder: [{ name: low, height: 360, bitrateKbps: 800 }]
  transcode:
    preset: veryfast
    tune: film
    threads: 4
    redundancy: 2
    idle: ScaleToZero
    resources: { requests: { cpu: '1.5', memory: 512Mi }, limits: { cpu: 2000m, memory: 1024Mi } }
    scheduling:
      nodeSelector: { media: ssd }
      priorityClassName: live
      tolerations: [{ key: media, operator: Exists, effect: NoSchedule }]
  packaging: { segmentDuration: 4s, partDuration: 333ms, dvrWindow: 10m }
  playback:
    hostname: keynote.example.org
    ingressClassName: public
    tls: { secretName: keynote-https }
  deletionPolicy: Delete
";

fn full_installation() -> Installation {
    Installation {
        id: "blue".to_owned(),
        workers_namespace: "media".to_owned(),
        image_pull_policy: "Always".to_owned(),
        image_pull_secrets: vec!["registry".to_owned()],
        connections: "servers".to_owned(),
        ca_config_map: Some("authority".to_owned()),
        media_volume: Some(MediaVolume {
            claim: "millrace-media".to_owned(),
            path: "/var/lib/millrace/media".to_owned(),
            group: 10_001,
        }),
        ..installation()
    }
}

fn certificates() -> Circumstances {
    let certificate = |name: &str| {
        Some(Certificate {
            chain: format!("the chain for {name}").into_bytes(),
            key: format!("the key for {name}").into_bytes(),
        })
    };
    Circumstances {
        rtmps_certificate: certificate("publishers"),
        playback_certificate: certificate("viewers"),
        ..Circumstances::default()
    }
}

#[test]
fn a_stream_with_everything_set() {
    check_all("full", FULL, &full_installation(), &certificates());
}

#[test]
fn a_suspended_stream_keeps_its_addresses_and_runs_nothing() {
    let spec = format!("{FULL}\n  suspend: true\n");
    check_all("suspended", &spec, &full_installation(), &certificates());
}

#[test]
fn a_live_stream_keeps_its_ingest_pod_and_its_templates() {
    let seen = Circumstances { live: true, ..Circumstances::default() };
    check_all("live", "{ broadcaster: acme }", &installation(), &seen);
}

#[test]
fn a_drain_opens_the_budget_of_a_live_stream() {
    let seen = Circumstances { live: true, draining: true, ..Circumstances::default() };
    let drained = children(&stream("{ broadcaster: acme }"), &installation(), &seen);
    let idle =
        children(&stream("{ broadcaster: acme }"), &installation(), &Circumstances::default());
    assert_eq!(drained, idle);
}

#[test]
fn a_stream_under_a_gateway_in_the_workers_namespace() {
    let spec = "
  broadcaster: acme
  ingest: { service: { type: NodePort } }
  playback:
    hostname: keynote.example.org
    gateway: { name: edge, namespace: gateways, sectionName: https }
";
    let installation = Installation { workers_namespace: "events".to_owned(), ..installation() };
    check_all("gateway", spec, &installation, &Circumstances::default());
}

#[test]
fn what_is_logged_of_children_holds_no_key() {
    let built = children(&stream(FULL), &full_installation(), &certificates());
    let said = format!("{built:?} {:?}", certificates());
    assert!(said.contains("Secret keynote-45d33c86-rtmps-tls"), "{said}");
    let bytes = format!("{:?}", b"the key for publishers");
    assert!(!said.contains("the key") && !said.contains(&bytes[1..20]), "{said}");
}

#[test]
fn transcoders_sleep_only_where_the_spec_lets_them() {
    let seen = Circumstances { transcoders: Transcoders::Asleep, ..Circumstances::default() };
    for (idle, replicas) in [("AlwaysOn", 1), ("ScaleToZero", 0)] {
        let stream = stream(&format!("{{ broadcaster: acme, transcode: {{ idle: {idle} }} }}"));
        let built = children(&stream, &installation(), &seen);
        assert_eq!(built.transcode.unwrap().spec.unwrap().replicas, Some(replicas), "{idle}");
    }
}

#[test]
fn the_publish_keys_secret_holds_the_key_and_the_one_before_and_reads_back() {
    let key = |text: &str| text.parse().unwrap();
    let keys = StreamKeys(BTreeMap::from([(
        "main".to_owned(),
        NamedKey {
            current: key("aaaaaaaaaaaaaaaa_0000000000000000000000000000000000000000"),
            rotation: 3,
            previous: Some(PreviousKey {
                key: key("bbbbbbbbbbbbbbbb_1111111111111111111111111111111111111111"),
                until: 1_800_000_000,
            }),
        },
    )]));
    let secret = publish_keys_secret::build(&stream("{ broadcaster: acme }"), &keys);
    check("publish-keys", "secret", Some(&secret));
    assert_eq!(publish_keys_secret::read(&secret), keys);
}
