//! The way of a request through a site, told line by line: for `explain`, and for tests that fail.

use super::eval::BadText;
use super::ir::{Answer, Cond, Destination, Lookup};
use super::judge::{Edit, Judged, Progress, Refused, Rendered, Walk};
use super::program::{Decision, Program};
use super::request::Request;
use super::rows::Found;
use super::words;
use crate::syntax::ast::{HeaderOp, Side};
use crate::syntax::span::Loc;

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
    /// Whether shares were drawn, and nothing said where the draw falls: then it is none of the pools yet.
    pub open: bool,
    /// The story.
    pub lines: Vec<Line>,
}

/// Tells the way of a request through a site. `draw` is where shares that are drawn anew fall; without
/// it all of them are named.
pub fn tell<'p>(program: &'p Program, request: &impl Request, draw: Option<u32>) -> Told<'p> {
    let mut walked = Walked::default();
    let mut drawn = false;
    let mut point = || {
        drawn = true;
        draw.unwrap_or_default()
    };
    let judged = program.judge(request, &mut point, &mut walked, &mut Progress::default());
    let mut lines = Vec::new();
    let Some((_, plan)) = judged.plan else {
        if let Decision::Conflict(field) = program.decide(request) {
            let why = format!("`{field}`, which a condition names, arrived several times with different values");
            lines.push(Line::refused("routes", 400, why));
        }
        return Told { judged, edits: walked.edits, asked: walked.asked, open: false, lines };
    };
    candidates(program, request, &mut lines);
    if matches!(plan.answer, Answer::NotFound) {
        let label = if lines.is_empty() { "routes" } else { "" };
        lines.push(Line::new(label, "nothing more specific holds here", Some(plan.loc)));
    }
    let used = plan.policies.iter().map(|used| Line::new("", format!("use {}", used.name), Some(used.loc)));
    let mut policies: Vec<Line> = used.chain(walked.lines).collect();
    if let Some(first) = policies.first_mut() {
        first.label = "policies";
    }
    lines.extend(policies);
    let open = drawn && draw.is_none();
    lines.push(answer(program, &judged.answer, request, open, judged.at));
    if matches!(judged.answer, Rendered::Proxy { .. }) {
        for catch in &plan.catches {
            let text = format!("on {:?}: {}", catch.statuses, words::answer(&catch.answer, program.site()));
            lines.push(Line::new("catch", text, Some(catch.loc)));
        }
    }
    Told { judged, edits: walked.edits, asked: walked.asked, open, lines }
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
        Rendered::Refused(why @ Refused::Failed(_)) => return Line::refused("answer", 503, refused(why)),
        Rendered::Refused(why) => return Line::refused("answer", 400, refused(why)),
        Rendered::Limited { limit, .. } => return Line::refused("answer", 429, format!("limit {}", limit.name)),
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
        Rendered::Deny { status } => format!("deny {status}"),
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
    }
}

/// What a request met on its way.
#[derive(Default)]
struct Walked<'p> {
    edits: Vec<Edit<'p>>,
    asked: Vec<(Loc, bool)>,
    lines: Vec<Line>,
}

impl<'p> Walk<'p> for Walked<'p> {
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

    fn asked(&mut self, cond: &'p Cond, held: bool, loc: Loc) {
        self.asked.push((loc, held));
        let what = if held { "holds" } else { "does not hold" };
        self.lines.push(Line::new("", format!("require {cond}  · {what}"), Some(loc)));
    }
}
