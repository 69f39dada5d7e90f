//! The world of a test: the time that it is, the tokens that were made, the secrets, what services answer,
//! and what limits have counted. All of it is given; nothing is verified by cryptography, because what a
//! test writes as a token is one.

use super::{Asked, Given, Signer, Token};
use crate::body::Inspect;
use crate::tree::Program;
use crate::tree::calls::{self, Calls, Outcome, Stop};
use crate::tree::ir::{
    Ask, ByAnswer, CallIdx, CallKind, Jwt, KeySource, Limit, LimitBound, Lines, LoggedIn, Pool, Provider, Signed, Site,
    Value,
};
use crate::tree::judge::Admit;
use crate::tree::request::Plain;
use crate::tree::tell;
use std::collections::HashMap;
use std::sync::Arc;

/// What time it is where none is given: 2026-01-01 00:00:00 UTC, seconds since 1970.
pub(super) const NOW: i64 = 1_767_225_600;

/// In how many seconds a session ends of which that is not said: not in a test.
const NO_END: i64 = 365 * 86_400;

/// What a test counts against a limit, by the limit's name and the key.
type Counts = HashMap<(Arc<str>, Vec<u8>), Count>;

/// What one bucket holds.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// When a bucket of a rate will be full again, nanoseconds since 1970.
    full_at: i128,
    /// Requests under way.
    under_way: u64,
}

/// The world of one request of a test.
pub(super) struct World<'t> {
    given: &'t [&'t Given],
    tokens: &'t [(Arc<str>, Token)],
    /// Seconds since 1970.
    now: i64,
    counts: &'t mut Limits,
    /// A call that nothing is given about: what could be given.
    pub(super) open: Option<String>,
}

/// What limits have counted so far in a test.
#[derive(Debug, Default)]
pub(super) struct Limits {
    counts: Counts,
    /// What the request that is asked counts once its answer is there.
    open: Vec<Open>,
}

/// What only the answer of a request tells.
#[derive(Debug)]
struct Open {
    limit: Limit,
    key: Vec<u8>,
    /// What it counts by itself, and how much of that was counted when it came.
    cost: u64,
    counted: u64,
}

impl Limits {
    /// Time goes by: whatever was under way is through.
    pub(super) fn pass(&mut self) {
        self.counts.values_mut().for_each(|count| count.under_way = 0);
    }

    /// The request is answered: what its answer counts is counted.
    pub(super) fn answered(&mut self, status: u16, now: i64) {
        for Open { limit, key, cost, counted } in std::mem::take(&mut self.open) {
            let more = limit.answer.cost(cost, status).saturating_sub(counted);
            if let LimitBound::Rate { count: per, per_ms, .. } = limit.bound {
                self.counts.entry((Arc::clone(&limit.name), key)).or_default().spend(each(per, per_ms), more, now);
            }
        }
    }

    /// GCRA, as the gateway counts: a bucket is a time, that at which it will be full again. One request is under way
    /// at a time, so that nothing else is held against it.
    fn take(&mut self, limit: &Limit, key: &[u8], cost: u64, now: i64) -> Admit {
        let count = self.counts.entry((Arc::clone(&limit.name), key.to_vec())).or_default();
        match limit.bound {
            LimitBound::Rate { count: per, per_ms, burst } => {
                let each = each(per, per_ms);
                let (least, most) = limit.answer.range(cost);
                let over = count.full_at.max(nanos(now)) + each * i128::from(most);
                let over = over - (nanos(now) + each * i128::from(burst.max(1)));
                if over > 0 {
                    return Admit::Later(u64::try_from(up(over, 1_000_000)).unwrap_or(u64::MAX));
                }
                count.spend(each, least, now);
                if limit.answer != ByAnswer::No {
                    let (limit, key) = (limit.clone(), key.to_vec());
                    self.open.push(Open { limit, key, cost, counted: least });
                }
                Admit::Pass
            }
            LimitBound::AtOnce(most) => {
                if count.under_way >= u64::from(most) {
                    return Admit::Later(1_000);
                }
                count.under_way += 1;
                Admit::Pass
            }
            // A pace of bytes refuses nobody.
            LimitBound::Bytes(_) => Admit::Pass,
        }
    }
}

impl Count {
    fn spend(&mut self, each: i128, cost: u64, now: i64) {
        self.full_at = self.full_at.max(nanos(now)) + each * i128::from(cost);
    }
}

/// In how many nanoseconds one comes back.
fn each(count: u32, per_ms: u64) -> i128 {
    up(i128::from(per_ms) * 1_000_000, i128::from(count.max(1))).max(1)
}

fn nanos(seconds: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000
}

impl<'t> World<'t> {
    pub(super) fn new(given: &'t [&'t Given], asked: &'t Asked, now: i64, counts: &'t mut Limits) -> Self {
        Self { given, tokens: &asked.tokens, now, counts, open: None }
    }

    fn work_out(
        &mut self,
        program: &Program,
        call: CallIdx,
        request: &Plain,
        inspect: Inspect,
    ) -> Result<Outcome, Without> {
        let site = program.site();
        let of = &site.calls[call.0 as usize];
        match &of.kind {
            CallKind::Jwt(jwt) => self.jwt(site, jwt, request),
            CallKind::Signed(signed) => self.signed(signed, request),
            CallKind::Secret(test) => {
                let value = text(&test.value, request)?;
                let secret = self.given.iter().rev().find_map(|given| match given {
                    Given::Secret(name, content) if *name == test.secret => Some(content),
                    _ => None,
                });
                Ok(yes(secret.is_some_and(|secret| match test.any_line {
                    true => secret.lines().any(|line| line == value),
                    false => **secret == *value,
                })))
            }
            CallKind::Password(password) => {
                self.credentials(&password.credentials, &password.users, &["user"], request)
            }
            CallKind::ApiKey(key) => self.credentials(&key.key, &key.keys, &["owner", "scope"], request),
            // All of a test's body is there.
            CallKind::Body(part) => Ok(calls::of_body(part, inspect, request).unwrap_or(Outcome::Failed)),
            CallKind::Session(session) => self.session(site, session, request),
            // Never asked: its answer is that it is asked.
            CallKind::Visit(..) => Ok(yes(true)),
            CallKind::Ask(ask) => {
                let path = calls::path(&ask.at, site.settings.paths, request);
                known(request)?;
                path.map_err(Without::Known)?;
                let pool = &site.pools[ask.pool.0 as usize];
                match super::ask::answers(pool, self.given) {
                    Some(200..300) => Ok(yes(true)),
                    Some(400..500) => Ok(Outcome::No),
                    Some(status) if of.relayed && calls::is_redirect(status) => Ok(Outcome::No),
                    Some(_) => Ok(ask.failed.map_or(Outcome::Failed, yes)),
                    None => {
                        let name = &pool.name;
                        self.open = Some(format!(
                            "it depends on what pool {name} answers to {}; say so: `given {name} answers 200`",
                            of.shown
                        ));
                        Err(Without::Open)
                    }
                }
            }
        }
    }

    fn jwt(&self, site: &Site, jwt: &Jwt, request: &Plain) -> Result<Outcome, Without> {
        let written = text(&jwt.token, request)?;
        let written = calls::bearer(&written);
        let issuer = jwt.issuer.as_ref().map(|value| text(value, request)).transpose()?;
        let audience = jwt.audience.as_ref().map(|value| text(value, request)).transpose()?;
        let Some((_, token)) = self.tokens.iter().find(|(text, _)| **text == *written) else { return Ok(Outcome::No) };
        // What the token does not say is right.
        let claim = |name: &str| token.claims.iter().find(|(n, _)| **n == *name).map(|(_, value)| &**value);
        let is =
            |name: &str, wanted: Option<&str>| wanted.is_none_or(|wanted| claim(name).is_none_or(|is| is == wanted));
        let leeway = i64::try_from(jwt.leeway_ms / 1000).unwrap_or(i64::MAX);
        let provider = match &jwt.keys {
            KeySource::Secrets(_) => None,
            KeySource::Provider(at) => site.providers.get(at.0 as usize).map(|provider| &**provider),
        };
        let holds = self.holds(token, jwt.keys.secrets(), provider, leeway)
            && is("iss", issuer.as_deref())
            && is("aud", audience.as_deref());
        if !holds {
            return Ok(Outcome::No);
        }
        let mut claims = token.claims.clone();
        claims.extend(token.expires.map(|at| ("exp".into(), at.to_string().into())));
        if claim("idle").is_some() {
            let begun = [("iat", self.now), ("end", self.now.saturating_add(NO_END))];
            let unsaid = begun.into_iter().filter(|(name, _)| claim(name).is_none());
            claims.extend(unsaid.map(|(name, at)| (name.into(), at.to_string().into())));
        }
        for (name, value) in [("iss", issuer), ("aud", audience)] {
            if let Some(value) = value.filter(|_| claim(name).is_none()) {
                claims.push((name.into(), value.into()));
            }
        }
        Ok(Outcome::Yes(claims.into()))
    }

    /// Credentials of somebody are a token that says who it is: `token(user: "ann")`, `token(owner: "ann", scope: …)`.
    fn credentials(
        &self,
        written: &Value,
        lines: &Lines,
        claims: &[&str],
        request: &Plain,
    ) -> Result<Outcome, Without> {
        let written = text(written, request)?;
        let made = self.tokens.iter().find(|(text, _)| **text == *written).map(|(_, token)| token);
        let Some(token) = made.filter(|token| self.holds(token, lines.secret(), None, 0)) else {
            return Ok(Outcome::No);
        };
        let said = token.claims.iter().filter(|(name, _)| claims.contains(&&**name));
        // A key may have several scopes, which stand in its line with blanks between.
        let said = said.flat_map(|(name, text)| match &**name {
            "scope" => text.split(' ').map(|scope| (Arc::clone(name), scope.into())).collect(),
            _ => vec![(Arc::clone(name), Arc::clone(text))],
        });
        let said: Arc<[_]> = said.collect();
        let is_named = said.iter().any(|(name, _)| Some(&&**name) == claims.first());
        Ok(if is_named { Outcome::Yes(said) } else { Outcome::No })
    }

    /// Whether who signed a token is among these secrets or is this provider, where it says who did, and its time
    /// is not over.
    fn holds(&self, token: &Token, secrets: &[Arc<str>], provider: Option<&Provider>, leeway: i64) -> bool {
        let by = |key: &Signer| match key {
            Signer::Secret(name) => secrets.contains(name),
            Signer::Provider(name) => provider.is_some_and(|provider| provider.name == *name),
        };
        token.key.as_ref().is_none_or(by) && token.expires.is_none_or(|at| self.now < at.saturating_add(leeway))
    }

    /// A token in the cookie of a provider's session is one, save where its login is finished.
    fn session(&self, site: &Site, session: &LoggedIn, request: &Plain) -> Result<Outcome, Without> {
        let written = text(&session.cookie, request)?;
        let Some(provider) = site.providers.get(session.provider.0 as usize) else { return Ok(Outcome::Failed) };
        let token = self.tokens.iter().find(|(text, _)| **text == *written).map(|(_, token)| token);
        let holds = |token: &&Token| {
            let key = provider.session.as_ref().map(|session| &session.key);
            let by = |signer: &Signer| match signer {
                Signer::Secret(name) => Some(name) == key,
                Signer::Provider(name) => *name == provider.name,
            };
            token.key.as_ref().is_none_or(by)
                && token.expires.is_none_or(|at| self.now < at)
                && *request.path != *provider.callback
        };
        Ok(token.filter(holds).map_or(Outcome::No, |token| Outcome::Yes(token.claims.clone().into())))
    }

    fn signed(&self, signed: &Signed, request: &Plain) -> Result<Outcome, Without> {
        text(&signed.text, request)?;
        text(&signed.signature, request)?;
        let expires = signed.expires.as_ref().map(|value| text(value, request)).transpose()?;
        let over = expires.is_some_and(|at| at.parse::<i64>().map_or(true, |at| at <= self.now));
        let holds = self.given.iter().rev().find_map(|given| match given {
            Given::Signed(holds) => Some(*holds),
            _ => None,
        });
        Ok(yes(holds.unwrap_or(false) && !over))
    }
}

/// A quotient, rounded up; neither is negative.
fn up(a: i128, b: i128) -> i128 {
    (a + b - 1) / b
}

/// Why there is no outcome.
enum Without {
    Known(Outcome),
    /// Another call has to be known first.
    First(CallIdx),
    Open,
}

fn yes(holds: bool) -> Outcome {
    if holds { Outcome::Yes(Arc::from([])) } else { Outcome::No }
}

fn text(value: &Value, request: &Plain) -> Result<String, Without> {
    let text = calls::argument(value, request);
    known(request)?;
    text.map_err(Without::Known)
}

/// A value that reads a call which is not known is no value.
fn known(request: &Plain) -> Result<(), Without> {
    match Calls::stopped(&request.calls) {
        None => Ok(()),
        Some(Stop::Unknown(call)) => Err(Without::First(call)),
        Some(stop) => {
            let said = request.calls.outcome(stop.call()).cloned();
            Err(Without::Known(said.unwrap_or(Outcome::Failed)))
        }
    }
}

impl tell::World for World<'_> {
    fn call(&mut self, program: &Program, call: CallIdx, request: &Plain, inspect: Inspect) -> Option<Outcome> {
        let mut request = request.clone();
        loop {
            match self.work_out(program, call, &request, inspect) {
                Ok(outcome) | Err(Without::Known(outcome)) => return Some(outcome),
                Err(Without::Open) => return None,
                // Calls are written inside one another, so this ends.
                Err(Without::First(first)) => {
                    let outcome = self.call(program, first, &request, inspect)?;
                    request.calls.tell(first, outcome);
                }
            }
        }
    }

    fn answered(&self, program: &Program, ask: &Ask) -> Vec<(Arc<str>, String)> {
        let pool: &Pool = &program.site().pools[ask.pool.0 as usize];
        let said = self.given.iter().rev().find_map(|given| match given {
            Given::Answers { pool: name, headers, .. } if name.is(pool) => Some(headers),
            _ => None,
        });
        said.into_iter().flatten().map(|(name, value)| (Arc::clone(name), value.to_string())).collect()
    }

    fn said_no(&self, program: &Program, ask: &Ask) -> Option<Option<u16>> {
        let status = super::ask::answers(&program.site().pools[ask.pool.0 as usize], self.given);
        Some(status.filter(|status| calls::is_redirect(*status) || (400..500).contains(status)))
    }

    fn limit(&mut self, limit: &Limit, key: &[u8], cost: u64) -> Admit {
        self.counts.take(limit, key, cost, self.now)
    }

    fn now(&self) -> Option<u64> {
        u64::try_from(self.now).ok()
    }
}
