//! The program from outside: the command line, and what `run` does when its world changes.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod commands;
mod example;
mod examples_broken;
mod lint;
mod listeners;
mod observe;
mod plans;
mod running;
mod support;
mod tests_of_files;
