//! MediaMTX, as tests/bench/mediamtx.sh builds it: RTMP in, and LL-HLS out where that is asked.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use millrace_harness::place::Place;
use millrace_harness::ports;
use tokio::process::Command;

use super::{Launch, Peer};

/// What it does with a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Offers it to readers that never come.
    Relay,
    /// Packages it too: parts of 200 ms as ours, segments of a second, or a longer group of pictures.
    LowLatencyHls,
}

/// Starts `program`.
pub(crate) async fn start(place: &Place, program: &Path, work: Work) -> Result<Peer> {
    Peer::start("mediamtx", place, |folder| {
        let rtmp_port = ports::free()?;
        let hls_port = match work {
            Work::Relay => None,
            Work::LowLatencyHls => Some(ports::free()?),
        };
        let file = folder.join("mediamtx.yml");
        fs::write(&file, configuration(rtmp_port, hls_port))
            .with_context(|| format!("writing {}", file.display()))?;
        let mut command = Command::new(program);
        command.arg(file).current_dir(folder);
        Ok(Launch { command, rtmp_port, hls_port })
    })
    .await
}

fn configuration(rtmp_port: u16, hls_port: Option<u16>) -> String {
    let hls = match hls_port {
        None => "hls: no\n".to_owned(),
        Some(port) => format!(
            "hls: yes
hlsAddress: 127.0.0.1:{port}
hlsAlwaysRemux: yes
hlsVariant: lowLatency
hlsSegmentDuration: 1s
hlsPartDuration: 200ms
"
        ),
    };
    format!(
        "logLevel: warn
rtsp: no
webrtc: no
srt: no
moq: no
rtmp: yes
rtmpAddress: 127.0.0.1:{rtmp_port}
{hls}paths:
  all_others:
"
    )
}
