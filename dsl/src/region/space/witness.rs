//! A request out of a region: as plain a one as there is.

use super::classes::{Class, Example};
use super::cube::Cube;
use super::{HOST, Region, Space, What};
use crate::tree::calls::Outcome;
use crate::tree::eval;
use crate::tree::fields::{self, Read};
use crate::tree::ir::{CallIdx, Cond, Field, Part, Relation, Site, Test, Tls, Value};
use crate::tree::request::{Plain, Request};
use std::sync::Arc;

/// Boxes and paths that are tried for one witness.
const TRIES: usize = 64;

impl Region {
    /// A request of a site that is in the region. It was looked at again after it was made; `None`
    /// where there is none, or where what it would need is opaque and was not met.
    pub fn witness(&self, site: usize) -> Option<Plain> {
        let mut order: Vec<&Cube> = self.cubes.iter().collect();
        // What rests on nothing opaque first, then what says least.
        order.sort_by_key(|cube| (self.space.opaque_dims(cube), cube.fields.len()));
        let mut tries = TRIES;
        for cube in order {
            let paths = cube.path.as_ref().map_or(&[0][..], |path| &path[..]);
            for path in paths.iter().take(4) {
                tries = tries.checked_sub(1)?;
                let request = self.space.request(site, cube, *path);
                if let Some(request) = request.filter(|request| self.contains(site, request)) {
                    return Some(request);
                }
            }
        }
        None
    }

    /// Whether a request to a site is in the region; opaque conditions are asked of the request.
    pub fn contains(&self, site: usize, request: &impl Request) -> bool {
        let Some(at) = self.space.place(site, request) else { return false };
        self.cubes.iter().any(|cube| {
            cube.path.as_ref().is_none_or(|path| path.binary_search(&at.0).is_ok())
                && cube.fields.iter().all(|(dim, set)| at.1[usize::from(*dim)].is_some_and(|n| set.contains(n)))
        })
    }
}

impl Space {
    fn opaque_dims(&self, cube: &Cube) -> usize {
        let opaque = |dim: u16| match &self.dims[usize::from(dim)].what {
            What::Host | What::Field { opaque: false, .. } => false,
            What::Field { .. } | What::Opaque(_) => true,
        };
        cube.fields.iter().filter(|(dim, _)| opaque(*dim)).count()
    }

    /// The classes of a request: of its path, and of each dimension.
    fn place(&self, site: usize, request: &impl Request) -> Option<(u32, Vec<Option<usize>>)> {
        let path = self.paths.class_of(request.path())?;
        let dims = self.dims.iter().map(|dim| match &dim.what {
            What::Host => self.hosts.class_of(request.host()),
            What::Field { field, tests, .. } => {
                let field = self.field_of(site, field)?;
                let read = fields::read(&field, request);
                let kind = |class: &Class| match (&class.example, &read) {
                    (Example::Missing, Read::Missing)
                    | (Example::One(_), Read::One(_))
                    | (Example::Several(_), Read::Conflict) => true,
                    (Example::Missing | Example::One(_) | Example::Several(_), _) => false,
                };
                let holds = |test: &Test| eval::holds(&Cond::Test(field.clone(), test.clone()), request);
                let signature: Vec<bool> = tests.iter().map(holds).collect();
                dim.classes.iter().position(|class| kind(class) && *class.signature == *signature)
            }
            What::Opaque(cond) => {
                let cond = self.cond_of(site, cond)?;
                Some(usize::from(eval::holds(&cond, request)))
            }
        });
        Some((path, dims.collect()))
    }

    /// The call of a site that is this one of the space; `None` where the site has none like it.
    fn call_of(&self, site: usize, call: CallIdx) -> Option<CallIdx> {
        let at = self.sites[site].calls.iter().position(|c| *c == call)?;
        u32::try_from(at).ok().map(CallIdx)
    }

    /// A field of the space as one of a site.
    fn field_of(&self, site: usize, field: &Field) -> Option<Field> {
        Some(match field {
            Field::Call(call, shown) => Field::Call(self.call_of(site, *call)?, shown.clone()),
            Field::Claim(call, name) => Field::Claim(self.call_of(site, *call)?, name.clone()),
            Field::Body(call, shown) => Field::Body(self.call_of(site, *call)?, shown.clone()),
            other => other.clone(),
        })
    }

    /// A condition of the space as one of a site.
    fn cond_of(&self, site: usize, cond: &Cond) -> Option<Cond> {
        let calls: Vec<CallIdx> = (0..self.calls.len())
            .map(|at| u32::try_from(at).ok().and_then(|at| self.call_of(site, CallIdx(at))))
            .map(|call| call.unwrap_or(CallIdx(u32::MAX)))
            .collect();
        Some(super::localized(cond, &calls))
    }

    /// A request in a box, on a path of a class; not yet looked at again.
    fn request(&self, site: usize, cube: &Cube, path: u32) -> Option<Plain> {
        let of: &Site = &self.sites[site].site;
        let mut request = Plain { path: self.paths.example(path), ..Plain::default() };
        request.https = of.settings.tls != Tls::Off;
        request.host = self.host(site, cube)?;
        for call in 0..of.calls.len() {
            // What nobody says anything of says no.
            request.calls.suppose(CallIdx(u32::try_from(call).ok()?), Outcome::No);
        }
        let mut later = Vec::new();
        for (dim, set) in cube.fields.iter().filter(|(dim, _)| *dim != HOST) {
            let Dim { what, classes } = &self.dims[usize::from(*dim)];
            match what {
                What::Host => {}
                What::Field { field, tests, .. } => {
                    let field = self.field_of(site, field)?;
                    if is_in(&field, tests, classes, &request, set) {
                        continue;
                    }
                    // The plainest that there is: the classes are sorted so.
                    let secret = matches!(field, Field::TlsVersion) && !self.is_clear(cube);
                    let fits = |n: &usize| !secret || classes[*n].example != Example::Missing;
                    let class = set.iter().find(fits)?;
                    give(&field, &classes[class].example, &mut request)?;
                }
                What::Opaque(cond) => later.push((self.cond_of(site, cond)?, set.contains(1) && !set.contains(0))),
            }
        }
        for (cond, wanted) in later {
            if eval::holds(&cond, &request) != wanted && wanted {
                satisfy(&cond, &mut request);
            }
        }
        Some(request)
    }

    /// Whether requests of a box can come over a clear connection.
    fn is_clear(&self, cube: &Cube) -> bool {
        [Field::TlsSni, Field::TlsVersion, Field::TlsAlpn].iter().all(|field| {
            let dim = self.by_field.get(field);
            let set = dim.and_then(|dim| cube.fields.iter().find(|(d, _)| d == dim));
            set.is_none_or(|(dim, set)| {
                let classes = &self.dims[usize::from(*dim)].classes;
                set.iter().any(|n| classes[n].example == Example::Missing)
            })
        })
    }

    /// A host of a site in a box: one that the site names, where there is one.
    fn host(&self, site: usize, cube: &Cube) -> Option<String> {
        let set = cube.fields.iter().find(|(dim, _)| *dim == HOST).map(|(_, set)| set);
        let fits = |class: usize| self.hosts.belongs(class, site) && set.is_none_or(|set| set.contains(class));
        let named = self.sites[site].site.hosts.iter().filter_map(|(host, _)| host.literal());
        let named = named.filter(|host| self.hosts.class_of(host).is_some_and(fits));
        let others = (0..self.hosts.classes.len()).filter(|class| fits(*class));
        named.chain(others.map(|class| self.hosts.classes[class].example.clone())).next()
    }
}

use super::Dim;

/// Whether a field of a request is in one of some classes already.
fn is_in(field: &Field, tests: &[Test], classes: &[Class], request: &Plain, set: &super::Set) -> bool {
    let read = fields::read(field, request);
    let signature: Vec<bool> =
        tests.iter().map(|test| eval::holds(&Cond::Test(field.clone(), test.clone()), request)).collect();
    set.iter().any(|n| {
        let kind = match (&classes[n].example, &read) {
            (Example::Missing, Read::Missing) | (Example::One(_), Read::One(_)) => true,
            (Example::Missing | Example::One(_) | Example::Several(_), _) => false,
        };
        kind && *classes[n].signature == *signature
    })
}

/// Gives a field what a class says.
fn give(field: &Field, example: &Example, request: &mut Plain) -> Option<()> {
    match example {
        Example::Missing => take(field, request),
        Example::One(value) => {
            take(field, request);
            add(field, value, request)?;
        }
        Example::Several(all) => {
            take(field, request);
            for value in all {
                add(field, value, request)?;
            }
        }
    }
    Some(())
}

/// Takes a field out of a request, where it can be missing.
fn take(field: &Field, request: &mut Plain) {
    match field {
        Field::Header(name) => request.headers.retain(|(n, _)| **n != **name),
        Field::Size => request.headers.retain(|(n, _)| n != "content-length"),
        Field::TlsSni | Field::TlsVersion => request.https = false,
        Field::TlsAlpn => request.tls.alpn = None,
        Field::TlsCert(_) => request.tls.cert = None,
        Field::ClientCountry => request.country = None,
        Field::Call(call, _) | Field::Body(call, _) => request.calls.suppose(*call, Outcome::No),
        Field::QueryString => request.query = None,
        Field::Claim(..)
        | Field::Cookie(_)
        | Field::Query(_)
        | Field::Method
        | Field::Path
        | Field::Uri
        | Field::Version
        | Field::Host
        | Field::ClientIp
        | Field::ClientPort
        | Field::Capture(_)
        | Field::Row(_) => {}
    }
}

/// Adds a value of a field; `None` where a plain request cannot have it.
fn add(field: &Field, value: &[u8], request: &mut Plain) -> Option<()> {
    let text = || std::str::from_utf8(value).ok();
    match field {
        Field::Method => request.method = text()?.into(),
        Field::Version => request.version = ["1.0", "1.1", "2", "3"].into_iter().find(|v| Some(*v) == text())?,
        Field::ClientIp => request.client.0 = text()?.parse().ok()?,
        Field::ClientPort => request.client.1 = text()?.parse().ok()?,
        Field::ClientCountry => request.country = Some(text()?.into()),
        Field::Size => request.headers.push(("content-length".into(), value.to_vec())),
        Field::Header(name) => request.headers.push((name.to_string(), value.to_vec())),
        Field::Cookie(name) => {
            let pair = [name.as_bytes(), b"=", value].concat();
            match request.headers.iter_mut().find(|(name, _)| name == "cookie") {
                Some((_, line)) => {
                    line.extend_from_slice(b"; ");
                    line.extend(pair);
                }
                None => request.headers.push(("cookie".into(), pair)),
            }
        }
        Field::Query(name) => {
            let pair = format!("{}={}", escaped(name.as_bytes()), escaped(value));
            request.query = Some(match request.query.take() {
                Some(query) => format!("{query}&{pair}"),
                None => pair,
            });
        }
        Field::QueryString => request.query = Some(text()?.into()),
        Field::Uri => request.query = Some(text()?.strip_prefix(&*request.path)?.strip_prefix('?')?.into()),
        Field::TlsSni => {
            request.https = true;
            request.tls.sni = Some(text()?.into());
        }
        Field::TlsVersion => {
            request.https = true;
            request.tls.version = Some(text()?.into());
        }
        Field::TlsAlpn => {
            request.https = true;
            request.tls.alpn = Some(text()?.into());
        }
        Field::TlsCert(part) => request.prove(*part, text()?),
        Field::Call(call, _) => request.calls.suppose(*call, Outcome::Yes(Arc::from([]))),
        Field::Claim(call, name) => request.calls.suppose_claim(*call, name, text()?),
        Field::Body(call, _) => request.calls.suppose_claim(*call, "", text()?),
        Field::Path | Field::Host | Field::Row(_) | Field::Capture(_) => return None,
    }
    Some(())
}

fn escaped(text: &[u8]) -> String {
    let mut out = String::new();
    for byte in text {
        match *byte {
            byte if crate::tree::bytes::unreserved(byte) => out.push(byte.into()),
            byte => crate::tree::bytes::push_escape(&mut out, byte),
        }
    }
    out
}

/// Tries to make an opaque condition hold; whether it does now, the request is asked again.
fn satisfy(cond: &Cond, request: &mut Plain) {
    let mut with = |field: &Field, values: Vec<Vec<u8>>| {
        for value in values {
            let mut changed = request.clone();
            if give(field, &Example::One(value), &mut changed).is_some() && eval::holds(cond, &changed) {
                std::mem::swap(request, &mut changed);
                return;
            }
        }
    };
    match cond {
        Cond::Test(field, test) => with(field, examples(field, test)),
        Cond::Relate(left, Relation::Is | Relation::StartsWith | Relation::EndsWith | Relation::Has, right) => {
            for (set, to) in [(left, right), (right, left)] {
                if let (Some(field), Some(value)) = (single(set), text_of(to, request)) {
                    let mut changed = request.clone();
                    let given = give(field, &Example::One(value), &mut changed).is_some();
                    if given && eval::holds(cond, &changed) {
                        *request = changed;
                        return;
                    }
                }
            }
            // Neither is there: the same text for both.
            if let (Some(a), Some(b)) = (single(left), single(right)) {
                let mut changed = request.clone();
                let one = Example::One(b"x".to_vec());
                if give(a, &one, &mut changed).is_some() && give(b, &one, &mut changed).is_some() {
                    *request = changed;
                }
            }
        }
        Cond::Const(_) | Cond::Not(_) | Cond::And(_) | Cond::Or(_) => {}
    }
}

/// Texts that may pass a test.
fn examples(field: &Field, test: &Test) -> Vec<Vec<u8>> {
    let form =
        super::classes::Form { texts: super::language::Texts::Header, optional: false, repeats: false, known: &[] };
    let own = std::slice::from_ref(test);
    let nets = match test {
        Test::InNets(_) => super::classes::of_addresses(own),
        _ => super::classes::of_text(own, form, 4096).unwrap_or_default(),
    };
    let passing = nets.into_iter().filter(|class| class.signature[0]);
    let mut out: Vec<Vec<u8>> = passing
        .filter_map(|class| match class.example {
            Example::One(text) => Some(text),
            Example::Missing | Example::Several(_) => None,
        })
        .collect();
    if let (Field::Uri, Test::StartsWith(text) | Test::EndsWith(text) | Test::Has(text)) = (field, test) {
        out.push(text.as_bytes().to_vec());
    }
    out
}

/// The field that a value is.
fn single(value: &Value) -> Option<&Field> {
    match &*value.parts {
        [Part::Hole { field, .. }] => Some(field),
        _ => None,
    }
}

/// The text of a value in a request.
fn text_of(value: &Value, request: &Plain) -> Option<Vec<u8>> {
    let mut out = String::new();
    eval::render(value, request, &mut out).ok()?;
    Some(out.into_bytes())
}
