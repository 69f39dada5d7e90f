//! The line for a request that the gateway refused by what a route file says, with the rule that did.

use super::line::{text, time};
use crate::edge::rules::Rule;
use crate::http::forward::About;
use std::fmt::Write;
use std::sync::Arc;
use std::time::SystemTime;

/// A request that was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    at: SystemTime,
    about: About,
    status: u16,
    rule: Option<Arc<Rule>>,
    /// Why, where the rule does not say it. Nothing of what the client sent is in it.
    reason: Option<String>,
}

impl Refused {
    /// What is to be said of it.
    #[must_use]
    pub fn new(about: About, status: u16, rule: Option<Arc<Rule>>, reason: Option<String>) -> Self {
        Self { at: SystemTime::now(), about, status, rule, reason }
    }

    /// Whether its route says `log off`.
    pub(super) fn is_quiet(&self) -> bool {
        self.about.quiet
    }

    /// Appends the line, with its end.
    pub(super) fn write(&self, out: &mut String) {
        out.push_str("{\"time\":\"");
        time(out, self.at);
        // Writing to a `String` cannot fail.
        let _ = write!(out, "\",\"request\":\"refused\",\"client\":\"{}\",\"method\":", self.about.client);
        text(out, self.about.method.as_str());
        if let Some(host) = &self.about.host {
            out.push_str(",\"host\":");
            text(out, &String::from_utf8_lossy(host.as_bytes()));
        }
        out.push_str(",\"path\":");
        // The query stays out: it may hold secrets.
        text(out, self.about.target.as_ref().map_or("/", |target| target.path()));
        let _ = write!(out, ",\"status\":{}", self.status);
        let rule = self.rule.as_ref();
        for (name, value) in [
            ("rule", rule.map(|rule| &*rule.name)),
            ("at", rule.map(|rule| &*rule.place)),
            ("statement", rule.and_then(|rule| rule.statement.as_deref())),
            ("reason", self.reason.as_deref()),
        ] {
            if let Some(value) = value {
                let _ = write!(out, ",\"{name}\":");
                text(out, value);
            }
        }
        out.push_str("}\n");
    }
}
