//! Part of Millrace.
fn main() {}
