//! Notes that are taken while something else is waited for.

use std::time::Duration;

use tokio::sync::mpsc;

/// Notes held at most beside the channel's own; more wait there, and then
/// whoever sends them.
const HELD: usize = 4_096;

/// See the module.
#[derive(Debug)]
pub(super) struct Inbox<T> {
    notes: mpsc::Receiver<T>,
    held: Vec<T>,
}

impl<T> Inbox<T> {
    /// Of this channel.
    pub(super) fn new(notes: mpsc::Receiver<T>) -> Self {
        Self { notes, held: Vec::new() }
    }

    /// Waits for a note, or for `at_most`, if given, whatever comes. False when
    /// there are none and none will come.
    pub(super) async fn wait(&mut self, at_most: Option<Duration>) -> bool {
        match at_most {
            Some(time) => self.fill_while(tokio::time::sleep(time)).await,
            None if self.held.is_empty() => self.held.extend(self.notes.recv().await),
            None => {}
        }
        !(self.held.is_empty() && self.notes.is_closed() && self.notes.is_empty())
    }

    /// All that has come by now.
    pub(super) fn take(&mut self) -> Vec<T> {
        while self.held.len() < HELD
            && let Ok(note) = self.notes.try_recv()
        {
            self.held.push(note);
        }
        std::mem::take(&mut self.held)
    }

    /// Takes notes while this is done: who sends them does not wait for it.
    pub(super) async fn fill_while<R>(&mut self, work: impl Future<Output = R>) -> R {
        tokio::pin!(work);
        loop {
            let room = self.held.len() < HELD;
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(note) = self.notes.recv(), if room => self.held.push(note),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_sends_does_not_wait_for_the_work_until_there_is_too_much() {
        let (notes, inbox) = mpsc::channel(1);
        let mut inbox = Inbox::new(inbox);
        let sent = async {
            let mut sent = 0;
            while tokio::time::timeout(Duration::from_millis(200), notes.send(sent)).await.is_ok() {
                sent += 1;
            }
            sent
        };
        let sent = inbox.fill_while(sent).await;
        assert_eq!(sent, HELD + 1);
        assert!(inbox.take().into_iter().eq(0..HELD));
        assert!(inbox.take().into_iter().eq(HELD..=HELD));
        drop(notes);
        assert!(!inbox.wait(None).await);
        assert!(!inbox.wait(Some(Duration::ZERO)).await);
    }
}
