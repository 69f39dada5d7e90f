//! ## What
//!
//! A certificate of a site has expired, is about to, or is not valid yet.
//!
//! ## Why
//!
//! From the second on that it expires every client refuses the handshake. The clock decides, so that this never
//! keeps a file from loading: what is served is what is there.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     tls file "pki/of-last-year.pem" key secret.tls-key
//!     else -> respond 200
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     tls file "pki/a.example.com.pem" key secret.tls-key
//!     else -> respond 200
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// Seconds before its end from which on it is said that a certificate expires.
pub const SOON: i64 = 14 * DAY;

const DAY: i64 = 86_400;

/// How a certificate stands to the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Valid for more than fourteen days.
    Good,
    /// Valid for so many seconds.
    Ends(i64),
    /// Over since so many seconds.
    Expired(i64),
    /// Valid only in so many seconds.
    NotYet(i64),
}

impl Validity {
    /// Of a certificate that is valid between these times, now; all in seconds since 1970.
    pub fn of(not_before: i64, not_after: i64, now: i64) -> Self {
        if now < not_before {
            Self::NotYet(not_before - now)
        } else if now > not_after {
            Self::Expired(now - not_after)
        } else if not_after - now < SOON {
            Self::Ends(not_after - now)
        } else {
            Self::Good
        }
    }

    /// Whether clients take it now.
    pub fn is_valid(self) -> bool {
        matches!(self, Self::Good | Self::Ends(_))
    }

    /// How many whole days it is from an end.
    pub fn days(self) -> i64 {
        match self {
            Self::Good => 0,
            Self::Ends(seconds) | Self::Expired(seconds) | Self::NotYet(seconds) => seconds / DAY,
        }
    }

    /// What is to be said of it. `None` where all is well.
    pub fn words(self) -> Option<String> {
        match self {
            Self::Good => None,
            Self::Ends(left) => Some(format!("expires in {}", span(left))),
            Self::Expired(ago) => Some(format!("expired {} ago", span(ago))),
            Self::NotYet(left) => Some(format!("is not valid yet: its time begins in {}", span(left))),
        }
    }
}

fn span(seconds: i64) -> String {
    let of = |n: i64, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    match seconds {
        s if s >= DAY => of(s / DAY, "day"),
        s if s >= 3_600 => of(s / 3_600, "hour"),
        s => of(s.max(60) / 60, "minute"),
    }
}

/// What is to be said of a certificate file.
pub fn validity(loc: Loc, file: &str, validity: Validity) -> Option<Diagnostic> {
    let message = format!("the certificate `{file}` {}", validity.words()?);
    Some(if validity.is_valid() {
        Diagnostic::warning("G4004", loc, message).note("put the new one in its place: it is read while the gateway runs")
    } else {
        Diagnostic::error("G4004", loc, message).note("every client refuses the handshake until there is another")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_compared_to_both_ends() {
        let of = |now| Validity::of(1_000, 100 * DAY, now);
        assert_eq!(of(999), Validity::NotYet(1));
        assert_eq!(of(1_000), Validity::Good);
        assert_eq!(of(86 * DAY), Validity::Good, "fourteen days are left");
        assert_eq!(of(86 * DAY + 1), Validity::Ends(SOON - 1));
        assert_eq!(of(100 * DAY), Validity::Ends(0));
        assert_eq!(of(100 * DAY + 1), Validity::Expired(1));
        assert_eq!(of(91 * DAY).words().as_deref(), Some("expires in 9 days"));
        assert_eq!(of(109 * DAY).words().as_deref(), Some("expired 9 days ago"));
        assert!(!of(0).is_valid());
    }
}
