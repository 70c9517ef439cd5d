//! Where secrets are not: nothing that is written tells a publish key, and ffmpeg, which parses what
//! strangers send, reads none.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use millrace_harness::clip;
use millrace_harness::publisher::{self, Source};
use serde_json::Value;

use crate::command::kubectl;
use crate::containers;
use crate::livestream::KEYNOTE;
use crate::on_air::OnAir;
use crate::place::Place;
use crate::release::NAMESPACE;

/// Port of a component's metrics.
const METRICS: [(&str, u16); 4] =
    [("operator", 8090), ("ingest", 8090), ("transcode", 8090), ("delivery", 8081)];
/// A publish key that nobody has.
const WRONG: &str = "nobody_c2VjcmV0LW9mLW5vYm9keS1hdC1hbGwtMDEyMzQ1Njc4OTA";

/// What is written where: texts by their place.
type Written = BTreeMap<String, String>;

async fn logs(written: &mut Written) -> Result<()> {
    let list = kubectl(&["-n", NAMESPACE, "get", "pods", "-o", "json"]).await?;
    let list: Value = serde_json::from_str(&list)?;
    for pod in list["items"].as_array().context("no pods")? {
        let name = pod["metadata"]["name"].as_str().context("no name")?;
        let all = ["-n", NAMESPACE, "logs", name, "--all-containers"];
        written.insert(format!("the log of {name}"), kubectl(&all).await?);
        // Of the container before, where there was one.
        if let Ok(before) = kubectl(&[&all[..], &["--previous"]].concat()).await {
            written.insert(format!("the earlier log of {name}"), before);
        }
    }
    Ok(())
}

async fn metrics(written: &mut Written) -> Result<()> {
    for (component, port) in METRICS {
        for container in containers::of(component).await? {
            let name = container.pod;
            let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}:{port}/proxy/metrics");
            written.insert(format!("metrics of {name}"), kubectl(&["get", "--raw", &path]).await?);
        }
    }
    Ok(())
}

/// Files of Kafka's topics that hold a text. Records are not compressed.
async fn topics(text: &str) -> Result<String> {
    containers::exec(
        "quickstart-kafka",
        &format!("grep -rlaF -e '{text}' /data/kafka/log || [ $? = 1 ]"),
    )
    .await
}

/// Everything else that a key could have been written to.
async fn everything() -> Result<Written> {
    let mut written = Written::new();
    logs(&mut written).await?;
    metrics(&mut written).await?;
    let events = kubectl(&["get", "events", "--all-namespaces", "-o", "json"]).await?;
    written.insert("Events".to_owned(), events);
    let statuses = kubectl(&["get", "livestreams", "--all-namespaces", "-o", "json"]).await?;
    written.insert("LiveStreams".to_owned(), statuses);
    let dump = "PGPASSWORD=$POSTGRES_PASSWORD pg_dump -h 127.0.0.1 -U postgres millrace";
    written.insert("Postgres".to_owned(), containers::exec("quickstart-postgres", dump).await?);
    Ok(written)
}

#[tokio::test]
#[ignore = "needs a cluster with nodes: make e2e"]
async fn publish_keys_are_in_no_log_metric_event_topic_or_table() {
    let place = Place::of_environment().unwrap();
    let mut on_air = OnAir::start(&place).await.unwrap();
    // A key that is not known, and one whose id is known and whose secret is wrong.
    let key = KEYNOTE.key().await.unwrap();
    let (id, secret) = key.split_once('_').unwrap();
    let wrong: String = secret.chars().rev().collect();
    let rtmp = KEYNOTE.endpoint("rtmp", "rtmp://").await.unwrap();
    let source = Source::Loop(clip::looping(|_| {}).await.unwrap());
    for refused in [WRONG.to_owned(), format!("{id}_{wrong}")] {
        let limit = Duration::from_secs(30);
        let outcome = publisher::until_it_ends(&source, &rtmp, &refused, limit).await.unwrap();
        assert!(!outcome.status.success(), "{}", outcome.said);
    }
    on_air.goes_on().await.unwrap();
    let written = everything().await.unwrap();
    let hidden = [secret, &wrong, WRONG.split_once('_').unwrap().1];
    let mut in_topics = Vec::new();
    for text in hidden {
        in_topics.push(topics(text).await.unwrap());
    }
    let about_the_stream = topics(&KEYNOTE.id()).await.unwrap();
    on_air.end().await.unwrap();

    // It was looked at the right places.
    let found = |place: &str, text: &str| written[place].contains(text);
    assert!(found("Postgres", id), "Postgres has no key {id}");
    assert!(about_the_stream.contains("stream-events"), "{about_the_stream}");
    assert!(about_the_stream.contains("stream-frames"), "{about_the_stream}");
    assert!(found("Events", "LiveStream"), "there is no Event of a LiveStream");
    for component in ["operator", "ingest", "transcode", "delivery"] {
        for kind in ["the log", "metrics"] {
            let there = |(place, text): (&String, &String)| {
                place.starts_with(kind) && place.contains(component) && text.contains("millrace")
            };
            assert!(written.iter().any(there), "{kind} of {component}");
        }
    }
    let refused = |text: &String| text.contains("refused");
    assert!(written.values().any(refused), "no log tells of a refused publisher");

    assert_eq!(in_topics, [""; 3], "Kafka's files that tell a key");
    for hidden in hidden {
        let told = written.iter().filter(|(_, text)| text.contains(hidden));
        let places: Vec<_> = told.map(|(place, _)| place).collect();
        assert!(places.is_empty(), "a key is told in {places:?}");
    }
}

#[tokio::test]
#[ignore = "needs a cluster with nodes: make e2e"]
async fn ffmpeg_reads_no_secret() {
    let place = Place::of_environment().unwrap();
    let on_air = OnAir::start(&place).await.unwrap();
    // As ffmpeg could: as its user, in its container, which sees the same processes.
    let read = async |what: &str| {
        let find = "for process in /proc/[0-9]*; do
            [ \"$(cat $process/comm)\" = ffmpeg ] && break; done
          parent=/proc/$(sed -n 's/^PPid:\t//p' $process/status)";
        containers::exec("transcode", &format!("{find}; {what} 2>&1; true")).await.unwrap()
    };
    let user = read("id -u; sed -n 's/^Uid:\t\\([0-9]*\\).*/\\1/p' $process/status").await;
    let own = read("cat $process/environ").await;
    let parent = read("cat $parent/comm").await;
    let environment = read("cat $parent/environ").await;
    let memory = read("head -c 1 $parent/mem").await;
    let descriptors = read("ls $parent/fd").await;
    let files = read("ls -d /run/secrets /var/run/secrets /etc/millrace").await;
    on_air.end().await.unwrap();

    let users: Vec<&str> = user.lines().collect();
    assert!(users.len() == 2 && users[0] == users[1], "not ffmpeg's user: {user}");
    assert_eq!(own, "", "ffmpeg's environment");
    assert_eq!(parent.trim(), "millrace-transc");
    for closed in [environment, memory, descriptors] {
        assert!(closed.contains("Permission denied"), "{}", closed.escape_default());
    }
    let found = files.lines().filter(|line| line.starts_with('/')).count();
    assert_eq!(found, 0, "{files}");
}
