//! What a whole Millrace tells on the topic of events.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use millrace_harness::events::check;
use millrace_harness::manifest::Manifest;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use crate::stage::{Stage, watch_for};

/// An event: its id, its type's name, its data.
#[derive(Debug)]
struct Told {
    id: String,
    kind: String,
    data: Value,
}

/// The stream's events from the first on, until one of this type.
fn until(stage: &Stage, last: &str) -> Vec<Told> {
    let (topic, brokers) = stage.events_topic();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "e2e")
        .create()
        .unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..4 {
        all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let (mut told, start) = (Vec::new(), Instant::now());
    loop {
        assert!(start.elapsed() < Duration::from_mins(1), "no {last} in {told:#?}");
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) else { continue };
        let headers = message.headers().unwrap();
        let header = |name| {
            let found = headers.iter().find(|header| header.key == name).unwrap();
            String::from_utf8(found.value.unwrap().to_vec()).unwrap()
        };
        let kind = header("ce_type");
        let data: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
        check(&kind, &data).unwrap();
        let kind = kind.replace("dev.millrace.", "");
        let done = kind == last;
        told.push(Told { id: header("ce_id"), kind, data });
        if done {
            return told;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_stream_is_told_as_docs_say() {
    let stage = Stage::open_beside(&Manifest::new("told")).await;
    let publisher = stage.publish();
    let mut viewer = stage.viewer().await;
    watch_for(&mut viewer, Duration::from_secs(8)).await;
    publisher.stop().await;
    let told = tokio::task::block_in_place(|| until(&stage, "StreamEnded"));
    stage.close().await;

    let ids: HashSet<_> = told.iter().map(|event| &event.id).collect();
    assert_eq!(ids.len(), told.len(), "{told:#?}");
    let place = |kind: &str| told.iter().position(|event| event.kind == kind).unwrap();
    assert!(place("StreamProvisioned") < place("StreamStarted"), "{told:#?}");
    let broadcast = &told[place("StreamStarted")].data["broadcast"];
    assert_eq!(&told[place("StreamEnded")].data["broadcast"], broadcast);
    let segments: Vec<_> = told.iter().filter(|e| e.kind == "SegmentGenerated").collect();
    for (msn, segment) in segments.iter().enumerate() {
        assert_eq!(segment.data["broadcast"], *broadcast);
        assert_eq!(segment.data["msn"], msn);
    }
    assert!(segments.len() >= 3 && segments.iter().any(|s| s.data["restart"].is_object()));
}
