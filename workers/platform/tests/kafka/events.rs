//! The schemas of the events, and that what the code says is what they say.

use std::collections::{BTreeMap, BTreeSet};

use millrace_harness::events::check;
use millrace_media::id::{BroadcastId, Epoch, Msn, Run};
use millrace_media::published::InitHash;
use millrace_platform::kafka::EventType;
use millrace_platform::kafka::events::data::{
    EventData, QualityChanged, RestartPoint, Rung, Segment, SegmentGenerated, StreamEnded,
    StreamFailed, StreamInterrupted, StreamProvisioned, StreamResumed, StreamStarted, ViewerJoined,
    ViewerLeft,
};
use uuid::Uuid;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events");

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let files: BTreeMap<_, _> = EventType::ALL.map(EventType::schema_file).into();
    for (name, schema) in &files {
        let committed = std::fs::read_to_string(format!("{FOLDER}/{name}")).unwrap_or_default();
        assert!(*schema == committed, "docs/events/{name} is stale: run `make events`");
    }
    let there = std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().file_name());
    let there: BTreeSet<_> = there.map(|name| name.into_string().unwrap()).collect();
    let expected = files.into_keys().chain(["README.md".to_owned()]).collect();
    assert_eq!(there, expected);
}

/// One of every kind, with and without what may be missing.
fn samples() -> Vec<EventData> {
    let (broadcast, session) = (BroadcastId(Uuid::now_v7()), Uuid::now_v7());
    let (epoch, started_ms) = (Epoch(u64::MAX), 1_764_000_000_000);
    let reason = "unpublished".to_owned();
    let rung = Rung { name: "720p".parse().unwrap(), height: 720, bitrate_kbps: 3_000 };
    let segment = |gap| Segment {
        msn: Msn(7),
        run: Run(1),
        start: -1,
        duration: 180_000,
        bytes: 0,
        discontinuities: 0,
        date_ms: started_ms,
        init: InitHash::of(b"init"),
        gap,
    };
    let restart = RestartPoint { offset: 5, snapshot: "e30=".to_owned() };
    let segments = |restart| SegmentGenerated {
        broadcast,
        msn: Msn(7),
        segments: [("720p", false), ("audio", true)]
            .map(|(name, gap)| (name.parse().unwrap(), segment(gap)))
            .into(),
        restart,
    };
    let mut samples: Vec<EventData> = vec![
        StreamProvisioned {
            uid: "u".to_owned(),
            broadcaster: "acme".to_owned(),
            ladder: vec![rung],
        }
        .into(),
        StreamStarted { broadcast, epoch, started_ms }.into(),
        StreamInterrupted { broadcast, epoch, started_ms }.into(),
        StreamResumed { broadcast, epoch, started_ms }.into(),
        StreamEnded { broadcast, epoch, started_ms, reason: reason.clone() }.into(),
        StreamFailed { broadcast, epoch, started_ms, reason }.into(),
        segments(None).into(),
        segments(Some(restart)).into(),
    ];
    let rung = || "720p".parse().unwrap();
    for (broadcast, rendition) in [(None, None), (Some(broadcast), Some(rung()))] {
        samples.extend::<[EventData; 3]>([
            ViewerJoined { broadcast, session, source: "beacon", rendition: rendition.clone() }
                .into(),
            QualityChanged { broadcast, session, from: rung(), to: "480p".parse().unwrap() }.into(),
            ViewerLeft { broadcast, session, rendition, watch_ms: 1, stalls: 0, dropped_frames: 2 }
                .into(),
        ]);
    }
    samples
}

#[test]
fn what_the_types_say_is_what_their_schemas_say() {
    let samples = samples();
    for sample in &samples {
        let data = serde_json::to_value(sample).unwrap();
        check(sample.kind().as_str(), &data).unwrap();
        // And the check can fail: every field that is required is.
        let schema = sample.kind().schema();
        let properties = schema["properties"].as_object().unwrap();
        for field in data.as_object().unwrap().keys() {
            assert!(properties.contains_key(field), "{field} is in no schema");
            let mut less = data.clone();
            less.as_object_mut().unwrap().remove(field);
            let required = schema["required"].as_array().unwrap().contains(&field.as_str().into());
            assert_eq!(check(sample.kind().as_str(), &less).is_err(), required, "{field}");
        }
    }
    let kinds: BTreeSet<_> = samples.iter().map(|sample| sample.kind().as_str()).collect();
    assert_eq!(kinds, EventType::ALL.map(EventType::as_str).into());
}

#[test]
fn every_field_is_explained_and_no_field_may_hold_a_secret() {
    for kind in EventType::ALL {
        let schema = kind.schema();
        assert!(schema["description"].is_string(), "{}", kind.name());
        for (field, says) in schema["properties"].as_object().unwrap() {
            assert!(says["description"].is_string(), "{} {field}", kind.name());
            for word in ["key", "secret", "address", "ip"] {
                assert!(!field.to_lowercase().split('_').any(|part| part == word), "{field}");
            }
        }
    }
}
