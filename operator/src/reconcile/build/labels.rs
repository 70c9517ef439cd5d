//! Labels of every child: by them it is found again, selected and pruned.

use std::collections::BTreeMap;

use crate::reconcile::validated::ValidatedStream;

/// The label with the UID of the LiveStream a child belongs to: by it children
/// are found and pruned.
pub const UID: &str = "millrace.dev/livestream-uid";

/// The label with the name of that LiveStream.
pub const NAME: &str = "millrace.dev/livestream";

/// The label with its namespace: a child in the workers namespace can't say it
/// by where it is.
pub const NAMESPACE: &str = "millrace.dev/livestream-namespace";

/// The label that says who made an object, and its value on ours.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// See [`MANAGED_BY`].
pub const MANAGER: &str = "millrace-operator";

/// The label that says which part of a stream it is.
pub const COMPONENT: &str = "app.kubernetes.io/component";

/// All labels of a child.
pub(super) fn of(stream: &ValidatedStream, component: &str) -> BTreeMap<String, String> {
    let mut labels = selector(stream, component);
    labels.extend([
        ("app.kubernetes.io/instance".to_owned(), stream.id.name().to_owned()),
        (MANAGED_BY.to_owned(), MANAGER.to_owned()),
        (NAME.to_owned(), stream.id.name().to_owned()),
        (NAMESPACE.to_owned(), stream.id.namespace().to_owned()),
    ]);
    labels
}

/// The few a selector asks for: they can never change, so they hold nothing
/// that could.
pub(super) fn selector(stream: &ValidatedStream, component: &str) -> BTreeMap<String, String> {
    [("app.kubernetes.io/name", "millrace"), (COMPONENT, component), (UID, stream.uid.as_str())]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
