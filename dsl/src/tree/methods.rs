//! The methods that a request could have come with: what a 405 says in `Allow` (RFC 9110 section 15.5.6).
//!
//! They are not derived from conditions but asked for: the same request is judged with each method. So they are
//! right wherever the 405 comes from, a `require`, a guard, or the lack of a route.

use super::calls::Calls;
use super::judge::{Progress, Rendered, Unseen};
use super::program::Program;
use super::request::{Request, TlsFacts};
use std::net::IpAddr;

/// Those of RFC 9110 and RFC 5789; `CONNECT` no gateway answers.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// What answers 405.
const NOT_ALLOWED: u16 = 405;

impl Program {
    /// The methods with which the same request would not be answered 405. Nothing is counted and nobody is asked.
    #[must_use]
    pub fn methods(&self, request: &impl Request) -> Vec<&'static str> {
        let allowed = |method: &&'static str| {
            let as_it_might = Instead { request, method };
            let mut progress = Progress::default();
            let judged = self.judge(&as_it_might, &mut || 0, &mut Unseen, &mut progress);
            !answers_405(&judged.answer)
        };
        METHODS.into_iter().filter(allowed).collect()
    }
}

/// Whether an answer says that the method is not allowed, and so has to say which are.
#[must_use]
pub fn answers_405(answer: &Rendered<'_>) -> bool {
    matches!(
        answer,
        Rendered::Deny { status: NOT_ALLOWED }
            | Rendered::Respond { status: NOT_ALLOWED, .. }
            | Rendered::File { status: NOT_ALLOWED, .. }
    )
}

/// A request, had it another method.
struct Instead<'r, R> {
    request: &'r R,
    method: &'r str,
}

impl<R: Request> Request for Instead<'_, R> {
    fn method(&self) -> &str {
        self.method
    }
    fn host(&self) -> &str {
        self.request.host()
    }
    fn path(&self) -> &str {
        self.request.path()
    }
    fn raw_paths(&self) -> bool {
        self.request.raw_paths()
    }
    fn query(&self) -> Option<&str> {
        self.request.query()
    }
    fn version(&self) -> &'static str {
        self.request.version()
    }
    fn header<'a>(&'a self, name: &str, each: &mut dyn FnMut(&'a [u8])) {
        self.request.header(name, each);
    }
    fn client_ip(&self) -> IpAddr {
        self.request.client_ip()
    }
    fn client_port(&self) -> u16 {
        self.request.client_port()
    }
    fn size(&self) -> Option<u64> {
        self.request.size()
    }
    fn tls(&self) -> Option<TlsFacts<'_>> {
        self.request.tls()
    }
    fn calls(&self) -> Option<&Calls> {
        self.request.calls()
    }
}
