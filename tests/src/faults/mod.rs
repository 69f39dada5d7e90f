//! Origins that fail on purpose while a load is on them, and the count of what that did to clients.

pub mod load;
pub mod origin;
pub mod scenes;

pub use load::{Load, Tally};
pub use origin::{FaultOrigin, Mode};
