//! `eject after 5 failures, 50% within 10s for 30s up to 50%`: an endpoint that answers badly gets no
//! requests for a while, whatever its check says.
//!
//! What is counted is counted over all workers. Who returns begins anew; who is ejected again stays away
//! for twice as long, up to ten times what is written, and for each such time that it served well
//! afterwards, half as long again. A pool ejects no more of its endpoints than it says, and one in any
//! case.

use super::super::{EndpointHandle, Members, Outcome};
use super::record::{Group, Since};
use super::window::Window;
use crate::runtime::notice::Notice;
use crate::runtime::ticks::process_ms;
use dsl::tree::ir;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Answers that a share needs to mean something.
const LEAST: u64 = 20;
/// How much longer the longest ejection is than the first.
const LONGEST: u64 = 10;

/// How an endpoint answers, and whether it is ejected for it.
pub(in crate::upstream) struct Ejection(Arc<State>);

struct State {
    eject: ir::Eject,
    group: Arc<Group>,
    since: Arc<Since>,
    endpoint: Arc<str>,
    /// 0, or until when it is ejected: milliseconds since the process started.
    until: AtomicU64,
    /// Failures since the last good answer.
    row: AtomicU32,
    window: Option<Window>,
    /// How often it has been ejected, less what was forgiven; written by who is `busy`.
    level: AtomicU32,
    /// When it returned last.
    returned: AtomicU64,
}

impl Ejection {
    pub(super) fn new(
        eject: ir::Eject,
        group: &Arc<Group>,
        since: &Arc<Since>,
        endpoint: &Arc<EndpointHandle>,
    ) -> Self {
        Self(Arc::new(State {
            eject,
            group: Arc::clone(group),
            since: Arc::clone(since),
            endpoint: Arc::clone(endpoint.name()),
            until: AtomicU64::new(0),
            row: AtomicU32::new(0),
            window: eject.ratio.map(|(_, within_ms)| Window::new(within_ms)),
            level: AtomicU32::new(0),
            returned: AtomicU64::new(0),
        }))
    }

    /// Ends it before its time.
    pub(super) fn end(&self, now: u64) {
        let until = self.0.until.load(Ordering::Relaxed);
        if until != 0 {
            self.0.returns(until, now);
        }
    }

    /// Whether it gets no requests now.
    #[inline]
    pub(super) fn is_out(&self, now: u64) -> bool {
        let until = self.0.until.load(Ordering::Relaxed);
        until != 0 && self.0.stays(until, now)
    }

    /// Notes an answer, or that there was none, of the endpoint at a place.
    #[inline]
    pub(in crate::upstream) fn note(&self, members: &Members, outcome: Outcome, now: u64) {
        if outcome.failed() {
            self.failed(members, outcome, now);
        } else if outcome != Outcome::Refused {
            if self.0.row.load(Ordering::Relaxed) != 0 {
                self.0.row.store(0, Ordering::Relaxed);
            }
            if let Some(window) = &self.0.window {
                window.add(false, now);
            }
        }
    }

    #[cold]
    fn failed(&self, members: &Members, outcome: Outcome, now: u64) {
        // What was under way when it was ejected says nothing new.
        if self.is_out(now) {
            return;
        }
        let state = &self.0;
        let row = state.row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if let Some(window) = &state.window {
            window.add(true, now);
        }
        let Some(reason) = state.reason(row, outcome, now) else { return };
        // Another worker ejects one just now: the next failure comes soon enough.
        if state.group.busy.swap(true, Ordering::Acquire) {
            return;
        }
        let allowed = (members.len() * usize::from(state.eject.up_to) / 100).max(1);
        let out = members.each().iter().filter(|member| member.record().is_ejected(now)).count();
        if out < allowed && !self.is_out(now) {
            self.out(reason, now);
        }
        state.group.busy.store(false, Ordering::Release);
    }

    fn out(&self, reason: String, now: u64) {
        let state = &self.0;
        let level = state.level_now(now);
        let lasts = state.lasts(level);
        state.level.store(level.saturating_add(1).min(u64::BITS), Ordering::Relaxed);
        state.until.store(now.saturating_add(lasts).max(1), Ordering::Relaxed);
        if let Some(notices) = &state.group.notices {
            notices.send(Notice::EndpointEjected {
                pool: Arc::clone(&state.group.name),
                endpoint: Arc::clone(&state.endpoint),
                reason,
                lasts_ms: lasts,
            });
        }
        // Requests end it too; this is for those that nobody asks for meanwhile.
        if let Some(runtime) = state.group.runtime.get() {
            let state = Arc::downgrade(state);
            runtime.spawn(async move {
                tokio::time::sleep(Duration::from_millis(lasts)).await;
                if let Some(state) = state.upgrade() {
                    let until = state.until.load(Ordering::Relaxed);
                    state.stays(until, process_ms());
                }
            });
        }
    }
}

impl State {
    /// Whether that is still to come; whoever finds first that it is over ends it.
    #[cold]
    fn stays(&self, until: u64, now: u64) -> bool {
        if now < until {
            return true;
        }
        self.returns(until, now);
        false
    }

    /// Ends the ejection that lasts until then, if nobody did.
    fn returns(&self, until: u64, now: u64) {
        if until != 0 && self.until.compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.row.store(0, Ordering::Relaxed);
            if let Some(window) = &self.window {
                window.clear();
            }
            self.returned.store(now, Ordering::Relaxed);
            self.since.set(now);
            if let Some(notices) = &self.group.notices {
                notices.send(Notice::EndpointReturned {
                    pool: Arc::clone(&self.group.name),
                    endpoint: Arc::clone(&self.endpoint),
                });
            }
        }
    }

    /// Why it is to be ejected, if it is.
    fn reason(&self, row: u32, last: Outcome, now: u64) -> Option<String> {
        if self.eject.failures.is_some_and(|most| row >= most) {
            let times = if row == 1 { "1 failure".to_owned() } else { format!("{row} failures in a row") };
            return Some(format!("{times}, the last: {last}"));
        }
        let ((percent, within_ms), window) = self.eject.ratio.zip(self.window.as_ref())?;
        let seen = window.seen(now);
        let over = seen.all >= LEAST && seen.failed * 100 >= seen.all * u64::from(percent);
        over.then(|| {
            let within = words(within_ms);
            format!("{} of {} answers within {within} failed, the last: {last}", seen.failed, seen.all)
        })
    }

    /// How often it was ejected, less one for each time that it served well for as long as the first
    /// ejection lasts.
    fn level_now(&self, now: u64) -> u32 {
        let calm = now.saturating_sub(self.returned.load(Ordering::Relaxed)) / self.eject.for_ms.max(1);
        self.level.load(Ordering::Relaxed).saturating_sub(u32::try_from(calm).unwrap_or(u32::MAX))
    }

    fn lasts(&self, level: u32) -> u64 {
        self.eject.for_ms.saturating_mul((1_u64 << level.min(16)).min(LONGEST))
    }
}

/// A time for people: `30 s`, `1500 ms`.
fn words(ms: u64) -> String {
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
}

impl fmt::Debug for Ejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (until, row) = (&self.0.until, &self.0.row);
        f.debug_struct("Ejection").field("until", until).field("row", row).finish_non_exhaustive()
    }
}
