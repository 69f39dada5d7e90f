//! What is told about traffic: log lines and counts.

pub mod log;
pub mod metrics;
