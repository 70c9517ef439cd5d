//! What listens to a stream: the WebSocket.

use std::time::Duration;

use axum::http::Request;
use millrace_delivery::metrics::{Closed, ClosedLabels, Metrics};
use millrace_delivery::origin::Origin;
use millrace_delivery::settings::Settings;
use millrace_harness::server::{Kind, Server};
use millrace_platform::config::Env;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::support::feed::Feed;
use crate::support::live::call_live;
use crate::support::socket::{Client, tell_figures};
use crate::support::wire::Wire;
use crate::support::{PATIENCE, Replica, World, answer, until};

fn status(feed: &Feed, state: &str) -> Value {
    json!({"streamId": feed.info.stream, "state": state, "broadcast": feed.info.broadcast,
        "startedMs": feed.info.started_ms, "renditions": ["480p", "720p", "audio"]})
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

async fn beacon(replica: &Replica, feed: &Feed, viewer: &str, body: Value) {
    let mut body = body;
    body.as_object_mut().unwrap().insert("viewer".to_owned(), json!(viewer.repeat(32)));
    let url = format!("http://{}{}/beacon", replica.viewers, feed.stream_path());
    assert_eq!(answer(replica.client.post(url).body(body.to_string())).await.status, 204);
}

fn closed(replica: &Replica, reason: Closed) -> u64 {
    replica.metrics.sockets_closed.get_or_create(&ClosedLabels { reason }).get()
}

#[tokio::test]
async fn a_client_hears_of_viewers_at_any_replica_and_sees_the_figures_of_each_second() {
    let world = World::with_postgres().await;
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let _live = call_live(&world, &world.stream, feed.info.broadcast);
    let (one, two) = (world.replica().await, world.replica().await);
    let mut client = Client::open(&one, &world.stream).await.unwrap();
    let first = client.next().await;
    assert_eq!(first, json!({"type": "stream_status", "data": status(&feed, "live")}));
    let figures = client.until("metrics").await;
    assert_eq!(
        keys(&figures),
        [
            "bufferingEvents",
            "concurrentViewers",
            "droppedFrames",
            "egressBitrateMbps",
            "ingressBitrateMbps",
            "qualityDistribution",
            "streamId"
        ]
    );
    assert_eq!(figures["ingressBitrateMbps"], 3.0);
    assert_eq!(figures["concurrentViewers"], 0);

    for viewer in ["a", "b"] {
        beacon(&two, &feed, viewer, json!({"event": "join", "rendition": "720p"})).await;
    }
    let mut joined = 0;
    while joined < 2 {
        let passage = client.until("viewer_joined").await;
        assert_eq!(keys(&passage), ["concurrentViewers", "count", "streamId"]);
        joined += passage["count"].as_u64().unwrap();
        assert_eq!(passage["concurrentViewers"], joined);
    }
    let figures = client.until("metrics").await;
    assert_eq!(figures["qualityDistribution"], json!({"720p": 2}));
    beacon(&two, &feed, "a", json!({"rendition": "480p", "stalls": 1})).await;
    let change = client.until("quality_changed").await;
    let expected = json!({"streamId": world.stream, "from": "720p", "to": "480p", "count": 1});
    assert_eq!(change, expected);
    beacon(&one, &feed, "b", json!({"event": "leave"})).await;
    let passage = client.until("viewer_left").await;
    let expected = json!({"streamId": world.stream, "count": 1, "concurrentViewers": 1});
    assert_eq!(passage, expected);

    feed.end(1).await;
    assert_eq!(client.until("stream_status").await, status(&feed, "ended"));
}

#[tokio::test]
async fn a_client_that_comes_later_gets_the_newest_status_and_figures_at_once() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let _figures = tell_figures(world.origin().metrics, &world.stream);
    let mut early = Client::open(&replica, &world.stream).await.unwrap();
    early.until("metrics").await;
    let mut late = Client::open(&replica, &world.stream).await.unwrap();
    assert_eq!(late.next().await["data"], status(&feed, "live"));
    let figures = json!({"streamId": world.stream, "concurrentViewers": 21,
        "ingressBitrateMbps": 3.0, "egressBitrateMbps": 60.5, "qualityDistribution": {"480p": 20},
        "droppedFrames": 2, "bufferingEvents": 1});
    assert_eq!(late.next().await, json!({"type": "metrics", "data": figures}));
}

#[tokio::test]
async fn what_is_no_stream_or_no_websocket_is_refused_before_the_upgrade() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    for unknown in ["events.nobody", "other.keynote"] {
        let refused = Client::open(&replica, &unknown.parse().unwrap()).await;
        assert_eq!(refused.err(), Some(404), "{unknown}");
    }
    let path = format!("/ws/stream/{}", world.stream);
    assert_eq!(replica.get(&path).await.status, 400);
    assert_eq!(replica.get("/ws/stream/nothing").await.status, 404);
    assert_eq!(replica.metrics.sockets.get(), 0);
}

/// How often Redis was asked for a value.
async fn gets(server: &Server) -> u64 {
    let client = redis::Client::open(server.address()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let stats: String =
        redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
    let calls = stats.split("cmdstat_get:calls=").nth(1).and_then(|rest| rest.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test]
async fn many_clients_cost_one_read_a_second_and_none_when_they_have_gone() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    // Nothing but figures is asked of it.
    let server = Server::new(Kind::Redis).unwrap();
    let mut variables = world.variables(world.redis_url());
    variables.push(("REDIS_METRICS_URL", format!("{}/2", server.address())));
    let settings = Settings::read(&Env::from_pairs(variables)).unwrap();
    let store = Origin::open(&settings, &Metrics::default()).unwrap().metrics;
    let replica = world.replica_with(settings).await;
    let _figures = tell_figures(store, &world.stream);

    let begun = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(Client::open(&replica, &world.stream).await.unwrap());
    }
    for _ in 0..4 {
        for client in &mut clients {
            client.until("metrics").await;
        }
    }
    let read = gets(&server).await;
    // One at first, one in each second that began since.
    assert!((3..=begun.elapsed().as_secs() + 2).contains(&read), "{read}");
    until(async || replica.metrics.socket_messages.get() >= 50 * 5).await;

    drop(clients);
    until(async || replica.metrics.sockets.get() == 0).await;
    let read = gets(&server).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(gets(&server).await, read);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_dropped_and_the_others_go_on() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let mut settings = world.settings(world.redis_url());
    settings.pace.ping = Duration::from_secs(1);
    let replica = world.replica_with(settings).await;
    let _figures = tell_figures(world.origin().metrics, &world.stream);
    let stuck = Client::open(&replica, &world.stream).await.unwrap();
    let mut reader = Client::open(&replica, &world.stream).await.unwrap();
    let dropped = async {
        while closed(&replica, Closed::silent) == 0 {
            reader.until("metrics").await;
        }
    };
    timeout(2 * PATIENCE, dropped).await.expect("it was not dropped");
    until(async || replica.metrics.connections.get() == 1).await;
    reader.until("metrics").await;
    assert_eq!(replica.metrics.sockets.get(), 1);
    assert_eq!(stuck.end().await, 4408);
}

#[tokio::test]
async fn what_a_client_sends_ends_it() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let large = Bytes::from_static(&[0; 2_000]);
    for (said, code) in [(Message::text("hello"), 1003), (Message::Binary(large), 1002)] {
        let mut client = Client::open(&replica, &world.stream).await.unwrap();
        client.say(said).await;
        assert_eq!(client.end().await, code);
    }
    until(async || replica.metrics.sockets.get() == 0).await;
    assert_eq!((closed(&replica, Closed::unsupported), closed(&replica, Closed::broken)), (1, 1));
}

#[tokio::test]
async fn clients_are_bounded_in_all_and_by_address_and_count_as_connections() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let mut variables = world.variables(world.redis_url());
    variables.push(("DELIVERY_MAX_SOCKETS", "3".to_owned()));
    variables.push(("DELIVERY_SOCKETS_PER_ADDRESS", "2".to_owned()));
    variables.push(("DELIVERY_TRUSTED_PROXIES", "127.0.0.0/8".to_owned()));
    let replica = world.replica_with(Settings::read(&Env::from_pairs(variables)).unwrap()).await;
    let open = async |address| Client::open_from(&replica, &world.stream, Some(address)).await;
    let mut held = Vec::new();
    for address in ["192.0.2.1", "192.0.2.1", "192.0.2.2"] {
        held.push(open(address).await.unwrap());
        if held.len() == 2 {
            assert_eq!(open("192.0.2.1").await.err(), Some(429));
        }
    }
    assert_eq!(open("192.0.2.2").await.err(), Some(503));
    until(async || replica.metrics.sockets.get() == 3).await;
    until(async || replica.metrics.connections.get() == 3).await;
    held.clear();
    until(async || replica.metrics.connections.get() == 0).await;
    open("192.0.2.1").await.unwrap();
}

#[tokio::test]
async fn a_shutdown_tells_all_clients_to_come_again() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Client::open(&replica, &world.stream).await.unwrap();
        client.until("stream_status").await;
        clients.push(client);
    }
    let metrics = replica.metrics.clone();
    drop(replica);
    for client in clients {
        assert_eq!(client.end().await, 1001);
    }
    until(async || metrics.sockets.get() == 0).await;
}

#[tokio::test]
async fn it_is_opened_by_http_2_as_well() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let connection = TcpStream::connect(replica.viewers).await.unwrap();
    let (client, connection) = h2::client::handshake(connection).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    until(async || client.is_extended_connect_protocol_enabled()).await;
    // RFC 8441 §5.1.
    let mut request =
        Request::connect(format!("http://{}/ws/stream/{}", replica.viewers, world.stream));
    request = request.header("sec-websocket-version", "13");
    let mut request = request.body(()).unwrap();
    request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    let (response, open) = client.send_request(request, false).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains("stream_status") {
        let more = timeout(PATIENCE, body.data()).await.expect("nothing came");
        heard.extend(more.unwrap().unwrap());
    }
    until(async || replica.metrics.sockets.get() == 1).await;
    drop((client, open, body));
    until(async || replica.metrics.sockets.get() == 0).await;
}

#[tokio::test]
async fn clients_stay_while_redis_is_away_and_hear_of_the_end_by_the_object_store() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let wire = Wire::to(world.redis_address()).await;
    let replica = world.replica_with(world.settings(&format!("redis://{}", wire.address))).await;
    let _figures = tell_figures(world.origin().metrics, &world.stream);
    let mut client = Client::open(&replica, &world.stream).await.unwrap();
    client.until("metrics").await;
    wire.cut();
    feed.end(1).await;
    assert_eq!(client.until("stream_status").await, status(&feed, "ended"));
    let mut late = Client::open(&replica, &world.stream).await.unwrap();
    assert_eq!(late.next().await["data"], status(&feed, "ended"));
    wire.mend();
    late.until("metrics").await;
    client.until("metrics").await;
}
