//! A broadcast, as the log shows it.
