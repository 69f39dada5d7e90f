//! `sluice explain`: where a request would go, and why.

mod connection;
pub(super) mod reaches;
mod upstream;

use super::offline::{self, Loaded};
use super::{Failed, print, story};
use crate::console::{Style, colours};
use crate::countries::Countries;
use crate::sites::item::Item;
use crate::sites::load::Stand;
use clap::Args;
use dsl::syntax::span::Loc;
use dsl::tree::ir::{CallIdx, CallKind, CertPart, Destination, HostPattern, Paths, PoolIdx, SiteSettings, Tls};
use dsl::tree::judge::{Admission, Rendered, admit};
use dsl::tree::request::Plain;
use dsl::tree::tell::{Line, Supposed, Told, claims, tell, tell_in};
use dsl::tree::{HostIndex, Program, canonical};
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
  1  with --who-reaches: some file does not load, so ways may be missing
  2  it could not run: a wrong argument, a directory that cannot be read

Examples:
  sluice explain 'GET https://shop.example.com/cart?id=7'
  sluice explain 'POST https://shop.example.com/api' -H 'content-type: text/plain' -H 'cookie: sid=1'
  sluice explain 'POST https://shop.example.com/api' -H 'content-type: application/json' -d '{\"id\": 7}'
  sluice explain https://shop.example.com/admin --client 10.0.0.7
  sluice explain 'tcp :5432' --client 10.0.0.7
  sluice explain 'tls vault.example.com' --alpn h2
  sluice explain --who-reaches admin sites            every way to a pool, and what it passes")]
pub struct Explain {
    /// A method and a URL (the method may be left out), or `tcp :PORT`, `udp :PORT`, `tls HOST`;
    /// with --who-reaches the directory of route files
    #[arg(value_name = "REQUEST", required_unless_present = "who_reaches")]
    request: Option<String>,
    /// Print every way to a pool instead: by its name, or by the address of an endpoint
    #[arg(long, value_name = "POOL", conflicts_with_all = ["headers", "data", "sni", "alpn", "cert"])]
    who_reaches: Option<String>,
    /// How the ways to a pool are printed
    #[arg(long, value_enum, default_value_t = reaches::Format::Text, requires = "who_reaches")]
    format: reaches::Format,
    /// A header of the request; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The body of the request, for routes that look into it; with @, the file that it stands in
    #[arg(short = 'd', long = "data", value_name = "TEXT|@FILE")]
    data: Option<String>,
    /// The client's address, and its port where that matters
    #[arg(long, value_name = "IP[:PORT]", default_value = "203.0.113.1", value_parser = client)]
    client: SocketAddr,
    /// The name in the hello, for `tcp` that ends TLS
    #[arg(long, value_name = "HOST")]
    sni: Option<String>,
    /// A protocol that the hello offers; may be given several times
    #[arg(long, value_name = "PROTOCOL")]
    alpn: Vec<String>,
    /// The subject of the certificate that the client proves, as in 'CN=ann,O=Example'
    #[arg(long, value_name = "SUBJECT")]
    cert: Option<String>,
    /// The country of the client, as in DE [default: what the file of countries in gateway.route says]
    #[arg(long, value_name = "CODE", value_parser = country)]
    country: Option<String>,
    /// The directory of route files
    #[arg(long, value_name = "DIR", default_value = "sites")]
    sites: PathBuf,
}

impl Explain {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        if let Some(pool) = &self.who_reaches {
            let sites = self.request.map_or(self.sites, PathBuf::from);
            return reaches::run(pool, &sites, self.format);
        }
        let request = self.request.unwrap_or_default();
        let connection = connection::Asked::parse(&request, self.client, self.sni.as_deref(), &self.alpn)?;
        let request = match connection {
            Some(_) => None,
            None => {
                let asked = Asked::parse(&request, &self.headers, self.client)?;
                let body = self.data.as_deref().map(data).transpose()?;
                // Others may have one.
                let body = body.or_else(|| matches!(asked.method.as_str(), "GET" | "HEAD").then(Vec::new));
                Some(Asked { cert: self.cert.clone(), country: self.country.clone(), body, ..asked })
            }
        };
        let loaded = offline::load(&self.sites, None)?;
        let request =
            request.map(|asked| Asked { country: asked.country.or_else(|| country_of(&loaded, self.client)), ..asked });
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
    /// The subject of the client's certificate.
    cert: Option<String>,
    /// Its body, where that is known.
    body: Option<Vec<u8>>,
    /// The client's country.
    country: Option<String>,
}

/// A body as it was typed, or from a file.
fn data(text: &str) -> Result<Vec<u8>, Failed> {
    match text.strip_prefix('@') {
        Some(path) => std::fs::read(path).map_err(|e| Failed::new(format!("`{path}` cannot be read: {e}"))),
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// `DE`
fn country(text: &str) -> Result<String, String> {
    let is_code = text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
    is_code.then(|| text.to_owned()).ok_or_else(|| "a country is written as two capitals: DE".into())
}

/// Where an address is by the file that `gateway.route` names. What is wrong with it is said.
fn country_of(loaded: &Loaded, client: SocketAddr) -> Option<String> {
    let file = loaded.outcome.gateway.as_ref()?.country.as_ref()?;
    let countries = Countries::default();
    for told in countries.read_from(Some(loaded.loader.places().root.join(&**file))).iter().filter(|told| told.wrong) {
        let _ = writeln!(std::io::stderr(), "note: {}", told.words);
    }
    countries.of(client.ip()).map(str::to_owned)
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
            cert: None,
            body: None,
            country: None,
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

/// Calls of one request whose outcomes are supposed, both ways of each.
const MOST_SUPPOSED: usize = 3;

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
        let sni = canonical::host(asked.authority.as_bytes()).map(std::borrow::Cow::into_owned).unwrap_or_default();
        let named = (sni != host).then(|| settings_of(&hosts, &self.loaded.outcome.default, &sni));
        let admission = admit(settings, asked.https, named);
        if admission == Admission::Misdirected {
            let why = match settings.tls {
                Tls::Off => "this site says `tls off`: it is served on the clear ports only".to_owned(),
                Tls::Auto | Tls::Internal | Tls::OnDemand | Tls::File => {
                    format!("the connection was made for `{sni}`, whose TLS settings are others")
                }
            };
            return self.refused("tls", 421, &why);
        }
        let path = match canonical::path_for(asked.path.as_bytes(), settings) {
            Ok(path) => path.into_owned(),
            Err(why) => return self.refused("path", 400, &why.to_string()),
        };
        let from = if path == asked.path { String::new() } else { format!("  (spelt {} by the client)", asked.path) };
        self.say("path", &format!("{path}{from}"), None);
        if admission == Admission::ToHttps {
            let loc = site.site().loc;
            self.say("answer", "308 to the same address with https: this site does not say `http allowed`", Some(loc));
            return;
        }
        let shows = settings.handshake.client.as_deref().filter(|_| asked.https);
        match (shows, &asked.cert) {
            (None, _) => {}
            (Some(client), Some(subject)) => {
                self.say("tls", &format!("client certificate {subject}"), Some(client.loc))
            }
            (Some(client), None) if client.optional => self.say("tls", "no client certificate", Some(client.loc)),
            (Some(client), None) => {
                let why =
                    "the handshake is refused: this site needs a client certificate; say whose with --cert 'CN=ann'";
                return self.say("tls", why, Some(client.loc));
            }
        }
        let mut request = Plain {
            method: asked.method.clone(),
            https: asked.https,
            host,
            path,
            raw_paths: settings.paths == Paths::Raw,
            query: asked.query.clone(),
            headers: asked.headers.clone(),
            client: (asked.client.ip(), asked.client.port()),
            body: asked.body.clone(),
            country: asked.country.clone(),
            ..Plain::default()
        };
        if let Some(subject) = asked.cert.as_deref().filter(|_| shows.is_some()) {
            request.prove(CertPart::Subject, subject);
        }
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
            Some(Stand::Nobody) | None => match self.loaded.outcome.default.clone().flatten() {
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
        let told = tell(site, request, None);
        self.lines(&told.lines);
        self.end(site, request, &told, &[]);
    }

    fn lines(&mut self, lines: &[Line]) {
        for line in lines {
            self.out.push_str(&story::line(line, self.style, &self.loaded.outcome.report.texts));
        }
    }

    /// What comes behind a story that supposes something of calls: what its pool makes of the request, or the
    /// story as it goes on with each of the outcomes of a call that nobody knows.
    fn end(&mut self, site: &Program, request: &Plain, told: &Told<'_>, supposed: &[(CallIdx, bool)]) {
        if let Rendered::Pending(call) = told.judged.answer {
            if supposed.len() < MOST_SUPPOSED {
                self.both(site, request, call, told, supposed);
            }
            return;
        }
        if let (Some((_, plan)), Rendered::Proxy { pool, to, .. }) = (told.judged.plan, &told.judged.answer) {
            let pools: Vec<PoolIdx> = match to {
                Destination::Split { shares, by: None, salt: _ } => shares.iter().map(|(_, pool)| *pool).collect(),
                Destination::Split { .. } | Destination::Pool(_) | Destination::Table(_) => vec![*pool],
            };
            self.upstream(site.site(), plan, &pools, request);
        }
    }

    /// The story as it goes on when a call says yes, and when it says no.
    fn both(
        &mut self,
        site: &Program,
        request: &Plain,
        call: CallIdx,
        before: &Told<'_>,
        supposed: &[(CallIdx, bool)],
    ) {
        let asked = &site.site().calls[call.0 as usize];
        for yes in [true, false] {
            let claims: Vec<String> = claims(site, call).iter().map(|name| format!("<{name}>")).collect();
            let what = match (yes, claims.as_slice()) {
                (true, []) => "yes".to_owned(),
                (true, claims) => format!("yes, with claims {}", claims.join(", ")),
                (false, _) => "no".to_owned(),
            };
            let what = match (&asked.kind, yes) {
                (CallKind::Body(_), true) => "is there",
                (CallKind::Body(_), false) => "is missing",
                _ => &format!("says {what}"),
            };
            let _ = writeln!(self.out, "\n{}", self.style.bold(&format!("if {} {what}:", asked.shown)));
            let supposed: Vec<_> = supposed.iter().copied().chain([(call, yes)]).collect();
            let told = tell_in(site, &mut request.clone(), None, &mut Supposed(supposed.clone()));
            // What was told already is not told again.
            let same = told.lines.iter().zip(&before.lines).take_while(|(line, known)| line == known).count();
            self.lines(&told.lines[same..]);
            self.end(site, request, &told, &supposed);
        }
        if let CallKind::Ask(ask) = &asked.kind
            && ask.failed.is_none()
        {
            let _ = writeln!(self.out, "\n{}", self.style.bold(&format!("if {} is not answered:", asked.shown)));
            self.refused("answer", 503, "the service that is asked did not say");
        }
    }

    fn refused(&mut self, label: &str, status: u16, why: &str) {
        let line = format!("{} {why}", self.style.red(&status.to_string()));
        self.say(label, &line, None);
    }

    fn say(&mut self, label: &str, text: &str, loc: Option<Loc>) {
        let place = story::place(loc, self.style, &self.loaded.outcome.report.texts);
        let _ = writeln!(self.out, "{label:<11}{text}{place}");
    }
}

/// What whoever answers for a host says of TLS.
fn settings_of<'s>(
    hosts: &'s HostIndex<Stand<Program, Item>>,
    default: &'s Option<Option<Arc<Program>>>,
    host: &str,
) -> Option<&'s SiteSettings> {
    match hosts.get(host) {
        Some(Stand::Site(site)) => Some(&site.site().settings),
        Some(Stand::Passthrough(_) | Stand::Unavailable) => None,
        Some(Stand::Nobody) | None => default.as_ref().and_then(Option::as_ref).map(|site| &site.site().settings),
    }
}
