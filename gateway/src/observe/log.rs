//! The connection log: a line of JSON for each connection and flow.

use crate::l4::Record;

/// Where the data plane puts records. Never waits: what finds no room is counted and dropped.
#[derive(Clone, Debug, Default)]
pub struct LogSender {}

impl LogSender {
    /// Hands a record over.
    pub fn send(&self, _record: Record) {}
}
