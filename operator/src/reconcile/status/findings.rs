//! What the stages found and did, as the status sees it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::Verdict;
use super::table::{self, Row};
use crate::api::status::{BroadcastStatus, Endpoints, LiveStreamStatus};
use crate::reconcile::build::{ingest_deployment, transcode_deployment};
use crate::reconcile::external::figures::Figures;
use crate::reconcile::external::live::Seen;
use crate::reconcile::external::rungs::Rungs;
use crate::reconcile::seen::{self, DeploymentFacts};

/// A pod that was started so many seconds ago starts no more.
const LONG: i64 = 60;

/// What the log says of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogView {
    /// It can't be looked at.
    Unknown,
    /// Nobody ever published, as far back as the log goes.
    Never,
    /// A broadcast is on.
    Open {
        /// Its id.
        id: String,
        /// When it began, ms since 1970.
        started_ms: i64,
        /// Its publisher is there.
        publishing: bool,
    },
    /// The last one has ended.
    Ended {
        /// Its id.
        id: String,
        /// When it began, ms since 1970.
        started_ms: i64,
        /// When it ended, ms since 1970.
        ended_ms: i64,
    },
}

impl From<Seen> for LogView {
    fn from(seen: Seen) -> Self {
        match seen {
            Seen::Unknown => Self::Unknown,
            Seen::Known { broadcast: None, .. } => Self::Never,
            Seen::Known { broadcast: Some(broadcast), moving, .. } => {
                let (id, started_ms) = (broadcast.id.to_string(), broadcast.started_ms);
                match broadcast.ended {
                    None => Self::Open { id, started_ms, publishing: moving },
                    Some((ended_ms, _)) => Self::Ended { id, started_ms, ended_ms },
                }
            }
        }
    }
}

impl LogView {
    /// A broadcast is on, or might be: what must not be disturbed.
    pub fn may_be_live(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::Unknown)
    }

    /// A broadcast is on.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    fn verdict(&self, suspended: bool) -> Verdict {
        Verdict::plain(match self {
            Self::Unknown => &table::LIVE_UNKNOWN,
            Self::Never | Self::Ended { .. } => &table::NOT_LIVE,
            Self::Open { .. } if suspended => &table::LIVE_ENDING,
            Self::Open { publishing: true, .. } => &table::LIVE,
            Self::Open { .. } => &table::LIVE_INTERRUPTED,
        })
    }
}

/// What the stages found and did.
#[derive(Debug, Clone)]
pub struct Findings {
    /// The spec takes the stream off.
    pub suspended: bool,
    /// The stream is being deleted.
    pub terminating: bool,
    /// The spec, checked.
    pub accepted: Verdict,
    /// The publish keys.
    pub keys: Verdict,
    /// The topics.
    pub topics: Verdict,
    /// Redis.
    pub cache: Verdict,
    /// The publisher's side.
    pub ingest: Verdict,
    /// The encoder's side.
    pub transcode: Verdict,
    /// The viewers' side.
    pub playback: Verdict,
    /// Whether pods wait with a new template.
    pub update: Verdict,
    /// What the log says.
    pub log: LogView,
    /// Where to publish and watch.
    pub endpoints: Option<Endpoints>,
    /// None when nobody could be asked.
    pub figures: Option<Figures>,
    /// Of the broadcast that is on or one before it; none when nobody could be
    /// asked.
    pub rungs: Option<Rungs>,
}

impl Findings {
    /// Of a stream whose spec can't be met: nothing else was looked at.
    pub fn refused(accepted: Verdict, log: LogView) -> Self {
        let plain = |row: &'static Row| Verdict::plain(row);
        Self {
            suspended: false,
            terminating: false,
            accepted,
            keys: plain(&table::KEYS_UNKNOWN),
            topics: plain(&table::TOPICS_UNKNOWN),
            cache: plain(&table::CACHE_UNKNOWN),
            ingest: plain(&table::INGEST_UNKNOWN),
            transcode: plain(&table::TRANSCODE_UNKNOWN),
            playback: plain(&table::PLAYBACK_UNKNOWN),
            update: plain(&table::UPDATE_UNKNOWN),
            log,
            endpoints: None,
            figures: None,
            rungs: None,
        }
    }

    /// That its node is being emptied, where nothing is amiss with ingest.
    pub fn note_drain(&mut self, drain: Option<Verdict>) {
        if let Some(drain) = drain
            && *self.ingest.row() == table::INGEST_READY
        {
            self.ingest = drain;
        }
    }

    /// A broadcast is on, or was when the log could last be looked at.
    pub(super) fn is_on_air(&self, before: Option<&LiveStreamStatus>) -> bool {
        let on = match self.log {
            LogView::Open { .. } => true,
            LogView::Unknown => {
                let held = before.and_then(|status| status.broadcast.as_ref());
                held.is_some_and(|broadcast| broadcast.ended.is_none())
            }
            LogView::Never | LogView::Ended { .. } => false,
        };
        on && !self.suspended
    }

    /// All but the summary.
    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        vec![
            self.accepted.clone(),
            self.keys.clone(),
            self.topics.clone(),
            self.cache.clone(),
            self.ingest.clone(),
            self.transcode.clone(),
            self.playback.clone(),
            self.update.clone(),
            self.log.verdict(self.suspended),
        ]
    }

    /// The broadcast that is on, or the last one.
    pub(super) fn broadcast(&self, before: Option<&LiveStreamStatus>) -> Option<BroadcastStatus> {
        match &self.log {
            LogView::Open { id, started_ms, .. } => {
                Some(BroadcastStatus { id: id.clone(), started: time(*started_ms), ended: None })
            }
            LogView::Ended { id, started_ms, ended_ms } => Some(BroadcastStatus {
                id: id.clone(),
                started: time(*started_ms),
                ended: Some(time(*ended_ms)),
            }),
            // The log forgets after its retention; the status need not.
            LogView::Unknown | LogView::Never => before?.broadcast.clone(),
        }
    }

    /// What is amiss though all is there, the worst first. What was said of the
    /// same broadcast stays while nobody can be asked.
    pub(super) fn amiss(&self, before: Option<&LiveStreamStatus>) -> Option<&'static Row> {
        let Some(figures) = &self.figures else { return self.amiss_before(before?) };
        let amiss = figures.amiss;
        let rows = [
            (amiss.store_away, &table::DEGRADED_STORE),
            (amiss.gop_too_long, &table::DEGRADED_GOP),
        ];
        rows.into_iter().find_map(|(is, row)| is.then_some(row))
    }

    fn amiss_before(&self, before: &LiveStreamStatus) -> Option<&'static Row> {
        let now = self.broadcast(Some(before))?;
        before.broadcast.as_ref().filter(|broadcast| broadcast.id == now.id)?;
        let said = before.conditions.iter().find(|one| one.type_ == table::DEGRADED.condition)?;
        let rows = [&table::DEGRADED_STORE, &table::DEGRADED_GOP];
        rows.into_iter().find(|row| said.reason == row.reason)
    }

    /// Viewers and ingress.
    pub(super) fn figures(&self, before: Option<&LiveStreamStatus>) -> (Option<i64>, Option<i64>) {
        match (&self.figures, &self.log) {
            (Some(figures), LogView::Open { .. }) => {
                (Some(i64::from(figures.viewers)), Some(i64::from(figures.ingress_kbps)))
            }
            (None, LogView::Open { .. } | LogView::Unknown) => {
                before.map_or((None, None), |status| (status.viewers, status.ingress_bitrate_kbps))
            }
            _ => (None, None),
        }
    }

    /// The rungs of the broadcast that is on. What was said of it before holds
    /// as long as it is on.
    pub(super) fn rungs(&self, before: Option<&LiveStreamStatus>) -> Vec<String> {
        let held = || before.map(|status| status.rungs.clone()).unwrap_or_default();
        match &self.log {
            LogView::Open { id, .. } => match &self.rungs {
                Some(rungs) if rungs.broadcast.to_string() == *id => rungs.names.clone(),
                _ => {
                    let broadcast = before.and_then(|status| status.broadcast.as_ref());
                    let same = broadcast.is_some_and(|broadcast| broadcast.id == *id);
                    if same { held() } else { Vec::new() }
                }
            },
            LogView::Unknown => held(),
            LogView::Never | LogView::Ended { .. } => Vec::new(),
        }
    }
}

/// Whole seconds: that is what the API server keeps.
fn time(ms: i64) -> Time {
    Time(Timestamp::from_second(ms.div_euclid(1_000)).unwrap_or_default())
}

/// How one of the two Deployments is doing.
pub struct Rows {
    /// Its component.
    pub component: &'static str,
    /// As many pods as wanted are ready.
    pub ready: &'static Row,
    /// Not yet.
    pub starting: &'static Row,
    /// They run, and have for long.
    pub not_ready: &'static Row,
    /// They can't, or keep ending.
    pub failing: &'static Row,
}

/// Of ingest.
pub const INGEST: Rows = Rows {
    component: ingest_deployment::COMPONENT,
    ready: &table::INGEST_READY,
    starting: &table::INGEST_STARTING,
    not_ready: &table::INGEST_NOT_READY,
    failing: &table::INGEST_FAILING,
};

/// Of transcode.
pub const TRANSCODE: Rows = Rows {
    component: transcode_deployment::COMPONENT,
    ready: &table::TRANSCODE_READY,
    starting: &table::TRANSCODE_STARTING,
    not_ready: &table::TRANSCODE_NOT_READY,
    failing: &table::TRANSCODE_FAILING,
};

impl Rows {
    /// The verdict on a Deployment with `facts`, none when it is not seen yet.
    pub fn verdict(
        &self,
        facts: Option<&DeploymentFacts>,
        seen: &seen::Seen,
        now: Timestamp,
    ) -> Verdict {
        let Some(facts) = facts else { return Verdict::plain(self.starting) };
        if let Some(failure) = &facts.failure {
            return Verdict::of(self.failing, failure.clone());
        }
        if facts.ready >= facts.wanted && (facts.observed || facts.paused) {
            return Verdict::plain(self.ready);
        }
        match seen.trouble(self.component) {
            Some(trouble) => Verdict::of(self.failing, trouble),
            None => match seen.unready_since(self.component) {
                Some(since) if now.duration_since(since) >= SignedDuration::from_secs(LONG) => {
                    Verdict::plain(self.not_ready)
                }
                _ => Verdict::plain(self.starting),
            },
        }
    }
}
