//! Part of Millrace.
