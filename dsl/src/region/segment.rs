//! Segments of a path and labels of a host: inclusion, overlap, and all their combinations.

use super::{Algebra, Undecided};
use crate::tree::ir::{Class, Segment};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The texts that exactly these of some segments match, and one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atom {
    /// Which of the segments match, in the order they were given in.
    pub matched: Vec<bool>,
    /// The shortest such text, the most readable of the shortest.
    pub text: String,
}

impl Algebra {
    /// Whether every text that `inner` matches is matched by `outer`.
    ///
    /// # Errors
    /// It cannot be decided.
    pub fn segment_inside(&mut self, inner: &Segment, outer: &Segment) -> Result<bool, Undecided> {
        if let Some(answer) = inside_by_form(inner, outer) {
            return Ok(answer);
        }
        let key = (inner.clone(), outer.clone());
        if let Some(known) = self.inside.get(&key) {
            return *known;
        }
        let answer = self.inside_by_automata(inner, outer);
        Arc::make_mut(&mut self.inside).insert(key, answer);
        answer
    }

    fn inside_by_automata(&mut self, inner: &Segment, outer: &Segment) -> Result<bool, Undecided> {
        let automata = [self.automaton(inner)?, self.automaton(outer)?];
        let mut inside = true;
        self.walk(&automata, &[true, false], |accepts, _| {
            inside = !accepts[0] || accepts[1];
            if inside { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(inside)
    }

    /// A text that both match, if there is one.
    ///
    /// # Errors
    /// It cannot be decided.
    pub fn segment_overlap(&mut self, a: &Segment, b: &Segment) -> Result<Option<String>, Undecided> {
        if let Some(texts) = finite(a).or_else(|| finite(b)) {
            return Ok(texts.into_iter().find(|text| a.matches(text) && b.matches(text)));
        }
        if affixes_differ(a, b) {
            return Ok(None);
        }
        let key = (a.clone(), b.clone());
        if let Some(known) = self.overlaps.get(&key) {
            return known.clone();
        }
        let answer = self.overlap_by_automata(a, b);
        Arc::make_mut(&mut self.overlaps).insert(key, answer.clone());
        answer
    }

    fn overlap_by_automata(&self, a: &Segment, b: &Segment) -> Result<Option<String>, Undecided> {
        let automata = [self.automaton(a)?, self.automaton(b)?];
        let mut found = None;
        self.walk(&automata, &[true, true], |accepts, text| {
            if accepts.iter().all(|a| *a) {
                found = Some(text());
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// A text that the segment matches, if there is one.
    ///
    /// # Errors
    /// It cannot be decided.
    pub fn segment_example(&mut self, segment: &Segment) -> Result<Option<String>, Undecided> {
        self.segment_overlap(segment, &Segment::any())
    }

    /// Every combination of the segments that some text matches, that of no segment included.
    ///
    /// # Errors
    /// It cannot be decided.
    pub fn atoms(&mut self, segments: &[&Segment]) -> Result<Vec<Atom>, Undecided> {
        let mut atoms: Vec<Atom> = Vec::new();
        let mut known: HashMap<Vec<bool>, ()> = HashMap::new();
        // Fixed texts are tried one by one; the automata answer for all others.
        let mut texts: Vec<String> = segments.iter().filter_map(|s| finite(s)).flatten().collect();
        texts.sort_unstable();
        texts.dedup();
        for text in texts {
            let matched: Vec<bool> = segments.iter().map(|s| s.matches(&text)).collect();
            if known.insert(matched.clone(), ()).is_none() {
                atoms.push(Atom { matched, text });
            }
        }
        let open: Vec<usize> = (0..segments.len()).filter(|at| finite(segments[*at]).is_none()).collect();
        let automata = open.iter().map(|at| self.automaton(segments[*at])).collect::<Result<Vec<_>, _>>()?;
        let most = 1usize.checked_shl(u32::try_from(open.len()).unwrap_or(u32::MAX)).unwrap_or(usize::MAX);
        let mut fresh = 0;
        // Only a text that no fixed one equals shows what the others match without them.
        let fixed: Vec<usize> = (0..segments.len()).filter(|at| finite(segments[*at]).is_some()).collect();
        let mut automata = automata;
        for at in &fixed {
            automata.push(self.automaton(segments[*at])?);
        }
        let needed = vec![false; automata.len()];
        self.walk(&automata, &needed, |accepts, text| {
            if accepts[open.len()..].iter().any(|a| *a) {
                return ControlFlow::Continue(());
            }
            let mut matched = vec![false; segments.len()];
            open.iter().zip(accepts).for_each(|(at, accept)| matched[*at] = *accept);
            if known.insert(matched.clone(), ()).is_none() {
                atoms.push(Atom { matched, text: text() });
                fresh += 1;
            }
            if fresh == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(atoms)
    }
}

/// The texts of a segment, where they are listed.
pub(crate) fn finite(segment: &Segment) -> Option<Vec<String>> {
    match segment {
        Segment::Lit(text) => Some(vec![text.to_string()]),
        Segment::Capture { prefix, class: Class::Set(all), suffix } => {
            Some(all.iter().map(|one| format!("{prefix}{one}{suffix}")).filter(|t| segment.matches(t)).collect())
        }
        Segment::Capture { class: Class::Any | Class::Int | Class::Uuid | Class::Regex(_), .. } => None,
    }
}

/// The answers that need no automaton.
fn inside_by_form(inner: &Segment, outer: &Segment) -> Option<bool> {
    if inner == outer {
        return Some(true);
    }
    if let Some(texts) = finite(inner) {
        return Some(texts.iter().all(|text| outer.matches(text)));
    }
    match (inner, outer) {
        (
            Segment::Capture { prefix: p, class, suffix: s },
            Segment::Capture { prefix: q, class: Class::Any, suffix: t },
        ) => match (p.starts_with(&**q) && s.ends_with(&**t), class) {
            (true, _) => Some(true),
            (false, Class::Any) => Some(false),
            (false, Class::Int | Class::Uuid | Class::Regex(_) | Class::Set(_)) => None,
        },
        // Without end, or more than any list says.
        (Segment::Capture { class: Class::Any | Class::Int | Class::Uuid, .. }, outer) if finite(outer).is_some() => {
            Some(false)
        }
        _ => None,
    }
}

/// Whether fixed texts at the same end already tell two segments apart.
pub(crate) fn affixes_differ(a: &Segment, b: &Segment) -> bool {
    match (a, b) {
        (Segment::Capture { prefix: p, suffix: s, .. }, Segment::Capture { prefix: q, suffix: t, .. }) => {
            !(p.starts_with(&**q) || q.starts_with(&**p)) || !(s.ends_with(&**t) || t.ends_with(&**s))
        }
        (Segment::Lit(a), b @ Segment::Capture { .. }) => !b.matches(a),
        (a @ Segment::Capture { .. }, Segment::Lit(b)) => !a.matches(b),
        (Segment::Lit(a), Segment::Lit(b)) => a != b,
    }
}

/// A capture of a class between nothing; for tests here and beside.
#[cfg(test)]
pub(super) fn capture(prefix: &str, class: Class, suffix: &str) -> Segment {
    Segment::Capture { prefix: prefix.into(), class, suffix: suffix.into() }
}

/// See [`capture`].
#[cfg(test)]
pub(super) fn set(all: &[&str]) -> Class {
    Class::Set(all.iter().map(|one| (*one).into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::ir::Regex;

    fn regex(source: &str) -> Class {
        Class::Regex(Regex::new(source).unwrap())
    }

    fn lit(text: &str) -> Segment {
        Segment::Lit(text.into())
    }

    #[test]
    fn inclusion() {
        let any = |p, s| capture(p, Class::Any, s);
        let typed = |class| capture("", class, "");
        let table = [
            (lit("a"), Segment::any(), true),
            (Segment::any(), lit("a"), false),
            (lit("v1"), typed(set(&["v1", "v2"])), true),
            (typed(set(&["v1", "v2"])), typed(set(&["v1", "v2", "v3"])), true),
            (typed(set(&["1", "2"])), typed(Class::Int), true),
            (typed(set(&["1", "x"])), typed(Class::Int), false),
            (any("ab", "z"), any("a", ""), true),
            (any("a", ""), any("ab", ""), false),
            (any("a", "b"), any("ab", ""), false),
            (typed(Class::Int), typed(regex("[0-9]+")), true),
            (typed(regex("[0-9]+")), typed(Class::Int), false),
            (typed(Class::Int), typed(regex("[0-9a-f]+")), true),
            (typed(Class::Uuid), typed(Class::Int), false),
            (typed(Class::Uuid), typed(regex("[0-9a-fA-F-]{36}")), true),
            (typed(regex("x[0-9]+")), any("x", ""), true),
            (any("x", ""), typed(regex("x.+")), true),
            (Segment::any(), typed(regex(".+")), true),
            (Segment::any(), typed(regex("[^/]+")), false),
            (typed(regex("abc")), lit("abc"), true),
            (lit("abc"), typed(regex("^abc$")), true),
            (typed(regex("^[a-c]+$")), typed(regex("[a-d]*")), true),
            (capture("v", Class::Int, ""), any("v", ""), true),
            (capture("a", regex("b*"), "c"), typed(regex("ab+c")), true),
            (lit("a%20b"), typed(regex("a b")), true),
            (typed(regex("a[ +]b")), typed(regex("a.b")), true),
            (typed(regex("(?u:é)")), typed(regex("..")), true),
        ];
        let mut algebra = Algebra::paths();
        for (inner, outer, expected) in table {
            assert_eq!(algebra.segment_inside(&inner, &outer), Ok(expected), "{inner} in {outer}");
        }
    }

    #[test]
    fn overlap_shows_the_shortest_readable_text() {
        let mut algebra = Algebra::paths();
        let mut overlap = |a: &Segment, b: &Segment| algebra.segment_overlap(a, b).unwrap();
        let int = capture("", Class::Int, "");
        assert_eq!(overlap(&int, &capture("", regex("[0-9a-f]+"), "")).as_deref(), Some("7"));
        assert_eq!(overlap(&Segment::any(), &Segment::any()).as_deref(), Some("x"));
        assert_eq!(overlap(&capture("pr-", Class::Any, ""), &capture("", Class::Any, "-eu")).as_deref(), Some("pr-eu"));
        assert_eq!(overlap(&capture("a", Class::Any, ""), &capture("b", Class::Any, "")), None);
        assert_eq!(overlap(&capture("", Class::Any, ".png"), &capture("", Class::Any, ".jpg")), None);
        assert_eq!(overlap(&int, &capture("", Class::Uuid, "")), None);
        assert_eq!(overlap(&capture("", regex(r"\.\.?"), ""), &Segment::any()), None, "no segment is a dot segment");
        assert_eq!(overlap(&capture("", regex("[ /]"), ""), &Segment::any()).as_deref(), Some("%20"));
    }

    #[test]
    fn what_cannot_be_decided_is_said() {
        let looks = capture("", regex(r"a\bb?.*"), "");
        let mut algebra = Algebra::paths();
        assert_eq!(algebra.segment_inside(&looks, &capture("", Class::Int, "")), Err(Undecided::LooksAround));
        let mut small = Algebra::paths().limit(10);
        let (a, b) = (capture("", regex("(?:[ab]{35})*"), ""), capture("", regex("(?:[ab]{5})*"), ""));
        assert_eq!(small.segment_inside(&a, &b), Err(Undecided::TooLarge));
        assert_eq!(Algebra::paths().segment_inside(&a, &b), Ok(true));
    }

    #[test]
    fn atoms_are_all_combinations_and_no_other() {
        let segments = [lit("a7"), Segment::any(), capture("a", Class::Any, ""), capture("", regex(".*7"), "")];
        let refs: Vec<&Segment> = segments.iter().collect();
        let mut atoms = Algebra::paths().atoms(&refs).unwrap();
        for atom in &atoms {
            assert_eq!(atom.matched, segments.iter().map(|s| s.matches(&atom.text)).collect::<Vec<_>>(), "{atom:?}");
        }
        atoms.sort_by(|a, b| a.text.cmp(&b.text));
        let texts: Vec<&str> = atoms.iter().map(|a| a.text.as_str()).collect();
        assert_eq!(texts, ["7", "a7", "ax", "ax7", "x"]);
    }
}
