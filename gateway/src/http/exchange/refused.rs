//! A request that a route file refuses: counted by the rule that did, and told in the log.

use super::Exchange;
use super::ask::about;
use super::head::Head;
use crate::http::judge::Refusal;
use crate::observe::log::Refused;
use crate::snapshot::Served;
use dsl::tree::ir::Plan;

impl Exchange {
    pub(super) fn tell_refused(&self, served: &Served, plan: Option<&Plan>, head: &Head, refusal: Refusal) {
        let rule = plan.and_then(|plan| served.rules.of(plan, refusal.step));
        if let Some(rule) = rule {
            rule.refuses();
        }
        let log = &self.client.worker.log;
        if log.is_on() {
            let site = served.program.site();
            // Where no route was come to, what the site says of all of them holds.
            let plan = plan.unwrap_or(&site.plans[site.scopes[0].miss.0 as usize]);
            let about = about(head, plan.settings.log == Some(false));
            log.refused(Refused::new(about, refusal.status, rule.cloned(), refusal.reason));
        }
    }
}
