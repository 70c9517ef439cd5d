//! Viewers behind the Ingress.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use millrace_harness::http::{Http, eventually};
use millrace_harness::playlist::Media;
use millrace_harness::recorder::{Mode, Recorder, Report};
use millrace_harness::viewer::Viewer;

/// Records the broadcast that is on, every rendition of it.
pub(crate) async fn record(http: &Http, index: &str, mode: Mode) -> Result<Recorder> {
    eventually("a broadcast to record", Duration::from_mins(1), async || {
        Recorder::start(http, index, mode, false).await
    })
    .await
}

/// Joins once there are pictures, and decodes them.
pub(crate) async fn join(http: &Http, index: &str) -> Result<Viewer> {
    eventually("pictures", Duration::from_mins(2), async || {
        let viewer = Viewer::join(http, index).await?;
        viewer.decode().await?;
        Ok(viewer)
    })
    .await
}

/// Watches until so much more video has appeared.
pub(crate) async fn watch(viewer: &mut Viewer, wanted: Duration) -> Result<()> {
    viewer.watch(wanted, Duration::from_secs(30) + wanted).await
}

/// Asks for a part of the segment after the next, which the answer has to wait for. A publisher
/// that is slower than the real time makes delivery give up waiting: then again.
pub(crate) async fn wait_far_ahead(http: &Http, viewer: &Viewer) -> Result<()> {
    eventually("an answer that had to wait", Duration::from_mins(1), async || {
        let now = Media::parse(&http.text(viewer.media_url()).await?)?;
        let (msn, _) = now.next()?;
        let url = format!("{}?_HLS_msn={}&_HLS_part=0", viewer.media_url(), msn + 1);
        let then = Media::parse(&http.text(&url).await?)?;
        ensure!(then.next()? > (msn + 1, 0), "the answer lacks what was asked for");
        Ok(())
    })
    .await
}

/// Every number there, no promise broken, no hole, on so many rungs and a sound track.
#[track_caller]
pub(crate) fn assert_sound(report: &Report, rungs: usize) {
    println!("{report}");
    assert_eq!(report.renditions.iter().filter(|rendition| rendition.video).count(), rungs);
    assert_eq!(report.renditions.len(), rungs + 1);
    assert_eq!(report.breaches(), 0, "promises broken");
    for rendition in &report.renditions {
        let name = &rendition.name;
        assert!(rendition.holes.is_empty(), "{name}: {:?}", rendition.holes);
        assert!(rendition.gaps.is_empty(), "{name}: gaps {:?}", rendition.gaps);
        let numbers: Vec<u64> = rendition.segments.iter().map(|segment| segment.msn).collect();
        assert!(numbers.len() >= 3, "{name}: segments {numbers:?}");
        let contiguous: Vec<u64> = (numbers[0]..).take(numbers.len()).collect();
        assert_eq!(numbers, contiguous, "segments of {name}");
    }
}

/// How often the source began anew: the discontinuities of each rendition.
#[track_caller]
pub(crate) fn assert_discontinuities(report: &Report, expected: u64) {
    for rendition in &report.renditions {
        let marks: BTreeSet<u64> = rendition.segments.iter().map(|s| s.discontinuity).collect();
        assert_eq!(marks, (0..=expected).collect(), "of {}", rendition.name);
    }
}

/// No request of a viewer failed. Delivery refuses one (503) whose segment is three target
/// durations late.
#[track_caller]
pub(crate) fn assert_never_refused(report: &Report) {
    for rendition in &report.renditions {
        assert_eq!(rendition.failures, 0, "{}: {:?}", rendition.name, rendition.last_failure);
    }
}
