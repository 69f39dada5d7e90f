//! ## What
//!
//! Clients are asked for a certificate that nothing looks at.
//!
//! ## Why
//!
//! With `optional` a client may come without one, and is served like everybody else: the question protects nothing,
//! and browsers ask their users which certificate to show.
//!
//! ## Wrong
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     client cert optional from "pki/clients.pem"
//!     else -> api
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! pool api = 10.0.0.1:80
//!
//! site a.example.com {
//!     client cert optional from "pki/clients.pem"
//!     /admin/* {
//!         require tls.cert else deny 403
//!         -> api
//!     }
//!     else -> api
//! }
//! ```

use super::reads::Reads;
use super::world::World;
use crate::diagnostic::Diagnostic;
use crate::tree::ir::Field;

/// Looks at a site where a certificate is optional.
pub(super) fn run(w: &mut World<'_>) {
    let Some(client) = w.site.settings.handshake.client.as_deref().filter(|client| client.optional) else { return };
    let mut read = false;
    let mut reads = Reads::of(w.site, |field| read |= matches!(field, Field::TlsCert(_)));
    w.site.plans.iter().for_each(|plan| reads.plan(plan));
    w.site.scopes.iter().flat_map(|scope| &scope.entries).for_each(|entry| reads.cond(&entry.guard));
    if read {
        return;
    }
    let loc = client.loc;
    let d = Diagnostic::warning("G4013", loc, "client certificates are asked for and then ignored")
        .help("say where one is needed", "require tls.cert else deny 403", None)
        .note("where every client must show one, leave `optional` out; where the origin decides, tell it: `set request header x-client = tls.cert.subject if missing \"\"`");
    w.out.push(d);
}
