//! The provider's token endpoint and userinfo endpoint, and what its ID tokens must say.

use super::{Login, escaped, form, since_epoch};
use crate::base64url;
use crate::edge::fetch::Client;
use crate::edge::json::{Json, Object, object};
use crate::edge::jwt::{self, By, Claims, Refused, Rules};
use crate::edge::provider::Discovery;
use crate::secrets::{Unguessable, equal};
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use bytes::Bytes;
use dsl::tree::ir::Algorithm;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{Request, Response, StatusCode};
use std::time::Duration;

/// By how much the provider's clock may differ.
const LEEWAY: Duration = Duration::from_secs(60);
/// How ID tokens may be signed: the key says which.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa];
/// Whom a provider may name: `sub` has 255 letters at most (OpenID Connect Core 1.0 section 2).
const MOST_SUB: usize = 255;
/// Errors of a token endpoint (RFC 6749 section 5.2) that are told as they are.
const ERRORS: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

/// Why there are no tokens.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The grant does not hold: a code that was used, a session that the provider ended.
    Grant,
    /// Something is wrong that the browser did not bring: in words for the operator.
    Broken(String),
}

/// What a token endpoint gave.
pub(super) struct Tokens {
    pub(super) id: Option<String>,
    pub(super) access: Option<String>,
    pub(super) refresh: Option<String>,
    /// For how many seconds the access token holds.
    pub(super) lasts: Option<u64>,
}

/// Who an ID token says it is.
pub(super) struct Identity {
    pub(super) sub: String,
    pub(super) claims: Claims,
}

impl Login {
    /// Asks the token endpoint (RFC 6749 sections 4.1.3 and 6).
    pub(super) async fn tokens(&self, discovery: &Discovery, grant: &[(&str, &str)]) -> Result<Tokens, Trouble> {
        let broken = |why: &str| Trouble::Broken(why.to_owned());
        let endpoint = discovery.token_endpoint.as_deref();
        let endpoint = endpoint.ok_or_else(|| broken("its discovery document has no `token_endpoint`"))?;
        let mut grant = grant.to_vec();
        let id = &*self.client.id;
        let mut request = Request::post(endpoint)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("sluice/", env!("CARGO_PKG_VERSION")));
        let secret = match &self.client.key {
            None => None,
            Some(name) => {
                let why = || Trouble::Broken(format!("secret {name}: {}", self.secrets.why_not(name)));
                let secret = self.secrets.get(name).ok_or_else(why)?;
                let text = std::str::from_utf8(secret.bytes()).map(|text| text.trim().to_owned());
                Some(text.map_err(|_| Trouble::Broken(format!("secret {name}: it is no text")))?)
            }
        };
        match &secret {
            None => grant.push(("client_id", id)),
            Some(secret) if discovery.secret_in_body => grant.extend([("client_id", id), ("client_secret", secret)]),
            Some(secret) => {
                // Both are escaped first (RFC 6749 section 2.3.1).
                let pair = format!("{}:{}", escaped(id), escaped(secret));
                request = request.header(AUTHORIZATION, format!("Basic {}", base64url::encode_padded(pair.as_bytes())));
            }
        }
        let request = request.body(Bytes::from(form(&grant))).map_err(|_| broken("its `token_endpoint` is no URL"))?;
        let client = self.provider.client().map_err(Trouble::Broken)?;
        let answer = client.send(request).await.map_err(|why| Trouble::Broken(why.to_string()))?;
        read(&answer)
    }

    /// Who an ID token says it is, if it is one for us (OpenID Connect Core 1.0 section 3.1.3.7). A login has a
    /// `nonce`, a refresh none.
    pub(super) async fn identity(
        &self,
        token: &str,
        nonce: Option<&Unguessable>,
        access: Option<&str>,
    ) -> Result<Identity, String> {
        let claims = match self.verified(token) {
            Err(Refused::UnknownKey) => {
                // It may be signed with a key that is newer than what is known.
                if let Some(renewed) = self.provider.renewed() {
                    renewed.await;
                }
                self.verified(token)
            }
            verified => verified,
        };
        let claims = claims.map_err(|why| match why {
            Refused::No => "its ID token does not hold: by its signature, `iss`, `aud`, `exp` or `iat`".to_owned(),
            Refused::UnknownKey => "its ID token is signed with a key that it does not publish".to_owned(),
        })?;
        if let Some(nonce) = nonce {
            let said = one(&claims, "nonce").ok_or("its ID token has no `nonce`")?;
            if !nonce.is(said) {
                return Err("its ID token has another `nonce`: it is of another login".to_owned());
            }
        }
        let audiences = claims.iter().filter(|(name, _)| **name == *"aud").count();
        let party = claims.iter().any(|(name, _)| **name == *"azp");
        if (audiences > 1 || party) && one(&claims, "azp") != Some(&self.client.id) {
            return Err("its ID token is for several, and `azp` is not this client".to_owned());
        }
        if let (Some(said), Some(access)) = (one(&claims, "at_hash"), access)
            && at_hash(token, access).is_none_or(|hash| !equal(said.as_bytes(), hash.as_bytes()))
        {
            return Err("its ID token was not issued with its access token (`at_hash`)".to_owned());
        }
        let sub = one(&claims, "sub").filter(|sub| (1..=MOST_SUB).contains(&sub.len()));
        let sub = sub.ok_or("its ID token does not say who it is (`sub`)")?.to_owned();
        Ok(Identity { sub, claims })
    }

    fn verified(&self, token: &str) -> Result<Claims, Refused> {
        let published = self.provider.published().filter(|keys| !keys.is_empty()).ok_or(Refused::UnknownKey)?;
        let rules = Rules {
            algorithms: &ALGORITHMS,
            issuer: Some(&self.issuer),
            audience: Some(&self.client.id),
            endless: false,
            nbf: false,
            leeway: LEEWAY,
            now: since_epoch(),
        };
        jwt::verify(token, &By::Provider(&published), &rules).map(|holds| holds.claims)
    }

    /// The claims that a session keeps: from the ID token, or where one is not in it, from the userinfo endpoint
    /// (OpenID Connect Core 1.0 section 5.3).
    pub(super) async fn claims(
        &self,
        discovery: &Discovery,
        identity: &Identity,
        access: Option<&str>,
    ) -> Result<Vec<(String, String)>, String> {
        let has = |claims: &Claims, name: &str| claims.iter().any(|(known, _)| **known == *name);
        let lacking = self.says.claims.iter().any(|name| !has(&identity.claims, name));
        let more = match (&discovery.userinfo_endpoint, access) {
            (Some(endpoint), Some(access)) if lacking => Some(self.userinfo(endpoint, access, &identity.sub).await?),
            _ => None,
        };
        let mut kept = Vec::new();
        for name in &self.says.claims {
            let from = if has(&identity.claims, name) { Some(&identity.claims) } else { more.as_ref() };
            let said = from.into_iter().flat_map(|claims| claims.iter()).filter(|(known, _)| known == name);
            kept.extend(said.map(|(name, value)| (name.to_string(), value.to_string())));
        }
        Ok(kept)
    }

    async fn userinfo(&self, endpoint: &str, access: &str, sub: &str) -> Result<Claims, String> {
        let request = Request::get(endpoint)
            .header(AUTHORIZATION, format!("Bearer {access}"))
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .body(Bytes::new())
            .map_err(|_| "its `userinfo_endpoint` cannot be asked with its access token")?;
        let client: Client = self.provider.client()?;
        let answer = client.send(request).await.map_err(|why| why.to_string())?;
        let status = answer.status();
        if status != StatusCode::OK {
            return Err(format!("its userinfo endpoint answers {}", status.as_u16()));
        }
        let said = object(answer.body()).and_then(|said| jwt::claims(&said));
        let said = said.ok_or("its userinfo endpoint answers with no JSON object, or one that has a name twice")?;
        // What is said of somebody else is not kept (section 5.3.2).
        (one(&said, "sub") == Some(sub)).then_some(said).ok_or_else(|| "its userinfo is of somebody else".to_owned())
    }
}

/// The one text of a claim.
pub(super) fn one<'c>(claims: &'c Claims, name: &str) -> Option<&'c str> {
    let mut said = claims.iter().filter(|(known, _)| **known == *name).map(|(_, value)| &**value);
    said.next().filter(|_| said.next().is_none())
}

fn read(answer: &Response<Bytes>) -> Result<Tokens, Trouble> {
    let status = answer.status();
    let said = object(answer.body());
    if status != StatusCode::OK {
        let error = said.as_ref().and_then(|said| said.text("error"));
        return Err(match error.and_then(|error| ERRORS.into_iter().find(|known| *known == error)) {
            Some("invalid_grant") => Trouble::Grant,
            Some(error) => Trouble::Broken(format!("its token endpoint answers {}: {error}", status.as_u16())),
            None => Trouble::Broken(format!("its token endpoint answers {}", status.as_u16())),
        });
    }
    let said: Object = said.ok_or_else(|| {
        Trouble::Broken("its token endpoint answers with no JSON object, or one that has a name twice".to_owned())
    })?;
    let text = |name: &str| said.text(name).map(str::to_owned);
    let lasts = match said.get("expires_in") {
        Some(Json::Number(_, seconds)) if (0.0..=1e9).contains(seconds) => Some(*seconds as u64),
        _ => None,
    };
    Ok(Tokens { id: text("id_token"), access: text("access_token"), refresh: text("refresh_token"), lasts })
}

/// `at_hash`: the left half of the hash of the access token, by the algorithm that signed the ID token.
fn at_hash(token: &str, access: &str) -> Option<String> {
    let head = object(&base64url::decode(token.split('.').next()?.as_bytes())?)?;
    let hash = match head.text("alg")? {
        "EdDSA" => &SHA512,
        _ => &SHA256,
    };
    let hash = digest(hash, access.as_bytes());
    let bytes = hash.as_ref();
    Some(base64url::encode(&bytes[..bytes.len() / 2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).expect("an answer")
    }

    #[test]
    fn what_a_token_endpoint_answers() {
        let good =
            r#"{"id_token":"a.b.c","access_token":"x","refresh_token":"r","expires_in":300,"token_type":"Bearer"}"#;
        let tokens = read(&answer(200, good)).unwrap_or_else(|why| panic!("{why:?}"));
        assert_eq!(
            (tokens.id.as_deref(), tokens.refresh.as_deref(), tokens.lasts),
            (Some("a.b.c"), Some("r"), Some(300))
        );
        let of = |status, body| read(&answer(status, body)).err().expect("no tokens");
        assert_eq!(of(400, r#"{"error":"invalid_grant"}"#), Trouble::Grant);
        let words = |why: Trouble| match why {
            Trouble::Broken(why) => why,
            Trouble::Grant => "the grant".to_owned(),
        };
        assert!(words(of(401, r#"{"error":"invalid_client"}"#)).ends_with("401: invalid_client"));
        // Words of a stranger are told to nobody.
        assert!(words(of(400, r#"{"error":"<script>"}"#)).ends_with("400"));
        assert!(words(of(302, "")).ends_with("302"));
        assert!(words(of(200, r#"{"id_token":"a","id_token":"b"}"#)).contains("twice"));
    }

    #[test]
    fn at_hash_is_that_of_the_specification() {
        // The example of OpenID Connect Core 1.0, appendix A.3, with RS256.
        let token = format!("{}.x.y", base64url::encode(br#"{"kid":"1e9gdk7","alg":"RS256"}"#));
        let access = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(at_hash(&token, access).as_deref(), Some("77QmUPtjPfzWtF2AnpK9RQ"));
    }
}
