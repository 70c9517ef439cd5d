//! From a `LiveStream` to everything it needs, in stages:
//!
//! 1. [`validate`]: the spec, wholly checked, becomes one
//!    [`ValidatedStream`](validated::ValidatedStream). Pure.
//! 2. [`build`]: the validated stream becomes Kubernetes objects, a file per
//!    child. Pure.
//! 3. [`external`]: what lives outside Kubernetes is made so: publish keys in
//!    Postgres, the frames topic in Kafka. Idempotent.
//!
//! Beside them, pure as well: [`hosts`] says who may have which host name,
//! [`endpoints`] which addresses a stream has, [`publish_keys`] which keys.
//!
//! Nobody behind the first stage reads the raw spec. The controller and
//! `local` run the same three.

pub mod build;
pub mod endpoints;
pub mod external;
pub mod hosts;
pub mod publish_keys;
pub mod validate;
pub mod validated;
