//! Sends prepared material, each message at its time and under the stamp that a clock shows, and
//! notes what was sent when. What is to happen to clock or connection is said while it runs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::client::{Announced, Client, Message, Target};
use super::flv::{Kind, Tag};
use super::stamps::{Stamps, Warp, on_the_wire};

/// What one connection publishes.
#[derive(Debug, Clone)]
pub struct Film {
    /// The material: configurations first.
    pub tags: Arc<[Tag]>,
    /// Which of them is the first, besides the configurations: a keyframe.
    pub from: usize,
    /// What is announced of it.
    pub announced: Announced,
    /// The stamp of the first.
    pub stamp_ms: i64,
}

impl Film {
    /// All of the material, from stamp 0.
    pub fn whole(tags: &Arc<[Tag]>, announced: Announced) -> Self {
        Self { tags: Arc::clone(tags), from: 0, announced, stamp_ms: 0 }
    }
}

/// A message that was sent.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// Its place in the material.
    pub tag: usize,
    /// Its stamp, before it was cut to 32 bits.
    pub stamp_ms: i64,
    /// When it was about to be written.
    pub at: Instant,
}

/// Something that is to happen while it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Something happens to the clock, in the middle of a group of pictures: at the first time in
    /// the material that is so many ms after a multiple of the second.
    Warp(Warp, (i64, i64)),
    /// Messages are sent so many thousandths faster, or slower, than their stamps say.
    Faster(i64),
    /// Nothing is sent or read for so long; then all that is late at once: the network stood still.
    Late(Duration),
    /// Nothing is made for so long; then it goes on with the next keyframe: the source was silent.
    Silent(Duration),
}

#[derive(Debug)]
enum Order {
    Turn(Turn),
    Unpublish,
    Reset,
    Hang,
}

/// A publish under way. Dropping it closes the connection.
#[derive(Debug)]
pub struct Publisher {
    /// Bytes written so far.
    bytes: watch::Receiver<u64>,
    orders: mpsc::Sender<Order>,
    task: Task,
}

#[derive(Debug)]
struct Task(JoinHandle<Over>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A publish that is over.
#[derive(Debug)]
pub struct Over {
    /// What was sent, in order.
    pub sent: Vec<Sent>,
    /// Why it ended, when not because it was told to.
    pub broken: Option<Error>,
    /// The connection when it was told to hang: it stays open, and nobody reads it, until this is
    /// dropped.
    pub hanging: Option<Client>,
}

impl Publisher {
    /// Connects, and begins when the server has accepted.
    ///
    /// # Errors
    /// When nobody answers, or the answer is no.
    pub async fn start(target: &Target, film: Film) -> Result<Self> {
        ensure!(film.tags.get(film.from).is_some(), "the material has no place {}", film.from);
        let client = Client::open(target, film.announced).await?;
        let (noted, bytes) = watch::channel(0);
        let (orders, given) = mpsc::channel(8);
        let media = |index: usize| film.tags.get(index).map_or(0, |tag| i64::from(tag.time_ms));
        let begun = media(film.from);
        let run = Run {
            client,
            stamps: Stamps::from(begun, film.stamp_ms),
            pace: Pace { at: Instant::now(), media_ms: begun, faster: 0 },
            film,
            noted,
            sent: Vec::new(),
        };
        Ok(Self { bytes, orders, task: Task(tokio::spawn(run.play_out(given))) })
    }

    /// Bytes of messages written so far, chunk headers included.
    pub fn bytes(&self) -> u64 {
        *self.bytes.borrow()
    }

    /// Whether the connection is over already.
    pub fn is_over(&self) -> bool {
        self.task.0.is_finished()
    }

    /// Waits for `work`; fails if publishing ends before it is done.
    ///
    /// # Errors
    /// When publishing ends.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            done = work => Ok(done),
            ended = &mut self.task.0 => {
                let over = ended.context("the publisher's task")?;
                Err(over.broken.unwrap_or_else(|| anyhow!("the publish ended")))
            }
        }
    }

    /// Lets something happen while it goes on.
    ///
    /// # Errors
    /// When it is over.
    pub async fn turn(&self, turn: Turn) -> Result<()> {
        self.orders.send(Order::Turn(turn)).await.context("the publish is over")
    }

    /// Ends the publish as encoders do; says what was sent.
    ///
    /// # Errors
    /// When it had ended before.
    pub async fn stop(self) -> Result<Vec<Sent>> {
        let over = self.end(Order::Unpublish).await?;
        over.broken.map_or(Ok(over.sent), Err)
    }

    /// Ends the connection with a reset.
    ///
    /// # Errors
    /// None in practice.
    pub async fn reset(self) -> Result<Over> {
        self.end(Order::Reset).await
    }

    /// Sends and reads nothing more, and leaves the connection open.
    ///
    /// # Errors
    /// None in practice.
    pub async fn hang(self) -> Result<Over> {
        self.end(Order::Hang).await
    }

    async fn end(mut self, order: Order) -> Result<Over> {
        // It may be over already: then that is what there is to say.
        let _ = self.orders.send(order).await;
        (&mut self.task.0).await.context("the publisher's task")
    }

    /// Waits until the connection is lost.
    ///
    /// # Errors
    /// When it goes on beyond `limit`.
    pub async fn lost(mut self, limit: Duration) -> Result<Over> {
        let ended = timeout(limit, &mut self.task.0).await.context("the publish goes on")?;
        ended.context("the publisher's task")
    }
}

/// When messages are due.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// At this time that of the material was due.
    at: Instant,
    media_ms: i64,
    faster: i64,
}

impl Pace {
    fn due(&self, media_ms: i64) -> Instant {
        let passed = (media_ms - self.media_ms) * 1_000 / (1_000 + self.faster);
        self.at + Duration::from_millis(u64::try_from(passed).unwrap_or_default())
    }
}

struct Run {
    client: Client,
    film: Film,
    stamps: Stamps,
    pace: Pace,
    noted: watch::Sender<u64>,
    sent: Vec<Sent>,
}

/// How it goes on after an order.
enum Then {
    Same,
    From(usize),
    Unpublish,
    Reset,
    Hang,
}

impl Run {
    async fn play_out(mut self, mut orders: mpsc::Receiver<Order>) -> Over {
        let how = self.play(&mut orders).await;
        let Self { client, sent, .. } = self;
        let mut over = Over { sent, broken: None, hanging: None };
        over.broken = match how {
            Ok(Then::Unpublish) => client.unpublish().await.err(),
            Ok(Then::Reset) => client.reset().err(),
            Ok(_) => {
                over.hanging = Some(client);
                None
            }
            Err(error) => Some(error),
        };
        over
    }

    async fn play(&mut self, orders: &mut mpsc::Receiver<Order>) -> Result<Then> {
        self.configure().await?;
        let mut index = self.film.from;
        while let Some(tag) = self.film.tags.get(index).cloned() {
            let media_ms = i64::from(tag.time_ms);
            tokio::select! {
                () = sleep_until(self.pace.due(media_ms)) => {
                    self.send(index, &tag).await?;
                    index += 1;
                }
                order = orders.recv() => match self.obey(order, index, media_ms).await {
                    Then::Same => {}
                    Then::From(later) => index = later,
                    end => return Ok(end),
                },
                heard = self.client.read() => {
                    let heard = heard?;
                    self.client.hear(heard).await?;
                }
            }
        }
        bail!("all of the material was published")
    }

    /// The configurations, where it does not begin with them.
    async fn configure(&mut self) -> Result<()> {
        let is_config = |tag: &Tag| matches!(tag.kind, Kind::VideoConfig | Kind::AudioConfig);
        let before = self.film.tags.iter().enumerate().take(self.film.from);
        let configs: Vec<_> = before.filter(|(_, tag)| is_config(tag)).collect();
        let configs: Vec<(usize, Tag)> = configs.into_iter().map(|(n, t)| (n, t.clone())).collect();
        for (index, tag) in configs {
            let time_ms = u32::try_from(self.pace.media_ms).unwrap_or_default();
            self.send(index, &Tag { time_ms, ..tag }).await?;
        }
        Ok(())
    }

    async fn send(&mut self, index: usize, tag: &Tag) -> Result<()> {
        let (video, at) = (tag.kind.is_video(), Instant::now());
        let stamp_ms = self.stamps.at(video, i64::from(tag.time_ms));
        let message = Message {
            video,
            stamp: on_the_wire(stamp_ms),
            absolute: self.stamps.may_go_back(),
            body: tag.body.clone(),
        };
        let bytes = self.client.publish(message).await?;
        self.sent.push(Sent { tag: index, stamp_ms, at });
        self.noted.send_modify(|sent| *sent += bytes);
        Ok(())
    }

    /// Before the message at `index`, which is at `media_ms` of the material.
    async fn obey(&mut self, order: Option<Order>, index: usize, media_ms: i64) -> Then {
        match order {
            None | Some(Order::Unpublish) => return Then::Unpublish,
            Some(Order::Reset) => return Then::Reset,
            Some(Order::Hang) => return Then::Hang,
            Some(Order::Turn(Turn::Warp(warp, (after, every)))) => {
                let from = media_ms + (after - media_ms).rem_euclid(every.max(1));
                self.stamps.warp(from, warp);
            }
            Some(Order::Turn(Turn::Faster(faster))) => {
                self.pace = Pace { at: self.pace.due(media_ms), media_ms, faster };
            }
            Some(Order::Turn(Turn::Late(time))) => sleep(time).await,
            Some(Order::Turn(Turn::Silent(time))) => {
                let until = media_ms + i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                let later = self.film.tags.iter().enumerate().skip(index);
                let mut keyframes = later.filter(|(_, tag)| tag.is_keyframe());
                let next = keyframes.find(|(_, tag)| i64::from(tag.time_ms) >= until);
                return Then::From(next.map_or(self.film.tags.len(), |(index, _)| index));
            }
        }
        Then::Same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_goes_on_from_where_it_changed() {
        let start = Instant::now();
        let pace = Pace { at: start, media_ms: 500, faster: 0 };
        assert_eq!(pace.due(1_500), start + Duration::from_secs(1));
        let faster = Pace { faster: 10, ..pace };
        assert_eq!(faster.due(1_510), start + Duration::from_secs(1));
        // What is late is due.
        assert_eq!(pace.due(400), start);
    }
}
