//! Boxes: for each field that matters a set of classes, for the others everything.

use super::set::Set;
use crate::region::Undecided;
use std::sync::Arc;

/// The classes that fields may be in, by the numbers of their dimensions, sorted; a dimension that is
/// not there may be in any class. No set in it is empty or full.
pub(super) type Fields = Vec<(u16, Set)>;

/// Paths of some classes, with fields in some classes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cube {
    /// The classes of paths, sorted; all where none are said.
    pub(super) path: Option<Arc<[u32]>>,
    pub(super) fields: Fields,
}

impl Cube {
    /// Everything.
    pub(super) fn all() -> Self {
        Self { path: None, fields: Fields::new() }
    }
}

/// What a dimension and its set come to: nothing to say where it is full, nothing at all where it is empty.
pub(super) fn only(dim: u16, set: Set) -> Option<Fields> {
    match (set.is_empty(), set.is_full()) {
        (true, _) => None,
        (false, true) => Some(Fields::new()),
        (false, false) => Some(vec![(dim, set)]),
    }
}

/// What is in both.
pub(super) fn and(a: &Fields, b: &Fields) -> Option<Fields> {
    let mut out = Fields::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    loop {
        match (a.get(i), b.get(j)) {
            (None, None) => return Some(out),
            (Some(x), y) if y.is_none_or(|y| x.0 < y.0) => {
                out.push(x.clone());
                i += 1;
            }
            (x, Some(y)) if x.is_none_or(|x| y.0 < x.0) => {
                out.push(y.clone());
                j += 1;
            }
            (Some(x), Some(y)) => {
                let both = x.1.and(&y.1);
                if both.is_empty() {
                    return None;
                }
                out.push((x.0, both));
                i += 1;
                j += 1;
            }
            (Some(_), None) | (None, Some(_)) => return Some(out),
        }
    }
}

/// What is in `a` and not in `b`, in pieces that do not overlap: one dimension after the other.
pub(super) fn minus(a: &Fields, b: &Fields, out: &mut Vec<Fields>) {
    if and(a, b).is_none() {
        out.push(a.clone());
        return;
    }
    let mut rest = a.clone();
    for (dim, set) in b {
        let at = rest.partition_point(|(d, _)| d < dim);
        let own = rest.get(at).filter(|(d, _)| d == dim).map(|(_, set)| set.clone());
        let (outside, inside) = match &own {
            Some(own) => (own.minus(set), own.and(set)),
            None => (set.complement(), set.clone()),
        };
        let with = |set: Set| {
            let mut piece = rest.clone();
            match own {
                Some(_) => piece[at].1 = set,
                None => piece.insert(at, (*dim, set)),
            }
            piece
        };
        if !outside.is_empty() {
            out.push(with(outside));
        }
        rest = with(inside);
    }
}

/// What is in some of `all` and in `b`.
pub(super) fn all_and(all: &[Fields], b: &[Fields]) -> Vec<Fields> {
    all.iter().flat_map(|a| b.iter().filter_map(|b| and(a, b))).collect()
}

/// What is in some of `all` and in none of `b`.
pub(super) fn all_minus(all: Vec<Fields>, b: &[Fields], limit: usize) -> Result<Vec<Fields>, Undecided> {
    let mut rest = all;
    for taken in b {
        let mut next = Vec::with_capacity(rest.len());
        for one in &rest {
            minus(one, taken, &mut next);
        }
        rest = next;
        if rest.len() > limit {
            return Err(Undecided::TooLarge);
        }
    }
    Ok(rest)
}

/// Classes of paths that are in both.
pub(super) fn paths_and(a: Option<&Arc<[u32]>>, b: Option<&Arc<[u32]>>) -> Option<Arc<[u32]>> {
    match (a, b) {
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => Some(one.clone()),
        (Some(a), Some(b)) if Arc::ptr_eq(a, b) => Some(a.clone()),
        (Some(a), Some(b)) => Some(a.iter().filter(|n| b.binary_search(n).is_ok()).copied().collect()),
    }
}
