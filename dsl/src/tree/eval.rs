//! Conditions and templates, evaluated on one request.

use super::bytes::{self, Bytes};
use super::canonical;
use super::fields::{self, Read, Text};
use super::ir::{Answer, Cond, Encode, Field, Missing, Order, Part, Paths, Relation, Test, Transform, Value};
use super::request::Request;
use super::transform;

/// A header, cookie or query field arrived several times with different values: 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict(pub Field);

/// Why a template gives no text.
#[derive(Clone, Debug, PartialEq)]
pub enum Unrenderable<'a> {
    /// A field is missing and the template says what is answered then.
    Answer(&'a Answer),
    /// A field is missing and the template does not say what then. The checker lets no such template pass.
    Missing(&'a Field),
    /// What the client sent cannot stand in this place: 400, counted by this reason.
    BadRequest(BadText),
    /// See [`Conflict`].
    Conflict(Field),
}

/// Why a client's text cannot stand where a template puts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadText {
    /// A control byte in a header value.
    Control,
    /// Bytes that are not UTF-8 in a header value.
    NotUtf8,
    /// Something other than labels in a host.
    NotLabels,
    /// The path that came out is not canonical.
    NotCanonical,
    /// `local-path(…)` of something that is none.
    NotLocal,
}

impl BadText {
    /// For logs and counters.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Control => "control byte in a header value",
            Self::NotUtf8 => "header value is not UTF-8",
            Self::NotLabels => "not a host name",
            Self::NotCanonical => "rewritten path is not canonical",
            Self::NotLocal => "not a path of this host",
        }
    }
}

/// Whether a condition holds.
///
/// # Errors
/// A field that it names, wherever in it, arrived several times with different values.
pub fn cond(cond: &Cond, req: &impl Request) -> Result<bool, Conflict> {
    match cond {
        // What most conditions are: the field is found once instead of twice.
        Cond::Test(field, test) if is_plain(cond) && !matches!(test, Test::Has(_)) => match fields::read(field, req) {
            Read::Missing => Ok(false),
            Read::Conflict => Err(Conflict(field.clone())),
            Read::One(text) => Ok(test_text(&text, test)),
        },
        Cond::Not(inner) if is_plain(inner) => Ok(!self::cond(inner, req)?),
        Cond::And(all) if all.iter().all(is_plain) => {
            let mut held = true;
            for one in all {
                // One that does not matter any more may still be a refusal.
                held = match held {
                    true => self::cond(one, req)?,
                    false => conflict(one, req).map_or(Ok(false), |field| Err(Conflict(field.clone())))?,
                };
            }
            Ok(held)
        }
        _ => match conflict(cond, req) {
            Some(field) => Err(Conflict(field.clone())),
            None => Ok(holds(cond, req)),
        },
    }
}

/// Whether a condition is about one header, cookie or query field: reading one asks for nothing else, so that it
/// does not matter when it is read.
fn is_plain(cond: &Cond) -> bool {
    match cond {
        Cond::Test(Field::Header(_) | Field::Cookie(_) | Field::Query(_), _) => true,
        Cond::Not(inner) => is_plain(inner),
        _ => false,
    }
}

/// The first field of a condition whose copies differ. `has` asks for any copy and is no refusal.
pub(crate) fn conflict<'c>(cond: &'c Cond, req: &impl Request) -> Option<&'c Field> {
    match cond {
        Cond::Const(_) => None,
        Cond::Test(field, test) => {
            let any_copy = matches!(test, Test::Has(_)) && fields::repeats(field);
            (!any_copy && conflicting(field, req)).then_some(field)
        }
        Cond::Relate(left, _, right) => conflict_in_value(left, req).or_else(|| conflict_in_value(right, req)),
        Cond::Not(inner) => conflict(inner, req),
        Cond::And(all) | Cond::Or(all) => all.iter().find_map(|c| conflict(c, req)),
    }
}

fn conflict_in_value<'v>(value: &'v Value, req: &impl Request) -> Option<&'v Field> {
    value.parts.iter().find_map(|part| match part {
        Part::Text(_) => None,
        Part::Hole { field, .. } if conflicting(field, req) => Some(field),
        Part::Hole { if_missing, .. } => match if_missing.as_deref() {
            Some(Missing::Value(value)) => conflict_in_value(value, req),
            Some(Missing::Answer(_)) | None => None,
        },
    })
}

/// Whether a field arrived several times with different values.
pub(crate) fn conflicting(field: &Field, req: &impl Request) -> bool {
    match field {
        // No row is looked up for that, and no call is read.
        Field::Row(lookup) => lookup.fields().any(|field| conflicting(field, req)),
        field => fields::repeats(field) && matches!(fields::read(field, req), Read::Conflict),
    }
}

/// Whether a condition holds, copies that differ being somebody else's business.
pub(crate) fn holds(cond: &Cond, req: &impl Request) -> bool {
    match cond {
        Cond::Const(value) => *value,
        Cond::Test(field, test) => test_field(field, test, req),
        Cond::Relate(left, relation, right) => relate(left, *relation, right, req),
        Cond::Not(inner) => !holds(inner, req),
        Cond::And(all) => all.iter().all(|c| holds(c, req)),
        Cond::Or(all) => all.iter().any(|c| holds(c, req)),
    }
}

fn test_field(field: &Field, test: &Test, req: &impl Request) -> bool {
    if let Test::Has(wanted) = test
        && fields::has_copies(field)
    {
        let mut found = false;
        fields::copies(field, req, &mut |copy| found = found || copy.is(wanted.as_bytes()));
        return found;
    }
    match fields::read(field, req) {
        Read::Missing | Read::Conflict => false,
        Read::One(text) => test_text(&text, test),
    }
}

/// Whether a value passes a test.
pub(crate) fn test_text(text: &Text<'_>, test: &Test) -> bool {
    match test {
        Test::Present => true,
        Test::OneOf(all) => text.with(|bytes| all.iter().any(|one| bytes.is(one.as_bytes()))),
        Test::StartsWith(start) => text.with(|bytes| match bytes.plain() {
            Some(bytes) => bytes.starts_with(start.as_bytes()),
            None => bytes.take(start.len()).eq(start.bytes()),
        }),
        Test::EndsWith(end) => text.with(|bytes| {
            if let Some(bytes) = bytes.plain() {
                return bytes.ends_with(end.as_bytes());
            }
            let skip = bytes.count().checked_sub(end.len());
            skip.is_some_and(|skip| bytes.skip(skip).eq(end.bytes()))
        }),
        Test::Has(part) => text.with(|bytes| contains(bytes, part.as_bytes())),
        Test::Matches(regex) => text.with(|bytes| regex.accepts(bytes)),
        Test::InNets(nets) => text.ip().is_some_and(|ip| nets.iter().any(|net| net.contains(&ip))),
        Test::Number(order, constant) => text.number().is_some_and(|n| compare(n, *order, *constant)),
    }
}

/// `n ORDER constant`
pub(crate) fn compare(n: i64, order: Order, constant: i64) -> bool {
    match order {
        Order::Eq => n == constant,
        Order::Lt => n < constant,
        Order::Le => n <= constant,
        Order::Gt => n > constant,
        Order::Ge => n >= constant,
    }
}

/// Whether a part stands anywhere in a text; tests have short parts.
fn contains(mut text: Bytes<'_>, part: &[u8]) -> bool {
    if let Some(text) = text.plain() {
        return memchr::memmem::find(text, part).is_some();
    }
    loop {
        if text.take(part.len()).eq(part.iter().copied()) {
            return true;
        }
        if text.next().is_none() {
            return false;
        }
    }
}

fn relate(left: &Value, relation: Relation, right: &Value, req: &impl Request) -> bool {
    let (mut a, mut b) = (Scratch::new(), Scratch::new());
    if !plain(left, req, &mut a) || !plain(right, req, &mut b) {
        return false;
    }
    let (a, b) = (a.bytes(), b.bytes());
    match relation {
        Relation::Is => a == b,
        Relation::StartsWith => a.starts_with(b),
        Relation::EndsWith => a.ends_with(b),
        Relation::Has => b.is_empty() || a.windows(b.len()).any(|w| w == b),
    }
}

/// The text of a value in a relation, undecorated. False when it is missing.
fn plain(value: &Value, req: &impl Request, out: &mut Scratch) -> bool {
    value.parts.iter().all(|part| match part {
        Part::Text(text) => {
            text.bytes().for_each(|b| out.push(b));
            true
        }
        Part::Hole { field, transform, encode: _, if_missing } => match fields::read(field, req) {
            Read::One(text) => {
                text.with(|bytes| transform::each(bytes, *transform, &mut |b| out.push(b)));
                true
            }
            Read::Missing | Read::Conflict => match if_missing.as_deref() {
                Some(Missing::Value(value)) => plain(value, req, out),
                Some(Missing::Answer(_)) | None => false,
            },
        },
    })
}

/// Bytes on the stack; longer texts move to the heap.
struct Scratch {
    inline: [u8; 256],
    len: usize,
    heap: Vec<u8>,
}

impl Scratch {
    fn new() -> Self {
        Self { inline: [0; 256], len: 0, heap: Vec::new() }
    }

    fn push(&mut self, byte: u8) {
        match self.inline.get_mut(self.len) {
            Some(place) => *place = byte,
            None => {
                if self.heap.is_empty() {
                    self.heap.extend_from_slice(&self.inline);
                }
                self.heap.push(byte);
            }
        }
        self.len += 1;
    }

    fn bytes(&self) -> &[u8] {
        if self.heap.is_empty() { &self.inline[..self.len] } else { &self.heap }
    }
}

/// Hands the bytes of a field on, one after the other: of the whole value, where it is there.
/// Returns whether it is.
///
/// # Errors
/// It arrived several times with different values.
pub fn bytes_of(field: &Field, req: &impl Request, each: &mut dyn FnMut(u8)) -> Result<bool, Conflict> {
    match fields::read(field, req) {
        Read::Missing => Ok(false),
        Read::Conflict => Err(Conflict(field.clone())),
        Read::One(text) => {
            text.with(|bytes| bytes.for_each(each));
            Ok(true)
        }
    }
}

/// Appends the text of a template: a header value, a body, a key, a host.
///
/// # Errors
/// Why there is none; `out` then holds a part of it.
pub fn render<'v>(value: &'v Value, req: &impl Request, out: &mut String) -> Result<(), Unrenderable<'v>> {
    let start = out.len();
    render_parts(value, req, start, out)
}

/// Appends the path of an `at`, or of `files … at`, with its query where the template has one.
///
/// A trailing slash survives: where the template ends in a capture, the request's path in a slash and
/// what was rendered in none, one is added (LANGUAGE rule 10). A template that ends in fixed text
/// names one resource, and is left as it is.
///
/// # Errors
/// Why there is none: a path that is not canonical is one reason.
pub fn render_path<'v>(
    value: &'v Value,
    req: &impl Request,
    paths: Paths,
    out: &mut String,
) -> Result<(), Unrenderable<'v>> {
    let start = render_target(value, req, out)?;
    if ends_in_capture(value) && req.path().ends_with('/') && !out[start..].contains('?') && !out.ends_with('/') {
        out.push('/');
    }
    is_path(&out[start..], paths)
}

/// Appends the path that an `ask` asks for, with its query where the template has one: it is another service's, so
/// the slash at the end of the request's path is none of it.
///
/// # Errors
/// Why there is none: a path that is not canonical is one reason.
pub fn render_question<'v>(
    value: &'v Value,
    req: &impl Request,
    paths: Paths,
    out: &mut String,
) -> Result<(), Unrenderable<'v>> {
    let start = render_target(value, req, out)?;
    is_path(&out[start..], paths)
}

/// Appends a path with its query, `/` where nothing comes out; says where it begins.
fn render_target<'v>(value: &'v Value, req: &impl Request, out: &mut String) -> Result<usize, Unrenderable<'v>> {
    let start = out.len();
    render_parts(value, req, start, out)?;
    if out.len() == start {
        out.push('/');
    }
    Ok(start)
}

fn is_path<'v>(target: &str, paths: Paths) -> Result<(), Unrenderable<'v>> {
    let path = target.split('?').next().unwrap_or_default();
    match canonical::is_canonical(path, paths) {
        true => Ok(()),
        false => Err(Unrenderable::BadRequest(BadText::NotCanonical)),
    }
}

/// Appends the Location of a redirect: a path or a whole URL.
///
/// # Errors
/// Why there is none: a path that is not canonical is one reason.
pub fn render_url<'v>(
    value: &'v Value,
    req: &impl Request,
    paths: Paths,
    out: &mut String,
) -> Result<(), Unrenderable<'v>> {
    let start = out.len();
    render_parts(value, req, start, out)?;
    if out.len() == start {
        out.push('/');
    }
    if value.parts.iter().all(|part| matches!(part, Part::Text(_))) {
        return Ok(()); // Nothing of the client's is in it.
    }
    let url = &out[start..];
    // To a browser that is another host (LANGUAGE rule 25). A canonical path cannot begin so.
    if paths == Paths::Raw && url.starts_with("//") {
        return Err(Unrenderable::BadRequest(BadText::NotCanonical));
    }
    let after_authority = match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?', '#']) => {
            &rest[rest.find(['/', '?', '#']).unwrap_or(rest.len())..]
        }
        Some(_) | None => url,
    };
    let path = &after_authority[..after_authority.find(['?', '#']).unwrap_or(after_authority.len())];
    let fits = (path.is_empty() && after_authority.len() < url.len()) || canonical::is_canonical(path, paths);
    if fits { Ok(()) } else { Err(Unrenderable::BadRequest(BadText::NotCanonical)) }
}

/// Whether the last thing of a template is a capture of the path.
fn ends_in_capture(value: &Value) -> bool {
    match value.parts.last() {
        Some(Part::Hole { encode: Encode::Segment | Encode::Path, .. }) => true,
        Some(Part::Hole {
            encode:
                Encode::Plain
                | Encode::Query
                | Encode::QueryPath
                | Encode::Header
                | Encode::Encoded
                | Encode::Authority
                | Encode::LocalPath,
            ..
        })
        | Some(Part::Text(_))
        | None => false,
    }
}

fn render_parts<'v>(
    value: &'v Value,
    req: &impl Request,
    start: usize,
    out: &mut String,
) -> Result<(), Unrenderable<'v>> {
    for part in &value.parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Hole { field, transform, encode, if_missing } => {
                let from = out.len();
                if render_hole(field, *transform, *encode, req, start, out)? {
                    continue;
                }
                match if_missing.as_deref() {
                    None => return Err(Unrenderable::Missing(field)),
                    Some(Missing::Answer(answer)) => return Err(Unrenderable::Answer(answer)),
                    Some(Missing::Value(value)) => render_parts(value, req, from, out)?,
                }
            }
        }
    }
    Ok(())
}

/// Appends a field; false when it is missing.
fn render_hole<'v>(
    field: &'v Field,
    transform: Transform,
    encode: Encode,
    req: &impl Request,
    start: usize,
    out: &mut String,
) -> Result<bool, Unrenderable<'v>> {
    let from = out.len();
    // LANGUAGE rule 11: what follows a host directly must not become a part of it (`OPTIONS *`).
    if matches!(field, Field::Uri) && encode == Encode::Encoded && !req.path().starts_with('/') {
        return Err(Unrenderable::BadRequest(BadText::NotCanonical));
    }
    // A capture in a path is written as it was received: it is canonical already, and an escaped
    // slash that the site lets through must not become a slash.
    if let (Encode::Path | Encode::Segment, Field::Capture(capture), Transform::None | Transform::Lower) =
        (encode, field, transform)
    {
        let lower = transform == Transform::Lower;
        let Some(text) = fields::read_capture(capture, req) else { return Ok(false) };
        for c in text.chars() {
            match c {
                '/' if encode == Encode::Segment => out.push_str("%2F"),
                c => out.push(if lower { c.to_ascii_lowercase() } else { c }),
            }
        }
        if lower {
            upper_escapes(out, from);
        }
    } else {
        let text = match fields::read(field, req) {
            Read::One(text) => text,
            Read::Missing => return Ok(false),
            Read::Conflict => return Err(Unrenderable::Conflict(field.clone())),
        };
        text.with(|bytes| encode_into(bytes, transform, encode, out)).map_err(Unrenderable::BadRequest)?;
    }
    if encode == Encode::Path && out.len() == from && from > start && out.ends_with('/') {
        out.pop();
    }
    Ok(true)
}

/// `%2F` stays in upper case when the text around it is lowered.
fn upper_escapes(out: &mut String, from: usize) {
    if !out[from..].contains('%') {
        return;
    }
    let lowered = out.split_off(from);
    let mut digits = 0u8;
    for c in lowered.chars() {
        out.push(if digits > 0 { c.to_ascii_uppercase() } else { c });
        digits = if c == '%' { 2 } else { digits.saturating_sub(1) };
    }
}

fn encode_into(bytes: Bytes<'_>, transform: Transform, encode: Encode, out: &mut String) -> Result<(), BadText> {
    match transform {
        // What nearly all values are: bytes that go on as they are.
        Transform::None if let (Encode::Plain | Encode::Header, Some(bytes)) = (encode, bytes.plain()) => {
            match str::from_utf8(bytes) {
                Ok(text) if encode == Encode::Plain || !text.bytes().any(|b| b.is_ascii_control()) => {
                    out.push_str(text)
                }
                Ok(_) => return Err(BadText::Control),
                Err(_) if encode == Encode::Plain => out.push_str(&String::from_utf8_lossy(bytes)),
                Err(_) => return Err(BadText::NotUtf8),
            }
            Ok(())
        }
        Transform::None => encode_bytes(bytes, encode, out),
        Transform::Lower => encode_bytes(bytes.map(|b| b.to_ascii_lowercase()), encode, out),
        Transform::Hash => encode_bytes(transform::hash(bytes).into_iter(), encode, out),
        Transform::LowerHash => {
            encode_bytes(transform::hash(bytes.map(|b| b.to_ascii_lowercase())).into_iter(), encode, out)
        }
    }
}

fn encode_bytes(bytes: impl Iterator<Item = u8> + Clone, encode: Encode, out: &mut String) -> Result<(), BadText> {
    let mut escape_unless = |keep: fn(u8) -> bool| {
        for byte in bytes.clone() {
            if keep(byte) { out.push(byte.into()) } else { bytes::push_escape(out, byte) }
        }
    };
    match encode {
        Encode::Segment => escape_unless(bytes::segment_byte),
        Encode::Path => escape_unless(|b| b == b'/' || bytes::segment_byte(b)),
        Encode::Query => escape_unless(bytes::unreserved),
        Encode::QueryPath => escape_unless(|b| b == b'/' || bytes::unreserved(b)),
        // What the client already encoded stays; what can stand in no URL does not.
        Encode::Encoded => escape_unless(|b| {
            b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'#')
        }),
        Encode::Plain => match collect(bytes) {
            Ok(text) => out.push_str(&text),
            Err(bytes) => out.push_str(&String::from_utf8_lossy(&bytes)),
        },
        Encode::Header => match collect(bytes) {
            Ok(text) if text.bytes().any(|b| b.is_ascii_control()) => return Err(BadText::Control),
            Ok(text) => out.push_str(&text),
            Err(_) => return Err(BadText::NotUtf8),
        },
        Encode::Authority => match collect(bytes) {
            Ok(text) if is_labels(&text) => out.push_str(&text),
            Ok(_) | Err(_) => return Err(BadText::NotLabels),
        },
        Encode::LocalPath => {
            let text: Vec<u8> = bytes.collect();
            if !transform::is_local_path(&text) {
                return Err(BadText::NotLocal);
            }
            transform::local_path(&text, out);
        }
    }
    Ok(())
}

/// Whether a text is a label, several joined by dots, or an IPv6 address in brackets.
fn is_labels(text: &str) -> bool {
    let label = |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    text.split('.').all(label) || (text.starts_with('[') && canonical::host(text.as_bytes()).is_ok_and(|h| h == *text))
}

fn collect(bytes: impl Iterator<Item = u8>) -> Result<String, Vec<u8>> {
    String::from_utf8(bytes.collect()).map_err(std::string::FromUtf8Error::into_bytes)
}

#[cfg(test)]
mod tests;
