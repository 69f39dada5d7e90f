//! Why a request got no answer from its pool: whose fault it is, where it happened, what the client is told.

use crate::http::body::Broken;
use crate::upstream::{EndpointHandle, Outcome};
use std::net::IpAddr;
use std::sync::Arc;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No endpoint is up, by the pool's check.
    NoEndpoint,
    /// As many requests or connections are under way as the pool's `limit` says.
    Full,
    /// The endpoint could not be reached.
    Unreachable,
    /// TLS with the endpoint failed.
    Tls,
    /// The connection broke before the head of an answer, or in the middle of the body.
    Reset,
    /// The endpoint refused the request without having acted on it.
    Refused,
    /// What came is no answer.
    Garbage,
    /// It took too long.
    Timeout,
    /// The client's fault: its body broke off.
    Client(Broken),
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The client's.
    Client,
    /// The endpoint's, or that of the network to it.
    Upstream,
    /// The gateway's, by what its route files say.
    Gateway,
}

/// How far the request had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waited for others to end, by the pool's `limit`.
    Queue,
    /// An endpoint was to be chosen.
    Choose,
    /// A connection was to be made.
    Connect,
    /// TLS was to be agreed on.
    Tls,
    /// It was being sent.
    Send,
    /// The head of the answer was waited for.
    Head,
    /// The body of the answer was on its way.
    Body,
}

/// Why there is no answer, or no whole one.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub cause: Cause,
    /// How far the request had come.
    pub phase: Phase,
    /// The endpoint that was asked last.
    pub endpoint: Option<Arc<EndpointHandle>>,
    /// How often the request was tried, from 1; 0 where no endpoint was asked.
    pub attempt: u32,
    /// What happened, in words, for the operator: `connection refused`.
    pub reason: String,
}

/// What a request is known by to people: kept while the request itself is away.
#[derive(Clone, Debug)]
pub struct About {
    /// Who sent it, proxies that are trusted looked through.
    pub client: IpAddr,
    /// Its method.
    pub method: http::Method,
    /// Its target, as it arrived.
    pub target: Option<http::uri::PathAndQuery>,
    /// Its host, as it arrived.
    pub host: Option<http::HeaderValue>,
    /// Its route says `log off`.
    pub quiet: bool,
}

impl Cause {
    /// The status that the client is answered with; 0 where nobody reads an answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::NoEndpoint | Self::Full => 503,
            Self::Unreachable | Self::Tls | Self::Reset | Self::Refused | Self::Garbage => 502,
            Self::Timeout => 504,
            Self::Client(Broken::Refused(reason)) => reason.status(),
            Self::Client(_) => 0,
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn blame(self) -> Blame {
        match self {
            Self::Client(_) => Blame::Client,
            Self::Full => Blame::Gateway,
            Self::NoEndpoint
            | Self::Unreachable
            | Self::Tls
            | Self::Reset
            | Self::Refused
            | Self::Garbage
            | Self::Timeout => Blame::Upstream,
        }
    }

    /// What the client is told: nothing about the inside.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::NoEndpoint => "no origin is up",
            Self::Full => "too many requests are under way",
            Self::Unreachable | Self::Tls => "the origin could not be reached",
            Self::Reset | Self::Refused => "the origin gave no answer",
            Self::Garbage => "the origin gave no valid answer",
            Self::Timeout => "the origin did not answer in time",
            Self::Client(_) => "the request body broke off",
        }
    }
}

impl Phase {
    /// The word in log lines.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Choose => "choose",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::Head => "head",
            Self::Body => "body",
        }
    }
}

impl Cause {
    /// What an endpoint is told of it.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::NoEndpoint | Self::Full | Self::Unreachable | Self::Tls => Outcome::Unreachable,
            Self::Reset | Self::Client(_) => Outcome::Reset,
            Self::Refused => Outcome::Refused,
            Self::Garbage => Outcome::Garbage,
            Self::Timeout => Outcome::Late,
        }
    }
}

impl Failure {
    /// Before an endpoint was asked.
    #[must_use]
    pub fn before(cause: Cause, phase: Phase, reason: &str) -> Box<Self> {
        Box::new(Self { cause, phase, endpoint: None, attempt: 0, reason: reason.to_owned() })
    }

    /// The status that the client is answered with; 0 where nobody reads an answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.cause.status()
    }
}
