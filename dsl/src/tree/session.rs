//! What the token of a session says, and when it is issued again. Whoever issues has the time and the keys.
//!
//! `exp` is when the session ends if nobody uses it: whatever verifies the token, here or elsewhere, holds to it.
//! `end` is when it ends at the latest, and `idle` after how long without a request; both stand only in tokens of
//! sessions that end so.

use std::sync::Arc;

/// Who issues sessions: the `iss` of their tokens.
pub const ISSUER: &str = "sluice";

/// What becomes of a session, with whatever answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issue<'r> {
    /// It is issued to somebody.
    Start(&'r str),
    /// It is issued again, if [`kept`] says so: what its token says, by name.
    Keep(&'r [(Arc<str>, Arc<str>)]),
    /// The browser forgets it.
    End,
}

/// The times of a session, seconds; since 1970 where they are no spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When it was begun.
    pub begun: u64,
    /// When it is over, if nobody uses it.
    pub expires: u64,
    /// When it is over at the latest, and after how long without a request; `None` where the latter ends nothing.
    pub idle: Option<Idle>,
}

/// What ends a session that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// The end, since 1970.
    pub end: u64,
    /// The span.
    pub after: u64,
}

impl Times {
    /// Of a session that begins, with spans in milliseconds.
    #[must_use]
    pub fn begin(now: u64, for_ms: u64, idle_ms: Option<u64>) -> Self {
        let end = now.saturating_add(for_ms / 1_000);
        let idle = idle_ms.map(|ms| Idle { end, after: (ms / 1_000).max(1) });
        Self { begun: now, expires: idle.map_or(end, |idle| idle.until(now)), idle }
    }

    /// The next idle end of a session that is used now; `None` where there is nothing to do yet: half of its idle time
    /// is not over, it has none, or its end is no further away.
    #[must_use]
    pub fn next(&self, now: u64) -> Option<u64> {
        let idle = self.idle?;
        let (left, next) = (self.expires.checked_sub(now)?, idle.until(now));
        (left < idle.after - left.min(idle.after) && next > self.expires).then_some(next)
    }

    /// For how long a browser keeps the cookie, seconds.
    #[must_use]
    pub fn left(&self, now: u64) -> u64 {
        self.expires.saturating_sub(now)
    }
}

impl Idle {
    fn until(self, now: u64) -> u64 {
        now.saturating_add(self.after).min(self.end)
    }
}

/// A session that holds by what its token says, and is to be issued again: to whom, and for how long. More than
/// half of its idle time is over, and its end is further away than what it was issued for. `now` is in seconds
/// since 1970.
#[must_use]
pub fn kept(claims: &[(Arc<str>, Arc<str>)], now: u64) -> Option<(&str, Times)> {
    let claim = |name: &str| {
        let mut said = claims.iter().filter(|(known, _)| **known == *name).map(|(_, value)| &**value);
        // A claim that is a list stands once for each text of it: no session says that.
        said.next().filter(|_| said.next().is_none())
    };
    let time = |name: &str| claim(name)?.parse::<u64>().ok();
    let idle = Idle { end: time("end")?, after: time("idle")? };
    let times = Times { begun: time("iat")?, expires: time("exp")?, idle: Some(idle) };
    let expires = times.next(now)?;
    Some((claim("sub")?, Times { expires, ..times }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(times: &Times) -> Vec<(Arc<str>, Arc<str>)> {
        let idle = times.idle.unwrap();
        [("iat", times.begun), ("exp", times.expires), ("end", idle.end), ("idle", idle.after)]
            .into_iter()
            .map(|(name, value)| (name.into(), value.to_string().into()))
            .chain([("sub".into(), "ann".into())])
            .collect()
    }

    #[test]
    fn it_is_issued_again_when_more_than_half_of_its_idle_time_is_over() {
        let times = Times::begin(1_000, 3_600_000, Some(600_000));
        assert_eq!((times.expires, times.left(1_000)), (1_600, 600));
        assert_eq!(kept(&token(&times), 1_300), None);
        let said = token(&times);
        let (sub, next) = kept(&said, 1_301).unwrap();
        assert_eq!((sub, next.begun, next.expires), ("ann", 1_000, 1_901));
        assert_eq!(kept(&token(&times), 1_601), None, "over");
    }

    #[test]
    fn the_end_of_a_session_never_moves() {
        let mut times = Times::begin(1_000, 3_600_000, Some(600_000));
        let mut now = 1_000;
        while now < 4_600 {
            if let Some((_, next)) = kept(&token(&times), now) {
                times = next;
            }
            assert!(times.expires <= 4_600);
            now += 7;
        }
        assert_eq!(times.expires, 4_600);
        assert_eq!(kept(&token(&times), 4_599), None, "nothing is won");
    }

    #[test]
    fn attack_a_claim_said_twice_or_left_out_keeps_nothing() {
        let times = Times::begin(1_000, 3_600_000, Some(600_000));
        for name in ["sub", "iat", "exp", "end", "idle"] {
            let mut twice = token(&times);
            twice.push((name.into(), "9999999999".into()));
            assert_eq!(kept(&twice, 1_500), None, "{name}");
            let mut without = token(&times);
            without.retain(|(known, _)| **known != *name);
            assert_eq!(kept(&without, 1_500), None, "{name}");
        }
    }

    #[test]
    fn an_idle_time_beyond_the_end_ends_there() {
        let times = Times::begin(1_000, 60_000, Some(600_000));
        assert_eq!(times.expires, 1_060);
        assert_eq!(kept(&token(&times), 1_050), None);
    }
}
