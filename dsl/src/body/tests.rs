//! What is read of bodies, and what is refused: the table of docs/bodies.md, line by line.

use super::*;
use crate::tree::request::Plain;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn asked(part: &Part, inspect: Inspect, kind: &str, bytes: &[u8], whole: bool) -> Result<Option<String>, BadBody> {
    let headers = if kind.is_empty() { Vec::new() } else { vec![("content-type".to_owned(), kind.into())] };
    let request = Plain { headers, ..Plain::default() };
    match look(part, inspect, &request, Some(Taken { bytes, whole })) {
        Looked::Read(value) => Ok(value.map(Cow::into_owned)),
        Looked::Refused(bad) => Err(bad),
        Looked::More => panic!("{part} needs more than {} bytes", bytes.len()),
    }
}

fn read(part: &Part, kind: &str, bytes: impl AsRef<[u8]>) -> Result<Option<String>, BadBody> {
    asked(part, Inspect::default(), kind, bytes.as_ref(), true)
}

fn json(pointer: &str) -> Part {
    Part::Json(Pointer::new(pointer).expect("a pointer"))
}

fn status(read: Result<Option<String>, BadBody>) -> u16 {
    match read {
        Ok(value) => panic!("read as {value:?}"),
        Err(bad) => bad.status(),
    }
}

#[test]
fn a_pointer_leads_to_a_value() {
    let text = r#" {"user": {"role": "adm\u0069n", "n": 7, "yes": true, "no": null, "a/b": "s", "m~n": "t", "": "e"},
        "list": [{"id": "x"}, [10]], "é": "\ud83d\ude00"} "#;
    for (pointer, value) in [
        ("/user/role", Some("admin")),
        ("/user/n", Some("7")),
        ("/user/yes", Some("true")),
        ("/user/no", None),
        ("/user/none", None),
        ("/none/role", None),
        ("/user/a~1b", Some("s")),
        ("/user/m~0n", Some("t")),
        ("/user/", Some("e")),
        ("/list/0/id", Some("x")),
        ("/list/1/0", Some("10")),
        ("/list/2", None),
        ("/é", Some("\u{1f600}")),
    ] {
        assert_eq!(read(&json(pointer), JSON, text), Ok(value.map(str::to_owned)), "{pointer}");
    }
    assert_eq!(read(&json(""), JSON, "\"all\""), Ok(Some("all".into())));
    assert_eq!(read(&json("/0"), JSON, r#"{"0": "a"}"#), Ok(Some("a".into())), "a name in digits is one");
}

#[test]
fn pointers_that_are_none() {
    assert_eq!(Pointer::new("user"), Err(PointerError::Start));
    assert_eq!(Pointer::new("/a~2"), Err(PointerError::Escape));
    assert_eq!(Pointer::new("/a~"), Err(PointerError::Escape));
    assert_eq!(Pointer::new(&"/a".repeat(65)), Err(PointerError::Deep));
    assert_eq!(Pointer::new("/~01").map(|pointer| pointer.to_string()), Ok("/~01".into()));
    assert_eq!(read(&json("/~01"), JSON, r#"{"~1": "x"}"#), Ok(Some("x".into())));
}

#[test]
fn numbers_have_one_spelling() {
    for (written, value) in [
        ("0", "0"),
        ("-0", "0"),
        ("0.0e5", "0"),
        ("10", "10"),
        ("10.0", "10"),
        ("1e1", "10"),
        ("1E+1", "10"),
        ("100e-1", "10"),
        ("12.50", "12.5"),
        ("1.25e1", "12.5"),
        ("-0.001", "-0.001"),
        ("1e-3", "0.001"),
        ("123456789012345", "123456789012345"),
        ("1e6", "1000000"),
    ] {
        assert_eq!(read(&json("/n"), JSON, format!("{{\"n\": {written}}}")), Ok(Some(value.into())), "{written}");
    }
    for written in ["1234567890123456", "0.1234567890123456", "1e999", "1e99999999999", "-1e16", "1e-40"] {
        let refused = read(&json("/n"), JSON, format!("{{\"n\": {written}}}"));
        assert!(matches!(refused, Err(BadBody::Ambiguous(_))), "{written}: {refused:?}");
        assert_eq!(read(&json("/m"), JSON, format!("{{\"n\": {written}}}")), Ok(None), "{written} is not read there");
    }
}

#[test]
fn json_that_two_readers_read_differently_is_refused() {
    for text in [
        r#"{"role": "user", "role": "admin"}"#,
        r#"{"role": "user", "role": "user"}"#,
        r#"{"role": "user", "r\u006fle": "admin"}"#,
        r#"{"role": "user", "Role": "admin"}"#,
        r#"{"ROLE": "admin"}"#,
        r#"{"role": ["admin"]}"#,
        r#"{"role": {"name": "admin"}}"#,
        r#"["role"]"#,
        r#""role""#,
        r#"{"role": "a"} {"role": "b"}"#,
        r#"{"role": "a"}x"#,
        r#"{"role": "a",}"#,
        r#"{'role': "a"}"#,
        r#"{role: "a"}"#,
        r#"{"role": "a" /* , "role": "b" */}"#,
        r#"{"role": "\ud800"}"#,
        r#"{"role": "\udc00\ud800"}"#,
        r#"{"role": "\ud800\u0041"}"#,
        r#"{"role": "a\u0000b"}"#,
        r#"{"role": "\x41"}"#,
        r#"{"role": NaN}"#,
        r#"{"role": 01}"#,
        r#"{"role": +1}"#,
        r#"{"role": .5}"#,
        r#"{"role": 5.}"#,
        r#"{"role": 1e}"#,
        r#"{"role": tru}"#,
        r#"{"role": "a"#,
        r#"{"role""#,
        "{\"role\": \"a\nb\"}",
        "",
        " ",
        "{",
    ] {
        if text.is_empty() {
            assert_eq!(read(&json("/role"), JSON, text), Ok(None), "there is no body");
            continue;
        }
        assert_eq!(status(read(&json("/role"), JSON, text)), 400, "{text}");
    }
    for bytes in [
        &b"\xef\xbb\xbf{\"role\": \"a\"}"[..],
        b"\xff\xfe{\x00\"\x00}\x00",
        b"{\x00\"\x00}\x00",
        b"{\"role\": \"\xff\"}",
        b"{\"role\": \"\xc0\xae\"}",
        b"{\"role\": \"\xed\xa0\x80\"}",
        b"{\"role\": \"a\", \"x\": \"\xff\"}",
    ] {
        assert_eq!(status(read(&json("/role"), JSON, bytes)), 400, "{bytes:?}");
    }
}

#[test]
fn a_name_twice_where_nothing_is_read_is_nobodys_business() {
    let text = r#"{"x": {"a": 1, "a": 2}, "role": "user"}"#;
    assert_eq!(read(&json("/role"), JSON, text), Ok(Some("user".into())));
}

#[test]
fn a_bomb_of_brackets_is_refused() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert_eq!(status(read(&json("/role"), JSON, format!("{{\"x\": {}}}", nested(10_000)))), 400);
        assert_eq!(read(&json("/role"), JSON, format!("{{\"x\": {}}}", nested(63))), Ok(None));
        assert_eq!(status(read(&json("/role"), JSON, format!("{{\"x\": {}}}", nested(64)))), 400);
    }
}

#[test]
fn types_of_bodies() {
    let text = r#"{"a": "b"}"#;
    for kind in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "text/json",
        "application/problem+json; charset=\"utf8\"",
    ] {
        assert_eq!(read(&json("/a"), kind, text), Ok(Some("b".into())), "{kind}");
    }
    for kind in [
        "",
        "text/plain",
        "application/jsonp",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-7",
        "application/json; charset*=utf-8''utf-7",
        "application/json, text/plain",
        "application/json; charset",
        "application/json; charset=\"a",
        "application",
        "multipart/form-data; boundary=x",
        "application/grpc+json",
        "application/grpc",
    ] {
        assert_eq!(status(read(&json("/a"), kind, text)), 415, "{kind}");
    }
    let twice = vec![("content-type".to_owned(), JSON.into()), ("content-type".to_owned(), JSON.into())];
    let request = Plain { headers: twice, body: Some(text.into()), ..Plain::default() };
    let looked = look(&json("/a"), Inspect::default(), &request, request.body());
    assert!(matches!(looked, Looked::Refused(BadBody::Type(_))), "{looked:?}");
    for coding in ["gzip", "identity, gzip", "br", "x"] {
        let headers = vec![("content-type".to_owned(), JSON.into()), ("content-encoding".to_owned(), coding.into())];
        let request = Plain { headers, ..Plain::default() };
        // Before any of it is taken.
        assert_eq!(look(&json("/a"), Inspect::default(), &request, None), Looked::Refused(BadBody::Coding), "{coding}");
    }
}

#[test]
fn what_is_longer_is_not_judged() {
    let few = Inspect { bytes: 10, pass: false };
    let pass = Inspect { pass: true, ..few };
    let text = br#"{"a": "bcdefghi"}"#;
    assert_eq!(asked(&json("/a"), few, JSON, text, true), Err(BadBody::TooLong));
    assert_eq!(asked(&json("/a"), few, JSON, text, false), Err(BadBody::TooLong));
    assert_eq!(asked(&json("/a"), pass, JSON, text, true), Ok(None));
    assert_eq!(asked(&Part::Text, few, "text/plain", text, true), Err(BadBody::TooLong));
    assert_eq!(asked(&Part::Text, pass, "text/plain", text, false), Ok(Some(r#"{"a": "bcd"#.into())));
    assert_eq!(asked(&Part::Text, pass, "text/plain", "123456789é".as_bytes(), true), Ok(Some("123456789".into())));
    assert_eq!(asked(&json("/a"), pass, JSON, b"{", true), Ok(None), "what cannot be read passes too");
    assert_eq!(asked(&json("/a"), few, JSON, br#"{"a":"bc"}"#, true), Ok(Some("bc".into())), "to the byte");
    let long = Plain {
        headers: vec![("content-type".into(), JSON.into()), ("content-length".into(), b"11".into())],
        ..Plain::default()
    };
    assert_eq!(look(&json("/a"), few, &long, None), Looked::Refused(BadBody::TooLong), "by its length alone");
    assert_eq!(look(&json("/a"), pass, &long, None), Looked::Read(None));
    assert_eq!(look(&Part::Text, pass, &long, None), Looked::More);
    let unknown = Plain { headers: vec![("content-type".into(), JSON.into())], ..Plain::default() };
    assert_eq!(look(&json("/a"), few, &unknown, None), Looked::More);
    let half = Some(Taken { bytes: b"{\"a\"", whole: false });
    assert_eq!(look(&json("/a"), few, &unknown, half), Looked::More);
}

#[test]
fn fields_of_forms() {
    let form = |name: &str| Part::Form(name.into());
    let text = "user=ann&role=a+b%20c&empty=&bare&%C3%A9=%e2%82%ac&twice=1&twice=1";
    for (name, value) in [
        ("user", Some("ann")),
        ("role", Some("a b c")),
        ("empty", Some("")),
        ("bare", Some("")),
        ("é", Some("€")),
        ("twice", Some("1")),
        ("none", None),
    ] {
        assert_eq!(read(&form(name), FORM, text), Ok(value.map(str::to_owned)), "{name}");
    }
    for text in [
        "role=user&role=admin",
        "role=user&r%6Fle=admin",
        "role=user&role[]=admin",
        "role[0]=admin",
        "Role=admin",
        "+role=admin",
        "role=user;role=admin",
        "role=%zz",
        "role=%4",
        "role=%",
        "role=a%00b",
        "role=%ff",
        "role=user&x=%ff",
        "role=%c0%ae",
    ] {
        assert_eq!(status(read(&form("role"), FORM, text)), 400, "{text}");
    }
    assert_eq!(status(read(&form("user_id"), FORM, "user.id=1")), 400);
    assert_eq!(status(read(&form("role"), FORM, "role=a&_charset_=utf-7")), 415);
    assert_eq!(status(read(&form("role"), JSON, "{}")), 415);
    assert_eq!(status(read(&form("role"), "application/x-www-form-urlencoded; charset=latin1", "role=a")), 415);
    assert_eq!(status(read(&form("role"), FORM, b"\xef\xbb\xbfrole=a")), 400);
}

const PARTS: &str = "multipart/form-data; boundary=XX";

/// A form with one field `role`, written so.
fn parts(head: &str, content: &str) -> String {
    format!("--XX\r\n{head}\r\n\r\n{content}\r\n--XX--\r\n")
}

#[test]
fn forms_with_files() {
    let form = |name: &str| Part::Form(name.into());
    let file = |name: &str| Part::File(name.into());
    let text = "--XX\r\nContent-Disposition: form-data; name=\"role\"\r\n\r\nadm\r\nin\r\n\
        --XX\r\ncontent-disposition: form-data; name=avatar; filename=\"a b.png\"\r\nContent-Type: image/png\r\n\r\n\
        \x01\x02\r\n--XX\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--XX--";
    for (part, value) in [
        (form("role"), Some("adm\r\nin")),
        (form("empty"), Some("")),
        (form("none"), None),
        (file("avatar"), Some("a b.png")),
        (file("none"), None),
    ] {
        assert_eq!(read(&part, PARTS, text), Ok(value.map(str::to_owned)), "{part}");
    }
    assert_eq!(status(read(&form("avatar"), PARTS, text)), 400, "a file is no text");
    assert_eq!(status(read(&file("role"), PARTS, text)), 400, "a text is no file");
    let quoted = "multipart/form-data; boundary=\"XX\"";
    let plain = "Content-Disposition: form-data; name=\"role\"";
    assert_eq!(read(&form("role"), quoted, parts(plain, "a")), Ok(Some("a".into())));
    assert_eq!(status(read(&file("role"), FORM, "role=a")), 415);
}

#[test]
fn tricks_with_boundaries_are_refused() {
    let role = Part::Form("role".into());
    let plain = "Content-Disposition: form-data; name=\"role\"";
    let good = parts(plain, "a");
    for kind in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=XX; boundary=YY",
        "multipart/form-data; boundary*=utf-8''XX",
        "multipart/form-data; boundary*0=X; boundary*1=X",
        "multipart/form-data; boundary=\"X X\"",
        "multipart/form-data; boundary=\"X\\X\"",
        "multipart/mixed; boundary=XX",
    ] {
        assert_eq!(status(read(&role, kind, &good)), 415, "{kind}");
    }
    for text in [
        format!("preamble\r\n{good}"),
        format!("\r\n{good}"),
        format!("{good}epilogue"),
        format!("{good}{good}"),
        good.replace("\r\n", "\n"),
        good.replacen("--XX\r\n", "--XX \r\n", 1),
        good.replacen("--XX--", "--XX-- ", 1),
        good.replacen("--XX--", "", 1),
        parts(plain, "a\n--XX\nb"),
        parts(plain, "a\r\n--XXY\r\nb"),
        parts(plain, "a --XX b"),
        parts("Content-Disposition: form-data; name=\"role\"; name=\"x\"", "a"),
        parts("Content-Disposition: form-data; name=\"role\"; name*=utf-8''x", "a"),
        parts("Content-Disposition: form-data; name=\"a\"; filename*=utf-8''x", "a"),
        parts("Content-Disposition: form-data; name=\"ro\\le\"", "a"),
        parts("Content-Disposition: form-data; name=\"role%22\"", "a"),
        parts("Content-Disposition: attachment; name=\"role\"", "a"),
        parts("Content-Disposition: form-data", "a"),
        parts("Content-Type: text/plain", "a"),
        parts(&format!("{plain}\r\n{plain}"), "a"),
        parts(&format!("{plain}\r\n folded"), "a"),
        parts("Content-Disposition : form-data; name=\"role\"", "a"),
        parts(&format!("{plain}\r\nContent-Type: multipart/mixed; boundary=YY"), "a"),
        parts("Content-Disposition: form-data; name=\"Role\"", "a"),
        parts("Content-Disposition: form-data; name=\"role[]\"", "a"),
        format!("--XX\r\n{plain}\r\n\r\na\r\n{}", parts(plain, "b")),
        "--XX\r\n\r\n\r\na\r\n--XX--".into(),
        format!("{}--XX--", "--XX\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\na\r\n".repeat(257)),
    ] {
        assert_eq!(status(read(&role, PARTS, &text)), 400, "{text}");
    }
    let coded = parts(&format!("{plain}\r\nContent-Transfer-Encoding: base64"), "YQ==");
    assert_eq!(status(read(&role, PARTS, coded)), 415);
    let foreign = parts(&format!("{plain}\r\nContent-Type: text/plain; charset=utf-7"), "a");
    assert_eq!(status(read(&role, PARTS, foreign)), 415);
}

#[test]
fn texts_and_values() {
    for (kind, text) in [("text/plain", "a\nb"), ("", "x"), (JSON, "{not json"), (FORM, "a=%41")] {
        assert_eq!(read(&Part::Text, kind, text), Ok(Some(text.into())), "{kind}");
    }
    assert_eq!(status(read(&Part::Text, "text/plain", b"a\xff")), 400);
    assert_eq!(status(read(&Part::Text, "text/plain", b"<\x00s\x00")), 400);
    assert_eq!(status(read(&Part::Text, "text/plain; charset=utf-16le", "a")), 415);
    assert_eq!(status(read(&Part::Text, "application/grpc", "a")), 415);
    let values = |kind: &str, text: &str| read(&Part::Values, kind, text);
    assert_eq!(values(JSON, r#"{"a": ["\u003cb>", {"c": 1}]}"#), Ok(Some("a\n<b>\nc\n".into())));
    assert_eq!(values(FORM, "a=%3Cb%3E&c"), Ok(Some("a\n<b>\nc\n\n".into())));
    let form = "--XX\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\n\r\nsecret\r\n--XX--";
    assert_eq!(values(PARTS, form), Ok(Some("a\nf\n".into())), "what is in a file is not looked at");
    assert_eq!(values("application/xml", "<a/>"), Ok(Some("<a/>".into())));
    assert_eq!(values("image/png", "\u{1}"), Ok(None));
    assert_eq!(status(values(JSON, "{")), 400);
}
