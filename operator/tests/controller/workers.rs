//! A stream's pods as processes, with the environment that their Deployments
//! give them: what a kubelet would start.

use std::path::Path;
use std::time::Duration;

use millrace_harness::ports;
use millrace_harness::process::Child;
use millrace_media::id::StreamId;
use tempfile::TempDir;
use tokio::process::Command;

use super::live::deployment;
use super::support::World;

/// Ends with this.
pub(crate) struct Workers {
    rtmp: String,
    folder: TempDir,
    ingest: Child,
    _transcode: Child,
}

impl Workers {
    /// Of the only stream there is.
    pub(crate) async fn start(world: &World, name: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let port = ports::free().unwrap();
        let ingest = start(world, name, "ingest", port, folder.path()).await;
        let transcode = start(world, name, "transcode", port, folder.path()).await;
        let rtmp = format!("rtmp://127.0.0.1:{port}/live");
        Self { rtmp, folder, ingest, _transcode: transcode }
    }

    /// End ingest, as a kubelet does whose pod is deleted.
    pub(crate) async fn end_ingest(&mut self) {
        self.ingest.stop(Duration::from_secs(30)).await;
    }

    /// Publish a picture of this size with a tone.
    pub(crate) async fn publish(&self, world: &World, name: &str, size: &str) -> Child {
        let key = &world.keys(name).await["main"];
        let picture = format!("testsrc2=size={size}:rate=25");
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "warning", "-re", "-f", "lavfi", "-i", &picture]);
        command.args(["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]);
        command.args([
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-g",
            "50",
        ]);
        command.args(["-c:a", "aac", "-f", "flv", &format!("{}/{key}", self.rtmp)]);
        Child::spawn("the publisher", &mut command, &self.folder.path().join("publisher.log"))
            .unwrap()
    }
}

async fn start(world: &World, name: &str, role: &str, rtmp: u16, folder: &Path) -> Child {
    let operator = Path::new(env!("CARGO_BIN_EXE_millrace-operator"));
    let program = operator.with_file_name(format!("millrace-{role}"));
    let stream = StreamId::new(world.streams.name(), name).unwrap();
    let pod = deployment(world, role).await.spec.unwrap().template.spec.unwrap();
    let given = pod.containers[0].env.clone().unwrap_or_default();
    // What is said by reference is of Secrets and fields that are not here.
    let given = given.into_iter().filter_map(|one| Some((one.name, one.value?)));
    let mut command = Command::new(program);
    command
        .envs(given)
        .env("STREAM_ID", stream.as_str())
        .env("LISTEN_ADDRESS", "127.0.0.1")
        .env("RTMP_PORT", rtmp.to_string())
        .env("HEALTH_PORT", ports::free().unwrap().to_string())
        .env("OBJECT_STORE_URL", format!("file://{}", folder.join("media").display()))
        .envs(world.servers.pairs());
    Child::spawn(role, &mut command, &folder.join(format!("{role}.log"))).unwrap()
}
