//! Secrets that files name: a file whose secret is not at hand does not load.

use crate::secrets::Secrets;
use crate::sites::compile::Compiled;
use dsl::diagnostic::Diagnostic;
use dsl::lint;
use dsl::syntax::span::Loc;
use dsl::tree::ir::{Pool, Site, Step};
use std::sync::Arc;

/// What is named and not at hand: the names, and what to say of it.
pub fn missing<'n>(
    named: impl Iterator<Item = (&'n Arc<str>, Loc)>,
    secrets: &Secrets,
) -> (Vec<Arc<str>>, Vec<Diagnostic>) {
    let (mut names, mut findings) = (Vec::new(), Vec::new());
    for (name, loc) in named.filter(|(name, _)| secrets.get(name).is_none()) {
        let finding = lint::files::no_secret(loc, name, &secrets.why_not(name));
        // A pool stands in each site that uses it.
        if !findings.contains(&finding) {
            findings.push(finding);
            names.push(Arc::clone(name));
        }
    }
    (names, findings)
}

/// The secrets of a compiled file.
pub fn named(compiled: &Compiled) -> impl Iterator<Item = (&Arc<str>, Loc)> {
    let sites = compiled.programs.iter().flat_map(|program| of_site(program.site()));
    let acme = compiled.gateway.iter().filter_map(|gateway| gateway.acme.as_deref());
    let acme = acme.flat_map(|acme| acme.secrets().map(|name| (name, acme.loc)));
    sites.chain(compiled.items.iter().flat_map(|item| item.rules().pools.iter().flat_map(of_pool))).chain(acme)
}

/// The secrets of a site: of its pools, its calls, its sessions, its certificates and its provider of DNS.
pub fn of_site(site: &Site) -> impl Iterator<Item = (&Arc<str>, Loc)> {
    let calls = site.calls.iter().flat_map(|call| call.secrets().iter().map(|name| (name, call.loc)));
    let steps = site.plans.iter().flat_map(|plan| &plan.steps).filter_map(|step| match step {
        Step::Session(session) => session.start.as_ref().map(|start| (&start.key, session.loc)),
        Step::Require { .. } | Step::Header { .. } | Step::Limit(_) => None,
    });
    let via = site.via.iter().filter_map(|via| Some((via.key.as_ref()?, via.loc)));
    let handshake = site.settings.handshake.secrets();
    site.pools.iter().flat_map(of_pool).chain(calls).chain(steps).chain(handshake).chain(via)
}

/// The secrets of a pool.
pub fn of_pool(pool: &Arc<Pool>) -> impl Iterator<Item = (&Arc<str>, Loc)> {
    pool.secrets().map(|name| (name, pool.loc))
}
