//! Secrets that files name: a file whose secret is not at hand, or is no key where it must be one, does not
//! load.

use crate::edge;
use crate::secrets::Secrets;
use crate::sites::compile::Compiled;
use dsl::diagnostic::Diagnostic;
use dsl::lint;
use dsl::syntax::span::Loc;
use dsl::tree::ir::{Algorithm, CallKind, Pool, Site, Step};
use std::sync::Arc;

/// A secret that a file names.
#[derive(Clone, Copy, Debug)]
pub struct Named<'n> {
    /// Its name.
    pub name: &'n Arc<str>,
    /// Where.
    pub loc: Loc,
    /// Whether its lines are keys of HMAC, where they are no public keys.
    pub signs: bool,
}

/// A secret that a file waits for: its name, and whether its lines are keys of HMAC.
pub type Awaited = (Arc<str>, bool);

/// Why a secret cannot be gone by; nothing where it can.
pub fn trouble(name: &str, signs: bool, secrets: &Secrets) -> Option<String> {
    match secrets.get(name) {
        None => Some(secrets.why_not(name)),
        Some(secret) if signs => edge::unfit(secret.bytes()),
        Some(_) => None,
    }
}

/// What is named and cannot be gone by: the names, and what to say of it.
pub fn missing<'n>(named: impl Iterator<Item = Named<'n>>, secrets: &Secrets) -> (Vec<Awaited>, Vec<Diagnostic>) {
    let (mut names, mut findings) = (Vec::new(), Vec::new());
    for Named { name, loc, signs } in named {
        let Some(why) = trouble(name, signs, secrets) else { continue };
        let finding = match secrets.get(name) {
            None => lint::files::no_secret(loc, name, &why),
            Some(_) => lint::files::no_key(loc, name, &why),
        };
        // A pool stands in each site that uses it.
        if !findings.contains(&finding) {
            findings.push(finding);
            names.push((Arc::clone(name), signs));
        }
    }
    (names, findings)
}

/// The secrets of a compiled file.
pub fn named(compiled: &Compiled) -> impl Iterator<Item = Named<'_>> {
    let sites = compiled.programs.iter().flat_map(|program| of_site(program.site()));
    let acme = compiled.gateway.iter().filter_map(|gateway| gateway.acme.as_deref());
    let acme = acme.flat_map(|acme| acme.secrets().map(|name| Named { name, loc: acme.loc, signs: false }));
    sites.chain(compiled.items.iter().flat_map(|item| item.rules().pools.iter().flat_map(of_pool))).chain(acme)
}

/// The secrets of a site: of its pools, its calls, its sessions, its certificates and its provider of DNS.
pub fn of_site(site: &Site) -> impl Iterator<Item = Named<'_>> {
    let calls = site.calls.iter().flat_map(|call| {
        let signs = match &call.kind {
            CallKind::Jwt(jwt) => jwt.algorithms.contains(&Algorithm::Hs256),
            CallKind::Signed(_) => true,
            CallKind::Secret(_) | CallKind::Ask(_) | CallKind::Password(_) => false,
        };
        call.secrets().iter().map(move |name| Named { name, loc: call.loc, signs })
    });
    let steps = site.plans.iter().flat_map(|plan| &plan.steps).filter_map(|step| match step {
        Step::Session(session) => session.key().map(|name| Named { name, loc: session.loc, signs: true }),
        Step::Require { .. } | Step::Header { .. } | Step::Limit(_) => None,
    });
    let via = site.via.iter().filter_map(|via| Some((via.key.as_ref()?, via.loc)));
    let providers = site
        .providers
        .iter()
        .flat_map(|provider| provider.secrets().map(|(name, signs)| Named { name, loc: provider.loc, signs }));
    let others = site.settings.handshake.secrets().chain(via);
    let others = others.map(|(name, loc)| Named { name, loc, signs: false });
    site.pools.iter().flat_map(of_pool).chain(calls).chain(steps).chain(providers).chain(others)
}

/// The secrets of a pool.
pub fn of_pool(pool: &Arc<Pool>) -> impl Iterator<Item = Named<'_>> {
    pool.secrets().map(|name| Named { name, loc: pool.loc, signs: false })
}
