//! Lists a page at a time, newest first, by keyset: what is inserted meanwhile
//! moves no later page.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::Uuid;

/// Most rows a page has.
pub const MAX_PAGE: u32 = 500;
/// Bytes of a cursor before base64.
const MAX_TEXT: usize = 64;

/// A text that is no cursor of ours.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a cursor: take the one that came with the page before")]
pub struct InvalidCursor;

/// Where a page ended: its last row's time and id. Its text is opaque to
/// whoever carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor<I = Uuid> {
    /// µs since 1970.
    pub(super) at_us: i64,
    pub(super) id: I,
}

impl<I> Cursor<I> {
    /// At a row whose time is known in ms since 1970.
    pub(super) fn at_ms(at_ms: i64, id: I) -> Self {
        Self { at_us: at_ms.saturating_mul(1_000), id }
    }
}

impl<I: fmt::Display> fmt::Display for Cursor<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(format!("{}-{}", self.at_us, self.id)))
    }
}

impl<I: FromStr> FromStr for Cursor<I> {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let mut bytes = [0; MAX_TEXT];
        let length = BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut bytes);
        let plain = length.ok().and_then(|length| bytes.get(..length));
        let plain = plain.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let (at, id) = plain.and_then(|text| text.split_once('-')).ok_or(InvalidCursor)?;
        let at_us = at.parse().map_err(|_| InvalidCursor)?;
        // Of what Postgres can take as a time.
        if !(0..=253_402_300_799_999_999).contains(&at_us) {
            return Err(InvalidCursor);
        }
        Ok(Self { at_us, id: id.parse().map_err(|_| InvalidCursor)? })
    }
}

/// Which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest<I = Uuid> {
    /// Most rows wanted; 1 to [`MAX_PAGE`] are given.
    pub limit: u32,
    /// Where the page before ended; none for the first.
    pub after: Option<Cursor<I>>,
}

impl<I> Default for PageRequest<I> {
    fn default() -> Self {
        Self { limit: 50, after: None }
    }
}

impl<I> PageRequest<I> {
    /// One row more than the page, to know whether there is another.
    pub(super) fn fetch(&self) -> i64 {
        i64::from(self.limit()) + 1
    }

    fn limit(&self) -> u32 {
        self.limit.clamp(1, MAX_PAGE)
    }
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, I = Uuid> {
    /// The rows, newest first.
    pub items: Vec<T>,
    /// Where the next page begins; none after the last.
    pub next: Option<Cursor<I>>,
}

impl<T, I> Page<T, I> {
    /// From [`PageRequest::fetch`] rows; `cursor` says where a row stands.
    pub(super) fn new(
        mut items: Vec<T>,
        request: &PageRequest<I>,
        cursor: impl Fn(&T) -> Cursor<I>,
    ) -> Self {
        let limit = usize::try_from(request.limit()).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_and_nothing_else_is_one() {
        let cursor = Cursor::at_ms(1_764_000_000_123, Uuid::from_u128(77));
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        let named = Cursor { at_us: 7, id: "abcd".to_owned() };
        assert_eq!(named.to_string().parse(), Ok(named));
        let early = Cursor { at_us: -1, ..cursor }.to_string();
        let late = Cursor { at_us: i64::MAX, ..cursor }.to_string();
        let long = format!("{cursor}{cursor}");
        for bad in ["", "AA", "not base64!", &cursor.to_string()[1..], &early, &late, &long] {
            assert_eq!(bad.parse::<Cursor>(), Err(InvalidCursor), "{bad}");
        }
    }

    #[test]
    fn only_a_page_with_more_behind_it_has_a_next() {
        let cursor = |n: &u128| Cursor::at_ms(0, Uuid::from_u128(*n));
        let request = PageRequest { limit: 2, after: None };
        assert_eq!(Page::new(vec![3, 2, 1], &request, cursor).next, Some(cursor(&2)));
        assert_eq!(Page::new(vec![3, 2], &request, cursor).next, None);
    }
}
