//! Who asks, and what they may.
//!
//! A request brings one of our tokens ([`book`]) or one of Kubernetes
//! ([`kubernetes`]). A handler gets a stream only through [`On`], which looks
//! whether the caller may do to it what the handler does: none can forget.

pub mod audit;
pub mod book;
pub mod brief;
pub mod caller;
pub mod gate;
pub mod kubernetes;
pub mod on;
pub mod pace;
pub mod rates;

pub use caller::{Act, Caller};
pub use gate::Gate;
pub use on::{Authenticated, On};
