//! Settings from the environment, read once when a process starts.
//!
//! A binary builds its own `Config` in one function: it takes every setting
//! from an [`Env`] (which notes each wrong one), asks [`Env::report`] for all
//! the problems at once, and only then unwraps the values. See [`Env`] for an
//! example. docs/architecture.md lists the variables.

mod database;
mod env;
mod kafka;
mod secret;
mod services;
mod setting;

pub use database::{DatabaseConfig, RoleConfig, RoleName, RolesConfig};
pub use env::{ConfigError, Env, Problem};
pub use kafka::{KafkaConfig, KafkaLogin, KafkaTls, Mechanism};
pub use secret::{Secret, ServiceUrl};
pub use services::{
    Installation, LogFormat, RedisConfig, RedisServer, StoreConfig, TelemetryConfig,
};
pub use setting::Setting;
