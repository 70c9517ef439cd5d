//! The operator: what a `LiveStream` is ([`api`]), what it needs to run
//! ([`reconcile`]), and `local`, which runs it without Kubernetes.

pub mod api;
mod check;
pub mod cli;
pub mod controller;
pub mod crd;
mod fingerprint;
pub mod local;
mod playback;
pub mod reconcile;
mod release;
mod schema;
mod token;
