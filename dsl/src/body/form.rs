//! Forms: `application/x-www-form-urlencoded`, as <https://url.spec.whatwg.org/#urlencoded-parsing> says, and stricter.

use super::spelling::same_to_forms;
use super::{BadBody, text};
use std::borrow::Cow;

/// A field's value; `None` where there is none.
pub(super) fn field<'b>(bytes: &'b [u8], name: &str) -> Result<Option<Cow<'b, str>>, BadBody> {
    let mut found = Fields::new(name);
    each(bytes, &mut |field, value| found.add(&field, value))?;
    Ok(found.value())
}

/// The copies of a field.
pub(super) struct Fields<'n, 'b> {
    name: &'n str,
    value: Option<Cow<'b, str>>,
}

impl<'n, 'b> Fields<'n, 'b> {
    pub(super) fn new(name: &'n str) -> Self {
        Self { name, value: None }
    }

    /// Looks at a field. Two copies that are equal are one.
    pub(super) fn add(&mut self, field: &str, value: Cow<'b, str>) -> Result<(), BadBody> {
        if field == self.name {
            match &self.value {
                Some(first) if **first != *value => {
                    return Err(BadBody::Ambiguous("a field that is read stands there more than once"));
                }
                Some(_) => {}
                None => self.value = Some(value),
            }
        } else if same_to_forms(field, self.name) {
            return Err(BadBody::Ambiguous("a field that is read stands there in another spelling"));
        }
        Ok(())
    }

    pub(super) fn value(self) -> Option<Cow<'b, str>> {
        self.value
    }
}

/// What is done with a field: its name and its value.
type Each<'e, 'b> = &'e mut dyn FnMut(Cow<'b, str>, Cow<'b, str>) -> Result<(), BadBody>;

/// Hands on every field.
pub(super) fn each<'b>(bytes: &'b [u8], each: Each<'_, 'b>) -> Result<(), BadBody> {
    let form = text(bytes)?;
    if form.contains(';') {
        // Browsers never send one; to older readers it parts two fields.
        return Err(BadBody::Ambiguous("a semicolon stands in the form"));
    }
    for pair in form.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        charset(&name, &value)?;
        each(name, value)?;
    }
    Ok(())
}

/// A field by which a form says its charset (HTML section 4.10.22).
pub(super) fn charset(name: &str, value: &str) -> Result<(), BadBody> {
    if name.eq_ignore_ascii_case("_charset_") && !value.eq_ignore_ascii_case("utf-8") {
        return Err(BadBody::Type("the form says another charset than UTF-8"));
    }
    Ok(())
}

/// `+` is a blank, `%` two hex digits of a byte.
fn decoded(part: &str) -> Result<Cow<'_, str>, BadBody> {
    if !part.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Ok(Cow::Borrowed(part));
    }
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => u8::try_from(high << 4 | low).unwrap_or(b'%'),
                    _ => return Err(BadBody::Malformed("a percent sign of the form begins no escape")),
                }
            }
            byte => byte,
        });
    }
    text(&out)?;
    String::from_utf8(out).map(Cow::Owned).map_err(|_| BadBody::Malformed("the body is not UTF-8"))
}
