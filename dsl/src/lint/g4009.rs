//! ## What
//!
//! An endpoint with TLS is an address, and no `name` is written.
//!
//! ## Why
//!
//! A certificate is for a name. Without one there is nothing to hold it against.
//!
//! ## Wrong
//!
//! ```route
//! pool ledger {
//!     https://10.7.0.1:8443
//!     tls {
//!         trust "pki/ledger-ca.pem"
//!     }
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool ledger {
//!     https://10.7.0.1:8443
//!     tls {
//!         name ledger.internal
//!         trust "pki/ledger-ca.pem"
//!     }
//! }
//! ```

use crate::diagnostic::{Diagnostic, Edit};
use crate::syntax::span::{Loc, Span};
use crate::tree::ir::{Endpoint, EndpointKind, Pool};

/// The first endpoint of a pool that nothing can be verified against. Who pins keys and trusts no
/// authority knows whom they talk to without a name. `tls` is the word of its settings, `text` that of the
/// file, where it is at hand.
pub(crate) fn run(pool: &Pool, tls: Option<Loc>, text: Option<&str>) -> Option<Diagnostic> {
    pool.tls.as_ref().filter(|tls| tls.name.is_none() && (tls.pins.is_empty() || tls.trust.is_some()))?;
    let nameless = |e: &&Endpoint| match e.kind {
        EndpointKind::Tcp => e.host.parse::<std::net::IpAddr>().is_ok(),
        EndpointKind::Unix => true,
        EndpointKind::Srv => false,
    };
    let endpoint = pool.endpoints.iter().find(nameless)?;
    let d = Diagnostic::error("G4009", endpoint.loc, "there is no name to verify the certificate against")
        .help("say in the pool whose certificate it must be", "tls { name ledger.internal }", None);
    Some(match endpoint.kind {
        EndpointKind::Tcp => {
            // One address is a name too; several have none in common.
            let alone = pool.endpoints.iter().all(|e| e.kind == endpoint.kind && e.host == endpoint.host);
            let edit = text.filter(|_| alone).and_then(|text| named(text, pool, endpoint, tls));
            d.help("or, where the certificate is for the address", format!("tls {{ name {} }}", endpoint.host), edit)
        }
        EndpointKind::Unix | EndpointKind::Srv => d,
    })
}

/// The edit that lets the address be the name: into the block of `tls`, or as one of its own.
fn named(text: &str, pool: &Pool, endpoint: &Endpoint, tls: Option<Loc>) -> Option<Edit> {
    let name = format!("name {}", endpoint.host);
    let file = endpoint.loc.file;
    let edit = |start: usize, end: usize, text: String| Some(Edit { loc: Loc { file, span: Span::new(start, end) }, text, safe: true });
    let line_of = |at: usize| text[..at].rfind('\n').map_or(0, |n| n + 1);
    let indent_of = |at: usize| text[line_of(at)..].chars().take_while(|c| *c == ' ' || *c == '\t').collect::<String>();
    let brace_after = |at: usize| {
        let rest = text.get(at..)?;
        rest.trim_start().starts_with('{').then(|| at + rest.len() - rest.trim_start().len() + 1)
    };
    if let Some(tls) = tls {
        let at = brace_after(tls.span.end as usize)?;
        let rest_of_line = text[at..].split('\n').next().unwrap_or_default();
        return match rest_of_line.trim() {
            "" => edit(at, at, format!("\n{}    {name}", indent_of(at))),
            _ => edit(at, at, format!(" {name}")),
        };
    }
    let (start, end) = (endpoint.loc.span.start as usize, endpoint.loc.span.end as usize);
    if brace_after(pool.loc.span.end as usize).is_some() {
        let next = end + text.get(end..)?.find('\n')? + 1;
        // A pool on one line has no line of its own for it.
        let own = text[end..next].split('#').next().is_some_and(|rest| !rest.contains('}'));
        return if own { edit(next, next, format!("{}tls {{ {name} }}\n", indent_of(start))) } else { None };
    }
    let rest = text.get(end..)?.split(['\n', '#']).next().unwrap_or_default();
    let all = (pool.endpoints.len() == 1).then(|| text.get(start..end + rest.len())).flatten()?.trim_end();
    edit(pool.loc.span.end as usize, start + all.len(), format!(" {{\n    {all}\n    tls {{ {name} }}\n}}"))
}
