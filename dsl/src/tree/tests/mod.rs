//! The program against the interpreter, and the verdicts of the analysis against brute force, on random
//! sites and requests.

mod agree;
mod calls;
mod explain;
mod findings;
mod generate;
mod regions;
mod verdicts;

/// How many random programs each test looks at: as many as CI has time for, or as `SLUICE_PROGRAMS` says
/// for a run at night.
fn programs() -> usize {
    std::env::var("SLUICE_PROGRAMS").ok().and_then(|n| n.parse().ok()).unwrap_or(5_000)
}
