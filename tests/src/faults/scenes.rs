//! The scenes: three origins behind a gateway, a load on them, one of the three fails, and is mended.

use super::load::{Load, Shape, Tally};
use super::origin::{FaultOrigin, Mode};
use crate::sluice::Sluice;
use crate::wait::PATIENCE;
use std::fmt;
use std::time::Duration;

/// What happens to the origin `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails in a mode, and is well again afterwards.
    Is(Mode),
    /// It is killed while it sends answers in pieces, and started again.
    KilledMidAnswer,
    /// It is killed and started again so many times.
    Restarts(usize),
    /// All three answer 503.
    All503,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(mode) => write!(f, "one of three is {mode}"),
            Self::KilledMidAnswer => f.write_str("one of three is killed in the middle of answers"),
            Self::Restarts(times) => write!(f, "one of three restarts {times} times"),
            Self::All503 => f.write_str("all three answer 503"),
        }
    }
}

/// All scenes.
pub const SCENES: [Fault; 13] = [
    Fault::KilledMidAnswer,
    Fault::Is(Mode::BlackHole),
    Fault::Is(Mode::Silent),
    Fault::Is(Mode::Slow(5000)),
    Fault::Restarts(6),
    Fault::Is(Mode::Half503),
    Fault::Is(Mode::All503),
    Fault::Is(Mode::Garbage),
    Fault::Is(Mode::HalfAnswer),
    Fault::Is(Mode::HalfHead),
    Fault::Is(Mode::ClosesIdle),
    Fault::Is(Mode::Pieces(20)),
    Fault::All503,
];

/// How often the pool of the scenes checks its endpoints.
pub const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The pool that the scenes are played with, its endpoints apart.
pub const POOL: &str = "
    balance least-requests
    check   GET /healthz every 1s within 500ms rise 1 fall 2
    eject   after 3 failures, 50% within 10s for 2s up to 50%
    connect within 500ms
    timeout 8s
    retry   2 on [connect, reset, refused, timeout, 502, 503] within 8s each 1s budget 20%
";

/// The share of the requests that may be repeated, in [`POOL`].
pub const BUDGET: f64 = 0.20;

/// How big a scene.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Who asks.
    pub load: Shape,
    /// Requests before, during and after the fault.
    pub requests: usize,
    /// Workers of the gateway.
    pub workers: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was done.
    pub fault: Fault,
    /// Every request.
    pub tally: Tally,
    /// When the fault began, since the load did.
    pub begin: Duration,
    /// When it was mended.
    pub mended: Duration,
    /// From then until the origin was asked again; `None` when it was not in time.
    pub recovered: Option<Duration>,
    /// Requests that the origins saw while the fault lasted, where they outlive it.
    pub seen: Option<u64>,
    /// Requests that clients sent while the fault lasted.
    pub sent: usize,
    /// What the gateway printed: its log.
    pub console: Vec<String>,
}

impl Report {
    /// Requests seen by origins for each that was sent.
    #[allow(clippy::cast_precision_loss)]
    pub fn amplification(&self) -> Option<f64> {
        self.seen.map(|seen| seen as f64 / self.sent as f64)
    }

    /// From the beginning of the fault until the end of the last request that took longer than the rest would.
    pub fn disturbed(&self, usual: Duration) -> Duration {
        let slow = self.tally.0.iter().filter(|a| a.end() >= self.begin && (a.took > usual || a.answer.is_err()));
        slow.map(|asked| asked.end()).max().map_or(Duration::ZERO, |end| end.saturating_sub(self.begin))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (during, all) = (self.tally.since(self.begin), &self.tally);
        write!(f, "{}: {} requests, {} failed", self.fault, all.0.len(), all.failed())?;
        if all.failed() > 0 {
            write!(f, " {:?}", all.failures())?;
        }
        write!(f, "; p99 {:.0?}, longest {:.0?}", during.quantile(0.99), during.quantile(1.0))?;
        write!(f, "; disturbed for {:.1?}", self.disturbed(Duration::from_millis(250)))?;
        match self.recovered {
            Some(after) => write!(f, "; asked again {after:.1?} after it was mended")?,
            None => write!(f, "; not asked again after it was mended")?,
        }
        if let Some(times) = self.amplification() {
            write!(f, "; {times:.2} requests at origins for each")?;
        }
        Ok(())
    }
}

/// Plays a scene.
///
/// # Panics
///
/// When the gateway does not start, or nobody answers before the fault.
#[track_caller]
pub fn play(fault: Fault, size: Size) -> Report {
    let mut origins = ["a", "b", "c"].map(FaultOrigin::start);
    let endpoints: String = origins.iter().map(|origin| format!("    {}\n", origin.addr)).collect();
    let route =
        format!("pool app {{\n{endpoints}{POOL}}}\n\nsite faults.test {{\n    http allowed\n    else -> app\n}}\n");
    let sluice = Sluice::setup().workers(size.workers).file("faults.route", route).start();
    let load = Load::start(sluice.http, "faults.test", size.load);
    for origin in &origins {
        load.reaches(&origin.name, PATIENCE).unwrap_or_else(|| panic!("{} is never asked", origin.name));
    }
    load.goes_on(size.requests);

    if fault == Fault::KilledMidAnswer {
        origins[1].set(Mode::Pieces(10));
        load.goes_on(size.load.clients);
    }
    let counts = |origins: &[FaultOrigin]| origins.iter().map(|origin| origin.counts().requests).sum::<u64>();
    let before = match fault {
        Fault::KilledMidAnswer | Fault::Restarts(_) => None,
        Fault::Is(_) | Fault::All503 => Some(counts(&origins)),
    };
    let begin = load.now();
    match fault {
        Fault::Is(mode) => {
            origins[1].set(mode);
            load.goes_on(size.requests);
        }
        Fault::KilledMidAnswer => {
            origins[1].kill();
            load.goes_on(size.requests);
        }
        Fault::Restarts(times) => {
            for _ in 0..times {
                origins[1].kill();
                load.goes_on(size.requests / times);
                origins[1].restart(Mode::Well);
                load.goes_on(size.requests / times);
            }
        }
        Fault::All503 => {
            origins.iter().for_each(|origin| origin.set(Mode::All503));
            load.goes_on(size.requests);
        }
    }
    let during = load.tally().since(begin);
    let seen = before.map(|before| counts(&origins) - before);
    match fault {
        Fault::Is(_) | Fault::All503 => origins.iter().for_each(|origin| origin.set(Mode::Well)),
        Fault::KilledMidAnswer => origins[1].restart(Mode::Well),
        Fault::Restarts(_) => {}
    }
    let mended = load.now();
    let recovered = load.reaches("b", PATIENCE);
    load.goes_on(size.requests);
    let tally = load.stop();
    Report { fault, tally, begin, mended, recovered, seen, sent: during.0.len(), console: sluice.console() }
}
