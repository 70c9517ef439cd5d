//! What is done to the publisher, to its connection and its clock.

use std::time::Duration;

use anyhow::Result;
use millrace_harness::rtmp::publisher::Turn;
use millrace_harness::rtmp::stamps::Warp;
use tokio::time::sleep;

use crate::publisher::{Broadcaster, Size};

/// Where stamps begin that are to wrap: so long before they do.
const BEFORE_THE_WRAP: Duration = Duration::from_secs(9);
/// How long after the order a jump may come: it waits for the middle of a group of pictures.
const SETTLED: Duration = Duration::from_secs(3);

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// The connection is reset, and comes again.
    Reset,
    /// The network between is gone: nobody closes the connection; the publisher comes again.
    HalfOpen,
    /// The connection is reset, and comes again with pictures of another shape.
    Resize,
    /// Another publisher comes with the same key.
    Second,
    /// The network stands still for so long; then all that is late comes.
    Late(Duration),
    /// The source makes nothing for so long.
    Silent(Duration),
    /// The clock's 32 bits are full.
    Wrap,
    /// The clock is put so many ms ahead or back, in the middle of a group of pictures.
    Jump(i64),
    /// The clock stands still for so many ms.
    Stall(i64),
    /// The sound's clock goes so many thousandths faster than the pictures'.
    Drift(i64),
    /// Everything comes so many thousandths faster than real time.
    Faster(i64),
}

impl Act {
    /// The stamp that the broadcast has to begin with.
    pub(crate) fn first_stamp(self) -> i64 {
        let before = i64::try_from(BEFORE_THE_WRAP.as_millis()).unwrap_or_default();
        if self == Self::Wrap { (1 << 32) - before } else { 0 }
    }

    /// Does it. On return somebody publishes again.
    ///
    /// # Errors
    /// When it could not be done, or nobody may publish any more.
    pub(crate) async fn at(self, broadcaster: &mut Broadcaster) -> Result<()> {
        let middle = broadcaster.middle();
        match self {
            Self::Reset => {
                broadcaster.reset().await?;
                broadcaster.again(Size::Wide).await
            }
            Self::HalfOpen => {
                broadcaster.hang().await?;
                broadcaster.again(Size::Wide).await
            }
            Self::Resize => {
                broadcaster.reset().await?;
                broadcaster.again(Size::Narrow).await
            }
            Self::Second => broadcaster.somebody_else(SETTLED).await,
            Self::Late(time) => {
                broadcaster.turn(Turn::Late(time)).await?;
                sleep(time).await;
                Ok(())
            }
            Self::Silent(time) => {
                broadcaster.turn(Turn::Silent(time)).await?;
                sleep(time).await;
                Ok(())
            }
            Self::Wrap => {
                // The broadcast has gone on for some seconds already.
                sleep(BEFORE_THE_WRAP).await;
                Ok(())
            }
            Self::Jump(by) => Self::warp(broadcaster, Warp::Jump(by), middle).await,
            Self::Stall(time) => Self::warp(broadcaster, Warp::Stall(time), middle).await,
            Self::Drift(by) => Self::warp(broadcaster, Warp::Sound(by), middle).await,
            Self::Faster(by) => broadcaster.turn(Turn::Faster(by)).await,
        }
    }

    async fn warp(broadcaster: &Broadcaster, warp: Warp, middle: (i64, i64)) -> Result<()> {
        broadcaster.turn(Turn::Warp(warp, middle)).await?;
        sleep(SETTLED).await;
        Ok(())
    }
}
