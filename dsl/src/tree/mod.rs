//! Decision trees: the route IR, its reference interpreter, the compiled program.
//!
//! INVARIANT: whoever wants to know where a request goes asks [`Program::decide`]: the data plane,
//! `lint`, `explain`. The interpreter exists to check it and for nothing else.

pub mod ir;
pub mod request;
