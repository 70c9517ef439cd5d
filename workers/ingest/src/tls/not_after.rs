//! Until when a certificate is good: RFC 5280 §4.1.2.5 in DER.
//!
//! The TLS library checks what peers show and says nothing of what we show.

/// `notAfter` in seconds since 1970; nothing if this is no certificate.
pub(super) fn not_after(certificate: &[u8]) -> Option<i64> {
    let (SEQUENCE, certificate, _) = element(certificate)? else { return None };
    let (SEQUENCE, fields, _) = element(certificate)? else { return None };
    // version, which version 1 has not
    let (tag, _, after_first) = element(fields)?;
    let rest = if tag == VERSION { element(after_first)?.2 } else { after_first };
    // By now behind serialNumber: signature, issuer.
    let (_, _, rest) = element(rest)?;
    let (_, _, rest) = element(rest)?;
    let (SEQUENCE, validity, _) = element(rest)? else { return None };
    let (_, _, not_after) = element(validity)?;
    match element(not_after)? {
        (UTC_TIME, text, _) => {
            // Years of two digits are 1950 to 2049.
            let year = number(text.get(..2)?)?;
            seconds(if year < 50 { 2_000 + year } else { 1_900 + year }, text.get(2..)?)
        }
        (GENERALIZED_TIME, text, _) => seconds(number(text.get(..4)?)?, text.get(4..)?),
        _ => None,
    }
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The first element: its tag, its contents, and what is behind it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // Four bytes of length are more than any certificate needs.
        let count = usize::from(first & 0x7f);
        let digits = rest.get(..count).filter(|_| (1..=4).contains(&count))?;
        let length = digits.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        (length, rest.get(count..)?)
    };
    Some((tag, rest.get(..length)?, rest.get(length..)?))
}

fn number(digits: &[u8]) -> Option<i64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `MMDDHHMMSSZ` of a year.
fn seconds(year: i64, text: &[u8]) -> Option<i64> {
    let two = |at: usize| number(text.get(at..at + 2)?);
    if text.get(10..) != Some(b"Z") {
        return None;
    }
    let (hours, minutes, seconds) = (two(4)?, two(6)?, two(8)?);
    Some(((days(year, two(0)?, two(2)?) * 24 + hours) * 60 + minutes) * 60 + seconds)
}

/// Days from 1970-01-01, in the Gregorian calendar. Counted in years that begin
/// in March, so that a leap day is a year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year
        - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrap(tag: u8, contents: &[u8]) -> Vec<u8> {
        let length = u16::try_from(contents.len()).unwrap();
        let mut bytes = vec![tag];
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => bytes.push(short),
            _ => {
                bytes.push(0x82);
                bytes.extend(length.to_be_bytes());
            }
        }
        bytes.extend(contents);
        bytes
    }

    /// The fields of a certificate up to its validity.
    fn certificate(version: bool, time: &[u8]) -> Vec<u8> {
        let version = if version { wrap(VERSION, &wrap(2, &[2])) } else { Vec::new() };
        let validity = [wrap(UTC_TIME, b"260101000000Z"), time.to_vec()].concat();
        let fields = [
            version,
            wrap(2, &[7; 20]),
            wrap(SEQUENCE, &[6, 0]),
            wrap(SEQUENCE, &[0x31; 200]),
            wrap(SEQUENCE, &validity),
            wrap(SEQUENCE, &[]),
        ];
        wrap(SEQUENCE, &wrap(SEQUENCE, &fields.concat()))
    }

    #[test]
    fn both_forms_of_time_are_read() {
        // By `date -u -d … +%s`.
        let utc = wrap(UTC_TIME, b"270228235959Z");
        let general = wrap(GENERALIZED_TIME, b"20520229000000Z");
        for version in [false, true] {
            assert_eq!(not_after(&certificate(version, &utc)), Some(1_803_859_199));
            assert_eq!(not_after(&certificate(version, &general)), Some(2_592_777_600));
        }
        let past = wrap(UTC_TIME, b"700101000000Z");
        assert_eq!(not_after(&certificate(true, &past)), Some(0));
    }

    #[test]
    fn what_is_no_time_is_nothing() {
        for text in [&b"270228235959"[..], b"27022823595Z", b"2702282359+1Z", b""] {
            assert_eq!(not_after(&certificate(true, &wrap(UTC_TIME, text))), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            not_after(&bytes);
        }

        #[test]
        fn a_certificate_cut_short_is_none(length in 0_usize..250) {
            let whole = certificate(true, &wrap(UTC_TIME, b"270228235959Z"));
            prop_assume!(length < whole.len());
            prop_assert_eq!(not_after(&whole[..length]), None);
        }
    }
}
