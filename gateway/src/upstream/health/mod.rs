//! Whether endpoints are well: what checks find out, and what follows from it.

mod standing;

pub use standing::{Standing, health_epoch};
