//! Forms with files: `multipart/form-data` (RFC 7578), read as strictly as browsers write it.
//!
//! Readers of it differ more than those of anything else, in what they forgive: bare line feeds, text before the
//! first boundary, blanks behind one, names in two places. All of that is refused.

use super::form::{Fields, charset};
use super::media::params;
use super::{BadBody, text};
use std::borrow::Cow;

/// A part of a form.
pub(super) struct Part<'b> {
    pub(super) name: String,
    /// The name of the file that it is, if it is one.
    pub(super) file: Option<String>,
    content: &'b [u8],
}

/// Parts beyond this are refused: each costs a reader more than its bytes.
const MOST_PARTS: usize = 256;
const BROKEN: BadBody = BadBody::Malformed("the form is malformed");
const HEAD: BadBody = BadBody::Malformed("the head of a part of the form is malformed");

/// The text of a field; `None` where there is none.
pub(super) fn field<'b>(bytes: &'b [u8], boundary: &[u8], name: &str) -> Result<Option<Cow<'b, str>>, BadBody> {
    let mut found = Fields::new(name);
    each(bytes, boundary, &mut |part| {
        if part.file.is_some() {
            if part.name == name {
                return Err(BadBody::Ambiguous("a field that is read for its text is a file"));
            }
            return found.add(&part.name, Cow::Borrowed(""));
        }
        let value = part.text()?;
        found.add(&part.name, Cow::Borrowed(value))
    })?;
    Ok(found.value())
}

/// The name of the file in a field; `None` where there is no such field.
pub(super) fn file(bytes: &[u8], boundary: &[u8], name: &str) -> Result<Option<Cow<'static, str>>, BadBody> {
    let mut found = Fields::new(name);
    each(bytes, boundary, &mut |part| match part.file {
        Some(file) => found.add(&part.name, Cow::Owned(file)),
        None if part.name == name => Err(BadBody::Ambiguous("a field that is read for its file is none")),
        None => found.add(&part.name, Cow::Borrowed("")),
    })?;
    Ok(found.value())
}

impl<'b> Part<'b> {
    /// What it holds, where it is no file.
    pub(super) fn text(&self) -> Result<&'b str, BadBody> {
        let value = text(self.content)?;
        charset(&self.name, value)?;
        Ok(value)
    }
}

/// Hands on every part.
pub(super) fn each<'b>(
    bytes: &'b [u8],
    boundary: &[u8],
    each: &mut dyn FnMut(Part<'b>) -> Result<(), BadBody>,
) -> Result<(), BadBody> {
    let dashed = [b"--", boundary].concat();
    // Nothing stands before the first boundary.
    let mut rest = bytes.strip_prefix(dashed.as_slice()).ok_or(BROKEN)?;
    let mut parts = 0;
    loop {
        match rest.strip_prefix(b"\r\n") {
            Some(part) => rest = part,
            // … and nothing but a line's end behind the last.
            None if rest == b"--" || rest == b"--\r\n" => return Ok(()),
            None => return Err(BROKEN),
        }
        parts += 1;
        if parts > MOST_PARTS {
            return Err(BadBody::Malformed("the form has too many parts"));
        }
        // Wherever else it stands some reader takes it for the end of the part.
        let end = position(rest, &dashed).ok_or(BROKEN)?;
        let part = rest[..end].strip_suffix(b"\r\n").ok_or(BROKEN)?;
        rest = &rest[end + dashed.len()..];
        // A part without a head would begin with an empty line.
        let blank = position(part, b"\r\n\r\n").ok_or(HEAD)?;
        each(head(&part[..blank], &part[blank + 4..])?)?;
    }
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    let first = *part.first()?;
    let mut from = 0;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|b| *b == first)?;
        if bytes[at..].starts_with(part) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Reads the head of a part.
fn head<'b>(head: &[u8], content: &'b [u8]) -> Result<Part<'b>, BadBody> {
    let head = text(head)?;
    let (mut disposition, mut kind, mut coding) = (None, None, None);
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':').ok_or(HEAD)?;
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        // A line that is folded begins with a blank, which is in no name.
        if name.is_empty() || !name.bytes().all(token) || value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(HEAD);
        }
        let place = match name.to_ascii_lowercase().as_str() {
            "content-disposition" => &mut disposition,
            "content-type" => &mut kind,
            "content-transfer-encoding" => &mut coding,
            _ => continue,
        };
        if place.replace(value.trim_matches([' ', '\t'])).is_some() {
            return Err(BadBody::Ambiguous("a header of a part of the form stands there more than once"));
        }
    }
    // RFC 7578 section 4.7: deprecated, and decoded by some readers only.
    if coding.is_some_and(|coding| !["binary", "8bit", "7bit"].iter().any(|same| coding.eq_ignore_ascii_case(same))) {
        return Err(BadBody::Coding);
    }
    let (name, file) = disposed(disposition.ok_or(HEAD)?)?;
    let (essence, params) = typed(kind.unwrap_or("text/plain"))?;
    if essence.starts_with("multipart/") || essence.starts_with("message/") {
        return Err(BadBody::Ambiguous("a part of the form has parts of its own"));
    }
    let foreign = |(name, value): &(String, String)| {
        name.starts_with("charset") && !["utf-8", "utf8", "us-ascii"].iter().any(|c| value.eq_ignore_ascii_case(c))
    };
    if file.is_none() && params.iter().any(foreign) {
        return Err(BadBody::Type("a field of the form is in another charset than UTF-8"));
    }
    Ok(Part { name, file, content })
}

/// `form-data; name="x"; filename="y"`
fn disposed(value: &str) -> Result<(String, Option<String>), BadBody> {
    let (kind, params) = typed(value)?;
    if kind != "form-data" {
        return Err(HEAD);
    }
    let (mut name, mut file) = (None, None);
    for (key, value) in params {
        let place = match key.as_str() {
            "name" => &mut name,
            "filename" => &mut file,
            // RFC 7578 section 4.2: `filename*` is not for forms, and some readers take it all the same.
            key if key.starts_with("name*") || key.starts_with("filename*") => {
                return Err(BadBody::Ambiguous("a name in the form is written in pieces"));
            }
            _ => continue,
        };
        let lower = value.to_ascii_lowercase();
        if ["%22", "%0d", "%0a"].iter().any(|escape| lower.contains(escape)) {
            // How browsers write a quote and line ends, which some readers decode.
            return Err(BadBody::Ambiguous("a name in the form has an escape in it"));
        }
        if place.replace(value).is_some() {
            return Err(BadBody::Ambiguous("a part of the form has two names"));
        }
    }
    Ok((name.ok_or(HEAD)?, file))
}

/// A value and its parameters; the value in lower case.
fn typed(value: &str) -> Result<(String, Vec<(String, String)>), BadBody> {
    let (essence, rest) = value.split_at(value.find(';').unwrap_or(value.len()));
    let params = params(rest).map_err(|_| HEAD)?;
    Ok((essence.trim_matches([' ', '\t']).to_ascii_lowercase(), params))
}
