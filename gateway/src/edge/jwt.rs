//! Tokens (RFC 7519, in the compact form of RFC 7515): verified, and signed for sessions.
//!
//! The rules are RFC 8725's. Only keys that the operator named verify, each by the algorithms of its kind;
//! what a token says of keys (`kid`, `jwk`, `jku`, `x5u`) is not read. `crit` is refused, for nothing
//! critical is understood. A name that stands twice in an object, text behind the object and base64 that
//! is not the one text of its bytes are refused: two readers shall not read two things.
//!
//! Signatures are aws-lc-rs's.

use super::keys::Keys;
use crate::base64url;
use aws_lc_rs::hmac;
use dsl::tree::ir::Algorithm;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A longer token is none. Headers of browsers hold 4 KB of a cookie.
pub(super) const MOST_BYTES: usize = 8 * 1024;
/// Claims that are kept of a token; more refuse it.
const MOST_CLAIMS: usize = 128;

/// Claims by name, as texts.
pub(super) type Claims = Arc<[(Arc<str>, Arc<str>)]>;

/// What a token must say.
pub(super) struct Rules<'r> {
    /// Algorithms that are accepted.
    pub(super) algorithms: &'r [Algorithm],
    /// What `iss` must be.
    pub(super) issuer: Option<&'r str>,
    /// What `aud` must be, or have among others. Without it a token that says for whom it is is for
    /// somebody else (RFC 7519 section 4.1.3).
    pub(super) audience: Option<&'r str>,
    /// By how much clocks may differ.
    pub(super) leeway: Duration,
    /// Since 1970.
    pub(super) now: Duration,
}

/// The claims of a token that holds; `None` for every other text.
pub(super) fn verify(token: &str, keys: &Keys, rules: &Rules<'_>) -> Option<Claims> {
    if token.len() > MOST_BYTES {
        return None;
    }
    let (text, signature) = token.rsplit_once('.')?;
    let (head, body) = text.split_once('.')?;
    let signature = base64url::decode(signature.as_bytes())?;
    let head = object(head)?;
    let algorithm = match head.get("alg")? {
        Json::Text(name) => algorithm(name)?,
        _ => return None,
    };
    if head.get("crit").is_some() || !rules.algorithms.contains(&algorithm) {
        return None;
    }
    let signed = keys.all.iter().any(|key| key.signed(algorithm, text.as_bytes(), &signature));
    if !signed {
        return None;
    }
    let body = object(body)?;
    (in_time(&body, rules)? && is_for_us(&body, rules)).then(|| claims(&body))?
}

/// A token of these claims, signed with HMAC.
pub(super) fn sign(claims: &serde_json::Value, key: &hmac::Key) -> String {
    let mut token = base64url::encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    token.push('.');
    token.push_str(&base64url::encode(claims.to_string().as_bytes()));
    let signature = hmac::sign(key, token.as_bytes());
    token.push('.');
    token.push_str(&base64url::encode(signature.as_ref()));
    token
}

fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "HS256" => Algorithm::Hs256,
        "RS256" => Algorithm::Rs256,
        "PS256" => Algorithm::Ps256,
        "ES256" => Algorithm::Es256,
        "EdDSA" => Algorithm::EdDsa,
        _ => return None,
    })
}

/// `exp` must be there; `nbf` and `iat` are times where they are. `None` where one is something else.
fn in_time(body: &Object, rules: &Rules<'_>) -> Option<bool> {
    let (now, leeway) = (rules.now.as_secs_f64(), rules.leeway.as_secs_f64());
    let time = |name: &str| match body.get(name) {
        None => Some(None),
        Some(Json::Number(_, time)) if time.is_finite() && *time >= 0.0 => Some(Some(*time)),
        Some(_) => None,
    };
    let (until, from) = (time("exp")??, time("nbf")?);
    time("iat")?;
    Some(now < until + leeway && from.is_none_or(|from| now + leeway >= from))
}

fn is_for_us(body: &Object, rules: &Rules<'_>) -> bool {
    let issued = match (rules.issuer, body.get("iss")) {
        (None, _) => true,
        (Some(wanted), Some(Json::Text(issuer))) => **issuer == *wanted,
        (Some(_), _) => false,
    };
    let is = |json: &Json, wanted: &str| matches!(json, Json::Text(text) if **text == *wanted);
    let meant = match (rules.audience, body.get("aud")) {
        (None, audience) => audience.is_none(),
        (Some(wanted), Some(Json::List(all))) => all.iter().any(|one| is(one, wanted)),
        (Some(wanted), Some(one)) => is(one, wanted),
        (Some(_), None) => false,
    };
    issued && meant
}

/// The claims as texts: texts, numbers and booleans by their names, those of inner objects behind a dot; a list
/// once for each of these in it. `None` where there are too many, or two of one name.
fn claims(body: &Object) -> Option<Claims> {
    let (mut names, mut all) = (Vec::new(), Vec::new());
    flatten("", body, &mut names, &mut all);
    names.sort_unstable();
    let once = names.windows(2).all(|pair| pair[0] != pair[1]);
    (once && all.len() <= MOST_CLAIMS).then(|| all.into())
}

fn flatten(prefix: &str, object: &Object, names: &mut Vec<Arc<str>>, all: &mut Vec<(Arc<str>, Arc<str>)>) {
    for (name, value) in &object.0 {
        let name: Arc<str> = if prefix.is_empty() { name.as_str().into() } else { format!("{prefix}.{name}").into() };
        match value {
            Json::Object(inner) => {
                flatten(&name, inner, names, all);
                continue;
            }
            Json::List(list) => all.extend(list.iter().filter_map(scalar).map(|text| (Arc::clone(&name), text))),
            other => all.extend(scalar(other).map(|text| (Arc::clone(&name), text))),
        }
        names.push(name);
    }
}

fn scalar(json: &Json) -> Option<Arc<str>> {
    match json {
        Json::Text(text) | Json::Number(text, _) => Some(Arc::clone(text)),
        Json::Bool(yes) => Some(if *yes { "true" } else { "false" }.into()),
        Json::List(_) | Json::Object(_) | Json::Null => None,
    }
}

/// The object of a part of a token.
fn object(part: &str) -> Option<Object> {
    match serde_json::from_slice(&base64url::decode(part.as_bytes())?).ok()? {
        Json::Object(object) => Some(object),
        _ => None,
    }
}

/// A value of JSON whose objects have each name once.
enum Json {
    Null,
    Bool(bool),
    /// As it is written where it is whole, and as what it counts.
    Number(Arc<str>, f64),
    Text(Arc<str>),
    List(Vec<Json>),
    Object(Object),
}

struct Object(Vec<(String, Json)>);

impl Object {
    fn get(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON whose objects have each name once")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Json, E> {
        Ok(Json::Bool(yes))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Json, E> {
        Ok(Json::Number(n.to_string().into(), n as f64))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Json, E> {
        Ok(Json::Number(n.to_string().into(), n as f64))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Json, E> {
        Ok(Json::Number(n.to_string().into(), n))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut all = Vec::new();
        while let Some(value) = list.next_element()? {
            all.push(value);
        }
        Ok(Json::List(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut all: Vec<(String, Json)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if all.len() > MOST_CLAIMS || all.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("a name that stands twice, or too many of them"));
            }
            all.push((name, value));
        }
        Ok(Json::Object(Object(all)))
    }
}
