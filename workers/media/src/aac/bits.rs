//! Bits, most significant first, as ISO 14496-3 writes and reads them.

/// Reads up to 32 bits at a time.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits already read.
    position: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next `count` bits, or `None` when there are fewer.
    pub(super) fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.position / 8)?;
            let bit = byte >> (7 - self.position % 8) & 1;
            value = value << 1 | u32::from(bit);
            self.position += 1;
        }
        Some(value)
    }

    pub(super) fn read_u8(&mut self, count: u32) -> Option<u8> {
        self.read(count).and_then(|value| u8::try_from(value).ok())
    }
}

/// Collects bits; the last byte is filled with zeros.
#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits written.
    length: usize,
}

impl BitWriter {
    /// Appends the lowest `count` bits of `value`.
    pub(super) fn write(&mut self, value: u32, count: u32) -> &mut Self {
        for shift in (0..count).rev() {
            if self.length.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut()
                && value >> shift & 1 == 1
            {
                *last |= 0x80 >> (self.length % 8);
            }
            self.length += 1;
        }
        self
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
