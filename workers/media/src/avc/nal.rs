//! NAL units behind their lengths (ISO 14496-15 §5.3.4.2).

use bytes::Buf;

use super::AvcError;

/// nal_unit_type of a slice of an IDR picture (H.264 table 7-1).
const IDR: u8 = 5;
/// nal_unit_type of a sequence parameter set.
pub(super) const SPS: u8 = 7;

/// Iterates over the NAL units of one access unit, header byte included.
/// Ends after the first error.
#[derive(Debug, Clone)]
struct NalUnits<'a> {
    rest: &'a [u8],
    length_size: usize,
}

impl<'a> NalUnits<'a> {
    /// `length_size` is 1, 2 or 4 bytes.
    fn new(access_unit: &'a [u8], length_size: u8) -> Self {
        Self { rest: access_unit, length_size: usize::from(length_size.clamp(1, 4)) }
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = Result<&'a [u8], AvcError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut rest = std::mem::take(&mut self.rest);
        let Ok(length) = rest.try_get_uint(self.length_size) else {
            return Some(Err(AvcError::Nal(self.length_size)));
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some((nal, rest)) = rest.split_at_checked(length) else {
            return Some(Err(AvcError::Nal(length - rest.len())));
        };
        self.rest = rest;
        Some(Ok(nal))
    }
}

/// Whether an access unit with NAL lengths of `length_size` bytes holds an
/// IDR picture. What is after a broken length doesn't count.
pub fn has_idr(access_unit: &[u8], length_size: u8) -> bool {
    NalUnits::new(access_unit, length_size)
        .map_while(Result::ok)
        .any(|nal| nal.first().is_some_and(|header| header & 0x1f == IDR))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_split_by_their_lengths() {
        let access_unit = [0, 0, 0, 2, 0x09, 0xf0, 0, 0, 0, 1, 0x65];
        let units: Vec<_> = NalUnits::new(&access_unit, 4).map(Result::unwrap).collect();
        assert_eq!(units, [&[0x09, 0xf0][..], &[0x65]]);
        assert!(has_idr(&access_unit, 4));
        assert!(!has_idr(&access_unit[..6], 4));
    }

    #[test]
    fn a_length_past_the_end_is_an_error_and_the_end() {
        let mut units = NalUnits::new(&[0, 3, 0x65], 2);
        assert_eq!(units.next(), Some(Err(AvcError::Nal(2))));
        assert_eq!(units.next(), None);
        assert!(!has_idr(&[0, 3, 0x65], 2));
    }

    proptest! {
        #[test]
        fn hostile_units_end(bytes in prop::collection::vec(any::<u8>(), 0..64), size in 0_u8..6) {
            prop_assert!(NalUnits::new(&bytes, size).count() <= bytes.len());
        }
    }
}
