//! `test "…" { … }`: requests and connections that are walked through the compiled program, and what is
//! expected of them.
//!
//! Nothing is opened and nothing is drawn: health and the draw of shares are given. Who runs tests hands
//! in the programs of the file that they stand in; what comes out is what [`Program::judge`] says.
//!
//! [`Program::judge`]: crate::tree::Program::judge

mod ask;
mod ask_l4;
mod coverage;
mod expect;
mod run;
mod world;

pub use coverage::{Coverage, Point, What};
pub use run::{BUDGET, Failure, Subject, Verdict, findings, run, run_covering};

use crate::syntax::ast::{Side, VisitDoes};
use crate::syntax::span::Loc;
use crate::tree::ir::{EndpointKind, Pool};
use crate::tree::l4::Transport;
use crate::tree::request::Plain;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A test, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// What it says.
    pub title: Arc<str>,
    /// Its first line.
    pub loc: Loc,
    /// Its lines, in order.
    pub steps: Vec<Step>,
}

/// A line of a test.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `given …`: holds for the requests below it.
    Given(Given),
    /// `request …`
    Request(Box<Asked>),
    /// `connect …`
    Connect(Box<Connection>),
    /// `expect …`: of the request or connection above it.
    Expect(Expect),
}

/// What is given.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// `given time "2026-01-01 00:00:00"`: seconds since 1970.
    Time(i64),
    /// `given draw 97%`: where in ten thousand shares that are drawn fall.
    Draw(u32),
    /// `given api down`, `given api answers 502 [with header.x = "…"]`: what a pool answers.
    Answers {
        /// Which pool.
        pool: PoolName,
        /// With which status.
        status: u16,
        /// Headers of the answer, in lower case, for an `ask` that copies them.
        headers: Vec<(Arc<str>, Arc<str>)>,
    },
    /// `given 10.0.0.1:80 down`: an endpoint is down in every pool that has it. A pool is when all of
    /// its endpoints are.
    Down {
        /// How it is found.
        kind: EndpointKind,
        /// As in [`crate::tree::ir::Endpoint`].
        host: Arc<str>,
        /// The port; 0 for a socket.
        port: u16,
    },
    /// `given secret.keys = "…"`: the content of a secret, for comparisons with it.
    Secret(Arc<str>, Arc<str>),
    /// `given country "DE"`: where the client is.
    Country(Arc<str>),
    /// `given signatures valid`, `given signatures invalid`: what `signed(…)` comes to before it looks at the time.
    Signed(bool),
    /// `given 200 requests [from […]] [with …]`: so many came before, like the request below.
    Requests(Box<Earlier>),
}

/// Requests that came before the one that is asked: like it, save what is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Earlier {
    /// How many.
    pub count: u32,
    /// From these addresses by turns; from that of the request where there is none.
    pub from: Vec<IpAddr>,
    /// These headers in place of the request's own of these names.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// A token that a test makes: `token(sub: "ann", …)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it says. Of `iss` and `aud` what is not said is right.
    pub claims: Vec<(Arc<str>, Arc<str>)>,
    /// `key: secret.x`, `key: corp`: whose key signed it; the right one where none is said.
    pub key: Option<Signer>,
    /// `exp: "…"`, seconds since 1970; never where none is said.
    pub expires: Option<i64>,
}

/// Whose key signed a token of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// A secret's.
    Secret(Arc<str>),
    /// A provider's.
    Provider(Arc<str>),
}

/// A pool that a test names: by the line that declares it, for files may call it by different names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolName {
    /// As the test calls it.
    pub name: Arc<str>,
    /// Its line.
    pub loc: Loc,
}

impl PoolName {
    fn is(&self, pool: &Pool) -> bool {
        self.loc == pool.loc
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Its method, headers and client; host and path are as they were written, not canonical yet.
    pub plain: Plain,
    /// The tokens in it, by the text that stands for each.
    pub tokens: Vec<(Arc<str>, Token)>,
    /// As it is written.
    pub shown: Arc<str>,
    /// Its line.
    pub loc: Loc,
}

/// A connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// What is reached.
    pub to: Reached,
    /// Who connects.
    pub client: (IpAddr, u16),
    /// The name in its hello, where the item at a port reads one.
    pub sni: Option<String>,
    /// The protocols that its hello offers.
    pub alpn: Vec<Box<str>>,
    /// Its line.
    pub loc: Loc,
}

/// What a connection reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// `tcp :5432`, `udp 10.0.0.1:53`: an item by its listener.
    Port(Transport, Option<IpAddr>, u16),
    /// `tls vault.example.com`: an `https` listener, with this name in the hello.
    Tls(Arc<str>),
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(transport, ip, port) => {
                let word = match transport {
                    Transport::Tcp => "tcp",
                    Transport::Udp => "udp",
                };
                match ip {
                    None => write!(f, "{word} :{port}"),
                    Some(IpAddr::V4(ip)) => write!(f, "{word} {ip}:{port}"),
                    Some(IpAddr::V6(ip)) => write!(f, "{word} [{ip}]:{port}"),
                }
            }
            Self::Tls(host) => write!(f, "tls {host}"),
        }
    }
}

/// Something that is expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Expect {
    /// What.
    pub what: Wanted,
    /// As it is written, without `expect`.
    pub shown: Arc<str>,
    /// Its line.
    pub loc: Loc,
}

/// What is expected.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// `pool api [at /path] [host NAME]`, or the last two alone.
    Proxy {
        /// Which pool.
        pool: Option<PoolName>,
        /// The path that is sent; with the query where a `?` is in it.
        at: Option<Arc<str>>,
        /// The Host that is sent.
        host: Option<Arc<str>>,
    },
    /// `redirect [308] URL`
    Redirect(Option<u16>, Arc<str>),
    /// `respond [200] ["text"]`
    Respond(Option<u16>, Option<Arc<str>>),
    /// `deny [403]`
    Deny(Option<u16>),
    /// `files "public" [at /path]`
    Files(Arc<str>, Option<Arc<str>>),
    /// A status alone, whoever answers.
    Status(u16),
    /// `[no] request|response header NAME [= VALUE]`: what is sent on.
    Header {
        /// On which message.
        side: Side,
        /// In lower case.
        name: Arc<str>,
        /// `None` for `no`.
        value: Option<Arc<str>>,
    },
    /// `retry 2`, `retry off`
    Retry(u32),
    /// `mirror shadow`, `no mirror`
    Mirror(Option<PoolName>),
    /// `timeout 5s`, milliseconds.
    Timeout(u64),
    /// `idle 60s`, milliseconds.
    Idle(u64),
    /// `login corp`, `logout corp`
    Visit(VisitDoes, Arc<str>),
    /// `session sid = "ann"`: one was issued, to whom; `no session sid`: it was ended.
    Session(Arc<str>, Option<Arc<str>>),
}

/// Where the draw falls, by what is given last.
fn draw(given: &[&Given]) -> Option<u32> {
    given.iter().rev().find_map(|given| match given {
        Given::Draw(point) => Some(*point),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
