//! Any bytes as a body of JSON: what a pointer leads to is the same a level deeper, and blanks around it change nothing.
#![no_main]

use dsl::body::{Inspect, Looked, Part, Pointer, Taken, look};
use dsl::tree::request::Plain;
use libfuzzer_sys::fuzz_target;

fn read(pointer: &str, body: &[u8]) -> Result<Option<String>, u16> {
    let request = Plain { headers: vec![("content-type".into(), b"application/json".into())], ..Plain::default() };
    let part = Part::Json(Pointer::new(pointer).expect("it is a pointer"));
    let inspect = Inspect { bytes: Inspect::MOST, pass: false };
    match look(&part, inspect, &request, Some(Taken { bytes: body, whole: true })) {
        Looked::Read(value) => Ok(value.map(std::borrow::Cow::into_owned)),
        Looked::Refused(bad) => Err(bad.status()),
        Looked::More => panic!("all of it is there"),
    }
}

fuzz_target!(|input: &[u8]| {
    // As it is, and behind the two lines that inputs of the corpus begin with.
    let body = input.splitn(3, |b| *b == b'\n').nth(2).unwrap_or(input);
    for (pointer, deeper) in [("/user/role", "/in/user/role"), ("/role", "/in/role"), ("/a/0", "/in/a/0"), ("", "/in")] {
        let value = read(pointer, body);
        if body.is_empty() {
            assert_eq!(value, Ok(None));
            continue;
        }
        assert_eq!(read(pointer, &[body, b"\t "].concat()), value);
        match value {
            Ok(_) => {
                let wrapped = read(deeper, &[b"{\"in\":", body, b"}"].concat());
                // 64 levels are one too many now.
                assert!(wrapped == value || wrapped == Err(400));
            }
            Err(status) => assert!([400, 413].contains(&status)),
        }
    }
});
