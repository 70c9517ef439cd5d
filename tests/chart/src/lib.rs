//! The Helm chart as a user's helm renders it ([`helm`]), and what the
//! NetworkPolicies in it allow ([`network`]): a pure evaluator, as no cluster of
//! the tests enforces them.

pub mod helm;
pub mod network;
