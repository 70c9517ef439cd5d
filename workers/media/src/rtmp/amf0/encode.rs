//! Writing AMF0.

use bytes::{BufMut, BytesMut};

use super::{
    BOOLEAN, DATE, ECMA_ARRAY, LONG_STRING, NULL, NUMBER, OBJECT, OBJECT_END, STRICT_ARRAY, STRING,
    UNDEFINED, Value,
};

impl Value {
    /// Appends the value.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Number(number) => {
                out.put_u8(NUMBER);
                out.put_f64(*number);
            }
            Self::Boolean(flag) => {
                out.put_u8(BOOLEAN);
                out.put_u8(u8::from(*flag));
            }
            Self::String(text) => string(text, out),
            Self::Object(entries) => {
                out.put_u8(OBJECT);
                properties(entries, out);
            }
            Self::Null => out.put_u8(NULL),
            Self::Undefined => out.put_u8(UNDEFINED),
            Self::EcmaArray(entries) => {
                out.put_u8(ECMA_ARRAY);
                out.put_u32(count(entries.len()));
                properties(entries, out);
            }
            Self::StrictArray(items) => {
                out.put_u8(STRICT_ARRAY);
                out.put_u32(count(items.len()));
                for item in items {
                    item.encode(out);
                }
            }
            Self::Date(ms) => {
                out.put_u8(DATE);
                out.put_f64(*ms);
                out.put_i16(0);
            }
        }
    }
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

fn string(text: &str, out: &mut BytesMut) {
    if let Ok(length) = u16::try_from(text.len()) {
        out.put_u8(STRING);
        out.put_u16(length);
    } else {
        out.put_u8(LONG_STRING);
        out.put_u32(count(text.len()));
    }
    out.extend_from_slice(text.as_bytes());
}

fn properties(entries: &[(String, Value)], out: &mut BytesMut) {
    for (name, value) in entries {
        // A name has no long form; ours are short.
        let Ok(length) = u16::try_from(name.len()) else { continue };
        out.put_u16(length);
        out.extend_from_slice(name.as_bytes());
        value.encode(out);
    }
    out.put_u16(0);
    out.put_u8(OBJECT_END);
}
