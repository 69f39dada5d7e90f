//! Regions: unions of boxes that do not overlap.

use super::cube::{self, Cube, Fields, all_minus, paths_and};
use super::{MOST_BOXES, Space, What};
use crate::region::Undecided;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A set of requests, as far as its [`Space`] tells them apart.
#[derive(Clone)]
pub struct Region {
    pub(super) space: Arc<Space>,
    /// None of them empty; no request is in two of them.
    pub(super) cubes: Vec<Cube>,
}

impl Region {
    pub(super) fn all(space: &Arc<Space>) -> Self {
        Self { space: space.clone(), cubes: vec![Cube::all()] }
    }

    /// Of boxes that do not overlap; those that no request can be in are left out.
    pub(super) fn of(space: &Arc<Space>, cubes: Vec<Cube>) -> Self {
        let mut cubes = cubes;
        cubes.retain(|c| c.path.as_ref().is_none_or(|path| !path.is_empty()) && space.is_possible(&c.fields));
        Self { space: space.clone(), cubes }
    }

    /// What it is a region of.
    pub fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// Whether no request is in it. A request that is in it may still rest on something opaque.
    pub fn is_empty(&self) -> bool {
        self.cubes.is_empty()
    }

    /// How many boxes it is.
    pub fn boxes(&self) -> usize {
        self.cubes.len()
    }

    /// The requests that are in both, which are of one space.
    ///
    /// # Errors
    /// It would be larger than the limits.
    pub fn intersect(&self, other: &Self) -> Result<Self, Undecided> {
        let mut out = Vec::new();
        for a in &self.cubes {
            for b in &other.cubes {
                let Some(fields) = cube::and(&a.fields, &b.fields) else { continue };
                let path = paths_and(a.path.as_ref(), b.path.as_ref());
                if path.as_ref().is_some_and(|path| path.is_empty()) {
                    continue;
                }
                out.push(Cube { path, fields });
                if out.len() > MOST_BOXES {
                    out = merged(out);
                    if out.len() > MOST_BOXES {
                        return Err(Undecided::TooLarge);
                    }
                }
            }
        }
        Ok(Self::of(&self.space, merged(out)))
    }

    /// The requests that are in this one alone.
    ///
    /// # Errors
    /// It would be larger than the limits.
    pub fn minus(&self, other: &Self) -> Result<Self, Undecided> {
        let mut rest = self.cubes.clone();
        for taken in &other.cubes {
            let mut next = Vec::with_capacity(rest.len());
            for one in rest {
                self.split(one, taken, &mut next)?;
            }
            rest = next;
            if rest.len() > MOST_BOXES {
                rest = merged(rest);
                if rest.len() > MOST_BOXES {
                    return Err(Undecided::TooLarge);
                }
            }
        }
        Ok(Self::of(&self.space, merged(rest)))
    }

    /// The requests that are in one of them.
    ///
    /// # Errors
    /// It would be larger than the limits.
    pub fn union(&self, other: &Self) -> Result<Self, Undecided> {
        let mut cubes = self.cubes.clone();
        cubes.extend(other.minus(self)?.cubes);
        Ok(Self::of(&self.space, merged(cubes)))
    }

    /// Whether every request of this one is in the other.
    ///
    /// # Errors
    /// It cannot be decided within the limits.
    pub fn is_inside(&self, other: &Self) -> Result<bool, Undecided> {
        Ok(self.minus(other)?.is_empty())
    }

    /// What it rests on and the analysis knows nothing of, as conditions are written; nothing where
    /// whatever is said of it is certain.
    pub fn opaque(&self) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for (dim, _) in self.cubes.iter().flat_map(|cube| &cube.fields) {
            let name = match &self.space.dims[usize::from(*dim)].what {
                What::Host => continue,
                What::Field { opaque: false, .. } => continue,
                What::Field { field, .. } => field.to_string(),
                What::Opaque(cond) => cond.to_string(),
            };
            if !out.contains(&name) {
                out.push(name);
            }
        }
        out
    }

    /// The part that rests on nothing opaque.
    #[must_use]
    pub fn certain(&self) -> Self {
        let certain = |cube: &&Cube| {
            cube.fields.iter().all(|(dim, _)| match &self.space.dims[usize::from(*dim)].what {
                What::Host | What::Field { opaque: false, .. } => true,
                What::Field { .. } | What::Opaque(_) => false,
            })
        };
        Self { space: self.space.clone(), cubes: self.cubes.iter().filter(certain).cloned().collect() }
    }

    /// What is in one box and not in another, in pieces that do not overlap.
    fn split(&self, a: Cube, b: &Cube, out: &mut Vec<Cube>) -> Result<(), Undecided> {
        let inside = paths_and(a.path.as_ref(), b.path.as_ref());
        if inside.as_ref().is_some_and(|path| path.is_empty()) || cube::and(&a.fields, &b.fields).is_none() {
            out.push(a);
            return Ok(());
        }
        if let Some(taken) = &b.path {
            let outside: Arc<[u32]> = match &a.path {
                Some(own) => own.iter().filter(|n| taken.binary_search(n).is_err()).copied().collect(),
                None => {
                    let all = u32::try_from(self.space.paths.classes.len()).map_err(|_| Undecided::TooLarge)?;
                    (0..all).filter(|n| taken.binary_search(n).is_err()).collect()
                }
            };
            if !outside.is_empty() {
                out.push(Cube { path: Some(outside), fields: a.fields.clone() });
            }
        }
        let rest = all_minus(vec![a.fields], std::slice::from_ref(&b.fields), MOST_BOXES)?;
        out.extend(rest.into_iter().map(|fields| Cube { path: inside.clone(), fields }));
        Ok(())
    }
}

/// Boxes with the same fields as one box with the paths of all.
fn merged(cubes: Vec<Cube>) -> Vec<Cube> {
    if cubes.len() < 2 {
        return cubes;
    }
    let mut places: HashMap<Fields, usize> = HashMap::new();
    let mut out: Vec<(Fields, Option<Vec<u32>>)> = Vec::new();
    for cube in cubes {
        match places.get(&cube.fields) {
            Some(at) => match (&mut out[*at].1, cube.path) {
                (Some(all), Some(more)) => all.extend(more.iter()),
                (all, _) => *all = None,
            },
            None => {
                places.insert(cube.fields.clone(), out.len());
                out.push((cube.fields, cube.path.map(|path| path.to_vec())));
            }
        }
    }
    let sorted = |mut all: Vec<u32>| {
        all.sort_unstable();
        all.dedup();
        all.into()
    };
    out.into_iter().map(|(fields, path)| Cube { path: path.map(sorted), fields }).collect()
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Region").field(&self.cubes).finish()
    }
}
