//! ## What
//!
//! A cookie is set without what keeps it from others.
//!
//! ## Why
//!
//! Without `Secure` it also crosses the network in clear; a session cookie without `HttpOnly` can be read by every
//! script of the page; without `SameSite` it goes along with requests that other sites make.
//!
//! ## Wrong
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     add response header set-cookie = "sid=0; Path=/"
//!     else -> web
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool web = 10.0.0.1:80
//!
//! site a.example.com {
//!     add response header set-cookie = "sid=0; Path=/; Secure; HttpOnly; SameSite=Lax"
//!     else -> web
//! }
//! ```
//!
//! ## Fix
//!
//! The attributes are added: browsers keep the cookie from clear connections and, where it says who somebody is, from scripts.

use super::world::World;
use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::ast::Side;
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{Part, Tls, Value};

/// Looks at each cookie that the site sets itself.
pub(super) fn run(w: &mut World<'_>) {
    let settings = &w.site.settings;
    // On a clear port browsers would not keep it.
    let only_tls = settings.tls != Tls::Off && !settings.http_allowed;
    let mut said: Vec<Loc> = Vec::new();
    for step in w.site.plans.iter().flat_map(|plan| &plan.steps) {
        let Some(edit) = step.writes(Side::Response) else { continue };
        if *edit.name != *"set-cookie" || said.contains(&edit.loc) {
            continue;
        }
        said.push(edit.loc);
        let Some((cookie, attributes)) = read(&edit.value) else { continue };
        let has = |wanted: &str| attributes.iter().any(|a| a.split('=').next().is_some_and(|a| a.trim().eq_ignore_ascii_case(wanted)));
        let session = super::g3004::tells_who(&cookie);
        let mut lacks = Vec::new();
        if only_tls && !has("secure") {
            lacks.push("Secure");
        }
        if session && !has("httponly") {
            lacks.push("HttpOnly");
        }
        if lacks.is_empty() {
            continue;
        }
        if !has("samesite") {
            lacks.push("SameSite=Lax");
        }
        let more = lacks.join("; ");
        let end = at_the_end(w, edit.loc, &more);
        let d = Diagnostic::warning("G3011", edit.loc, format!("the cookie `{cookie}` is set without `{}`", lacks.join("`, `")))
            .help("add", format!("; {more}"), end);
        w.out.push(d);
    }
}

/// Name and attributes of a cookie, where both are written out.
fn read(value: &Value) -> Option<(String, Vec<String>)> {
    let text: String = value
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => &**text,
            // A value; where an attribute is the client's, nothing is known of it.
            Part::Hole { .. } => "\u{0}",
        })
        .collect();
    let (pair, attributes) = text.split_once(';').unwrap_or((&text, ""));
    let (name, _) = pair.split_once('=')?;
    if name.contains('\0') || attributes.contains('\0') {
        return None;
    }
    Some((name.trim().to_owned(), attributes.split(';').map(|a| a.trim().to_owned()).collect()))
}

/// The edit that adds attributes, where the statement ends with the text.
fn at_the_end(w: &World<'_>, stmt: Loc, more: &str) -> Option<Edit> {
    let source = w.source(stmt).trim_end();
    let end = stmt.span.start as usize + source.strip_suffix('"')?.len();
    let open = source.trim_end_matches([' ', '"']).ends_with(';');
    let text = if open { format!(" {more}") } else { format!("; {more}") };
    Some(Edit { loc: Loc { file: stmt.file, span: Span::new(end, end) }, text, safe: true })
}
