//! Delivery directives: the `_HLS_` parameters of a playlist request
//! (RFC 8216bis §6.2.5).

use crate::id::Msn;

/// Why a request for a playlist gets 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuery {
    /// Not a decimal integer of 64 bits (32 for a part).
    #[error("{0} is not a decimal integer")]
    Number(&'static str),
    /// Neither `YES` nor `v2`.
    #[error("_HLS_skip is neither YES nor v2")]
    Skip,
    /// The same directive more than once.
    #[error("{0} stands twice")]
    Twice(&'static str),
    /// §6.2.5.2: a part is of a segment.
    #[error("_HLS_part without _HLS_msn")]
    PartAlone,
}

/// What a player asks for with a media playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Query {
    /// Answer when this segment is listed.
    pub msn: Option<Msn>,
    /// Answer when this part of it is listed. Never without `msn`.
    pub part: Option<u32>,
    /// A delta update will do. `v2` asks to leave out date ranges too, of
    /// which there are none.
    pub skip: bool,
}

impl Query {
    /// Reads the query of a URL, without the `?`. Parameters that aren't
    /// delivery directives are passed over.
    pub fn parse(query: &str) -> Result<Self, InvalidQuery> {
        let (mut msn, mut part, mut skip) = (None, None, None);
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "_HLS_msn" => once(&mut msn, number(value, "_HLS_msn")?, "_HLS_msn")?,
                "_HLS_part" => {
                    let number = number(value, "_HLS_part")?;
                    let number =
                        u32::try_from(number).map_err(|_| InvalidQuery::Number("_HLS_part"))?;
                    once(&mut part, number, "_HLS_part")?;
                }
                "_HLS_skip" if value == "YES" || value == "v2" => {
                    once(&mut skip, true, "_HLS_skip")?;
                }
                "_HLS_skip" => return Err(InvalidQuery::Skip),
                _ => {}
            }
        }
        if part.is_some() && msn.is_none() {
            return Err(InvalidQuery::PartAlone);
        }
        Ok(Self { msn: msn.map(Msn), part, skip: skip.unwrap_or_default() })
    }
}

fn once<T>(place: &mut Option<T>, value: T, name: &'static str) -> Result<(), InvalidQuery> {
    if place.replace(value).is_some() { Err(InvalidQuery::Twice(name)) } else { Ok(()) }
}

/// A decimal-integer (§4.2): digits alone.
fn number(text: &str, name: &'static str) -> Result<u64, InvalidQuery> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(InvalidQuery::Number(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_among_others() {
        let query = Query::parse("token=x&_HLS_msn=12&_HLS_part=3&_HLS_skip=YES&_HLS_new=1");
        assert_eq!(query, Ok(Query { msn: Some(Msn(12)), part: Some(3), skip: true }));
        assert_eq!(Query::parse(""), Ok(Query::default()));
        assert_eq!(Query::parse("_HLS_skip=v2").map(|q| q.skip), Ok(true));
    }

    #[test]
    fn wrong_directives_are_refused() {
        for (query, error) in [
            ("_HLS_part=1", InvalidQuery::PartAlone),
            ("_HLS_msn=", InvalidQuery::Number("_HLS_msn")),
            ("_HLS_msn=+1", InvalidQuery::Number("_HLS_msn")),
            ("_HLS_msn=99999999999999999999", InvalidQuery::Number("_HLS_msn")),
            ("_HLS_msn=1&_HLS_part=-1", InvalidQuery::Number("_HLS_part")),
            ("_HLS_msn=1&_HLS_part=4294967296", InvalidQuery::Number("_HLS_part")),
            ("_HLS_msn=1&_HLS_msn=2", InvalidQuery::Twice("_HLS_msn")),
            ("_HLS_skip=no", InvalidQuery::Skip),
        ] {
            assert_eq!(Query::parse(query), Err(error), "{query}");
        }
    }
}
