//! Who may have which name, as tables.

use super::*;
use crate::reconcile::build::playback_rules::PlaybackRules;

fn installation() -> Installation {
    let rules = serde_json::json!([
        {
            "namespaces": ["events"],
            "hostSuffixes": ["events.example.org"],
            "ingressClasses": ["public"],
            "gateways": [{ "namespace": "edge", "name": "main" }],
        },
        { "namespaces": ["*"], "hostSuffixes": ["open.example.org"] },
    ]);
    Installation {
        public_url: Some("https://video.open.example.org:8443/base".to_owned()),
        default_ingress_class: Some("usual".to_owned()),
        playback_rules: serde_json::from_value::<PlaybackRules>(rules).unwrap(),
        ..Installation::default()
    }
}

fn claim(uid: &str, namespace: &str, created: i64, host: &str) -> HostClaim {
    HostClaim {
        uid: uid.to_owned(),
        namespace: namespace.to_owned(),
        name: format!("stream-{uid}"),
        created,
        host: host.to_owned(),
        route: None,
    }
}

#[test]
fn a_namespace_has_the_names_its_rules_give_it() {
    let cases = [
        ("events", "a.events.example.org", true),
        ("events", "a.b.events.example.org", true),
        ("events", "events.example.org", true),
        ("events", "a.open.example.org", true),
        ("other", "a.open.example.org", true),
        ("other", "a.events.example.org", false),
        ("events", "badevents.example.org", false),
        ("events", "example.org", false),
        ("events", "events.example.org.evil.net", false),
        // The installation's own.
        ("events", "video.open.example.org", false),
    ];
    for (namespace, host, good) in cases {
        let result = check(&claim("1", namespace, 0, host), &installation(), []);
        assert_eq!(result.is_ok(), good, "{namespace} {host}");
        if let Err(problem) = result {
            assert!(matches!(problem, HostProblem::HostNotAllowed { .. }), "{problem}");
            assert!(problem.to_string().starts_with("spec.playback.hostname"), "{problem}");
        }
    }
}

#[test]
fn a_domain_may_be_written_in_every_usual_way() {
    let allows = |suffix: &str, host: &str| {
        let rules = serde_json::json!([{ "namespaces": ["*"], "hostSuffixes": [suffix] }]);
        let playback_rules = serde_json::from_value(rules).unwrap();
        let installation = Installation { playback_rules, ..Installation::default() };
        check(&claim("1", "events", 0, host), &installation, []).is_ok()
    };
    for suffix in ["example.org", ".example.org", "*.example.org", "*"] {
        assert!(allows(suffix, "a.example.org") && allows(suffix, "example.org"), "{suffix}");
        assert_eq!(allows(suffix, "bad-example.org"), suffix == "*", "{suffix}");
    }
    assert!(!allows("", "a.example.org"));
}

#[test]
fn without_rules_nobody_has_a_name() {
    let none = Installation::default();
    assert!(check(&claim("1", "events", 0, "a.example.org"), &none, []).is_err());
}

#[test]
fn a_route_is_given_by_the_rule_that_gives_the_name() {
    let gateway = |namespace: &str, name: &str| {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Route::Gateway(GatewayParent { name, namespace, section_name: None })
    };
    let class = |name: &str| Route::Ingress(name.to_owned());
    let (events, open) = ("a.events.example.org", "a.open.example.org");
    let cases = [
        (events, class("public"), None),
        (events, class("usual"), None),
        (open, class("usual"), None),
        (open, class("public"), Some("spec.playback.ingressClassName")),
        (events, class("internal"), Some("spec.playback.ingressClassName")),
        (events, gateway("edge", "main"), None),
        (open, gateway("edge", "main"), Some("spec.playback.gateway")),
        (events, gateway("events", "main"), Some("spec.playback.gateway")),
        (events, gateway("edge", "other"), Some("spec.playback.gateway")),
    ];
    for (host, route, refused) in cases {
        let asked = HostClaim { route: Some(route.clone()), ..claim("1", "events", 0, host) };
        let field = match check(&asked, &installation(), []) {
            Ok(()) => None,
            Err(HostProblem::HostNotAllowed { field, .. }) => Some(field),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(field, refused, "{host} {route:?}");
    }
}

#[test]
fn of_all_who_may_have_a_name_exactly_the_first_made_has_it() {
    let host = "a.events.example.org";
    let claims = [
        // Older than all, and not allowed: it keeps the name from nobody.
        claim("0", "other", 10, host),
        claim("c", "events", 30, host),
        claim("b", "events", 20, host),
        claim("a", "events", 20, host),
        claim("d", "events", 5, "b.events.example.org"),
    ];
    let mut reversed = claims.clone();
    reversed.reverse();
    for all in [&claims, &reversed] {
        let winners: Vec<_> = all
            .iter()
            .filter(|claim| claim.host == host && check(claim, &installation(), all).is_ok())
            .map(|claim| claim.uid.as_str())
            .collect();
        assert_eq!(winners, ["a"]);
        let problem = check(&claims[1], &installation(), all).unwrap_err();
        assert!(matches!(problem, HostProblem::HostTaken { .. }), "{problem}");
    }
}

#[test]
fn who_has_a_name_is_told_within_the_namespace_only() {
    let host = "a.open.example.org";
    let owner = claim("1", "events", 1, host);
    let told = |asker: &HostClaim| check(asker, &installation(), [&owner]).unwrap_err().to_string();
    assert!(told(&claim("2", "events", 2, host)).contains("stream-1"));
    let abroad = told(&claim("2", "other", 2, host));
    assert!(!abroad.contains("stream-1") && !abroad.contains("events"), "{abroad}");
}

#[test]
fn a_claim_is_read_from_the_resource_and_ends_with_its_deletion() {
    let mut stream: LiveStream = serde_json::from_value(serde_json::json!({
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "LiveStream",
        "metadata": {
            "name": "keynote", "namespace": "events", "uid": "u",
            "creationTimestamp": "1970-01-01T00:01:40Z",
        },
        "spec": { "broadcaster": "acme", "playback": { "hostname": "a.example.org" } },
    }))
    .unwrap();
    let read = HostClaim::of(&stream).unwrap();
    assert_eq!((read.created, read.host.as_str(), read.route), (100, "a.example.org", None));
    stream.metadata.deletion_timestamp = stream.metadata.creation_timestamp.clone();
    assert_eq!(HostClaim::of(&stream), None);
}
