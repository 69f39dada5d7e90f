//! The sites directory: watched, loaded, kept, published.
//!
//! [`watch`] notices, [`tree`] reads, [`load`] compiles and decides what serves, [`store`] keeps the
//! last good versions, [`publish`] swaps the snapshot.

pub(crate) mod certificates;
pub mod certifying;
pub mod claims;
pub mod compile;
pub mod control;
pub mod data_dir;
pub mod digest;
pub mod ids;
pub mod item;
pub mod listening;
pub mod load;
pub mod log;
pub mod paths;
pub(crate) mod planned;
pub mod publish;
pub mod report;
pub mod secrets;
pub mod store;
#[cfg(test)]
pub mod testing;
pub mod tree;
pub mod wants;
pub mod watch;
