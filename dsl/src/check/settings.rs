//! Settings of sites and blocks, and the words that settings are made of.

use super::later::LATER;
use super::pools::{LONGEST_BODY, word_name};
use super::route::{Chain, Frame, ScopeAcc};
use super::site::SiteBuild;
use super::ty::Ty;
use super::val::Val;
use super::{Checker, Env};
use crate::body::Inspect;
use crate::lint;
use crate::resolve::nearest;
use crate::syntax::ast::{Expr, Ident, Word};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Mirror, Paths};

/// Words that may begin a statement of a site, a block or a policy.
const STATEMENTS: &[&str] = &[
    "let",
    "use",
    "require",
    "limit",
    "set",
    "add",
    "remove",
    "catch",
    "start",
    "keep",
    "end",
    "when",
    "else",
    "tls",
    "timeout",
    "idle",
    "body",
    "inspect",
    "header",
    "retry",
    "hedge",
    "mirror",
    "websocket",
    "log",
];

/// The longest duration that a setting takes, milliseconds.
const YEAR_MS: u64 = 365 * 86_400_000;

/// Settings that only a site takes.
const OF_SITE: &[&str] = &["http", "default", "paths", "client"];

/// Settings that follow the route.
const OF_ROUTES: &[&str] =
    &["timeout", "idle", "body", "inspect", "header", "retry", "hedge", "mirror", "websocket", "log"];

/// The longest body of a request that is copied where nothing is written, bytes.
const MIRRORED_BODY: u64 = 64 << 10;

/// Every setting of a site, those of later versions included.
pub(crate) fn of_sites() -> impl Iterator<Item = &'static str> {
    OF_SITE.iter().chain(OF_ROUTES).copied().chain(LATER.iter().map(|(head, _)| *head))
}

impl<'a> Checker<'a> {
    /// A setting of a site, a block or a policy.
    #[expect(clippy::too_many_arguments, reason = "the parts of one statement and where it stands")]
    pub(super) fn setting(
        &mut self,
        b: &mut SiteBuild,
        chain: &mut Chain,
        frame: &Frame,
        acc: &mut ScopeAcc<'a>,
        head: &Ident,
        words: &[Spanned<Word>],
        loc: Loc,
    ) {
        let env = &frame.env;
        let head_loc = self.at(env, head.span);
        let name = head.node.as_str();
        if let Some((_, form)) = LATER.iter().find(|(h, _)| *h == name) {
            self.later_setting(head, words, chain, env, loc);
            self.unsupported(form, loc);
            return;
        }
        let site_only = OF_SITE.contains(&name);
        if !site_only && !OF_ROUTES.contains(&name) {
            let known = STATEMENTS.iter().chain(OF_SITE).copied().chain(LATER.iter().map(|(h, _)| *h));
            let near = nearest(name, known);
            self.report(lint::g1001::statement(head_loc, name, near));
            return;
        }
        if site_only && !(acc.is_site && frame.tags.is_empty()) {
            self.report(lint::g1022::site_only(head_loc, name));
            return;
        }
        // `paths` may be said twice: `opaque-slash` and `semicolon` are two things.
        let key =
            if name == "paths" { format!("paths {}", Self::word_names(words).join(" ")) } else { name.to_owned() };
        if !self.once_per_scope(acc, &key, head_loc) {
            return;
        }
        if !frame.when_is_true() {
            self.report(lint::g1022::conditional(head_loc, name));
            return;
        }
        chain.said.retain(|(word, _)| word != name);
        chain.said.push((name.to_owned(), loc));
        match name {
            "timeout" => {
                if let Some(ms) = self.word_bound(head, words, env) {
                    chain.settings.timeout_ms = Some(ms);
                }
            }
            "idle" => {
                if let Some(ms) = self.word_bound(head, words, env) {
                    chain.settings.idle_ms = Some(ms);
                }
            }
            "body" => {
                if let Some(bytes) = self.word_size(head, words, &["limit"], env) {
                    chain.settings.body_limit = Some(bytes);
                }
            }
            "inspect" => {
                if let Some(inspect) = self.inspect(words, env, loc) {
                    chain.settings.inspect = Some(inspect);
                }
            }
            "header" => {
                if let Some(bytes) = self.word_size(head, words, &["limit"], env) {
                    chain.settings.header_limit = Some(bytes);
                }
            }
            "retry" => {
                if let Some(retry) = self.retry(words, env, loc) {
                    chain.settings.retry = Some(retry);
                }
            }
            "hedge" => {
                if let Some(hedge) = self.hedge(words, env, loc) {
                    chain.settings.hedge = Some(hedge);
                }
            }
            "mirror" => {
                if let Some(mirror) = self.mirror(b, words, env, loc) {
                    chain.settings.mirror = Some(mirror);
                }
            }
            "websocket" => {
                chain.settings.websocket = self.on_or_off("websocket", words, loc).or(chain.settings.websocket)
            }
            "log" => chain.settings.log = self.on_or_off("log", words, loc).or(chain.settings.log),
            "http" => match Self::word_names(words).as_slice() {
                [w] if w == "allowed" => b.settings.http_allowed = true,
                other => {
                    let near = other.first().and_then(|w| nearest(w, ["allowed"]));
                    self.report(lint::g1024::one_of(loc, "http", &["allowed"], near));
                }
            },
            "default" => {
                if words.is_empty() {
                    b.settings.default = true;
                } else {
                    self.report(lint::g1024::shape(loc, "default", "nothing after it"));
                }
            }
            "client" => self.client_cert(b, words, env, loc),
            _ => match Self::word_names(words).as_slice() {
                // Raw paths let `%2F` through as well.
                [w] if w == "opaque-slash" && b.raw.is_some() => {}
                [w] if w == "opaque-slash" => b.settings.paths = Paths::OpaqueSlash,
                [w] if w == "semicolon" => b.semicolon = true,
                [w] if w == "raw" => {
                    b.settings.paths = Paths::Raw;
                    b.raw = Some(loc);
                }
                other => {
                    let near = other.first().and_then(|w| nearest(w, ["opaque-slash", "semicolon", "raw"]));
                    self.report(lint::g1024::one_of(loc, "paths", &["opaque-slash", "semicolon", "raw"], near));
                }
            },
        }
    }

    /// `on` or `off`.
    fn on_or_off(&mut self, head: &str, words: &[Spanned<Word>], loc: Loc) -> Option<bool> {
        match Self::word_names(words).as_slice() {
            [w] if w == "on" && words.len() == 1 => Some(true),
            [w] if w == "off" && words.len() == 1 => Some(false),
            other => {
                let near = other.first().and_then(|w| nearest(w, ["on", "off"]));
                self.report(lint::g1024::one_of(loc, head, &["off", "on"], near));
                None
            }
        }
    }

    /// `inspect 64KB`, `inspect 64KB else pass`
    fn inspect(&mut self, words: &[Spanned<Word>], env: &Env, loc: Loc) -> Option<Inspect> {
        let shape = "a size, as in `inspect 64KB`; behind it `else pass` for what is longer, or cannot be read";
        let [Spanned { node: Word::Value(size), span }, rest @ ..] = words else {
            self.report(lint::g1024::shape(loc, "inspect", shape));
            return None;
        };
        let pass = match rest {
            [] => false,
            [otherwise, pass]
                if word_name(&otherwise.node).as_deref() == Some("else")
                    && word_name(&pass.node).as_deref() == Some("pass") =>
            {
                true
            }
            _ => {
                self.report(lint::g1024::shape(loc, "inspect", shape));
                return None;
            }
        };
        let at = self.at(env, *span);
        match self.eval(&Spanned::new(size.clone(), *span), env, None) {
            Val::Size(bytes) if (1..=Inspect::MOST).contains(&bytes) => Some(Inspect { bytes, pass }),
            Val::Size(_) => {
                self.report(lint::g1024::range(
                    at,
                    "`inspect` takes a size of 1B to 1MB: what is looked at lies in memory",
                ));
                None
            }
            Val::Opaque(..) => None,
            other => {
                self.report(lint::g1005::wrong(at, "`inspect` takes", &Ty::Size.noun(), &other.ty().0.noun()));
                None
            }
        }
    }

    /// `mirror 1% shadow body 64KB`
    fn mirror(&mut self, b: &mut SiteBuild, words: &[Spanned<Word>], env: &Env, loc: Loc) -> Option<Mirror> {
        let shape = "a share and a pool, as in `mirror 1% shadow`; behind it `body 64KB`";
        let [Spanned { node: Word::Value(share), span }, Spanned { node: Word::Value(to), span: to_span }, rest @ ..] =
            words
        else {
            self.report(lint::g1024::shape(loc, "mirror", shape));
            return None;
        };
        let at = self.at(env, *span);
        if matches!(to, Expr::Percent(_)) {
            self.report(lint::g1024::shape(at, "mirror", shape));
            return None;
        }
        let share = match self.eval(&Spanned::new(share.clone(), *span), env, None) {
            Val::Percent(points) if points > 0 => points,
            Val::Opaque(..) => return None,
            _ => {
                self.report(lint::g1024::range(at, "`mirror` takes a share of more than 0% and at most 100%"));
                return None;
            }
        };
        let val = self.eval(&Spanned::new(to.clone(), *to_span), env, Some(&Ty::Pool));
        let to_loc = self.at(env, *to_span);
        let pool = match val {
            Val::Pool(module, item) => self.pool_index(b, (module, item), to_loc)?,
            Val::Opaque(..) => return None,
            other => {
                let found = other.ty().0.noun();
                self.report(lint::g1005::wrong(to_loc, "`mirror` takes", &Ty::Pool.noun(), &found));
                return None;
            }
        };
        let body_bytes = match rest.split_first() {
            None => MIRRORED_BODY,
            Some((word, [value])) if word_name(&word.node).as_deref() == Some("body") => {
                let at = self.at(env, word.span);
                self.size_behind("body", at, std::slice::from_ref(value), env, LONGEST_BODY)?
            }
            Some((word, _)) => {
                self.report(lint::g1024::shape(self.at(env, word.span), "mirror", shape));
                return None;
            }
        };
        Some(Mirror { share, pool, body_bytes })
    }

    /// A setting stands once in a block.
    pub(super) fn once_per_scope(&mut self, acc: &mut ScopeAcc<'a>, key: &str, loc: Loc) -> bool {
        if let Some((_, first)) = acc.settings.iter().find(|(k, _)| k == key) {
            let first = *first;
            self.report(lint::g1023::twice(loc, key, first));
            return false;
        }
        acc.settings.push((key.to_owned(), loc));
        true
    }

    /// The words that are bare names.
    pub(super) fn word_names(words: &[Spanned<Word>]) -> Vec<String> {
        words
            .iter()
            .filter_map(|w| match &w.node {
                Word::Value(Expr::Name(name)) => Some(Self::name_text(name)),
                Word::Value(Expr::Call { name, .. }) => Some(Self::name_text(&name.node)),
                Word::Value(_)
                | Word::Listen(_)
                | Word::Host(_)
                | Word::Unix(_)
                | Word::Comma
                | Word::Equals
                | Word::When => None,
            })
            .collect()
    }

    /// The one value behind some fixed words: `connect within 2s`, `body limit 10MB`.
    fn word_value(
        &mut self,
        head: &Ident,
        words: &[Spanned<Word>],
        lead: &[&str],
        env: &Env,
        shape: &str,
    ) -> Option<(Val, Loc)> {
        let at = words.iter().fold(head.span, |s, w| s.to(w.span));
        let loc = self.at(env, at);
        let leads = words.len() == lead.len() + 1
            && lead
                .iter()
                .zip(words)
                .all(|(l, w)| matches!(&w.node, Word::Value(Expr::Name(n)) if Self::name_text(n) == *l));
        let value = leads.then(|| words.last()).flatten();
        let Some(Spanned { node: Word::Value(expr), span }) = value else {
            let form = std::iter::once(head.node.as_str()).chain(lead.iter().copied()).collect::<Vec<_>>().join(" ");
            self.report(lint::g1024::shape(loc, &form, shape));
            return None;
        };
        let loc = self.at(env, *span);
        let val = self.eval(&Spanned::new(expr.clone(), *span), env, None);
        Some((val, loc))
    }

    /// The duration of a setting that bounds what a peer may hold: turned off, it is the longest there is.
    pub(super) fn word_bound(&mut self, head: &Ident, words: &[Spanned<Word>], env: &Env) -> Option<u64> {
        if is_off(words) {
            let at = self.at(env, words.iter().fold(head.span, |s, w| s.to(w.span)));
            let text = if env.module == 0 { self.text } else { "" };
            self.report(lint::g3021::off(at, &head.node, text));
            return Some(YEAR_MS);
        }
        self.word_duration(head, words, &[], env)
    }

    /// A duration of more than nothing.
    pub(super) fn word_duration(
        &mut self,
        head: &Ident,
        words: &[Spanned<Word>],
        lead: &[&str],
        env: &Env,
    ) -> Option<u64> {
        let (val, loc) = self.word_value(head, words, lead, env, "a duration, as in `30s`")?;
        self.deadline(&head.node, val, loc)
    }

    /// The duration that a value is: more than nothing, and not for ever.
    pub(super) fn deadline(&mut self, what: &str, val: Val, loc: Loc) -> Option<u64> {
        match val {
            Val::Duration(0) => {
                self.report(lint::g1024::range(
                    loc,
                    "nothing waits without a deadline: a duration of more than 0 is needed",
                ));
                None
            }
            Val::Duration(ms) if ms > YEAR_MS => {
                self.report(lint::g1024::range(loc, "a duration of more than a year is no bound; 365d is the longest"));
                None
            }
            Val::Duration(ms) => Some(ms),
            Val::Opaque(..) => None,
            other => {
                let what = format!("`{what}` takes");
                self.report(lint::g1005::wrong(loc, &what, &Ty::Duration.noun(), &other.ty().0.noun()));
                None
            }
        }
    }

    /// A size.
    pub(super) fn word_size(&mut self, head: &Ident, words: &[Spanned<Word>], lead: &[&str], env: &Env) -> Option<u64> {
        let (val, loc) = self.word_value(head, words, lead, env, "a size, as in `10MB`")?;
        match val {
            Val::Size(bytes) => Some(bytes),
            Val::Opaque(..) => None,
            other => {
                let what = format!("`{}` takes", head.node);
                self.report(lint::g1005::wrong(loc, &what, &Ty::Size.noun(), &other.ty().0.noun()));
                None
            }
        }
    }

    /// A whole number in a range.
    pub(super) fn word_number(&mut self, head: &Ident, words: &[Spanned<Word>], env: &Env) -> Option<u64> {
        let (val, loc) = self.word_value(head, words, &[], env, "a number")?;
        match val {
            Val::Int(n) => match u64::try_from(n) {
                Ok(n) if n > 0 => Some(n),
                _ => {
                    self.report(lint::g1024::range(loc, &format!("`{}` takes a number of 1 or more", head.node)));
                    None
                }
            },
            Val::Opaque(..) => None,
            other => {
                let what = format!("`{}` takes", head.node);
                self.report(lint::g1005::wrong(loc, &what, &Ty::Int.noun(), &other.ty().0.noun()));
                None
            }
        }
    }
}

/// `off`, `0` or `0s`.
fn is_off(words: &[Spanned<Word>]) -> bool {
    match words {
        [Spanned { node: Word::Value(Expr::Name(name)), .. }] => Checker::name_text(name) == "off",
        [Spanned { node: Word::Value(Expr::Number(n)), .. }] => n == "0",
        [Spanned { node: Word::Value(Expr::Duration(ms)), .. }] => *ms == 0,
        _ => false,
    }
}
