//! The line for a request that the gateway had to answer itself because of its upstream, or whose answer
//! broke off.

use super::line;
use crate::http::forward::{About, Failure};
use std::fmt::Write;
use std::sync::Arc;
use std::time::SystemTime;

/// A request that failed.
#[derive(Clone, Debug)]
pub struct Failed {
    at: SystemTime,
    pub(super) about: About,
    status: u16,
    pool: Arc<str>,
    endpoint: Option<Arc<str>>,
    phase: &'static str,
    attempt: u32,
    reason: String,
}

impl Failed {
    /// What is to be said of it.
    #[must_use]
    pub fn new(about: &About, pool: &Arc<str>, failure: &Failure) -> Self {
        Self {
            at: SystemTime::now(),
            about: about.clone(),
            status: failure.status(),
            pool: Arc::clone(pool),
            endpoint: failure.endpoint.as_ref().map(|endpoint| Arc::clone(endpoint.name())),
            phase: failure.phase.label(),
            attempt: failure.attempt,
            reason: failure.reason.clone(),
        }
    }

    /// The same, where the client is answered with another status than the failure's.
    #[must_use]
    pub fn answered(self, status: Option<u16>) -> Self {
        Self { status: status.unwrap_or(self.status), ..self }
    }

    /// Appends the line, with its end.
    pub(super) fn write(&self, out: &mut String) {
        line::request(out, self.at, "failed", &self.about);
        line::field(out, "method", Some(self.about.method.as_str()));
        line::asked(out, &self.about);
        // Writing to a `String` cannot fail.
        let _ = write!(out, ",\"status\":{}", self.status);
        line::field(out, "pool", Some(&self.pool));
        line::field(out, "endpoint", self.endpoint.as_deref());
        let _ = write!(out, ",\"phase\":\"{}\",\"attempt\":{}", self.phase, self.attempt);
        line::field(out, "reason", Some(&self.reason));
        out.push_str("}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, Method};
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_line_says_what_failed_and_nothing_of_the_query() {
        let failed = Failed {
            at: UNIX_EPOCH + Duration::from_millis(1_709_164_800_007),
            about: About {
                client: [192, 0, 2, 7].into(),
                method: Method::GET,
                target: Some("/a\"b?token=secret".parse().unwrap()),
                host: Some(HeaderValue::from_static("a.test")),
                quiet: false,
            },
            status: 502,
            pool: "api".into(),
            endpoint: Some("10.0.0.1:80".into()),
            phase: "connect",
            attempt: 2,
            reason: "connection refused".into(),
        };
        let mut out = String::new();
        failed.write(&mut out);
        assert_eq!(
            out,
            "{\"time\":\"2024-02-29T00:00:00.007Z\",\"request\":\"failed\",\"client\":\"192.0.2.7\",\
             \"method\":\"GET\",\"host\":\"a.test\",\"path\":\"/a\\\"b\",\"status\":502,\"pool\":\"api\",\
             \"endpoint\":\"10.0.0.1:80\",\"phase\":\"connect\",\"attempt\":2,\"reason\":\"connection refused\"}\n"
        );
        assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok());
    }
}
