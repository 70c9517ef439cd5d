//! Splitting a record that is larger than a broker takes, and joining it again.

use bytes::{Bytes, BytesMut};

use super::{HEADER_LEN, Header, Record, RecordError};

/// Largest payload of one chunk. With the header, the key and the batch's
/// framing it stays below the broker's 1 MiB.
pub const MAX_CHUNK: usize = 900 * 1024;

/// Largest frame: 16 MiB, what RTMP's 24-bit message length can say.
pub const MAX_FRAME: usize = 16 * 1024 * 1024;

/// The record as one or more log messages, in order.
///
/// # Errors
/// When a control record can't be written as JSON, or the payload is larger
/// than [`MAX_FRAME`].
pub fn split(record: &Record) -> Result<Vec<Bytes>, RecordError> {
    let (mut header, payload) = record.header()?;
    let count = payload.len().div_ceil(MAX_CHUNK).max(1);
    header.chunks = u16::try_from(count)
        .ok()
        .filter(|_| payload.len() <= MAX_FRAME)
        .ok_or_else(|| RecordError::Control(format!("frame of {} bytes", payload.len())))?;
    let mut messages = Vec::with_capacity(count);
    let mut rest = payload;
    for chunk in 0..header.chunks {
        let part = rest.split_to(rest.len().min(MAX_CHUNK));
        let mut out = BytesMut::with_capacity(HEADER_LEN + part.len());
        Header { chunk, ..header }.write(&mut out);
        out.extend_from_slice(&part);
        messages.push(out.freeze());
    }
    Ok(messages)
}

/// Joins chunks in log order. Holds at most one unfinished group of at most
/// [`MAX_FRAME`] bytes; a group that is interrupted is dropped and counted.
#[derive(Debug, Default)]
pub struct Reassembler {
    group: Option<Group>,
    dropped: u64,
}

#[derive(Debug)]
struct Group {
    offset: i64,
    header: Header,
    next: u16,
    payload: BytesMut,
}

impl Reassembler {
    /// Groups dropped because a chunk was missing.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes one log message; returns the record it completes.
    ///
    /// # Errors
    /// When the message is not a record; it is to be skipped.
    pub fn push(&mut self, message: &Bytes) -> Result<Option<Record>, RecordError> {
        Ok(self.push_at(0, message)?.map(|(_, record)| record))
    }

    /// Takes the log message at `offset`; returns the record it completes and
    /// the offset where that begins.
    ///
    /// # Errors
    /// When the message is not a record; it is to be skipped.
    pub fn push_at(
        &mut self,
        offset: i64,
        message: &Bytes,
    ) -> Result<Option<(i64, Record)>, RecordError> {
        let (header, payload) = Header::read(message)?;
        if header.chunks == 1 {
            self.drop_group();
            return Ok(Some((offset, header.into_record(payload)?)));
        }
        if header.chunk == 0 {
            self.drop_group();
            self.group = Some(Group { offset, header, next: 0, payload: BytesMut::new() });
        }
        let Some(group) = self.group.as_mut() else { return Ok(None) };
        let same = Header { chunk: 0, ..header } == Header { chunk: 0, ..group.header };
        let fits = group.payload.len().saturating_add(payload.len()) <= MAX_FRAME;
        if !same || header.chunk != group.next || !fits {
            self.drop_group();
            return Ok(None);
        }
        group.payload.extend_from_slice(&payload);
        group.next += 1;
        if group.next < header.chunks {
            return Ok(None);
        }
        let Some(group) = self.group.take() else { return Ok(None) };
        Ok(Some((group.offset, header.into_record(group.payload.freeze())?)))
    }

    fn drop_group(&mut self) {
        if self.group.take().is_some() {
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Epoch;
    use crate::record::{Body, Frame, Track};

    fn frame(len: usize, sequence: u64) -> Record {
        Record {
            epoch: Epoch(3),
            body: Body::Frame(Frame {
                track: Track::Video,
                keyframe: true,
                config: false,
                repeated: false,
                sequence,
                time_ms: -5,
                composition_ms: 33,
                arrival_ms: 1_700_000_000_000,
                payload: Bytes::from(vec![7; len]),
            }),
        }
    }

    #[test]
    fn a_small_record_is_one_message_and_comes_back_equal() {
        let record = frame(100, 1);
        let messages = split(&record).unwrap();
        assert_eq!(messages.len(), 1);
        assert_eq!(Reassembler::default().push(&messages[0]).unwrap(), Some(record));
    }

    #[test]
    fn a_large_record_is_split_below_the_brokers_limit_and_joined() {
        let record = frame(2_000_000, 1);
        let messages = split(&record).unwrap();
        assert_eq!(messages.len(), 3);
        assert!(messages.iter().all(|m| m.len() < 1_000_000));
        let mut reader = Reassembler::default();
        let joined: Vec<_> = messages.iter().filter_map(|m| reader.push(m).unwrap()).collect();
        assert_eq!(joined, [record]);
    }

    #[test]
    fn a_group_with_a_missing_chunk_is_dropped_and_the_next_record_lives() {
        let (large, small) = (split(&frame(2_000_000, 1)).unwrap(), split(&frame(9, 2)).unwrap());
        let mut reader = Reassembler::default();
        assert_eq!(reader.push(&large[0]).unwrap(), None);
        assert_eq!(reader.push(&large[2]).unwrap(), None);
        assert_eq!(reader.push(&small[0]).unwrap(), Some(frame(9, 2)));
        assert_eq!(reader.dropped(), 1);
    }
}
