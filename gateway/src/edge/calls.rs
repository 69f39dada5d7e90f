//! A call, worked out as far as that can be done without waiting.

use super::jwt::{self, By, Refused, Rules};
use super::keys::Keys;
use super::lines::Source;
use super::passwords::Verdict;
use super::provider::Provider;
use super::replies::{Key, Replies, Said};
use super::verdicts::Asked;
use super::{api_keys, signed, since_epoch};
use crate::runtime::notice::Notice;
use crate::runtime::worker::Worker;
use crate::snapshot::Served;
use dsl::tree::calls::{self, Calls, Outcome, Stop};
use dsl::tree::ir::{ApiKey, Ask, Call, CallIdx, CallKind, Jwt, KeySource, Password, SecretTest, Signed, Value};
use dsl::tree::request::Request;
use dsl::tree::rows::Rows;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What became of a call.
pub enum Worked<'s> {
    /// It is known now.
    Known(Outcome),
    /// It needs another call first.
    First(CallIdx),
    /// Another service has said it before.
    Said(CallIdx, Arc<Said>),
    /// Another service has to be asked.
    Ask(Question<'s>),
    /// It is worked out elsewhere.
    Later(CallIdx, Later),
}

/// The outcome of a call that is worked out off the data threads, or waited for. It comes within a deadline of its
/// own, and whoever drops it gives it up.
pub type Later = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What another service is asked.
pub struct Question<'s> {
    /// Which call it is.
    pub call: CallIdx,
    /// What is asked.
    pub ask: &'s Ask,
    /// The path and query that are asked for.
    pub path: String,
    /// Where the answer is kept, and under which key.
    pub kept: Option<(Arc<Replies>, Key)>,
}

/// Works a call out.
#[must_use]
pub fn work_out<'s>(served: &'s Served, call: CallIdx, request: &impl Request, worker: &Worker) -> Worked<'s> {
    let site = served.program.site();
    let Some(call_of) = site.calls.get(call.0 as usize) else { return Worked::Known(Outcome::Failed) };
    let values = Values { served, request, worker };
    let worked = match &call_of.kind {
        CallKind::Jwt(jwt) => values.jwt(call, call_of, jwt),
        CallKind::Signed(signed) => values.signed(call, call_of, signed),
        CallKind::Secret(test) => values.secret(call_of, test),
        CallKind::Password(password) => values.password(call, call_of, password),
        CallKind::ApiKey(key) => values.api_key(call, call_of, key),
        // It was read where the request was judged; nothing else that asks has a body.
        CallKind::Body(_) => Ok(Worked::Known(Outcome::Failed)),
        CallKind::Session(session) => Ok(match served.edge.login(session.provider) {
            Some(login) => login.who(call, request),
            None => Worked::Known(Outcome::Failed),
        }),
        CallKind::Visit(at, does) => Ok(match served.edge.login(*at) {
            Some(login) => login.visit(call, *does, request),
            None => Worked::Known(Outcome::Failed),
        }),
        CallKind::Ask(ask) => values.ask(call, ask),
    };
    match worked {
        Ok(worked) => worked,
        Err(Without::Known(outcome)) => Worked::Known(outcome),
        Err(Without::Stop(Stop::Unknown(first))) => Worked::First(first),
        Err(Without::Stop(Stop::Failed(_))) => Worked::Known(Outcome::Failed),
        Err(Without::Stop(Stop::Refused(first))) => {
            let said = request.calls().and_then(|calls| calls.outcome(first)).cloned();
            Worked::Known(said.unwrap_or(Outcome::Failed))
        }
    }
}

/// Why there is no value.
enum Without {
    Known(Outcome),
    Stop(Stop),
}

type Valued<T> = Result<T, Without>;

/// Renders what calls are made of.
struct Values<'s, 'r, R> {
    served: &'s Served,
    request: &'r R,
    worker: &'r Worker,
}

impl<'s, R: Request> Values<'s, '_, R> {
    fn jwt(&self, index: CallIdx, call: &Call, jwt: &'s Jwt) -> Valued<Worked<'s>> {
        let token = self.text(&jwt.token)?;
        let issuer = jwt.issuer.as_ref().map(|value| self.text(value)).transpose()?;
        let audience = jwt.audience.as_ref().map(|value| self.text(value)).transpose()?;
        let token = Token { text: calls::bearer(&token).to_owned(), issuer, audience };
        let at = match &jwt.keys {
            KeySource::Secrets(_) => {
                let Some(keys) = self.keys(index, call) else { return Ok(Worked::Known(Outcome::Failed)) };
                let said = self.remembered(index, jwt, &token, keys.version, &By::Secrets(&keys));
                return Ok(Worked::Known(said.map_or(Outcome::No, Outcome::Yes)));
            }
            KeySource::Provider(at) => *at,
        };
        let Some(provider) = self.served.edge.provider(at) else { return Ok(Worked::Known(Outcome::Failed)) };
        let published = provider.published().filter(|published| !published.is_empty());
        let said = match &published {
            Some(published) => self.remembered(index, jwt, &token, published.version, &By::Provider(published)),
            None => Err(Refused::UnknownKey),
        };
        match said {
            Ok(claims) => return Ok(Worked::Known(Outcome::Yes(claims))),
            Err(Refused::No) => return Ok(Worked::Known(Outcome::No)),
            Err(Refused::UnknownKey) => {}
        }
        // Keys may have changed, or be on their way.
        if let Some(renewed) = provider.renewed() {
            let (provider, call) = (Arc::clone(provider), self.call(index));
            return Ok(Worked::Later(
                index,
                Box::pin(async move {
                    renewed.await;
                    match call.as_deref().map(|call| &call.kind) {
                        Some(CallKind::Jwt(jwt)) => token.by_provider(jwt, &provider),
                        _ => Outcome::Failed,
                    }
                }),
            ));
        }
        if published.is_some() {
            return Ok(Worked::Known(Outcome::No));
        }
        let why = provider.trouble().unwrap_or_else(|| "it has not answered yet".to_owned());
        self.tell(call, format!("no keys of provider {}: {why}", provider.name()));
        Ok(Worked::Known(Outcome::Failed))
    }

    /// The claims of a token, verified unless they are still known.
    fn remembered(
        &self,
        call: CallIdx,
        jwt: &Jwt,
        token: &Token,
        version: u64,
        by: &By<'_>,
    ) -> Result<jwt::Claims, Refused> {
        let rules = token.rules(jwt);
        let mut verdicts = self.worker.verdicts.borrow_mut();
        let asked = Asked {
            site: self.served.edge.id,
            call,
            issuer: rules.issuer,
            audience: rules.audience,
            token: &token.text,
        };
        let digest = (token.text.len() <= jwt::MOST_BYTES).then(|| verdicts.digest(&asked)).flatten();
        if let Some(holds) = digest.and_then(|digest| verdicts.get(&digest, version)) {
            // It was signed; whether its time has come or gone is all that can change.
            return holds.lasts.hold(rules.now, rules.leeway).then_some(holds.claims).ok_or(Refused::No);
        }
        let holds = jwt::verify(&token.text, by, &rules)?;
        let claims = Arc::clone(&holds.claims);
        if let Some(digest) = digest {
            verdicts.keep(digest, version, holds);
        }
        Ok(claims)
    }

    fn call(&self, index: CallIdx) -> Option<Arc<Call>> {
        self.served.program.site().calls.get(index.0 as usize).cloned()
    }

    fn signed(&self, index: CallIdx, call: &Call, said: &'s Signed) -> Valued<Worked<'s>> {
        let signature = self.text(&said.signature)?;
        let text = self.text(&said.text)?;
        let expires = said.expires.as_ref().map(|value| self.text(value)).transpose()?;
        let Some(keys) = self.keys(index, call) else { return Ok(Worked::Known(Outcome::Failed)) };
        let holds = signed::holds(&text, expires.as_deref(), &signature, &keys, since_epoch());
        Ok(Worked::Known(yes(holds)))
    }

    fn secret(&self, call: &Call, test: &'s SecretTest) -> Valued<Worked<'s>> {
        let value = self.text(&test.value)?;
        let secrets = &self.served.edge.secrets;
        let Some(secret) = secrets.get(&test.secret) else {
            self.tell(call, format!("secret {}: {}", test.secret, secrets.why_not(&test.secret)));
            return Ok(Worked::Known(Outcome::Failed));
        };
        Ok(Worked::Known(yes(signed::is_secret(value.as_bytes(), &secret, test.any_line))))
    }

    fn password(&self, index: CallIdx, call: &Call, password: &'s Password) -> Valued<Worked<'s>> {
        let credentials = self.text(&password.credentials)?;
        let Some((source, users)) = self.lines(index, call) else { return Ok(Worked::Known(Outcome::Failed)) };
        let passwords = &self.served.edge.passwords;
        Ok(match passwords.verify(&credentials, &users, &source.name, self.request.client_ip()) {
            Verdict::Known(outcome) => Worked::Known(outcome),
            Verdict::Later(later) => Worked::Later(index, later),
            Verdict::Full => {
                self.tell(call, "more passwords wait to be hashed than may; requests are answered 503".to_owned());
                Worked::Known(Outcome::Failed)
            }
        })
    }

    fn api_key(&self, index: CallIdx, call: &Call, said: &'s ApiKey) -> Valued<Worked<'s>> {
        let key = self.text(&said.key)?;
        let Some((_, keys)) = self.lines(index, call) else { return Ok(Worked::Known(Outcome::Failed)) };
        Ok(Worked::Known(api_keys::owner(&key, &keys)))
    }

    /// The users or keys of a call; `None` where there never were any that can be gone by.
    fn lines(&self, index: CallIdx, call: &Call) -> Option<(&'s Source, Arc<Rows>)> {
        let source = self.served.edge.lines.get(index.0 as usize)?.as_ref()?;
        let (rows, trouble) = source.now();
        if let Some(trouble) = trouble {
            self.tell(call, trouble);
        }
        Some((source, rows?))
    }

    fn ask(&self, call: CallIdx, ask: &'s Ask) -> Valued<Worked<'s>> {
        let path = self.path(&ask.at)?;
        let kept = self.kept(call, ask, &path)?;
        if let Some(said) = kept.as_ref().and_then(|(replies, key)| replies.known(key)) {
            return Ok(Worked::Said(call, said));
        }
        Ok(Worked::Ask(Question { call, ask, path, kept }))
    }

    /// Where the answer to a question is kept; nowhere where a part of its key is missing.
    fn kept(&self, call: CallIdx, ask: &Ask, path: &str) -> Valued<Option<(Arc<Replies>, Key)>> {
        let replies = self.served.edge.replies.get(call.0 as usize).and_then(Option::as_ref);
        let (Some(keep), Some(replies)) = (&ask.keep, replies) else { return Ok(None) };
        let mut parts = vec![self.request.host().to_owned(), path.to_owned()];
        for value in &keep.per {
            match self.text(value) {
                Ok(text) => parts.push(text),
                Err(Without::Known(Outcome::No)) => return Ok(None),
                Err(why) => return Err(why),
            }
        }
        let key = replies.key(parts.iter().map(String::as_str));
        Ok(Some((Arc::clone(replies), key)))
    }

    /// The keys of a call; `None` where there is none that can be used.
    fn keys(&self, index: CallIdx, call: &Call) -> Option<Arc<Keys>> {
        let keys = self.served.edge.rings.get(index.0 as usize)?.as_ref()?.keys();
        if let Some(trouble) = &keys.trouble {
            self.tell(call, trouble.clone());
        }
        (!keys.all.is_empty()).then_some(keys)
    }

    fn tell(&self, call: &Call, reason: String) {
        let notice = || Notice::CallFailed { call: call.shown.to_string(), reason };
        self.worker.tell_once(&call.shown, notice);
    }

    fn text(&self, value: &Value) -> Valued<String> {
        self.given(calls::argument(value, self.request))
    }

    fn path(&self, value: &Value) -> Valued<String> {
        self.given(calls::path(value, self.served.program.site().settings.paths, self.request))
    }

    /// A value that reads a call which is not known is no value.
    fn given(&self, value: Result<String, Outcome>) -> Valued<String> {
        match self.request.calls().and_then(Calls::stopped) {
            Some(stop) => Err(Without::Stop(stop)),
            None => value.map_err(Without::Known),
        }
    }
}

/// A token, and what it is compared with.
struct Token {
    text: String,
    issuer: Option<String>,
    audience: Option<String>,
}

impl Token {
    fn rules<'r>(&'r self, jwt: &'r Jwt) -> Rules<'r> {
        Rules {
            algorithms: &jwt.algorithms,
            issuer: self.issuer.as_deref(),
            audience: self.audience.as_deref(),
            endless: jwt.endless,
            nbf: jwt.nbf,
            leeway: Duration::from_millis(jwt.leeway_ms),
            now: since_epoch(),
        }
    }

    /// What it comes to by the keys that a provider has now; failed where it has none.
    fn by_provider(&self, jwt: &Jwt, provider: &Provider) -> Outcome {
        let Some(published) = provider.published().filter(|published| !published.is_empty()) else {
            return Outcome::Failed;
        };
        match jwt::verify(&self.text, &By::Provider(&published), &self.rules(jwt)) {
            Ok(holds) => Outcome::Yes(holds.claims),
            Err(Refused::No | Refused::UnknownKey) => Outcome::No,
        }
    }
}

fn yes(holds: bool) -> Outcome {
    if holds { Outcome::Yes(Arc::from([])) } else { Outcome::No }
}
