//! What a provider's answers say: documents, and for how long they hold.

use crate::edge::json::{Json, Object, object};
use bytes::Bytes;
use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, Response, StatusCode, Uri};
use std::sync::Arc;
use std::time::Duration;

/// Keys are asked for again after so long, whatever the provider says: rotation is to be noticed.
const CEILING: Duration = Duration::from_secs(3_600);
/// And not before: the provider is to be left alone.
const FLOOR: Duration = Duration::from_secs(60);
/// Where it says nothing.
const USUAL: Duration = Duration::from_secs(600);

/// The body of an answer that has a document, and for how long that holds.
///
/// # Errors
/// When it has none, in words.
pub(super) fn document(answer: &Response<Bytes>) -> Result<(&[u8], Duration), String> {
    let status = answer.status();
    if status.is_redirection() {
        return Err(format!("it answers {}, and redirects are not followed", status.as_u16()));
    }
    if status != StatusCode::OK {
        return Err(format!("it answers {}", status.as_u16()));
    }
    let of = answer.headers().get(CONTENT_TYPE).map(|of| String::from_utf8_lossy(of.as_bytes()).to_ascii_lowercase());
    if let Some(of) = of {
        let essence = of.split(';').next().unwrap_or_default().trim();
        if essence != "application/json" && !(essence.starts_with("application/") && essence.ends_with("+json")) {
            let essence: String = essence.chars().filter(|c| !c.is_control()).take(64).collect();
            return Err(format!("it answers with `{essence}`, which is no JSON"));
        }
    }
    Ok((answer.body(), lasts(answer.headers())))
}

/// For how long an answer holds (RFC 9111 section 5.2.2), within bounds.
fn lasts(headers: &HeaderMap) -> Duration {
    let said = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut lasts = None;
    for directive in said.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return FLOOR,
            "max-age" => lasts = lasts.or(value.trim().trim_matches('"').parse::<u64>().ok()),
            _ => {}
        }
    }
    let age = headers.get(AGE).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok()).unwrap_or(0);
    match lasts {
        Some(seconds) => Duration::from_secs(seconds.saturating_sub(age)).clamp(FLOOR, CEILING),
        None => USUAL,
    }
}

/// What the discovery document of a provider says (OpenID Connect Discovery 1.0, section 3). URLs in it are checked:
/// https, or http to this machine where the issuer is there too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Where its keys are.
    pub jwks_uri: Option<Arc<str>>,
    /// Where browsers are sent to log in.
    pub authorization_endpoint: Option<Arc<str>>,
    /// Where a code is exchanged for tokens.
    pub token_endpoint: Option<Arc<str>>,
    /// Where more is said of who logged in.
    pub userinfo_endpoint: Option<Arc<str>>,
    /// Where browsers are sent to log out.
    pub end_session_endpoint: Option<Arc<str>>,
    /// A client's secret goes into the body: its token endpoint takes it nowhere else.
    pub secret_in_body: bool,
    /// `iss` stands beside every code that it sends (RFC 9207).
    pub iss_in_responses: bool,
}

/// Where the discovery document of an issuer stands.
pub(super) fn discovery_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer))
}

/// Reads a discovery document: it must be this issuer's, byte for byte (section 4.3).
///
/// # Errors
/// When it is not, in words.
pub(super) fn discovery(text: &[u8], issuer: &str) -> Result<Discovery, String> {
    let document = object(text).ok_or("it is no JSON object, or one of its objects has a name twice")?;
    match document.text("issuer") {
        Some(said) if said == issuer => {}
        Some(_) => return Err(format!("its `issuer` is not {issuer}")),
        None => return Err("it has no `issuer`".to_owned()),
    }
    let url = |name: &str| endpoint(&document, name, issuer);
    Ok(Discovery {
        jwks_uri: url("jwks_uri")?,
        authorization_endpoint: url("authorization_endpoint")?,
        token_endpoint: url("token_endpoint")?,
        userinfo_endpoint: url("userinfo_endpoint")?,
        end_session_endpoint: url("end_session_endpoint")?,
        secret_in_body: match document.get("token_endpoint_auth_methods_supported") {
            Some(Json::List(ways)) => {
                let has = |way: &str| ways.iter().any(|one| matches!(one, Json::Text(text) if **text == *way));
                has("client_secret_post") && !has("client_secret_basic")
            }
            // `client_secret_basic` is what is not said (section 3).
            _ => false,
        },
        iss_in_responses: matches!(
            document.get("authorization_response_iss_parameter_supported"),
            Some(Json::Bool(true))
        ),
    })
}

fn endpoint(document: &Object, name: &str, issuer: &str) -> Result<Option<Arc<str>>, String> {
    let Some(said) = document.get(name) else { return Ok(None) };
    let Json::Text(url) = said else { return Err(format!("its `{name}` is no text")) };
    let wrong = || format!("its `{name}` is no URL of a server with https");
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let host = uri.host().unwrap_or_default();
    let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    let here = issuer.starts_with("http://");
    let sound = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => here,
        _ => false,
    };
    if !sound || host.is_empty() || user || url.len() > 2_048 {
        return Err(wrong());
    }
    Ok(Some(Arc::clone(url)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(&str, &str)]) -> Response<Bytes> {
        let built = headers.iter().fold(Response::builder(), |built, (name, value)| built.header(*name, *value));
        built.body(Bytes::from_static(b"{}")).expect("an answer")
    }

    #[test]
    fn an_answer_holds_within_bounds() {
        for (said, seconds) in [
            ("max-age=300", 300),
            ("public, MAX-AGE=\"300\"", 300),
            ("max-age=5", 60),
            ("max-age=999999", 3_600),
            ("max-age=99999999999999999999999", 600),
            ("no-store, max-age=900", 60),
            ("private", 600),
        ] {
            let answer = answer(&[("cache-control", said)]);
            assert_eq!(document(&answer).expect(said).1, Duration::from_secs(seconds), "{said}");
        }
        let aged = answer(&[("cache-control", "max-age=300"), ("age", "200")]);
        assert_eq!(document(&aged).expect("aged").1, Duration::from_secs(100));
    }

    #[test]
    fn only_json_is_read() {
        for of in ["application/json", "application/jwk-set+json; charset=utf-8", "Application/JSON"] {
            assert!(document(&answer(&[("content-type", of)])).is_ok(), "{of}");
        }
        for of in ["text/html", "text/plain", "application/javascript", "image/svg+json"] {
            assert!(document(&answer(&[("content-type", of)])).is_err(), "{of}");
        }
    }

    #[test]
    fn attack_a_discovery_document_of_somebody_else() {
        let of = |issuer: &str, jwks: &str| {
            discovery(format!(r#"{{"issuer":"{issuer}","jwks_uri":"{jwks}"}}"#).as_bytes(), "https://a.test")
        };
        assert!(of("https://a.test", "https://a.test/jwks").is_ok());
        for issuer in ["https://a.test/", "https://b.test", "https://A.test", ""] {
            assert!(of(issuer, "https://a.test/jwks").is_err(), "{issuer}");
        }
        for jwks in ["http://a.test/jwks", "http://127.0.0.1/jwks", "file:///etc/passwd", "https://u@a.test/", "/jwks"]
        {
            assert!(of("https://a.test", jwks).is_err(), "{jwks}");
        }
    }
}
