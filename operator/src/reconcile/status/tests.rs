//! What the conditions sum up to, and when they change.

use k8s_openapi::jiff::Timestamp;
use millrace_platform::redis::metrics::Amiss;

use super::findings::LogView;
use super::*;
use crate::reconcile::external::figures::Figures;
use crate::reconcile::external::rungs::Rungs;

fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

fn fine() -> Findings {
    let mut findings = Findings::refused(Verdict::plain(&table::ACCEPTED), LogView::Never);
    findings.keys = Verdict::plain(&table::KEYS_READY);
    findings.topics = Verdict::plain(&table::TOPICS_READY);
    findings.cache = Verdict::plain(&table::CACHE_READY);
    findings.ingest = Verdict::plain(&table::INGEST_READY);
    findings.transcode = Verdict::plain(&table::TRANSCODE_READY);
    findings.playback = Verdict::plain(&table::PLAYBACK_READY);
    findings
}

fn open(publishing: bool) -> LogView {
    LogView::Open { id: "b".to_owned(), started_ms: 5_000, publishing }
}

fn reason(status: &LiveStreamStatus, condition: &str) -> String {
    status.conditions.iter().find(|c| c.type_ == condition).unwrap().reason.to_string()
}

#[test]
fn all_that_is_needed_makes_ready_and_one_that_fails_is_named() {
    let ready = status(&fine(), 1, None, &time(1));
    assert_eq!((ready.phase, reason(&ready, "Ready")), (Some(Phase::Ready), "Ready".to_owned()));

    let mut findings = fine();
    findings.topics = Verdict::plain(&table::TOPICS_UNAVAILABLE);
    let pending = status(&findings, 1, None, &time(1));
    assert_eq!(pending.phase, Some(Phase::Pending));
    let ready = pending.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
    assert!(ready.message.contains("TopicsReady (KafkaUnavailable)"), "{}", ready.message);
}

#[test]
fn a_cache_that_is_away_is_no_reason_not_to_be_ready() {
    let mut findings = fine();
    findings.cache = Verdict::plain(&table::CACHE_UNAVAILABLE);
    assert_eq!(status(&findings, 1, None, &time(1)).phase, Some(Phase::Ready));
}

#[test]
fn live_comes_before_ready_and_degraded_before_live() {
    let mut findings = fine();
    findings.log = open(true);
    assert_eq!(status(&findings, 1, None, &time(1)).phase, Some(Phase::Live));
    findings.transcode = Verdict::plain(&table::TRANSCODE_FAILING);
    let degraded = status(&findings, 1, None, &time(1));
    assert_eq!(degraded.phase, Some(Phase::Degraded));
    assert_eq!(reason(&degraded, "Degraded"), "PartsMissing");
    findings.suspended = true;
    assert_eq!(status(&findings, 1, None, &time(1)).phase, Some(Phase::Suspended));
    findings.terminating = true;
    assert_eq!(status(&findings, 1, None, &time(1)).phase, Some(Phase::Terminating));
}

#[test]
fn what_is_on_air_is_shown_as_that_though_its_spec_can_not_be_met_any_more() {
    for row in [&table::SECRET_MISSING, &table::HOST_TAKEN, &table::INVALID_SPEC] {
        let mut findings = fine();
        findings.accepted = Verdict::plain(row);
        assert_eq!(status(&findings, 1, None, &time(1)).phase, Some(Phase::Failed));
        findings.log = open(true);
        let live = status(&findings, 1, None, &time(1));
        assert_eq!(live.phase, Some(Phase::Degraded));
        let degraded = live.conditions.iter().find(|c| c.type_ == "Degraded").unwrap();
        assert!(degraded.message.contains(row.reason), "{}", degraded.message);
    }
}

#[test]
fn a_suspended_stream_is_not_on_air_though_its_broadcast_is_still_to_end() {
    let mut findings = fine();
    (findings.suspended, findings.log) = (true, open(false));
    findings.ingest = Verdict::plain(&table::INGEST_SUSPENDED);
    let ending = status(&findings, 1, None, &time(1));
    assert_eq!(ending.phase, Some(Phase::Suspended));
    let reasons = ["Live", "Degraded", "Ready"].map(|condition| reason(&ending, condition));
    assert_eq!(reasons, ["Ending", "AsExpected", "Suspended"]);
}

#[test]
fn without_a_log_nothing_is_ready_and_what_was_on_air_is_degraded() {
    let mut findings = fine();
    findings.log = LogView::Unknown;
    let unknown = status(&findings, 1, None, &time(1));
    assert_eq!(unknown.phase, Some(Phase::Pending));
    assert_eq!(reason(&unknown, "Ready"), "KafkaUnavailable");
    let ready = unknown.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!(ready.message, "Missing: Live (KafkaUnavailable).");

    let on = status(&Findings { log: open(true), ..fine() }, 1, None, &time(1));
    let lost = status(&findings, 1, Some(&on), &time(2));
    assert_eq!(
        (lost.phase, reason(&lost, "Degraded")),
        (Some(Phase::Degraded), "PartsMissing".to_owned())
    );
    let over = LogView::Ended { id: "b".to_owned(), started_ms: 5_000, ended_ms: 9_000 };
    let over = status(&Findings { log: over, ..fine() }, 1, Some(&on), &time(2));
    assert_eq!(status(&findings, 1, Some(&over), &time(3)).phase, Some(Phase::Pending));
}

#[test]
fn a_transition_time_moves_with_the_value_only() {
    let first = status(&fine(), 1, None, &time(1));
    let mut findings = fine();
    findings.keys = Verdict::plain(&table::KEYS_UNAVAILABLE);
    let second = status(&findings, 2, Some(&first), &time(2));
    let third = {
        findings.keys = Verdict::plain(&table::KEYS_FAILED);
        status(&findings, 3, Some(&second), &time(3))
    };
    let at = |status: &LiveStreamStatus| {
        let keys = status.conditions.iter().find(|c| c.type_ == "KeysReady").unwrap();
        keys.last_transition_time.clone()
    };
    assert_eq!((at(&first), at(&second), at(&third)), (time(1), time(2), time(2)));
    assert_eq!(status(&fine(), 1, Some(&first), &time(9)), first, "nothing changed");
}

#[test]
fn a_broadcast_is_kept_when_the_log_has_forgotten_it() {
    let mut findings = fine();
    findings.log = LogView::Ended { id: "b".to_owned(), started_ms: 5_999, ended_ms: 9_000 };
    let ended = status(&findings, 1, None, &time(1));
    let broadcast = ended.broadcast.clone().unwrap();
    assert_eq!((broadcast.started, broadcast.ended), (time(5), Some(time(9))));
    findings.log = LogView::Never;
    assert_eq!(status(&findings, 1, Some(&ended), &time(20)).broadcast, ended.broadcast);
}

#[test]
fn figures_show_while_live_only() {
    let mut findings = fine();
    let amiss = Amiss::default();
    findings.figures = Some(Figures { viewers: 3, ingress_kbps: 900, amiss });
    findings.log = open(true);
    let live = status(&findings, 1, None, &time(1));
    assert_eq!((live.viewers, live.ingress_bitrate_kbps), (Some(3), Some(900)));
    findings.figures = None;
    assert_eq!(status(&findings, 1, Some(&live), &time(2)).viewers, Some(3));
    findings.log = LogView::Never;
    assert_eq!(status(&findings, 1, Some(&live), &time(2)).viewers, None);
}

#[test]
fn what_the_transcoder_finds_amiss_degrades_what_is_live() {
    let mut findings = fine();
    findings.log = open(true);
    let mut told = |store_away, gop_too_long| {
        let amiss = Amiss { store_away, gop_too_long };
        findings.figures = Some(Figures { viewers: 0, ingress_kbps: 0, amiss });
        let status = status(&findings, 1, None, &time(1));
        (status.phase, reason(&status, "Degraded"), reason(&status, "Ready"))
    };
    let [live, degraded] = [Phase::Live, Phase::Degraded].map(Some);
    assert_eq!(told(true, true), (degraded, "StoreUnavailable".to_owned(), "Ready".to_owned()));
    assert_eq!(told(false, true), (degraded, "SourceGopTooLong".to_owned(), "Ready".to_owned()));
    assert_eq!(told(false, false), (live, "AsExpected".to_owned(), "Ready".to_owned()));
    findings.log = LogView::Never;
    assert_eq!(status(&findings, 1, None, &time(1)).phase, Some(Phase::Ready));
}

#[test]
fn what_was_amiss_stays_so_while_nobody_can_be_asked_of_the_same_broadcast() {
    let mut findings = fine();
    findings.log = open(true);
    let amiss = Amiss { store_away: true, gop_too_long: false };
    findings.figures = Some(Figures { viewers: 0, ingress_kbps: 0, amiss });
    let before = status(&findings, 1, None, &time(1));
    findings.figures = None;
    assert_eq!(status(&findings, 1, Some(&before), &time(2)), before);
    findings.log = LogView::Unknown;
    assert_eq!(reason(&status(&findings, 1, Some(&before), &time(2)), "Degraded"), "PartsMissing");
    findings.log = LogView::Open { id: "next".to_owned(), started_ms: 6_000, publishing: true };
    assert_eq!(reason(&status(&findings, 1, Some(&before), &time(2)), "Degraded"), "AsExpected");
}

#[test]
fn rungs_are_those_of_the_broadcast_that_is_on() {
    let broadcast = millrace_media::id::BroadcastId(uuid::Uuid::from_u128(7));
    let on = |id: &str| LogView::Open { id: id.to_owned(), started_ms: 5_000, publishing: true };
    let mut findings = fine();
    findings.log = on(&broadcast.to_string());
    let first = status(&findings, 1, None, &time(1));
    assert_eq!(first.rungs, [""; 0], "nobody has said");
    findings.rungs = Some(Rungs { broadcast, names: vec!["480p".to_owned(), "720p".to_owned()] });
    let live = status(&findings, 1, Some(&first), &time(2));
    assert_eq!(live.rungs, ["480p", "720p"]);

    // Redis is away, and Kafka.
    findings.rungs = None;
    assert_eq!(status(&findings, 1, Some(&live), &time(3)).rungs, live.rungs);
    let unknown = Findings { log: LogView::Unknown, ..findings.clone() };
    assert_eq!(status(&unknown, 1, Some(&live), &time(3)).rungs, live.rungs);
    // Another broadcast, while what is known is of the one before.
    findings.rungs = Some(Rungs { broadcast, names: live.rungs.clone() });
    findings.log = on("another");
    assert_eq!(status(&findings, 1, Some(&live), &time(3)).rungs, [""; 0]);
    findings.log = LogView::Ended { id: broadcast.to_string(), started_ms: 5_000, ended_ms: 9_000 };
    assert_eq!(status(&findings, 1, Some(&live), &time(3)).rungs, [""; 0]);
}

#[test]
fn no_row_stands_twice_in_the_table() {
    let mut seen = std::collections::BTreeSet::new();
    for row in table::TABLE {
        assert!(seen.insert((row.condition, format!("{:?}", row.status), row.reason)), "{row:?}");
    }
}
