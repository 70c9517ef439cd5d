//! The paths of delivery's viewers' door that belong to one stream. An own
//! host name routes these and nothing else, so that it shows no other stream.

use millrace_media::id::StreamId;

/// Each with all below it. `/assets` holds the player's files, which are the
/// same for every stream.
pub(crate) fn of(stream: &StreamId) -> Vec<String> {
    vec![
        format!("/hls/{stream}"),
        format!("/dash/{stream}"),
        format!("/ws/stream/{stream}"),
        format!("/watch/{stream}"),
        format!("/embed/{stream}"),
        "/assets".to_owned(),
    ]
}
