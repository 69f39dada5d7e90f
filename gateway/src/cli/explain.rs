//! `sluice explain`: where a request would go, and why.

mod connection;

use super::answer_text;
use super::offline::{self, Loaded};
use super::{Failed, print};
use crate::console::{Style, colours};
use crate::http::judge;
use crate::sites::item::Item;
use crate::sites::load::Stand;
use clap::Args;
use dsl::syntax::ast::{HeaderOp, Side};
use dsl::syntax::span::Loc;
use dsl::tree::eval::{self, Unrenderable};
use dsl::tree::ir::{Answer, Cond, Destination, HostPattern, Plan, Step, Tls, Value};
use dsl::tree::request::Plain;
use dsl::tree::{Decision, HostIndex, Program, canonical};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Show where a request would go, and why
///
/// Asks the same compiled program as the gateway: which site its host chooses, how its path is
/// spelt, which routes were candidates and what refused each, which policies it passes, and where
/// it ends up, with the lines that say so. Nothing is sent.
///
/// The files are taken as they are: where a running gateway still serves an earlier version of a
/// file that is broken now, this says that the file does not load.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  it could be told, also where the answer is a refusal
  2  it could not run: a wrong argument, a directory that cannot be read

Examples:
  sluice explain 'GET https://shop.example.com/cart?id=7'
  sluice explain 'POST https://shop.example.com/api' -H 'content-type: text/plain' -H 'cookie: sid=1'
  sluice explain https://shop.example.com/admin --client 10.0.0.7
  sluice explain 'tcp :5432' --client 10.0.0.7
  sluice explain 'tls vault.example.com' --alpn h2")]
pub struct Explain {
    /// A method and a URL (the method may be left out), or `tcp :PORT`, `udp :PORT`, `tls HOST`
    #[arg(value_name = "REQUEST")]
    request: String,
    /// A header of the request; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The client's address, and its port where that matters
    #[arg(long, value_name = "IP[:PORT]", default_value = "203.0.113.1", value_parser = client)]
    client: SocketAddr,
    /// The name in the hello, for `tcp` that ends TLS
    #[arg(long, value_name = "HOST")]
    sni: Option<String>,
    /// A protocol that the hello offers; may be given several times
    #[arg(long, value_name = "PROTOCOL")]
    alpn: Vec<String>,
    /// The directory of route files
    #[arg(long, value_name = "DIR", default_value = "sites")]
    sites: PathBuf,
}

impl Explain {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let connection = connection::Asked::parse(&self.request, self.client, self.sni.as_deref(), &self.alpn)?;
        let request = match connection {
            Some(_) => None,
            None => Some(Asked::parse(&self.request, &self.headers, self.client)?),
        };
        let loaded = offline::load(&self.sites, None)?;
        let mut story =
            Story { out: String::new(), style: Style { colours: colours(&std::io::stdout()) }, loaded: &loaded };
        connection.iter().for_each(|asked| story.connection(asked));
        request.iter().for_each(|asked| story.tell(asked));
        print(&story.out);
        for (path, why, _) in loaded.outcome.report.refused() {
            let code = why.code;
            let _ = writeln!(std::io::stderr(), "note: {path} does not load ({} {code} {})", why.place, why.message);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A request as it was typed.
#[derive(Debug)]
struct Asked {
    method: String,
    https: bool,
    /// Of the URL.
    authority: String,
    /// What the `Host` header says, where that was given.
    host_header: Option<String>,
    path: String,
    query: Option<String>,
    headers: Vec<(String, Vec<u8>)>,
    client: SocketAddr,
}

/// An address, with or without a port.
fn client(text: &str) -> Result<SocketAddr, String> {
    let ip = |text: &str| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip.to_canonical(), CLIENT_PORT));
    match text.parse::<SocketAddr>() {
        Ok(address) => Ok(SocketAddr::new(address.ip().to_canonical(), address.port())),
        Err(_) => ip(text).map_err(|_| "an address is written as 10.0.0.7 or 10.0.0.7:50000".into()),
    }
}

impl Asked {
    fn parse(request: &str, headers: &[String], client: SocketAddr) -> Result<Self, Failed> {
        let bad = |why: &str| {
            Failed::new(format!(
                "`{request}` is no request: {why}; write it as 'GET https://host/path', 'tcp :PORT', 'udp :PORT' or 'tls HOST'"
            ))
        };
        let (method, url) = match request.trim().split_once(char::is_whitespace) {
            Some((method, url)) => (method, url.trim()),
            None => ("GET", request.trim()),
        };
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if method.is_empty() || !method.chars().all(token) {
            return Err(bad("the method is no method"));
        }
        let (https, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(bad("the URL starts with neither https:// nor http://")),
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let mut asked = Self {
            method: method.to_owned(),
            https,
            authority: authority.to_owned(),
            host_header: None,
            path: if path.is_empty() { "/".into() } else { path.to_owned() },
            query,
            headers: Vec::new(),
            client,
        };
        for header in headers {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| Failed::new(format!("`{header}` is no header; write it as 'name: value'")))?;
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            if name.is_empty() || !name.chars().all(token) {
                return Err(Failed::new(format!("`{header}` is no header; write it as 'name: value'")));
            }
            if name == "host" {
                asked.host_header = Some(value.to_owned());
            } else {
                asked.headers.push((name, value.as_bytes().to_vec()));
            }
        }
        Ok(asked)
    }
}

/// A client's port where none is given.
const CLIENT_PORT: u16 = 50_000;

struct Story<'a> {
    out: String,
    style: Style,
    loaded: &'a Loaded,
}

impl Story<'_> {
    /// Tells it all.
    fn tell(&mut self, asked: &Asked) {
        let query = asked.query.as_ref().map(|q| format!("?{q}")).unwrap_or_default();
        let scheme = if asked.https { "https" } else { "http" };
        let line = format!("{} {scheme}://{}{}{query}", asked.method, asked.authority, asked.path);
        let _ = writeln!(self.out, "{}\n", self.style.bold(&line));
        let raw = asked.host_header.as_ref().unwrap_or(&asked.authority);
        let host = match canonical::host(raw.as_bytes()) {
            Ok(host) => host.into_owned(),
            Err(why) => return self.refused("host", 400, &why.to_string()),
        };
        let hosts = self.loaded.hosts();
        let Some(site) = self.site(&host, &hosts) else { return };
        let settings = &site.site().settings;
        if asked.https {
            let sni = canonical::host(asked.authority.as_bytes()).map(std::borrow::Cow::into_owned).unwrap_or_default();
            if settings.tls == Tls::Off {
                return self.refused("tls", 421, "this site says `tls off`: it is served on the clear ports only");
            }
            if sni != host && tls_of(&hosts, &self.loaded.outcome.default, &sni) != Some(settings.tls) {
                let why = format!("the connection was made for `{sni}`, whose TLS settings are others");
                return self.refused("tls", 421, &why);
            }
        }
        let path = match canonical::path_for(asked.path.as_bytes(), settings) {
            Ok(path) => path.into_owned(),
            Err(why) => return self.refused("path", 400, &why.to_string()),
        };
        let from = if path == asked.path { String::new() } else { format!("  (spelt {} by the client)", asked.path) };
        self.say("path", &format!("{path}{from}"), None);
        if !asked.https && settings.tls != Tls::Off && !settings.http_allowed {
            let loc = site.site().loc;
            self.say("answer", "308 to the same address with https: this site does not say `http allowed`", Some(loc));
            return;
        }
        let request = Plain {
            method: asked.method.clone(),
            https: asked.https,
            host,
            path,
            query: asked.query.clone(),
            headers: asked.headers.clone(),
            client: (asked.client.ip(), asked.client.port()),
            ..Plain::default()
        };
        self.decide(&site, &request)
    }

    fn site(&mut self, host: &str, hosts: &HostIndex<Stand<Program, Item>>) -> Option<Arc<Program>> {
        match hosts.get(host) {
            Some(Stand::Site(site)) => {
                let mut matching: Vec<(HostPattern, Loc)> = Vec::new();
                for (_, other) in self.loaded.loader.sites() {
                    matching.extend(other.site().hosts.iter().filter(|(pattern, _)| pattern.matches(host)).cloned());
                }
                let own = site.site().hosts.iter().find(|(pattern, _)| pattern.matches(host));
                let (pattern, loc) = own
                    .map_or_else(|| (host.to_owned(), site.site().loc), |(pattern, loc)| (pattern.to_string(), *loc));
                let why = if pattern == host { String::new() } else { format!("  (matches {pattern})") };
                self.say("host", &format!("{host}{why}"), Some(loc));
                for (other, at) in matching.iter().filter(|(_, at)| *at != loc) {
                    self.say("", &format!("more specific than {other}"), Some(*at));
                }
                Some(Arc::clone(site))
            }
            Some(Stand::Passthrough(item)) => {
                let text = format!("{host}: `{}` hands its TLS connections on; nothing is decoded here", item.name());
                self.say("host", &text, Some(item.loc()));
                self.say("next", &format!("sluice explain 'tls {host}'"), None);
                None
            }
            Some(Stand::Unavailable) => {
                let files = self.loaded.loader.unavailable();
                let file = files.iter().find(|(pattern, _)| pattern.matches(host)).and_then(|(_, files)| files.first());
                let file = file.map(|file| self.loaded.loader.places().show(file)).unwrap_or_default();
                self.refused("host", 503, &format!("{host} is claimed by {file}, which does not load"));
                None
            }
            None => match self.loaded.outcome.default.clone().flatten() {
                Some(site) => {
                    self.say("host", &format!("{host}: no site claims it, so the default site"), Some(site.site().loc));
                    Some(site)
                }
                None => {
                    self.refused("host", 404, &format!("no site claims {host}, and none says `default`"));
                    None
                }
            },
        }
    }

    fn decide(&mut self, site: &Program, request: &Plain) {
        let plan = match site.decide(request) {
            Decision::Plan(plan) => &site.site().plans[plan.0 as usize],
            Decision::Conflict(field) => {
                let why = format!("`{field}`, which a condition names, arrived several times with different values");
                return self.refused("routes", 400, &why);
            }
        };
        let mut label = "routes";
        for candidate in site.candidates(request) {
            let indent = "  ".repeat(candidate.depth);
            let when = candidate.condition.map(|c| format!(" when {c}")).unwrap_or_default();
            let what = match (&candidate.refused, candidate.block) {
                (Some(refusal), _) => format!("no: {} does not hold", refusal.part),
                (None, true) => "enters this block".into(),
                (None, false) => "takes it".into(),
            };
            let line = format!("{indent}{}{when}  {} {what}", candidate.pattern, self.style.dim("·"));
            self.say(label, &line, Some(candidate.loc));
            label = "";
        }
        if matches!(plan.answer, Answer::NotFound) {
            self.say(label, "nothing more specific holds here", Some(plan.loc));
        }
        self.plan(site, plan, request)
    }

    fn plan(&mut self, site: &Program, plan: &Plan, request: &Plain) {
        let mut label = "policies";
        for (name, loc) in &plan.policies {
            self.say(label, &format!("use {name}"), Some(*loc));
            label = "";
        }
        for step in &plan.steps {
            let line = match step {
                Step::Require { cond, otherwise, loc } => match eval::cond(cond, request) {
                    Ok(true) => (format!("require {cond}  {} holds", self.style.dim("·")), *loc),
                    Ok(false) => {
                        self.say(label, &format!("require {cond}  {} does not hold", self.style.dim("·")), Some(*loc));
                        return self.answer(site, plan, otherwise, *loc, request);
                    }
                    Err(eval::Conflict(field)) => return self.conflict(&field.to_string()),
                },
                Step::Header { op, side, name, value, when, loc } => {
                    match self.header(*op, *side, name, value, when, request) {
                        Ok(Some(line)) => (line, *loc),
                        Ok(None) => continue,
                        Err(Unrenderable::Answer(answer)) => return self.answer(site, plan, answer, *loc, request),
                        Err(other) => return self.unrenderable(&other),
                    }
                }
            };
            self.say(label, &line.0, Some(line.1));
            label = "";
        }
        self.answer(site, plan, &plan.answer, plan.loc, request)
    }

    fn header<'v>(
        &self,
        op: HeaderOp,
        side: Side,
        name: &str,
        value: &'v Value,
        when: &Cond,
        request: &Plain,
    ) -> Result<Option<String>, Unrenderable<'v>> {
        if !eval::cond(when, request).map_err(|eval::Conflict(field)| Unrenderable::Conflict(field))? {
            return Ok(None);
        }
        let op = match op {
            HeaderOp::Set => "set",
            HeaderOp::Add => "add",
            HeaderOp::Remove => "remove",
        };
        let side = match side {
            Side::Request => "request",
            Side::Response => "response",
        };
        let mut text = String::new();
        eval::render(value, request, &mut text)?;
        let value = if op == "remove" { String::new() } else { format!(" = \"{text}\"") };
        Ok(Some(format!("{op} {side} header {name}{value}")))
    }

    fn answer(&mut self, site: &Program, plan: &Plan, answer: &Answer, loc: Loc, request: &Plain) {
        let paths = site.site().settings.paths;
        let mut text = String::new();
        let rendered = match answer {
            Answer::Redirect { status, to, keep_query } => eval::render_url(to, request, paths, &mut text).map(|()| {
                if *keep_query && !text.contains('?') {
                    text.extend(request.query.iter().flat_map(|q| ["?", q]));
                }
                format!("redirect {status} {text}")
            }),
            Answer::Respond { status, body, content_type } => eval::render(body, request, &mut text)
                .map(|()| format!("respond {status} {:?} as {content_type}", answer_text::short(&text))),
            Answer::Files { dir, index, fallback, at } => {
                let looked_up = match at {
                    Some(at) => eval::render_path(at, request, paths, &mut text),
                    None => {
                        text.clone_from(&request.path);
                        Ok(())
                    }
                };
                looked_up.map(|()| {
                    let fallback = fallback.as_ref().map(|f| format!(", else {f}")).unwrap_or_default();
                    format!("files \"{dir}\": {text}, index {index}{fallback}")
                })
            }
            Answer::Proxy { to, at, host } => self.proxy(site, to, at.as_ref(), host.as_ref(), request),
            Answer::RespondFile { .. } | Answer::Deny { .. } | Answer::NotFound => {
                Ok(answer_text::answer(answer, site.site()))
            }
        };
        match rendered {
            Ok(line) => self.say("answer", &line, Some(loc)),
            Err(Unrenderable::Answer(instead)) => return self.answer(site, plan, instead, loc, request),
            Err(other) => return self.unrenderable(&other),
        }
        for catch in &plan.catches {
            let line = format!("on {:?}: {}", catch.statuses, answer_text::answer(&catch.answer, site.site()));
            self.say("catch", &line, Some(catch.loc));
        }
    }

    fn proxy<'v>(
        &self,
        site: &'v Program,
        to: &'v Destination,
        at: Option<&'v Value>,
        host: Option<&'v Value>,
        request: &Plain,
    ) -> Result<String, Unrenderable<'v>> {
        let (pool, why) = match to {
            Destination::Pool(pool) => (Some(*pool), String::new()),
            Destination::Split { shares, by, salt } => {
                let drawn = format!("  ({})", answer_text::destination(to, site.site()));
                match by {
                    Some(key) => {
                        let mut text = String::new();
                        eval::render(key, request, &mut text)?;
                        let point = judge::sticky(*salt, text.as_bytes());
                        (Some(judge::share(shares, point)), drawn)
                    }
                    None => (None, drawn),
                }
            }
        };
        let mut line = match pool {
            Some(pool) => {
                let pool = &site.site().pools[pool.0 as usize];
                format!("pool {}: {}{why}", pool.name, answer_text::endpoints(pool))
            }
            None => format!("one of {}, drawn anew for each request", why.trim().trim_matches(['(', ')'])),
        };
        let mut target = String::new();
        match at {
            Some(at) => eval::render_path(at, request, site.site().settings.paths, &mut target)?,
            None => target.clone_from(&request.path),
        }
        if !target.contains('?') {
            target.extend(request.query.iter().flat_map(|q| ["?", q]));
        }
        let mut sent = request.host.clone();
        if let Some(host) = host {
            sent.clear();
            eval::render(host, request, &mut sent)?;
        }
        let _ = write!(line, "\n{:11}receives {} {target} with host {sent}", "", request.method);
        Ok(line)
    }

    fn conflict(&mut self, field: &str) {
        let why = format!("`{field}` arrived several times with different values");
        self.refused("answer", 400, &why)
    }

    fn unrenderable(&mut self, why: &Unrenderable<'_>) {
        match why {
            Unrenderable::Conflict(field) => self.conflict(&field.to_string()),
            Unrenderable::BadRequest(bad) => self.refused("answer", 400, bad.reason()),
            Unrenderable::Missing(field) => self.refused("answer", 400, &format!("`{field}` is missing")),
            Unrenderable::Answer(_) => self.refused("answer", 400, "a value is missing"),
        }
    }

    fn refused(&mut self, label: &str, status: u16, why: &str) {
        let line = format!("{} {why}", self.style.red(&status.to_string()));
        self.say(label, &line, None);
    }

    fn say(&mut self, label: &str, text: &str, loc: Option<Loc>) {
        let place = loc.map(|loc| self.loaded.outcome.report.texts.line(loc));
        let place = place.map(|p| format!("  {}", self.style.dim(&format!("[{p}]")))).unwrap_or_default();
        let (first, rest) = text.split_once('\n').map_or((text, None), |(a, b)| (a, Some(b)));
        let _ = writeln!(self.out, "{label:<11}{first}{place}");
        if let Some(rest) = rest {
            let _ = writeln!(self.out, "{rest}");
        }
    }
}

/// The TLS setting of whoever answers for a host.
fn tls_of(hosts: &HostIndex<Stand<Program, Item>>, default: &Option<Option<Arc<Program>>>, host: &str) -> Option<Tls> {
    match hosts.get(host) {
        Some(Stand::Site(site)) => Some(site.site().settings.tls),
        Some(Stand::Passthrough(_) | Stand::Unavailable) => None,
        None => default.as_ref().and_then(Option::as_ref).map(|site| site.site().settings.tls),
    }
}
