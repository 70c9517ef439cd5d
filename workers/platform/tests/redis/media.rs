//! What a writer publishes, when Redis loses it.

use bytes::Bytes;
use millrace_media::id::{BroadcastId, Msn, Run, StreamId};
use millrace_media::published::{Access, BroadcastInfo, Entry, FrameRate, InitHash, PartInfo};
use millrace_media::time::Ticks;
use millrace_platform::names::redis_keys::MediaKeys;
use millrace_platform::redis::Redis;
use millrace_platform::redis::media::{
    EntryId, Holder, Lease, MediaError, MediaWriter, Outcome, Write,
};
use uuid::Uuid;

use crate::server::{Server, config, installation};

fn part(number: u32) -> PartInfo {
    PartInfo {
        msn: Msn(9),
        part: number,
        run: Run(1),
        start: 0,
        duration: 18_000,
        bytes: 5,
        independent: true,
        discontinuities: 0,
        date_ms: 0,
        init: InitHash::of(b"init"),
        base: None,
    }
}

/// A broadcast without renditions.
pub(crate) fn info(stream: &StreamId, broadcast: BroadcastId) -> BroadcastInfo {
    BroadcastInfo {
        stream: stream.clone(),
        broadcast,
        started_ms: 0,
        segment_duration: Ticks::from_ms(2_000),
        part_target: Ticks::from_ms(215),
        dvr_window: Ticks::from_ms(120_000),
        frame_rate: FrameRate { num: 30, den: 1 },
        renditions: Vec::new(),
        ended: false,
        access: Access::default(),
    }
}

/// A writer with the lease, and its stream.
async fn writer(server: &Server) -> (MediaWriter, StreamId) {
    let redis = Redis::connect(&config(server).media, "media").unwrap();
    let stream: StreamId = "a.b".parse().unwrap();
    let lease =
        Lease { broadcast: BroadcastId(Uuid::now_v7()), run: Run(1), token: Uuid::new_v4() };
    let writer = MediaWriter::new(redis, &installation(), &stream, lease);
    writer.claim().await.unwrap();
    (writer, stream)
}

static BYTES: Bytes = Bytes::from_static(b"media");

/// Writes these parts in one round trip.
async fn write(writer: &MediaWriter, parts: &[PartInfo]) -> Vec<Result<Outcome, MediaError>> {
    let all: Vec<_> = parts.iter().map(|part| Write::Part(part, &BYTES)).collect();
    writer.publish_all(&"480p".parse().unwrap(), &all).await.unwrap()
}

/// What is listed: part and run of each.
async fn listed(writer: &MediaWriter, stream: &StreamId) -> Vec<(u32, u64)> {
    let (broadcast, name) = (writer.lease().broadcast, "480p".parse().unwrap());
    let entries = writer.reader().entries(stream, broadcast, &name, EntryId::START).await.unwrap();
    let part = |entry: Entry| match entry {
        Entry::Part(part) => (part.part, part.run.0),
        other => panic!("{other:?}"),
    };
    entries.into_iter().map(part).collect()
}

#[tokio::test]
async fn of_several_in_one_round_trip_none_follows_what_somebody_else_wrote() {
    let server = Server::start();
    let (writer, stream) = writer(&server).await;
    let parts: Vec<_> = (0..7).map(part).collect();
    let told = |outcomes: Vec<Result<Outcome, MediaError>>| -> Vec<_> {
        outcomes.into_iter().map(Result::unwrap).collect()
    };
    assert_eq!(told(write(&writer, &parts[..2]).await), [Outcome::New, Outcome::New]);
    let again = [Outcome::Repeated, Outcome::Repeated, Outcome::New, Outcome::New];
    assert_eq!(told(write(&writer, &parts[..4]).await), again);

    let other = PartInfo { run: Run(2), ..part(4) };
    write(&writer, std::slice::from_ref(&other)).await;
    let kept = [Outcome::Kept(Entry::Part(other)), Outcome::NotTried, Outcome::NotTried];
    assert_eq!(told(write(&writer, &parts[4..]).await), kept);
    let there = [(0, 1), (1, 1), (2, 1), (3, 1), (4, 2)];
    assert_eq!(listed(&writer, &stream).await, there);
}

#[tokio::test]
async fn what_a_viewer_begins_with_lives_for_as_long_as_parts_come() {
    let server = Server::start();
    let (writer, stream) = writer(&server).await;
    let broadcast = writer.lease().broadcast;
    let init = Bytes::from_static(b"init");
    writer.put_broadcast(&info(&stream, broadcast)).await.unwrap();
    writer.put_init(&InitHash::of(&init), &init).await.unwrap();
    write(&writer, &[part(0)]).await;

    let keys = MediaKeys::new(&installation(), &stream);
    let playlist = keys.playlist(broadcast, &"480p".parse().unwrap());
    let init = keys.init(broadcast, &InitHash::of(&init));
    let mut client = server.client(1).await;
    // As if a day were nearly over.
    for key in [keys.writer(), keys.broadcast(), playlist, init] {
        let expire = redis::cmd("EXPIRE").arg(&key).arg(9).query_async::<bool>(&mut client).await;
        assert!(expire.unwrap(), "{key}");
        write(&writer, &[part(1)]).await;
        let life: i64 = redis::cmd("TTL").arg(&key).query_async(&mut client).await.unwrap();
        assert!(life > 9, "{key} has {life} s");
    }
}

#[tokio::test]
async fn a_redis_that_is_full_says_so_and_nothing_counts_as_late() {
    let server = Server::start();
    let (writer, stream) = writer(&server).await;
    let parts: Vec<_> = (0..4).map(part).collect();
    write(&writer, &parts[..1]).await;

    let mut client = server.client(0).await;
    let mut limit = async |bytes: u32| {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("maxmemory").arg(bytes);
        set.query_async::<()>(&mut client).await.unwrap();
    };
    limit(1).await;
    let full = |error: &MediaError| {
        assert!(matches!(error, MediaError::Redis(e) if e.is_transient()), "{error:?}");
    };
    for outcome in write(&writer, &parts[1..3]).await {
        match outcome {
            Err(error) => full(&error),
            Ok(outcome) => assert_eq!(outcome, Outcome::NotTried),
        }
    }
    let entry = ("480p".parse().unwrap(), Entry::Part(part(1)));
    full(&writer.restore(&[entry]).await.unwrap_err());

    limit(0).await;
    for outcome in write(&writer, &parts[1..]).await {
        assert_eq!(outcome.unwrap(), Outcome::New);
    }
    assert_eq!(listed(&writer, &stream).await, [(0, 1), (1, 1), (2, 1), (3, 1)]);
}

#[tokio::test]
async fn a_server_that_became_a_replica_is_not_asked_on_the_same_connection_again() {
    let server = Server::start();
    let (writer, _) = writer(&server).await;
    write(&writer, &[part(0)]).await;
    let mut client = server.client(0).await;
    let mut replica_of = async |host: &str, port: &str| {
        let mut command = redis::cmd("REPLICAOF");
        command.arg(host).arg(port).query_async::<()>(&mut client).await.unwrap();
    };
    // Nobody is there.
    replica_of("127.0.0.1", "1").await;
    let connections = server.connections().await;
    for _ in 0..2 {
        assert!(write(&writer, &[part(1)]).await.pop().unwrap().is_err());
    }
    // One is that of who asks.
    assert!(server.connections().await > connections + 1);
    replica_of("NO", "ONE").await;
    assert_eq!(write(&writer, &[part(1)]).await.pop().unwrap().unwrap(), Outcome::New);
}

#[tokio::test]
async fn what_follows_an_entry_that_redis_has_lost_is_refused_whoever_has_the_lease() {
    let server = Server::start();
    let redis = Redis::connect(&config(&server).media, "media").unwrap();
    let stream: StreamId = "a.b".parse().unwrap();
    let lease =
        Lease { broadcast: BroadcastId(Uuid::now_v7()), run: Run(1), token: Uuid::new_v4() };
    let writer = MediaWriter::new(redis, &installation(), &stream, lease);
    let [one, other] = ["480p", "720p"].map(|name| name.parse().unwrap());
    let bytes = Bytes::from_static(b"media");
    let last = |number| Some(EntryId::of(&Entry::Part(part(number))));
    writer.claim().await.unwrap();
    for rung in [&one, &other] {
        writer.publish_part(rung, &part(0), &bytes).await.unwrap();
        let next = writer.clone().after(last(0)).publish_part(rung, &part(1), &bytes).await;
        assert_eq!(next.unwrap(), Outcome::New);
    }

    let mut client = server.client(0).await;
    redis::cmd("FLUSHALL").query_async::<()>(&mut client).await.unwrap();
    let after = writer.clone().after(last(1));
    let refused = after.publish_part(&one, &part(2), &bytes).await;
    assert!(matches!(refused, Err(MediaError::LeaseLost)), "{refused:?}");
    writer.claim().await.unwrap();
    writer.publish_part(&one, &part(2), &bytes).await.unwrap();
    // The other rendition's entries are gone all the same.
    let refused = after.publish_part(&other, &part(2), &bytes).await;
    assert!(matches!(refused, Err(MediaError::LeaseLost)), "{refused:?}");
    // And so are those that are there, but older.
    writer.publish_part(&other, &part(0), &bytes).await.unwrap();
    let refused = after.publish_part(&other, &part(2), &bytes).await;
    assert!(matches!(refused, Err(MediaError::LeaseLost)), "{refused:?}");
    assert_eq!(writer.publish_part(&other, &part(2), &bytes).await.unwrap(), Outcome::New);
}

#[tokio::test]
async fn a_reader_is_told_who_writes_and_where_each_rendition_ends() {
    let server = Server::start();
    let redis = Redis::connect(&config(&server).media, "media").unwrap();
    let stream: StreamId = "a.b".parse().unwrap();
    let broadcast = BroadcastId(Uuid::now_v7());
    let lease = |run| Lease { broadcast, run: Run(run), token: Uuid::new_v4() };
    let names = ["480p", "720p"].map(|name| name.parse().unwrap());
    let first = MediaWriter::new(redis.clone(), &installation(), &stream, lease(1));
    let reader = first.reader();
    assert_eq!(reader.holder(&stream).await.unwrap(), None);
    assert_eq!(reader.newest(&stream, broadcast, &names).await.unwrap(), [None, None]);

    first.claim().await.unwrap();
    for number in 0..2 {
        let bytes = Bytes::from_static(b"media");
        first.publish_part(&names[0], &part(number), &bytes).await.unwrap();
    }
    let lease = lease(7);
    MediaWriter::new(redis, &installation(), &stream, lease).claim().await.unwrap();
    let newest = reader.newest(&stream, broadcast, &names).await.unwrap();
    assert_eq!(newest, [Some(Entry::Part(part(1))), None]);
    let holder = reader.holder(&stream).await.unwrap().unwrap();
    let token = Some(lease.token);
    assert_eq!(holder, Holder { broadcast: broadcast.to_string(), run: Run(7), token });
}

#[tokio::test]
async fn a_broadcast_takes_no_lease_where_a_later_one_is_described_that_goes_on() {
    let server = Server::start();
    let redis = Redis::connect(&config(&server).media, "media").unwrap();
    let stream: StreamId = "a.b".parse().unwrap();
    let writer = |broadcast| {
        let lease = Lease { broadcast, run: Run(1), token: Uuid::new_v4() };
        MediaWriter::new(redis.clone(), &installation(), &stream, lease)
    };
    let [earlier, later] = [1, 2].map(|n| BroadcastId(Uuid::from_u128(n)));
    let on = writer(later);
    let key = MediaKeys::new(&installation(), &stream).writer();
    let info = info(&stream, later);
    on.claim().await.unwrap();
    on.put_broadcast(&info).await.unwrap();
    let mut client = server.client(1).await;
    let fenced = async |run, token| {
        let refused = writer(earlier).claim().await;
        let by = Holder { broadcast: later.to_string(), run: Run(run), token };
        let fenced = matches!(&refused, Err(MediaError::Fenced { by: it }) if *it == by);
        assert!(fenced, "{refused:?}");
    };
    fenced(1, Some(on.lease().token)).await;
    redis::cmd("DEL").arg(&key).query_async::<()>(&mut client).await.unwrap();
    fenced(0, None).await;
    on.claim().await.unwrap();
    on.publish_end(&info, &[]).await.unwrap();
    redis::cmd("DEL").arg(&key).query_async::<()>(&mut client).await.unwrap();
    writer(earlier).claim().await.unwrap();
}
