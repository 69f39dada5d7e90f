//! Secrets that files name: a file whose secret is not at hand, or is no key where it must be one, does not
//! load.

use crate::edge;
use crate::secrets::Secrets;
use crate::sites::compile::Compiled;
use dsl::diagnostic::Diagnostic;
use dsl::lint;
use dsl::syntax::span::Loc;
use dsl::tree::ir::{Algorithm, CallKind, Pool, Site, Step, ValueType};
use std::sync::Arc;

/// A secret that a file names.
#[derive(Clone, Copy, Debug)]
pub struct Named<'n> {
    /// Its name.
    pub name: &'n Arc<str>,
    /// Where.
    pub loc: Loc,
    /// What it is used as.
    pub used: Used,
}

/// What a secret is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// As it is.
    Whole,
    /// Its lines are keys of HMAC, where they are no public keys.
    Signs,
    /// Its lines are users with their passwords, or API keys: what rows of such values are read from.
    Lines(ValueType),
}

/// A secret that a file waits for: its name, and what it is used as.
pub type Awaited = (Arc<str>, Used);

/// Why a secret cannot be gone by; nothing where it can.
pub fn trouble(name: &str, used: Used, secrets: &Secrets) -> Option<String> {
    match (secrets.get(name), used) {
        (None, _) => Some(secrets.why_not(name)),
        (Some(secret), Used::Signs) => edge::unfit(secret.bytes()),
        (Some(secret), Used::Lines(what)) => edge::wrong_lines(secret.bytes(), what),
        (Some(_), Used::Whole) => None,
    }
}

/// What is said of users whose passwords are hashed weakly.
pub fn weak<'n>(named: impl Iterator<Item = Named<'n>>, secrets: &Secrets) -> Vec<Diagnostic> {
    let users = named.filter(|named| named.used == Used::Lines(ValueType::Hash));
    let mut findings: Vec<Diagnostic> = Vec::new();
    for Named { name, loc, .. } in users {
        let rows = secrets.get(name).and_then(|secret| edge::users(secret.bytes()));
        let weak = rows.and_then(|rows| lint::files::weak(loc, &format!("secret `{name}`"), &rows));
        findings.extend(weak.filter(|weak| !findings.contains(weak)));
    }
    findings
}

/// What is named and cannot be gone by: the names, and what to say of it.
pub fn missing<'n>(named: impl Iterator<Item = Named<'n>>, secrets: &Secrets) -> (Vec<Awaited>, Vec<Diagnostic>) {
    let (mut names, mut findings) = (Vec::new(), Vec::new());
    for Named { name, loc, used } in named {
        let Some(why) = trouble(name, used, secrets) else { continue };
        let finding = match (secrets.get(name), used) {
            (None, _) => lint::files::no_secret(loc, name, &why),
            (Some(_), Used::Lines(_)) => lint::files::no_lines(loc, name, &why),
            (Some(_), Used::Signs | Used::Whole) => lint::files::no_key(loc, name, &why),
        };
        // A pool stands in each site that uses it.
        if !findings.contains(&finding) {
            findings.push(finding);
            names.push((Arc::clone(name), used));
        }
    }
    (names, findings)
}

/// The secrets of a compiled file.
pub fn named(compiled: &Compiled) -> impl Iterator<Item = Named<'_>> {
    let sites = compiled.programs.iter().flat_map(|program| of_site(program.site()));
    let acme = compiled.gateway.iter().filter_map(|gateway| gateway.acme.as_deref());
    let acme = acme.flat_map(|acme| acme.secrets().map(|name| Named { name, loc: acme.loc, used: Used::Whole }));
    sites.chain(compiled.items.iter().flat_map(|item| item.rules().pools.iter().flat_map(of_pool))).chain(acme)
}

/// The secrets of a site: of its pools, its calls, its sessions, its certificates and its provider of DNS.
pub fn of_site(site: &Site) -> impl Iterator<Item = Named<'_>> {
    let calls = site.calls.iter().flat_map(|call| {
        let used = match (&call.kind, call.kind.lines()) {
            (_, Some((_, value))) => Used::Lines(value),
            (CallKind::Jwt(jwt), None) if jwt.algorithms.contains(&Algorithm::Hs256) => Used::Signs,
            (CallKind::Signed(_), None) => Used::Signs,
            (_, None) => Used::Whole,
        };
        call.secrets().iter().map(move |name| Named { name, loc: call.loc, used })
    });
    let steps = site.plans.iter().flat_map(|plan| plan.steps.iter().enumerate().map(move |step| (plan, step)));
    let steps = steps.filter_map(|(plan, (at, step))| match step {
        // A policy of another file has the key from its `use`.
        Step::Session(session) => session.key().map(|name| {
            let used = plan.uses_of(at).next().map(|used| used.loc);
            let loc = used.filter(|used| used.file != session.loc.file).unwrap_or(session.loc);
            Named { name, loc, used: Used::Signs }
        }),
        Step::Require { .. } | Step::Header(_) | Step::Limit(_) => None,
    });
    let via = site.via.iter().filter_map(|via| Some((via.key.as_ref()?, via.loc)));
    let providers = site
        .providers
        .iter()
        .flat_map(|provider| provider.secrets().map(|(name, signs)| (name, provider.loc, signs)))
        .map(|(name, loc, signs)| Named { name, loc, used: if signs { Used::Signs } else { Used::Whole } });
    let others = site.settings.handshake.secrets().chain(via);
    let others = others.map(|(name, loc)| Named { name, loc, used: Used::Whole });
    site.pools.iter().flat_map(of_pool).chain(calls).chain(steps).chain(providers).chain(others)
}

/// The secrets of a pool.
pub fn of_pool(pool: &Arc<Pool>) -> impl Iterator<Item = Named<'_>> {
    pool.secrets().map(|name| Named { name, loc: pool.loc, used: Used::Whole })
}
