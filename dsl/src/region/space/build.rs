//! From sites and conditions to the dimensions that they tell apart.

use super::classes::{self, Class, Example, Form};
use super::hosts::Hosts;
use super::language::{self, Texts};
use super::paths::{self, Letters, Paths};
use super::{Dim, HOST, Member, Space, What, call_key, host_test, is_always, localized};
use crate::region::segment::affixes_differ;
use crate::region::{Dfa, Undecided};
use crate::tree::fields;
use crate::tree::ir::{self, CallIdx, Capture, Cond, Field, PathPattern, ScopeIdx, Segment, Site, Step, Test};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What a space is made for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Question<'a> {
    /// The sites, or versions of a site.
    pub sites: &'a [Arc<Site>],
    /// Whether the conditions of their plans are asked too, and not only those of their routes.
    pub steps: bool,
    /// Other conditions, each of a site by its place.
    pub conds: &'a [(usize, &'a Cond)],
    /// Other patterns.
    pub patterns: &'a [&'a PathPattern],
    /// Only the paths of this pattern.
    pub within: Option<&'a PathPattern>,
    /// Only these entries of the sites, sorted: all that match a path of the pattern.
    pub entries: Option<&'a [(ScopeIdx, usize)]>,
}

/// Combinations of states that one dimension may take.
const LIMIT: usize = 20_000;

impl Space {
    /// The space of a question.
    ///
    /// # Errors
    /// It would be larger than the limits.
    pub fn new(question: &Question<'_>) -> Result<Arc<Self>, Undecided> {
        let mut build = Build::default();
        let mut patterns: Vec<PathPattern> = Vec::new();
        let mut known: HashSet<PathPattern> = HashSet::new();
        let mut add = |pattern: &PathPattern| {
            if known.insert(pattern.clone()) {
                patterns.push(pattern.clone());
            }
        };
        let mut letters = Letters::default();
        for site in question.sites {
            if site.settings.paths == ir::Paths::Raw {
                return Err(Undecided::RawPaths);
            }
            build.site(site);
            letters.slash |= site.settings.paths == ir::Paths::OpaqueSlash;
            letters.semicolon |= site.settings.semicolon;
            for (scope, at) in chosen(site, question.entries) {
                let entry = &site.scopes[scope.0 as usize].entries[at];
                if question.within.is_none_or(|within| may_overlap(within, &entry.pattern)) {
                    add(&entry.pattern);
                    build.cond(&entry.guard, Some(&entry.pattern));
                }
            }
            if question.steps {
                for plan in &site.plans {
                    plan.steps.iter().for_each(|step| build.step(step));
                }
            }
        }
        for (site, cond) in question.conds {
            build.at = *site;
            build.cond(cond, None);
        }
        question.patterns.iter().chain(&question.within).for_each(|pattern| add(pattern));
        build.finish(question, patterns, letters)
    }
}

/// The entries of a site that a question is about.
pub(super) fn chosen(site: &Site, entries: Option<&[(ScopeIdx, usize)]>) -> Vec<(ScopeIdx, usize)> {
    let all = || {
        let scopes = (0..).map(ScopeIdx).zip(&site.scopes);
        scopes.flat_map(|(scope, s)| (0..s.entries.len()).map(move |at| (scope, at))).collect()
    };
    entries.map_or_else(all, <[_]>::to_vec)
}

/// Whether a path may match both of two patterns; said too often where their captures are not compared.
pub(in crate::region) fn may_overlap(a: &PathPattern, b: &PathPattern) -> bool {
    let (short, long) = if a.segments.len() <= b.segments.len() { (a, b) } else { (b, a) };
    let both = short.segments.iter().zip(&long.segments);
    (short.splat || short.segments.len() == long.segments.len())
        && both.into_iter().all(|pair| match pair {
            (Segment::Lit(a), Segment::Lit(b)) => a == b,
            (Segment::Lit(text), other) | (other, Segment::Lit(text)) => other.matches(text),
            (a, b) => !affixes_differ(a, b),
        })
}

#[derive(Default)]
struct Build {
    sites: Vec<Member>,
    calls: Vec<String>,
    /// The site whose conditions are collected.
    at: usize,
    /// Leaves with the calls of the space, each once.
    leaves: Vec<Cond>,
    known: HashSet<String>,
    /// Tests of captures that do not fit where they are asked.
    misfits: HashSet<String>,
    /// Fields whose second value is refused.
    strict: Vec<Field>,
}

impl Build {
    fn site(&mut self, site: &Arc<Site>) {
        let mut calls = Vec::new();
        for call in &site.calls {
            let key = call_key(site, call);
            let at = self.calls.iter().position(|known| *known == key).unwrap_or_else(|| {
                self.calls.push(key);
                self.calls.len() - 1
            });
            calls.push(CallIdx(u32::try_from(at).expect("a site has fewer calls")));
        }
        self.at = self.sites.len();
        self.sites.push(Member { site: site.clone(), calls });
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Require { cond, .. } => self.cond(cond, None),
            Step::Header(edit) => self.cond(&edit.when, None),
            Step::Limit(_) | Step::Session(_) => {}
        }
    }

    fn cond(&mut self, cond: &Cond, within: Option<&PathPattern>) {
        if let Cond::Const(_) = cond {
            return;
        }
        fields::strict_fields(cond, &mut self.strict);
        let local = localized(cond, &self.sites.get(self.at).map(|m| m.calls.clone()).unwrap_or_default());
        self.leaves_of(&local, within);
    }

    fn leaves_of(&mut self, cond: &Cond, within: Option<&PathPattern>) {
        match cond {
            Cond::Const(_) => {}
            Cond::Test(..) | Cond::Relate(..) => {
                let name = format!("{cond:?}");
                if let Cond::Test(Field::Capture(capture), _) = cond
                    && within.is_some_and(|pattern| !paths::fits(capture, pattern))
                {
                    self.misfits.insert(name.clone());
                }
                if self.known.insert(name) {
                    self.leaves.push(cond.clone());
                }
            }
            Cond::Not(inner) => self.leaves_of(inner, within),
            Cond::And(all) | Cond::Or(all) => all.iter().for_each(|c| self.leaves_of(c, within)),
        }
    }

    fn finish(
        self,
        question: &Question<'_>,
        patterns: Vec<PathPattern>,
        letters: Letters,
    ) -> Result<Arc<Space>, Undecided> {
        let mut of_paths: Vec<(Field, Test, Arc<Dfa>)> = Vec::new();
        let mut of_hosts = Vec::new();
        let mut of_fields: Vec<(Field, Vec<Test>)> = Vec::new();
        let mut opaque = Vec::new();
        let mut places: HashMap<Field, usize> = HashMap::new();
        let mut place = |of_fields: &mut Vec<(Field, Vec<Test>)>, field: &Field| {
            *places.entry(field.clone()).or_insert_with(|| {
                of_fields.push((field.clone(), Vec::new()));
                of_fields.len() - 1
            })
        };
        for leaf in self.leaves {
            let Cond::Test(field, test) = &leaf else {
                opaque.push(leaf);
                continue;
            };
            if is_always(field, test) {
                continue;
            }
            match kind(field, test) {
                Kind::Path if of_paths.len() < paths::MOST_TESTS && !self.misfits.contains(&format!("{leaf:?}")) => {
                    match Paths::test(field, test) {
                        Ok(dfa) => of_paths.push((field.clone(), test.clone(), dfa)),
                        Err(_) => opaque.push(leaf),
                    }
                }
                Kind::Host => match host_test(field, test) {
                    Some(own) if language::of_host(own.capture, test).is_ok() => of_hosts.push(own),
                    Some(_) | None => opaque.push(leaf),
                },
                Kind::Field => {
                    let at = place(&mut of_fields, field);
                    of_fields[at].1.push(test.clone());
                }
                Kind::Path | Kind::Opaque => opaque.push(leaf),
            }
        }
        for field in &self.strict {
            if !matches!(field, Field::Header(name) if **name == *"cookie") {
                place(&mut of_fields, field);
            }
        }
        let mut dims = vec![Dim { what: What::Host, classes: Vec::new() }];
        let mut by_field = HashMap::new();
        for (field, tests) in of_fields {
            let (tests, classes, left) = divide(&field, tests);
            opaque.extend(left.into_iter().map(|test| Cond::Test(field.clone(), test)));
            let number = u16::try_from(dims.len()).map_err(|_| Undecided::TooLarge)?;
            by_field.insert(field.clone(), number);
            let is_opaque = matches!(field, Field::Call(..) | Field::Claim(..));
            dims.push(Dim { what: What::Field { field, tests, opaque: is_opaque }, classes });
        }
        let mut by_cond = HashMap::new();
        for cond in opaque {
            let number = u16::try_from(dims.len()).map_err(|_| Undecided::TooLarge)?;
            by_cond.insert(format!("{cond:?}"), number);
            let class = |holds: bool| Class { signature: [holds].into(), example: Example::Missing };
            dims.push(Dim { what: What::Opaque(cond), classes: vec![class(false), class(true)] });
        }
        let claimed = self.sites.iter().map(|m| m.site.hosts.iter().map(|(host, _)| host.clone()).collect());
        let hosts = Hosts::new(claimed.collect(), of_hosts, LIMIT)?;
        // The examples stand with the hosts; here they are only counted.
        let class = |_| Class { signature: [].into(), example: Example::Missing };
        dims[usize::from(HOST)].classes = hosts.classes.iter().map(class).collect();
        let paths = Paths::new(patterns, of_paths, letters, LIMIT)?;
        Ok(Arc::new(Space {
            sites: self.sites,
            paths,
            hosts,
            dims,
            by_field,
            opaque: by_cond,
            calls: self.calls,
            within: question.within.cloned(),
            entries: question.entries.map(<[_]>::to_vec),
        }))
    }
}

/// Where a test is decided.
enum Kind {
    Path,
    Host,
    Field,
    Opaque,
}

fn kind(field: &Field, test: &Test) -> Kind {
    let spelled = matches!(test, Test::StartsWith(_) | Test::EndsWith(_) | Test::Has(_) | Test::Matches(_));
    let nets = matches!(test, Test::InNets(_));
    match field {
        Field::Path | Field::Capture(Capture::Segment { .. } | Capture::Splat { .. }) if nets => Kind::Opaque,
        Field::Path | Field::Capture(Capture::Segment { .. } | Capture::Splat { .. }) => Kind::Path,
        Field::Host | Field::Capture(Capture::Host { .. }) if nets => Kind::Opaque,
        Field::Host | Field::Capture(Capture::Host { .. }) => Kind::Host,
        // Views of what other fields hold too.
        Field::Uri | Field::QueryString => Kind::Opaque,
        // Its parts come and go together.
        Field::TlsCert(_) => Kind::Opaque,
        // Rows come and go while the program stays.
        Field::Row(_) => Kind::Opaque,
        // What stands in a body is asked in many ways, and none of them says much of another.
        Field::Body(..) => Kind::Opaque,
        Field::Header(name) if matches!(&**name, "cookie" | "host" | "content-length") => Kind::Opaque,
        Field::ClientIp | Field::Size if spelled => Kind::Opaque,
        Field::ClientIp | Field::Size | Field::ClientPort | Field::Version | Field::TlsVersion | Field::Call(..) => {
            Kind::Field
        }
        Field::Method
        | Field::Header(_)
        | Field::Cookie(_)
        | Field::Query(_)
        | Field::TlsSni
        | Field::TlsAlpn
        | Field::ClientCountry
        | Field::Claim(..)
            if nets =>
        {
            Kind::Opaque
        }
        Field::Method
        | Field::Header(_)
        | Field::Cookie(_)
        | Field::Query(_)
        | Field::TlsSni
        | Field::TlsAlpn
        | Field::ClientCountry
        | Field::Claim(..) => Kind::Field,
    }
}

/// The classes of a field, the tests that make them, and those that are too much.
fn divide(field: &Field, tests: Vec<Test>) -> (Vec<Test>, Vec<Class>, Vec<Test>) {
    let text = |texts, optional, repeats, known| {
        let form = Form { texts, optional, repeats, known };
        move |tests: &[Test]| classes::of_text(tests, form, LIMIT)
    };
    let form = match field {
        Field::Version => return whole(tests, |tests| classes::of_words(tests, false, &["1.1", "2", "1.0", "3"])),
        Field::TlsVersion => return whole(tests, |tests| classes::of_words(tests, true, &["1.3", "1.2"])),
        Field::Call(..) => return whole(tests, |tests| classes::of_words(tests, true, &["yes"])),
        Field::ClientIp => return whole(tests, classes::of_addresses),
        Field::ClientPort => return whole(tests, |tests| classes::of_ports(tests, LIMIT)),
        Field::Size => return whole(tests, |tests| classes::of_numbers(tests, true, u64::MAX)),
        Field::Method => {
            const KNOWN: &[&str] = &["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"];
            text(Texts::Token, false, false, KNOWN)
        }
        Field::Cookie(_) => text(Texts::Cookie, true, true, &[][..]),
        Field::Query(_) => text(Texts::Query, true, true, &[][..]),
        Field::TlsSni => text(Texts::Host, true, false, &[][..]),
        Field::TlsAlpn => text(Texts::Token, true, false, &["h2", "http/1.1"][..]),
        Field::ClientCountry => text(Texts::Token, true, false, &["DE", "US", "FR"][..]),
        Field::Claim(..) => text(Texts::Query, true, false, &[][..]),
        Field::Header(_)
        | Field::Path
        | Field::Uri
        | Field::QueryString
        | Field::Host
        | Field::Capture(_)
        | Field::TlsCert(_)
        | Field::Body(..)
        | Field::Row(_) => text(Texts::Header, true, true, &[][..]),
    };
    if let Ok(classes) = form(&tests) {
        return (tests, classes, Vec::new());
    }
    // Without what needs automata of its own, or combinations.
    let (plain, left): (Vec<Test>, Vec<Test>) =
        tests.into_iter().partition(|test| matches!(test, Test::Present | Test::OneOf(_)));
    match form(&plain) {
        Ok(classes) => (plain, classes, left),
        Err(_) => {
            let classes = form(&[]).unwrap_or_default();
            (Vec::new(), classes, plain.into_iter().chain(left).collect())
        }
    }
}

fn whole(tests: Vec<Test>, classes: impl Fn(&[Test]) -> Vec<Class>) -> (Vec<Test>, Vec<Class>, Vec<Test>) {
    let classes = classes(&tests);
    (tests, classes, Vec::new())
}
