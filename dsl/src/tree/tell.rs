//! The way of a request through a site, told line by line: for `explain`, and for tests that fail.

use super::calls::{self, Outcome};
use super::eval::BadText;
use super::ir::{Answer, Ask, Call, CallIdx, CallKind, Cond, Destination, Field, Identity, Limit, Lookup, Session};
use super::judge::{Admit, Edit, Judged, Progress, Refused, Rendered, Walk};
use super::methods::answers_405;
use super::program::{Decision, Program};
use super::request::{Plain, Request};
use super::rows::Found;
use super::session::{self, Issue};
use super::words;
use crate::body::Inspect;
use crate::lint::reads::Reads;
use crate::syntax::ast::{HeaderOp, Side};
use crate::syntax::span::Loc;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A line of a story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is about: `host`, `routes`, `answer`; empty where that is as in the line before.
    pub label: &'static str,
    /// What happens.
    pub text: String,
    /// A second line under it.
    pub more: Option<String>,
    /// The status where the request is refused here.
    pub refused: Option<u16>,
    /// The line of the route file that says so.
    pub loc: Option<Loc>,
}

impl Line {
    /// What happens, and where that is said.
    pub fn new(label: &'static str, text: impl Into<String>, loc: Option<Loc>) -> Self {
        Self { label, text: text.into(), more: None, refused: None, loc }
    }

    /// The request is refused.
    pub fn refused(label: &'static str, status: u16, why: impl Into<String>) -> Self {
        Self { refused: Some(status), ..Self::new(label, why, None) }
    }

    /// As it is printed without colours, without its place.
    #[must_use]
    pub fn plain(&self) -> String {
        let status = self.refused.map(|status| format!("{status} ")).unwrap_or_default();
        let more = self.more.iter().map(|more| format!("\n{:11}{more}", "")).collect::<String>();
        format!("{:<11}{status}{}{more}", self.label, self.text)
    }
}

/// A request that was judged, and the story of it.
#[derive(Clone, Debug)]
pub struct Told<'p> {
    /// What becomes of it.
    pub judged: Judged<'p>,
    /// The edits of headers that it met.
    pub edits: Vec<Edit<'p>>,
    /// The `require`s that were asked, and whether they held.
    pub asked: Vec<(Loc, bool)>,
    /// The limits that counted it, and whether they let it pass.
    pub limits: Vec<(Loc, bool)>,
    /// The sessions that were issued, by their cookies, and to whom; `None` for one that was ended.
    pub sessions: Vec<(Arc<str>, Option<String>)>,
    /// Whether shares were drawn, and nothing said where the draw falls: then it is none of the pools yet.
    pub open: bool,
    /// The story.
    pub lines: Vec<Line>,
}

/// What is known beside the request: what its calls come to, and what limits have counted.
pub trait World {
    /// What a call comes to; `None` where nobody knows, and the story ends. Of a body so much is looked at.
    fn call(&mut self, program: &Program, call: CallIdx, request: &Plain, inspect: Inspect) -> Option<Outcome>;

    /// Headers of the answer of an `ask` that said yes, by their names in lower case.
    fn answered(&self, _program: &Program, _ask: &Ask) -> Vec<(Arc<str>, String)> {
        Vec::new()
    }

    /// With which status the service said no that an `ask` asked; `None` where nobody knows, and `Some(None)` where what
    /// failed counts as a no.
    fn said_no(&self, _program: &Program, _ask: &Ask) -> Option<Option<u16>> {
        None
    }

    /// What a limit says of a request.
    fn limit(&mut self, limit: &Limit, key: &[u8], cost: u64) -> Admit;

    /// What time it is, seconds since 1970; `None` where nobody knows.
    fn now(&self) -> Option<u64> {
        None
    }
}

/// Nothing is known: calls are open, and no limit was counted.
struct Nothing;

impl World for Nothing {
    fn call(&mut self, program: &Program, call: CallIdx, request: &Plain, inspect: Inspect) -> Option<Outcome> {
        of_body(program, call, request, inspect)
    }

    fn limit(&mut self, _: &Limit, _: &[u8], _: u64) -> Admit {
        Admit::Pass
    }
}

/// What a call comes to that reads nothing but the request's body, where that is known.
fn of_body(program: &Program, call: CallIdx, request: &Plain, inspect: Inspect) -> Option<Outcome> {
    match &program.site().calls[call.0 as usize].kind {
        CallKind::Body(part) => calls::of_body(part, inspect, request),
        CallKind::Jwt(_)
        | CallKind::Signed(_)
        | CallKind::Secret(_)
        | CallKind::Password(_)
        | CallKind::ApiKey(_)
        | CallKind::Ask(_)
        | CallKind::Session(_)
        | CallKind::Visit(..) => None,
    }
}

/// What calls are supposed to come to, yes or no. What tokens say is not known: a claim that is read is its
/// name in angle brackets.
#[derive(Clone, Debug, Default)]
pub struct Supposed(pub Vec<(CallIdx, bool)>);

impl World for Supposed {
    fn call(&mut self, program: &Program, call: CallIdx, request: &Plain, inspect: Inspect) -> Option<Outcome> {
        let Some((_, yes)) = self.0.iter().find(|(known, _)| *known == call) else {
            return of_body(program, call, request, inspect);
        };
        let asked = &program.site().calls[call.0 as usize];
        if *yes && matches!(asked.kind, CallKind::Body(_)) {
            return Some(Outcome::Yes(Arc::from([("".into(), format!("<{}>", asked.shown).into())])));
        }
        let claims = || claims(program, call).into_iter().map(|name| (Arc::clone(&name), format!("<{name}>").into()));
        Some(if *yes { Outcome::Yes(claims().collect()) } else { Outcome::No })
    }

    fn limit(&mut self, _: &Limit, _: &[u8], _: u64) -> Admit {
        Admit::Pass
    }
}

/// The claims of a call that a site reads, in the order of their names.
pub fn claims(program: &Program, call: CallIdx) -> BTreeSet<Arc<str>> {
    let site = program.site();
    let mut names = BTreeSet::new();
    let mut reads = Reads::of(site, |field: &Field| {
        if let Field::Claim(of, name) = field
            && *of == call
        {
            names.insert(Arc::clone(name));
        }
    });
    site.plans.iter().for_each(|plan| reads.plan(plan));
    site.scopes.iter().flat_map(|scope| &scope.entries).for_each(|entry| reads.cond(&entry.guard));
    names
}

/// Tells the way of a request through a site. `draw` is where shares that are drawn anew fall; without
/// it all of them are named.
pub fn tell<'p>(program: &'p Program, request: &Plain, draw: Option<u32>) -> Told<'p> {
    tell_in(program, &mut request.clone(), draw, &mut Nothing)
}

/// [`tell`] in a world that knows more. What calls came to is known of the request afterwards.
pub fn tell_in<'p>(program: &'p Program, request: &mut Plain, draw: Option<u32>, world: &mut dyn World) -> Told<'p> {
    let mut walked = Walked {
        world,
        edits: Vec::new(),
        asked: Vec::new(),
        limits: Vec::new(),
        lines: Vec::new(),
        sessions: Vec::new(),
    };
    let mut drawn = false;
    let mut point = || {
        drawn = true;
        draw.unwrap_or_default()
    };
    let mut progress = Progress::default();
    let judged = loop {
        let judged = program.judge(&*request, &mut point, &mut walked, &mut progress);
        let Rendered::Pending(call) = judged.answer else { break judged };
        let called = &program.site().calls[call.0 as usize];
        if matches!(called.kind, CallKind::Visit(..)) {
            // Whatever its provider says: that it is asked is the answer.
            request.calls.tell(call, Outcome::Yes(Arc::from([])));
            continue;
        }
        let inspect = program.settings_on_the_way(&*request, &progress).inspect.unwrap_or_default();
        let Some(outcome) = walked.world.call(program, call, request, inspect) else { break judged };
        walked.called(program, called, &outcome);
        if let (Outcome::No, CallKind::Ask(ask)) = (&outcome, &called.kind)
            && let Some(status) = walked.world.said_no(program, ask)
        {
            request.calls.tell_said(call, status);
        }
        request.calls.tell(call, outcome);
    };
    let request = &*request;
    let open = drawn && draw.is_none();
    let Walked { mut edits, asked, limits, sessions, lines: mut of_policies, .. } = walked;
    if matches!(judged.answer, Rendered::Proxy { .. }) {
        unsaid(program, &mut edits, &mut of_policies);
    }
    let allowed = answers_405(&judged.answer).then(|| program.methods(request).join(", "));
    if let (Some(allowed), Some(loc)) = (&allowed, judged.at) {
        let (op, side, value) = (HeaderOp::Set, Side::Response, allowed.clone());
        edits.insert(0, Edit { op, side, name: "allow", value: value.into(), loc, from: None });
    }
    let told = |judged, open, lines| Told { judged, edits, asked, limits, sessions, open, lines };
    let mut lines = Vec::new();
    let Some((_, plan)) = judged.plan else {
        lines.extend(of_policies);
        match program.decide(request) {
            Decision::Conflict(field) => {
                let why = format!("`{field}`, which a condition names, arrived several times with different values");
                lines.push(Line::refused("routes", 400, why));
            }
            Decision::Plan(_) => lines.push(answer(program, &judged.answer, request, false, None)),
        }
        return told(judged, false, lines);
    };
    candidates(program, request, &mut lines);
    if matches!(plan.answer, Answer::NotFound) {
        let label = if lines.is_empty() { "routes" } else { "" };
        lines.push(Line::new(label, "nothing more specific holds here", Some(plan.loc)));
    }
    let used = plan.policies.iter().map(|used| Line::new("", format!("use {}", used.name), Some(used.loc)));
    let mut policies: Vec<Line> = used.chain(of_policies).collect();
    if let Some(first) = policies.first_mut() {
        first.label = "policies";
    }
    lines.extend(policies);
    let mut last = answer(program, &judged.answer, request, open, judged.at);
    // Outside of policies the line before it, and its place, say who.
    if let Some(step) = judged.step.filter(|step| plan.uses_of(*step).next().is_some()) {
        last.text.push_str(&format!("  · by {}", plan.rule(step)));
    }
    if let Some(allowed) = allowed {
        last.more = Some(format!("allow: {allowed}"));
    }
    lines.push(last);
    if matches!(judged.answer, Rendered::Proxy { .. }) {
        for catch in &plan.catches {
            let text = format!("on {:?}: {}", catch.statuses, words::answer(&catch.answer, program.site()));
            lines.push(Line::new("catch", text, Some(catch.loc)));
        }
    }
    told(judged, open, lines)
}

/// Identity headers are deleted from every request that goes to a pool, whether their policies ran or not: nobody
/// but who fills them may say them (LANGUAGE rule 20).
fn unsaid<'p>(program: &'p Program, edits: &mut Vec<Edit<'p>>, lines: &mut Vec<Line>) {
    let (mut first, mut told) = (Vec::new(), Vec::new());
    for Identity { name, by, loc } in program.identities() {
        // What is set or removed in any case is not told twice.
        let gone = |edit: &Edit<'_>| {
            matches!(edit.op, HeaderOp::Remove | HeaderOp::Set) && edit.side == Side::Request && *edit.name == **name
        };
        if !edits.iter().any(gone) {
            let (op, side) = (HeaderOp::Remove, Side::Request);
            first.push(Edit { op, side, name, value: Cow::Borrowed(""), loc: *loc, from: None });
            let text = format!("remove request header {name}  · only {by} may say it");
            told.push(Line::new("", text, Some(*loc)));
        }
    }
    edits.splice(0..0, first);
    lines.splice(0..0, told);
}

fn candidates(program: &Program, request: &impl Request, lines: &mut Vec<Line>) {
    for candidate in program.candidates(request) {
        let indent = "  ".repeat(candidate.depth);
        let when = candidate.condition.map(|c| format!(" when {c}")).unwrap_or_default();
        let what = match (&candidate.refused, candidate.block) {
            (Some(refusal), _) => format!("no: {} does not hold", refusal.part),
            (None, true) => "enters this block".into(),
            (None, false) => "takes it".into(),
        };
        let text = format!("{indent}{}{when}  · {what}", candidate.pattern);
        let label = if lines.is_empty() { "routes" } else { "" };
        lines.push(Line::new(label, text, Some(candidate.loc)));
    }
}

/// What answers, in a line.
pub fn answer(program: &Program, answer: &Rendered<'_>, request: &impl Request, open: bool, loc: Option<Loc>) -> Line {
    let text = match answer {
        Rendered::Proxy { pool, to, target, host } => {
            return proxy(program, (*pool, to), target.as_deref(), host.as_deref(), request, open, loc);
        }
        Rendered::Refused(why) => return Line::refused("answer", why.status(), refused(why)),
        Rendered::Limited { limit, .. } => return Line::refused("answer", 429, limit.to_string()),
        Rendered::Pending(call) => {
            let call = &program.site().calls[call.0 as usize];
            format!("depends on what {} comes to", call.shown)
        }
        Rendered::Respond { status, body, content_type } => {
            format!("respond {status} {:?} as {content_type}", words::short(body))
        }
        Rendered::Files { dir, path, index, fallback } => {
            let fallback = fallback.map(|f| format!(", else {f}")).unwrap_or_default();
            format!("files \"{dir}\": {path}, index {index}{fallback}")
        }
        Rendered::Redirect { status, location } => format!("redirect {status} {location}"),
        Rendered::File { status, path, content_type: _ } => format!("respond {status} file \"{path}\""),
        Rendered::Relay { call, status } => {
            let said = status.map_or_else(
                || "as the service says it, with its headers and its body".to_owned(),
                |status| format!("as the service says it: {status}"),
            );
            format!("{}  · {said}", words::relay(*call, program.site()))
        }
        Rendered::Deny { status } => format!("deny {status}"),
        Rendered::Visit { does, provider, said: _ } => words::visit(*does, *provider, program.site()),
        Rendered::NotFound => "404, no route".to_owned(),
    };
    Line::new("answer", text, loc)
}

fn proxy(
    program: &Program,
    (pool, to): (super::ir::PoolIdx, &Destination),
    target: Option<&str>,
    host: Option<&str>,
    request: &impl Request,
    open: bool,
    loc: Option<Loc>,
) -> Line {
    let shares = match to {
        Destination::Pool(_) => None,
        Destination::Split { .. } => Some(words::destination(to, program.site())),
        Destination::Table(by) => Some(row(&by.lookup, request)),
    };
    let text = match shares {
        Some(shares) if open => format!("one of {shares}, drawn anew for each request"),
        shares => {
            let pool = &program.site().pools[pool.0 as usize];
            let why = shares.map(|shares| format!("  ({shares})")).unwrap_or_default();
            format!("pool {}: {}{why}", pool.name, words::endpoints(pool))
        }
    };
    let (target, host) = sent(target, host, request);
    let more = format!("receives {} {target} with host {host}", request.method());
    Line { more: Some(more), ..Line::new("answer", text, loc) }
}

/// `tenants[…]: row 17 of data/tenants.csv, line 18`
pub fn row(lookup: &Lookup, request: &impl Request) -> String {
    let place = match lookup.find(request) {
        Found::Row(cell) => match &lookup.table.from {
            Some(from) => format!("row {} of {}, line {}", cell.number(), from.path, cell.line()),
            None => format!("row {}", cell.number()),
        },
        Found::Missing | Found::Conflict(_) => "no row".to_owned(),
    };
    format!("{lookup}: {place}")
}

/// The path with its query, and the host, that an origin receives.
pub fn sent(target: Option<&str>, host: Option<&str>, request: &impl Request) -> (String, String) {
    let target = target.map_or_else(
        || {
            let mut target = request.path().to_owned();
            super::judge::append_query(&mut target, request);
            target
        },
        str::to_owned,
    );
    (target, host.unwrap_or(request.host()).to_owned())
}

/// Why a request is refused, in words.
#[must_use]
pub fn refused(why: &Refused<'_>) -> String {
    match why {
        Refused::Repeated(field) => format!("`{field}` arrived several times with different values"),
        Refused::BadText(bad) => bad.reason().to_owned(),
        Refused::Missing(field) => format!("`{field}` is missing"),
        Refused::Host => "the host to be sent is none".to_owned(),
        Refused::Failed(_) => "a call could not be worked out".to_owned(),
        Refused::TooMany(_) => "too many wrong passwords were tried".to_owned(),
        Refused::Body(bad) => bad.reason().to_owned(),
    }
}

/// What a request met on its way.
struct Walked<'p, 'w> {
    world: &'w mut dyn World,
    edits: Vec<Edit<'p>>,
    asked: Vec<(Loc, bool)>,
    limits: Vec<(Loc, bool)>,
    sessions: Vec<(Arc<str>, Option<String>)>,
    lines: Vec<Line>,
}

impl<'p> Walked<'p, '_> {
    /// A call was worked out. What an `ask` copies is deleted from the request first (LANGUAGE rule 20).
    fn called(&mut self, program: &'p Program, call: &'p Call, outcome: &Outcome) {
        let of_body = matches!(call.kind, CallKind::Body(_));
        let what = match outcome {
            Outcome::Yes(_) if of_body => "is there",
            Outcome::Yes(_) => "yes",
            Outcome::No if of_body => "is missing",
            Outcome::No => "no",
            Outcome::Failed => "failed",
            Outcome::Refused(_) if of_body => "cannot be read",
            Outcome::Refused(_) => "cannot be asked",
        };
        self.lines.push(Line::new("", format!("{}  · {what}", call.shown), Some(call.loc)));
        let CallKind::Ask(ask) = &call.kind else { return };
        let edit = |op, name: &'p str, value| Edit { op, side: Side::Request, name, value, loc: call.loc, from: None };
        self.edits.extend(ask.copy.iter().map(|name| edit(HeaderOp::Remove, name, Cow::Borrowed(""))));
        if matches!(outcome, Outcome::Yes(_)) {
            let said = self.world.answered(program, ask);
            for name in &ask.copy {
                let values = said.iter().filter(|(n, _)| n == name);
                self.edits.extend(values.map(|(_, value)| edit(HeaderOp::Add, name, value.clone().into())));
            }
        }
    }
}

impl<'p> Walk<'p> for Walked<'p, '_> {
    fn edit(&mut self, edit: Edit<'p>) -> Result<(), BadText> {
        if edit.value.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            return Err(BadText::Control);
        }
        let op = match edit.op {
            HeaderOp::Set => "set",
            HeaderOp::Add => "add",
            HeaderOp::Remove => "remove",
        };
        let side = match edit.side {
            Side::Request => "request",
            Side::Response => "response",
        };
        let value = if edit.op == HeaderOp::Remove { String::new() } else { format!(" = \"{}\"", edit.value) };
        self.lines.push(Line::new("", format!("{op} {side} header {}{value}", edit.name), Some(edit.loc)));
        self.edits.push(edit);
        Ok(())
    }

    fn limit(&mut self, limit: &'p Arc<Limit>, key: Vec<u8>, cost: u64) -> Admit {
        let admit = self.world.limit(limit, &key, cost);
        let what = match admit {
            Admit::Pass => "passes",
            Admit::Later(_) if limit.shadow => "is exceeded, and only watched",
            Admit::Later(_) => "is exceeded",
        };
        self.lines.push(Line::new("", format!("{limit}  · {what}"), Some(limit.loc)));
        self.limits.push((limit.loc, admit == Admit::Pass));
        admit
    }

    fn session(&mut self, session: &'p Arc<Session>, issue: Issue<'_>) {
        let cookie = &session.cookie;
        let (what, came) = match issue {
            Issue::Start(sub) => (format!("start session {cookie} for {sub}"), Some(Some(sub))),
            Issue::End => (format!("end session {cookie}"), Some(None)),
            Issue::Keep(claims) => match self.world.now().map(|now| session::kept(claims, now)) {
                Some(Some((sub, _))) => (format!("keep session {cookie} for {sub}: issued again"), Some(Some(sub))),
                Some(None) => (format!("keep session {cookie}: nothing to do yet"), None),
                None => (format!("keep session {cookie}: issued again when half of its idle time is over"), None),
            },
        };
        self.lines.push(Line::new("", what, Some(session.loc)));
        self.sessions.extend(came.map(|sub| (Arc::clone(cookie), sub.map(str::to_owned))));
    }

    fn asked(&mut self, cond: &'p Cond, held: bool, loc: Loc) {
        // Asked again where its answer had to wait for a call.
        if self.asked.last() == Some(&(loc, held)) {
            return;
        }
        self.asked.push((loc, held));
        let what = if held { "holds" } else { "does not hold" };
        self.lines.push(Line::new("", format!("require {cond}  · {what}"), Some(loc)));
    }
}
