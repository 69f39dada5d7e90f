use super::*;
use crate::tree::ir::{Capture, Regex};
use crate::tree::request::Plain;

fn header(name: &str) -> Field {
    Field::Header(name.into())
}

fn get(path: &str) -> Plain {
    Plain { host: "a.example".into(), path: path.into(), ..Plain::default() }
}

fn with(headers: &[(&str, &str)]) -> Plain {
    let headers = headers.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect();
    Plain { headers, ..get("/") }
}

fn is(field: Field, text: &str) -> Cond {
    Cond::Test(field, Test::OneOf(vec![text.into()]))
}

fn hole(field: Field, encode: Encode) -> Part {
    Part::Hole { field, transform: Transform::None, encode, if_missing: None }
}

fn text(text: &str) -> Part {
    Part::Text(text.into())
}

fn segment(index: u32) -> Field {
    Field::Capture(Capture::Segment { index, prefix: 0, suffix: 0 })
}

fn splat(from: u32) -> Field {
    Field::Capture(Capture::Splat { from })
}

/// The path of an `at`, or why there is none.
fn at(parts: Vec<Part>, path: &str) -> Result<String, String> {
    let value = Value { parts };
    let mut out = String::new();
    match render_path(&value, &get(path), Paths::Canonical, &mut out) {
        Ok(()) => Ok(out),
        Err(why) => Err(format!("{why:?}")),
    }
}

fn rendered(part: Part, request: &Plain) -> Result<String, String> {
    let value = Value { parts: vec![part] };
    let mut out = String::from("before ");
    match render(&value, request, &mut out) {
        Ok(()) => Ok(out.strip_prefix("before ").unwrap().to_owned()),
        Err(why) => Err(format!("{why:?}")),
    }
}

#[test]
fn missing_is_unequal_to_everything() {
    let request = get("/");
    for test in [
        Test::Present,
        Test::OneOf(vec!["".into()]),
        Test::StartsWith("".into()),
        Test::EndsWith("".into()),
        Test::Has("".into()),
        Test::Matches(Regex::new(".*").unwrap()),
        Test::InNets(vec!["0.0.0.0/0".parse().unwrap()]),
        Test::Number(Order::Ge, 0),
    ] {
        let leaf = Cond::Test(header("x"), test.clone());
        assert_eq!(cond(&leaf, &request), Ok(false), "{test:?}");
        assert_eq!(cond(&Cond::Not(Box::new(leaf)), &request), Ok(true), "{test:?}");
    }
    let same = Value { parts: vec![hole(header("x"), Encode::Plain)] };
    let relate = Cond::Relate(Box::new(same.clone()), Relation::Is, Box::new(same));
    assert_eq!(cond(&relate, &request), Ok(false), "two missing values are not the same");
}

#[test]
fn a_second_copy_slips_past_no_test() {
    let request =
        with(&[("x", "a"), ("x", "b"), ("y", "a"), ("y", "a"), ("cookie", "s=1; t=1"), ("cookie", "s=2; t=1")]);
    for field in [header("x"), Field::Cookie("s".into())] {
        // Also where another part settles the condition already.
        let settled = Cond::Or(vec![Cond::Const(true), is(field.clone(), "a")]);
        for named in [is(field.clone(), "a"), Cond::Test(field.clone(), Test::Present), settled] {
            assert_eq!(cond(&named, &request), Err(Conflict(field.clone())));
        }
    }
    assert_eq!(cond(&is(header("y"), "a"), &request), Ok(true), "equal copies are one value");
    assert_eq!(cond(&is(Field::Cookie("t".into()), "1"), &request), Ok(true));
    let has = |text: &str| Cond::Test(header("x"), Test::Has(text.into()));
    assert_eq!(cond(&has("b"), &request), Ok(true), "`has` asks for any copy");
    assert_eq!(cond(&has("c"), &request), Ok(false));
    let query = Plain { query: Some("q=a&q=%61&p=1&%70=2".into()), ..get("/") };
    assert_eq!(cond(&is(Field::Query("q".into()), "a"), &query), Ok(true), "equal once decoded");
    assert_eq!(cond(&is(Field::Query("p".into()), "1"), &query), Err(Conflict(Field::Query("p".into()))));
    let value = Value { parts: vec![hole(header("x"), Encode::Header)] };
    assert_eq!(render(&value, &request, &mut String::new()), Err(Unrenderable::Conflict(header("x"))));
}

#[test]
fn a_split_cookie_header_is_one_header() {
    let request = with(&[("cookie", "a=1"), ("cookie", "b=2")]);
    assert_eq!(cond(&is(header("cookie"), "a=1; b=2"), &request), Ok(true));
}

#[test]
fn fields_as_they_arrive() {
    let request = Plain {
        query: Some("a=1+2&b=%C3%A9&c&d=&&e=%zz".into()),
        headers: vec![("cookie".into(), b"x=1;y = 2 ; z;w=a=b".to_vec()), ("content-length".into(), b"12".to_vec())],
        client: ("::ffff:10.0.0.1".parse().unwrap(), 7),
        ..get("/p/q")
    };
    let query = |name: &str| Field::Query(name.into());
    let cookie = |name: &str| Field::Cookie(name.into());
    for (field, text) in [
        (query("a"), "1 2"),
        (query("b"), "é"),
        (query("c"), ""),
        (query("d"), ""),
        (query("e"), "%zz"),
        (cookie("x"), "1"),
        (cookie("y"), "2"),
        (cookie("w"), "a=b"),
        (Field::Size, "12"),
        (Field::ClientIp, "10.0.0.1"),
        (Field::ClientPort, "7"),
        (Field::Uri, "/p/q?a=1+2&b=%C3%A9&c&d=&&e=%zz"),
        (segment(1), "q"),
        (splat(1), "q"),
        (splat(5), ""),
        (Field::Capture(Capture::Host { prefix: 0, suffix: 0 }), "a"),
        (Field::TlsSni, "a.example"),
    ] {
        assert_eq!(cond(&is(field.clone(), text), &request), Ok(true), "{field} is {text:?}");
    }
    for field in [query("z"), cookie("z"), cookie("X"), segment(2), Field::TlsAlpn] {
        assert_eq!(cond(&Cond::Test(field.clone(), Test::Present), &request), Ok(false), "{field}");
    }
}

#[test]
fn rule_10_an_empty_splat_drops_the_slash_before_it() {
    let rest = || vec![text("/internal/"), hole(segment(1), Encode::Segment), text("/"), hole(splat(2), Encode::Path)];
    assert_eq!(at(rest(), "/api/v1/users/7").as_deref(), Ok("/internal/v1/users/7"));
    assert_eq!(at(rest(), "/api/v1").as_deref(), Ok("/internal/v1"));
    assert_eq!(at(vec![text("/"), hole(splat(1), Encode::Path)], "/legacy").as_deref(), Ok("/"));
    let query = vec![text("/x/"), hole(splat(1), Encode::Path), text("?v=1")];
    assert_eq!(at(query, "/legacy").as_deref(), Ok("/x?v=1"));
}

#[test]
fn rule_10_a_trailing_slash_survives_at() {
    let rest = || vec![text("/internal/"), hole(splat(1), Encode::Path)];
    assert_eq!(at(rest(), "/api/x/").as_deref(), Ok("/internal/x/"));
    assert_eq!(at(rest(), "/api/").as_deref(), Ok("/internal/"));
    let id = || vec![text("/users/"), hole(segment(1), Encode::Segment)];
    assert_eq!(at(id(), "/u/7/").as_deref(), Ok("/users/7/"));
    assert_eq!(at(id(), "/u/7").as_deref(), Ok("/users/7"));
    assert_eq!(at(vec![text("/index.html")], "/u/7/").as_deref(), Ok("/index.html"), "one resource, named");
}

#[test]
fn rule_11_a_request_uri_in_a_redirect_starts_with_a_slash() {
    let to = Value { parts: vec![text("https://shop.example.com"), hole(Field::Uri, Encode::Encoded)] };
    let request = Plain { query: Some("a=%20b&c".into()), ..get("/x/y") };
    let mut out = String::new();
    assert_eq!(render_url(&to, &request, Paths::Canonical, &mut out), Ok(()));
    assert_eq!(out, "https://shop.example.com/x/y?a=%20b&c");
    let asterisk = Plain { path: "*".into(), ..get("/") };
    let refused = render_url(&to, &asterisk, Paths::Canonical, &mut String::new());
    assert_eq!(refused, Err(Unrenderable::BadRequest(BadText::NotCanonical)));
}

#[test]
fn rule_24_each_hole_is_encoded_for_its_place() {
    let request = Plain { query: Some("q=a%2Fb%26c+d".into()), ..get("/files/a%20b%3F+c/d") };
    let value = segment(1);
    for (encode, expected) in [
        (Encode::Plain, "a b?+c"),
        (Encode::Segment, "a%20b%3F+c"),
        (Encode::Query, "a%20b%3F%2Bc"),
        (Encode::Header, "a b?+c"),
    ] {
        assert_eq!(rendered(hole(value.clone(), encode), &request).as_deref(), Ok(expected), "{encode:?}");
    }
    let q = Field::Query("q".into());
    for (encode, expected) in [
        (Encode::Plain, "a/b&c d"),
        (Encode::Segment, "a%2Fb&c%20d"),
        (Encode::Path, "a/b&c%20d"),
        (Encode::Query, "a%2Fb%26c%20d"),
    ] {
        assert_eq!(rendered(hole(q.clone(), encode), &request).as_deref(), Ok(expected), "{encode:?}");
    }
    assert_eq!(
        rendered(hole(splat(1), Encode::Path), &request).as_deref(),
        Ok("a%20b%3F+c/d"),
        "splats keep their slashes"
    );
    assert_eq!(rendered(hole(splat(1), Encode::Segment), &request).as_deref(), Ok("a%20b%3F+c%2Fd"));
}

#[test]
fn rule_24_an_escaped_slash_is_forwarded_as_sent() {
    let value = Value { parts: vec![text("/r/"), hole(splat(0), Encode::Path)] };
    let mut out = String::new();
    assert_eq!(render_path(&value, &get("/@scope%2Fname/x"), Paths::OpaqueSlash, &mut out), Ok(()));
    assert_eq!(out, "/r/@scope%2Fname/x");
}

#[test]
fn rule_24_a_result_that_is_not_canonical_is_refused() {
    let dots = vec![text("/a/."), hole(segment(0), Encode::Segment), text("/b")];
    assert_eq!(at(dots, "/."), Err("BadRequest(NotCanonical)".into()));
    let header_in_path = Value { parts: vec![text("/t/"), hole(header("x"), Encode::Path)] };
    for evil in ["../admin", "a//b", "/", "%", "a\\b"] {
        let request = with(&[("x", evil)]);
        let result = render_path(&header_in_path, &request, Paths::Canonical, &mut String::new());
        let expected = if evil == "%" { Ok(()) } else { Err(Unrenderable::BadRequest(BadText::NotCanonical)) };
        assert_eq!(result, expected, "{evil}");
    }
    let to = Value { parts: vec![text("https://b.example/"), hole(header("x"), Encode::Path)] };
    let request = with(&[("x", "../up")]);
    let result = render_url(&to, &request, Paths::Canonical, &mut String::new());
    assert_eq!(result, Err(Unrenderable::BadRequest(BadText::NotCanonical)));
}

#[test]
fn rule_24_control_bytes_in_a_header_are_refused() {
    for path in ["/a%0d%0aset-cookie:x", "/a%00", "/a%09b", "/a%7F"] {
        let result = rendered(hole(segment(0), Encode::Header), &get(path));
        assert_eq!(result, Err("BadRequest(Control)".into()), "{path}");
    }
    assert_eq!(rendered(hole(segment(0), Encode::Header), &get("/a%FF")), Err("BadRequest(NotUtf8)".into()));
    assert_eq!(rendered(hole(segment(0), Encode::Header), &get("/caf%C3%A9")).as_deref(), Ok("café"));
}

#[test]
fn authorities_take_labels_only() {
    let x = || hole(header("x"), Encode::Authority);
    for (sent, fits) in [
        ("tenant-7", true),
        ("7", true),
        ("a.b", true),
        ("[::1]", true),
        ("a@b", false),
        ("a/b", false),
        ("a:80", false),
        ("", false),
        (".", false),
        ("a..b", false),
        ("[x]", false),
        ("a b", false),
    ] {
        assert_eq!(rendered(x(), &with(&[("x", sent)])).is_ok(), fits, "{sent:?}");
    }
}

#[test]
fn what_stands_in_for_a_missing_field() {
    let answer = Answer::Deny { status: 401 };
    let maybe = |missing| {
        let if_missing = Some(Box::new(missing));
        Value {
            parts: vec![
                text("k-"),
                Part::Hole { field: header("x"), transform: Transform::Lower, encode: Encode::Plain, if_missing },
            ],
        }
    };
    let mut out = String::new();
    let value = maybe(Missing::Value(Value { parts: vec![hole(Field::ClientIp, Encode::Plain)] }));
    assert_eq!(render(&value, &get("/"), &mut out), Ok(()));
    assert_eq!(out, "k-203.0.113.1");
    out.clear();
    assert_eq!(render(&value, &with(&[("x", "ABC")]), &mut out), Ok(()));
    assert_eq!(out, "k-abc");
    let value = maybe(Missing::Answer(answer.clone()));
    assert_eq!(render(&value, &get("/"), &mut out), Err(Unrenderable::Answer(&answer)));
    let value = Value { parts: vec![hole(header("x"), Encode::Plain)] };
    assert_eq!(render(&value, &get("/"), &mut out), Err(Unrenderable::Missing(&header("x"))));
}

#[test]
fn relations_compare_whole_texts() {
    let long = "a".repeat(300);
    let request = with(&[("x", &format!("{long}b")), ("y", &long), ("z", "AB")]);
    let value = |name: &str| Box::new(Value { parts: vec![hole(header(name), Encode::Plain)] });
    let relate = |a: &str, relation, b: &str| cond(&Cond::Relate(value(a), relation, value(b)), &request).unwrap();
    assert!(relate("x", Relation::StartsWith, "y") && !relate("y", Relation::StartsWith, "x"));
    assert!(relate("x", Relation::Has, "y") && !relate("x", Relation::EndsWith, "y"));
    assert!(relate("x", Relation::Is, "x") && !relate("x", Relation::Is, "y"));
    let lower = Value {
        parts: vec![Part::Hole {
            field: header("z"),
            transform: Transform::Lower,
            encode: Encode::Plain,
            if_missing: None,
        }],
    };
    let constant = Value { parts: vec![text("ab")] };
    assert_eq!(cond(&Cond::Relate(Box::new(lower), Relation::Is, Box::new(constant)), &request), Ok(true));
}
