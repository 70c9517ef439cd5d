//! The operator as a process of its own, under its own account, against a real
//! API server and the real Postgres, Redis and Kafka. No pod runs: who is ready
//! is said in the place of a kubelet.

#[cfg(test)]
mod outside;
#[cfg(test)]
#[path = "../servers/publisher.rs"]
mod publisher;
#[cfg(test)]
#[path = "../servers/mod.rs"]
mod servers;
#[cfg(test)]
mod support;

#[cfg(test)]
mod node;
#[cfg(test)]
mod workers;

#[cfg(test)]
mod audit;
#[cfg(test)]
mod children;
#[cfg(test)]
mod conflicts;
#[cfg(test)]
mod drains;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod hangs;
#[cfg(test)]
mod leaders;
#[cfg(test)]
mod life;
#[cfg(test)]
mod live;
#[cfg(test)]
mod looks;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod migration;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod quiet;
#[cfg(test)]
mod reasons;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod release;
#[cfg(test)]
mod rollback;
#[cfg(test)]
mod rungs;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod silence;
#[cfg(test)]
mod successor;
#[cfg(test)]
mod suspended;
#[cfg(test)]
mod sweep;
