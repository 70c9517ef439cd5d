//! The log read from a place, and places remembered.

use std::time::Duration;

use millrace_platform::kafka::{
    Checkpoint, Checkpoints, Committed, KafkaError, LogReader, ReaderOptions, Start, TopicSpec,
    Watermarks,
};
use millrace_platform::names::topics;

use crate::support::{PATIENCE, World};

async fn log(world: &World, records: u32) -> String {
    let spec = TopicSpec::frames(&world.installation, &world.stream, Duration::from_mins(15), 1);
    world.admin().ensure(&spec).await.unwrap();
    let producer = world.producer();
    let sent = (0..records).map(|n| producer.send(&spec.name, "k", &n.to_be_bytes()).unwrap());
    let sent: Vec<_> = sent.collect();
    for (n, delivery) in (0..).zip(sent) {
        assert_eq!(delivery.wait().await.unwrap().offset, n);
    }
    spec.name
}

#[tokio::test]
async fn a_reader_starts_at_any_record_and_knows_how_far_the_end_is() {
    let world = World::new();
    let topic = log(&world, 10).await;
    for (start, first) in [(Start::Beginning, 0_i64), (Start::Offset(7), 7)] {
        let options = ReaderOptions::default();
        let reader = LogReader::open(&world.kafka, &topic, start, options).await.unwrap();
        assert_eq!(reader.watermarks().await.unwrap(), Watermarks { low: 0, high: 10 });
        let record = tokio::time::timeout(PATIENCE, reader.next()).await.unwrap().unwrap();
        assert_eq!(record.offset, first);
        assert_eq!(record.payload, u32::try_from(first).unwrap().to_be_bytes().as_slice());
    }
}

#[tokio::test]
async fn an_offset_that_is_not_in_the_log_says_what_is() {
    let world = World::new();
    let topic = log(&world, 3).await;
    let options = ReaderOptions::default();
    match LogReader::open(&world.kafka, &topic, Start::Offset(4), options).await {
        Err(KafkaError::OutOfRange { offset: 4, low: 0, high: 3, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_checkpoint_carries_its_metadata_and_never_goes_back() {
    let world = World::new();
    let topic = log(&world, 10).await;
    let group = topics::checkpoint_group(&world.installation, &world.stream);
    let open = || Checkpoints::open(&world.kafka, &group, &topic).unwrap();
    let at = |offset| Checkpoint { offset, metadata: format!("state at {offset}") };
    let first = open();
    assert_eq!(first.load().await.unwrap(), None);
    assert_eq!(first.commit(at(5)).await.unwrap(), Committed::Stored);
    // Another process.
    let second = open();
    assert_eq!(second.load().await.unwrap(), Some(at(5)));
    assert_eq!(second.commit(at(4)).await.unwrap(), Committed::Behind(at(5)));
    assert_eq!(second.commit(at(8)).await.unwrap(), Committed::Stored);
    assert_eq!(first.load().await.unwrap(), Some(at(8)));
}

#[tokio::test]
async fn a_checkpoint_of_a_log_that_was_made_anew_goes_back() {
    let world = World::new();
    let topic = log(&world, 3).await;
    let group = topics::checkpoint_group(&world.installation, &world.stream);
    let checkpoints = Checkpoints::open(&world.kafka, &group, &topic).unwrap();
    let at = |offset| Checkpoint { offset, metadata: String::new() };
    // As if the log before had reached so far.
    assert_eq!(checkpoints.commit(at(1_000)).await.unwrap(), Committed::Stored);
    assert_eq!(checkpoints.commit(at(2)).await.unwrap(), Committed::Stored);
    assert_eq!(checkpoints.load().await.unwrap(), Some(at(2)));
}
