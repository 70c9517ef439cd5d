//! What tests, the demo and the benchmarks share: private servers, a whole Millrace on free
//! ports, real video and its publishers, and a viewer's eyes.
//!
//! Everything here works through public doors: scripts, command lines, environment variables,
//! RTMP and HTTP. It knows no inside of the programs it starts.

pub mod certificate;
pub mod clip;
pub mod cluster;
pub mod counter;
pub mod ending;
pub mod events;
pub mod http;
pub mod manifest;
pub mod place;
pub mod playlist;
pub mod ports;
pub mod probe;
pub mod process;
pub mod proxy;
pub mod publisher;
pub mod recorder;
pub mod repo;
pub mod rtmp;
pub mod screen;
pub mod server;
pub mod services;
pub mod stack;
pub mod viewer;
