//! Values that can't be meant are refused, by the name of the value.

use millrace_chart::helm::Helm;

/// What is set on top of a good set, and what the message has to name.
const TABLE: [(&str, &str, &str); 48] = [
    ("quickstart", "replicas=2", "'replicas' not allowed"),
    ("quickstart", "delivery.replica=2", "'replica' not allowed"),
    ("quickstart", "delivery.replicas=0", "/delivery/replicas"),
    ("quickstart", "delivery.replicas=two", "/delivery/replicas"),
    ("quickstart", "delivery.maxConnections=0", "/delivery/maxConnections"),
    ("quickstart", "delivery.cacheMegabytes=1.5", "/delivery/cacheMegabytes"),
    ("quickstart", "delivery.metricsRetentionDays=0", "/delivery/metricsRetentionDays"),
    ("quickstart", "delivery.trustedProxies={10.0.0.1}", "/delivery/trustedProxies/0"),
    ("quickstart", "delivery.cdn.covers=pages", "/delivery/cdn/covers"),
    ("quickstart", "delivery.service.type=Ingress", "/delivery/service/type"),
    ("quickstart", "delivery.service.nodePort=30080", "delivery.service.nodePort"),
    ("quickstart", "delivery.resources.limit.cpu=1", "'limit' not allowed"),
    ("quickstart", "delivery.resources.requests.cpu=much", "/delivery/resources/requests/cpu"),
    ("quickstart", "delivery.podLabels.a=1", "/delivery/podLabels/a"),
    ("quickstart", "ingress.enabled=true", "delivery.trustedProxies"),
    ("quickstart", "ingress.hosts={https://video.example}", "/ingress/hosts/0"),
    ("quickstart", "publicUrl=video.example", "/publicUrl"),
    ("quickstart", "operator.replicas=0", "/operator/replicas"),
    ("quickstart", "operator.keyBcryptCost=12", "/operator/keyBcryptCost"),
    ("quickstart", "operator.concurrency=1000", "/operator/concurrency"),
    ("quickstart", "image.pullPolicy=Sometimes", "/image/pullPolicy"),
    ("quickstart", "image.operator.digest=abc", "/image/operator/digest"),
    ("quickstart", "image.tag=a b", "/image/tag"),
    ("quickstart", "installation=Blue", "/installation"),
    ("quickstart", "log.format=xml", "/log/format"),
    ("quickstart", "watchNamespaces={a_b}", "/watchNamespaces/0"),
    ("quickstart", "workers.createNamespace=true", "workers.createNamespace"),
    ("quickstart", "workers.namespace=a.b", "/workers/namespace"),
    ("quickstart", "migrations.enabled=soon", "/migrations/enabled"),
    ("quickstart", "networkPolicies.dns.ports={}", "/networkPolicies/dns/ports"),
    ("quickstart", "networkPolicies.publishers[0].cidr=10.0.0.0/8", "'cidr' not allowed"),
    ("quickstart", "playback.maxTokenHours=0", "/playback/maxTokenHours"),
    ("quickstart", "playback.rules[0].namespaces={a}", "hostSuffixes"),
    ("quickstart", "quickstart.storage.kafka=big", "/quickstart/storage/kafka"),
    ("quickstart", "redis.url=redis://r:1", "quickstart.enabled"),
    ("quickstart", "connections.existingSecret=a", "connections.existingOperatorSecret"),
    ("directory", "postgres.host=", "postgres.host"),
    ("directory", "postgres.owner.user=", "postgres.owner.user"),
    ("directory", "postgres.worker.user=w", "postgres.worker.password"),
    ("directory", "postgres.worker.user=owner", "postgres.worker.user is the owner"),
    ("directory", "redis.url=redis://:hunter2@r:1/3", "redis.url must have no database"),
    ("directory", "redis.mediaUrl=http://:hunter2@r:1", "redis.mediaUrl"),
    ("directory", "kafka.brokers=kafka", "/kafka/brokers"),
    ("directory", "kafka.sasl.mechanism=PLAIN", "kafka.sasl.username"),
    ("directory", "objectStore.claim=", "objectStore.claim"),
    ("directory", "objectStore.url=s3://b", "objectStore.claim"),
    ("directory", "workers.namespace=media", "objectStore.claim"),
    ("references", "certificateAuthority.pem=x", "/certificateAuthority/pem"),
];

#[test]
fn every_wrong_value_is_refused_by_its_name_and_no_password_is_shown() {
    let Some(helm) = Helm::find().unwrap() else { return };
    for set in super::SETS {
        helm.render("live", &[set]).unwrap();
    }
    for (set, wrong, named) in TABLE {
        let output = helm.template("live", &[set, wrong]).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{wrong} is accepted");
        assert!(said.contains(named), "{wrong}: {said}");
        assert!(!said.contains("hunter2"), "{wrong}: {said}");
    }
}
