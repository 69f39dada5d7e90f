//! Classes of paths: paths that none of some patterns tells apart, with one path of each class.

use super::automaton::PatternId;
use super::automaton::subset::{Next, State, Subsets};
use super::automaton::trie::Trie;
use super::ir::{PathPattern, ScopeIdx, Segment, Site};
use crate::region::{Algebra, Undecided};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// A class of paths.
#[derive(Clone, Debug)]
pub(crate) struct PathClass {
    /// One of its paths, as short as it can be.
    pub(crate) path: String,
    /// By site: the entries whose patterns match, sorted.
    pub(crate) matching: Vec<Vec<(ScopeIdx, u32)>>,
    /// Which of the patterns beside those of the sites match.
    pub(crate) beside: Vec<bool>,
}

/// Whose a pattern is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Owner {
    Entry(usize, ScopeIdx, u32),
    Beside(usize),
}

/// Every class of paths that the patterns of the sites, and those beside them, tell apart. Paths are
/// found by walking states that are made of all patterns at once.
///
/// # Errors
/// The states would outgrow the patterns by far.
pub(crate) fn path_classes(sites: &[&Site], beside: &[&PathPattern]) -> Result<Vec<PathClass>, Undecided> {
    let mut ids: HashMap<&PathPattern, usize> = HashMap::new();
    let mut patterns: Vec<&PathPattern> = Vec::new();
    let mut owners: Vec<Vec<Owner>> = Vec::new();
    let mut add = |pattern, owner| {
        let id = *ids.entry(pattern).or_insert_with(|| {
            patterns.push(pattern);
            owners.push(Vec::new());
            patterns.len() - 1
        });
        owners[id].push(owner);
    };
    for (n, site) in sites.iter().enumerate() {
        for (scope, of) in (0..).map(ScopeIdx).zip(&site.scopes) {
            for (at, entry) in (0..).zip(&of.entries) {
                add(&entry.pattern, Owner::Entry(n, scope, at));
            }
        }
    }
    for (n, pattern) in beside.iter().enumerate() {
        add(pattern, Owner::Beside(n));
    }
    let trie = Trie::new(&patterns);
    let subsets = Subsets::new(&trie).map_err(|_| Undecided::TooLarge)?;
    let class = |path: String, set: &[PatternId]| {
        let mut class = PathClass { path, matching: vec![Vec::new(); sites.len()], beside: vec![false; beside.len()] };
        for owner in set.iter().flat_map(|id| &owners[*id as usize]) {
            match owner {
                Owner::Entry(site, scope, at) => class.matching[*site].push((*scope, *at)),
                Owner::Beside(n) => class.beside[*n] = true,
            }
        }
        class.matching.iter_mut().for_each(|of| of.sort_unstable());
        class
    };
    let found = Walk { subsets: &subsets, algebra: Algebra::paths() }.paths()?;
    Ok(found.into_iter().map(|(set, path)| class(path, &subsets.sets[set as usize])).collect())
}

struct Walk<'s> {
    subsets: &'s Subsets,
    algebra: Algebra,
}

impl Walk<'_> {
    /// A path for each set of patterns that some path has.
    fn paths(&mut self) -> Result<BTreeMap<u32, String>, Undecided> {
        let mut found: BTreeMap<u32, String> = BTreeMap::new();
        let mut seen: HashSet<u32> = HashSet::from([0]);
        let mut queue = VecDeque::from([(0, String::new())]);
        while let Some((at, prefix)) = queue.pop_front() {
            let state = &self.subsets.states[at as usize];
            let here = if prefix.is_empty() { "/".to_owned() } else { prefix.clone() };
            found.entry(state.accept).or_insert(here);
            for (text, to) in &state.literals {
                if seen.insert(*to) {
                    queue.push_back((*to, format!("{prefix}/{text}")));
                }
            }
            let mut leaves = Vec::new();
            leaves_of(&state.other, &mut Vec::new(), &mut Vec::new(), &mut leaves);
            for (to, yes, no) in leaves {
                let known = match to {
                    Some(to) => seen.contains(&to),
                    None => found.contains_key(&state.sink),
                };
                if known {
                    continue;
                }
                let Some(text) = self.text(state, &yes, &no)? else { continue };
                let path = format!("{prefix}/{text}");
                match to {
                    Some(to) => {
                        seen.insert(to);
                        queue.push_back((to, path));
                    }
                    None => {
                        found.insert(state.sink, path);
                    }
                }
            }
        }
        Ok(found)
    }

    /// A segment that matches some captures and not others, and that no literal edge of a state takes.
    fn text(&mut self, state: &State, yes: &[&Segment], no: &[&Segment]) -> Result<Option<String>, Undecided> {
        /// More literals than these are not put into automata.
        const MANY: usize = 256;
        let literals: HashSet<&str> = state.literals.iter().map(|(text, _)| &**text).collect();
        let fits = |text: &str| {
            !literals.contains(text) && yes.iter().all(|s| s.matches(text)) && !no.iter().any(|s| s.matches(text))
        };
        let guesses = ["x", "y", "7", "17", "a", "other", "x1", "123e4567-e89b-42d3-a456-426614174000"];
        if let Some(text) = guesses.into_iter().find(|text| fits(text)) {
            return Ok(Some(text.to_owned()));
        }
        let beside: Vec<Segment> = literals
            .iter()
            .filter(|text| yes.iter().all(|s| s.matches(text)))
            .map(|text| Segment::Lit((*text).into()))
            .collect();
        if beside.len() > MANY {
            return Err(Undecided::TooLarge);
        }
        let any = Segment::any();
        let all: Vec<&Segment> = yes.iter().chain(no).copied().chain(&beside).chain([&any]).collect();
        let atoms = self.algebra.atoms(&all)?;
        Ok(atoms.into_iter().map(|atom| atom.text).find(|text| !text.is_empty() && fits(text)))
    }
}

/// Where the tests of a state lead, by what matches and what does not; `None` is the sink.
fn leaves_of<'n>(
    next: &'n Next,
    yes: &mut Vec<&'n Segment>,
    no: &mut Vec<&'n Segment>,
    out: &mut Vec<(Option<u32>, Vec<&'n Segment>, Vec<&'n Segment>)>,
) {
    match next {
        Next::Sink => out.push((None, yes.clone(), no.clone())),
        Next::State(to) => out.push((Some(*to), yes.clone(), no.clone())),
        Next::Test(test) => {
            let (segment, on, off) = &**test;
            yes.push(segment);
            leaves_of(on, yes, no, out);
            yes.pop();
            no.push(segment);
            leaves_of(off, yes, no, out);
            no.pop();
        }
    }
}
