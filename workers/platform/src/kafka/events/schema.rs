//! JSON Schemas of the events' data, for docs/events/.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::EventType;
use super::data;

impl EventType {
    /// The JSON Schema (2020-12) of its data.
    pub fn schema(self) -> Value {
        match self {
            Self::StreamProvisioned => of::<data::StreamProvisioned>(self),
            Self::StreamStarted => of::<data::StreamStarted>(self),
            Self::StreamInterrupted => of::<data::StreamInterrupted>(self),
            Self::StreamResumed => of::<data::StreamResumed>(self),
            Self::StreamEnded => of::<data::StreamEnded>(self),
            Self::StreamFailed => of::<data::StreamFailed>(self),
            Self::SegmentGenerated => of::<data::SegmentGenerated>(self),
            Self::QualityChanged => of::<data::QualityChanged>(self),
            Self::ViewerJoined => of::<data::ViewerJoined>(self),
            Self::ViewerLeft => of::<data::ViewerLeft>(self),
        }
    }

    /// The file of docs/events/ that has it, and what it says.
    pub fn schema_file(self) -> (String, String) {
        (format!("{}.json", self.name()), format!("{:#}\n", self.schema()))
    }
}

fn of<D: JsonSchema>(kind: EventType) -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = Value::from(generator.into_root_schema_for::<D>());
    if let Some(root) = schema.as_object_mut() {
        root.insert("$id".to_owned(), json!(format!("urn:{}", kind.as_str())));
    }
    schema
}
