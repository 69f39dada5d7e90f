//! Sets of requests: unions of boxes over the dimensions that some sites and conditions tell apart.
//!
//! A [`Space`] is made for the questions at hand. Each dimension of a request (its host, its path, its
//! method, a header, …) is divided by the tests that look at it into classes: two requests whose values
//! are in the same classes are the same to all that the space was made for. Each class has a value that
//! a request can carry. A [`Region`] is a union of boxes, a box a set of classes for each dimension; so
//! what is in both of two regions, what is in one alone, and whether anything is, are questions about
//! small sets of numbers, and every answer is exact.
//!
//! What cannot be divided so is *opaque* (LANGUAGE rule 31): it may be true or false whatever else
//! holds. A region says whether it rests on such a thing, and on which.

mod build;
mod classes;
mod cube;
mod hosts;
mod language;
mod paths;
mod product;
mod reached;
mod region;
mod set;
mod witness;

pub use build::Question;
pub use reached::Reached;
pub use region::Region;

use super::Undecided;
use crate::tree::fields;
use crate::tree::ir::{
    Call, CallIdx, CallKind, Capture, Cond, Field, Jwt, KeySource, Missing, Part, PathPattern, ProviderIdx, ScopeIdx,
    Site, Test, Tls, Value,
};
use classes::{Class, Example};
use cube::{Cube, Fields};
use hosts::{HostTest, Hosts};
use paths::Paths;
use set::Set;
use std::collections::HashMap;
use std::sync::Arc;

/// Boxes that one region may have.
const MOST_BOXES: usize = 4096;

/// What some questions tell apart.
#[derive(Debug)]
pub struct Space {
    sites: Vec<Member>,
    paths: Paths,
    hosts: Hosts,
    /// The first is the host.
    dims: Vec<Dim>,
    by_field: HashMap<Field, u16>,
    /// By the condition, as it is written with the calls of this space.
    opaque: HashMap<String, u16>,
    /// Call by call, how it is known.
    calls: Vec<String>,
    within: Option<PathPattern>,
    entries: Option<Vec<(ScopeIdx, usize)>>,
}

/// A site of a space.
#[derive(Debug)]
struct Member {
    site: Arc<Site>,
    /// Its calls by their numbers in the space.
    calls: Vec<CallIdx>,
}

/// A dimension besides the path.
#[derive(Debug)]
struct Dim {
    what: What,
    classes: Vec<Class>,
}

/// What a dimension is of.
#[derive(Debug)]
enum What {
    Host,
    /// A field and its tests. Claims are opaque.
    Field {
        field: Field,
        tests: Vec<Test>,
        opaque: bool,
    },
    /// A condition that may hold or not: classes 0 and 1.
    Opaque(Cond),
}

/// The number of the host's dimension.
const HOST: u16 = 0;

/// What a test or relation is in a space.
enum Leaf {
    Const(bool),
    /// A test of the path, by its number.
    Path(usize),
    /// A set of classes.
    Fields(u16, Set),
}

impl Space {
    /// Whether a condition is opaque here: it may hold or not, whatever else is known.
    pub(crate) fn is_left_open(&self, cond: &Cond) -> bool {
        self.opaque.contains_key(&format!("{cond:?}"))
    }

    /// For all questions about one site: its routes and the conditions of its plans.
    ///
    /// # Errors
    /// It would be larger than the limits.
    pub fn of_site(site: &Arc<Site>) -> Result<Arc<Self>, Undecided> {
        Self::new(&Question { sites: std::slice::from_ref(site), steps: true, ..Question::default() })
    }

    /// For all questions about some sites, or versions of one, together.
    ///
    /// # Errors
    /// It would be larger than the limits.
    pub fn of_sites(sites: &[Arc<Site>]) -> Result<Arc<Self>, Undecided> {
        Self::new(&Question { sites, steps: true, ..Question::default() })
    }

    /// A site of it, by its place in the question.
    pub fn site(&self, site: usize) -> &Arc<Site> {
        &self.sites[site].site
    }

    /// All requests that a site is asked: of its hosts, over connections that it serves; where the
    /// space was made for a part of its paths, only those.
    pub fn everything(self: &Arc<Self>, site: usize) -> Region {
        let settings = &self.sites[site].site.settings;
        let hosts = Set::of(self.dims[usize::from(HOST)].classes.len(), |class| self.hosts.belongs(class, site));
        let mut fields = cube::only(HOST, hosts);
        if let (Some(all), Some(dim)) = (&fields, self.by_field.get(&Field::TlsVersion)) {
            let served = self.set(*dim, |class| match class.example {
                Example::Missing => settings.tls == Tls::Off || settings.http_allowed,
                Example::One(_) | Example::Several(_) => settings.tls != Tls::Off,
            });
            fields = cube::only(*dim, served).and_then(|served| cube::and(all, &served));
        }
        let path = self.within.as_ref().and_then(|p| self.paths.number(p)).map(|n| self.paths.of_pattern(n).into());
        let cubes = fields.map(|fields| Cube { path, fields });
        self.region(cubes.into_iter().collect())
    }

    /// No request.
    pub fn nothing(self: &Arc<Self>) -> Region {
        self.region(Vec::new())
    }

    /// The requests whose path a pattern of the question matches.
    ///
    /// # Errors
    /// The space was not made for this pattern.
    pub fn of_pattern(self: &Arc<Self>, pattern: &PathPattern) -> Result<Region, Undecided> {
        let number = self.paths.number(pattern).ok_or(Undecided::NotAsked)?;
        Ok(self.region(vec![Cube { path: Some(self.paths.of_pattern(number).into()), fields: Fields::new() }]))
    }

    /// The requests that satisfy a condition of a site. A field that arrives with different values
    /// passes no test but `has`.
    ///
    /// # Errors
    /// It would be larger than the limits, or the space was not made for this condition.
    pub fn of_cond(self: &Arc<Self>, site: usize, cond: &Cond) -> Result<Region, Undecided> {
        let all = Region::all(self);
        Ok(match cond {
            Cond::Const(true) => all,
            Cond::Const(false) => self.nothing(),
            Cond::Test(..) | Cond::Relate(..) => match self.leaf(site, cond)? {
                Leaf::Const(true) => all,
                Leaf::Const(false) => self.nothing(),
                Leaf::Path(test) => {
                    let path = self.paths.classes_where(|class| class.tests >> test & 1 == 1);
                    self.region(vec![Cube { path: Some(path.into()), fields: Fields::new() }])
                }
                Leaf::Fields(dim, set) => {
                    let fields = cube::only(dim, set);
                    self.region(fields.map(|fields| Cube { path: None, fields }).into_iter().collect())
                }
            },
            Cond::Not(inner) => all.minus(&self.of_cond(site, inner)?)?,
            Cond::And(parts) => {
                let mut out = all;
                for part in parts {
                    out = out.intersect(&self.of_cond(site, part)?)?;
                }
                out
            }
            Cond::Or(parts) => {
                let mut out = self.nothing();
                for part in parts {
                    out = out.union(&self.of_cond(site, part)?)?;
                }
                out
            }
        })
    }

    /// The requests for which a condition is asked and holds: those that satisfy it, save where a field
    /// that it names arrives with different values, which is answered 400.
    ///
    /// # Errors
    /// As [`Self::of_cond`].
    pub fn passing(self: &Arc<Self>, site: usize, cond: &Cond) -> Result<Region, Undecided> {
        let mut strict = Vec::new();
        fields::strict_fields(cond, &mut strict);
        self.of_cond(site, cond)?.minus(&self.conflicting(&strict)?)
    }

    /// The requests in which one of these fields arrives with different values.
    ///
    /// # Errors
    /// It would be larger than the limits.
    pub fn conflicting(self: &Arc<Self>, fields: &[Field]) -> Result<Region, Undecided> {
        let mut out = self.nothing();
        for field in fields {
            if let Some((dim, set)) = self.conflict(field) {
                let cube = cube::only(dim, set).map(|fields| Cube { path: None, fields });
                out = out.union(&self.region(cube.into_iter().collect()))?;
            }
        }
        Ok(out)
    }

    fn conflict(&self, field: &Field) -> Option<(u16, Set)> {
        let dim = *self.by_field.get(field)?;
        Some((dim, self.set(dim, |class| matches!(class.example, Example::Several(_)))))
    }

    fn region(self: &Arc<Self>, cubes: Vec<Cube>) -> Region {
        Region::of(self, cubes)
    }

    fn set(&self, dim: u16, holds: impl Fn(&Class) -> bool) -> Set {
        let classes = &self.dims[usize::from(dim)].classes;
        Set::of(classes.len(), |n| holds(&classes[n]))
    }

    /// What a test or relation of a site is here.
    fn leaf(&self, site: usize, cond: &Cond) -> Result<Leaf, Undecided> {
        let cond = &self.local(site, cond);
        if let Cond::Test(field, test) = cond {
            if is_always(field, test) {
                return Ok(Leaf::Const(true));
            }
            if let Some(test) = self.paths.test_number(field, test) {
                return Ok(Leaf::Path(test));
            }
            if let Some(test) = host_test(field, test).and_then(|test| self.hosts.test_number(&test)) {
                let bound = self.hosts.classes.len();
                return Ok(Leaf::Fields(HOST, Set::of(bound, |n| self.hosts.classes[n].tests[test])));
            }
            if let Some(dim) = self.by_field.get(field)
                && let What::Field { tests, .. } = &self.dims[usize::from(*dim)].what
                && let Some(at) = tests.iter().position(|t| t == test)
            {
                return Ok(Leaf::Fields(*dim, self.set(*dim, |class| class.signature[at])));
            }
        }
        let dim = *self.opaque.get(&format!("{cond:?}")).ok_or(Undecided::NotAsked)?;
        Ok(Leaf::Fields(dim, Set::of(2, |class| class == 1)))
    }

    /// A condition with the calls of this space instead of those of its site.
    fn local(&self, site: usize, cond: &Cond) -> Cond {
        localized(cond, &self.sites[site].calls)
    }

    /// Whether a box has a request in it: what a handshake says is said together or not at all.
    fn is_possible(&self, fields: &Fields) -> bool {
        let of = |field: &Field| {
            let dim = self.by_field.get(field)?;
            let set = fields.iter().find(|(d, _)| d == dim).map(|(_, set)| set)?;
            Some((&self.dims[usize::from(*dim)].classes, set))
        };
        let all = [Field::TlsSni, Field::TlsVersion, Field::TlsAlpn].map(|field| of(&field));
        let may = |missing: bool, of: &Option<(&Vec<Class>, &Set)>| match of {
            None => true,
            Some((classes, set)) => set.iter().any(|n| (classes[n].example == Example::Missing) == missing),
        };
        let clear = all.iter().all(|of| may(true, of));
        let secret = may(false, &all[1]);
        clear || secret
    }
}

/// Whether a test of a field passes whatever the request.
fn is_always(field: &Field, test: &Test) -> bool {
    *test == Test::Present
        && matches!(field, Field::Path | Field::Uri | Field::Host | Field::Capture(Capture::Splat { .. }))
}

/// A test of the host.
fn host_test(field: &Field, test: &Test) -> Option<HostTest> {
    let capture = match field {
        Field::Host => None,
        Field::Capture(Capture::Host { prefix, suffix }) => Some((*prefix, *suffix)),
        _ => return None,
    };
    Some(HostTest { capture, test: test.clone() })
}

/// A condition with other numbers of its calls.
pub(crate) fn localized(cond: &Cond, calls: &[CallIdx]) -> Cond {
    match cond {
        Cond::Const(value) => Cond::Const(*value),
        Cond::Test(field, test) => Cond::Test(local_field(field, calls), test.clone()),
        Cond::Relate(left, relation, right) => {
            Cond::Relate(Box::new(local_value(left, calls)), *relation, Box::new(local_value(right, calls)))
        }
        Cond::Not(inner) => Cond::Not(Box::new(localized(inner, calls))),
        Cond::And(all) => Cond::And(all.iter().map(|c| localized(c, calls)).collect()),
        Cond::Or(all) => Cond::Or(all.iter().map(|c| localized(c, calls)).collect()),
    }
}

fn local_field(field: &Field, calls: &[CallIdx]) -> Field {
    let call = |at: &CallIdx| calls.get(at.0 as usize).copied().unwrap_or(*at);
    match field {
        // How a call is written does not count, for it may be shortened.
        Field::Call(at, _) => Field::Call(call(at), "".into()),
        Field::Claim(at, name) => Field::Claim(call(at), name.clone()),
        Field::Body(at, shown) => Field::Body(call(at), shown.clone()),
        other => other.clone(),
    }
}

pub(crate) fn local_value(value: &Value, calls: &[CallIdx]) -> Value {
    let part = |part: &Part| match part {
        Part::Text(text) => Part::Text(text.clone()),
        Part::Hole { field, if_missing, .. } => {
            let mut out = part.clone();
            if let Part::Hole { field: own, if_missing: missing, .. } = &mut out {
                *own = local_field(field, calls);
                if let Some(Missing::Value(value)) = if_missing.as_deref() {
                    *missing = Some(Box::new(Missing::Value(local_value(value, calls))));
                }
            }
            out
        }
    };
    Value { parts: value.parts.iter().map(part).collect() }
}

/// How a call is known across sites and versions of them: by what it asks, pools by their endpoints.
pub(crate) fn call_key(site: &Site, call: &Call) -> String {
    // Its number is the site's own; where it is written does not count.
    let provider = |at: ProviderIdx| site.providers.get(at.0 as usize).map(|provider| provider.placeless());
    match &call.kind {
        CallKind::Ask(ask) => {
            let endpoints = site.pools.get(ask.pool.0 as usize).map(|pool| format!("{:?}", pool.endpoints));
            format!(
                "ask {endpoints:?} {} {:?} {} {:?} {:?} {:?}",
                ask.method, ask.at, ask.within_ms, ask.copy, ask.failed, ask.keep
            )
        }
        CallKind::Jwt(jwt @ Jwt { keys: KeySource::Provider(at), .. }) => {
            // Who logs in there, and how, is nothing to a token.
            let keys = provider(*at).map(|of| (of.issuer, of.keys, of.trust, of.dials));
            let bare = Jwt { keys: KeySource::Provider(ProviderIdx(0)), ..jwt.clone() };
            format!("{keys:?} {bare:?}")
        }
        CallKind::Session(session) => format!("session {:?}", provider(session.provider)),
        CallKind::Visit(at, does) => format!("{} {:?}", does.word(), provider(*at)),
        CallKind::Password(password) => format!("password {}", password.users),
        CallKind::ApiKey(key) => format!("api-key {:?} {}", key.key, key.keys),
        kind @ (CallKind::Jwt(_) | CallKind::Signed(_) | CallKind::Secret(_) | CallKind::Body(_)) => {
            format!("{kind:?}")
        }
    }
}
