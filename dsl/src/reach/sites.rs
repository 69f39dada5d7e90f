//! The sites that a question is about, by host.

use crate::region::Algebra;
use crate::tree::ir::{HostHead, HostPattern, Segment, Site};
use crate::tree::{HostIndex, Program};
use std::sync::Arc;

/// Sites of any number of files, each host with the site that answers for it.
#[derive(Debug, Default)]
pub struct Sites {
    programs: Vec<Arc<Program>>,
    hosts: HostIndex<usize>,
    default: Option<usize>,
}

impl Sites {
    /// Of these programs.
    pub fn of(programs: impl IntoIterator<Item = Arc<Program>>) -> Self {
        let mut sites = Self::default();
        for program in programs {
            let at = sites.programs.len();
            for (pattern, _) in &program.site().hosts {
                sites.hosts.insert(pattern, at);
            }
            if program.site().settings.default {
                sites.default = Some(at);
            }
            sites.programs.push(program);
        }
        sites
    }

    /// The places of all of them.
    pub fn all(&self) -> Vec<usize> {
        (0..self.programs.len()).collect()
    }

    /// All of them.
    pub fn programs(&self) -> &[Arc<Program>] {
        &self.programs
    }

    /// The site that answers for a host.
    pub fn find(&self, host: &str) -> Option<&Arc<Program>> {
        self.at(host).map(|at| &self.programs[at])
    }

    /// Whether a site claims a host: the default site answers for others too, but they need not lead here.
    pub(crate) fn claims(&self, host: &str) -> bool {
        self.hosts.get(host).is_some()
    }

    pub(crate) fn at(&self, host: &str) -> Option<usize> {
        self.hosts.get(host).copied().or(self.default)
    }

    /// A host that a site answers for, and that lies in a pattern where one is given.
    pub(crate) fn host(&self, at: usize, within: Option<&HostPattern>) -> Option<String> {
        let site: &Site = self.programs[at].site();
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
