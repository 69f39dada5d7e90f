//! QUIC as far as somebody in between can read it: the headers, and the first packets of a client,
//! which are encrypted with keys that everybody can derive.

pub mod collector;
pub mod initial;
pub mod packet;
#[cfg(test)]
mod testing;
