//! Labels of every child: by them it is found again, selected and pruned.

use std::collections::BTreeMap;

use crate::reconcile::validated::ValidatedStream;

/// The label with the UID of the LiveStream a child belongs to.
const UID: &str = "millrace.dev/livestream-uid";

/// All labels of a child.
pub(super) fn of(stream: &ValidatedStream, component: &str) -> BTreeMap<String, String> {
    let mut labels = selector(stream, component);
    labels.extend([
        ("app.kubernetes.io/instance".to_owned(), stream.id.name().to_owned()),
        ("app.kubernetes.io/managed-by".to_owned(), "millrace-operator".to_owned()),
        ("millrace.dev/livestream".to_owned(), stream.id.name().to_owned()),
        ("millrace.dev/livestream-namespace".to_owned(), stream.id.namespace().to_owned()),
    ]);
    labels
}

/// The few a selector asks for: they can never change, so they hold nothing
/// that could.
pub(super) fn selector(stream: &ValidatedStream, component: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "millrace"),
        ("app.kubernetes.io/component", component),
        (UID, stream.uid.as_str()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}
