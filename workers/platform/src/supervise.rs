//! Named tasks with one owner. A process that loses a task it needs stops with
//! an error; a process told to stop gives its tasks a deadline.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// Why a process must end with an error.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SuperviseError {
    /// A task that should run as long as the process ended by itself.
    #[error("task {0} ended by itself")]
    Ended(String),
    /// A task returned an error.
    #[error("task {name}: {error}")]
    Failed {
        /// The task.
        name: String,
        /// Its error and the causes.
        error: String,
    },
    /// A task panicked.
    #[error("task {0} panicked")]
    Panicked(String),
    /// Tasks were still running when the deadline passed.
    #[error("still running {seconds} s after being told to stop: {tasks}")]
    Deadline {
        /// The deadline.
        seconds: u64,
        /// Their names.
        tasks: String,
    },
}

type Outcome = Result<(), String>;
type Ended = Result<(Id, Outcome), JoinError>;

/// Owns the tasks of a process.
#[derive(Debug)]
pub struct Supervisor {
    stop: CancellationToken,
    tasks: JoinSet<Outcome>,
    names: HashMap<Id, String>,
}

impl Supervisor {
    /// Tasks are told to stop through `stop`, whoever cancels it.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, tasks: JoinSet::new(), names: HashMap::new() }
    }

    /// The token that tells tasks to stop.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Starts a task that the process needs until it is told to stop.
    pub fn spawn<E: Display + Send + 'static>(
        &mut self,
        name: impl Into<String>,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        // `{:#}` shows the causes too where the error is an anyhow::Error.
        let handle = self.tasks.spawn(async move { work.await.map_err(|e| format!("{e:#}")) });
        self.names.insert(handle.id(), name.into());
    }

    /// Runs until told to stop or until a task is lost; then tells all tasks to
    /// stop, waits for them at most `deadline`, and aborts those left.
    pub async fn run(mut self, deadline: Duration) -> Result<(), SuperviseError> {
        let stop = self.stop.clone();
        let mut result = Ok(());
        tokio::select! {
            () = stop.cancelled() => {}
            Some(ended) = self.tasks.join_next_with_id() => {
                // A task may be seen to end before the signal it ended on.
                let told = stop.is_cancelled();
                result = match self.outcome(ended) {
                    Ok(_) if told => Ok(()),
                    Ok(name) => Err(SuperviseError::Ended(name)),
                    Err(error) => Err(error),
                };
            }
        }
        if let Err(error) = &result {
            tracing::error!(%error, "a needed task is lost, stopping");
        }
        stop.cancel();
        let rest = tokio::time::timeout(deadline, async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                if let Err(error) = self.outcome(ended) {
                    tracing::error!(%error, "while stopping");
                    if result.is_ok() {
                        result = Err(error);
                    }
                }
            }
        });
        if rest.await.is_ok() {
            return result;
        }
        let mut names: Vec<_> = self.names.into_values().collect();
        names.sort();
        let error =
            SuperviseError::Deadline { seconds: deadline.as_secs(), tasks: names.join(", ") };
        tracing::error!(%error, "aborting");
        result.and(Err(error))
    }

    /// How a task ended, its name with it.
    fn outcome(&mut self, ended: Ended) -> Result<String, SuperviseError> {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let name = self.names.remove(&id).unwrap_or_default();
        match ended {
            Ok((_, Ok(()))) => Ok(name),
            Ok((_, Err(error))) => Err(SuperviseError::Failed { name, error }),
            Err(_) => Err(SuperviseError::Panicked(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_secs(30);

    fn supervisor() -> (Supervisor, CancellationToken) {
        let stop = CancellationToken::new();
        (Supervisor::new(stop.clone()), stop)
    }

    #[tokio::test]
    async fn tasks_that_stop_when_told_to_are_no_error() {
        let (mut supervisor, stop) = supervisor();
        let told = stop.clone();
        supervisor.spawn::<String>("worker", async move {
            told.cancelled().await;
            Ok(())
        });
        stop.cancel();
        assert_eq!(supervisor.run(LATE).await, Ok(()));
    }

    #[tokio::test]
    async fn a_task_that_ended_because_it_was_told_to_is_not_lost() {
        // Both are ready when the supervisor looks; it takes either first.
        for _ in 0..50 {
            let (mut supervisor, stop) = supervisor();
            let told = stop.clone();
            supervisor.spawn::<String>("quick", async move {
                told.cancelled().await;
                Ok(())
            });
            stop.cancel();
            tokio::task::yield_now().await;
            assert_eq!(supervisor.run(LATE).await, Ok(()));
        }
    }

    #[tokio::test]
    async fn a_lost_task_stops_the_others_and_is_named() {
        for (work, expected) in [
            (Ok(()), SuperviseError::Ended("lost".to_owned())),
            (
                Err("no disk"),
                SuperviseError::Failed { name: "lost".to_owned(), error: "no disk".to_owned() },
            ),
        ] {
            let (mut supervisor, stop) = supervisor();
            supervisor.spawn("lost", async move { work });
            let told = stop.clone();
            supervisor.spawn::<String>("other", async move {
                told.cancelled().await;
                Ok(())
            });
            assert_eq!(supervisor.run(LATE).await, Err(expected));
            assert!(stop.is_cancelled());
        }
    }

    #[tokio::test]
    async fn a_panic_ends_the_process_with_the_name_of_its_task() {
        let (mut supervisor, _stop) = supervisor();
        supervisor.spawn::<String>("clumsy", async { panic!("on purpose") });
        assert_eq!(supervisor.run(LATE).await, Err(SuperviseError::Panicked("clumsy".to_owned())));
    }

    #[tokio::test]
    async fn a_task_that_hangs_is_aborted_at_the_deadline() {
        let (mut supervisor, stop) = supervisor();
        supervisor.spawn::<String>("deaf", std::future::pending());
        stop.cancel();
        let expected = SuperviseError::Deadline { seconds: 0, tasks: "deaf".to_owned() };
        assert_eq!(supervisor.run(SOON).await, Err(expected));
    }
}
