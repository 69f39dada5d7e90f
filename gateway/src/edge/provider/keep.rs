//! The task that keeps a provider's keys up to date.

use super::answer::{self, Discovery};
use super::{Provider, Published};
use crate::edge::fetch::{Bounds, Client, trusting};
use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, USER_AGENT};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// One answer.
const WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const LONGEST: usize = 64 * 1024;
/// Keys are asked for when so much of their time is over.
const EARLY: f64 = 0.8;
/// After a failure it is asked again after so long, then after twice that, and so on.
const AGAIN: Duration = Duration::from_secs(1);
/// But at least this often.
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);

/// Asks until nobody has the provider any more.
pub(super) async fn run(provider: Weak<Provider>) {
    let mut failed = 0_u32;
    let mut discovered: Option<Instant> = None;
    loop {
        // Whoever has it waits for no more than its answers.
        let Some(provider) = provider.upgrade() else { return };
        provider.begins();
        let pause = match refresh(&provider, &mut discovered).await {
            Ok((lasts, trouble)) => {
                failed = 0;
                provider.counts.good.fetch_add(1, Ordering::Relaxed);
                provider.tell(trouble);
                lasts.mul_f64(EARLY)
            }
            Err(why) => {
                let pause = AGAIN.saturating_mul(1 << failed.min(6)).min(AGAIN_AT_MOST);
                failed = failed.saturating_add(1);
                provider.counts.failed.fetch_add(1, Ordering::Relaxed);
                provider.tell(Some(why));
                pause
            }
        };
        provider.ends();
        let wanted = Arc::clone(&provider.wanted);
        let due = Instant::now() + pause;
        let weak = Arc::downgrade(&provider);
        drop(provider);
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due) => break,
                () = wanted.notified() => {}
            }
            // What was wanted while it was asked anyway was answered.
            if weak.upgrade().is_none_or(|provider| provider.is_due()) {
                break;
            }
        }
    }
}

/// Asks once: for how long what was said holds, and what was wrong with a part of it.
async fn refresh(provider: &Provider, discovered: &mut Option<Instant>) -> Result<(Duration, Option<String>), String> {
    let client = client(provider)?;
    let at = &provider.at;
    let mut trouble = None;
    if let Some(issuer) = at.issuer.as_deref().filter(|_| at.keys.is_none() || at.login)
        && discovered.is_none_or(|until| until <= Instant::now())
    {
        match discover(&client, issuer).await {
            Ok((found, lasts)) => {
                *discovered = Some(Instant::now() + lasts);
                provider.discovery.store(Some(Arc::new(found)));
            }
            // What it said last goes on.
            Err(why) => trouble = Some(why),
        }
    }
    let named = || provider.discovery().and_then(|found| found.jwks_uri.clone());
    let Some(url) = at.keys.clone().or_else(named) else {
        return Err(trouble.unwrap_or_else(|| "its discovery document says nothing of `jwks_uri`".to_owned()));
    };
    let (text, lasts) = get(&client, &url).await?;
    if provider.published().is_none_or(|published| published.text != text) {
        let (published, left_out) = Published::read(text).map_err(|why| format!("{url}: {why}"))?;
        trouble = trouble.or(left_out.map(|why| format!("{url}: {why}")));
        if published.is_empty() {
            let none =
                || format!("{url}: no key of it verifies tokens: RS256, PS256, ES256 and EdDSA are what is known here");
            trouble.get_or_insert_with(none);
        }
        provider.published.store(Some(Arc::new(published)));
    } else {
        // Nothing is new, and so is what was said of it.
        trouble = trouble.or_else(|| provider.trouble().filter(|told| told.starts_with(&*url)));
    }
    Ok((lasts, trouble))
}

async fn discover(client: &Client, issuer: &str) -> Result<(Discovery, Duration), String> {
    let url = answer::discovery_url(issuer);
    let (text, lasts) = get(client, &url).await?;
    let found = answer::discovery(&text, issuer).map_err(|why| format!("{url}: {why}"))?;
    Ok((found, lasts))
}

/// The document at a URL, and for how long it holds.
async fn get(client: &Client, url: &str) -> Result<(Bytes, Duration), String> {
    let request = Request::get(url)
        .header(ACCEPT, "application/json, application/jwk-set+json")
        .header(USER_AGENT, concat!("sluice/", env!("CARGO_PKG_VERSION")))
        .body(Bytes::new())
        .map_err(|_| format!("{url} cannot be asked for"))?;
    let answer = client.send(request).await.map_err(|why| why.to_string())?;
    let lasts = answer::document(&answer).map_err(|why| format!("{url}: {why}"))?.1;
    Ok((answer.into_body(), lasts))
}

/// What asks: made anew when the file of roots is another one.
pub(super) fn client(provider: &Provider) -> Result<Client, String> {
    let trust = provider.at.trust.as_deref();
    let roots = match trust {
        Some(file) => Some(std::fs::read(file).map_err(|e| format!("trust {}: {e}", file.display()))?),
        None => None,
    };
    let mut made = provider.client.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, client)) = made.as_ref().filter(|(of, _)| *of == roots) {
        return Ok(client.clone());
    }
    let tls = trusting(trust).map_err(|why| if trust.is_some() { format!("trust {why}") } else { why })?;
    let (dials, names) = (provider.at.dials.clone(), provider.names.clone());
    let bounds = Bounds { connect: WITHIN, within: WITHIN, longest: LONGEST, dials, names };
    Ok(made.insert((roots, Client::new(tls, bounds))).1.clone())
}
