//! Whose turn it is: tenants one after another, and the names of each in order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

/// Whose a name is; those of the operator's own files are one tenant.
pub type Tenant = Option<Arc<str>>;

/// Where a name stands among those of its tenant: who is waited for, then who came first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Nobody waits for it.
    pub patient: bool,
    /// Since when it is in the queue, milliseconds since 1970.
    pub since: u64,
    /// It.
    pub name: Arc<str>,
}

/// Names that wait for their turn.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    tenants: BTreeMap<Tenant, BTreeSet<Place>>,
    places: HashMap<Arc<str>, (Tenant, Place)>,
    last: Option<Tenant>,
}

impl Queue {
    /// Queues a name. One that is in the queue keeps its place, or gets the better one.
    pub fn push(&mut self, tenant: Tenant, mut place: Place) {
        if let Some((_, before)) = self.remove(&Arc::clone(&place.name)) {
            place = Place { patient: place.patient && before.patient, since: place.since.min(before.since), ..place };
        }
        self.tenants.entry(tenant.clone()).or_default().insert(place.clone());
        self.places.insert(Arc::clone(&place.name), (tenant, place));
    }

    /// Takes a name out.
    pub fn remove(&mut self, name: &str) -> Option<(Tenant, Place)> {
        let (tenant, place) = self.places.remove(name)?;
        if let Some(names) = self.tenants.get_mut(&tenant) {
            names.remove(&place);
            if names.is_empty() {
                self.tenants.remove(&tenant);
            }
        }
        Some((tenant, place))
    }

    /// Takes the name whose turn it is, of a tenant that may have one now.
    pub fn next(&mut self, may: impl Fn(&Tenant) -> bool) -> Option<(Tenant, Place)> {
        let after = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let up_to = self.last.as_ref().map_or(Bound::Unbounded, Bound::Included);
        let later = self.tenants.range::<Tenant, _>((after, Bound::Unbounded));
        let rest = self.last.iter().flat_map(|_| self.tenants.range::<Tenant, _>((Bound::Unbounded, up_to)));
        let name = {
            let (_, names) = later.chain(rest).find(|(tenant, _)| may(tenant))?;
            Arc::clone(&names.first()?.name)
        };
        let taken = self.remove(&name)?;
        self.last = Some(taken.0.clone());
        Some(taken)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether a name of a tenant that `is` something waits.
    #[must_use]
    pub fn any(&self, is: impl Fn(&Tenant) -> bool) -> bool {
        self.tenants.keys().any(is)
    }

    /// Moves all of it, because the clock was set.
    pub fn shift(&mut self, by: i64) {
        let all: Vec<_> = std::mem::take(&mut self.places).into_values().collect();
        self.tenants.clear();
        for (tenant, place) in all {
            self.push(tenant, Place { since: place.since.saturating_add_signed(by), ..place });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, since: u64) -> Place {
        Place { patient: true, since, name: name.into() }
    }

    fn drain(queue: &mut Queue, may: impl Fn(&Tenant) -> bool) -> Vec<String> {
        std::iter::from_fn(|| queue.next(&may).map(|(_, place)| place.name.to_string())).collect()
    }

    #[test]
    fn tenants_take_turns_whoever_came_first_and_has_most() {
        let mut queue = Queue::default();
        for n in 0..4 {
            queue.push(None, place(&format!("o{n}"), 0));
        }
        for n in 0..2 {
            queue.push(Some("acme".into()), place(&format!("a{n}"), 9));
        }
        queue.push(Some("beta".into()), place("b0", 9));
        assert_eq!(queue.len(), 7);
        assert_eq!(drain(&mut queue, |_| true), ["o0", "a0", "b0", "o1", "a1", "o2", "o3"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_tenant_that_may_not_now_keeps_its_names() {
        let mut queue = Queue::default();
        queue.push(Some("acme".into()), place("a0", 0));
        queue.push(Some("beta".into()), place("b0", 0));
        let not_acme = |tenant: &Tenant| tenant.as_deref() != Some("acme");
        assert_eq!(drain(&mut queue, not_acme), ["b0"]);
        assert!(queue.any(|tenant| tenant.is_some()));
        assert_eq!(drain(&mut queue, |_| true), ["a0"]);
    }

    #[test]
    fn who_is_waited_for_goes_first_then_who_came_first() {
        let mut queue = Queue::default();
        queue.push(None, place("b", 2));
        queue.push(None, place("a", 2));
        queue.push(None, place("late", 5));
        queue.push(None, place("early", 1));
        queue.push(None, Place { patient: false, ..place("late", 7) });
        assert_eq!(drain(&mut queue, |_| true), ["late", "early", "a", "b"]);
    }

    #[test]
    fn a_name_is_in_it_once_and_can_leave() {
        let mut queue = Queue::default();
        queue.push(None, place("a", 3));
        queue.push(Some("acme".into()), place("a", 9));
        assert_eq!(queue.len(), 1);
        let (tenant, place) = queue.remove("a").unwrap();
        assert_eq!((tenant.as_deref(), place.since), (Some("acme"), 3));
        assert!(queue.remove("a").is_none() && queue.next(|_| true).is_none());
    }
}
