//! Any bytes as a form, of both kinds: the order of its fields says nothing, and a field more changes no other.
#![no_main]

use dsl::body::{Inspect, Looked, Part, Taken, look};
use dsl::tree::request::Plain;
use libfuzzer_sys::fuzz_target;

fn read(kind: &str, part: &Part, body: &[u8]) -> Result<Option<String>, u16> {
    let request = Plain { headers: vec![("content-type".into(), kind.into())], ..Plain::default() };
    let inspect = Inspect { bytes: Inspect::MOST, pass: false };
    match look(part, inspect, &request, Some(Taken { bytes: body, whole: true })) {
        Looked::Read(value) => Ok(value.map(std::borrow::Cow::into_owned)),
        Looked::Refused(bad) => Err(bad.status()),
        Looked::More => panic!("all of it is there"),
    }
}

fuzz_target!(|input: &[u8]| {
    // As it is, and behind the two lines that inputs of the corpus begin with.
    let body = input.splitn(3, |b| *b == b'\n').nth(2).unwrap_or(input);
    let (form, parts) = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=X");
    let (role, file) = (Part::Form("role".into()), Part::File("role".into()));
    let value = read(form, &role, body);
    // A mark is refused at the start only, where it is one.
    let marked = body.windows(3).any(|w| w == b"\xef\xbb\xbf");
    let mut pairs: Vec<&[u8]> = body.split(|b| *b == b'&').collect();
    pairs.reverse();
    let reversed = read(form, &role, &pairs.join(&b'&'));
    if !marked {
        assert_eq!(reversed.is_ok(), value.is_ok());
    }
    if value.is_ok() && !marked {
        assert_eq!(reversed, value);
        assert_eq!(read(form, &role, &[b"other=1&", body].concat()), value);
    }
    for part in [&role, &file] {
        let value = read(parts, part, body);
        let more = [b"--X\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n1\r\n", body].concat();
        // There is no part before none.
        if let (Ok(value), false) = (value, body.is_empty() || part == &file) {
            let again = read(parts, part, &more);
            // 256 parts are one too many now.
            assert!(again == Ok(value) || again == Err(400));
        }
        let _ = read(parts, &Part::Values, body);
    }
});
