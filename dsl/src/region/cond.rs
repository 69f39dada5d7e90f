//! Conditions: which can hold, which follow from others, and a request that satisfies them.
//!
//! A field's values fall into the classes that the compiler makes of its tests. Fields are taken to be
//! independent, and relations between values to be true or false at will (LANGUAGE rule 31), so that
//! "never" and "always" are certain, and a request is replayed before it is shown.

use crate::tree::calls::Outcome;
use crate::tree::eval;
use crate::tree::fields;
use crate::tree::guard::column::{ABSENT, ClassId, Column};
use crate::tree::guard::graph::{Asked, Builder, Limits};
use crate::tree::ir::{Capture, Cond, Field, KeyText, KeyType, Lookup, Test};
use crate::tree::request::Plain;
use std::sync::Arc;

/// Whether no request can satisfy a condition. False also where that cannot be decided.
pub fn never_true(cond: &Cond) -> bool {
    builder().solve(cond, &possible, &mut |_| true) == Ok(false)
}

/// Whether no request passes all of these conditions: makes them hold, and is refused by none for copies that
/// differ. False also where that cannot be decided.
pub fn never_passed(all: &[Cond]) -> bool {
    never_true(&passed(all))
}

/// What holds of the requests that pass all of these conditions. A field whose copies may not differ has one
/// value, so that `has` asks for that one.
fn passed(all: &[Cond]) -> Cond {
    let mut strict = Vec::new();
    all.iter().for_each(|cond| fields::strict_fields(cond, &mut strict));
    strict.retain(fields::repeats);
    match strict.is_empty() {
        true => Cond::And(all.to_vec()),
        false => Cond::And(all.iter().map(|cond| of_one_copy(cond, &strict)).collect()),
    }
}

fn of_one_copy(cond: &Cond, strict: &[Field]) -> Cond {
    let each = |all: &[Cond]| all.iter().map(|cond| of_one_copy(cond, strict)).collect();
    match cond {
        Cond::Test(field, Test::Has(text)) if strict.contains(field) => {
            Cond::Test(field.clone(), Test::OneOf(vec![text.clone()]))
        }
        Cond::Const(_) | Cond::Test(..) | Cond::Relate(..) => cond.clone(),
        Cond::Not(inner) => Cond::Not(Box::new(of_one_copy(inner, strict))),
        Cond::And(all) => Cond::And(each(all)),
        Cond::Or(all) => Cond::Or(each(all)),
    }
}

/// Whether every request that satisfies `a` satisfies `b`. False also where that cannot be decided.
pub fn implies(a: &Cond, b: &Cond) -> bool {
    never_true(&Cond::And(vec![a.clone(), Cond::Not(Box::new(b.clone()))]))
}

/// A request under which conditions hold, as like a given one as they allow; its host and path stay. `None`
/// where there is none, or none was found.
pub fn request_like(plain: &Plain, holding: &[Cond]) -> Option<Plain> {
    let shows = |request: &Plain| holding.iter().all(|cond| eval::cond(cond, request) == Ok(true));
    if shows(plain) {
        return Some(plain.clone());
    }
    let mut witness = None;
    let mut tries = 0;
    let order = |asked: &Asked, count: ClassId| plainest_first(asked, count, plain);
    let _ = builder().solve(&passed(holding), &order, &mut |chosen| {
        tries += 1;
        witness = request_of(chosen, plain).filter(&shows);
        witness.is_some() || tries == MAX_TRIES
    });
    witness
}

/// Combinations of classes that are made into requests before giving up.
const MAX_TRIES: usize = 256;

fn builder() -> Builder {
    Builder::new(Limits { nodes: 0, steps: 1 << 14 })
}

/// The classes that a column's field can be in.
fn possible(asked: &Asked, count: ClassId) -> Vec<ClassId> {
    match asked {
        Asked::Class(column) if always_there(&column.field) => (ABSENT + 1..count).collect(),
        Asked::Class(_) | Asked::Holds(_) => (0..count).collect(),
    }
}

fn always_there(field: &Field) -> bool {
    match field {
        Field::Method
        | Field::Path
        | Field::Uri
        | Field::Version
        | Field::Host
        | Field::ClientIp
        | Field::ClientPort => true,
        Field::QueryString
        | Field::Size
        | Field::ClientCountry
        | Field::TlsSni
        | Field::TlsVersion
        | Field::TlsAlpn
        | Field::TlsCert(_)
        | Field::Header(_)
        | Field::Cookie(_)
        | Field::Query(_)
        | Field::Capture(_)
        | Field::Row(_)
        | Field::Call(..)
        | Field::Claim(..)
        | Field::Body(..) => false,
    }
}

/// Whether the request's path and host settle a field.
fn settled(field: &Field) -> bool {
    match field {
        Field::Path
        | Field::Host
        | Field::Capture(Capture::Segment { .. } | Capture::Splat { .. } | Capture::Host { .. }) => true,
        Field::Row(lookup) => lookup.fields().all(settled),
        Field::Call(..)
        | Field::Claim(..)
        | Field::Body(..)
        | Field::Method
        | Field::Uri
        | Field::QueryString
        | Field::Size
        | Field::Version
        | Field::ClientIp
        | Field::ClientPort
        | Field::ClientCountry
        | Field::TlsSni
        | Field::TlsVersion
        | Field::TlsAlpn
        | Field::TlsCert(_)
        | Field::Header(_)
        | Field::Cookie(_)
        | Field::Query(_) => false,
    }
}

/// The class of the plain request, then the others.
fn plainest_first(asked: &Asked, count: ClassId, plain: &Plain) -> Vec<ClassId> {
    match asked {
        Asked::Holds(leaf) => {
            let first = ClassId::from(eval::holds(leaf, plain));
            vec![first, 1 - first]
        }
        Asked::Class(column) => {
            let first = column.classify(plain);
            let others = possible(asked, count).into_iter().filter(|class| *class != first && !settled(&column.field));
            std::iter::once(first).chain(others).collect()
        }
    }
}

/// The plain request, changed so that its fields are in these classes.
fn request_of(chosen: &[(&Asked, ClassId)], plain: &Plain) -> Option<Plain> {
    let mut request = plain.clone();
    for (asked, class) in chosen {
        match asked {
            Asked::Holds(Cond::Test(field, Test::Has(text))) if *class == 1 => set(field, text, &mut request)?,
            // Whether it holds shows when the request is replayed.
            Asked::Holds(_) => {}
            Asked::Class(column) if column.classify(&request) == *class => {}
            Asked::Class(column) => {
                let mut changed = value_of(column, *class, &request)?;
                std::mem::swap(&mut request, &mut changed);
            }
        }
    }
    Some(request)
}

/// The request with the field in the class: by a value that people know, if there is one.
fn value_of(column: &Column, class: ClassId, request: &Plain) -> Option<Plain> {
    let known: &[&str] = match &column.field {
        Field::Method => &["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"],
        Field::Version => &["1.1", "2", "1.0", "3"],
        Field::ClientIp => &["203.0.113.1", "198.51.100.1", "192.0.2.1", "2001:db8::1"],
        Field::ClientPort => &["50000"],
        Field::ClientCountry => &["DE", "US", "FR"],
        Field::Size => &["0", "1"],
        Field::TlsVersion | Field::TlsSni | Field::TlsAlpn => &[],
        Field::TlsCert(_) => &["CN=ann"],
        Field::Header(_) | Field::Cookie(_) | Field::Query(_) | Field::QueryString => &[],
        Field::Path | Field::Uri | Field::Host | Field::Capture(_) => &[],
        Field::Call(..) => &["yes"],
        Field::Claim(..) | Field::Body(..) | Field::Row(_) => &[],
    };
    let sendable: fn(u8) -> bool = match &column.field {
        Field::Cookie(_) => |b| b.is_ascii_graphic() && b != b';',
        Field::QueryString | Field::Uri => |b| b.is_ascii_graphic() && b != b'#',
        Field::Header(_) => |b| b.is_ascii_graphic() || b == b' ',
        Field::Query(_) => |_| true,
        Field::Method
        | Field::Path
        | Field::Size
        | Field::Version
        | Field::Host
        | Field::ClientIp
        | Field::ClientPort
        | Field::ClientCountry
        | Field::TlsSni
        | Field::TlsVersion
        | Field::TlsAlpn
        | Field::TlsCert(_)
        | Field::Capture(_)
        | Field::Row(_)
        | Field::Call(..)
        | Field::Claim(..)
        | Field::Body(..) => |b| b.is_ascii_graphic(),
    };
    let with = |value: &str| {
        let mut changed = request.clone();
        set(&column.field, value, &mut changed)?;
        (column.classify(&changed) == class).then_some(changed)
    };
    if class == ABSENT {
        let mut changed = request.clone();
        unset(&column.field, &mut changed);
        return (column.classify(&changed) == class).then_some(changed);
    }
    if let Field::Row(lookup) = &column.field {
        return of_row(lookup, request, &|changed| column.classify(changed) == class);
    }
    known.iter().find_map(|value| with(value)).or_else(|| with(&column.example(class, &sendable)?))
}

/// Rows that are tried before giving up.
const ROWS: u32 = 64;

/// The request with the key of a row that fits, where the key is one field.
fn of_row(lookup: &Lookup, request: &Plain, fits: &dyn Fn(&Plain) -> bool) -> Option<Plain> {
    let [KeyText::Field { field, lower: _ }] = lookup.key.as_slice() else { return None };
    let rows = lookup.table.rows();
    (0..ROWS.min(u32::try_from(rows.len()).unwrap_or(ROWS))).find_map(|row| {
        let key = rows.key(row);
        let key = key.split_once('/').filter(|_| lookup.table.schema.key == KeyType::Net).map_or(key, |(ip, _)| ip);
        let mut changed = request.clone();
        set(field, key, &mut changed)?;
        fits(&changed).then_some(changed)
    })
}

/// Gives a field a value; `None` where a plain request cannot have it.
fn set(field: &Field, value: &str, request: &mut Plain) -> Option<()> {
    unset(field, request);
    match field {
        Field::Method => request.method = value.into(),
        Field::Version => request.version = ["1.0", "1.1", "2", "3"].into_iter().find(|v| *v == value)?,
        Field::ClientIp => request.client.0 = value.parse().ok()?,
        Field::ClientPort => request.client.1 = value.parse().ok()?,
        Field::ClientCountry => request.country = Some(value.into()),
        Field::Size => request.headers.push(("content-length".into(), value.into())),
        Field::Header(name) => request.headers.push((name.to_string(), value.into())),
        Field::Cookie(name) => {
            let pair = format!("{name}={value}");
            match request.headers.iter_mut().find(|(name, _)| name == "cookie") {
                Some((_, line)) => line.extend_from_slice(format!("; {pair}").as_bytes()),
                None => request.headers.push(("cookie".into(), pair.into())),
            }
        }
        Field::Query(name) => {
            let mut pair = String::new();
            encode(name, &mut pair);
            pair.push('=');
            encode(value, &mut pair);
            match &mut request.query {
                Some(query) => *query = format!("{query}&{pair}"),
                None => request.query = Some(pair),
            }
        }
        Field::QueryString => request.query = Some(value.into()),
        Field::Uri => request.query = Some(value.strip_prefix(&*request.path)?.strip_prefix('?')?.into()),
        Field::TlsSni | Field::TlsVersion => request.https = true,
        Field::TlsCert(part) => request.prove(*part, value),
        Field::Call(call, _) => request.calls.suppose(*call, Outcome::Yes(Arc::from([]))),
        Field::Claim(call, name) => request.calls.suppose_claim(*call, name, value),
        Field::Body(call, _) => request.calls.suppose_claim(*call, "", value),
        Field::Path | Field::Host | Field::TlsAlpn | Field::Capture(_) | Field::Row(_) => return None,
    }
    Some(())
}

/// Takes a field out, where that is possible.
fn unset(field: &Field, request: &mut Plain) {
    match field {
        Field::Header(name) => request.headers.retain(|(n, _)| **n != **name),
        Field::Size => request.headers.retain(|(n, _)| n != "content-length"),
        Field::Cookie(name) => {
            for (_, line) in request.headers.iter_mut().filter(|(n, _)| n == "cookie") {
                let text = String::from_utf8_lossy(line);
                let kept: Vec<&str> = text.split("; ").filter(|pair| pair.split('=').next() != Some(name)).collect();
                *line = kept.join("; ").into();
            }
            request.headers.retain(|(n, line)| n != "cookie" || !line.is_empty());
        }
        Field::Query(_) | Field::QueryString => request.query = None,
        Field::TlsSni | Field::TlsVersion => request.https = false,
        Field::TlsCert(_) => request.tls.cert = None,
        Field::ClientCountry => request.country = None,
        Field::Call(call, _) | Field::Body(call, _) => request.calls.suppose(*call, Outcome::No),
        // Known again when it is told anew; a call that says yes may tell nothing by this name.
        Field::Claim(call, _) => request.calls.suppose(*call, Outcome::Yes(Arc::from([]))),
        // Most keys have no row.
        Field::Row(lookup) => lookup.fields().for_each(|field| unset(field, request)),
        Field::Method
        | Field::Path
        | Field::Uri
        | Field::Version
        | Field::Host
        | Field::ClientIp
        | Field::ClientPort
        | Field::TlsAlpn
        | Field::Capture(_) => {}
    }
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            byte if crate::tree::bytes::unreserved(byte) => out.push(byte.into()),
            byte => crate::tree::bytes::push_escape(out, byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::ir::*;

    fn is(field: Field, all: &[&str]) -> Cond {
        Cond::Test(field, Test::OneOf(all.iter().map(|one| (*one).into()).collect()))
    }

    fn not(cond: &Cond) -> Cond {
        Cond::Not(Box::new(cond.clone()))
    }

    fn number(order: Order, n: i64) -> Cond {
        Cond::Test(Field::Size, Test::Number(order, n))
    }

    fn nets(all: &[&str]) -> Cond {
        Cond::Test(Field::ClientIp, Test::InNets(all.iter().map(|net| net.parse().unwrap()).collect()))
    }

    fn header(test: Test) -> Cond {
        Cond::Test(Field::Header("x".into()), test)
    }

    #[test]
    fn what_is_never_true() {
        let get = is(Field::Method, &["GET"]);
        let post = is(Field::Method, &["POST"]);
        let starts = header(Test::StartsWith("ab".into()));
        let matches = header(Test::Matches(Regex::new("[0-9]+").unwrap()));
        let present = header(Test::Present);
        for (cond, never) in [
            (Cond::And(vec![get.clone(), post.clone()]), true),
            (Cond::Or(vec![get.clone(), post.clone()]), false),
            (Cond::And(vec![starts.clone(), matches.clone()]), true),
            (Cond::And(vec![starts.clone(), not(&present)]), true),
            (Cond::And(vec![not(&starts), not(&present)]), false),
            (Cond::And(vec![number(Order::Lt, 5), number(Order::Gt, 5)]), true),
            (number(Order::Lt, 0), true),
            (Cond::And(vec![number(Order::Le, 5), number(Order::Ge, 5)]), false),
            (Cond::And(vec![nets(&["10.0.0.0/8"]), nets(&["192.168.0.0/16"])]), true),
            (Cond::And(vec![nets(&["10.0.0.0/8"]), nets(&["10.1.0.0/16"])]), false),
            (Cond::Not(Box::new(Cond::Test(Field::Method, Test::Present))), true),
            (Cond::Const(false), true),
            (Cond::Const(true), false),
        ] {
            assert_eq!(never_true(&cond), never, "{cond}");
        }
    }

    #[test]
    fn what_is_never_passed() {
        let has = |text: &str| header(Test::Has(text.into()));
        let (one, present) = (header(Test::OneOf(vec!["1".into()])), header(Test::Present));
        let y = Cond::Test(Field::Header("y".into()), Test::Present);
        for never in [vec![has("2"), one.clone()], vec![has("2"), not(&present)], vec![has("1"), not(&one)]] {
            assert!(never_passed(&never), "{never:?}");
            assert!(!never_true(&Cond::And(never.clone())), "copies that differ make them hold: {never:?}");
        }
        for passed in [
            vec![has("1"), one.clone()],
            vec![has("1"), not(&has("2")), present],
            vec![Cond::Or(vec![has("2"), is(Field::Method, &["GET"])]), one],
            vec![has("2"), y],
        ] {
            assert!(!never_passed(&passed) && request_like(&Plain::default(), &passed).is_some(), "{passed:?}");
        }
        assert!(!never_passed(&[has("1"), has("2")]), "two copies, and neither is refused");
    }

    #[test]
    fn what_follows() {
        let get = is(Field::Method, &["GET"]);
        let safe = is(Field::Method, &["GET", "HEAD"]);
        assert!(implies(&get, &safe) && !implies(&safe, &get));
        let both = Cond::And(vec![get.clone(), header(Test::Present)]);
        assert!(implies(&both, &safe) && !implies(&safe, &both));
        assert!(implies(&nets(&["10.1.0.0/16"]), &nets(&["10.0.0.0/8"])));
        assert!(implies(&nets(&["0.0.0.0/1", "128.0.0.0/1"]), &nets(&["0.0.0.0/0"])));
        assert!(implies(&number(Order::Eq, 7), &number(Order::Lt, 8)));
        assert!(implies(&header(Test::OneOf(vec!["abc".into()])), &header(Test::StartsWith("ab".into()))));
        assert!(implies(&header(Test::EndsWith("b".into())), &header(Test::Present)));
    }

    #[test]
    fn witnesses_are_plain_and_true() {
        let base = Plain { host: "shop.example.com".into(), path: "/u/7".into(), ..Plain::default() };
        let witness = |holding: &[&Cond], failing: &[&Cond]| {
            let fails = failing.iter().map(|cond| not(cond));
            request_like(&base, &holding.iter().map(|cond| (*cond).clone()).chain(fails).collect::<Vec<_>>())
        };
        let get = is(Field::Method, &["GET"]);
        let plain = witness(&[&get], &[]).unwrap();
        assert_eq!((&*plain.method, &*plain.host, &*plain.path), ("GET", "shop.example.com", "/u/7"));
        assert!(plain.headers.is_empty() && plain.query.is_none());
        assert_eq!(witness(&[], &[&get]).unwrap().method, "POST");
        let canary = is(Field::Cookie("canary".into()), &["always"]);
        let sid = Cond::Test(Field::Cookie("sid".into()), Test::Matches(Regex::new("[0-9]{3}").unwrap()));
        let both = witness(&[&canary, &sid], &[]).unwrap();
        assert_eq!(both.headers, [("cookie".to_string(), b"canary=always; sid=777".to_vec())]);
        let text = header(Test::Has("a b".into()));
        assert_eq!(witness(&[&text], &[]).unwrap().headers, [("x".to_string(), b"a b".to_vec())]);
        let query = is(Field::Query("q".into()), &["a&b"]);
        assert_eq!(witness(&[&query], &[]).unwrap().query.as_deref(), Some("q=a%26b"));
        let office = nets(&["10.0.0.0/8"]);
        assert_eq!(witness(&[&office], &[]).unwrap().client.0.to_string(), "10.0.0.0");
        assert_eq!(witness(&[], &[&office]).unwrap().client.0.to_string(), "203.0.113.1");
        let id =
            Cond::Test(Field::Capture(Capture::Segment { index: 1, prefix: 0, suffix: 0 }), Test::Number(Order::Eq, 8));
        assert_eq!(witness(&[&id], &[]), None, "the path says 7");
        assert_eq!(witness(&[&get], &[&get]), None);
    }
}
