//! From a `LiveStream` to everything it needs, in stages:
//!
//! 1. [`validate`]: the spec, wholly checked, becomes one
//!    [`ValidatedStream`](validated::ValidatedStream). Pure. Nobody behind it
//!    reads the raw spec.
//! 2. [`dereference`]: all reads of Kubernetes: what the watches hold, and the
//!    Secrets that the spec names.
//! 3. [`build`]: both become Kubernetes objects, a file per child. Pure.
//! 4. [`external`]: what lives outside Kubernetes is made so: publish keys in
//!    Postgres, topics in Kafka. Idempotent.
//! 5. [`apply`]: children are applied, where one differs.
//! 6. [`prune`]: children that the spec no longer asks for are deleted.
//! 7. [`status`]: what was found and done is written down, where it is news.
//!
//! A stage that fails does not stop those that can do without it: with Kafka
//! away a stream still gets its pods, and its status says what is missing.
//! [`finalize`] is the way back; [`presence`] serves the sweep, which finds what
//! it left. `local` runs stages 1, 3 and 4.
//!
//! Beside them, pure as well: [`hosts`] says who may have which host name,
//! [`endpoints`] which addresses a stream has, [`publish_keys`] which keys,
//! [`freeze`] which templates wait. What is remembered from one reconcile to the
//! next: [`keys_known`], whose keys need no look, [`behind`], whose watch is
//! late, [`drains`], which nodes are being emptied, [`suspended`], which broadcasts
//! are to end.

pub mod apply;
pub mod behind;
pub mod build;
pub mod children;
pub mod context;
pub mod dereference;
pub mod drains;
pub mod endpoints;
pub mod external;
pub mod finalize;
pub mod freeze;
pub mod hosts;
pub mod keys_known;
pub mod kind;
pub mod prepared;
pub mod presence;
pub mod prune;
pub mod publish_keys;
pub mod retry_after;
pub mod run;
pub mod seen;
pub mod status;
pub mod suspended;
pub mod validate;
pub mod validated;
