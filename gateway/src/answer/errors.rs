//! The gateway's own errors, in a form that the client accepts: a page for browsers, JSON for programs, one
//! line of text for everybody else, and a gRPC status for gRPC.

use super::{TEXT, status, text};
use crate::http::body::Content;
use bytes::Bytes;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE, VARY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Method, Response, StatusCode};
use std::fmt::Write;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The form in which a client is told of an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// `502: why`, in one line.
    #[default]
    Plain,
    /// A page.
    Html,
    /// `{"error":{"status":502,"message":"why"}}`
    Json,
    /// RFC 9457.
    Problem,
    /// Trailers only, with `grpc-status`.
    Grpc,
    /// The same, for gRPC-Web.
    GrpcWeb,
    /// The same, for gRPC-Web in base64.
    GrpcWebText,
}

/// What an error of the gateway's says; with this it can still be put into another form.
#[derive(Clone)]
struct Why(Box<str>);

/// An answer of somebody else's, passed on as it is; calls of gRPC are told of it in their own form.
#[derive(Clone, Copy, Debug)]
pub struct Foreign;

/// `502: why`, in one line, until it is known what the client accepts ([`presented`]).
#[must_use]
pub fn error(code: u16, why: &str) -> Response<Content> {
    let mut response = super::line(code, why);
    response.extensions_mut().insert(Why(why.into()));
    response
}

/// An answer in the form that a client accepts, if it is an error of the gateway's; any other as it is.
#[must_use]
pub fn presented(mut response: Response<Content>, form: Form) -> Response<Content> {
    if response.extensions_mut().remove::<Foreign>().is_some() {
        return foreign(response, form);
    }
    if !matches!(response.body(), Content::Text(_)) {
        return response;
    }
    let Some(Why(why)) = response.extensions_mut().remove::<Why>() else { return response };
    let code = response.status().as_u16();
    let title = status(code).canonical_reason().unwrap_or("Error");
    let (kind, body) = match form {
        Form::Plain => (None, None),
        Form::Html => (Some("text/html; charset=utf-8"), Some(page(code, title, &why))),
        Form::Json => (Some("application/json"), Some(json(code, &why))),
        Form::Problem => (Some("application/problem+json"), Some(problem(code, title, &why))),
        Form::Grpc | Form::GrpcWeb | Form::GrpcWebText => return grpc(response, form.kind(), code, &why),
    };
    if let Some(body) = body {
        *response.body_mut() = Content::Text(Bytes::from(body));
    }
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, kind.map_or(TEXT, HeaderValue::from_static));
    headers.append(VARY, HeaderValue::from_static("Accept"));
    response
}

/// An answer of somebody else's. Calls of gRPC have no use for pages and follow no redirect: who is sent to log in is
/// not known.
fn foreign(response: Response<Content>, form: Form) -> Response<Content> {
    if !matches!(form, Form::Grpc | Form::GrpcWeb | Form::GrpcWebText) {
        return response;
    }
    let code = if response.status().is_redirection() { 401 } else { response.status().as_u16() };
    let why = status(code).canonical_reason().unwrap_or("denied").to_ascii_lowercase();
    let mut told = super::line(code, &why);
    for name in [SET_COOKIE, WWW_AUTHENTICATE, RETRY_AFTER] {
        for value in response.headers().get_all(&name) {
            told.headers_mut().append(name.clone(), value.clone());
        }
    }
    grpc(told, form.kind(), code, &why)
}

impl Form {
    /// The content type of gRPC's forms.
    fn kind(self) -> &'static str {
        match self {
            Self::GrpcWeb => "application/grpc-web+proto",
            Self::GrpcWebText => "application/grpc-web-text+proto",
            Self::Grpc | Self::Plain | Self::Html | Self::Json | Self::Problem => "application/grpc",
        }
    }

    /// What a request's headers ask for.
    #[must_use]
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        if *method == Method::POST
            && let Some(kind) = headers.get(CONTENT_TYPE)
            && let Some(rest) = kind.as_bytes().strip_prefix(b"application/grpc")
        {
            return if rest.starts_with(b"-web-text") {
                Self::GrpcWebText
            } else if rest.starts_with(b"-web") {
                Self::GrpcWeb
            } else {
                Self::Grpc
            };
        }
        headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).map_or(Self::Plain, Self::accepted)
    }

    /// What an `Accept` header likes best (RFC 9110 section 12.5.1); of equals the one named first.
    fn accepted(accept: &str) -> Self {
        // What nearly all of them are needs no closer look.
        match accept {
            "*/*" => return Self::Plain,
            _ if accept.starts_with("text/html,") => return Self::Html,
            _ => {}
        }
        let mut best = (0, Self::Plain);
        for range in accept.split(',').take(32) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let form = match kind.to_ascii_lowercase().as_str() {
                "text/html" | "application/xhtml+xml" => Self::Html,
                "application/json" | "text/json" => Self::Json,
                "application/problem+json" => Self::Problem,
                "text/plain" | "text/*" | "*/*" => Self::Plain,
                "application/*" => Self::Json,
                _ => continue,
            };
            let quality =
                parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q="))).map_or(1000, weight);
            if quality > best.0 {
                best = (quality, form);
            }
        }
        best.1
    }
}

/// A weight in thousandths.
fn weight(text: &str) -> u32 {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if whole == "1" {
        return 1000;
    }
    let digits = rest.bytes().take(3).take_while(u8::is_ascii_digit);
    digits.zip([100, 10, 1]).map(|(digit, place)| u32::from(digit - b'0') * place).sum()
}

fn page(code: u16, title: &str, why: &str) -> String {
    let mut why_in_html = String::with_capacity(why.len());
    for c in why.chars() {
        match c {
            '&' => why_in_html.push_str("&amp;"),
            '<' => why_in_html.push_str("&lt;"),
            '>' => why_in_html.push_str("&gt;"),
            '"' => why_in_html.push_str("&quot;"),
            '\'' => why_in_html.push_str("&#39;"),
            c => why_in_html.push(c),
        }
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{code} {title}</title>\n\
         <h1>{code} {title}</h1>\n<p>{why_in_html}</p>\n</html>\n"
    )
}

fn json(code: u16, why: &str) -> String {
    let body = serde_json::json!({ "error": { "status": code, "message": why } });
    format!("{body}\n")
}

fn problem(code: u16, title: &str, why: &str) -> String {
    let body = serde_json::json!({ "type": "about:blank", "title": title, "status": code, "detail": why });
    format!("{body}\n")
}

/// Status and message of gRPC, with nothing after them: the status of HTTP is 200 then, whatever failed.
fn grpc(from: Response<Content>, kind: &'static str, code: u16, why: &str) -> Response<Content> {
    let (from, _) = from.into_parts();
    let mut response = text(200, HeaderValue::from_static(kind), String::new());
    let headers = response.headers_mut();
    // What else the answer says stays: when to ask again, that the connection ends.
    for (name, value) in &from.headers {
        if ![CONTENT_TYPE, CONTENT_LENGTH, X_CONTENT_TYPE_OPTIONS, VARY, CACHE_CONTROL].contains(name) {
            headers.append(name, value.clone());
        }
    }
    headers.insert(GRPC_STATUS, HeaderValue::from(grpc_code(code)));
    let mut message = String::with_capacity(why.len());
    for byte in why.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => message.push(char::from(byte)),
            // Writing to a `String` cannot fail.
            _ => {
                let _ = write!(message, "%{byte:02X}");
            }
        }
    }
    if let Ok(message) = HeaderValue::from_str(&message) {
        headers.insert(GRPC_MESSAGE, message);
    }
    *response.status_mut() = StatusCode::OK;
    response
}

/// The gRPC status for a status of HTTP, as gRPC's own mapping has it; what is late is late there too.
#[must_use]
pub fn grpc_code(code: u16) -> u16 {
    match code {
        // DEADLINE_EXCEEDED
        408 | 504 => 4,
        // PERMISSION_DENIED
        403 => 7,
        // RESOURCE_EXHAUSTED
        413 | 414 | 431 => 8,
        // UNIMPLEMENTED
        404 => 12,
        // INTERNAL
        400 => 13,
        // UNAVAILABLE
        421 | 429 | 502 | 503 => 14,
        // UNAUTHENTICATED
        401 => 16,
        // UNKNOWN
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &str) -> Form {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().expect("a value"));
        Form::of(&Method::GET, &headers)
    }

    fn body(response: &Response<Content>) -> &str {
        match response.body() {
            Content::Text(text) => std::str::from_utf8(text).expect("text"),
            _ => "",
        }
    }

    #[test]
    fn clients_get_what_they_like_best() {
        for (accept, expected) in [
            ("*/*", Form::Plain),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", Form::Html),
            ("text/html", Form::Html),
            ("application/json", Form::Json),
            ("application/json, text/plain, */*", Form::Json),
            ("text/plain, application/json", Form::Plain),
            ("text/html;q=0.5, application/json;q=0.9", Form::Json),
            ("application/json;q=0, text/html;q=0.1", Form::Html),
            ("application/problem+json, application/json;q=0.5", Form::Problem),
            ("image/png", Form::Plain),
            ("*/*;q=0.1, APPLICATION/JSON;Q=0.25", Form::Json),
            ("", Form::Plain),
            (";;,,q=,", Form::Plain),
        ] {
            assert_eq!(form(accept), expected, "{accept}");
        }
    }

    #[test]
    fn grpc_gets_a_status_of_its_own() {
        let mut headers = HeaderMap::new();
        let mut of = |kind: &'static str| {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            Form::of(&Method::POST, &headers)
        };
        assert_eq!(of("application/grpc"), Form::Grpc);
        assert_eq!(of("application/grpc+proto"), Form::Grpc);
        assert_eq!(of("application/grpc-web"), Form::GrpcWeb);
        assert_eq!(of("application/grpc-web-text+proto"), Form::GrpcWebText);
        assert_eq!(of("application/json"), Form::Plain);
        let mut late = error(504, "100% lat\u{e9}");
        late.headers_mut().insert("retry-after", HeaderValue::from_static("1"));
        let late = presented(late, Form::Grpc);
        assert_eq!((late.status(), body(&late)), (StatusCode::OK, ""));
        let header = |name: &str| late.headers()[name].to_str().expect("text");
        assert_eq!([header("grpc-status"), header("grpc-message")], ["4", "100%25 lat%C3%A9"]);
        assert_eq!([header("content-type"), header("retry-after")], ["application/grpc", "1"]);
        assert_eq!([502, 503, 404, 403, 401, 500].map(grpc_code), [14, 14, 12, 7, 16, 2]);
    }

    #[test]
    fn what_clients_wrote_stays_text_in_every_form() {
        let why = "no site answers for \"<script>&\"";
        let page = presented(error(404, why), Form::Html);
        assert!(body(&page).contains("<p>no site answers for &quot;&lt;script&gt;&amp;&quot;</p>"), "{}", body(&page));
        let json = presented(error(404, why), Form::Json);
        assert_eq!(body(&json), "{\"error\":{\"message\":\"no site answers for \\\"<script>&\\\"\",\"status\":404}}\n");
        assert_eq!(json.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(json.headers()[VARY], "Accept");
        let problem = presented(error(503, "no origin is up"), Form::Problem);
        assert!(body(&problem).contains("\"title\":\"Service Unavailable\""));
        let plain = presented(error(404, why), Form::Plain);
        assert_eq!(body(&plain), "404: no site answers for \"<script>&\"\n");
    }

    #[test]
    fn what_routes_say_is_left_alone() {
        let said = presented(text(503, TEXT, "down".into()), Form::Html);
        assert_eq!((body(&said), &said.headers()[CONTENT_TYPE]), ("down", &TEXT));
        let redirect = presented(super::super::redirect(302, "/a"), Form::Json);
        assert_eq!(body(&redirect), "302: /a\n");
    }
}
