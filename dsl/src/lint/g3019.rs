//! ## What
//!
//! A path that is usually not public is routed to an origin, and nothing stands before it.
//!
//! ## Why
//!
//! Metrics, debugging endpoints and version control tell strangers how a system is made, and some let them change it.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     /metrics/* -> web
//!     else       -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     /metrics/* {
//!         require client.ip in [10.0.0.0/8] else deny 403
//!         -> web
//!     }
//!     else -> web
//! }
//! ```

use super::solve::describe;
use super::world::{At, World};
use crate::diagnostic::Diagnostic;
use crate::tree::ir::{Answer, Cond, Field, HostHead, HostPattern, Segment, Step, Target};

/// First segments of paths that are for operators.
const PRIVATE: &[&str] = &[
    ".env", ".git", ".hg", ".svn", "actuator", "debug", "metrics", "nginx_status", "phpmyadmin", "server-info",
    "server-status", "stub_status",
];

/// Names that only a network of one's own knows.
const INSIDE: &[&str] = &["internal", "local", "localhost", "test", "lan", "intranet", "corp", "home.arpa"];

/// Looks at the routes that name such a path.
pub(super) fn run(w: &mut World<'_>) {
    if w.site.hosts.iter().all(|(host, _)| inside(host)) {
        return;
    }
    for at in w.entries() {
        let entry = w.entry(at);
        let Some(Segment::Lit(first)) = entry.pattern.segments.first() else { continue };
        let Target::Plan(index) = entry.target else { continue };
        if entry.pathless && w.leads[at.scope].is_none() || !PRIVATE.contains(&&**first) || is_guarded(w, at) {
            continue;
        }
        let plan = &w.site.plans[index.0 as usize];
        let leads = matches!(plan.answer, Answer::Proxy { .. } | Answer::Files { .. });
        let asks = plan.steps.iter().any(|step| matches!(step, Step::Require { .. }));
        let protected = w.info.protectors.get(index.0 as usize).is_some_and(|all| !all.is_empty());
        if !leads || asks || protected {
            continue;
        }
        let Some(request) = w.plain_witness(at) else { continue };
        if w.decide(&request, entry.loc) != Some(index) {
            continue;
        }
        let shown = super::show::path(&entry.pattern);
        let d = Diagnostic::warning("G3019", entry.loc, format!("`{shown}` is usually not public, and everybody reaches it here"))
            .help("say who may", "require client.ip in [10.0.0.0/8] else deny 403", None)
            .witness(describe(&request));
        w.out.push(d);
    }
}

/// Whether a condition on the way asks for more than the method.
fn is_guarded(w: &World<'_>, at: At) -> bool {
    let mut fields = Vec::new();
    let mut reads = super::reads::Reads::of(w.site, |field: &Field| fields.push(field.clone()));
    reads.cond(&w.entered(at.scope));
    reads.cond(&w.entry(at).guard);
    let never = w.entry(at).guard == Cond::Const(false);
    never || fields.iter().any(|f| *f != Field::Method)
}

pub(super) fn inside(host: &HostPattern) -> bool {
    let HostPattern { head, parent } = host;
    let last = match head {
        HostHead::Label(Segment::Lit(label)) if parent.is_empty() => &**label,
        _ => &**parent,
    };
    let address = host.literal().is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok());
    address || INSIDE.iter().any(|name| last == *name || last.ends_with(&format!(".{name}")))
}
