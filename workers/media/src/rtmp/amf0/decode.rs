//! Reading AMF0.

use bytes::Buf;

use super::{
    BOOLEAN, DATE, ECMA_ARRAY, LONG_STRING, NULL, NUMBER, OBJECT, OBJECT_END, STRICT_ARRAY, STRING,
    TYPED_OBJECT, UNDEFINED, UNSUPPORTED, Value, XML_DOCUMENT,
};

/// Deepest nesting of objects and arrays.
pub const MAX_DEPTH: usize = 16;
/// Longest string in bytes.
pub const MAX_STRING: usize = 16 * 1024;
/// Most values in one message, nested ones included.
pub const MAX_VALUES: usize = 1024;

/// Why bytes are not AMF0, or more of it than a peer may send. Positions are
/// bytes from the start of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Amf0Error {
    /// The message ends inside a value.
    #[error("the message ends inside the value at byte {at}")]
    End {
        /// Where the value begins.
        at: usize,
    },
    /// A type that has no place here: references (AMF0 §2.9), movie clips,
    /// record sets, AMF3, or none at all.
    #[error("value type {marker:#04x} at byte {at} is not supported")]
    Marker {
        /// The type marker.
        marker: u8,
        /// Where.
        at: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} at byte {at}")]
    Depth {
        /// Where.
        at: usize,
    },
    /// A string longer than [`MAX_STRING`].
    #[error("string of {length} bytes at byte {at} is over the limit of {MAX_STRING}")]
    StringLength {
        /// Its length in bytes.
        length: usize,
        /// Where.
        at: usize,
    },
    /// More values than [`MAX_VALUES`].
    #[error("more than {MAX_VALUES} values, at byte {at}")]
    Values {
        /// Where.
        at: usize,
    },
}

/// Every value of a message, in order.
///
/// # Errors
/// When the message is malformed or over a bound.
pub fn decode_all(message: &[u8]) -> Result<Vec<Value>, Amf0Error> {
    let mut decoder = Decoder { rest: message, length: message.len(), values: 0 };
    let mut values = Vec::new();
    while !decoder.rest.is_empty() {
        values.push(decoder.value(0)?);
    }
    Ok(values)
}

struct Decoder<'a> {
    rest: &'a [u8],
    length: usize,
    values: usize,
}

impl Decoder<'_> {
    fn at(&self) -> usize {
        self.length - self.rest.len()
    }

    fn value(&mut self, depth: usize) -> Result<Value, Amf0Error> {
        let at = self.at();
        let end = |_| Amf0Error::End { at };
        if depth > MAX_DEPTH {
            return Err(Amf0Error::Depth { at });
        }
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(Amf0Error::Values { at });
        }
        Ok(match self.rest.try_get_u8().map_err(end)? {
            NUMBER => Value::Number(self.rest.try_get_f64().map_err(end)?),
            BOOLEAN => Value::Boolean(self.rest.try_get_u8().map_err(end)? != 0),
            STRING => Value::String(self.short_string()?),
            LONG_STRING | XML_DOCUMENT => {
                let length = self.rest.try_get_u32().map_err(end)?;
                Value::String(self.string(usize::try_from(length).unwrap_or(usize::MAX), at)?)
            }
            OBJECT => Value::Object(self.properties(depth)?),
            TYPED_OBJECT => {
                self.short_string()?;
                Value::Object(self.properties(depth)?)
            }
            ECMA_ARRAY => {
                // The count is a hint (AMF0 §2.10); the end marker decides.
                self.rest.try_get_u32().map_err(end)?;
                Value::EcmaArray(self.properties(depth)?)
            }
            STRICT_ARRAY => {
                let count = self.rest.try_get_u32().map_err(end)?;
                let items = (0..count).map(|_| self.value(depth + 1));
                Value::StrictArray(items.collect::<Result<_, _>>()?)
            }
            DATE => {
                let ms = self.rest.try_get_f64().map_err(end)?;
                self.rest.try_get_i16().map_err(end)?;
                Value::Date(ms)
            }
            NULL => Value::Null,
            UNDEFINED | UNSUPPORTED => Value::Undefined,
            marker => return Err(Amf0Error::Marker { marker, at }),
        })
    }

    /// Names and values up to the empty name and the end marker (AMF0 §2.5,
    /// §2.11).
    fn properties(&mut self, depth: usize) -> Result<Vec<(String, Value)>, Amf0Error> {
        let mut properties = Vec::new();
        loop {
            let name = self.short_string()?;
            if name.is_empty() && self.rest.first() == Some(&OBJECT_END) {
                self.rest.advance(1);
                return Ok(properties);
            }
            properties.push((name, self.value(depth + 1)?));
        }
    }

    fn short_string(&mut self) -> Result<String, Amf0Error> {
        let at = self.at();
        let length = self.rest.try_get_u16().map_err(|_| Amf0Error::End { at })?;
        self.string(usize::from(length), at)
    }

    fn string(&mut self, length: usize, at: usize) -> Result<String, Amf0Error> {
        if length > MAX_STRING {
            return Err(Amf0Error::StringLength { length, at });
        }
        let (text, rest) = self.rest.split_at_checked(length).ok_or(Amf0Error::End { at })?;
        self.rest = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}
