//! The line for a request that the gateway refused by what a route file says, with the rule that did.

use super::line;
use crate::edge::rules::Rule;
use crate::http::forward::About;
use std::fmt::Write;
use std::sync::Arc;
use std::time::SystemTime;

/// A request that was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    at: SystemTime,
    pub(super) about: About,
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

    /// Appends the line, with its end.
    pub(super) fn write(&self, out: &mut String) {
        line::request(out, self.at, "refused", &self.about);
        line::field(out, "method", Some(self.about.method.as_str()));
        line::asked(out, &self.about);
        // Writing to a `String` cannot fail.
        let _ = write!(out, ",\"status\":{}", self.status);
        let rule = self.rule.as_ref();
        for (name, value) in [
            ("rule", rule.map(|rule| &*rule.name)),
            ("at", rule.map(|rule| &*rule.place)),
            ("statement", rule.and_then(|rule| rule.statement.as_deref())),
            ("reason", self.reason.as_deref()),
        ] {
            line::field(out, name, value);
        }
        out.push_str("}\n");
    }
}
