//! Lists a page at a time, newest first, by keyset: what is inserted meanwhile
//! moves no later page.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::Uuid;

/// Most rows a page has.
pub const MAX_PAGE: u32 = 500;

/// A text that is no cursor of ours.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a cursor: take the one that came with the page before")]
pub struct InvalidCursor;

/// Where a page ended. Its text is opaque to whoever carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The last row's time, ms since 1970.
    pub(super) at_ms: i64,
    /// The last row's id.
    pub(super) id: Uuid,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.at_ms.to_be_bytes().to_vec();
        bytes.extend(self.id.as_bytes());
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let mut bytes = [0; 24];
        let length =
            BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).map_err(|_| InvalidCursor)?;
        let (at_ms, id) = bytes.split_first_chunk().ok_or(InvalidCursor)?;
        let id = Uuid::from_slice(id).map_err(|_| InvalidCursor)?;
        // Of what Postgres can take as a time.
        let at_ms = i64::from_be_bytes(*at_ms);
        if length != bytes.len() || !(0..=253_402_300_799_999).contains(&at_ms) {
            return Err(InvalidCursor);
        }
        Ok(Self { at_ms, id })
    }
}

/// Which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Most rows wanted; 1 to [`MAX_PAGE`] are given.
    pub limit: u32,
    /// Where the page before ended; none for the first.
    pub after: Option<Cursor>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: 50, after: None }
    }
}

impl PageRequest {
    /// One row more than the page, to know whether there is another.
    pub(super) fn fetch(self) -> i64 {
        i64::from(self.limit()) + 1
    }

    fn limit(self) -> u32 {
        self.limit.clamp(1, MAX_PAGE)
    }
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, newest first.
    pub items: Vec<T>,
    /// Where the next page begins; none after the last.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// From [`PageRequest::fetch`] rows; `cursor` says where a row stands.
    pub(super) fn new(
        mut items: Vec<T>,
        request: PageRequest,
        cursor: impl Fn(&T) -> Cursor,
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
        let cursor = Cursor { at_ms: 1_764_000_000_123, id: Uuid::from_u128(77) };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        let early = Cursor { at_ms: -1, ..cursor }.to_string();
        let long = format!("{cursor}AA");
        for bad in ["", "AA", "not base64!", &cursor.to_string()[1..], &early, &long] {
            assert_eq!(bad.parse::<Cursor>(), Err(InvalidCursor), "{bad}");
        }
    }

    #[test]
    fn only_a_page_with_more_behind_it_has_a_next() {
        let cursor = |n: &u128| Cursor { at_ms: 0, id: Uuid::from_u128(*n) };
        let request = PageRequest { limit: 2, after: None };
        assert_eq!(Page::new(vec![3, 2, 1], request, cursor).next, Some(cursor(&2)));
        assert_eq!(Page::new(vec![3, 2], request, cursor).next, None);
    }
}
