//! Audio and video messages (RTMP §7.1.4, §7.1.5).

use std::time::Duration;

use super::{Event, Phase, RejectCode, ServerSession};
use crate::record::Track;
use crate::rtmp::codec::{self, SUPPORTED, Unsupported};
use crate::rtmp::error::{ErrorKind, Wait};
use crate::rtmp::message::{Message, MessageType};

impl ServerSession {
    pub(super) fn handle_media(
        &mut self,
        message: Message,
        now: Duration,
    ) -> Result<(), ErrorKind> {
        match self.phase {
            Phase::Publishing(_) => {
                self.deadline = Some((now + self.config.timeouts.idle, Wait::Media));
            }
            Phase::Asked(_) => {}
            // What arrives after the end of a publish was on its way.
            _ => return Ok(()),
        }
        if message.payload.is_empty() {
            return Ok(());
        }
        let (track, checked) = match message.kind {
            MessageType::Audio => (Track::Audio, codec::check_audio(&message.payload)),
            MessageType::Video => (Track::Video, codec::check_video(&message.payload)),
            // No encoder sends them (RTMP §7.1.6), and skipping one would lose
            // frames in silence.
            _ => (Track::Video, Err(Unsupported("Aggregate messages".to_owned()))),
        };
        if let Err(unsupported) = checked {
            let description = format!("{unsupported} can't be taken: {SUPPORTED}.");
            self.reject_publish(RejectCode::Rejected, &description);
            return Err(unsupported.into());
        }
        let time_ms = self.clock.unwrap(message.timestamp);
        self.events.push_back(Event::Media { track, time_ms, payload: message.payload });
        Ok(())
    }
}
