//! What a stream has in Postgres and Kafka follows its spec and its Secret.

#[cfg(test)]
mod servers;

use std::collections::BTreeMap;

use millrace_operator::api::LiveStream;
use millrace_operator::reconcile::build::publish_keys_secret::{NamedKey, PreviousKey, StreamKeys};
use millrace_operator::reconcile::external::{self, External};
use millrace_operator::reconcile::validate::validate;
use millrace_operator::reconcile::validated::ValidatedStream;
use millrace_platform::config::{DatabaseConfig, Env, Installation, KafkaConfig};
use millrace_platform::kafka::Admin;
use millrace_platform::keys::{Hasher, generate};
use millrace_platform::names::topics;
use millrace_platform::postgres::Database;
use millrace_platform::postgres::keys::{KeyFilter, KeySource, Keys, NewKey, StoredKey};
use millrace_platform::postgres::outbox::Outbox;
use millrace_platform::postgres::page::PageRequest;
use servers::Servers;

#[cfg(test)]
mod help {
    use super::*;

    pub(crate) fn stream(spec: &str) -> ValidatedStream {
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

    pub(crate) fn env(servers: &Servers) -> Env {
        Env::from_pairs(servers.pairs())
    }

    pub(crate) fn named() -> NamedKey {
        NamedKey { current: generate(&mut rand::rng()).unwrap(), rotation: 0, previous: None }
    }

    pub(crate) fn one(key: &NamedKey) -> StreamKeys {
        StreamKeys(BTreeMap::from([("main".to_owned(), key.clone())]))
    }

    /// The table as the installation sees it.
    pub(crate) fn table(servers: &Servers) -> Keys {
        let env = env(servers);
        let database = Database::open(&DatabaseConfig::read(&env).unwrap()).unwrap();
        Keys::new(database, Installation::read(&env).unwrap())
    }

    /// Its rows.
    pub(crate) async fn rows(servers: &Servers) -> Vec<StoredKey> {
        let page = PageRequest::default();
        table(servers).list(&KeyFilter::default(), &page).await.unwrap().items
    }
}
use help::{env, named, one, rows, stream, table};

#[tokio::test]
async fn a_key_of_the_secret_gets_a_row_that_knows_it_and_keeps_it() {
    let servers = Servers::new();
    let outside = External::open(&env(&servers)).unwrap();
    let stream = stream("{ broadcaster: acme }");
    let key = named();
    external::apply(&outside, &stream, &one(&key)).await.unwrap();
    let first = rows(&servers).await;
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].key.broadcaster, "acme");
    assert!(Hasher::default().verify(&key.current, &first[0].key.hash).await.unwrap());

    external::apply(&outside, &stream, &one(&key)).await.unwrap();
    let again = rows(&servers).await;
    assert_eq!(again[0].key.hash, first[0].key.hash, "nothing was written again");
}

#[tokio::test]
async fn a_rotated_key_gets_an_end_and_a_lost_one_is_revoked() {
    let servers = Servers::new();
    let outside = External::open(&env(&servers)).unwrap();
    let stream = stream("{ broadcaster: acme }");
    let old = named();
    external::apply(&outside, &stream, &one(&old)).await.unwrap();

    let previous = PreviousKey { key: old.current.clone(), until: 4_000_000_000 };
    let rotated = NamedKey { rotation: 1, previous: Some(previous), ..named() };
    external::apply(&outside, &stream, &one(&rotated)).await.unwrap();
    let keys = table(&servers);
    let old_row = keys.find(old.current.id()).await.unwrap().unwrap();
    assert!(old_row.active);
    assert_eq!(old_row.key.expires_ms, Some(4_000_000_000_000));

    let other = named();
    external::apply(&outside, &stream, &one(&other)).await.unwrap();
    for gone in [&old, &rotated] {
        assert!(!keys.find(gone.current.id()).await.unwrap().unwrap().active);
    }
    assert!(keys.find(other.current.id()).await.unwrap().unwrap().active);
}

#[tokio::test]
async fn a_provisioned_stream_is_told_once_however_often_it_is_said() {
    let servers = Servers::new();
    let outside = External::open(&env(&servers)).unwrap();
    let stream = stream("{ broadcaster: acme }");
    for _ in 0..2 {
        external::events::provisioned(&outside, &stream).await.unwrap();
    }
    let database = Database::open(&DatabaseConfig::read(&env(&servers)).unwrap()).unwrap();
    let outbox = Outbox::new(database, Installation::read(&env(&servers)).unwrap());
    let told = outbox.fetch(10).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].source.as_str(), &told[0].stream), ("operator", &stream.id));
    let data: serde_json::Value = serde_json::from_str(&told[0].data).unwrap();
    millrace_harness::events::check("dev.millrace.StreamProvisioned", &data).unwrap();
    assert_eq!(data["uid"], "6f1c1a52-8a0f-4c1e-9d5e-0c6a2f6f7a11");
    assert_eq!(data["ladder"][2]["bitrateKbps"], 5_000);
}

#[tokio::test]
async fn keys_of_the_api_are_left_alone() {
    let servers = Servers::new();
    let outside = External::open(&env(&servers)).unwrap();
    let stream = stream("{ broadcaster: acme }");
    let keys = table(&servers);
    let key = generate(&mut rand::rng()).unwrap();
    let row = NewKey {
        id: key.id().clone(),
        stream: stream.id.clone(),
        name: "guest".to_owned(),
        broadcaster: "acme".to_owned(),
        hash: Hasher::default().hash(&key).await.unwrap(),
        source: KeySource::Api,
        expires_ms: None,
    };
    keys.upsert(&row).await.unwrap();
    external::apply(&outside, &stream, &one(&named())).await.unwrap();
    assert!(keys.find(key.id()).await.unwrap().unwrap().active);
}

#[tokio::test]
async fn the_frames_topic_follows_the_replay_window() {
    let servers = Servers::new();
    let outside = External::open(&env(&servers)).unwrap();
    let admin = Admin::open(&KafkaConfig::read(&env(&servers)).unwrap()).unwrap();
    let installation = Installation::read(&env(&servers)).unwrap();
    for (window, retention) in [("15m", "900000"), ("1h", "3600000")] {
        let stream =
            stream(&format!("{{ broadcaster: acme, ingest: {{ replayWindow: {window} }} }}"));
        external::apply(&outside, &stream, &StreamKeys::default()).await.unwrap();
        let name = topics::frames_topic(&installation, &stream.id);
        let config = admin.describe(&name).await.unwrap().unwrap();
        assert_eq!(config["retention.ms"], retention);
        assert_eq!(config["message.timestamp.type"], "LogAppendTime");
    }
}
