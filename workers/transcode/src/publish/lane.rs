//! A bounded queue in front of an outside service that may be away.
//!
//! Pushing never waits: live packaging goes on whatever Redis or the object
//! store does. When too much waits, the oldest items are made smaller, or
//! dropped, and counted.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Something that can wait in a lane.
pub trait Item {
    /// Bytes it holds in memory.
    fn weight(&self) -> usize;

    /// Gives up bytes that others can do without; false if it then has no
    /// purpose and is to be dropped.
    fn shrink(&mut self) -> bool;
}

/// The queue. One task pops, any may push.
#[derive(Debug)]
pub struct Lane<T> {
    state: Mutex<State<T>>,
    changed: Notify,
    limit: Limit,
}

/// What may wait before the oldest give way; one item more is held.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Bytes of all items.
    pub bytes: usize,
    /// Items that hold bytes.
    pub items: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    weight: usize,
    /// Items that have a weight.
    heavy: usize,
    /// Popped and not yet done.
    in_hand: usize,
    closed: bool,
    dropped: u64,
}

impl<T> State<T> {
    fn carry(&mut self, weight: usize) {
        self.weight = self.weight.saturating_add(weight);
        self.heavy += usize::from(weight > 0);
    }

    fn unburden(&mut self, weight: usize) {
        self.weight = self.weight.saturating_sub(weight);
        self.heavy = self.heavy.saturating_sub(usize::from(weight > 0));
    }
}

impl<T: Item> State<T> {
    fn take(&mut self, most: Limit) -> Vec<T> {
        let (mut taken, mut bytes) = (Vec::new(), 0_usize);
        while taken.len() < most.items
            && let Some(weight) = self.items.front().map(Item::weight)
        {
            bytes = bytes.saturating_add(weight);
            if bytes > most.bytes && !taken.is_empty() {
                break;
            }
            self.unburden(weight);
            taken.extend(self.items.pop_front());
        }
        self.in_hand = taken.len();
        taken
    }
}

impl<T: Item> Lane<T> {
    /// A lane for what may wait.
    pub fn new(limit: Limit) -> Self {
        let state = State {
            items: VecDeque::new(),
            weight: 0,
            heavy: 0,
            in_hand: 0,
            closed: false,
            dropped: 0,
        };
        Self { state: Mutex::new(state), changed: Notify::new(), limit }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an item.
    pub fn push(&self, item: T) {
        let mut state = self.lock();
        state.carry(item.weight());
        state.items.push_back(item);
        let mut n = 0;
        while state.weight > self.limit.bytes || state.heavy > self.limit.items {
            let Some(item) = state.items.get_mut(n) else { break };
            let (before, keep) = (item.weight(), item.shrink());
            let after = if keep { item.weight() } else { 0 };
            if keep {
                n += 1;
            } else {
                state.items.remove(n);
                state.dropped += 1;
            }
            state.unburden(before);
            state.carry(after);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Takes the oldest item; waits for one. `None` when the lane is closed
    /// and empty.
    pub async fn pop(&self) -> Option<T> {
        self.pop_some(Limit { bytes: 0, items: 1 }).await?.pop()
    }

    /// Takes the oldest items, in order: at least one, which it waits for, and
    /// those after it within `most`. `None` when the lane is closed and empty.
    pub async fn pop_some(&self, most: Limit) -> Option<Vec<T>> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                let taken = state.take(most);
                if !taken.is_empty() {
                    return Some(taken);
                }
                if state.closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// What was popped last is done with.
    pub fn done(&self) {
        self.lock().in_hand = 0;
        self.changed.notify_waiters();
    }

    /// These of the popped items could not be delivered; they are next again, in
    /// the same order. The others are done with.
    pub fn put_back(&self, items: impl IntoIterator<Item = T, IntoIter: DoubleEndedIterator>) {
        let mut state = self.lock();
        for item in items.into_iter().rev() {
            state.carry(item.weight());
            state.items.push_front(item);
        }
        state.in_hand = 0;
    }

    /// No more will be pushed.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// Items waiting or in hand, and items dropped so far.
    pub fn depth(&self) -> (usize, u64) {
        let state = self.lock();
        (state.items.len().saturating_add(state.in_hand), state.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Load(usize, bool);

    impl Item for Load {
        fn weight(&self) -> usize {
            self.0
        }
        fn shrink(&mut self) -> bool {
            self.0 = 0;
            self.1
        }
    }

    #[tokio::test]
    async fn the_bytes_that_wait_are_bounded_and_the_oldest_give_way() {
        let lane = Lane::new(Limit { bytes: 100, items: 10 });
        for n in 0..4 {
            lane.push(Load(50, n != 1));
        }
        assert_eq!(lane.depth(), (3, 1));
        let order = [lane.pop().await, lane.pop().await, lane.pop().await];
        assert_eq!(order, [Some(Load(0, true)), Some(Load(50, true)), Some(Load(50, true))]);
        lane.close();
        assert_eq!(lane.pop().await, None);
    }

    #[tokio::test]
    async fn the_items_that_wait_are_bounded_however_small() {
        let lane = Lane::new(Limit { bytes: 100, items: 2 });
        for n in 1..=5 {
            lane.push(Load(n, true));
        }
        let first = lane.pop().await.unwrap();
        assert_eq!(first, Load(0, true));
        lane.put_back([first]);
        lane.push(Load(6, true));
        let mut weights = Vec::new();
        for _ in 0..6 {
            weights.push(lane.pop().await.unwrap().0);
        }
        assert_eq!(weights, [0, 0, 0, 0, 5, 6]);
    }

    #[tokio::test]
    async fn an_item_put_back_is_next_again() {
        let lane = Lane::new(Limit { bytes: 100, items: 10 });
        lane.push(Load(1, true));
        lane.push(Load(2, true));
        let first = lane.pop().await.unwrap();
        lane.put_back([first]);
        assert_eq!(lane.pop().await, Some(Load(1, true)));
    }

    #[tokio::test]
    async fn some_are_taken_within_bounds_and_what_comes_back_keeps_its_order() {
        let lane = Lane::new(Limit { bytes: 1_000, items: 10 });
        for n in 1..=5 {
            lane.push(Load(n, true));
        }
        let some = lane.pop_some(Limit { bytes: 6, items: 9 }).await.unwrap();
        assert_eq!(some, [Load(1, true), Load(2, true), Load(3, true)]);
        assert_eq!(lane.depth(), (5, 0));
        lane.put_back(some.into_iter().skip(1));
        assert_eq!(lane.depth(), (4, 0));
        // One at least, however heavy.
        let one = lane.pop_some(Limit { bytes: 1, items: 9 }).await.unwrap();
        assert_eq!(one, [Load(2, true)]);
        lane.done();
        let two = lane.pop_some(Limit { bytes: 100, items: 2 }).await.unwrap();
        assert_eq!(two, [Load(3, true), Load(4, true)]);
    }
}
