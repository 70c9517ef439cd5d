//! Services that are away, and an API server that misbehaves.
