//! The live line: a viewer at the edge and what the API says, once a second.

use std::time::Duration;

use anyhow::{Context, Result};
use millrace_harness::http::Http;
use millrace_harness::screen::Screen;
use millrace_harness::stack::Endpoints;
use millrace_harness::viewer::Viewer;
use serde::Deserialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

/// What `GET /api/v1/streams/{stream_id}` says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    state: String,
    #[serde(default)]
    renditions: Vec<String>,
    live_edge_latency_seconds: Option<f64>,
    #[serde(default)]
    viewers: u64,
}

/// What is known of the stream's edge.
pub(crate) struct Live {
    http: Http,
    api: Http,
    index: String,
    status: String,
    viewer: Option<Viewer>,
    seen: Duration,
    tick: Interval,
    started: Instant,
    shown: Option<Instant>,
}

impl Live {
    pub(crate) fn new(http: Http, endpoints: &Endpoints) -> Self {
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            api: http.with_token(&endpoints.token),
            http,
            index: endpoints.hls.clone(),
            status: endpoints.status_url(),
            viewer: None,
            seen: Duration::ZERO,
            tick,
            started: Instant::now(),
            shown: None,
        }
    }

    /// Until the line was due once more; follows the edge meanwhile.
    pub(crate) async fn advance(&mut self, screen: &Screen) {
        tokio::select! {
            _ = self.tick.tick() => {}
            () = follow(&self.http, &self.index, &mut self.viewer, &mut self.seen) => return,
        }
        let pause = Duration::from_secs(if screen.is_terminal() { 1 } else { 5 });
        // A tick comes a little early or late.
        let due = self.shown.is_none_or(|at| at.elapsed() + Duration::from_millis(500) >= pause);
        if due {
            self.shown = Some(Instant::now());
            screen.live(&self.line().await);
        }
    }

    async fn line(&self) -> String {
        let at = self.started.elapsed().as_secs();
        match self.api.json::<Status>(&self.status).await {
            Ok(status) => {
                let latency = status
                    .live_edge_latency_seconds
                    .map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2} s"));
                format!(
                    "{at:>4} s  {}  rungs {}  live edge {latency}  viewers {}  video {:.1} s",
                    status.state,
                    if status.renditions.is_empty() {
                        "-".to_owned()
                    } else {
                        status.renditions.join(",")
                    },
                    status.viewers,
                    self.seen.as_secs_f64(),
                )
            }
            Err(error) => format!("{at:>4} s  the API does not answer: {error:#}"),
        }
    }

    /// How much new video appeared.
    pub(crate) fn seen(&self) -> Duration {
        self.seen
    }

    /// Decodes what is newest now.
    pub(crate) async fn decode(&self) -> Result<u64> {
        let viewer =
            Viewer::join(&self.http, &self.index).await.context("at the end nothing plays")?;
        viewer.decode().await
    }
}

/// One step along the edge. A stream that is away is no error here: the line says so.
async fn follow(http: &Http, index: &str, viewer: &mut Option<Viewer>, seen: &mut Duration) {
    let moved = match viewer {
        None => match Viewer::join(http, index).await {
            Ok(joined) => {
                *viewer = Some(joined);
                true
            }
            Err(_) => false,
        },
        Some(watching) => {
            let before = watching.seen();
            let moved = watching.next().await.is_ok();
            *seen += watching.seen().saturating_sub(before);
            moved
        }
    };
    if !moved {
        *viewer = None;
        sleep(Duration::from_millis(500)).await;
    }
}
