//! Host patterns: inclusion and overlap. Captures stand in the first label, so most patterns nest.

use super::{Algebra, Undecided};
use crate::tree::ir::{HostHead, HostPattern, Segment};

impl Algebra {
    /// Whether every host that `inner` matches is matched by `outer`.
    ///
    /// # Errors
    /// It cannot be decided.
    pub fn host_inside(&mut self, inner: &HostPattern, outer: &HostPattern) -> Result<bool, Undecided> {
        match (&inner.head, &outer.head) {
            (HostHead::Label(a), HostHead::Label(b)) => match inner.parent == outer.parent {
                true => self.segment_inside(a, b),
                false => Ok(false),
            },
            (HostHead::Many, HostHead::Label(_)) => Ok(false),
            (HostHead::Label(_) | HostHead::Many, HostHead::Many) => Ok(below(&inner.parent, &outer.parent)),
        }
    }

    /// A host that both match, if there is one.
    ///
    /// # Errors
    /// It cannot be decided.
    pub fn host_overlap(&mut self, a: &HostPattern, b: &HostPattern) -> Result<Option<String>, Undecided> {
        let label = match (&a.head, &b.head) {
            (HostHead::Label(x), HostHead::Label(y)) if a.parent == b.parent => self.segment_overlap(x, y)?,
            (HostHead::Label(_), HostHead::Label(_)) => None,
            (HostHead::Label(x), HostHead::Many) if below(&a.parent, &b.parent) => self.segment_example(x)?,
            (HostHead::Many, HostHead::Label(y)) if below(&b.parent, &a.parent) => self.segment_example(y)?,
            (HostHead::Many, HostHead::Many) if below(&a.parent, &b.parent) || below(&b.parent, &a.parent) => {
                self.segment_example(&Segment::any())?
            }
            (HostHead::Label(_) | HostHead::Many, HostHead::Label(_) | HostHead::Many) => None,
        };
        let parent = if a.parent.len() >= b.parent.len() { &a.parent } else { &b.parent };
        Ok(label.map(|label| if parent.is_empty() { label } else { format!("{label}.{parent}") }))
    }

    /// A host that the pattern matches, if there is one.
    ///
    /// # Errors
    /// It cannot be decided.
    pub fn host_example(&mut self, pattern: &HostPattern) -> Result<Option<String>, Undecided> {
        self.host_overlap(pattern, &HostPattern { head: HostHead::Many, parent: "".into() })
    }
}

/// Whether a domain is another, or lies under it.
fn below(domain: &str, top: &str) -> bool {
    top.is_empty() || domain.strip_suffix(top).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::super::segment::capture;
    use super::*;
    use crate::tree::ir::Class;

    fn host(head: HostHead, parent: &str) -> HostPattern {
        HostPattern { head, parent: parent.into() }
    }

    fn label(prefix: &str, class: Class, suffix: &str, parent: &str) -> HostPattern {
        host(HostHead::Label(capture(prefix, class, suffix)), parent)
    }

    #[test]
    fn hosts_nest() {
        let mut algebra = Algebra::hosts();
        let exact = HostPattern::of_literal("a.x.com");
        let one = label("", Class::Any, "", "x.com");
        let many = host(HostHead::Many, "x.com");
        let all = host(HostHead::Many, "");
        let chain = [&exact, &one, &many, &all];
        for (i, inner) in chain.iter().enumerate() {
            for (j, outer) in chain.iter().enumerate() {
                assert_eq!(algebra.host_inside(inner, outer), Ok(i <= j), "{inner} in {outer}");
            }
        }
        assert_eq!(algebra.host_inside(&HostPattern::of_literal("x.com"), &many), Ok(false));
        assert_eq!(algebra.host_inside(&host(HostHead::Many, "a.x.com"), &many), Ok(true));
        assert_eq!(algebra.host_inside(&HostPattern::of_literal("a.yx.com"), &many), Ok(false));
        assert_eq!(algebra.host_inside(&label("", Class::Any, "", "a.x.com"), &one), Ok(false));
    }

    #[test]
    fn overlaps() {
        let mut algebra = Algebra::hosts();
        let pr = label("pr-", Class::Any, "", "x.com");
        let eu = label("", Class::Any, "-eu", "x.com");
        assert_eq!(algebra.host_overlap(&pr, &eu).unwrap().as_deref(), Some("pr-eu.x.com"));
        assert_eq!(algebra.host_inside(&pr, &eu), Ok(false));
        assert_eq!(algebra.host_overlap(&pr, &label("", Class::Any, "-eu", "y.com")), Ok(None));
        let all = host(HostHead::Many, "");
        assert_eq!(algebra.host_example(&pr).unwrap().as_deref(), Some("pr-x.x.com"));
        assert_eq!(algebra.host_example(&all).unwrap().as_deref(), Some("x"));
        assert_eq!(
            algebra.host_overlap(&host(HostHead::Many, "b.c"), &host(HostHead::Many, "c")).unwrap().as_deref(),
            Some("x.b.c")
        );
    }
}
