//! When a stream is looked at again though nothing happened: Secrets are not
//! watched, and some things end by themselves.

use std::time::Duration;

use rand::Rng;

use super::judged::{Judged, LINGER, lingers};
use crate::api::transcode::Idle;
use crate::reconcile::status::findings::LogView;
use crate::reconcile::validated::ValidatedStream;

/// Whatever happens.
const USUAL: Duration = Duration::from_mins(10);
/// Where certificates are copied from Secrets, which are renewed.
const AT_SECRETS: Duration = Duration::from_mins(1);
/// Where a Secret that the spec names is missing.
const AT_MISSING: Duration = Duration::from_secs(30);

/// After how long. `keys_change`: a key that was rotated away is good until
/// then.
pub(super) fn next_look(
    valid: &ValidatedStream,
    log: &LogView,
    judged: &Judged,
    keys_change: Option<Duration>,
) -> Duration {
    let has_certificates = valid.ingest.tls_secret.is_some() || valid.playback.host.is_some();
    let usual = if has_certificates { AT_SECRETS } else { USUAL };
    let missing = judged.lacks_secret.then_some(AT_MISSING);
    let falls_asleep = valid.transcode.idle == Idle::ScaleToZero
        && matches!(*log, LogView::Ended { ended_ms, .. } if lingers(ended_ms));
    let linger = (falls_asleep || judged.facts.finishing).then_some(LINGER);
    [missing, linger, keys_change].into_iter().flatten().fold(usual, Duration::min)
}

/// So that streams that were made at once are not looked at at once for ever.
pub(super) fn scattered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.9..1.1))
}

#[cfg(test)]
mod tests {
    use millrace_platform::wall;
    use serde_json::json;

    use super::*;
    use crate::reconcile::build::Circumstances;
    use crate::reconcile::status::{Verdict, table};
    use crate::reconcile::validate::tests::valid as stream;

    fn judged(lacks_secret: bool, finishing: bool) -> Judged {
        Judged {
            facts: Circumstances { finishing, ..Circumstances::default() },
            accepted: Verdict::plain(&table::ACCEPTED),
            lacks_secret,
            drain: None,
        }
    }

    fn ended(seconds_ago: i64) -> LogView {
        let ended_ms = wall::ms() - seconds_ago * 1_000;
        LogView::Ended { id: "b".to_owned(), started_ms: 0, ended_ms }
    }

    #[test]
    fn each_thing_that_is_not_watched_or_ends_by_itself_has_its_time() {
        let seconds = |spec, log: &LogView, judged: &Judged, keys| {
            let keys = Option::map(keys, Duration::from_secs);
            next_look(&stream(spec), log, judged, keys).as_secs()
        };
        let (plain, never) = (judged(false, false), LogView::Never);
        assert_eq!(seconds(json!({}), &never, &plain, None), 600);
        let rtmps = json!({ "ingest": { "protocol": "RTMPS", "tls": { "secretName": "a" } } });
        assert_eq!(seconds(rtmps.clone(), &never, &plain, None), 60);
        let host = json!({ "playback": { "hostname": "live.example" } });
        assert_eq!(seconds(host, &never, &plain, None), 60);
        assert_eq!(seconds(rtmps.clone(), &never, &judged(true, false), None), 30);
        assert_eq!(seconds(rtmps, &never, &plain, Some(7)), 7, "whichever comes first");
        assert_eq!(seconds(json!({}), &never, &plain, Some(7)), 7);

        let sleeper = json!({ "transcode": { "idle": "ScaleToZero" } });
        assert_eq!(seconds(sleeper.clone(), &ended(1), &plain, None), 60);
        assert_eq!(seconds(sleeper, &ended(61), &plain, None), 600, "it sleeps");
        assert_eq!(seconds(json!({}), &ended(1), &plain, None), 600, "it never does");
        assert_eq!(seconds(json!({ "suspend": true }), &never, &judged(false, true), None), 60);
    }

    #[test]
    fn nobody_waits_a_tenth_longer_or_shorter() {
        for _ in 0..1_000 {
            let wait = scattered(Duration::from_secs(100)).as_secs();
            assert!((90..110).contains(&wait), "{wait}");
        }
    }
}
