use bytes::BufMut;
use proptest::prelude::*;

use super::*;
use crate::rtmp::amf0::{Value, decode_all};
use crate::rtmp::message::MessageType;

const T0: Duration = Duration::from_secs(100);

fn session() -> ServerSession {
    ServerSession::new(SessionConfig::new("live", 1), T0)
}

fn command(stream_id: u32, values: &[Value]) -> Message {
    let mut payload = BytesMut::new();
    for value in values {
        value.encode(&mut payload);
    }
    let kind = MessageType::CommandAmf0;
    Message { kind, stream_id, timestamp: 0, payload: payload.freeze() }
}

fn media(kind: MessageType, timestamp: u32, payload: &'static [u8]) -> Message {
    Message { kind, stream_id: 1, timestamp, payload: Bytes::from_static(payload) }
}

fn bytes(messages: &[Message]) -> BytesMut {
    let mut out = BytesMut::new();
    for message in messages {
        ChunkWriter::default().write(message, &mut out);
    }
    out
}

fn connect(app: &str) -> Message {
    let object = Value::Object(vec![("app".to_owned(), app.into())]);
    command(0, &["connect".into(), 1.0.into(), object])
}

fn publish() -> Message {
    command(1, &["publish".into(), 5.0.into(), Value::Null, "abcd_secret".into(), "live".into()])
}

fn hand_shaken() -> ServerSession {
    let mut session = session();
    let mut hello = vec![3];
    hello.resize(1 + 2 * 1536, 0);
    session.handle_input(&hello, T0).unwrap();
    assert_eq!(session.take_output().len(), 1 + 2 * 1536);
    session
}

/// Up to the pending publish.
fn asked() -> ServerSession {
    let mut session = hand_shaken();
    session.handle_input(&bytes(&[connect("live"), publish()]), T0).unwrap();
    assert!(matches!(session.poll_event(), Some(Event::Connected { .. })));
    assert!(matches!(session.poll_event(), Some(Event::PublishRequested(_))));
    session
}

fn publishing() -> ServerSession {
    let mut session = asked();
    session.accept_publish(T0);
    session.take_output();
    session
}

/// The codes of the information objects in what the server says, first in
/// chunks of this size.
fn codes(session: &mut ServerSession, size: u32) -> Vec<String> {
    let (output, mut reader) = (session.take_output(), ChunkReader::new(Limits::default()));
    reader.set_chunk_size(size).unwrap();
    let (mut input, mut codes) = (output.as_ref(), Vec::new());
    while let Some(message) = reader.read(&mut input).unwrap() {
        let control = Control::read(message.kind, &message.payload).unwrap();
        if let Some(Control::SetChunkSize(size)) = control {
            reader.set_chunk_size(size).unwrap();
        }
        if message.kind == MessageType::CommandAmf0 {
            let values = decode_all(&message.payload).unwrap();
            codes.extend(values.last().and_then(|v| v.get("code")?.as_str().map(str::to_owned)));
        }
    }
    codes
}

#[test]
fn a_publisher_connects_publishes_and_ends() {
    let mut session = hand_shaken();
    session.handle_input(&bytes(&[connect("live")]), T0).unwrap();
    assert_eq!(codes(&mut session, 128), ["NetConnection.Connect.Success"]);
    session.handle_input(&bytes(&[publish()]), T0).unwrap();
    session.poll_event().unwrap();
    let Some(Event::PublishRequested(name)) = session.poll_event() else { panic!() };
    assert_eq!(name.reveal(), "abcd_secret");
    session.accept_publish(T0);
    assert_eq!(codes(&mut session, CHUNK_SIZE), ["NetStream.Publish.Start"]);

    let audio = media(MessageType::Audio, 7, &[0xaf, 1]);
    session.handle_input(&bytes(std::slice::from_ref(&audio)), T0).unwrap();
    let payload = audio.payload;
    assert_eq!(
        session.poll_event(),
        Some(Event::Media { track: Track::Audio, time_ms: 7, payload })
    );
    let ends = [
        command(0, &["FCUnpublish".into(), 6.0.into(), Value::Null, "abcd_secret".into()]),
        command(0, &["deleteStream".into(), 7.0.into(), Value::Null, 1.0.into()]),
    ];
    session.handle_input(&bytes(&ends), T0).unwrap();
    assert_eq!(session.poll_event(), Some(Event::Unpublished(Unpublish::FcUnpublish)));
    assert_eq!(session.poll_event(), None);
    assert_eq!(codes(&mut session, CHUNK_SIZE), ["NetStream.Unpublish.Success"]);
}

#[test]
fn nothing_printed_holds_the_publish_key() {
    let mut session = hand_shaken();
    session.handle_input(&bytes(&[connect("live"), publish()]), T0).unwrap();
    assert!(!format!("{session:?}").contains("secret"));
}

#[test]
fn another_application_is_refused_with_a_reason_that_does_not_repeat_it() {
    let mut session = hand_shaken();
    let error = session.handle_input(&bytes(&[connect("abcd_secret")]), T0).unwrap_err();
    assert_eq!(error.kind.reason(), "unknown_app");
    assert!(!error.to_string().contains("secret"));
    assert_eq!(codes(&mut session, 128), ["NetConnection.Connect.InvalidApp"]);
    assert!(session.is_closed());
}

#[test]
fn a_rejected_publisher_is_told_why_and_the_session_is_over() {
    let mut session = asked();
    session.take_output();
    session.reject_publish(RejectCode::BadName, "The stream key is wrong.");
    assert_eq!(codes(&mut session, CHUNK_SIZE), ["NetStream.Publish.BadName"]);
    let late = bytes(&[media(MessageType::Video, 0, &[0x17])]);
    session.handle_input(&late, T0).unwrap();
    assert_eq!(session.poll_event(), None);
}

#[test]
fn enhanced_packets_are_refused_with_a_reason() {
    for (kind, payload) in [
        (MessageType::Video, b"\x90hvc1".as_slice()),
        (MessageType::Audio, b"\x90Opus".as_slice()),
        (MessageType::Aggregate, b"\x09".as_slice()),
    ] {
        let mut session = publishing();
        let error = session.handle_input(&bytes(&[media(kind, 0, payload)]), T0).unwrap_err();
        assert_eq!(error.kind.reason(), "unsupported_codec");
        assert!(error.to_string().contains("H.264"), "{error}");
        assert_eq!(codes(&mut session, CHUNK_SIZE), ["NetStream.Publish.Rejected"]);
    }
}

#[test]
fn play_is_refused_with_a_status() {
    let mut session = hand_shaken();
    let play = command(1, &["play".into(), 4.0.into(), Value::Null, "x".into()]);
    session.handle_input(&bytes(&[connect("live"), play]), T0).unwrap();
    assert_eq!(
        codes(&mut session, 128),
        ["NetConnection.Connect.Success", "NetStream.Play.Failed"]
    );
}

#[test]
fn a_second_publish_on_a_connection_is_refused_and_the_first_goes_on() {
    let mut session = publishing();
    session.handle_input(&bytes(&[publish()]), T0).unwrap();
    assert_eq!(codes(&mut session, CHUNK_SIZE), ["NetStream.Publish.BadName"]);
    session.handle_input(&bytes(&[media(MessageType::Video, 0, &[0x17])]), T0).unwrap();
    assert!(matches!(session.poll_event(), Some(Event::Media { .. })));
}

#[test]
fn a_command_before_connect_is_an_error() {
    let error = hand_shaken().handle_input(&bytes(&[publish()]), T0).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotConnected("publish".to_owned()));
    assert!(error.at > 3073, "{error}");
}

#[test]
fn every_wait_has_a_deadline() {
    let at = |seconds| T0 + Duration::from_secs(seconds);
    let timed_out = |mut session: ServerSession, seconds| {
        assert_eq!(session.next_deadline(), Some(at(seconds)));
        assert_eq!(session.handle_timeout(at(seconds - 1)), Ok(()));
        session.handle_timeout(at(seconds)).unwrap_err().kind
    };
    assert_eq!(timed_out(session(), 10), ErrorKind::Timeout(Wait::Handshake));
    assert_eq!(timed_out(hand_shaken(), 10), ErrorKind::Timeout(Wait::Publish));
    assert_eq!(asked().next_deadline(), None);
    let mut live = publishing();
    live.handle_input(&bytes(&[media(MessageType::Video, 0, &[0x17])]), at(8)).unwrap();
    assert_eq!(timed_out(live, 38), ErrorKind::Timeout(Wait::Media));
}

#[test]
fn connecting_again_does_not_move_the_deadline() {
    let mut session = hand_shaken();
    for second in 1..5 {
        let now = T0 + Duration::from_secs(second);
        session.handle_input(&bytes(&[connect("live")]), now).unwrap();
    }
    assert_eq!(session.next_deadline(), Some(T0 + Duration::from_secs(10)));
}

#[test]
fn pings_are_answered_and_a_peer_that_never_reads_is_dropped() {
    let mut session = publishing();
    let ping = bytes(&[Control::PingRequest(77).message()]);
    session.handle_input(&ping, T0).unwrap();
    assert_eq!(session.take_output(), bytes(&[Control::PingResponse(77).message()]));
    let flood = ping.repeat(10_000);
    let error = session.handle_input(&flood, T0).unwrap_err();
    assert_eq!(error.kind.reason(), "overflow");
    assert!(session.take_output().len() < 70_000);
}

#[test]
fn a_window_of_zero_is_ignored_and_a_small_one_is_answered_once_per_input() {
    let mut session = publishing();
    let mut input = bytes(&[Control::WindowAckSize(0).message()]);
    session.handle_input(&input, T0).unwrap();
    assert!(session.take_output().is_empty());
    input = bytes(&[Control::WindowAckSize(1).message()]);
    session.handle_input(&input, T0).unwrap();
    assert_eq!(session.take_output().len(), 12 + 4);
}

#[test]
fn metadata_comes_out_and_broken_metadata_is_left_out() {
    let mut session = publishing();
    let mut payload = BytesMut::new();
    let size = Value::EcmaArray(vec![("width".to_owned(), 640.0.into())]);
    for value in ["@setDataFrame".into(), "onMetaData".into(), size] {
        value.encode(&mut payload);
    }
    let kind = MessageType::DataAmf0;
    let good = Message { kind, stream_id: 1, timestamp: 0, payload: payload.clone().freeze() };
    payload.put_u8(0xff);
    let broken = Message { payload: payload.freeze(), ..good.clone() };
    session.handle_input(&bytes(&[broken, good]), T0).unwrap();
    let Some(Event::Metadata(metadata)) = session.poll_event() else { panic!() };
    assert_eq!(metadata.width, Some(640));
    assert_eq!(session.poll_event(), None);
}

proptest! {
    #[test]
    fn any_bytes_after_the_handshake_end_in_order(
        soup in prop::collection::vec(any::<u8>(), 0..3000),
        accepted in any::<bool>(),
    ) {
        let mut session = if accepted { publishing() } else { hand_shaken() };
        let _ = session.handle_input(&soup, T0);
        while session.poll_event().is_some() {}
        prop_assert!(session.take_output().len() < 70_000);
    }

    #[test]
    fn any_mix_of_control_and_commands_ends_in_order(
        messages in prop::collection::vec((0u8..24, prop::collection::vec(0u8..12, 0..40)), 0..40),
    ) {
        let mut session = publishing();
        let messages: Vec<_> = messages.into_iter().map(|(kind, payload)| Message {
            kind: MessageType::from_id(kind), stream_id: 1, timestamp: 0, payload: payload.into(),
        }).collect();
        let _ = session.handle_input(&bytes(&messages), T0);
        prop_assert!(session.take_output().len() < 70_000);
    }
}
