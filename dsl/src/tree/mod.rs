//! Decision trees: the route IR, its reference interpreter, the compiled program.
//!
//! INVARIANT: whoever wants to know where a request goes asks [`Program::decide`]: the data plane,
//! `lint`, `explain`. The interpreter exists to check it and for nothing else.

pub mod api_keys;
mod asking;
pub(crate) mod automaton;
pub mod base64;
pub(crate) mod bytes;
pub mod calls;
pub mod canonical;
pub(crate) mod classes;
pub mod eval;
mod explain;
mod fault;
pub(crate) mod fields;
pub(crate) mod guard;
mod hash;
mod hosts;
mod interpret;
pub mod ir;
pub mod judge;
pub mod l4;
mod methods;
pub(crate) mod order;
pub mod pattern;
mod program;
pub mod regex;
pub mod request;
pub mod rows;
pub mod session;
pub mod tell;
mod text;
mod transform;
pub mod upstream_text;
pub mod users;
pub mod words;

pub use transform::hash_hex;

pub use explain::{Candidate, Refusal};
pub use hosts::{HostIndex, Overlap};
pub use interpret::interpret;
pub(crate) use interpret::{candidates, interpret_near};
pub use methods::answers_405;
pub(crate) use program::rows;
pub use program::{CompileError, Decision, Program, Size, compile};

#[cfg(test)]
mod tests;
