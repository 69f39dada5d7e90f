//! A session whose tokens are over: the provider is asked for new ones (RFC 6749 section 6), once for all requests
//! that bring the same session.

use super::cookies::{self, There};
use super::finish::refresh;
use super::held::Held;
use super::shared::Turn;
use super::tokens::Trouble;
use super::{Login, since_epoch};
use crate::edge::calls::Worked;
use aws_lc_rs::digest::{SHA256, digest};
use dsl::tree::calls::Outcome;
use dsl::tree::ir::CallIdx;
use std::sync::Arc;

/// What became of a session.
#[derive(Debug)]
pub(super) enum Refreshed {
    /// It goes on.
    Held(Box<Held>),
    /// The provider ended it, or speaks of somebody else.
    Over,
    /// The provider cannot say.
    Failed,
}

impl Login {
    /// Has new tokens for a session: who is logged in then.
    pub(super) fn refreshed(self: &Arc<Self>, call: CallIdx, held: Held, host: &str, there: There) -> Worked<'static> {
        let mut session = [0; 32];
        let text = format!("{}\n{host}\n{}", self.says.name, held.refresh.as_ref().map_or("", |of| &of.token));
        session.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        let mut result = match self.shared.turn(session) {
            Turn::Theirs(result) => result,
            Turn::Full => {
                self.tell("more sessions wait for new tokens than may; requests are answered 503");
                return Worked::Known(Outcome::Failed);
            }
            Turn::Mine(sender, result) => {
                let login = Arc::clone(self);
                // It goes on when nobody waits any more: the provider has taken the old token then.
                let asked = self.later(async move {
                    let refreshed = login.renew(held).await;
                    sender.send_replace(Some(Arc::new(refreshed)));
                    Outcome::No
                });
                drop(asked);
                result
            }
        };
        let (login, host) = (Arc::clone(self), host.to_owned());
        Worked::Later(
            call,
            Box::pin(async move {
                // Whoever asks has a deadline, and drops its end when it is over.
                match result.wait_for(Option::is_some).await.ok().and_then(|result| result.clone()).as_deref() {
                    Some(Refreshed::Held(held)) => {
                        let now = since_epoch().as_secs();
                        let mut says = held.says();
                        match login.kept(held, &host, there, now) {
                            Some(lines) => says.extend(cookies::as_claims(lines)),
                            // The old token is gone: what is new has to be kept.
                            None => return Outcome::Failed,
                        }
                        Outcome::Yes(says.into())
                    }
                    Some(Refreshed::Over) => Outcome::No,
                    Some(Refreshed::Failed) | None => Outcome::Failed,
                }
            }),
        )
    }

    async fn renew(&self, mut held: Held) -> Refreshed {
        let Some(old) = held.refresh.take() else { return Refreshed::Over };
        if self.provider.discovery().is_none()
            && let Some(renewed) = self.provider.renewed()
        {
            renewed.await;
        }
        let Some(discovery) = self.provider.discovery() else { return Refreshed::Failed };
        let grant = [("grant_type", "refresh_token"), ("refresh_token", &*old.token)];
        let tokens = match self.tokens(&discovery, &grant).await {
            Ok(tokens) => tokens,
            Err(Trouble::Grant) => return Refreshed::Over,
            Err(Trouble::Broken(why)) => {
                self.tell(&why);
                return Refreshed::Failed;
            }
        };
        let access = tokens.access.as_deref();
        if let Some(id) = tokens.id.as_deref() {
            let said = match self.identity(id, None, access).await {
                Ok(identity) if identity.sub == held.sub => self.claims(&discovery, &identity, access).await,
                Ok(_) => Err("its new ID token is of somebody else (OpenID Connect Core 1.0 section 12.2)".to_owned()),
                Err(why) => Err(why),
            };
            match said {
                Ok(claims) => held.claims = claims,
                Err(why) => {
                    self.tell(&why);
                    return Refreshed::Over;
                }
            }
            held.hint.clone_from(&tokens.id);
        }
        let now = since_epoch().as_secs();
        // Who gives no new one lets the old one go on.
        held.refresh = refresh(tokens.refresh.or(Some(old.token)), tokens.lasts, now);
        held.is_used(now);
        Refreshed::Held(Box::new(held))
    }
}
