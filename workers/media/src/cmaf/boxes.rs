//! Boxes (ISO 14496-12 §4.2): a size, a type, and what is inside.

use bytes::{BufMut, Bytes, BytesMut};

/// Writes nested boxes and fills in each size when its box is complete.
#[derive(Debug, Default)]
pub(super) struct BoxWriter {
    out: BytesMut,
}

impl BoxWriter {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { out: BytesMut::with_capacity(bytes) }
    }

    /// A Box.
    pub(super) fn plain(&mut self, kind: [u8; 4], content: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.out.put_u32(0);
        self.out.put_slice(&kind);
        content(self);
        let size = self.out.len() - start;
        self.patch(start, size);
    }

    /// A FullBox; `flags` has 24 bits.
    pub(super) fn full(
        &mut self,
        kind: [u8; 4],
        version: u8,
        flags: u32,
        content: impl FnOnce(&mut Self),
    ) {
        self.plain(kind, |w| {
            w.out.put_u32(u32::from(version) << 24 | flags & 0x00ff_ffff);
            content(w);
        });
    }

    /// A descriptor (ISO 14496-1 §8.3.3) of fewer than 128 bytes.
    pub(super) fn descriptor(&mut self, tag: u8, content: impl FnOnce(&mut Self)) {
        self.out.put_u8(tag);
        let start = self.out.len();
        self.out.put_u8(0);
        content(self);
        let size = self.out.len() - start - 1;
        if let Some(place) = self.out.get_mut(start) {
            *place = u8::try_from(size).unwrap_or(0x7f).min(0x7f);
        }
    }

    pub(super) fn u8(&mut self, value: u8) -> &mut Self {
        self.out.put_u8(value);
        self
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.out.put_u16(value);
        self
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.out.put_u32(value);
        self
    }

    pub(super) fn i32(&mut self, value: i32) -> &mut Self {
        self.out.put_i32(value);
        self
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.out.put_u64(value);
        self
    }

    pub(super) fn zeros(&mut self, count: usize) -> &mut Self {
        self.out.put_bytes(0, count);
        self
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.put_slice(bytes);
        self
    }

    /// Bytes written so far.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Writes a 32-bit number over what is at `position`. Nothing here nears
    /// 4 GiB; what did would be caught by every reader as a box of all ones.
    pub(super) fn patch(&mut self, position: usize, value: usize) {
        let value = u32::try_from(value).unwrap_or(u32::MAX);
        if let Some(place) = self.out.get_mut(position..position + 4) {
            place.copy_from_slice(&value.to_be_bytes());
        }
    }

    pub(super) fn finish(self) -> Bytes {
        self.out.freeze()
    }
}
