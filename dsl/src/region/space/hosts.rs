//! The hosts of some sites, divided by the sites they belong to and by the tests of hosts.

use super::classes::{accepts, ends, fresh_texts, starts};
use super::language;
use super::product::Product;
use crate::region::automata::{self, build, repeat};
use crate::region::segment::finite;
use crate::region::{Dfa, Domain, Undecided};
use crate::tree::ir::{HostHead, HostPattern, Test};
use crate::tree::request::{Plain, Request};
use crate::tree::{eval, fields};
use regex_syntax::hir::Hir;
use std::collections::HashSet;
use std::sync::Arc;

/// A class of hosts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HostClass {
    /// The sites that claim them.
    sites: Box<[bool]>,
    /// The tests that are true.
    pub(super) tests: Box<[bool]>,
    /// One of them.
    pub(super) example: String,
}

/// A test of the host, or of a part of its first label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HostTest {
    /// Bytes before and after the part.
    pub(super) capture: Option<(u32, u32)>,
    pub(super) test: Test,
}

/// The hosts that a space tells apart.
#[derive(Debug)]
pub(super) struct Hosts {
    sites: Vec<Vec<HostPattern>>,
    pub(super) tests: Vec<HostTest>,
    pub(super) classes: Vec<HostClass>,
}

impl Hosts {
    /// Divides all hosts.
    pub(super) fn new(sites: Vec<Vec<HostPattern>>, tests: Vec<HostTest>, limit: usize) -> Result<Self, Undecided> {
        let mut hosts = Self { sites, tests, classes: Vec::new() };
        let mut listed: HashSet<Vec<u8>> = HashSet::new();
        for pattern in hosts.sites.iter().flatten() {
            if let HostHead::Label(label) = &pattern.head {
                let parent = |label: String| {
                    if pattern.parent.is_empty() { label } else { format!("{label}.{}", pattern.parent) }
                };
                listed.extend(finite(label).into_iter().flatten().map(|label| parent(label).into_bytes()));
            }
        }
        for test in &hosts.tests {
            if let (None, Test::OneOf(all)) = (&test.capture, &test.test) {
                listed.extend(all.iter().map(|one| one.as_bytes().to_vec()));
            }
        }
        let mut sorted: Vec<&Vec<u8>> = listed.iter().filter(|host| accepts(language::hosts(), host)).collect();
        sorted.sort_by_key(|host| (host.len(), (*host).clone()));
        for host in sorted {
            hosts.add(String::from_utf8_lossy(host).into_owned());
        }
        // Of the others, the patterns that stand for many hosts and the tests decide.
        let mut automata: Vec<Arc<Dfa>> = Vec::new();
        for patterns in &hosts.sites {
            let many = patterns.iter().filter(|p| match &p.head {
                HostHead::Label(label) => finite(label).is_none(),
                HostHead::Many => true,
            });
            let many = many.map(pattern_hir).collect::<Result<Vec<_>, _>>()?;
            if !many.is_empty() {
                automata.push(build(&Hir::alternation(many))?);
            }
        }
        for HostTest { capture, test } in &hosts.tests {
            automata.push(language::of_host(*capture, test)?);
        }
        if automata.is_empty() {
            let fresh = fresh_texts().find(|host| !listed.contains(host)).expect("there are more hosts");
            hosts.add(String::from_utf8_lossy(&fresh).into_owned());
        } else {
            let product = Product { domain: language::hosts(), parts: starts(&automata)?, listed: &listed, limit };
            for found in product.texts(|states| ends(&automata, states))? {
                hosts.add(String::from_utf8_lossy(&found.text).into_owned());
            }
        }
        Ok(hosts)
    }

    fn add(&mut self, host: String) {
        let (sites, tests) = self.key(&host);
        if !self.classes.iter().any(|class| class.sites == sites && class.tests == tests) {
            self.classes.push(HostClass { sites, tests, example: host });
        }
    }

    fn key(&self, host: &str) -> (Box<[bool]>, Box<[bool]>) {
        let sites = self.sites.iter().map(|patterns| patterns.iter().any(|p| p.matches(host))).collect();
        let request = Plain { host: host.to_owned(), ..Plain::default() };
        let tests = self.tests.iter().map(|HostTest { capture, test }| {
            let text = match capture {
                None => Some(request.host()),
                Some((prefix, suffix)) => {
                    let capture = crate::tree::ir::Capture::Host { prefix: *prefix, suffix: *suffix };
                    fields::read_capture(&capture, &request)
                }
            };
            text.is_some_and(|text| eval::test_text(&text_of(text), test))
        });
        (sites, tests.collect())
    }

    /// The class of a host.
    pub(super) fn class_of(&self, host: &str) -> Option<usize> {
        let (sites, tests) = self.key(host);
        self.classes.iter().position(|class| class.sites == sites && class.tests == tests)
    }

    /// Whether the hosts of a class are a site's.
    pub(super) fn belongs(&self, class: usize, site: usize) -> bool {
        self.classes[class].sites[site]
    }

    /// The number of a test.
    pub(super) fn test_number(&self, test: &HostTest) -> Option<usize> {
        self.tests.iter().position(|t| t == test)
    }
}

fn text_of(text: &str) -> fields::Text<'_> {
    fields::Text::Bytes(crate::tree::bytes::Bytes::raw(text.as_bytes()))
}

fn pattern_hir(pattern: &HostPattern) -> Result<Hir, Undecided> {
    let parent = |head: Hir| {
        let parent = automata::literal(&pattern.parent);
        if pattern.parent.is_empty() { head } else { Hir::concat(vec![head, automata::literal("."), parent]) }
    };
    let label = || repeat(automata::bytes((0..=255).filter(|b| automata::label_byte(*b))), 1, None);
    Ok(match &pattern.head {
        HostHead::Label(segment) => parent(automata::hir_of(segment, Domain::Host)?),
        HostHead::Many => {
            let more = Hir::concat(vec![automata::literal("."), label()]);
            parent(Hir::concat(vec![label(), repeat(more, 0, None)]))
        }
    })
}
