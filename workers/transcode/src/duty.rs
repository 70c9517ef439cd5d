//! What this process does in the broadcast that is on: it writes, or it stands
//! by for the one that does.
//!
//! With one transcoder it always writes. With two, who claims the broadcast's
//! first run in the object store writes; the other stands by, and so does one
//! that starts in the middle, or that was fenced.

use std::sync::Arc;
use std::time::Instant;

use millrace_media::id::{BroadcastId, Run};
use millrace_media::record::Open;
use millrace_media::timeline::{Event, Snapshot};
use millrace_platform::report::report;

use crate::config::Config;
use crate::services::{Begun, PublishError, Services};
use crate::session::{Leftover, Session, SessionError};
use crate::standby::Standby;
use crate::standby::patience::Takeovers;

/// See the module.
#[derive(Debug)]
pub struct Duty {
    services: Services,
    config: Arc<Config>,
    state: State,
    takeovers: Takeovers,
    /// Another took this one from us.
    yielded: Option<BroadcastId>,
}

#[derive(Debug)]
enum State {
    /// No broadcast is on.
    Idle,
    /// This process publishes it.
    Writing(Box<Session>),
    /// Another does.
    StandingBy(Box<Standby>),
}

impl Duty {
    /// None yet.
    pub fn new(services: Services, config: Arc<Config>) -> Self {
        let takeovers = Takeovers::default();
        Self { services, config, state: State::Idle, takeovers, yielded: None }
    }

    fn become_(&mut self, state: State) {
        let (writing, standing_by) = match &state {
            State::Idle => (false, false),
            State::Writing(_) => (true, false),
            State::StandingBy(_) => (false, true),
        };
        self.services.metrics.duty(writing, standing_by);
        if standing_by {
            self.services.on_air.send_replace(None);
            self.services.index_is(false, false);
        }
        self.state = state;
    }

    /// The work in hand is given up, to be begun again from the checkpoint.
    /// Whether it may be: with one transcoder, one that was fenced has no place.
    pub fn give_up(&mut self, error: Option<&SessionError>) -> bool {
        self.become_(State::Idle);
        let Some(SessionError::Publish(PublishError::Fenced { broadcast })) = error else {
            return true;
        };
        self.yielded = Some(*broadcast);
        self.config.redundancy > 1
    }

    /// A broadcast begins, or is gone on with.
    pub async fn begin(&mut self, facts: Open) -> Result<(), SessionError> {
        if self.config.redundancy <= 1 || self.services.is_left(facts.broadcast) {
            return self.write(facts, None).await.map(|session| self.publish(session));
        }
        match self.services.begin(facts.broadcast).await? {
            Begun::Ours(run) => {
                let session = self.write(facts, Some(run)).await?;
                self.publish(session);
            }
            Begun::OursAgain if self.yielded != Some(facts.broadcast) => {
                let session = self.write(facts, None).await?;
                self.publish(session);
            }
            Begun::OursAgain | Begun::Theirs => {
                tracing::info!(broadcast = %facts.broadcast, "standing by: another one writes");
                let standby = Standby::new(&self.services, &self.config, facts);
                self.become_(State::StandingBy(Box::new(standby)));
            }
        }
        Ok(())
    }

    async fn write(&self, facts: Open, claimed: Option<Run>) -> Result<Session, SessionError> {
        // What a standby was late says nothing of the stream.
        let _ = self.services.metrics.take_lag();
        // Also while it finds out what is published.
        self.services.on_air.send_replace(Some(facts.broadcast));
        Session::start(self.services.clone(), self.config.clone(), facts, claimed).await
    }

    fn publish(&mut self, session: Session) {
        self.become_(State::Writing(Box::new(session)));
    }

    /// The next step of the timeline.
    pub async fn take(&mut self, event: Event) -> Result<(), SessionError> {
        match &mut self.state {
            State::Idle => Ok(()),
            State::Writing(session) => session.take(event).await,
            State::StandingBy(standby) => {
                standby.take(event);
                Ok(())
            }
        }
    }

    /// Waits, standing by, for something new to be known of the writer; for ever
    /// otherwise. May be cancelled.
    pub async fn look(&mut self) {
        match &mut self.state {
            State::StandingBy(standby) => standby.look().await,
            State::Idle | State::Writing(_) => std::future::pending().await,
        }
    }

    /// After [`Duty::look`]: takes over where the writer stands still.
    pub async fn judge(&mut self) -> Result<(), SessionError> {
        if let State::StandingBy(standby) = &mut self.state
            && standby.has_enough(&self.takeovers)
        {
            return self.take_over().await;
        }
        Ok(())
    }

    /// The broadcast is over; see [`Session::end`].
    pub async fn end(
        &mut self,
        offset: i64,
        snapshot: Option<Snapshot>,
    ) -> Result<Option<Leftover>, SessionError> {
        while let State::StandingBy(standby) = &mut self.state
            && !standby.is_ended_by_the_writer(&self.takeovers).await
        {
            self.take_over().await?;
        }
        let state = std::mem::replace(&mut self.state, State::Idle);
        self.services.on_air.send_replace(None);
        self.become_(State::Idle);
        match state {
            State::Writing(session) => session.end(offset, snapshot).await.map(Some),
            State::Idle | State::StandingBy(_) => Ok(None),
        }
    }

    /// Fences the writer, reads what it has published, and goes on from there.
    async fn take_over(&mut self) -> Result<(), SessionError> {
        let State::StandingBy(mut standby) = std::mem::replace(&mut self.state, State::Idle) else {
            return Ok(());
        };
        let broadcast = standby.facts().broadcast;
        let run = match self.services.take_over(broadcast).await {
            Ok(run) => run,
            Err(error) => {
                tracing::warn!(error = report(&error), "the stream can't be taken over");
                standby.wait_on();
                self.state = State::StandingBy(standby);
                return Ok(());
            }
        };
        tracing::warn!(%broadcast, %run, "the writer stands still: this one takes over");
        self.services.metrics.taken_over();
        self.yielded = None;
        self.takeovers.add(Instant::now());
        let mut session = self.write(standby.facts().clone(), Some(run)).await?;
        let buffer = standby.into_buffer();
        if !buffer.reaches(session.video_resumes_at()) {
            return Err(SessionError::HeldTooLittle);
        }
        for event in buffer.into_events() {
            session.take(event).await?;
        }
        self.publish(session);
        Ok(())
    }
}
