//! How a fault is done to a running stack.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use millrace_harness::http::eventually;
use millrace_harness::process::{ProcessId, run};
use millrace_harness::server::Kind;
use millrace_harness::stack::Worker;
use nix::sys::signal::Signal;
use tokio::time::sleep;

use crate::act::Act;
use crate::arena::Arena;
use crate::on_air::OnAir;
use crate::programs::Version;

pub(crate) mod servers;
pub(crate) mod transcoders;

use servers::Trouble;
use transcoders::Duo;

/// How long an encoder that was killed just now may be missing.
const COMES_BACK: Duration = Duration::from_secs(20);
/// For which another version works: some segments.
const WORKS: Duration = Duration::from_secs(5);

/// A short playlist is full, and some more.
const WINDOW: Duration = Duration::from_secs(25);
/// Connections that are lost: so many segments end early, by two segments in all at least, as good as
/// always.
pub(crate) const RESETS: u64 = 4;
/// What is listed by one that begins is seen for a segment: some begin at a bad moment.
const KILLS: usize = 3;
/// Between them.
const SOME: Duration = Duration::from_secs(3);

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strike {
    /// Nothing, to compare with.
    Nothing,
    /// kill -9 of the transcoder's ffmpeg.
    KillEncoder,
    /// kill -9 of a worker, which the operator starts again.
    Kill(Worker),
    /// kill -9 of one delivery of two, which the operator starts again.
    KillOfTwo,
    /// The same, again and again, where a full playlist has segments that a lost connection cut short.
    KillOfTwoAfterResets,
    /// SIGSTOP, and SIGCONT after a while.
    Stop(Who, Duration),
    /// kill -9 of a server, which is started again after a while. Redis is empty then; the others
    /// have what they wrote.
    Away(Kind, Duration),
    /// Redis forgets everything.
    Flush,
    /// A transcoder that was stopped for a while finds nothing left of what it has to read.
    Truncate(Duration),
    /// Something is done to the publisher.
    Publisher(Act),
    /// All workers start again with clocks that then go an hour wrong, ahead and back.
    Clocks,
    /// A worker is killed and started as another version, and then as this one again.
    Replace(Worker),
    /// A server is slow, failing, full or away.
    Server(Trouble),
    /// Something is done to two transcoders.
    Duo(Duo),
}

/// A process that can stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Worker(Worker),
    /// The transcoder's ffmpeg.
    Encoder,
    Operator,
}

impl Who {
    async fn process(self, arena: &Arena) -> Result<ProcessId> {
        let pid = match self {
            Self::Worker(worker) => arena.stack.pid(worker)?,
            Self::Encoder => return encoder(arena).await,
            Self::Operator => arena.stack.operator(),
        };
        ProcessId::of(pid).with_context(|| format!("{self:?} does not run"))
    }
}

/// The ffmpeg that runs, or the next one.
async fn encoder(arena: &Arena) -> Result<ProcessId> {
    eventually("an encoder", COMES_BACK, async || arena.stack.encoder()).await
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker(worker) => f.write_str(name(*worker)),
            Self::Encoder => f.write_str("ffmpeg"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

fn name(worker: Worker) -> &'static str {
    match worker {
        Worker::Ingest => "ingest",
        Worker::Transcode => "transcode",
        Worker::Delivery => "delivery",
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::KillEncoder => f.write_str("kill -9 of ffmpeg"),
            Self::Kill(worker) => write!(f, "kill -9 of {}", name(*worker)),
            Self::KillOfTwo => f.write_str("kill -9 of one delivery"),
            Self::KillOfTwoAfterResets => f.write_str("resets, and kills of one delivery"),
            Self::Stop(who, time) => write!(f, "{who} stopped for {:.1} s", time.as_secs_f64()),
            Self::Away(server, time) => write!(f, "{server:?} away for {} s", time.as_secs()),
            Self::Flush => f.write_str("Redis emptied"),
            Self::Truncate(_) => f.write_str("log emptied"),
            Self::Publisher(act) => write!(f, "{act:?} of the publisher"),
            Self::Clocks => f.write_str("clocks an hour wrong"),
            Self::Replace(worker) => write!(f, "{} of another version", name(*worker)),
            Self::Server(trouble) => write!(f, "{trouble:?}"),
            Self::Duo(duo) => write!(f, "{duo:?} of two transcoders"),
        }
    }
}

impl Strike {
    /// The stamp that the broadcast has to begin with.
    pub(crate) fn first_stamp(self) -> i64 {
        if let Self::Publisher(act) = self { act.first_stamp() } else { 0 }
    }

    /// Does it. On return everything that was taken away is there again.
    ///
    /// # Errors
    /// When it could not be done, which says nothing about the stream.
    pub(crate) async fn at(self, arena: &Arena, on_air: &mut OnAir<'_>) -> Result<()> {
        match self {
            Self::Nothing => {}
            Self::KillEncoder => encoder(arena).await?.kill(),
            Self::Kill(Worker::Ingest) => {
                arena.stack.crash(Worker::Ingest).await?;
                on_air.reconnect().await?;
            }
            Self::Kill(worker) => arena.stack.crash(worker).await?,
            Self::KillOfTwo => arena.stack.crash(Worker::Delivery).await?,
            Self::KillOfTwoAfterResets => {
                sleep(WINDOW).await;
                for _ in 0..RESETS {
                    Act::Reset.at(on_air.broadcaster()).await?;
                    sleep(SOME).await;
                }
                for _ in 0..KILLS {
                    arena.stack.crash(Worker::Delivery).await?;
                    sleep(SOME).await;
                }
            }
            Self::Stop(who, time) => {
                let process = who.process(arena).await?;
                process.signal(Signal::SIGSTOP)?;
                sleep(time).await;
                // Who waited for it may have given it up and killed it.
                if process.is_alive() {
                    process.signal(Signal::SIGCONT)?;
                }
            }
            Self::Away(server, time) => {
                arena.servers.kill(server).await?;
                sleep(time).await;
                arena.servers.start_again(server).await?;
            }
            Self::Publisher(act) => act.at(on_air.broadcaster()).await?,
            Self::Flush => {
                let url = &arena.servers.addresses().redis;
                run("redis-cli", &["-u", url, "flushall"]).await?;
            }
            Self::Truncate(time) => {
                arena.stack.signal(Worker::Transcode, Signal::SIGSTOP)?;
                sleep(time).await;
                on_air.log().truncate().await?;
                arena.stack.crash(Worker::Transcode).await?;
            }
            Self::Clocks => {
                for worker in [Worker::Delivery, Worker::Transcode, Worker::Ingest] {
                    arena.programs.put_clock(worker)?;
                    arena.stack.crash(worker).await?;
                    // What is started next is right again.
                    arena.programs.put(worker, Version::This)?;
                }
                on_air.reconnect().await?;
                for by in ["+1h", "-1h", "+0"] {
                    sleep(WORKS).await;
                    arena.programs.turn_clocks(by)?;
                }
            }
            Self::Replace(worker) => {
                for version in [Version::Other, Version::This] {
                    arena.programs.put(worker, version)?;
                    arena.stack.crash(worker).await?;
                    if worker == Worker::Ingest {
                        on_air.reconnect().await?;
                    }
                    sleep(WORKS).await;
                }
            }
            Self::Server(trouble) => trouble.make(arena).await?,
            Self::Duo(duo) => duo.at(arena).await?,
        }
        Ok(())
    }
}
