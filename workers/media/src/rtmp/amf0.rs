//! AMF0: the values commands and metadata are made of (AMF0 §2).
//!
//! Bounded for strangers: nesting, strings and the number of values in a
//! message; nothing is reserved for an announced count.

mod decode;
mod encode;

pub use decode::{Amf0Error, MAX_DEPTH, MAX_STRING, MAX_VALUES, decode_all};

/// One AMF0 value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// AMF0 §2.2.
    Number(f64),
    /// AMF0 §2.3.
    Boolean(bool),
    /// AMF0 §2.4, and the long string and XML document of §2.14 and §2.17.
    /// What is not UTF-8 is replaced.
    String(String),
    /// AMF0 §2.5, and the typed object of §2.18 without its class.
    Object(Vec<(String, Value)>),
    /// AMF0 §2.7.
    Null,
    /// AMF0 §2.8, and the unsupported type of §2.15.
    Undefined,
    /// AMF0 §2.10.
    EcmaArray(Vec<(String, Value)>),
    /// AMF0 §2.12.
    StrictArray(Vec<Value>),
    /// Milliseconds since 1970, AMF0 §2.13. The reserved time zone is dropped.
    Date(f64),
}

impl Value {
    /// The number, when it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The text, when it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The property of this name, when it is an object or an ECMA array.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(properties) | Self::EcmaArray(properties) => {
                properties.iter().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const NULL: u8 = 0x05;
const UNDEFINED: u8 = 0x06;
const ECMA_ARRAY: u8 = 0x08;
const OBJECT_END: u8 = 0x09;
const STRICT_ARRAY: u8 = 0x0a;
const DATE: u8 = 0x0b;
const LONG_STRING: u8 = 0x0c;
const UNSUPPORTED: u8 = 0x0d;
const XML_DOCUMENT: u8 = 0x0f;
const TYPED_OBJECT: u8 = 0x10;

#[cfg(test)]
mod tests;
