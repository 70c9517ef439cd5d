//! The health of watches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use millrace_platform::health::Check;

/// The check of a kind that is watched in several namespaces: it fails while
/// one of them does.
#[derive(Clone)]
pub(super) struct SharedCheck(Arc<(Check, Mutex<BTreeMap<String, String>>)>);

/// The part of it for one namespace.
#[derive(Clone)]
pub(super) struct ScopeCheck {
    shared: SharedCheck,
    scope: String,
}

impl SharedCheck {
    pub(super) fn new(check: Check) -> Self {
        Self(Arc::new((check, Mutex::default())))
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) {
        let (check, failing) = &*self.0;
        let mut failing = failing.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut failing);
        match failing.first_key_value() {
            None => check.ok(),
            Some((scope, why)) => check.failing(format!("{scope}: {why}")),
        }
    }
}

impl ScopeCheck {
    pub(super) fn new(shared: &SharedCheck, namespace: Option<&str>) -> Self {
        let scope = namespace.unwrap_or("all namespaces").to_owned();
        shared.change(|failing| drop(failing.insert(scope.clone(), "starting".to_owned())));
        Self { shared: shared.clone(), scope }
    }

    pub(super) fn ok(&self) {
        self.shared.change(|failing| drop(failing.remove(&self.scope)));
    }

    pub(super) fn failing(&self, why: String) {
        self.shared.change(|failing| drop(failing.insert(self.scope.clone(), why)));
    }
}
