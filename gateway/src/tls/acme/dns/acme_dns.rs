//! acme-dns: a name server with an HTTP API that only answers challenges (github.com/joohoi/acme-dns).
//!
//! The operator has registered there and has made `_acme-challenge.NAME` a CNAME to the name that the server
//! gave. The server keeps the last two values of a name, so that there is nothing to clean up.

use super::{Dns01, Task};
use crate::secrets::Secret;
use crate::tls::acme::https::Http;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use serde::Deserialize;
use std::collections::BTreeMap;
use zeroize::Zeroize;

/// What the server answered to a registration.
#[derive(Deserialize)]
struct Registration {
    username: String,
    password: String,
    subdomain: String,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.password.zeroize();
    }
}

/// One registration, or one for each domain, as other clients keep them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Registrations {
    One(Registration),
    ByDomain(BTreeMap<String, Registration>),
}

pub(super) struct AcmeDns {
    update: String,
    registrations: Registrations,
    http: Http,
}

impl AcmeDns {
    pub(super) fn new(server: &str, secret: &Secret, http: Http) -> Result<Self, String> {
        // What serde would say shows what it read.
        let registrations = serde_json::from_slice(secret.bytes()).map_err(|_| {
            "its key is not what acme-dns answers to a registration (JSON with username, password, subdomain)"
                .to_owned()
        })?;
        Ok(Self { update: format!("{}/update", server.trim_end_matches('/')), registrations, http })
    }

    fn registration(&self, name: &str) -> Result<&Registration, String> {
        let domain = name.strip_prefix("_acme-challenge.").unwrap_or(name);
        match &self.registrations {
            Registrations::One(one) => Ok(one),
            Registrations::ByDomain(all) => {
                all.get(domain).ok_or_else(|| format!("its key has no registration for {domain}"))
            }
        }
    }

    async fn update(&self, name: &str, value: &str) -> Result<(), String> {
        let of = self.registration(name)?;
        let body = serde_json::json!({ "subdomain": of.subdomain, "txt": value }).to_string();
        let secret = |text: &str| {
            let mut value =
                HeaderValue::from_str(text).map_err(|_| "its key is no user name and password".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        };
        let request = Request::post(&self.update)
            .header(header::CONTENT_TYPE, "application/json")
            .header(HeaderName::from_static("x-api-user"), secret(&of.username)?)
            .header(HeaderName::from_static("x-api-key"), secret(&of.password)?)
            .body(Bytes::from(body))
            .map_err(|e| e.to_string())?;
        let answer = self.http.send(request).await.map_err(|why| why.to_string())?;
        if answer.status() == StatusCode::OK {
            return Ok(());
        }
        let said: String = String::from_utf8_lossy(answer.body()).chars().take(200).collect();
        Err(format!("{} answered {}: {}", self.update, answer.status().as_u16(), said.trim()))
    }
}

impl Dns01 for AcmeDns {
    fn present<'a>(&'a self, name: &'a str, value: &'a str) -> Task<'a> {
        Box::pin(self.update(name, value))
    }

    fn clean_up<'a>(&'a self, _: &'a str, _: &'a str) -> Task<'a> {
        Box::pin(async { Ok(()) })
    }
}
