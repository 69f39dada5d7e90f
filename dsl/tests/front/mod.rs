//! What the tests of the checker and of the lints share: files in memory, compiled, rendered, asked.
#![allow(dead_code)] // each test program uses a part of it

use dsl::diagnostic::{Diagnostic, Edit, Severity, Sources, render};
use dsl::syntax::ast::HeaderOp;
use dsl::syntax::span::FileId;
use dsl::tree::eval::{self, Unrenderable};
use dsl::tree::ir::{Answer, Destination, HeaderEdit, PoolIdx, Site, Step, Tenancy, Tenant, Value};
use dsl::tree::request::Plain;
use dsl::tree::{Decision, canonical, interpret};
use dsl::{Compiled, Data, Modules, Parsed, Unit};
use std::sync::Arc;

/// Files that import each other: paths and texts, by number. The first is the one that is compiled.
#[derive(Clone, Debug, Default)]
pub struct Files(pub Vec<(String, String)>);

impl Files {
    /// One file.
    pub fn one(path: &str, text: &str) -> Self {
        Self(vec![(path.to_owned(), text.to_owned())])
    }

    /// Compiles a file of these by its number.
    pub fn compile(&self, number: u32) -> Compiled {
        let (path, text) = &self.0[number as usize];
        let gateway = path.ends_with("gateway.route");
        let tenants = if gateway { Vec::new() } else { self.tenants() };
        let bounded = Bounded { files: self, path: path.strip_prefix("sites/").unwrap_or(path), tenants };
        dsl::compile(&Unit { file: FileId(number), path, text, gateway, modules: &bounded })
    }

    /// The tenants that a gateway.route among them declares.
    fn tenants(&self) -> Vec<Arc<Tenant>> {
        let gateway = self.0.iter().position(|(path, _)| path.ends_with("gateway.route"));
        gateway.map(|at| self.compile(u32::try_from(at).unwrap()).tenants).unwrap_or_default()
    }

    /// As the command prints it.
    pub fn render(&self, diagnostics: &[Diagnostic]) -> String {
        render::full(diagnostics, self, false)
    }

    /// With an edit made.
    pub fn edited(&self, edit: &Edit) -> Self {
        let mut files = self.clone();
        let text = &mut files.0[edit.loc.file.0 as usize].1;
        text.replace_range(edit.loc.span.range(), &edit.text);
        files
    }
}

/// A file among others, and whose it is.
struct Bounded<'f> {
    files: &'f Files,
    path: &'f str,
    tenants: Vec<Arc<Tenant>>,
}

impl Modules for Bounded<'_> {
    fn find(&self, importer: FileId, module: &str) -> Result<Arc<Parsed>, String> {
        self.files.find(importer, module)
    }

    fn data(&self, declarer: FileId, path: &str) -> Result<Data, String> {
        self.files.data(declarer, path)
    }

    fn tenancy(&self) -> Option<Tenancy<'_>> {
        let tenant = self.tenants.iter().find(|tenant| tenant.has(self.path))?;
        Some(Tenancy { tenant, all: &self.tenants })
    }
}

impl Modules for Files {
    fn find(&self, importer: FileId, module: &str) -> Result<Arc<Parsed>, String> {
        let (from, _) = &self.0[importer.0 as usize];
        let mut parts: Vec<&str> = from.split('/').collect();
        parts.pop();
        for part in module.split('/') {
            match part {
                "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        let path = match module {
            "gateway" => "sites/gateway.route".to_owned(),
            _ => format!("{}.route", parts.join("/")),
        };
        let at = self.0.iter().position(|(p, _)| *p == path).ok_or(format!("{path} does not exist"))?;
        let file = FileId(u32::try_from(at).unwrap());
        Ok(Arc::new(dsl::syntax::parse(file, &self.0[at].1)))
    }

    fn data(&self, declarer: FileId, path: &str) -> Result<Data, String> {
        let (from, _) = &self.0[declarer.0 as usize];
        let path = from.rsplit_once('/').map_or_else(|| path.to_owned(), |(dir, _)| format!("{dir}/{path}"));
        let at = self.0.iter().position(|(p, _)| *p == path).ok_or(format!("{path} does not exist"))?;
        Ok(Data { file: FileId(u32::try_from(at).unwrap()), text: self.0[at].1.as_str().into() })
    }
}

impl Sources for Files {
    fn source(&self, file: FileId) -> Option<(&str, &str)> {
        match self.0.get(file.0 as usize) {
            Some((path, text)) => Some((path, text)),
            None => dsl::stdlib::source(file),
        }
    }
}

/// Compiles one file alone.
pub fn compile(text: &str) -> Compiled {
    Files::one("sites/a.route", text).compile(0)
}

/// The codes of the findings of one file, in source order.
pub fn codes(text: &str) -> Vec<&'static str> {
    compile(text).diagnostics.iter().map(|d| d.code).collect()
}

/// The codes of what is worse than a hint.
pub fn worse(text: &str) -> Vec<&'static str> {
    compile(text).diagnostics.iter().filter(|d| d.severity > Severity::Info).map(|d| d.code).collect()
}

/// One file alone, which must be without errors.
pub fn sound(text: &str) -> Compiled {
    let files = Files::one("sites/a.route", text);
    let compiled = files.compile(0);
    let errors: Vec<Diagnostic> =
        compiled.diagnostics.iter().filter(|d| d.severity == Severity::Error).cloned().collect();
    assert!(errors.is_empty(), "{}", files.render(&errors));
    compiled
}

/// What answers a request, in a few words: `web`, `web at /x host b`, `redirect 302 /x`, `respond 200 ok`,
/// `deny 403`, `404`, `files dir`. Steps run as the data plane runs them, headers last: `web [x-a: 1]`.
/// The request is written as `GET https://a.example.com/x` with headers as `name: value` behind it.
pub fn ask(compiled: &Compiled, request: &str, headers: &[&str]) -> String {
    let (method, url) = request.split_once(' ').expect("METHOD URL");
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q.to_owned())));
    let program = compiled
        .programs
        .iter()
        .filter(|p| p.site().hosts.iter().any(|(h, _)| h.matches(host)))
        .max_by_key(|p| p.site().hosts.iter().any(|(h, _)| h.literal().is_some_and(|l| l == host)))
        .expect("a site serves the host");
    let path = match canonical::path_for(path.as_bytes(), &program.site().settings) {
        Ok(path) => path.into_owned(),
        Err(why) => return format!("400 {why}"),
    };
    let plain = Plain {
        method: method.to_owned(),
        https: scheme == "https",
        host: host.to_owned(),
        path,
        query,
        headers: headers
            .iter()
            .map(|h| h.split_once(": ").expect("name: value"))
            .map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()))
            .collect(),
        ..Plain::default()
    };
    let decision = program.decide(&plain);
    assert_eq!(decision, interpret(program.site(), &plain), "program and interpreter agree about {request}");
    let Decision::Plan(plan) = decision else { return "400 conflict".to_owned() };
    let plan = &program.site().plans[plan.0 as usize];
    let mut edits: Vec<(String, String)> = Vec::new();
    for step in &plan.steps {
        match step {
            Step::Require { cond, otherwise, .. } => {
                if !eval::cond(cond, &plain).expect("no field has two values") {
                    return answer(program.site(), otherwise, &plain);
                }
            }
            Step::Header(edit) => {
                let HeaderEdit { op, name, value, when, .. } = &**edit;
                if !eval::cond(when, &plain).expect("no field has two values") {
                    continue;
                }
                edits.retain(|(n, _)| n.trim_start_matches('-') != &**name || *op == HeaderOp::Add);
                match op {
                    HeaderOp::Remove => edits.push((format!("-{name}"), String::new())),
                    HeaderOp::Set | HeaderOp::Add => match text(value, &plain) {
                        Ok(value) => edits.push((name.to_string(), value)),
                        Err(answered) => return answer(program.site(), &answered, &plain),
                    },
                }
            }
            Step::Limit(_) | Step::Session(_) => {}
        }
    }
    let mut out = answer(program.site(), &plan.answer, &plain);
    for (name, value) in edits {
        out.push_str(&if name.starts_with('-') { format!(" [{name}]") } else { format!(" [{name}: {value}]") });
    }
    out
}

fn text(value: &Value, plain: &Plain) -> Result<String, Answer> {
    let mut out = String::new();
    match eval::render(value, plain, &mut out) {
        Ok(()) => Ok(out),
        Err(Unrenderable::Answer(answer)) => Err(answer.clone()),
        Err(Unrenderable::Missing(field)) => panic!("{field:?} is missing though the checker let it pass"),
        Err(Unrenderable::BadRequest(_) | Unrenderable::Conflict(_)) => Err(Answer::Deny { status: 400 }),
    }
}

fn answer(site: &Site, answer: &Answer, plain: &Plain) -> String {
    let shown = |value: &Value| text(value, plain).unwrap_or_else(|a| format!("{a:?}"));
    match answer {
        Answer::Redirect { status, to, .. } => format!("redirect {status} {}", shown(to)),
        Answer::Respond { status, body, .. } => format!("respond {status} {}", shown(body)).trim_end().to_owned(),
        Answer::RespondFile { status, path, .. } => format!("respond {status} file {path}"),
        Answer::Deny { status } => format!("deny {status}"),
        Answer::Relay { .. } | Answer::Visit { .. } => dsl::tree::words::answer(answer, site),
        Answer::NotFound => "404".to_owned(),
        Answer::Files { dir, at, .. } => {
            format!("files {dir}{}", at.as_ref().map_or(String::new(), |at| format!(" at {}", shown(at))))
        }
        Answer::Proxy { to, at, host } => {
            let pool = |p: &PoolIdx| site.pools[p.0 as usize].name.to_string();
            let mut out = match to {
                Destination::Pool(p) => pool(p),
                Destination::Table(by) => by.lookup.to_string(),
                Destination::Split { shares, .. } => {
                    shares.iter().map(|(n, p)| format!("{n}:{}", pool(p))).collect::<Vec<_>>().join("+")
                }
            };
            if let Some(at) = at {
                out.push_str(&format!(" at {}", shown(at)));
            }
            if let Some(host) = host {
                out.push_str(&format!(" host {}", shown(host)));
            }
            out
        }
    }
}
