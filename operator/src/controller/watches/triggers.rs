//! The way from a watch to the queue of a stream.

use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;

use crate::api::LiveStream;

/// Streams whose reconcile is asked for and that a queue has not taken yet.
const WAITING: usize = 1_024;

/// Leads to the queue of a stream.
#[derive(Debug, Clone)]
pub struct Triggers(Arc<Vec<Lane>>);

/// A namespace, or all, and the way to its queue.
type Lane = (Option<String>, mpsc::Sender<ObjectRef<LiveStream>>);

impl Triggers {
    /// One queue for each namespace, or one for all; with the queues' ends in
    /// the same order.
    pub fn new(
        namespaces: Option<&Vec<String>>,
    ) -> (Self, Vec<mpsc::Receiver<ObjectRef<LiveStream>>>) {
        let scopes: Vec<Option<String>> = match namespaces {
            None => vec![None],
            Some(list) => list.iter().cloned().map(Some).collect(),
        };
        let (senders, receivers) = scopes
            .into_iter()
            .map(|scope| {
                let (sender, receiver) = mpsc::channel(WAITING);
                ((scope, sender), receiver)
            })
            .unzip();
        (Self(Arc::new(senders)), receivers)
    }

    /// Ask for a reconcile.
    pub async fn send(&self, stream: ObjectRef<LiveStream>) {
        let own = self.0.iter().find(|(scope, _)| scope.is_none() || *scope == stream.namespace);
        if let Some((_, queue)) = own {
            // Nobody takes it: the process ends.
            let _ = queue.send(stream).await;
        }
    }
}
