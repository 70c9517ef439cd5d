//! RTMP, AMF0, and the log's records.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use millrace_media::record::{MAX_FRAME, Reassembler, split};
use millrace_media::rtmp::amf0::decode_all;
use millrace_media::rtmp::{Event, ServerSession, SessionConfig};

/// C0, C1 and C2 (RTMP §5.2).
const HANDSHAKE: usize = 1 + 1_536 + 1_536;

/// A connection from its first byte. The first byte of the input says how much
/// comes at once and whether the handshake is done for it; the publish is
/// accepted.
pub(crate) fn rtmp(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    let config = SessionConfig::new("live", 7);
    let limit = config.limits.output;
    let mut session = ServerSession::new(config, Duration::ZERO);
    let mut shaken = Vec::new();
    if how & 1 == 1 {
        shaken.resize(HANDSHAKE, 0);
        shaken[0] = 3;
    }
    let at_once = usize::from(how >> 1) * 97 + 1;
    let mut now = Duration::ZERO;
    for piece in shaken.chunks(HANDSHAKE).chain(data.chunks(at_once)) {
        now += Duration::from_millis(10);
        let read = session.handle_input(piece, now);
        while let Some(event) = session.poll_event() {
            match event {
                Event::PublishRequested(_) => _ = session.accept_publish(now),
                Event::Media { payload, .. } => assert!(!payload.is_empty()),
                _ => {}
            }
        }
        assert!(session.take_output().len() <= limit + 64 * 1_024, "unbounded output");
        if read.is_err() {
            assert!(session.is_closed(), "a session that failed goes on");
            return;
        }
        if session.next_deadline().is_some_and(|at| at <= now) {
            let _ = session.handle_timeout(now);
        }
    }
}

/// What is decoded is the same again once it was encoded.
pub(crate) fn amf0(data: &[u8]) {
    let Ok(values) = decode_all(data) else { return };
    let mut out = BytesMut::new();
    values.iter().for_each(|value| value.encode(&mut out));
    // What replaces bytes that are no text may be longer than a string may be.
    if let Ok(again) = decode_all(&out) {
        assert_eq!(format!("{values:?}"), format!("{again:?}"));
    }
}

/// Messages of a log, each with its length in front.
pub(crate) fn messages(mut data: &[u8]) -> Vec<Bytes> {
    let mut all = Vec::new();
    while let Some(([high, low], rest)) = data.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (message, behind) = rest.split_at(length);
        all.push(Bytes::copy_from_slice(message));
        data = behind;
    }
    all
}

/// What is read is the same again once it was written.
pub(crate) fn record(data: &[u8]) {
    let mut reader = Reassembler::default();
    for message in messages(data) {
        let Ok(Some(record)) = reader.push(&message) else { continue };
        let mut again = Reassembler::default();
        let pieces = split(&record).expect("its own record");
        let read = pieces.iter().find_map(|piece| again.push(piece).expect("its own piece"));
        assert_eq!(read.as_ref(), Some(&record));
        assert!(pieces.iter().map(Bytes::len).sum::<usize>() <= 2 * MAX_FRAME);
    }
}
