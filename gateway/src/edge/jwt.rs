//! Tokens (RFC 7519, in the compact form of RFC 7515): verified, and signed for sessions.
//!
//! The rules are RFC 8725's. Only keys that the operator named verify, or those that a provider which the operator
//! named publishes, each by the algorithms of its kind. What a token says of keys (`jwk`, `jku`, `x5u`, `x5c`) is not
//! read; its `kid` chooses among the provider's own. `crit` is refused, for nothing critical is understood, and so is
//! what says that its claims are no claims (`b64`, `cty`). A name that stands twice in an object, text behind the
//! object and base64 that is not the one text of its bytes are refused: two readers shall not read two things.
//!
//! Signatures are aws-lc-rs's.

use super::json::{Json, Object, object};
use super::keys::{Key, Keys};
use super::provider::Published;
use crate::base64url;
use aws_lc_rs::hmac;
use dsl::tree::ir::Algorithm;
use std::sync::Arc;
use std::time::Duration;

/// A longer token is none. Headers of browsers hold 4 KB of a cookie.
pub(super) const MOST_BYTES: usize = 8 * 1024;
/// Claims that are kept of a token; more refuse it.
const MOST_CLAIMS: usize = 128;
/// No time is later: the last second of the year 9999. What is larger counts something else than seconds.
const LAST: f64 = 253_402_300_799.0;
/// By how much a token may be issued in the future, beside the leeway: whoever issued it has a clock of its own, and
/// `iat` bounds nothing.
const AHEAD: f64 = 60.0;

/// Claims by name, as texts.
pub type Claims = Arc<[(Arc<str>, Arc<str>)]>;

/// What a token must say.
pub(super) struct Rules<'r> {
    /// Algorithms that are accepted.
    pub(super) algorithms: &'r [Algorithm],
    /// What `iss` must be.
    pub(super) issuer: Option<&'r str>,
    /// What `aud` must be, or have among others. Without it a token that says for whom it is is for
    /// somebody else (RFC 7519 section 4.1.3).
    pub(super) audience: Option<&'r str>,
    /// Whether a token may do without `exp`.
    pub(super) endless: bool,
    /// Whether a token must have `nbf`.
    pub(super) nbf: bool,
    /// By how much clocks may differ.
    pub(super) leeway: Duration,
    /// Since 1970.
    pub(super) now: Duration,
}

/// Whose keys verify.
pub(super) enum By<'k> {
    /// Those of secrets: each is tried.
    Secrets(&'k Keys),
    /// A provider's: those that the token's `kid` names.
    Provider(&'k Published),
}

/// A token that holds.
#[derive(Clone, Debug)]
pub(super) struct Holds {
    pub(super) claims: Claims,
    pub(super) lasts: Lasts,
}

/// When a token holds, seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lasts {
    /// `nbf`
    pub(super) from: Option<f64>,
    /// `exp`
    pub(super) until: Option<f64>,
}

impl Lasts {
    /// Whether it holds at a time, when clocks differ by so much.
    pub(super) fn hold(self, now: Duration, leeway: Duration) -> bool {
        let (now, leeway) = (now.as_secs_f64(), leeway.as_secs_f64());
        self.until.is_none_or(|until| now < until + leeway) && self.from.is_none_or(|from| now + leeway >= from)
    }
}

/// Why a text is no token that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It never will be one.
    No,
    /// The provider has no key of this `kid` and kind, or none that made the signature of a token without a `kid`: it
    /// may be newer than what is known of the keys.
    UnknownKey,
}

/// The claims of a token that holds, and for how long.
pub(super) fn verify(token: &str, by: &By<'_>, rules: &Rules<'_>) -> Result<Holds, Refused> {
    if token.len() > MOST_BYTES {
        return Err(Refused::No);
    }
    let (text, signature) = token.rsplit_once('.').ok_or(Refused::No)?;
    let (head, body) = text.split_once('.').ok_or(Refused::No)?;
    let signature = base64url::decode(signature.as_bytes()).ok_or(Refused::No)?;
    let (algorithm, kid) = header(head, rules).ok_or(Refused::No)?;
    let signs = |key: &Key| key.signed(algorithm, text.as_bytes(), &signature);
    let signed = match by {
        By::Secrets(keys) => keys.all.iter().any(signs),
        By::Provider(published) => {
            let mut known = false;
            let mut candidates = published.candidates(kid.as_deref(), algorithm).inspect(|_| known = true);
            let signed = candidates.any(signs);
            if !known || (!signed && kid.is_none()) {
                return Err(Refused::UnknownKey);
            }
            signed
        }
    };
    if !signed {
        return Err(Refused::No);
    }
    claimed(body, rules).ok_or(Refused::No)
}

/// How a token says it is signed, and by which key; `None` where it is none of ours.
fn header(head: &str, rules: &Rules<'_>) -> Option<(Algorithm, Option<Arc<str>>)> {
    let head = part(head)?;
    let algorithm = algorithm(head.text("alg")?)?;
    let kid = match head.get("kid") {
        None => None,
        Some(Json::Text(kid)) => Some(Arc::clone(kid)),
        Some(_) => return None,
    };
    // Its claims are claims: neither another token (RFC 7519 section 5.2) nor bytes as they are (RFC 7797).
    let plain = !matches!(head.get("b64"), Some(b64) if !matches!(b64, Json::Bool(true)))
        && !head.text("cty").is_some_and(|cty| cty.to_ascii_lowercase().ends_with("jwt"));
    (plain && head.get("crit").is_none() && rules.algorithms.contains(&algorithm)).then_some((algorithm, kid))
}

/// The claims of a body that was signed, where they are as they must be.
fn claimed(body: &str, rules: &Rules<'_>) -> Option<Holds> {
    let body = part(body)?;
    let lasts = times(&body, rules)?;
    (lasts.hold(rules.now, rules.leeway) && is_for_us(&body, rules)).then_some(())?;
    Some(Holds { claims: claims(&body)?, lasts })
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

/// `exp` must be there, `nbf` where that is asked for; `iat` is a time where it is there. `None` where one is something
/// else.
fn times(body: &Object, rules: &Rules<'_>) -> Option<Lasts> {
    let time = |name: &str| match body.get(name) {
        None => Some(None),
        Some(Json::Number(_, time)) if (0.0..=LAST).contains(time) => Some(Some(*time)),
        Some(_) => None,
    };
    let (until, from, issued) = (time("exp")?, time("nbf")?, time("iat")?);
    let latest = rules.now.as_secs_f64() + rules.leeway.as_secs_f64() + AHEAD;
    let there = (until.is_some() || rules.endless) && (from.is_some() || !rules.nbf);
    (there && issued.is_none_or(|issued| issued <= latest)).then_some(Lasts { from, until })
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
pub(super) fn claims(body: &Object) -> Option<Claims> {
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
fn part(part: &str) -> Option<Object> {
    object(&base64url::decode(part.as_bytes())?)
}
