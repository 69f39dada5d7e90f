//! An HTTP/1 origin that fails on purpose: `fault-origin NAME PORT CONTROL [MODE]`.

use sluice_tests::faults::{Mode, origin};
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match words.as_slice() {
        [name, port, control] => Some((name, port.parse(), control.parse(), Ok(Mode::Well))),
        [name, port, control, mode] => Some((name, port.parse(), control.parse(), mode.parse())),
        _ => None,
    };
    let Some((name, Ok(port), Ok(control), Ok(mode))) = parsed else {
        eprintln!("usage: fault-origin NAME PORT CONTROL [MODE]");
        eprintln!(
            "  MODE: well slow-MS half-503 all-503 garbage half-answer half-head silent black-hole closes-idle pieces-MS"
        );
        eprintln!("  PUT http://127.0.0.1:CONTROL/MODE switches, GET tells what it has seen");
        return ExitCode::from(2);
    };
    match origin::serve(name, port, control, mode) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fault-origin {name}: {error}");
            ExitCode::FAILURE
        }
    }
}
