//! The world behind small typed modules: configuration, Postgres, Redis,
//! Kafka, the object store, telemetry, health and supervision.
//!
//! The workers and the operator reach every outside service through this
//! crate; it knows nothing of RTMP, ffmpeg, playlists or Kubernetes. Every
//! client here has time-outs, bounded retries and errors that say which server
//! was asked for what.

pub mod backoff;
pub mod breaker;
pub mod config;
pub mod exit;
pub mod health;
pub mod kafka;
pub mod keys;
pub mod log;
pub mod names;
pub mod network;
pub mod playback;
pub mod postgres;
pub mod redis;
pub mod report;
pub mod shutdown;
pub mod store;
pub mod supervise;
pub mod telemetry;
pub mod tls;
pub mod tokens;
pub mod wall;
