//! Addresses for every kind of Service and host.

use serde_json::{Value, json};

use super::*;
use crate::reconcile::build::playback_rules::PlaybackRules;
use crate::reconcile::validate::tests::valid as stream;

fn installation() -> Installation {
    let rules = json!([{
        "gateways": [
            { "namespace": "edge", "name": "tls" },
            { "namespace": "edge", "name": "plain", "https": false },
        ],
    }]);
    Installation {
        public_url: Some("https://video.example/".to_owned()),
        external_host: Some("nodes.example".to_owned()),
        playback_rules: serde_json::from_value::<PlaybackRules>(rules).unwrap(),
        ..Installation::default()
    }
}

fn rtmp(ingest: &Value, observed: &ObservedService) -> Option<String> {
    let stream = stream(json!({ "ingest": ingest }));
    endpoints(&stream, &installation(), &Circumstances::default(), observed).rtmp
}

fn observed(service: Value) -> ObservedService {
    ObservedService::of(&serde_json::from_value(service).unwrap())
}

#[test]
fn a_publisher_is_led_as_far_out_as_the_service_reaches() {
    let nothing = ObservedService::default();
    let node = observed(json!({ "spec": { "ports": [{ "port": 1935, "nodePort": 30123 }] } }));
    let balanced =
        |by: Value| observed(json!({ "status": { "loadBalancer": { "ingress": [by] } } }));
    let tls = json!({ "secretName": "a" });
    let kind = |kind: &str| json!({ "service": { "type": kind } });
    let over_tls =
        |kind: &str| json!({ "service": { "type": kind }, "protocol": "RTMPS", "tls": tls });
    let local = "keynote-rtmp.events.svc.cluster.local";
    let cases = [
        (kind("ClusterIP"), nothing.clone(), Some(format!("rtmp://{local}:1935/live"))),
        (over_tls("ClusterIP"), nothing.clone(), Some(format!("rtmps://{local}:443/live"))),
        (kind("NodePort"), nothing.clone(), None),
        (kind("NodePort"), node.clone(), Some("rtmp://nodes.example:30123/live".to_owned())),
        (over_tls("NodePort"), node, Some("rtmps://nodes.example:30123/live".to_owned())),
        (kind("LoadBalancer"), nothing, None),
        (
            kind("LoadBalancer"),
            balanced(json!({ "ip": "192.0.2.7" })),
            Some("rtmp://192.0.2.7:1935/live".to_owned()),
        ),
        (
            kind("LoadBalancer"),
            balanced(json!({ "ip": "2001:db8::7" })),
            Some("rtmp://[2001:db8::7]:1935/live".to_owned()),
        ),
        (
            over_tls("LoadBalancer"),
            balanced(json!({ "hostname": "lb.cloud.example" })),
            Some("rtmps://lb.cloud.example:443/live".to_owned()),
        ),
    ];
    for (ingest, observed, address) in cases {
        assert_eq!(rtmp(&ingest, &observed), address, "{ingest} {observed:?}");
    }
}

#[test]
fn without_an_external_host_a_node_port_has_no_address() {
    let stream = stream(json!({ "ingest": { "service": { "type": "NodePort" } } }));
    let installation = Installation { external_host: None, ..installation() };
    let node = ObservedService { node_port: Some(30_123), ..ObservedService::default() };
    let found = endpoints(&stream, &installation, &Circumstances::default(), &node);
    assert_eq!(found.rtmp, None);
}

fn viewers(playback: &Value, verdict: HostVerdict) -> Endpoints {
    let seen = Circumstances { host: verdict, ..Circumstances::default() };
    let stream = stream(json!({ "playback": playback }));
    endpoints(&stream, &installation(), &seen, &ObservedService::default())
}

#[test]
fn viewers_are_led_to_the_own_host_or_the_shared_one() {
    let gateway = |name: &str| json!({ "hostname": "own.example", "gateway": { "namespace": "edge", "name": name } });
    let cases = [
        (json!({}), HostVerdict::Granted, "https://video.example"),
        (json!({ "hostname": "own.example" }), HostVerdict::Granted, "http://own.example"),
        (json!({ "hostname": "own.example" }), HostVerdict::Refused, "https://video.example"),
        (
            json!({ "hostname": "own.example", "tls": { "secretName": "a" } }),
            HostVerdict::Granted,
            "https://own.example",
        ),
        (gateway("tls"), HostVerdict::Granted, "https://own.example"),
        (gateway("plain"), HostVerdict::Granted, "http://own.example"),
    ];
    for (playback, verdict, base) in cases {
        let found = viewers(&playback, verdict);
        assert_eq!(
            found.hls.unwrap(),
            format!("{base}/hls/events.keynote/index.m3u8"),
            "{playback}"
        );
    }
}

#[test]
fn a_stream_has_every_kind_of_address() {
    let found = viewers(&json!({}), HostVerdict::Granted);
    let all = [found.hls, found.dash, found.websocket, found.player].map(Option::unwrap);
    assert_eq!(
        all,
        [
            "https://video.example/hls/events.keynote/index.m3u8",
            "https://video.example/dash/events.keynote/manifest.mpd",
            "wss://video.example/ws/stream/events.keynote",
            "https://video.example/watch/events.keynote",
        ]
    );
}

#[test]
fn without_a_public_url_viewers_have_no_address() {
    let installation = Installation { public_url: None, ..installation() };
    let found = endpoints(
        &stream(json!({})),
        &installation,
        &Circumstances::default(),
        &ObservedService::default(),
    );
    assert_eq!(Endpoints { rtmp: None, ..found }, Endpoints::default());
}
