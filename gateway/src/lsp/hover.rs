//! Hovering: what a name is, what a pattern matches.

use super::server::{Answer, Server};
use super::text::Lines;
use dsl::ide::{Declaration, Means};
use serde_json::{Value, json};

/// What the parts of the language are, by name; a member's own line before that of its head.
const PARTS: &[(&str, &str)] = &[
    ("request.method", "the method of the request"),
    ("request.path", "its canonical path: decoded, without dot segments, as the origin receives it"),
    ("request.uri", "its path and query, as they were sent"),
    ("request.query-string", "its query as it was sent, without `?`"),
    ("request.size", "what Content-Length says"),
    ("request.version", "`1.0`, `1.1`, `2` or `3`"),
    ("method", "the method of the request"),
    ("host", "the host that the request asks for, in lower case, without a port"),
    ("client.ip", "the client's address; behind trusted proxies the one that they forward"),
    ("client.port", "the client's port"),
    ("client.country", "the country of the client's address: two capitals, as in `DE`; missing where it is not known"),
    ("tls.sni", "the name that the client asked for in its handshake"),
    ("tls.version", "`1.2` or `1.3`"),
    ("tls.alpn", "the protocol that was agreed on"),
    ("tls.cert", "the certificate that the client proved; as a text its fingerprint"),
    ("tls.cert.subject", "whose certificate the client proved, as in `CN=ann,O=Example` (RFC 4514)"),
    ("tls.cert.issuer", "whose signature the client's certificate bears"),
    ("tls.cert.serial", "the number of the client's certificate, hexadecimal"),
    ("tls.cert.san", "the first alternative name of the client's certificate: a host, a URI or an address of mail"),
    ("tls.cert.fingerprint", "SHA-256 of the client's certificate, hexadecimal"),
    (
        "header",
        "a header of the request; missing where it is not sent, 400 where it is sent twice with different values",
    ),
    ("cookie", "a cookie of the request; missing where it is not sent"),
    ("query", "a field of the query; missing where it is not sent"),
    ("body.text", "the body of the request, as it was sent; missing where there is none"),
    ("body.values", "every name and value of the body, decoded, a line break after each"),
    ("body", "what the body of the request says: `json(…)`, `form(…)`, `file(…)`, `text`, `values`"),
    ("secret", "a secret of the gateway's provider, by its name"),
];

pub(super) fn hover(server: &mut Server, params: &Value) -> Answer {
    Ok(found(server, params).unwrap_or(Value::Null))
}

fn found(server: &Server, params: &Value) -> Option<Value> {
    let (path, text, offset) = server.place(params)?;
    let index = server.world.index(&path)?;
    let lines = Lines::new(&text, server.encoding);
    let seen = index.at(offset)?;
    let ty = seen.ty.as_deref();
    let said = match &seen.means {
        Means::Declared(loc) => {
            let (other, text) = server.world.index_of(loc.file)?;
            declared(&other.declaration(loc.span, &text)?, ty)
        }
        Means::Module(file) => {
            let path = match dsl::stdlib::source(*file) {
                Some((name, _)) => name.to_owned(),
                None => server.world.path(*file)?.display().to_string(),
            };
            format!("{}module `{path}`", code("import"))
        }
        Means::Builtin(name) => {
            let head = name.split('.').next().unwrap_or(name);
            let says =
                PARTS.iter().find(|(part, _)| part == name).or_else(|| PARTS.iter().find(|(part, _)| *part == head));
            let written = ty.map_or_else(|| name.clone(), |ty| format!("{name}: {ty}"));
            format!("{}{}", code(&written), says.map_or("", |(_, says)| says))
        }
        Means::Path(_) => {
            let whole = index.whole_path(seen.at.span, &text)?;
            format!("{}{}{}", code(&whole), matches(&whole), such(&seen.means))
        }
        Means::Host(_) => {
            let own = text.get(seen.at.span.range())?;
            format!("{}a host{}", code(own), such(&seen.means))
        }
    };
    Some(json!({ "contents": { "kind": "markdown", "value": said.trim_end() }, "range": lines.range(seen.at.span) }))
}

fn declared(what: &Declaration, ty: Option<&str>) -> String {
    let head = match (what.kind, ty) {
        ("capture" | "parameter", Some(ty)) => format!("{} {}: {ty}", what.kind, what.name),
        ("capture" | "parameter", None) => format!("{} {}", what.kind, what.head),
        _ => what.head.clone(),
    };
    let mut out = code(&head);
    match (what.kind, ty) {
        ("capture", Some(_)) => out.push_str(&format!("captured by `{}`\n", what.head)),
        ("let", Some(ty)) => out.push_str(&format!("of type `{ty}`\n")),
        _ => {}
    }
    if let Some(doc) = &what.doc {
        out.push_str(&format!("\n{doc}"));
    }
    out
}

fn code(text: &str) -> String {
    format!("```route\n{text}\n```\n")
}

/// What the end of a pattern means.
fn matches(whole: &str) -> &'static str {
    if whole.rsplit('/').next().is_some_and(|last| last.starts_with('*')) {
        "this path and everything below it"
    } else {
        "this path, with or without a slash at its end"
    }
}

fn such(means: &Means) -> String {
    means.example().map_or_else(String::new, |example| format!(", such as `{example}`"))
}
