//! The program against the interpreter, on random sites and requests.

mod agree;
mod calls;
mod explain;
mod findings;
mod generate;
mod regions;
