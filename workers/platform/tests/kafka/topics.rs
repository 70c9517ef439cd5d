//! Topics made, changed and deleted.

use std::time::Duration;

use millrace_platform::kafka::{Ensured, KafkaError, LogReader, ReaderOptions, Start, TopicSpec};

use crate::support::{PATIENCE, World};

const WINDOW: Duration = Duration::from_mins(15);

#[tokio::test]
async fn a_frames_topic_is_made_as_the_log_needs_it_and_left_alone_when_it_is_right() {
    let world = World::new();
    let spec = TopicSpec::frames(&world.installation, &world.stream, WINDOW, 1);
    let admin = world.admin();
    assert_eq!(admin.describe(&spec.name).await.unwrap(), None);
    assert_eq!(admin.ensure(&spec).await.unwrap(), Ensured::Created);
    assert_eq!(admin.ensure(&spec).await.unwrap(), Ensured::Unchanged);
    let config = admin.describe(&spec.name).await.unwrap().unwrap();
    for (name, value) in [
        ("cleanup.policy", "delete"),
        ("retention.ms", "900000"),
        ("segment.ms", "60000"),
        ("message.timestamp.type", "LogAppendTime"),
        ("max.message.bytes", "1048576"),
    ] {
        assert_eq!(config.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[tokio::test]
async fn another_replay_window_changes_the_retention_and_keeps_the_records() {
    let world = World::new();
    let admin = world.admin();
    let spec = TopicSpec::frames(&world.installation, &world.stream, WINDOW, 1);
    admin.ensure(&spec).await.unwrap();
    let producer = world.producer();
    producer.send(&spec.name, "k", b"record").unwrap().wait().await.unwrap();
    // What an administrator sets besides stays.
    let mut by_hand = spec.clone();
    by_hand.config.insert("retention.bytes".to_owned(), "2000000000".to_owned());
    assert_eq!(admin.ensure(&by_hand).await.unwrap(), Ensured::Altered);
    let longer = TopicSpec::frames(&world.installation, &world.stream, WINDOW * 4, 1);
    assert_eq!(admin.ensure(&longer).await.unwrap(), Ensured::Altered);
    let config = admin.describe(&spec.name).await.unwrap().unwrap();
    assert_eq!(config.get("retention.bytes").map(String::as_str), Some("2000000000"));
    assert_eq!(config.get("retention.ms").map(String::as_str), Some("3600000"));
    assert_eq!(config.get("segment.ms").map(String::as_str), Some("60000"));
    assert_eq!(producer.watermarks(&spec.name).await.unwrap().high, 1);
}

#[tokio::test]
async fn several_that_make_one_topic_at_once_all_find_it_made() {
    let world = World::new();
    let spec = TopicSpec::events(&world.installation, 4, 1);
    let made = (0..8).map(|_| {
        let (admin, spec) = (world.admin(), spec.clone());
        tokio::spawn(async move { admin.ensure(&spec).await.unwrap() })
    });
    let made: Vec<_> = futures::future::join_all(made).await;
    let created = made.iter().filter(|m| matches!(m, Ok(Ensured::Created))).count();
    assert_eq!(created, 1, "{made:?}");
}

#[tokio::test]
async fn a_deleted_topic_is_gone_for_readers_and_deleting_it_again_is_fine() {
    let world = World::new();
    let admin = world.admin();
    let spec = TopicSpec::frames(&world.installation, &world.stream, WINDOW, 1);
    admin.ensure(&spec).await.unwrap();
    admin.delete(&spec.name).await.unwrap();
    admin.delete(&spec.name).await.unwrap();
    let start = tokio::time::Instant::now();
    loop {
        // Brokers tell each other a moment later.
        let options = ReaderOptions::default();
        match LogReader::open(&world.kafka, &spec.name, Start::Beginning, options).await {
            Err(KafkaError::TopicMissing { topic, .. }) => {
                assert_eq!(topic, spec.name);
                break;
            }
            other => assert!(start.elapsed() < PATIENCE, "{other:?}"),
        }
    }
    assert_eq!(admin.describe(&spec.name).await.unwrap(), None);
}

#[tokio::test]
async fn brokers_that_are_away_are_an_error_that_may_pass() {
    let world = World::on("127.0.0.1:1");
    let spec = TopicSpec::events(&world.installation, 1, 1);
    let admin = world.admin();
    for refused in [
        admin.ensure(&spec).await.err(),
        admin.describe(&spec.name).await.err(),
        admin.delete(&spec.name).await.err(),
    ] {
        let error = refused.unwrap();
        assert!(error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    }
}
