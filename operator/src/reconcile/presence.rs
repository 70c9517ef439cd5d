//! What the sweep asks of the watches, and what it deletes in Kubernetes.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use kube::runtime::reflector::{ObjectRef, Store};
use millrace_media::id::StreamId;

use super::apply::ApplyError;
use super::children::certificates;
use super::context::Context;
use super::external::sweep::{Presence, View};
use super::prepared::ChildRef;
use super::prune;
use crate::api::LiveStream;

impl Presence for Context {
    fn view(&self) -> Option<View> {
        self.are_listed().then(|| {
            let streams = self.streams.iter().flat_map(Store::state);
            let one = |stream: Arc<LiveStream>| {
                let namespace = stream.metadata.namespace.as_deref()?;
                let id = StreamId::new(namespace, stream.metadata.name.as_deref()?).ok()?;
                Some((stream.metadata.uid.clone()?, id))
            };
            let deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner).clone();
            streams.filter_map(one).collect::<View>().and_deleted(deleted)
        })
    }

    fn registered(&self, uids: &HashSet<&str>) {
        let mut deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner);
        deleted.retain(|uid, _| uids.contains(uid.as_str()));
    }

    fn is_there(&self, stream: &StreamId) -> bool {
        let reference = ObjectRef::new(stream.name()).within(stream.namespace());
        self.streams.iter().any(|store| store.get(&reference).is_some())
    }

    fn covers(&self, stream: &StreamId) -> bool {
        let namespaces = self.namespaces.as_ref();
        namespaces.is_none_or(|list| list.iter().any(|name| name == stream.namespace()))
    }

    fn owners(&self) -> Vec<String> {
        let workers = &self.installation.workers_namespace;
        let mut owners = self.seen.owners_in(workers);
        owners.retain(|(_, stream)| self.covers(stream));
        owners.into_iter().map(|(uid, _)| uid).collect()
    }

    async fn delete_children(&self, uid: &str) -> Result<(), ApplyError> {
        let workers = &self.installation.workers_namespace;
        let seen = self.seen.get(uid);
        let there = seen.children.refs().filter(|child| child.namespace == *workers).cloned();
        // Secrets are not seen. They go first: they are looked for as long as
        // something is seen.
        let secrets = seen.stream().map(|id| certificates(&id, &self.installation));
        let all: Vec<ChildRef> = secrets.into_iter().flatten().chain(there).collect();
        for child in &all {
            // A LiveStream that has the name by now may have taken it over.
            prune::delete_if_ours(&self.applier, child, uid).await?;
            self.seen.change(uid, |seen| seen.children.remove(child));
        }
        // It is nothing to what that one knows of its children.
        self.applier.forget_all(&all);
        Ok(())
    }
}
