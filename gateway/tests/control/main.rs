//! The program from outside: the command line, and what `run` does when its world changes.

mod commands;
mod running;
mod support;
