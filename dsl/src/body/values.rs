//! Every name and value of a body, decoded, a line break after each: what a rule about texts wants to see, however
//! the body writes them.

use super::{BadBody, form, json, multipart};
use std::borrow::Cow;

/// Names and values.
type Values = Result<Option<Cow<'static, str>>, BadBody>;

pub(super) fn of_json(text: &str) -> Values {
    let mut out = String::with_capacity(text.len());
    json::each(text, &mut |value| add(&mut out, value))?;
    Ok(Some(Cow::Owned(out)))
}

pub(super) fn of_form(bytes: &[u8]) -> Values {
    let mut out = String::with_capacity(bytes.len());
    form::each(bytes, &mut |name, value| {
        add(&mut out, &name);
        add(&mut out, &value);
        Ok(())
    })?;
    Ok(Some(Cow::Owned(out)))
}

/// Files by their names: what is in them is not looked at.
pub(super) fn of_multipart(bytes: &[u8], boundary: &[u8]) -> Values {
    let mut out = String::with_capacity(bytes.len().min(4096));
    multipart::each(bytes, boundary, &mut |part| {
        add(&mut out, &part.name);
        match &part.file {
            Some(file) => add(&mut out, file),
            None => add(&mut out, part.text()?),
        }
        Ok(())
    })?;
    Ok(Some(Cow::Owned(out)))
}

fn add(out: &mut String, value: &str) {
    out.push_str(value);
    out.push('\n');
}
