//! What the head of a request says of its body: Content-Type (RFC 9110 section 8.3) and Content-Encoding (8.4).

use super::BadBody;
use crate::tree::request::Request;

/// What a body says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `application/json`, `text/json`, `…+json`
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
    /// `multipart/form-data`, with its boundary.
    Multipart(Vec<u8>),
    /// gRPC's: messages that are no text.
    Grpc,
    /// Pictures, archives and the like: whoever looks for text finds none.
    Binary,
    /// Anything else, or nothing.
    Other,
}

const TYPE: &str = "the Content-Type is malformed";

/// What a request says of its body.
pub(super) fn kind(req: &impl Request) -> Result<Kind, BadBody> {
    let (mut types, mut last) = (0, &b""[..]);
    req.header("content-type", &mut |value| {
        types += 1;
        last = value;
    });
    let mut coded = false;
    req.header("content-encoding", &mut |value| {
        coded |= !value.split(|b| *b == b',').all(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"identity"));
    });
    let kind = match types {
        0 => Kind::Other,
        1 => of_type(last)?,
        // Equal ones too: whoever joins them with a comma reads one that is none.
        _ => return Err(BadBody::Type("the Content-Type stands there more than once")),
    };
    if coded { Err(BadBody::Coding) } else { Ok(kind) }
}

fn of_type(value: &[u8]) -> Result<Kind, BadBody> {
    let value = std::str::from_utf8(value).map_err(|_| BadBody::Type(TYPE))?;
    let (essence, rest) = value.split_at(value.find(';').unwrap_or(value.len()));
    let essence = essence.trim_matches([' ', '\t']).to_ascii_lowercase();
    let Some((main, sub)) = essence.split_once('/') else { return Err(BadBody::Type(TYPE)) };
    if !is_token(main) || !is_token(sub) {
        return Err(BadBody::Type(TYPE));
    }
    let params = params(rest)?;
    let one = |wanted: &str| {
        let mut named = params.iter().filter(|(name, _)| name == wanted);
        match (named.next(), named.next()) {
            (_, Some(_)) => Err(BadBody::Type("a parameter of the Content-Type stands there more than once")),
            (found, None) => Ok(found.map(|(_, value)| value.as_str())),
        }
    };
    // RFC 2231: a value in pieces, or in another charset, which some readers put together.
    if params.iter().any(|(name, _)| name.contains('*')) {
        return Err(BadBody::Type("a parameter of the Content-Type is written in pieces"));
    }
    let charset = one("charset")?;
    let boundary = one("boundary")?;
    let utf8 =
        charset.is_none_or(|charset| ["utf-8", "utf8", "us-ascii"].iter().any(|c| charset.eq_ignore_ascii_case(c)));
    let kind = match (main, sub) {
        ("application" | "text", "json") => Kind::Json,
        ("application", "x-www-form-urlencoded") => Kind::Form,
        ("multipart", "form-data") => match boundary {
            Some(boundary) if is_boundary(boundary) => Kind::Multipart(boundary.as_bytes().to_vec()),
            Some(_) | None => return Err(BadBody::Type("the boundary of the form is missing or malformed")),
        },
        // A form to some readers, whatever kind of multipart it is.
        ("multipart", _) => return Err(BadBody::Type("the body is a multipart that is no form")),
        ("application", sub) if sub == "grpc" || sub.starts_with("grpc+") || sub.starts_with("grpc-web") => Kind::Grpc,
        (_, sub) if sub.ends_with("+json") => Kind::Json,
        (_, sub) if sub.ends_with("+xml") => Kind::Other,
        ("image" | "audio" | "video" | "font" | "model", _) => Kind::Binary,
        (
            "application",
            "octet-stream" | "pdf" | "zip" | "gzip" | "x-gzip" | "zstd" | "x-tar" | "x-7z-compressed" | "wasm"
            | "protobuf" | "x-protobuf" | "cbor" | "msgpack" | "x-msgpack",
        ) => Kind::Binary,
        (_, _) => Kind::Other,
    };
    if utf8 || kind == Kind::Binary || kind == Kind::Grpc {
        Ok(kind)
    } else {
        Err(BadBody::Type("the body is in another charset than UTF-8"))
    }
}

/// `; name=value; name="value"`: names in lower case.
pub(super) fn params(mut rest: &str) -> Result<Vec<(String, String)>, BadBody> {
    const BAD: BadBody = BadBody::Type(TYPE);
    let blank = [' ', '\t'];
    let mut out = Vec::new();
    loop {
        rest = rest.trim_start_matches(blank);
        let Some(more) = rest.strip_prefix(';') else {
            return if rest.is_empty() { Ok(out) } else { Err(BAD) };
        };
        rest = more.trim_start_matches(blank);
        if rest.is_empty() {
            return Ok(out);
        }
        let (name, more) = rest.split_once('=').ok_or(BAD)?;
        if !is_token(name) {
            return Err(BAD);
        }
        let value = match more.strip_prefix('"') {
            Some(quoted) => {
                let (value, more) = quoted.split_once('"').ok_or(BAD)?;
                // An escape means one thing to some readers and another to the rest.
                if value.contains('\\') || value.chars().any(char::is_control) {
                    return Err(BAD);
                }
                rest = more;
                value
            }
            None => {
                let (value, more) = more.split_at(more.find([';', ' ', '\t']).unwrap_or(more.len()));
                if !is_token(value) {
                    return Err(BAD);
                }
                rest = more;
                value
            }
        };
        out.push((name.to_ascii_lowercase(), value.to_owned()));
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// RFC 2046 section 5.1.1, without blanks, which readers trim or do not.
fn is_boundary(text: &str) -> bool {
    (1..=70).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&b))
}
