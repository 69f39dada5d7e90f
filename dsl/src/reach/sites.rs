//! The sites that a question is about, by host.

use crate::region::Algebra;
use crate::tree::ir::{HostHead, HostPattern, Segment, Site};
use crate::tree::{HostIndex, Program};
use std::sync::Arc;

/// Sites of any number of files, each host with the site that answers for it. Each has a place, which it
/// keeps while others come and go.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    /// `None` where a site was.
    programs: Vec<Option<Arc<Program>>>,
    free: Vec<usize>,
    hosts: HostIndex<usize>,
    default: Option<usize>,
}

/// The place of nobody: a host that is kept for somebody who is not among the sites.
const NOBODY: usize = usize::MAX;

impl Sites {
    /// Of these programs.
    pub fn of(programs: impl IntoIterator<Item = Arc<Program>>) -> Self {
        Self::beside(programs, &[])
    }

    /// Of these programs, beside hosts that are others': none of the sites answers for one of those, but
    /// where it claims the very pattern.
    pub fn beside(programs: impl IntoIterator<Item = Arc<Program>>, others: &[HostPattern]) -> Self {
        let mut sites = Self::default();
        for pattern in others {
            sites.hosts.insert(pattern, NOBODY);
        }
        for program in programs {
            sites.add(program);
        }
        sites
    }

    /// Takes a site in, and says which place it has. Hosts that another site has stay with that one.
    pub fn add(&mut self, program: Arc<Program>) -> usize {
        let at = self.free.pop().unwrap_or(self.programs.len());
        for (pattern, _) in &program.site().hosts {
            if self.hosts.claim(pattern).is_none_or(|holder| *holder == NOBODY) {
                self.hosts.insert(pattern, at);
            }
        }
        if program.site().settings.default && self.default.is_none() {
            self.default = Some(at);
        }
        if at == self.programs.len() {
            self.programs.push(Some(program));
        } else {
            self.programs[at] = Some(program);
        }
        at
    }

    /// Forgets a site.
    pub fn remove(&mut self, at: usize) {
        let Some(program) = self.programs.get_mut(at).and_then(Option::take) else { return };
        for (pattern, _) in &program.site().hosts {
            // Another may have come for it meanwhile.
            if self.hosts.claim(pattern) == Some(&at) {
                self.hosts.remove(pattern);
            }
        }
        self.default = self.default.filter(|default| *default != at);
        self.free.push(at);
    }

    /// The places of all of them.
    pub fn all(&self) -> Vec<usize> {
        self.iter().map(|(at, _)| at).collect()
    }

    /// All of them, with their places.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Arc<Program>)> {
        self.programs.iter().enumerate().filter_map(|(at, program)| Some((at, program.as_ref()?)))
    }

    /// The site at a place.
    pub fn get(&self, at: usize) -> Option<&Arc<Program>> {
        self.programs.get(at)?.as_ref()
    }

    /// The site that answers for a host.
    pub fn find(&self, host: &str) -> Option<&Arc<Program>> {
        self.get(self.at(host)?)
    }

    /// Whether a site claims a host: the default site answers for others too, but they need not lead here.
    pub(crate) fn claims(&self, host: &str) -> bool {
        self.hosts.get(host).is_some_and(|at| *at != NOBODY)
    }

    pub(crate) fn at(&self, host: &str) -> Option<usize> {
        self.hosts.get(host).copied().or(self.default).filter(|at| *at != NOBODY)
    }

    /// A host that a site answers for, and that lies in a pattern where one is given.
    pub(crate) fn host(&self, at: usize, within: Option<&HostPattern>) -> Option<String> {
        let site: &Site = self.get(at)?.site();
        let mut examples = site.hosts.iter().flat_map(|(host, _)| examples(host, within));
        examples.find(|host| self.hosts.get(host) == Some(&at)).or_else(|| {
            // The default site answers for hosts that nobody claims.
            let nobodys = within.map_or_else(Vec::new, examples_of);
            nobodys.into_iter().find(|host| self.at(host) == Some(at))
        })
    }
}

/// A few hosts that a pattern matches.
pub(crate) fn examples_of(pattern: &HostPattern) -> Vec<String> {
    examples(pattern, None)
}

fn examples(pattern: &HostPattern, within: Option<&HostPattern>) -> Vec<String> {
    let mut algebra = Algebra::hosts();
    let first = match within {
        Some(within) => algebra.host_overlap(pattern, within),
        None => algebra.host_example(pattern),
    };
    let Some(first) = first.ok().flatten() else { return Vec::new() };
    let fits = |host: &String| pattern.matches(host) && within.is_none_or(|within| within.matches(host));
    let open = |p: &HostPattern| !matches!(p.head, HostHead::Label(Segment::Lit(_)));
    let mut out = vec![first.clone()];
    if open(pattern) && within.is_none_or(open) {
        // Another file may claim the first one that comes to mind.
        let parent = first.split_once('.').map_or("", |(_, parent)| parent);
        let labels = ["some", "other", "y", "z", "x1", "x2", "x3", "7", "17", "a", "b"];
        let deeper = ["x.y", "some.other"];
        let host = |label: &str| if parent.is_empty() { label.to_owned() } else { format!("{label}.{parent}") };
        out.extend(labels.into_iter().chain(deeper).map(host).filter(fits));
    }
    out
}
