//! A delivery process under load.

use std::time::Duration;

use anyhow::{Context, Result};
use millrace_delivery::settings::Settings;
use millrace_harness::http::{Http, eventually};
use millrace_harness::ports;
use millrace_harness::process::{Child, resident};
use millrace_platform::config::Env;
use nix::unistd::Pid;
use tokio::process::Command;

use super::Site;

/// How long a start may take.
const START: Duration = Duration::from_secs(10);

/// One that runs; dropping it ends it.
pub(crate) struct Delivery {
    child: Child,
    /// What it was started with.
    pub(crate) settings: Settings,
    /// Of the viewers' listener.
    pub(crate) port: u16,
    admin: u16,
    http: Http,
}

impl Delivery {
    /// Starts one with an installation of its own and takes whoever comes.
    pub(crate) async fn start(site: &Site, name: &str) -> Result<Self> {
        let (port, admin) = (ports::free()?, ports::free()?);
        let environment = [
            ("REDIS_URL", site.redis.clone()),
            ("OBJECT_STORE_URL", format!("file://{}", site.folder.join("media").display())),
            ("MILLRACE_INSTALLATION", name.to_owned()),
            ("LISTEN_ADDRESS", "127.0.0.1".to_owned()),
            ("HTTP_PORT", port.to_string()),
            ("ADMIN_PORT", admin.to_string()),
            // All of them come from here.
            ("DELIVERY_NEW_VIEWERS_PER_MINUTE", "1000000".to_owned()),
            ("DELIVERY_SOCKETS_PER_ADDRESS", "1000000".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let settings = Settings::read(&Env::from_pairs(environment.clone()))?;
        let mut command = Command::new(site.programs.join("millrace-delivery"));
        command.env_clear().envs(environment);
        let log = site.folder.join(format!("{name}.log"));
        let child = Child::spawn("millrace-delivery", &mut command, &log)?;
        let http = Http::new()?;
        let health = format!("http://127.0.0.1:{admin}/health/live");
        eventually("delivery", START, async || http.text(&health).await).await?;
        Ok(Self { child, settings, port, admin, http })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.child.pid()
    }

    /// One of its gauges.
    pub(crate) async fn gauge(&self, name: &str) -> Result<f64> {
        let page = self.http.text(&format!("http://127.0.0.1:{}/metrics", self.admin)).await?;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.with_context(|| format!("no metric {name}"))?.parse().context("a metric that is none")
    }

    /// Memory in use, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        resident(self.pid())
    }

    pub(crate) async fn stop(mut self) {
        self.child.stop(Duration::from_secs(20)).await;
    }
}
