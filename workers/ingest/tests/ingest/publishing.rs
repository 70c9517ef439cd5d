//! What publishers do, and what the log has of it.

use crate::support::publisher::{Answer, Publisher};
use crate::support::{World, tell};
use millrace_media::record::{Body, Record};
use tokio::net::TcpStream;

fn ends(records: &[Record]) -> bool {
    matches!(records.last(), Some(Record { body: Body::End(_), .. }))
}

pub(crate) fn opens(records: &[Record]) -> Vec<&millrace_media::record::Open> {
    let open = |r| match r {
        &Record { body: Body::Open(ref open), .. } => Some(open),
        _ => None,
    };
    records.iter().filter_map(open).collect()
}

#[tokio::test]
async fn what_is_published_is_in_the_log_in_order_with_facts_before_keyframes() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    publisher.gops(0, 2).await;
    publisher.unpublish().await;

    let records = world.records_when(ends).await;
    let gop = |first: &str| {
        let mut words = vec![first.to_owned(), "1 audio".to_owned()];
        words.extend(["1 video", "1 audio"].map(str::to_owned).into_iter().cycle().take(8));
        words
    };
    let mut expected = vec!["1 open", "1 video config", "1 audio config"]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    expected.extend(gop("1 video key"));
    expected.extend(["1 facts", "1 video config again", "1 audio config again"].map(str::to_owned));
    expected.extend(gop("1 video key"));
    expected.push("1 end Unpublished".to_owned());
    assert_eq!(tell(&records), expected);

    let frames = records.iter().filter_map(|r| match &r.body {
        Body::Frame(frame) => Some(frame),
        _ => None,
    });
    for (number, frame) in frames.clone().enumerate() {
        assert_eq!(frame.sequence, u64::try_from(number).unwrap());
        assert!(frame.arrival_ms > 1_700_000_000_000);
    }
    let last = frames.last().unwrap();
    assert_eq!((last.time_ms, &last.payload[2..]), (9 * 40, &[0, 0, 0, 9][..]));
}

#[tokio::test]
async fn the_row_follows_the_broadcast() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    let records = world.records_when(|r| !r.is_empty()).await;
    let broadcast = opens(&records)[0].broadcast;
    publisher.configs().await;
    publisher.gops(0, 1).await;
    wait_for_status(&world, broadcast, "Active").await;
    publisher.unpublish().await;
    wait_for_status(&world, broadcast, "Ended").await;
    let row = world.broadcasts.find(broadcast).await.unwrap().unwrap();
    assert_eq!(row.end_reason.as_deref(), Some("unpublished"));
    assert_eq!(row.opened.key_id, *world.key.id());
}

pub(crate) async fn wait_for_status(
    world: &World,
    broadcast: millrace_media::id::BroadcastId,
    status: &str,
) {
    for _ in 0..300 {
        let row = world.broadcasts.find(broadcast).await.unwrap();
        if row.as_ref().is_some_and(|row| format!("{:?}", row.status) == status) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the row is {:?}", world.broadcasts.find(broadcast).await);
}

#[tokio::test]
async fn a_publisher_back_within_the_window_goes_on_in_the_same_broadcast() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    for round in 0..2 {
        let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
        publisher.configs().await;
        publisher.gops(round, 1).await;
        // Gone without a word.
        drop(publisher);
        ingest.line("interrupted");
    }
    let records = world.records_when(|r| opens(r).len() == 2).await;
    let opens = opens(&records);
    assert_eq!(opens[0].broadcast, opens[1].broadcast);
    assert_eq!(opens[0].started_ms, opens[1].started_ms);
    assert!(tell(&records).contains(&"2 open".to_owned()), "{:?}", tell(&records));
    assert!(!ends(&records));
}

#[tokio::test]
async fn an_end_that_came_in_counts_though_no_answer_gets_out_any_more() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let socket = TcpStream::connect(&ingest.rtmp).await.unwrap();
    // Closing it resets the connection, as it does where an answer lies unread.
    socket.set_zero_linger().unwrap();
    // What was sent is on its way by then.
    socket.set_nodelay(true).unwrap();
    let answer = Publisher::ask_over(socket, "live", &world.key.reveal()).await;
    let Answer::Accepted(mut publisher) = answer else { panic!("{answer:?}") };
    publisher.wants_acknowledgements().await;
    publisher.configs().await;
    publisher.gops(0, 1).await;
    world.records_when(|records| records.len() == 13).await;

    // More than is read in one go, so that an answer comes in between.
    ingest.signal("-STOP");
    for picture in 5..13 {
        let body = [&[0x27, 1, 0, 0, 0], [0; 5_000].as_slice()].concat();
        publisher.video(picture * 40, body).await;
    }
    publisher.unpublish().await;
    ingest.signal("-CONT");
    let records = world.records_when(ends).await;
    assert_eq!(tell(&records).last().unwrap(), "1 end Unpublished");
    assert_eq!(records.len(), 13 + 8 + 1);
}

#[tokio::test]
async fn after_the_window_the_broadcast_ends_and_the_next_publisher_begins_another() {
    let world = World::new().await;
    let ingest = world.ingest(&[("RECONNECT_WINDOW_SECONDS", "1")]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    publisher.gops(0, 1).await;
    drop(publisher);
    let records = world.records_when(ends).await;
    assert_eq!(tell(&records).last().unwrap(), "1 end ReconnectWindow");

    let _publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    let records = world.records_when(|r| opens(r).len() == 2).await;
    assert_ne!(opens(&records)[0].broadcast, opens(&records)[1].broadcast);
    assert_eq!(tell(&records).last().unwrap(), "2 open");
}

#[tokio::test]
async fn a_new_process_ends_the_broadcast_that_a_killed_one_left_open() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    publisher.gops(0, 3).await;
    world.records_when(|r| tell(r).iter().filter(|w| w.contains("key")).count() == 3).await;
    ingest.kill();
    let _ingest = world.ingest(&[("RECONNECT_WINDOW_SECONDS", "1")]);
    let records = world.records_when(ends).await;
    assert_eq!(tell(&records).last().unwrap(), "1 end ReconnectWindow");
}

#[tokio::test]
async fn a_new_process_takes_the_broadcast_up_where_a_killed_one_left_it() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    publisher.gops(0, 1).await;
    world.records_when(|r| r.len() > 5).await;
    ingest.kill();
    let ingest = world.ingest(&[]);
    let _publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    let records = world.records_when(|r| opens(r).len() == 2).await;
    assert_eq!(opens(&records)[0].broadcast, opens(&records)[1].broadcast);
    assert_eq!(tell(&records).last().unwrap(), "2 open");
}

#[tokio::test]
async fn a_stopping_process_flushes_the_log_and_ends_no_broadcast() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    publisher.gops(0, 20).await;
    world.records_when(|r| !r.is_empty()).await;
    ingest.metric("millrace_ingest_frames_total{track=\"audio\"} 101").await;
    assert_eq!(ingest.terminate().await, 0);
    assert_eq!(publisher.status().await.as_deref(), Some("NetStream.Publish.Failed"));
    let records = world.records().await;
    let frames = records.iter().filter(|r| matches!(&r.body, Body::Frame(f) if !f.config)).count();
    assert_eq!(frames, 200);
    assert!(!ends(&records));
}

#[tokio::test]
async fn a_live_publisher_stays_and_a_second_one_is_told_so() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut first = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    first.configs().await;
    match Publisher::ask(&ingest.rtmp, "live", &world.key.reveal()).await {
        Answer::Refused(code) => assert_eq!(code, "NetStream.Publish.BadName"),
        Answer::Accepted(_) => panic!("two publishers"),
    }
    ingest.metric("millrace_ingest_refused_total{reason=\"taken\"} 1").await;
    first.gops(0, 1).await;
    world.records_when(|r| tell(r).contains(&"1 video key".to_owned())).await;
}

#[tokio::test]
async fn a_silent_publisher_gives_way_to_a_second_one() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut first = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    first.configs().await;
    let start = tokio::time::Instant::now();
    let mut second = loop {
        match Publisher::ask(&ingest.rtmp, "live", &world.key.reveal()).await {
            Answer::Accepted(publisher) => break publisher,
            Answer::Refused(_) => {
                assert!(start.elapsed().as_secs() < 9, "the first was not yet idle");
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            }
        }
    };
    assert_eq!(first.status().await.as_deref(), Some("NetStream.Publish.BadName"));
    second.configs().await;
    second.gops(0, 1).await;
    let records = world.records_when(|r| tell(r).contains(&"2 video key".to_owned())).await;
    assert_eq!(opens(&records)[0].broadcast, opens(&records)[1].broadcast);
}

#[tokio::test]
async fn what_came_while_ingest_stood_still_is_no_silence() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    publisher.gops(0, 1).await;
    world.records_when(|r| tell(r).contains(&"1 video key".to_owned())).await;
    ingest.signal("-STOP");
    // Longer than a publisher may be silent; this one is not.
    tokio::time::sleep(std::time::Duration::from_secs(9)).await;
    publisher.gops(1, 1).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    ingest.signal("-CONT");
    publisher.gops(2, 1).await;
    publisher.unpublish().await;
    let told = tell(&world.records_when(ends).await);
    let keys = told.iter().filter(|what| *what == "1 video key").count();
    assert_eq!((keys, told.last().map(String::as_str)), (3, Some("1 end Unpublished")), "{told:?}");
}
