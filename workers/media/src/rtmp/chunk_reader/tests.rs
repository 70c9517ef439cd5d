use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// A chunk encoder of its own: it picks freely among the header types the
/// specification allows and interleaves messages chunk by chunk.
#[derive(Default)]
struct Peer {
    last: HashMap<u32, Last>,
    out: Vec<u8>,
}

#[derive(Clone)]
struct Last {
    message: Message,
    /// What a type 3 header that begins a message adds.
    delta: u32,
}

struct Unfinished {
    csid: u32,
    extended: Option<u32>,
    rest: Vec<u8>,
}

impl Peer {
    fn basic_header(&mut self, fmt: u8, csid: u32, long: bool) {
        let fmt = fmt << 6;
        match csid {
            2..=63 => self.out.push(fmt | u8::try_from(csid).unwrap()),
            64..=319 if !long => self.out.extend([fmt, u8::try_from(csid - 64).unwrap()]),
            _ => {
                let [low, high, ..] = (csid - 64).to_le_bytes();
                self.out.extend([fmt | 1, low, high]);
            }
        }
    }

    /// Writes the header that begins the message, as short as `shortest`
    /// wishes and the specification allows.
    fn begin(&mut self, csid: u32, message: &Message, shortest: u8, long: bool) -> Unfinished {
        let last = self.last.get(&csid).cloned();
        let delta = last.as_ref().map(|l| message.timestamp.wrapping_sub(l.message.timestamp));
        let fmt = match &last {
            Some(l) if l.message.stream_id == message.stream_id => {
                let alike = l.message.kind == message.kind
                    && l.message.payload.len() == message.payload.len();
                let same_delta = delta == Some(l.delta);
                let best = if alike && same_delta {
                    3
                } else if alike {
                    2
                } else {
                    1
                };
                best.min(shortest)
            }
            _ => 0,
        };
        let time = if fmt == 0 { message.timestamp } else { delta.unwrap() };
        self.basic_header(fmt, csid, long);
        if fmt < 3 {
            self.out.extend(&time.min(0xff_ffff).to_be_bytes()[1..]);
        }
        if fmt < 2 {
            let length = u32::try_from(message.payload.len()).unwrap();
            self.out.extend(&length.to_be_bytes()[1..]);
            self.out.push(message.kind.id());
        }
        if fmt == 0 {
            self.out.extend(message.stream_id.to_le_bytes());
        }
        let extended = (time >= 0xff_ffff).then_some(time);
        if let Some(time) = extended {
            self.out.extend(time.to_be_bytes());
        }
        self.last.insert(csid, Last { message: message.clone(), delta: time });
        Unfinished { csid, extended, rest: message.payload.to_vec() }
    }

    /// Writes the next chunk's payload, with a type 3 header unless it is the
    /// message's first.
    fn chunk(&mut self, message: &mut Unfinished, size: usize, first: bool) {
        if !first {
            self.basic_header(3, message.csid, false);
            self.out.extend(message.extended.map(u32::to_be_bytes).into_iter().flatten());
        }
        let rest = message.rest.split_off(size.min(message.rest.len()));
        self.out.append(&mut message.rest);
        message.rest = rest;
    }
}

#[derive(Debug, Clone)]
struct Plan {
    message: Message,
    csid: u32,
    shortest: u8,
    long: bool,
    /// Begin the next message before this one is whole, if it is on another
    /// chunk stream.
    interleave: bool,
}

fn plan() -> impl Strategy<Value = Plan> {
    let time = prop_oneof![0u32..200, 0xff_fff0u32..0x100_0010, 0xffff_ff00u32..=u32::MAX];
    let kind = prop::sample::select(vec![8, 9, 18, 20, 99]);
    let length = prop_oneof![Just(0), Just(7), Just(300), 0usize..2000];
    let csid = prop::sample::select(vec![3, 4, 63, 64, 319, 320, 65599]);
    (time, kind, length, csid, 0u8..=3, any::<bool>(), any::<bool>(), 0u32..3).prop_map(
        |(timestamp, kind, length, csid, shortest, long, interleave, stream_id)| Plan {
            message: Message {
                kind: MessageType::from_id(kind),
                stream_id,
                timestamp,
                payload: (0..=u8::MAX).cycle().take(length).collect(),
            },
            csid,
            shortest,
            long,
            interleave,
        },
    )
}

/// The bytes, and the messages in the order in which they become whole.
fn encode(plans: &[Plan], size: usize) -> (Vec<u8>, Vec<Message>) {
    let (mut peer, mut whole, mut plans) = (Peer::default(), Vec::new(), plans.iter().peekable());
    while let Some(a) = plans.next() {
        let mut first = peer.begin(a.csid, &a.message, a.shortest, a.long);
        peer.chunk(&mut first, size, true);
        let mut open = vec![(first, a.message.clone())];
        if a.interleave
            && !open[0].0.rest.is_empty()
            && let Some(b) = plans.next_if(|b| b.csid != a.csid)
        {
            let mut second = peer.begin(b.csid, &b.message, b.shortest, b.long);
            peer.chunk(&mut second, size, true);
            open.push((second, b.message.clone()));
        }
        while !open.is_empty() {
            whole.extend(open.extract_if(.., |o| o.0.rest.is_empty()).map(|o| o.1));
            for (message, _) in &mut open {
                peer.chunk(message, size, false);
            }
        }
    }
    (peer.out, whole)
}

fn read_all(reader: &mut ChunkReader, bytes: &[u8], cuts: &[usize]) -> Vec<Message> {
    let (mut messages, mut rest, mut cuts) = (Vec::new(), bytes, cuts.iter().cycle());
    while !rest.is_empty() {
        let cut = cuts.next().copied().unwrap_or(rest.len()).clamp(1, rest.len());
        let (mut piece, after) = rest.split_at(cut);
        rest = after;
        while let Some(message) = reader.read(&mut piece).unwrap() {
            messages.push(message);
        }
        assert!(piece.is_empty());
    }
    messages
}

proptest! {
    #[test]
    fn messages_come_out_equal_whatever_the_chunking_and_the_cuts(
        plans in prop::collection::vec(plan(), 1..25),
        size in prop_oneof![Just(128u32), 128u32..3000],
        cuts in prop::collection::vec(prop_oneof![1usize..5, 1usize..4000], 0..20),
    ) {
        let (bytes, whole) = encode(&plans, usize::try_from(size).unwrap());
        let mut reader = ChunkReader::new(Limits::default());
        reader.set_chunk_size(size).unwrap();
        let read = read_all(&mut reader, &bytes, &cuts);
        prop_assert_eq!(read, whole);
        prop_assert_eq!(reader.partial_bytes(), 0);
    }

    #[test]
    fn any_bytes_are_messages_or_an_error_and_memory_follows_what_was_sent(
        bytes in prop::collection::vec(any::<u8>(), 0..4000),
        trusted in any::<bool>(),
    ) {
        let mut reader = ChunkReader::new(Limits::default());
        if trusted {
            reader.trust();
        }
        let mut input = bytes.as_slice();
        while let Ok(Some(_)) = reader.read(&mut input) {}
        let held: usize = reader.streams.iter().filter_map(|s| s.partial.as_ref())
            .map(Vec::capacity).sum();
        prop_assert!(held <= 2 * bytes.len() + 32 * FIRST_ALLOCATION, "{}", held);
    }
}

fn refused(bytes: &[u8]) -> ChunkError {
    let mut input = bytes;
    let mut reader = ChunkReader::new(Limits::default());
    loop {
        match reader.read(&mut input) {
            Err(error) => return error,
            Ok(message) => assert!(message.is_some(), "no error in {bytes:?}"),
        }
    }
}

/// A type 0 header on this one-byte chunk stream: time 0, stream 0.
fn header(csid: u8, length: u32, kind: u8) -> Vec<u8> {
    let mut bytes = vec![csid, 0, 0, 0];
    bytes.extend(&length.to_be_bytes()[1..]);
    bytes.extend([kind, 0, 0, 0, 0]);
    bytes
}

#[test]
fn a_delta_counts_once_per_message_not_per_chunk() {
    let mut bytes = header(4, 300, 9);
    for (at, chunk) in [128usize, 128, 44].into_iter().enumerate() {
        bytes.extend(if at == 0 { vec![] } else { vec![0xc4] });
        bytes.extend(vec![0; chunk]);
    }
    // Type 2 with delta 23, then type 3: each in three chunks.
    for begin in [vec![0x84, 0, 0, 23], vec![0xc4]] {
        bytes.extend(begin);
        for (at, chunk) in [128usize, 128, 44].into_iter().enumerate() {
            bytes.extend(if at == 0 { vec![] } else { vec![0xc4] });
            bytes.extend(vec![0; chunk]);
        }
    }
    let read = read_all(&mut ChunkReader::new(Limits::default()), &bytes, &[]);
    assert_eq!(read.iter().map(|m| m.timestamp).collect::<Vec<_>>(), [0, 23, 46]);
}

#[test]
fn a_stranger_can_not_announce_a_large_message() {
    let error = refused(&header(4, 0xff_ffff, 9));
    assert!(matches!(error, ChunkError::MessageTooLarge { length: 0xff_ffff, .. }), "{error}");
    let error = refused(&header(3, 70_000, 20));
    assert!(matches!(error, ChunkError::MessageTooLarge { limit: 65_536, .. }), "{error}");
}

#[test]
fn the_number_of_chunk_streams_has_a_bound() {
    let bytes: Vec<u8> = (2..60).flat_map(|csid| header(csid, 0, 9)).collect();
    assert!(matches!(refused(&bytes), ChunkError::TooManyChunkStreams { limit: 32, .. }));
}

#[test]
fn unfinished_messages_together_have_a_bound() {
    let mut bytes = Vec::new();
    let limits = Limits { stranger: 300, ..Limits::default() };
    for csid in 3..6 {
        bytes.extend(header(csid, 200, 9));
        bytes.extend([0; 128]);
    }
    let mut reader = ChunkReader::new(limits);
    let mut input = bytes.as_slice();
    assert_eq!(reader.read(&mut input), Err(ChunkError::PartialMessages(300)));
}

#[test]
fn a_chunk_stream_can_not_begin_with_nothing_to_inherit() {
    assert_eq!(refused(&[0xc7]), ChunkError::NoPrecedingHeader { csid: 7, fmt: 3 });
    assert_eq!(refused(&[0x87, 0, 0, 1]), ChunkError::NoPrecedingHeader { csid: 7, fmt: 2 });
}

#[test]
fn a_message_can_not_begin_inside_another_of_its_chunk_stream() {
    let mut bytes = header(4, 200, 9);
    bytes.extend([0; 128]);
    bytes.extend(header(4, 200, 9));
    assert_eq!(refused(&bytes), ChunkError::HeaderInsideMessage { csid: 4, fmt: 0 });
}

#[test]
fn an_aborted_message_is_forgotten() {
    let mut reader = ChunkReader::new(Limits::default());
    let mut bytes = header(4, 200, 9);
    bytes.extend([0; 128]);
    assert_eq!(reader.read(&mut bytes.as_slice()), Ok(None));
    assert_eq!(reader.partial_bytes(), 128);
    reader.abort(4);
    assert_eq!(reader.partial_bytes(), 0);
    let mut bytes = header(4, 1, 8);
    bytes.push(5);
    let message = reader.read(&mut bytes.as_slice()).unwrap().unwrap();
    assert_eq!((message.kind, message.payload.as_ref()), (MessageType::Audio, &[5][..]));
}

#[test]
fn a_chunk_size_out_of_range_is_refused() {
    let mut reader = ChunkReader::new(Limits::default());
    for size in [0, 1, 127, 1024 * 1024 + 1, 0x8000_0000, u32::MAX] {
        assert_eq!(reader.set_chunk_size(size), Err(ChunkError::ChunkSize(size)));
    }
    for size in [128, 60_000, 1024 * 1024] {
        assert_eq!(reader.set_chunk_size(size), Ok(()));
    }
}
