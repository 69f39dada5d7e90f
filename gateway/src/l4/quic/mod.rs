//! QUIC as far as somebody in between can read it: the headers, and the first packets of a client,
//! which are encrypted with keys that everybody can derive.

pub mod cids;
pub mod classifier;
pub mod collector;
pub mod initial;
pub mod packet;
pub mod parameters;
#[cfg(test)]
mod testing;
