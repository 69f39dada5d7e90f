//! The sites directory: watched, loaded, kept, published.
//!
//! [`watch`] notices, [`tree`] reads, [`load`] compiles and decides what serves, [`store`] keeps the
//! last good versions, [`publish`] swaps the snapshot.

pub mod claims;
pub mod data_dir;
pub mod digest;
pub mod log;
pub mod store;
#[cfg(test)]
pub mod testing;
pub mod tree;
pub mod watch;
