//! ## What
//!
//! A site is served by TLS, and its answers do not tell browsers to stay there.
//!
//! ## Why
//!
//! Whoever types the bare name comes by the clear port first, where anybody on the way can answer.
//! `Strict-Transport-Security` (RFC 6797) makes browsers skip it. Names of a network of one's own are left alone.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! import std/web
//!
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     use web.hsts
//!     else -> web
//! }
//! ```

use crate::diagnostic::{Diagnostic, Edit, Sources};
use crate::syntax::ast::Side;
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{Answer, Site, Step, Tls};

const HEADER: &str = "strict-transport-security";

/// Looks at one site that has something to answer.
pub(super) fn run(site: &Site, sources: &dyn Sources, out: &mut Vec<Diagnostic>) {
    let inside = site.hosts.iter().all(|(host, _)| super::g3019::inside(host));
    let serves = site.plans.iter().any(|p| matches!(p.answer, Answer::Proxy { .. } | Answer::Files { .. }));
    if site.settings.tls == Tls::Off || site.settings.http_allowed || inside || !serves {
        return;
    }
    let says = |step: &Step| matches!(step, Step::Header(edit) if edit.side == Side::Response && *edit.name == *HEADER);
    if site.plans.iter().flat_map(|p| &p.steps).any(says) {
        return;
    }
    let d = Diagnostic::hint("G3023", site.loc, format!("browsers are not told to stay with TLS: there is no `{HEADER}`"));
    let text = sources.source(site.loc.file).map_or("", |(_, text)| text);
    let std = text.lines().any(|line| line.trim() == "import std/web");
    let line = if std { "use web.hsts".to_owned() } else { format!("set response header {HEADER} = \"max-age=31536000\"") };
    // Browsers remember it for a year: nothing to do unasked.
    let edit = on_top(text, site.loc, &line);
    let how = if std { "add" } else { "import std/web and add" };
    out.push(d.help(how, "use web.hsts", edit));
}

/// A line behind the `{` of a head.
fn on_top(text: &str, head: Loc, line: &str) -> Option<Edit> {
    let end = head.span.end as usize;
    let rest = text.get(end..)?;
    let brace = rest.find('{').filter(|n| rest[..*n].trim().is_empty())?;
    let at = end + brace + 1;
    let behind = &text[at..at + text[at..].find('\n')?];
    behind.trim().is_empty().then(|| Edit {
        loc: Loc { file: head.file, span: Span::new(at + behind.len(), at + behind.len()) },
        text: format!("\n    {line}"),
        safe: false,
    })
}
