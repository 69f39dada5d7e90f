//! What is said and counted about certificates: a line for each, a few lines for many.

use crate::console::{Console, printable};
use crate::tls::acme::Cause;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lines in a row that are printed one by one; what comes faster is counted.
const SINGLY: usize = 8;
/// What was counted is said after so long, milliseconds.
const TOGETHER: u64 = 10_000;

/// What became of orders since the start.
#[derive(Debug, Default)]
pub struct Tally {
    issued: AtomicU64,
    renewed: AtomicU64,
    failed: [AtomicU64; CAUSES.len()],
    /// Orders that wait for their turn.
    pub(super) waiting: AtomicU64,
    /// Orders under way.
    pub(super) under_way: AtomicU64,
}

const CAUSES: [(Cause, &str); 6] = [
    (Cause::Unreachable, "unreachable"),
    (Cause::RateLimited, "rate-limited"),
    (Cause::Validation, "validation"),
    (Cause::Refused, "refused"),
    (Cause::Timeout, "timeout"),
    (Cause::Ours, "ours"),
];

impl Tally {
    pub(super) fn issued(&self, renews: bool) {
        let count = if renews { &self.renewed } else { &self.issued };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, cause: Cause) {
        if let Some(index) = CAUSES.iter().position(|(known, _)| *known == cause) {
            self.failed[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of orders: a word for each outcome, and how many.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let issued = [("issued", &self.issued), ("renewed", &self.renewed)];
        let failed = CAUSES.iter().zip(&self.failed).map(|((_, word), count)| (*word, count));
        issued.into_iter().chain(failed).map(|(word, count)| (word, count.load(Ordering::Relaxed)))
    }

    /// Orders that wait for their turn, and orders under way.
    #[must_use]
    pub fn orders(&self) -> (u64, u64) {
        (self.waiting.load(Ordering::Relaxed), self.under_way.load(Ordering::Relaxed))
    }
}

/// Says on the console what happens, and what happens often together.
#[derive(Debug)]
pub(super) struct Teller {
    console: Console,
    /// When the lines that were printed one by one were printed.
    printed: Vec<u64>,
    /// What was not printed one by one, by what it is.
    counted: BTreeMap<&'static str, (u64, String)>,
    since: u64,
    said: BTreeMap<&'static str, String>,
}

impl Teller {
    pub(super) fn new(console: &Console) -> Self {
        Self {
            console: console.clone(),
            printed: Vec::new(),
            counted: BTreeMap::new(),
            since: 0,
            said: BTreeMap::new(),
        }
    }

    /// A certificate was issued.
    pub(super) fn issued(&mut self, name: &str, renews: bool, by: &str, until: u64, now: u64) {
        let what = if renews { "renewed" } else { "issued" };
        let line = format!("certificate of {name} {what} by {}, valid until {}", host_of(by), date(until));
        self.line(what, line, false, now);
    }

    /// An order came to nothing.
    pub(super) fn failed(&mut self, name: &str, why: &str, next: u64, served: Option<u64>, now: u64) {
        let serves = match served {
            Some(until) if until * 1_000 > now => {
                format!("; the old one serves until {}", date(until))
            }
            Some(until) => format!("; the old one is over since {}", date(until)),
            None => "; its handshakes are refused".to_owned(),
        };
        let line = format!(
            "no certificate of {name}: {}{serves}; tried again in {}",
            printable(why),
            in_words(next.saturating_sub(now))
        );
        self.line("failed", line, true, now);
    }

    /// Something that holds for a while: said when it begins, and when it ends.
    pub(super) fn state(&mut self, what: &'static str, trouble: Option<String>, over: &str) {
        match (trouble, self.said.get(what)) {
            (Some(now), Some(before)) if now == *before => {}
            (Some(now), _) => {
                self.console.error(&now);
                self.said.insert(what, now);
            }
            (None, Some(_)) => {
                self.said.remove(what);
                self.console.note(over);
            }
            (None, None) => {}
        }
    }

    pub(super) fn warn(&self, line: impl AsRef<str>) {
        self.console.warn(line);
    }

    pub(super) fn note(&self, line: impl AsRef<str>) {
        self.console.note(line);
    }

    /// When what was counted is to be said, milliseconds since 1970.
    pub(super) fn next(&self) -> Option<u64> {
        (!self.counted.is_empty()).then_some(self.since + TOGETHER)
    }

    /// Says what was counted, when it is time. `waiting` orders are still to come.
    pub(super) fn settle(&mut self, now: u64, waiting: usize) {
        if self.next().is_none_or(|at| at > now) {
            return;
        }
        let mut parts = Vec::new();
        for (what, (count, example)) in std::mem::take(&mut self.counted) {
            parts.push(match (what, count) {
                (_, 1) => example,
                ("failed", n) => format!("{n} orders came to nothing, the last: {example}"),
                (what, n) => format!("{n} certificates {what}"),
            });
        }
        // What goes on like this is counted on.
        self.printed = vec![now; SINGLY];
        let waiting = if waiting == 0 { String::new() } else { format!("; {waiting} more to come") };
        self.console.note(format!("{}{waiting}", parts.join("; ")));
    }

    fn line(&mut self, what: &'static str, line: String, bad: bool, now: u64) {
        self.printed.retain(|at| at + TOGETHER > now && *at <= now);
        if self.counted.is_empty() && self.printed.len() < SINGLY {
            self.printed.push(now);
            if bad {
                self.console.warn(line);
            } else {
                self.console.note(line);
            }
            return;
        }
        if self.counted.is_empty() {
            self.since = now;
        }
        let counted = self.counted.entry(what).or_default();
        *counted = (counted.0 + 1, line);
    }
}

/// `acme-v02.api.letsencrypt.org` of a directory.
pub fn host_of(directory: &str) -> &str {
    let rest = directory.split_once("://").map_or(directory, |(_, rest)| rest);
    rest.split(['/', '?']).next().filter(|host| !host.is_empty()).unwrap_or("an unknown authority")
}

/// `2026-11-28 19:36 UTC` of seconds since 1970.
pub fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = dsl::calendar::date(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", rest / 3_600, rest % 3_600 / 60)
}

/// `90 s`, `12 min`, `3 h`, `2 days` of milliseconds.
pub fn in_words(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds.div_ceil(60)),
        7_200..=172_799 => format!("{} h", seconds.div_ceil(3_600)),
        _ => format!("{} days", seconds.div_ceil(86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Style;
    use crate::console::testing::Sink;

    fn told(tell: impl FnOnce(&mut Teller)) -> String {
        let sink = Sink::default();
        let console = Console::new(Style { colours: false }, sink.clone());
        tell(&mut Teller::new(&console));
        console.flush();
        sink.text()
    }

    const NOW: u64 = 1_764_358_560_000;

    #[test]
    fn a_few_are_told_one_by_one_in_words() {
        let text = told(|teller| {
            teller.issued("a.sluice.dev", false, "https://ca.sluice.dev/dir", NOW / 1_000 + 86_400, NOW);
            teller.failed("b.sluice.dev", "no A record", NOW + 90_000, None, NOW);
            teller.failed("c.sluice.dev", "no A record", NOW + 86_400_000 * 2, Some(NOW / 1_000 + 60), NOW);
        });
        let expected = "certificate of a.sluice.dev issued by ca.sluice.dev, valid until 2025-11-29 19:36 UTC\n\
            warning: no certificate of b.sluice.dev: no A record; its handshakes are refused; tried again in 90 s\n\
            warning: no certificate of c.sluice.dev: no A record; the old one serves until 2025-11-28 19:37 UTC; \
            tried again in 2 days\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn five_hundred_are_a_few_lines() {
        let text = told(|teller| {
            for n in 0..500 {
                let now = NOW + n * 50;
                teller.issued(&format!("{n}.sluice.dev"), false, "https://ca/", NOW / 1_000, now);
                teller.settle(now, 500 - n as usize);
            }
            teller.settle(NOW + 10 * TOGETHER, 0);
        });
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() < SINGLY + 6, "{text}");
        let counted: u64 =
            lines.iter().filter_map(|l| l.split_once(" certificates issued")?.0.parse::<u64>().ok()).sum();
        let singly = lines.iter().filter(|line| line.starts_with("certificate of")).count() as u64;
        assert_eq!(counted + singly, 500, "{text}");
        assert!(text.contains("more to come"), "{text}");
    }

    #[test]
    fn a_state_is_said_when_it_begins_and_when_it_ends() {
        let text = told(|teller| {
            for _ in 0..3 {
                teller.state("disk", Some("the disk is full".into()), "the disk is well");
            }
            teller.state("disk", None, "the disk is well");
            teller.state("disk", None, "the disk is well");
        });
        assert_eq!(text, "error: the disk is full\nthe disk is well\n");
    }

    #[test]
    fn dates_and_spans_are_for_people() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_798_675_199), "2026-12-30 23:59 UTC");
        assert_eq!(in_words(1), "1 s");
        assert_eq!(in_words(600_000), "10 min");
        assert_eq!(in_words(7_200_000), "2 h");
        assert_eq!(in_words(86_400_000 * 3), "3 days");
        assert_eq!(host_of("https://ca.sluice.dev/dir"), "ca.sluice.dev");
        assert_eq!(host_of(""), "an unknown authority");
    }
}
