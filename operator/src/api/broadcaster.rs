//! `spec.broadcaster`: who owns the stream.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::schema::{LABEL_LENGTH, LABEL_PATTERN};

/// The broadcaster's id: a DNS label of at most 63 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Broadcaster(pub String);

impl JsonSchema for Broadcaster {
    fn schema_name() -> Cow<'static, str> {
        "Broadcaster".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": LABEL_LENGTH,
            "pattern": LABEL_PATTERN,
        })
    }
}
