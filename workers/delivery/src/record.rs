//! What delivery does for the record beside serving viewers.

pub mod relay;
