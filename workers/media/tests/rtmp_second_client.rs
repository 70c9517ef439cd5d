//! Another implementation's client against our server, in memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::time::Duration;

use bytes::Bytes;
use millrace_media::record::Track;
use millrace_media::rtmp::{Event, RejectCode, ServerSession, SessionConfig, Unpublish};
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult,
    PublishRequestType, StreamMetadata,
};
use rml_rtmp::time::RtmpTimestamp;

const NOW: Duration = Duration::ZERO;

/// Both ends, and what has happened at each.
struct Pair {
    client: ClientSession,
    server: ServerSession,
    at_client: Vec<ClientSessionEvent>,
    at_server: Vec<Event>,
}

impl Pair {
    fn new() -> Self {
        let mut server = ServerSession::new(SessionConfig::new("live", 7), NOW);
        let mut handshake = Handshake::new(PeerType::Client);
        server.handle_input(&handshake.generate_outbound_p0_and_p1().unwrap(), NOW).unwrap();
        match handshake.process_bytes(&server.take_output()).unwrap() {
            HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                assert!(remaining_bytes.is_empty());
                server.handle_input(&response_bytes, NOW).unwrap();
            }
            HandshakeProcessResult::InProgress { .. } => panic!("the handshake goes on"),
        }
        let (client, first) = ClientSession::new(ClientSessionConfig::new()).unwrap();
        let mut pair = Self { client, server, at_client: Vec::new(), at_server: Vec::new() };
        pair.settle(first);
        pair
    }

    /// Carries bytes to and fro until both are silent.
    fn settle(&mut self, mut results: Vec<ClientSessionResult>) {
        loop {
            for result in results.drain(..) {
                match result {
                    ClientSessionResult::OutboundResponse(packet) => {
                        self.server.handle_input(&packet.bytes, NOW).unwrap();
                    }
                    ClientSessionResult::RaisedEvent(event) => self.at_client.push(event),
                    ClientSessionResult::UnhandleableMessageReceived(_) => {}
                }
            }
            self.at_server.extend(std::iter::from_fn(|| self.server.poll_event()));
            let output = self.server.take_output();
            if output.is_empty() {
                return;
            }
            results = self.client.handle_input(&output).unwrap();
        }
    }

    fn connect(&mut self) {
        let connect = self.client.request_connection("live".to_owned()).unwrap();
        self.settle(vec![connect]);
        assert_eq!(self.at_client.pop(), Some(ClientSessionEvent::ConnectionRequestAccepted));
        let name = "abcd_secret".to_owned();
        let publish = self.client.request_publishing(name, PublishRequestType::Live).unwrap();
        self.settle(vec![publish]);
        let Some(Event::PublishRequested(name)) = self.at_server.pop() else { panic!() };
        assert_eq!(name.reveal(), "abcd_secret");
    }
}

#[test]
fn it_connects_publishes_and_what_it_sends_comes_out_equal() {
    let mut pair = Pair::new();
    pair.connect();
    pair.server.accept_publish(NOW);
    pair.settle(Vec::new());
    assert_eq!(pair.at_client.pop(), Some(ClientSessionEvent::PublishRequestAccepted));

    let mut metadata = StreamMetadata::new();
    metadata.video_width = Some(1280);
    metadata.video_height = Some(720);
    let sent = pair.client.publish_metadata(&metadata).unwrap();
    pair.at_server.clear();
    pair.settle(vec![sent]);
    let Some(Event::Metadata(metadata)) = pair.at_server.pop() else { panic!() };
    assert_eq!((metadata.width, metadata.height), (Some(1280), Some(720)));

    let mut expected = Vec::new();
    for number in 0..300u32 {
        let time = number * 33;
        let length = 40 * 1024 + usize::try_from(number).unwrap();
        let video = Bytes::from([&[0x27, 1], vec![7; length].as_slice()].concat());
        let audio = Bytes::from_static(&[0xaf, 1, 2, 3]);
        let stamp = RtmpTimestamp::new(time);
        let sent = [
            pair.client.publish_video_data(video.clone(), stamp, false).unwrap(),
            pair.client.publish_audio_data(audio.clone(), stamp, false).unwrap(),
        ];
        pair.settle(sent.into());
        let time_ms = i64::from(time);
        expected.push(Event::Media { track: Track::Video, time_ms, payload: video });
        expected.push(Event::Media { track: Track::Audio, time_ms, payload: audio });
    }
    assert!(pair.at_server == expected);
    let acknowledged =
        |e: &ClientSessionEvent| matches!(e, ClientSessionEvent::AcknowledgementReceived { .. });
    assert!(pair.at_client.iter().any(acknowledged));

    pair.at_server.clear();
    let stop = pair.client.stop_publishing().unwrap();
    pair.settle(stop);
    assert_eq!(pair.at_server, [Event::Unpublished(Unpublish::DeleteStream)]);
}

#[test]
fn it_sees_the_refusal_of_another_application() {
    let mut pair = Pair::new();
    let ClientSessionResult::OutboundResponse(connect) =
        pair.client.request_connection("other".to_owned()).unwrap()
    else {
        panic!()
    };
    pair.server.handle_input(&connect.bytes, NOW).unwrap_err();
    pair.settle(Vec::new());
    let Some(ClientSessionEvent::ConnectionRequestRejected { description }) = pair.at_client.pop()
    else {
        panic!()
    };
    assert!(description.contains("rtmp://<host>/live/"), "{description}");
}

#[test]
fn it_sees_the_refusal_of_its_key() {
    let mut pair = Pair::new();
    pair.connect();
    pair.server.reject_publish(RejectCode::BadName, "The stream key is wrong.");
    pair.settle(Vec::new());
    let code = "NetStream.Publish.BadName".to_owned();
    assert_eq!(pair.at_client.pop(), Some(ClientSessionEvent::UnhandleableOnStatusCode { code }));
}
