//! What viewers cost delivery: bytes served for a core's second beside nginx, and how it holds
//! thousands of them. The benchmark plays the transcoder (in Redis) and the viewers.

mod blocked;
mod client;
mod delivery;
mod feed;
mod files;
mod sockets;
mod throughput;
mod viewers;

use std::path::PathBuf;

use anyhow::Result;
use millrace_harness::screen::Screen;

use crate::report::Row;

/// What it is measured with.
pub(crate) struct Site {
    /// Where the programs are.
    pub(crate) programs: PathBuf,
    /// For logs, the store and what nginx serves.
    pub(crate) folder: PathBuf,
    /// `redis://…`
    pub(crate) redis: String,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Serving {
    /// Per core-second.
    pub(crate) throughput: Vec<Row>,
    /// Of blocked requests, ms.
    pub(crate) blocked: Vec<Row>,
    /// Of WebSockets.
    pub(crate) sockets: Vec<Row>,
    /// Of viewers of a live stream.
    pub(crate) viewers: Vec<Row>,
}

/// All of it, one after the other, each with a delivery process and an installation of its own.
pub(crate) async fn measure(site: &Site, screen: &Screen) -> Result<Serving> {
    let throughput = throughput::measure(site);
    let throughput = Box::pin(screen.step("Serving beside nginx", throughput)).await?;
    let name = "20,000 blocked reloads";
    let blocked = Box::pin(screen.step(name, blocked::measure(site))).await?;
    let name = "10,000 WebSockets";
    let sockets = Box::pin(screen.step(name, sockets::measure(site))).await?;
    let name = "1,000 viewers for two minutes";
    let viewers = Box::pin(screen.step(name, viewers::measure(site))).await;
    // On a slow machine there is nothing to be said of them, and of the others there is.
    let viewers =
        viewers.unwrap_or_else(|error| Row::missing("1,000 viewers", &format!("{error:#}")));
    Ok(Serving {
        throughput,
        blocked: vec![blocked],
        sockets: vec![sockets],
        viewers: vec![viewers],
    })
}
