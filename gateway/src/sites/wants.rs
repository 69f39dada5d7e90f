//! Which names are to have certificates by ACME, by the sites that are published.

use super::load::Stand;
use crate::tls::certificates::{Wanted, names};
use dsl::tree::ir::{self, HostPattern, Site, Tls};
use std::collections::{BTreeMap, HashMap};

/// Follows what serves, and tells what that changes of the names that are wanted.
#[derive(Debug, Default)]
pub struct Wants {
    /// By host pattern.
    patterns: HashMap<String, Wanted>,
    /// By name: the patterns that want it. `{a}.example.net` and `*.example.net` want the same.
    names: HashMap<Box<str>, BTreeMap<String, Wanted>>,
}

impl Wants {
    /// Takes in what a batch changed: names, and what is wanted of them now. It costs what the batch touches.
    pub fn update<'a, S: 'a, R: 'a>(
        &mut self,
        hosts: impl IntoIterator<Item = &'a (HostPattern, Option<Stand<S, R>>)>,
        site: impl Fn(&S) -> &Site,
    ) -> BTreeMap<Box<str>, Option<Wanted>> {
        let mut changes = BTreeMap::new();
        for (pattern, stand) in hosts {
            let key = pattern.to_string();
            let now = match stand {
                Some(Stand::Site(served)) => of_host(pattern, site(served)),
                // A file that never loaded has no say; what its host had stays in the store.
                Some(Stand::Passthrough(_) | Stand::Unavailable | Stand::Nobody) | None => None,
            };
            if let Some(before) = self.patterns.remove(&key) {
                if let Some(all) = self.names.get_mut(&before.name) {
                    all.remove(&key);
                }
                changes.insert(before.name, None);
            }
            if let Some(now) = now {
                changes.insert(now.name.clone(), None);
                self.names.entry(now.name.clone()).or_default().insert(key.clone(), now.clone());
                self.patterns.insert(key, now);
            }
        }
        for (name, wanted) in &mut changes {
            *wanted = self.names.get(name).and_then(|all| all.values().next().cloned());
            if wanted.is_none() {
                self.names.remove(name);
            }
        }
        changes
    }
}

/// The certificate that a host of a site wants by ACME, if any: public names with `tls auto`; wildcards only where
/// they are proved by DNS.
#[must_use]
pub fn of_host(pattern: &HostPattern, site: &Site) -> Option<Wanted> {
    if site.settings.tls != Tls::Auto {
        return None;
    }
    let name = ir::certificate_name(pattern)?;
    let provable = site.via.is_some() || !name.starts_with("*.");
    (provable && names::is_public(&name)).then(|| Wanted {
        name: name.into(),
        tenant: site.settings.handshake.tenant.clone(),
        via: site.via.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::offline;
    use crate::sites::testing::TempDir;

    fn wanted(text: &str) -> BTreeMap<Box<str>, Option<Wanted>> {
        let temp = TempDir::new("wants");
        let acme = "gateway {\n    acme {\n        contact \"ops@sluice-tests.net\"\n        terms agreed\n        \
                    dns corp = persist()\n    }\n}\n";
        temp.write("sites/gateway.route", acme);
        temp.write("sites/a.route", text);
        let loaded = offline::load(&temp.path().join("sites"), None).unwrap();
        assert!(loaded.outcome.report.findings.is_empty(), "{:?}", loaded.outcome.report.findings);
        Wants::default().update(&loaded.outcome.hosts, |program| program.site())
    }

    fn names(text: &str) -> Vec<String> {
        wanted(text).into_iter().filter(|(_, wanted)| wanted.is_some()).map(|(name, _)| name.into()).collect()
    }

    #[test]
    fn public_names_and_wildcards_that_dns_proves_are_wanted() {
        let text = "site a.sluice-tests.net, b.localhost, c.example.com {\n    else -> respond 404\n}\n\
                    site *.w.sluice-tests.net, {x}.v.sluice-tests.net {\n    tls auto via dns(corp)\n    \
                    else -> respond 404\n}\n\
                    site i.sluice-tests.net {\n    tls internal\n    else -> respond 404\n}\n\
                    site o.sluice-tests.net {\n    tls off\n    else -> respond 404\n}\n";
        assert_eq!(names(text), ["*.v.sluice-tests.net", "*.w.sluice-tests.net", "a.sluice-tests.net"]);
        let all = wanted(text);
        let via = |name: &str| all[name].as_ref().unwrap().via.as_ref().map(|via| via.provider.to_string());
        assert_eq!(via("*.w.sluice-tests.net").as_deref(), Some("corp"));
        assert_eq!(via("a.sluice-tests.net"), None);
    }

    #[test]
    fn a_host_that_goes_is_told_once_nobody_wants_its_name() {
        let host = |text: &str| HostPattern::of_literal(text);
        let site = Wanted { name: "a.sluice-tests.net".into(), tenant: None, via: None };
        let mut wants = Wants::default();
        for key in ["one", "two"] {
            wants.names.entry(site.name.clone()).or_default().insert(key.into(), site.clone());
            wants.patterns.insert(key.into(), site.clone());
        }
        let gone = |wants: &mut Wants, key: &str| {
            let hosts: [(HostPattern, Option<Stand<ir::Site, ()>>); 1] = [(host(key), None)];
            wants.update(&hosts, |site| site)
        };
        assert_eq!(gone(&mut wants, "one")["a.sluice-tests.net"], Some(site));
        assert_eq!(gone(&mut wants, "two")["a.sluice-tests.net"], None);
        assert!(gone(&mut wants, "two").is_empty() && wants.names.is_empty());
    }
}
