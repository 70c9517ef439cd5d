//! What a LiveStream has outside goes when it is gone, and nothing else does.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use millrace_media::id::{BroadcastId, Epoch, KeyId, Run, StreamId};
use millrace_media::published::InitHash;
use millrace_operator::reconcile::external::sweep::{Presence, View, look};
use millrace_operator::reconcile::external::{External, Reason, keys, registry, topics};
use millrace_operator::reconcile::validated::ValidatedStream;
use millrace_platform::config::StoreConfig;
use millrace_platform::kafka::{Checkpoint, Checkpoints};
use millrace_platform::keys::{Verdict, Verdicts};
use millrace_platform::names::topics::{checkpoint_group, frames_topic};
use millrace_platform::postgres::broadcasts::{Broadcasts, Opened};
use millrace_platform::redis::Redis;
use millrace_platform::redis::media::{Lease, MediaWriter};
use millrace_platform::redis::metrics::{Counters, MetricsStore};
use millrace_platform::redis::viewers::Viewers;
use millrace_platform::store::Store;
use uuid::Uuid;

use crate::servers::Servers;
use crate::support::{World, key, named, one};

/// Long enough for every test.
const NOW: Duration = Duration::ZERO;

/// What a watch of LiveStreams would show.
#[derive(Default)]
struct Watch(Mutex<Option<Vec<(String, StreamId)>>>);

impl Watch {
    fn shows(&self, streams: &[&ValidatedStream]) {
        let of = |s: &&ValidatedStream| (s.uid.as_str().to_owned(), s.id.clone());
        *self.0.lock().unwrap() = Some(streams.iter().map(of).collect());
    }

    fn fails(&self) {
        *self.0.lock().unwrap() = None;
    }
}

impl Presence for Watch {
    fn view(&self) -> Option<View> {
        self.0.lock().unwrap().clone().map(View::from_iter)
    }

    fn is_there(&self, stream: &StreamId) -> bool {
        self.0.lock().unwrap().as_ref().is_none_or(|all| all.iter().any(|(_, id)| id == stream))
    }
}

/// A world with an object store.
struct Place {
    world: World,
    store: Store,
    _folder: tempfile::TempDir,
}

/// A name that nobody else has.
fn unique() -> String {
    format!("s{:016x}", rand::random::<u64>())
}

fn a_stream(name: &str, policy: &str) -> ValidatedStream {
    let spec = format!("{{ broadcaster: acme, deletionPolicy: {policy} }}");
    named(name, &Uuid::new_v4().to_string(), &spec)
}

impl Place {
    fn new() -> Self {
        Self::on(Servers::new())
    }

    fn on(servers: Servers) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().display());
        let world = World::with(servers, &[("OBJECT_STORE_URL", url)]);
        let config = StoreConfig::read(&world.env).unwrap();
        let store = Store::open(&config, &world.installation).unwrap();
        Self { world, store, _folder: folder }
    }

    fn outside(&self) -> &External {
        &self.world.outside
    }

    /// Makes everything that a stream can have, and leaves a broadcast open.
    async fn fill(&self, stream: &ValidatedStream) -> (KeyId, BroadcastId) {
        let (world, id) = (&self.world, &stream.id);
        registry::register(self.outside(), stream).await.unwrap();
        topics::ensure(self.outside(), stream).await.unwrap();
        let main = key();
        keys::follow(self.outside(), stream, &one(&main)).await.unwrap();
        let key_id = main.current.id().clone();
        let right = Verdict::right(&main.current, id.clone(), None);
        self.verdicts().put(&key_id, &right).await.unwrap();
        let checkpoint = Checkpoint { offset: 7, metadata: String::new() };
        self.checkpoints(id).commit(checkpoint).await.unwrap();

        let broadcast = BroadcastId(Uuid::now_v7());
        let broadcasts = Broadcasts::new(world.database(), world.installation.clone());
        let (stream, epoch, started_ms) = (id.clone(), Epoch(1), 1_000);
        let opened = Opened { broadcast, stream, epoch, key_id: key_id.clone(), started_ms };
        let mut t = world.database().begin().await.unwrap();
        broadcasts.open(&mut t, &opened).await.unwrap();
        broadcasts.activate(&mut t, broadcast, epoch, 2_000).await.unwrap();
        t.commit().await.unwrap();
        let installation = world.installation.as_str();
        world
            .run(&format!(
                "INSERT INTO viewer_sessions
                     (id, installation, stream_id, broadcast, viewer, source, joined_at, last_seen_at)
                 VALUES (gen_random_uuid(), '{installation}', '{id}', '{broadcast}', '0123456789',
                         'guess', now(), now());
                 INSERT INTO stream_metrics
                     (installation, stream_id, \"timestamp\", viewers, ingress_kbps, egress_kbps)
                 SELECT '{installation}', '{id}', now() - n * interval '1 hour', 0, 0, 0
                 FROM generate_series(0, 30) n"
            ))
            .await;
        for path in ["runs/00000001", "720p/0-1.m4s", "index/head-00000001.json"] {
            let path = format!("{id}/{broadcast}/{path}");
            self.store.put(&path, Bytes::from_static(b"x")).await.unwrap();
        }
        self.cache(id, broadcast).await;
        (key_id, broadcast)
    }

    async fn cache(&self, id: &StreamId, broadcast: BroadcastId) {
        let (redis, installation) = (self.world.redis(), &self.world.installation);
        let media = Redis::connect(&redis.media, "media").unwrap();
        let lease = Lease { broadcast, run: Run(1), token: Uuid::new_v4() };
        let writer = MediaWriter::new(media, installation, id, lease);
        writer.claim().await.unwrap();
        let bytes = Bytes::from_static(b"init");
        writer.put_init(&InitHash::of(&bytes), &bytes).await.unwrap();
        let metrics = Redis::connect(&redis.metrics, "metrics").unwrap();
        let metrics = MetricsStore::new(metrics, installation.clone());
        let counted = [(id.clone(), Counters::default())];
        metrics.put_live("test", u64::from(u32::MAX), &counted).await.unwrap();
        let viewers = Redis::connect(&redis.viewers, "viewers").unwrap();
        Viewers::new(viewers, installation.clone()).salt(id, "salt").await.unwrap();
    }

    fn verdicts(&self) -> Verdicts {
        Verdicts::new(self.world.verdicts(), self.world.installation.clone())
    }

    fn checkpoints(&self, id: &StreamId) -> Checkpoints {
        let installation = &self.world.installation;
        let (group, topic) = (checkpoint_group(installation, id), frames_topic(installation, id));
        Checkpoints::open(&self.world.kafka(), &group, &topic).unwrap()
    }

    /// What there is of a stream.
    async fn has(&self, id: &StreamId, key: &KeyId) -> BTreeSet<String> {
        let world = &self.world;
        let mut has = BTreeSet::new();
        let topic = frames_topic(&world.installation, id);
        if world.admin().describe(&topic).await.unwrap().is_some() {
            has.insert("topic".to_owned());
        }
        let mut checkpoint = self.checkpoints(id).load().await.unwrap();
        // Kafka takes it with the topic, a moment later.
        for _ in 0..200 {
            if checkpoint.is_none() || has.contains("topic") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            checkpoint = self.checkpoints(id).load().await.unwrap();
        }
        if checkpoint.is_some() {
            has.insert("checkpoint".to_owned());
        }
        if world.table().find(key).await.unwrap().unwrap().active {
            has.insert("key".to_owned());
        }
        if matches!(self.verdicts().get(key).await.unwrap(), Some(Verdict::Right { .. })) {
            has.insert("verdict".to_owned());
        }
        if !self.store.list(id.as_str()).await.unwrap().is_empty() {
            has.insert("objects".to_owned());
        }
        for table in ["livestreams", "streams", "viewer_sessions", "stream_metrics"] {
            let rows = format!(
                "SELECT stream_id FROM {table} WHERE installation = '{}' AND stream_id = '{id}'",
                world.installation
            );
            if !world.texts(&rows).await.is_empty() {
                has.insert(table.to_owned());
            }
        }
        has.extend(self.redis(id).await);
        has
    }

    /// The kinds of its keys in databases 1 to 3.
    async fn redis(&self, id: &StreamId) -> BTreeSet<String> {
        let mut kinds = BTreeSet::new();
        let begin = self.world.installation.prefix(':');
        let redis = self.world.redis();
        for server in [&redis.media, &redis.metrics, &redis.viewers] {
            let client = redis::Client::open(server.url.expose()).unwrap();
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            let keys: Vec<String> = redis::cmd("KEYS")
                .arg(format!("*{{{id}}}*"))
                .query_async(&mut connection)
                .await
                .unwrap();
            let ours = keys.iter().filter_map(|key| key.strip_prefix(&begin)?.split_once(":{"));
            // Without a prefix every installation's begin like ours.
            let ours = ours.filter(|(kind, _)| !kind.contains(':'));
            // Counters of single seconds go by themselves.
            let lasting = ours.filter(|(kind, _)| *kind != "metrics");
            kinds.extend(lasting.map(|(kind, _)| kind.to_owned()));
            let live: Option<f64> = redis::cmd("ZSCORE")
                .arg(format!("{begin}metrics-live"))
                .arg(id.as_str())
                .query_async(&mut connection)
                .await
                .unwrap();
            kinds.extend(live.map(|_| "live".to_owned()));
        }
        kinds
    }

    /// Looks as often as it takes to note and to sweep.
    async fn sweep(&self, watch: &Watch) -> Vec<StreamId> {
        assert_eq!(look(self.outside(), watch, NOW).await.unwrap().gone, [], "noted first");
        let swept = look(self.outside(), watch, NOW).await.unwrap();
        assert!(swept.left.is_empty(), "{:?}", swept.left);
        swept.gone
    }
}

fn words(all: &str) -> BTreeSet<String> {
    all.split(' ').map(str::to_owned).collect()
}

const ALL: &str = "topic checkpoint key verdict objects livestreams streams viewer_sessions \
                   stream_metrics init writer live salt";
const KEPT: &str = "objects streams viewer_sessions stream_metrics";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_has_goes_and_the_record_stays_if_it_is_to_be_kept() {
    let (place, watch) = (Place::new(), Watch::default());
    let [gone, deleted, stays] =
        ["Retain", "Delete", "Delete"].map(|policy| a_stream(&unique(), policy));
    let mut keys = Vec::new();
    for stream in [&gone, &deleted, &stays] {
        keys.push(place.fill(stream).await);
        assert_eq!(place.has(&stream.id, &keys[keys.len() - 1].0).await, words(ALL));
    }
    watch.shows(&[&stays]);
    let mut swept = place.sweep(&watch).await;
    swept.sort();
    let mut expected = [gone.id.clone(), deleted.id.clone()];
    expected.sort();
    assert_eq!(swept, expected);
    assert_eq!(place.has(&gone.id, &keys[0].0).await, words(KEPT));
    assert_eq!(place.has(&deleted.id, &keys[1].0).await, BTreeSet::new());
    assert_eq!(place.has(&stays.id, &keys[2].0).await, words(ALL));
    assert_eq!(place.verdicts().get(&keys[0].0).await.unwrap(), Some(Verdict::Revoked));

    // The broadcast that was left open is ended, and that is told.
    let id = keys[0].1;
    let row = format!("SELECT status || ' ' || end_reason FROM streams WHERE id = '{id}'");
    assert_eq!(place.world.texts(&row).await, ["ENDED deleted"]);
    let told = format!(
        "SELECT source || ' ' || (data->>'reason') FROM events_outbox
         WHERE installation = '{}' AND stream_id = '{}' AND type LIKE '%StreamEnded'",
        place.world.installation, gone.id
    );
    assert_eq!(place.world.texts(&told).await, ["operator deleted"]);
    assert_eq!(look(place.outside(), &watch, NOW).await.unwrap().gone, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_installations_on_the_same_servers_leave_each_other_alone() {
    // One of them has no prefix: its names are the ends of the other's.
    let plain = Place::on(Servers { installation: String::new(), ..Servers::new() });
    let other = Place::new();
    let name = unique();
    let [mine, theirs] = [a_stream(&name, "Delete"), a_stream(&name, "Delete")];
    let my_key = plain.fill(&mine).await.0;
    let their_key = other.fill(&theirs).await.0;
    let watch = Watch::default();
    watch.shows(&[&a_stream(&unique(), "Retain")]);
    assert_eq!(plain.sweep(&watch).await, std::slice::from_ref(&mine.id));
    assert_eq!(plain.has(&mine.id, &my_key).await, BTreeSet::new());
    assert_eq!(other.has(&theirs.id, &their_key).await, words(ALL));
    // And the other way round.
    let my_key = plain.fill(&mine).await.0;
    assert_eq!(other.sweep(&watch).await, std::slice::from_ref(&theirs.id));
    assert_eq!(other.has(&theirs.id, &their_key).await, BTreeSet::new());
    assert_eq!(plain.has(&mine.id, &my_key).await, words(ALL));
    watch.shows(&[&a_stream(&unique(), "Retain")]);
    plain.sweep(&watch).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_made_again_within_a_second_keeps_what_belongs_to_its_name() {
    let (place, watch) = (Place::new(), Watch::default());
    let name = unique();
    let [old, new] = [a_stream(&name, "Delete"), a_stream(&name, "Delete")];
    let key = place.fill(&old).await.0;
    registry::register(place.outside(), &new).await.unwrap();
    watch.shows(&[&new]);
    assert_eq!(place.sweep(&watch).await, []);
    assert_eq!(place.has(&new.id, &key).await, words(ALL));
    let uids =
        format!("SELECT uid FROM livestreams WHERE installation = '{}'", place.world.installation);
    assert_eq!(place.world.texts(&uids).await, [new.uid.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_had_a_name_the_later_says_what_stays_and_for_how_long() {
    let (place, watch) = (Place::new(), Watch::default());
    let name = unique();
    let [old, new] = [a_stream(&name, "Delete"), a_stream(&name, "Retain")];
    let key = place.fill(&old).await.0;
    watch.shows(&[&a_stream(&unique(), "Retain")]);
    assert_eq!(look(place.outside(), &watch, NOW).await.unwrap().gone, [], "noted first");
    registry::register(place.outside(), &new).await.unwrap();
    // The old one is due, and goes without what belongs to the name.
    assert_eq!(look(place.outside(), &watch, NOW).await.unwrap().gone, []);
    assert_eq!(place.has(&new.id, &key).await, words(ALL));
    let uids =
        format!("SELECT uid FROM livestreams WHERE installation = '{}'", place.world.installation);
    assert_eq!(place.world.texts(&uids).await, [new.uid.as_str()]);
    let swept = look(place.outside(), &watch, NOW).await.unwrap().gone;
    assert_eq!(swept, std::slice::from_ref(&new.id));
    assert_eq!(place.has(&new.id, &key).await, words(KEPT));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_or_failing_list_sweeps_nothing_also_after_a_restart() {
    let (place, watch) = (Place::new(), Watch::default());
    let [stream, other] = [a_stream(&unique(), "Delete"), a_stream(&unique(), "Retain")];
    let key = place.fill(&stream).await.0;
    for outside in [place.world.outside.clone(), place.world.restarted()] {
        for _ in 0..3 {
            watch.fails();
            assert_eq!(look(&outside, &watch, NOW).await.unwrap().gone, []);
            watch.shows(&[]);
            assert_eq!(look(&outside, &watch, NOW).await.unwrap().gone, []);
        }
    }
    assert_eq!(place.has(&stream.id, &key).await, words(ALL));
    // The absence that was noted outlives the process that noted it, and ends
    // when the stream is found.
    let hour = Duration::from_hours(1);
    watch.shows(&[&other]);
    look(place.outside(), &watch, hour).await.unwrap();
    let absent = format!(
        "SELECT absent_since::text FROM livestreams
         WHERE installation = '{}' AND absent_since IS NOT NULL",
        place.world.installation
    );
    let since = place.world.texts(&absent).await;
    assert_eq!(since.len(), 1);
    look(&place.world.restarted(), &watch, hour).await.unwrap();
    assert_eq!(place.world.texts(&absent).await, since);
    watch.shows(&[&other, &stream]);
    look(&place.world.restarted(), &watch, hour).await.unwrap();
    assert_eq!(place.world.texts(&absent).await, Vec::<String>::new());
    assert_eq!(place.has(&stream.id, &key).await, words(ALL));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_fails_in_the_middle_is_begun_again_and_ends() {
    let (place, watch) = (Place::new(), Watch::default());
    let stream = a_stream(&unique(), "Delete");
    let key = place.fill(&stream).await.0;
    watch.shows(&[&a_stream(&unique(), "Retain")]);
    // Redis is away for this process.
    let broken = Servers { redis: "redis://127.0.0.1:1".to_owned(), ..place.world.servers.clone() };
    let broken = World::on(broken);
    look(&broken.outside, &watch, NOW).await.unwrap();
    let swept = look(&broken.outside, &watch, NOW).await.unwrap();
    let left: Vec<_> = swept.left.iter().map(|(id, error)| (id, error.reason())).collect();
    assert_eq!(left, [(&stream.id, Reason::RedisUnavailable)]);
    let has = place.has(&stream.id, &key).await;
    assert!(has.contains("livestreams") && !has.contains("key"), "{has:?}");

    let swept = look(place.outside(), &watch, NOW).await.unwrap();
    assert_eq!(swept.gone, std::slice::from_ref(&stream.id));
    assert_eq!(place.has(&stream.id, &key).await, BTreeSet::new());
}

/// A watch whose list is behind its events.
struct Late(Watch);

impl Presence for Late {
    fn view(&self) -> Option<View> {
        self.0.view()
    }

    fn is_there(&self, _: &StreamId) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_comes_back_as_the_sweep_begins_is_not_swept() {
    let (place, watch) = (Place::new(), Watch::default());
    let stream = a_stream(&unique(), "Delete");
    let key = place.fill(&stream).await.0;
    watch.shows(&[&a_stream(&unique(), "Retain")]);
    let watch = Late(watch);
    for _ in 0..3 {
        assert_eq!(look(place.outside(), &watch, NOW).await.unwrap().gone, []);
    }
    assert_eq!(place.has(&stream.id, &key).await, words(ALL));
}

/// A watch that still sees children of a LiveStream that is gone.
struct Running(Watch, Mutex<Vec<String>>);

impl Presence for Running {
    fn view(&self) -> Option<View> {
        self.0.view()
    }

    fn is_there(&self, stream: &StreamId) -> bool {
        self.0.is_there(stream)
    }

    fn owners(&self) -> Vec<String> {
        self.1.lock().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_has_outside_stays_as_long_as_something_of_it_runs() {
    let (place, watch) = (Place::new(), Watch::default());
    let stream = a_stream(&unique(), "Delete");
    let key = place.fill(&stream).await.0;
    watch.shows(&[&a_stream(&unique(), "Retain")]);
    let watch = Running(watch, Mutex::new(vec![stream.uid.as_str().to_owned()]));
    for _ in 0..3 {
        assert_eq!(look(place.outside(), &watch, NOW).await.unwrap().gone, []);
    }
    assert_eq!(place.has(&stream.id, &key).await, words(ALL));
    watch.1.lock().unwrap().clear();
    let swept = look(place.outside(), &watch, NOW).await.unwrap();
    assert_eq!(swept.gone, std::slice::from_ref(&stream.id));
}
