//! Bodies, both ways, unboxed: what an origin sends, what a client sends, what the gateway says.

mod answer;
mod arriving;
mod prefix;
mod request;

pub use answer::*;
pub use arriving::Arriving;
pub use prefix::{Beginning, Prefix};
pub use request::*;

use crate::http::gate::Reason;
use std::fmt;

/// Why a body broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The client's: it is refused.
    Refused(Reason),
    /// The client left.
    ClientGone,
    /// The origin died or violated its framing.
    Origin,
    /// The origin sent nothing for too long.
    OriginSilent,
    /// A file could not be read to its end.
    File,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused(reason) => reason.text(),
            Self::ClientGone => "the client left",
            Self::Origin => "the origin broke off",
            Self::OriginSilent => "the origin fell silent",
            Self::File => "a file could not be read",
        })
    }
}

impl std::error::Error for Broken {}

/// An error of hyper's with what lies below it, for the console.
#[must_use]
pub fn describe(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(e) = source {
        let more = e.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = e.source();
    }
    // rustls explains at length where an end without a farewell may come from.
    if text.contains("close_notify") {
        return "the connection was closed without a word, not even one of TLS: \
                right after a handshake, the endpoint may not take our client certificate"
            .to_owned();
    }
    text
}
