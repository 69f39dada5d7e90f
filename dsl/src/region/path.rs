//! Path patterns: inclusion, overlap, and what some match that others do not.

use super::{Algebra, Undecided};
use crate::tree::ir::{PathPattern, Segment};
use std::collections::{HashMap, HashSet, VecDeque};

impl Algebra {
    /// Whether every path that `inner` matches is matched by `outer`.
    ///
    /// # Errors
    /// It cannot be decided.
    pub fn path_inside(&mut self, inner: &PathPattern, outer: &PathPattern) -> Result<bool, Undecided> {
        let fits = match (inner.splat, outer.splat) {
            (_, true) => inner.segments.len() >= outer.segments.len(),
            (true, false) => false,
            (false, false) => inner.segments.len() == outer.segments.len(),
        };
        if !fits {
            return Ok(false);
        }
        // A pair that is clearly apart spares the others their automata.
        let mut undecided = None;
        for (inner, outer) in inner.segments.iter().zip(&outer.segments) {
            match self.segment_inside(inner, outer) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(why) => undecided = Some(why),
            }
        }
        undecided.map_or(Ok(true), Err)
    }

    /// A path that both match, if there is one.
    ///
    /// # Errors
    /// It cannot be decided.
    pub fn path_overlap(&mut self, a: &PathPattern, b: &PathPattern) -> Result<Option<String>, Undecided> {
        let (short, long) = if a.segments.len() <= b.segments.len() { (a, b) } else { (b, a) };
        if short.segments.len() < long.segments.len() && !short.splat {
            return Ok(None);
        }
        let mut path = String::new();
        let mut undecided = None;
        for (at, segment) in long.segments.iter().enumerate() {
            let text = match short.segments.get(at) {
                Some(other) => self.segment_overlap(segment, other),
                None => self.segment_example(segment),
            };
            match text {
                Ok(Some(text)) => {
                    path.push('/');
                    path.push_str(&text);
                }
                Ok(None) => return Ok(None),
                Err(why) => undecided = Some(why),
            }
        }
        if path.is_empty() {
            path.push('/');
        }
        undecided.map_or(Ok(Some(path)), Err)
    }

    /// A path that the pattern matches, if there is one.
    ///
    /// # Errors
    /// It cannot be decided.
    pub fn path_example(&mut self, pattern: &PathPattern) -> Result<Option<String>, Undecided> {
        self.path_overlap(pattern, &PathPattern { segments: Vec::new(), splat: true })
    }

    /// A path that one of `some` matches and none of `others`, if there is one, and a short one.
    ///
    /// # Errors
    /// It cannot be decided.
    pub fn path_outside(
        &mut self,
        some: &[&PathPattern],
        others: &[&PathPattern],
    ) -> Result<Option<String>, Undecided> {
        // Mostly the first path that comes to mind is one.
        let examples = some.iter().filter_map(|pattern| self.path_example(pattern).ok().flatten());
        let guesses: Vec<String> = ["/", "/x", "/x/x"].map(String::from).into_iter().chain(examples).collect();
        let shows = |path: &&String| {
            some.iter().any(|pattern| pattern.matches(path)) && !others.iter().any(|pattern| pattern.matches(path))
        };
        if let Some(path) = guesses.iter().find(shows) {
            return Ok(Some(path.clone()));
        }
        let mut near = others.to_vec();
        near.retain(|other| some.iter().any(|pattern| self.path_overlap(pattern, other) != Ok(None)));
        self.search_outside(some, &near)
    }

    fn search_outside(&mut self, some: &[&PathPattern], others: &[&PathPattern]) -> Result<Option<String>, Undecided> {
        let start = Progress { some: (0..some.len()).collect(), others: (0..others.len()).collect() };
        let mut seen = HashSet::from([(0, start.clone())]);
        let mut queue = VecDeque::from([(start, 0, String::new())]);
        while let Some((progress, depth, path)) = queue.pop_front() {
            let patterns_of = |progress: &Progress| {
                let others = progress.others.iter().map(|at| others[*at]);
                progress.some.iter().map(|at| some[*at]).chain(others).collect::<Vec<_>>()
            };
            let below = |pattern: &PathPattern| pattern.splat && pattern.segments.len() <= depth;
            if progress.others.iter().any(|at| below(others[*at])) {
                continue; // They take everything below.
            }
            let ends = |pattern: &PathPattern| pattern.segments.len() == depth || below(pattern);
            let taken = progress.others.iter().any(|at| ends(others[*at]));
            if !taken && progress.some.iter().any(|at| ends(some[*at])) {
                return Ok(Some(if path.is_empty() { "/".into() } else { path }));
            }
            let mut places: HashMap<&Segment, usize> = HashMap::new();
            let mut segments: Vec<&Segment> = Vec::new();
            for segment in patterns_of(&progress).into_iter().filter_map(|pattern| pattern.segments.get(depth)) {
                places.entry(segment).or_insert_with(|| {
                    segments.push(segment);
                    segments.len() - 1
                });
            }
            for atom in self.atoms(&segments)? {
                let matched = |pattern: &PathPattern| match pattern.segments.get(depth) {
                    Some(segment) => atom.matched[places[segment]],
                    None => pattern.splat,
                };
                let next = Progress {
                    some: progress.some.iter().copied().filter(|at| matched(some[*at])).collect(),
                    others: progress.others.iter().copied().filter(|at| matched(others[*at])).collect(),
                };
                if !next.some.is_empty() && seen.insert((depth + 1, next.clone())) {
                    if seen.len() > self.limit {
                        return Err(Undecided::TooLarge);
                    }
                    queue.push_back((next, depth + 1, format!("{path}/{}", atom.text)));
                }
            }
        }
        Ok(None)
    }
}

/// Which patterns still match what was read. Splats behind their end stay in.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Progress {
    some: Vec<usize>,
    others: Vec<usize>,
}

#[cfg(test)]
mod tests {
    use super::super::segment::{capture, set};
    use super::*;
    use crate::tree::ir::{Class, Regex};

    /// `/a/{}/{int}/*`
    fn path(text: &str) -> PathPattern {
        let (text, splat) = match text.strip_suffix("/*") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let segment = |s: &str| match s {
            "{}" => Segment::any(),
            "{int}" => capture("", Class::Int, ""),
            "{ab}" => capture("", set(&["a", "b"]), ""),
            "{png}" => capture("", Class::Any, ".png"),
            "{hex}" => capture("", Class::Regex(Regex::new("[0-9a-f]+").unwrap()), ""),
            lit => Segment::Lit(lit.into()),
        };
        PathPattern { segments: text.split('/').filter(|s| !s.is_empty()).map(segment).collect(), splat }
    }

    #[test]
    fn inclusion() {
        let mut algebra = Algebra::paths();
        for (inner, outer, expected) in [
            ("/", "/*", true),
            ("/*", "/", false),
            ("/api", "/api/*", true),
            ("/api/*", "/api/*", true),
            ("/api/x/*", "/api/*", true),
            ("/api/*", "/api/x/*", false),
            ("/a/{int}", "/a/{}", true),
            ("/a/{}", "/a/{int}", false),
            ("/{}/b", "/a/{}", false),
            ("/{int}", "/{hex}", true),
            ("/{hex}", "/{int}", false),
            ("/{ab}/x", "/{}/*", true),
            ("/{}", "/*", true),
            ("/{}/*", "/{}", false),
        ] {
            assert_eq!(algebra.path_inside(&path(inner), &path(outer)), Ok(expected), "{inner} in {outer}");
        }
    }

    #[test]
    fn overlap_has_a_readable_witness() {
        let mut algebra = Algebra::paths();
        for (a, b, expected) in [
            ("/{}/settings", "/admin/{}", Some("/admin/settings")),
            ("/u/{int}", "/u/{hex}", Some("/u/7")),
            ("/api/*", "/{}/x", Some("/api/x")),
            ("/api/*", "/api/*", Some("/api")),
            ("/*", "/*", Some("/")),
            ("/*", "/{int}/{}", Some("/7/x")),
            ("/a", "/b", None),
            ("/a", "/a/b", None),
            ("/{png}", "/{int}", None),
            ("/{}/a", "/a/{}/*", Some("/a/a")),
        ] {
            for (a, b) in [(a, b), (b, a)] {
                let witness = algebra.path_overlap(&path(a), &path(b)).unwrap();
                assert_eq!(witness.as_deref(), expected, "{a} and {b}");
                assert!(witness.is_none_or(|w| path(a).matches(&w) && path(b).matches(&w)));
            }
        }
    }

    #[test]
    fn difference_finds_what_nobody_takes() {
        let mut algebra = Algebra::paths();
        for (some, others, expected) in [
            (&["/*"][..], &["/api/*", "/about"][..], Some("/")),
            (&["/*"], &["/", "/api/*"], Some("/x")),
            (&["/*"], &["/", "/{}"], Some("/x/x")),
            (&["/*"], &["/", "/{}/*"], None),
            (&["/*"], &["/", "/{}", "/{}/{}/*"], None),
            (&["/{int}"], &["/{hex}"], None),
            (&["/{hex}"], &["/{int}"], Some("/a")),
            (&["/{ab}"], &["/a"], Some("/b")),
            (&["/{ab}"], &["/a", "/b"], None),
            (&["/{}"], &["/{int}", "/x", "/{png}"], Some("/a")),
            (&["/a/*"], &["/a/{ab}/*", "/a"], Some("/a/x")),
            (&["/a", "/b"], &["/a/*"], Some("/b")),
        ] {
            let patterns = |texts: &[&str]| texts.iter().map(|t| path(t)).collect::<Vec<_>>();
            let (some, others) = (patterns(some), patterns(others));
            let (some, others): (Vec<_>, Vec<_>) = (some.iter().collect(), others.iter().collect());
            let witness = algebra.path_outside(&some, &others).unwrap();
            assert_eq!(witness.as_deref(), expected, "{some:?} without {others:?}");
        }
    }

    #[test]
    fn a_path_can_be_undecided_only_where_it_matters() {
        let looks = capture("", Class::Regex(Regex::new(r".*\b7").unwrap()), "");
        let pattern =
            |rest: &str| PathPattern { segments: vec![looks.clone(), Segment::Lit(rest.into())], splat: false };
        let mut algebra = Algebra::paths();
        let int = path("/{int}/a");
        assert_eq!(algebra.path_inside(&pattern("a"), &int), Err(Undecided::LooksAround));
        assert_eq!(algebra.path_inside(&pattern("b"), &int), Ok(false));
        assert_eq!(algebra.path_overlap(&pattern("b"), &int), Ok(None));
    }
}
