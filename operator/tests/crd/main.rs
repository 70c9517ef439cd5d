//! The CRD: what the types print, and what a real API server makes of it.

#[cfg(test)]
mod admission;
#[cfg(test)]
mod children;
#[cfg(test)]
mod live;
#[cfg(test)]
mod people;
#[cfg(test)]
mod schema;
#[cfg(test)]
#[path = "../../src/reconcile/validate/tests/bad_specs.rs"]
mod specs;
#[cfg(test)]
mod support;
