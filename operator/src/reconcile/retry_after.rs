//! For how long the API server asks not to be asked again.

use std::time::Duration;

/// A server that has too much to do asks for 32 s at most. What asks for more
/// than this is wrong.
const LONGEST: Duration = Duration::from_mins(1);

/// What an error asks for.
pub fn of(error: &kube::Error) -> Option<Duration> {
    let kube::Error::Api(status) = error else { return None };
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    fn asks(details: &serde_json::Value) -> Option<Duration> {
        let status = json!({ "code": 429, "details": details });
        of(&kube::Error::Api(serde_json::from_value::<Status>(status).unwrap().boxed()))
    }

    #[test]
    fn what_is_asked_for_is_bounded() {
        assert_eq!(asks(&json!({ "retryAfterSeconds": 8 })), Some(Duration::from_secs(8)));
        assert_eq!(asks(&json!({ "retryAfterSeconds": 86_400 })), Some(LONGEST));
        assert_eq!(asks(&json!({})), None);
    }
}
