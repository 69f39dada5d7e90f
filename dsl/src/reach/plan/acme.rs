//! What `acme { … }` says, in words to compare.

use crate::tree::ir::{Acme, Authority, Challenge, DnsProvider, Tsig};
use crate::tree::upstream_text::duration;

/// Everything that it says, each by its name; as many whether or not there is one.
pub(super) fn facts(acme: Option<&Acme>) -> Vec<(&'static str, String)> {
    let of = |said: &dyn Fn(&Acme) -> String| acme.map(said).unwrap_or_default();
    let authorities = |acme: &Acme| acme.authorities.iter().map(authority).collect::<Vec<_>>().join(", then ");
    let challenges = |acme: &Acme| {
        let word = |challenge: &Challenge| match challenge {
            Challenge::TlsAlpn => "tls-alpn",
            Challenge::Http => "http",
        };
        acme.challenges.iter().map(word).collect::<Vec<_>>().join(", ")
    };
    let providers = |acme: &Acme| {
        let mut all: Vec<String> =
            acme.providers.iter().map(|(name, made)| format!("{name} = {}", provider(made))).collect();
        all.sort();
        all.join(", ")
    };
    vec![
        ("acme contact", of(&|acme| acme.contact.join(", "))),
        ("acme directory", of(&authorities)),
        ("acme challenges", of(&challenges)),
        ("acme dns", of(&providers)),
    ]
}

fn authority(authority: &Authority) -> String {
    let Authority { directory, root, eab, profile, orders: (count, per_ms) } = authority;
    let mut out = directory.to_string();
    if let Some(root) = root {
        out.push_str(&format!(" root \"{root}\""));
    }
    if let Some(eab) = eab {
        out.push_str(&format!(" eab \"{}\" key secret.{}", eab.kid, eab.key));
    }
    if let Some(profile) = profile {
        out.push_str(&format!(" profile \"{profile}\""));
    }
    out.push_str(&format!(" limit {count} in {}", duration(*per_ms)));
    out
}

fn provider(provider: &DnsProvider) -> String {
    let (mut out, wait) = match provider {
        DnsProvider::Rfc2136 { server, name, algorithm, key: _, wait } => {
            let algorithm = match algorithm {
                Tsig::Sha256 => "hmac-sha256",
                Tsig::Sha512 => "hmac-sha512",
            };
            (format!("rfc2136 {server} name {name} {algorithm}"), wait)
        }
        DnsProvider::AcmeDns { server, key: _, wait } => (format!("acme-dns {server}"), wait),
        DnsProvider::Hook { command, key: _, wait } => (format!("hook \"{command}\""), wait),
        DnsProvider::Persist => return "persist".to_owned(),
    };
    if let Some(key) = provider.key() {
        out.push_str(&format!(" key secret.{key}"));
    }
    if let Some(wait) = wait {
        out.push_str(&format!(" wait {}", duration(*wait)));
    }
    out
}
