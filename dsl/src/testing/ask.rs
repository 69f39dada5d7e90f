//! A request of a test, from its URL to what becomes of it.

use super::coverage::What;
use super::world::World;
use super::{Asked, Given, draw};
use crate::syntax::span::Loc;
use crate::tree::ir::{Answer, CallKind, Cond, Paths, Plan, Pool};
use crate::tree::judge::{self, Admission, Edit, Rendered, admit};
use crate::tree::request::Plain;
use crate::tree::tell::{self, Line, Told, sent};
use crate::tree::{HostIndex, Program, canonical, eval};
use std::borrow::Cow;
use std::sync::Arc;

/// What is answered where nobody says otherwise.
const OK: u16 = 200;

/// The sites of a file.
pub(super) struct Sites {
    hosts: HostIndex<Arc<Program>>,
    default: Option<Arc<Program>>,
}

/// What became of a request.
pub(super) struct Came<'s> {
    pub(super) outcome: Outcome<'s>,
    /// The edits of headers that it met.
    pub(super) edits: Vec<Edit<'s>>,
    /// The sessions that were issued, and to whom, and those that were ended.
    pub(super) sessions: Vec<(Arc<str>, Option<String>)>,
    /// Its plan, where there is one.
    pub(super) plan: Option<(&'s Program, &'s Plan)>,
    /// Headers of a service's answer that is passed on.
    pub(super) relayed: Vec<(Arc<str>, String)>,
    /// The status of the answer; of a pool or a file about which nothing is given 200.
    pub(super) answered: u16,
    /// The points that it went through, and how.
    pub(super) seen: Vec<(What, Loc, bool)>,
    /// The story.
    pub(super) lines: Vec<Line>,
}

/// What answers.
pub(super) enum Outcome<'s> {
    /// No site of the file: other files may have one.
    Nobody(String),
    /// The gateway, before a site is asked.
    Early(u16),
    /// 308 to https.
    ToHttps(String),
    /// What a site says.
    Site(Rendered<'s>),
    /// A pool, with the path and host that it receives.
    Pool {
        pool: &'s Pool,
        target: String,
        host: String,
        /// Whether the route says another path.
        moved: bool,
    },
    /// It depends on something that is not given: on what, and how to give it.
    Open(String),
    /// A pool that is down, or answers so, and nothing catches it.
    Failed(&'s Pool, u16),
}

impl Sites {
    pub(super) fn of(programs: &[Arc<Program>]) -> Self {
        let mut sites = Self { hosts: HostIndex::default(), default: None };
        for program in programs {
            for (pattern, _) in &program.site().hosts {
                sites.hosts.insert(pattern, Arc::clone(program));
            }
            if program.site().settings.default {
                sites.default = Some(Arc::clone(program));
            }
        }
        sites
    }

    fn find(&self, host: &str) -> Option<&Arc<Program>> {
        self.hosts.get(host).or(self.default.as_ref())
    }

    /// Walks a request through its site.
    pub(super) fn ask(&self, asked: &Asked, given: &[&Given], world: World<'_>) -> Came<'_> {
        let mut lines = Vec::new();
        let none = |outcome: Outcome<'static>, lines| Came {
            answered: outcome.status().unwrap_or(OK),
            outcome,
            edits: Vec::new(),
            sessions: Vec::new(),
            relayed: Vec::new(),
            plan: None,
            seen: Vec::new(),
            lines,
        };
        let host = match canonical::host(asked.plain.host.as_bytes()) {
            Ok(host) => host.into_owned(),
            Err(why) => {
                lines.push(Line::refused("host", 400, why.to_string()));
                return none(Outcome::Early(400), lines);
            }
        };
        let Some(program) = self.find(&host) else {
            let why = format!("no site of this file answers for {host}");
            lines.push(Line::new("host", why.clone(), None));
            return none(Outcome::Nobody(why), lines);
        };
        let settings = &program.site().settings;
        lines.push(self.host_line(program, &host));
        let sni = asked.plain.tls.sni.as_deref().filter(|sni| *sni != host);
        let named = sni.map(|sni| self.find(sni).map(|program| &program.site().settings));
        let admission = admit(settings, asked.plain.https, named);
        if admission == Admission::Misdirected {
            let why = "this site's TLS settings are not those of the connection";
            lines.push(Line::refused("tls", 421, why));
            return none(Outcome::Early(421), lines);
        }
        let path = match canonical::path_for(asked.plain.path.as_bytes(), settings) {
            Ok(path) => path.into_owned(),
            Err(why) => {
                lines.push(Line::refused("path", 400, why.to_string()));
                return none(Outcome::Early(400), lines);
            }
        };
        let from = if path == asked.plain.path {
            String::new()
        } else {
            format!("  (spelt {} by the client)", asked.plain.path)
        };
        lines.push(Line::new("path", format!("{path}{from}"), None));
        let raw_paths = settings.paths == Paths::Raw;
        let country = given.iter().rev().find_map(|given| match given {
            Given::Country(code) => Some(code.to_string()),
            _ => None,
        });
        let mut plain = Plain { host, path, raw_paths, country, ..asked.plain.clone() };
        // Nobody gets here without one: of which nothing is said.
        if plain.https && settings.handshake.needs_client_cert() {
            plain.tls.cert.get_or_insert_default();
        }
        if admission == Admission::ToHttps {
            let why = "308 to the same address with https: this site does not say `http allowed`";
            lines.push(Line::new("answer", why, Some(program.site().loc)));
            let mut location = format!("https://{}{}", plain.host, plain.path);
            judge::append_query(&mut location, &plain);
            return none(Outcome::ToHttps(location), lines);
        }
        told(program, plain, given, world, lines)
    }

    fn host_line(&self, program: &Program, host: &str) -> Line {
        let own = program.site().hosts.iter().find(|(pattern, _)| pattern.matches(host));
        match own {
            None => Line::new("host", format!("{host}: the default site"), Some(program.site().loc)),
            Some((pattern, loc)) => {
                let pattern = pattern.to_string();
                let why = if pattern == host { String::new() } else { format!("  (matches {pattern})") };
                Line::new("host", format!("{host}{why}"), Some(*loc))
            }
        }
    }
}

fn told<'s>(
    program: &'s Program,
    mut request: Plain,
    given: &[&Given],
    mut world: World<'_>,
    mut lines: Vec<Line>,
) -> Came<'s> {
    let draw = draw(given);
    let told = tell::tell_in(program, &mut request, draw, &mut world);
    let request = &request;
    let mut seen = seen(program, request, &told);
    lines.extend(told.lines);
    let plan = told.judged.plan.map(|(_, plan)| (program, plan));
    let mut answer = told.judged.answer;
    let mut open = told.open;
    let mut caught = false;
    let mut answered = None;
    let outcome = loop {
        if let (Rendered::Pending(_), Some(why)) = (&answer, &world.open) {
            break Outcome::Open(why.clone());
        }
        let Rendered::Proxy { pool, target, host, to: _ } = &answer else { break Outcome::Site(answer) };
        if open {
            let why = lines.iter().rev().find(|line| line.label == "answer").map(|line| line.text.clone());
            break Outcome::Open(format!("{}; say which with `given draw 5%`", why.unwrap_or_default()));
        }
        let asked = &*program.site().pools[pool.0 as usize];
        answered = answers(asked, given);
        // A good answer is one unless something would replace it.
        let replaced = |status: &u16| plan.is_some_and(|(_, plan)| judge::catch(plan, *status).is_some());
        let Some(status) = answers(asked, given).filter(|status| *status >= 400 || replaced(status)) else {
            let moved = target.is_some();
            let (target, host) = sent(target.as_deref(), host.as_deref(), request);
            break Outcome::Pool { pool: asked, target, host, moved };
        };
        lines.push(Line::new("given", format!("pool {} answers {status}", asked.name), None));
        // Once: what replaces a failure is not replaced again.
        let catch = plan.filter(|_| !caught).and_then(|(_, plan)| judge::catch(plan, status));
        let Some(catch) = catch else { break Outcome::Failed(asked, status) };
        caught = true;
        seen.push((What::Catch, catch.loc, true));
        let mut drawn = false;
        let mut point = || {
            drawn = true;
            draw.unwrap_or_default()
        };
        let next: &Answer = &catch.answer;
        answer = judge::render(next, program.site(), request, &mut point);
        open = drawn && draw.is_none();
        lines.push(tell::answer(program, &answer, request, open, Some(catch.loc)));
    };
    let answered = outcome.status().or(answered).unwrap_or(OK);
    let relayed = match outcome {
        Outcome::Site(Rendered::Relay { call, .. }) => match &program.site().calls[call.0 as usize].kind {
            CallKind::Ask(ask) => tell::World::answered(&world, program, ask),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    Came { outcome, edits: told.edits, sessions: told.sessions, relayed, plan, answered, seen, lines }
}

/// The points that a request went through, and how.
fn seen(program: &Program, request: &Plain, told: &Told<'_>) -> Vec<(What, Loc, bool)> {
    let Some((_, plan)) = told.judged.plan else { return Vec::new() };
    let mut seen = Vec::new();
    let candidates = program.candidates(request);
    for candidate in candidates.iter().filter(|candidate| candidate.condition.is_some()) {
        seen.push((What::When, candidate.loc, candidate.taken));
    }
    seen.extend(told.asked.iter().map(|(loc, held)| (What::Require, *loc, *held)));
    seen.extend(told.limits.iter().map(|(loc, passed)| (What::Limit, *loc, *passed)));
    let through = told.judged.at == Some(plan.loc);
    if let Some(last) = candidates.last().filter(|last| through && last.taken && !last.block) {
        seen.push((What::Route, last.loc, true));
    }
    for used in plan.policies.iter().filter(|used| !matches!(used.when, Cond::Const(_))) {
        seen.push((What::Use, used.loc, eval::holds(&used.when, request)));
    }
    seen
}

/// What is said of a pool.
fn said(pool: &Pool, given: &[&Given]) -> Option<u16> {
    given.iter().rev().find_map(|given| match given {
        Given::Answers { pool: name, status, .. } if name.is(pool) => Some(*status),
        _ => None,
    })
}

/// What a pool answers by what is given; `None` where nothing is.
pub(super) fn answers(pool: &Pool, given: &[&Given]) -> Option<u16> {
    let down = |endpoint: &crate::tree::ir::Endpoint| {
        given.iter().any(|given| match given {
            Given::Down { kind, host, port } => {
                *kind == endpoint.kind && *host == endpoint.host && *port == endpoint.port
            }
            _ => false,
        })
    };
    // As the gateway answers where no endpoint is up.
    said(pool, given).or_else(|| pool.endpoints.iter().all(down).then_some(503))
}

impl Outcome<'_> {
    /// The status, where it is known without asking an origin or a disk.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Early(status) | Self::Failed(_, status) => Some(*status),
            Self::ToHttps(_) => Some(308),
            Self::Nobody(_) | Self::Pool { .. } | Self::Open(_) => None,
            Self::Site(answer) => match answer {
                Rendered::Redirect { status, .. }
                | Rendered::Respond { status, .. }
                | Rendered::File { status, .. }
                | Rendered::Deny { status } => Some(*status),
                Rendered::Relay { status, .. } => *status,
                Rendered::Visit { .. } => None,
                Rendered::NotFound => Some(404),
                Rendered::Limited { .. } => Some(429),
                Rendered::Refused(why) => Some(why.status()),
                Rendered::Files { .. } | Rendered::Proxy { .. } | Rendered::Pending(_) => None,
            },
        }
    }

    /// The Location of a redirect.
    pub(super) fn location(&self) -> Option<(u16, &str)> {
        match self {
            Self::ToHttps(location) => Some((308, location)),
            Self::Site(Rendered::Redirect { status, location }) => Some((*status, location)),
            Self::Site(_) | Self::Early(_) | Self::Nobody(_) | Self::Pool { .. } | Self::Open(_) | Self::Failed(..) => {
                None
            }
        }
    }

    /// In the words that a test would use.
    pub(super) fn words(&self) -> Cow<'static, str> {
        match self {
            Self::Nobody(why) => why.clone().into(),
            Self::Early(status) => format!("{status}, before a site is asked").into(),
            Self::ToHttps(location) => format!("redirect 308 {location}").into(),
            Self::Pool { pool, target, moved, .. } => {
                let at = if *moved { format!(" at {target}") } else { String::new() };
                format!("pool {}{at}", pool.name).into()
            }
            Self::Open(why) => why.clone().into(),
            Self::Failed(pool, status) => {
                format!("{status}, for pool {} fails and nothing catches it", pool.name).into()
            }
            Self::Site(answer) => match answer {
                Rendered::Redirect { status, location } => format!("redirect {status} {location}").into(),
                Rendered::Respond { status, body, content_type: _ } if body.is_empty() => {
                    format!("respond {status}").into()
                }
                Rendered::Respond { status, body, content_type: _ } => format!("respond {status} {body:?}").into(),
                Rendered::File { status, path, content_type: _ } => format!("respond {status} file {path:?}").into(),
                Rendered::Relay { status: Some(status), .. } => format!("respond {status}, as the service said").into(),
                Rendered::Relay { status: None, .. } => "what the service said".into(),
                Rendered::Deny { status } => format!("deny {status}").into(),
                Rendered::Visit { does, .. } => format!("{} at a provider", does.word()).into(),
                Rendered::NotFound => "404: no route matches".into(),
                Rendered::Files { dir, path, .. } => format!("files {dir:?} at {path}").into(),
                Rendered::Limited { .. } => "429".into(),
                Rendered::Pending(_) => "nothing yet: it depends on a call".into(),
                Rendered::Refused(why) => format!("{}: {}", why.status(), tell::refused(why)).into(),
                Rendered::Proxy { .. } => "a pool".into(),
            },
        }
    }
}
