//! Other servers, fed by the same publisher: our own processes, from configurations of ours, on
//! free ports.

pub(crate) mod mediamtx;
pub(crate) mod nginx;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use millrace_harness::place::Place;
use millrace_harness::process::{Child, ProcessId, descendants};
use millrace_harness::rtmp::client::Target;
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a start is tried: somebody else may have taken its port meanwhile.
const TRIES: u32 = 3;

/// A running peer. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    /// Where to publish.
    pub(crate) target: Target,
    /// The multivariant playlist, where it makes one.
    pub(crate) hls: Option<String>,
}

/// What a peer is started with.
struct Launch {
    command: Command,
    rtmp_port: u16,
    hls_port: Option<u16>,
}

impl Peer {
    /// Starts what `launch` prepares in a folder, and waits until it listens.
    async fn start(
        name: &str,
        place: &Place,
        launch: impl Fn(&Path) -> Result<Launch>,
    ) -> Result<Self> {
        let mut tries = 1;
        loop {
            match Self::attempt(name, place, &launch).await {
                Ok(peer) => return Ok(peer),
                Err(error) if tries == TRIES => return Err(error),
                Err(_) => tries += 1,
            }
        }
    }

    async fn attempt(
        name: &str,
        place: &Place,
        launch: &impl Fn(&Path) -> Result<Launch>,
    ) -> Result<Self> {
        let folder = place.path("run").join(name);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("creating {}", folder.display()))?;
        let Launch { mut command, rtmp_port, hls_port } = launch(&folder)?;
        let mut child = Child::spawn(name, &mut command, &folder.join("log"))?;
        if let Some(process) = ProcessId::of(child.pid()) {
            // Found by this if the benchmark is killed.
            process.write(&place.path(&format!("{name}.pid")))?;
        }
        for port in [Some(rtmp_port), hls_port].into_iter().flatten() {
            listens(&mut child, port).await?;
        }
        let target =
            Target { url: format!("rtmp://127.0.0.1:{rtmp_port}/live"), name: "bench".to_owned() };
        let hls = hls_port.map(|port| format!("http://127.0.0.1:{port}/live/bench/index.m3u8"));
        Ok(Self { child, target, hls })
    }

    /// All of its processes.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let own = self.child.pid();
        let others = descendants(own).into_iter().map(ProcessId::pid);
        [own].into_iter().chain(others).collect()
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) {
        self.child.stop(PATIENCE).await;
    }
}

async fn listens(child: &mut Child, port: u16) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        child.check()?;
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                let said = child.log_tail(20);
                return Err(error).with_context(|| format!("connecting to port {port}:\n{said}"));
            }
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}
