//! Commands a publisher sends (RTMP §7.2; releaseStream, FCPublish and
//! FCUnpublish are not in it but every encoder sends them).

use super::amf0::{Amf0Error, Value, decode_all};

/// One command.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Which.
    pub kind: CommandKind,
    /// The caller's number for the answer; 0 wants none (RTMP §7.2.1.1).
    pub transaction: f64,
}

/// What is asked for.
#[derive(Clone, PartialEq)]
pub enum CommandKind {
    /// RTMP §7.2.1.1.
    Connect {
        /// The application's name, without what follows a `/` or `?` at its
        /// end.
        app: String,
        /// The encoder's name for itself (`flashVer`), at most 64 characters.
        encoder: String,
    },
    /// RTMP §7.2.1.3.
    CreateStream,
    /// Announces a publish.
    ReleaseStream,
    /// Announces a publish.
    FcPublish,
    /// RTMP §7.2.2.6.
    Publish {
        /// The publishing name: here the publish key, so never to be printed.
        name: String,
    },
    /// Ends a publish.
    FcUnpublish,
    /// RTMP §7.2.2.3.
    DeleteStream {
        /// The message stream.
        stream_id: f64,
    },
    /// Ends a publish on its message stream.
    CloseStream,
    /// RTMP §7.2.2.1 and §7.2.2.2.
    Play,
    /// A command whose answer nobody needs.
    Other {
        /// Its name, at most 64 characters.
        name: String,
    },
}

impl std::fmt::Debug for CommandKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl CommandKind {
    /// The command's name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::Connect { .. } => "connect",
            Self::CreateStream => "createStream",
            Self::ReleaseStream => "releaseStream",
            Self::FcPublish => "FCPublish",
            Self::Publish { .. } => "publish",
            Self::FcUnpublish => "FCUnpublish",
            Self::DeleteStream { .. } => "deleteStream",
            Self::CloseStream => "closeStream",
            Self::Play => "play",
            Self::Other { name } => name,
        }
    }
}

/// Why a command message is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Its values do not parse.
    #[error("command message: {0}")]
    Amf0(#[from] Amf0Error),
    /// It does not begin with a name.
    #[error("command message does not begin with a name")]
    Name,
    /// A value that the command can't do without is missing.
    #[error("{command} has no {missing}")]
    Missing {
        /// The command's name.
        command: &'static str,
        /// The value.
        missing: &'static str,
    },
}

impl Command {
    /// Reads a command message's payload (AMF0, without AMF3's leading byte).
    ///
    /// # Errors
    /// When it is malformed or lacks what its name needs.
    pub fn read(payload: &[u8]) -> Result<Self, CommandError> {
        let values = decode_all(payload)?;
        let name = values.first().and_then(Value::as_str).ok_or(CommandError::Name)?;
        let transaction = values.get(1).and_then(Value::as_number).unwrap_or_default();
        let object = values.get(2).unwrap_or(&Value::Null);
        let argument = values.get(3);
        let kind = match name {
            "connect" => {
                let app = object.get("app").and_then(Value::as_str);
                let missing = CommandError::Missing { command: "connect", missing: "app" };
                let encoder = object.get("flashVer").and_then(Value::as_str).unwrap_or_default();
                let app = without_query(app.ok_or(missing)?).trim_end_matches('/');
                CommandKind::Connect { app: app.to_owned(), encoder: short(encoder) }
            }
            "createStream" => CommandKind::CreateStream,
            "releaseStream" => CommandKind::ReleaseStream,
            "FCPublish" => CommandKind::FcPublish,
            "publish" => {
                let name = argument.and_then(Value::as_str);
                let missing = CommandError::Missing { command: "publish", missing: "name" };
                CommandKind::Publish { name: without_query(name.ok_or(missing)?).to_owned() }
            }
            "FCUnpublish" => CommandKind::FcUnpublish,
            "deleteStream" => CommandKind::DeleteStream {
                stream_id: argument.and_then(Value::as_number).unwrap_or_default(),
            },
            "closeStream" => CommandKind::CloseStream,
            "play" | "play2" => CommandKind::Play,
            other => CommandKind::Other { name: short(other) },
        };
        Ok(Self { kind, transaction })
    }
}

fn without_query(text: &str) -> &str {
    text.split_once('?').map_or(text, |(before, _)| before)
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    fn read(values: &[Value]) -> Result<Command, CommandError> {
        let mut payload = BytesMut::new();
        for value in values {
            value.encode(&mut payload);
        }
        Command::read(&payload)
    }

    #[test]
    fn an_app_is_taken_without_its_query_and_slash() {
        for app in ["live", "live/", "live?token=x"] {
            let object = Value::Object(vec![("app".to_owned(), app.into())]);
            let command = read(&["connect".into(), 1.0.into(), object]).unwrap();
            let CommandKind::Connect { app, .. } = command.kind else { panic!() };
            assert_eq!(app, "live");
        }
    }

    #[test]
    fn printing_a_publish_does_not_print_its_name() {
        let values = ["publish".into(), 5.0.into(), Value::Null, "abcd_secret".into()];
        let command = read(&values).unwrap();
        assert!(!format!("{command:?}").contains("secret"));
    }

    #[test]
    fn what_a_command_lacks_is_named() {
        let error = read(&["publish".into(), 5.0.into(), Value::Null]).unwrap_err();
        assert_eq!(error.to_string(), "publish has no name");
        assert_eq!(read(&[5.0.into()]), Err(CommandError::Name));
    }
}
