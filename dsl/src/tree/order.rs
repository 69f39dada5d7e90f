//! The order of candidates: most specific first.

use super::ir::PathPattern;
use crate::region::{Algebra, Undecided};
use std::cmp::Ordering;
use std::collections::HashMap;

/// Puts patterns that all match one path in the order in which they are asked: a pattern before those
/// that it lies in; patterns that overlap without inclusion by LANGUAGE rule 8 (literal, set,
/// affixed, typed, plain, splat, from the left); patterns that match the same paths as they were given.
///
/// # Errors
/// An inclusion cannot be decided, so that the meaning of the program is unknown; and which two.
pub(crate) fn order(patterns: &[&PathPattern], algebra: &mut Algebra) -> Result<Vec<usize>, (usize, usize, Undecided)> {
    let mut classes = classes(patterns, algebra)?;
    let mut result = Vec::with_capacity(patterns.len());
    while !classes.is_empty() {
        // Some class has nothing inside it, for inclusion has no cycles.
        let next = (0..classes.len())
            .filter(|at| classes[*at].holds == 0)
            .min_by(|a, b| classes[*a].tie(&classes[*b], patterns))
            .unwrap_or(0);
        let class = classes.remove(next);
        for other in &mut classes {
            other.holds -= usize::from(class.inside.contains(&other.members[0]));
        }
        result.extend(class.members);
    }
    Ok(result)
}

/// Patterns that match the same paths.
struct Class {
    /// In the order given; never empty.
    members: Vec<usize>,
    /// First members of the classes that it lies in.
    inside: Vec<usize>,
    /// How many classes lie in it and were not yet placed.
    holds: usize,
}

impl Class {
    fn tie(&self, other: &Self, patterns: &[&PathPattern]) -> Ordering {
        let best = |class: &Self| class.members.iter().map(|at| ranks(patterns[*at])).min();
        best(self).cmp(&best(other)).then(self.members[0].cmp(&other.members[0]))
    }
}

fn classes(patterns: &[&PathPattern], algebra: &mut Algebra) -> Result<Vec<Class>, (usize, usize, Undecided)> {
    let mut by_text: HashMap<&PathPattern, usize> = HashMap::new();
    let mut classes: Vec<Class> = Vec::new();
    for (at, pattern) in patterns.iter().enumerate() {
        if let Some(class) = by_text.get(pattern) {
            classes[*class].members.push(at);
            continue;
        }
        let (mut same, mut inside, mut holds) = (None, Vec::new(), Vec::new());
        for (n, class) in classes.iter().enumerate() {
            let first = class.members[0];
            let fail = |why| (first, at, why);
            let is_in = algebra.path_inside(pattern, patterns[first]).map_err(fail)?;
            let has_in = algebra.path_inside(patterns[first], pattern).map_err(fail)?;
            match (is_in, has_in) {
                (true, true) => same = Some(n),
                (true, false) => inside.push(n),
                (false, true) => holds.push(n),
                (false, false) => {}
            }
        }
        let class = same.unwrap_or(classes.len());
        by_text.insert(pattern, class);
        match same {
            Some(class) => classes[class].members.push(at),
            None => {
                for n in &inside {
                    classes[*n].holds += 1;
                }
                for n in &holds {
                    classes[*n].inside.push(at);
                }
                let inside = inside.iter().map(|n| classes[*n].members[0]).collect();
                classes.push(Class { members: vec![at], inside, holds: holds.len() });
            }
        }
    }
    Ok(classes)
}

/// Compared from the left: kinds of segments, then whether the pattern ends or a splat follows.
fn ranks(pattern: &PathPattern) -> Vec<i8> {
    let end = if pattern.splat { 5 } else { -1 };
    pattern.segments.iter().map(|s| s.rank().cast_signed()).chain([end]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::ir::{Class, Regex, Segment};

    fn any(prefix: &str, class: Class, suffix: &str) -> Segment {
        Segment::Capture { prefix: prefix.into(), class, suffix: suffix.into() }
    }

    fn regex(source: &str) -> Segment {
        any("", Class::Regex(Regex::new(source).unwrap()), "")
    }

    fn lit(text: &str) -> Segment {
        Segment::Lit(text.into())
    }

    fn path(segments: &[Segment], splat: bool) -> PathPattern {
        PathPattern { segments: segments.to_vec(), splat }
    }

    fn ordered(patterns: &[PathPattern]) -> Vec<usize> {
        order(&patterns.iter().collect::<Vec<_>>(), &mut Algebra::paths()).unwrap()
    }

    #[test]
    fn rule_08_kinds_break_ties_from_the_left() {
        let set = any("", Class::Set(["a7".into(), "b".into()].into()), "");
        // Each pair overlaps at `/a7/a7` without inclusion, thanks to the second segment.
        let kinds = [lit("a7"), set, any("a", Class::Any, ""), regex(".*7"), Segment::any()];
        for (i, first) in kinds.iter().enumerate() {
            for second in &kinds[i + 1..] {
                let wide = path(&[first.clone(), Segment::any()], false);
                let narrow = path(&[second.clone(), lit("a7")], false);
                assert_eq!(ordered(&[narrow.clone(), wide.clone()]), [1, 0], "{wide} before {narrow}");
                assert_eq!(ordered(&[wide, narrow]), [0, 1]);
            }
            let splat = path(std::slice::from_ref(first), true);
            let plain = path(&[Segment::any(), lit("a7")], false);
            assert_eq!(ordered(&[plain, splat]), if first == &Segment::any() { [0, 1] } else { [1, 0] });
        }
    }

    #[test]
    fn rule_08_inclusion_comes_before_kinds() {
        // Typed, but inside the affixed one.
        let narrow = path(&[regex("x[0-9]+"), Segment::any()], false);
        let wide = path(&[any("x", Class::Any, ""), Segment::any()], false);
        assert_eq!(ordered(&[wide, narrow]), [1, 0]);
    }

    #[test]
    fn rule_08_inclusion_holds_where_ties_turn_in_a_circle() {
        let narrow = path(&[regex("x[0-9]+"), Segment::any()], false);
        let wide = path(&[any("x", Class::Any, ""), Segment::any()], false);
        let other = path(&[regex("[a-z0-9]+5"), lit("q")], false);
        let all = [wide, narrow, other];
        let result = ordered(&all);
        let place = |n| result.iter().position(|m| *m == n).unwrap();
        assert!(place(1) < place(0), "{result:?}");
    }

    #[test]
    fn rule_02_longer_paths_come_before_the_block_they_lie_in() {
        let block = path(&[lit("admin")], true);
        let page = path(&[lit("admin"), lit("x")], false);
        assert_eq!(ordered(&[block.clone(), page.clone(), block.clone()]), [1, 0, 2]);
        assert_eq!(ordered(&[path(&[], true), block, page]), [2, 1, 0]);
    }

    #[test]
    fn patterns_that_match_the_same_paths_stay_as_written() {
        let a = path(&[regex("[0-9]")], false);
        let b = path(&[regex(r"\d")], false);
        assert_eq!(ordered(&[a.clone(), b.clone(), a.clone()]), [0, 1, 2]);
        assert_eq!(ordered(&[b, a]), [0, 1]);
    }
}
