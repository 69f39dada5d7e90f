//! Bodies that are looked into: what is read of them is what another reader reads, and what it cannot read is refused.
//!
//! An input is a `Content-Type`, a line that says what is read (`json /user/role`, `form name`, `file name`, `text`,
//! `values`), and the body.

use super::{Random, cases, corpus};
use dsl::body::{Inspect, Looked, Part, Pointer, Taken, look};
use dsl::tree::request::Plain;

/// What is read of a body; `Err` with the status where it is refused.
fn read(kind: &[u8], part: &Part, body: &[u8]) -> Result<Option<String>, u16> {
    let request = Plain { headers: vec![("content-type".into(), kind.to_vec())], ..Plain::default() };
    let taken = Taken { bytes: body, whole: true };
    match look(part, Inspect { bytes: Inspect::MOST, pass: false }, &request, Some(taken)) {
        Looked::Read(value) => Ok(value.map(std::borrow::Cow::into_owned)),
        Looked::Refused(bad) => Err(bad.status()),
        Looked::More => panic!("all of it is there"),
    }
}

/// An input's parts.
fn taken_apart(input: &[u8]) -> Option<(&[u8], Part, &[u8])> {
    let mut lines = input.splitn(3, |b| *b == b'\n');
    let (kind, asked, body) = (lines.next()?, std::str::from_utf8(lines.next()?).ok()?, lines.next()?);
    let (what, name) = asked.split_once(' ').unwrap_or((asked, ""));
    let part = match what {
        "json" => Part::Json(Pointer::new(name).ok()?),
        "form" => Part::Form(name.into()),
        "file" => Part::File(name.into()),
        "text" => Part::Text,
        "values" => Part::Values,
        _ => return None,
    };
    Some((kind, part, body))
}

/// What serde reads where a pointer leads: it takes the last of several, whatever their case.
fn serde(pointer: &str, body: &[u8]) -> Option<serde_json::Value> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(value.pointer(pointer).cloned().unwrap_or(serde_json::Value::Null))
}

#[track_caller]
fn holds(input: &[u8]) {
    let Some((kind, part, body)) = taken_apart(input) else { return };
    let shown = || input.escape_ascii().to_string();
    let value = match read(kind, &part, body) {
        Ok(value) => value,
        Err(status) => return assert!([400, 413, 415].contains(&status), "{status}: {}", shown()),
    };
    let Some(value) = value else {
        if let Part::Json(pointer) = &part
            && !body.is_empty()
        {
            assert_eq!(serde(&pointer.to_string(), body), Some(serde_json::Value::Null), "{}", shown());
        }
        return;
    };
    assert!(!value.contains('\0'), "{}", shown());
    match &part {
        Part::Json(pointer) => match serde(&pointer.to_string(), body) {
            Some(serde_json::Value::String(text)) => assert_eq!(value, text, "{}", shown()),
            Some(serde_json::Value::Bool(yes)) => assert_eq!(value, yes.to_string(), "{}", shown()),
            // In one spelling: the same number, to every digit that it has.
            Some(serde_json::Value::Number(number)) => {
                assert_eq!(value.parse::<f64>().ok(), number.as_f64().map(|n| n + 0.0), "{}", shown());
            }
            other => panic!("{other:?} was read as {value:?}: {}", shown()),
        },
        Part::Form(name) => {
            // The order of fields says nothing.
            if !kind.starts_with(b"multipart") && !body.windows(3).any(|w| w == b"\xef\xbb\xbf") {
                let mut pairs: Vec<&[u8]> = body.split(|b| *b == b'&').collect();
                pairs.reverse();
                let reversed = pairs.join(&b'&');
                assert_eq!(read(kind, &part, &reversed), Ok(Some(value)), "{}", shown());
            } else if kind.starts_with(b"multipart") {
                assert!(
                    body.windows(value.len().max(1)).any(|w| w == value.as_bytes()) || value.is_empty(),
                    "{name}: {}",
                    shown()
                );
            }
        }
        Part::File(_) => assert!(body.windows(value.len().max(1)).any(|w| w == value.as_bytes()) || value.is_empty()),
        Part::Text => assert_eq!(value.as_bytes(), body),
        Part::Values => {}
    }
}

fn replay(target: &str, seed: u64, words: &[&str]) {
    let inputs = corpus(target);
    let mut read_some = 0;
    for (path, input) in &inputs {
        let (kind, part, body) = taken_apart(input).unwrap_or_else(|| panic!("{} is no input", path.display()));
        read_some += usize::from(matches!(read(kind, &part, body), Ok(Some(_))));
        holds(input);
    }
    assert!(read_some * 3 >= inputs.len(), "of {} only {read_some} are read", inputs.len());
    let mut random = Random(seed);
    for _ in 0..cases() {
        let mut input = inputs[random.below(inputs.len())].1.clone();
        random.change(&mut input, words);
        holds(&input);
    }
}

#[test]
fn json_corpus_and_what_comes_of_it() {
    let words = [
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\u0072",
        "\\ud83d\\ude00",
        "\\ud800",
        ":",
        ",",
        "e5",
        "1.50",
        "-0",
        "null",
        "true",
        "/*",
        "\"role\":",
    ];
    replay("body-json", 0x006a_736f_6e00, &words);
}

#[test]
fn form_corpus_and_what_comes_of_it() {
    let words = [
        "&",
        "=",
        "%",
        "%6f",
        "+",
        ";",
        "role=",
        "[]",
        "--X",
        "\r\n",
        "--",
        "; name=\"role\"",
        "filename=\"x\"",
        "_charset_=x",
    ];
    replay("body-form", 0x0066_6f72_6d00, &words);
}
