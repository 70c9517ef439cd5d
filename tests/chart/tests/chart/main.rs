//! The Helm chart, rendered by a real helm, and installed by it into a real API
//! server. Where there is no Go to build helm with, the tests have nothing to
//! do.

#[cfg(test)]
mod bad_values;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod containers;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod pods;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod settings;

/// The value sets that between them render every template.
#[cfg(test)]
const SETS: [&str; 4] = ["quickstart", "servers", "directory", "references"];
