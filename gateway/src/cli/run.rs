//! `sluice run`: serves a sites directory until it is told to stop.

use super::{FAILED, FOUND, Failed};
use crate::console::{Console, printable};
use crate::countries::Countries;
use crate::edge::Kept;
use crate::l4::Routes;
use crate::observe::log::LogSender;
use crate::observe::metrics::{self, collect::Sources};
use crate::runtime::listeners::Listeners;
use crate::runtime::notice::Notice;
use crate::runtime::sockets::Service;
use crate::runtime::{self, Handle, notice};
use crate::secrets::Secrets;
use crate::sites::certifying::Certifying;
use crate::sites::control::{Control, Followers, tell_errors};
use crate::sites::data_dir::{self, DataDir};
use crate::sites::publish::{Publisher, Serve};
use crate::sites::report::Report;
use crate::sites::store::Store;
use crate::snapshot::Served;
use crate::tls::acme::{AccountFiles, Board, Issuers, Means};
use crate::tls::certificates::{Certificates, tell::host_of};
use crate::tls::{InternalCa, SiteFiles, Tickets};
use crate::upstream::Pools;
use clap::Args;
use dsl::diagnostic::Severity;
use dsl::tree::ir;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::io::{ErrorKind, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long requests may take to finish once the gateway was told to stop.
const DRAIN: Duration = Duration::from_secs(30);
/// Sites and listeners whose addresses are printed at the start.
const SHOWN: usize = 12;

/// Serve a sites directory
///
/// Every `.route` file below SITES is compiled and served, and again whenever it changes: no
/// restart, no signal. A file that does not compile changes nothing: its last good version goes
/// on, over restarts too, and the console says what is wrong, as `sluice lint` would.
///
/// Listeners, trusted proxies and limits are said in SITES/gateway.route; without it, clear HTTP
/// is on port 8080 and HTTPS on port 8443, with certificates of an internal CA whose
/// root the console names.
///
/// Everything that Sluice writes (that CA, last good versions, a lock) is in the data
/// directory.
///
/// Ctrl-C or SIGTERM: nothing new is accepted, what is under way is finished (30 seconds at
/// most), then it ends. A second one ends it at once. SIGHUP opens the connection log's file
/// anew.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  it was told to stop, and did
  1  it ended because something is wrong with it, or was told twice
  2  it could not start: a wrong argument, ports or data directory in use, no sites directory,
     a gateway.route that does not load

Examples:
  sluice run
  sluice run /etc/sluice/sites --data /var/lib/sluice --workers 4")]
pub struct Run {
    /// The directory of route files
    #[arg(default_value = "sites")]
    sites: PathBuf,
    /// Where Sluice keeps what it writes [default: $XDG_STATE_HOME/sluice, or ~/.local/state/sluice]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// Let the system write core dumps, and debuggers attach: secrets and keys are in them
    #[arg(long)]
    core_dumps: bool,
}

impl Run {
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        let begin = Instant::now();
        let Some(data) = self.data.clone().or_else(data_dir::default_path) else {
            return Err(Failed::new("there is no home directory to keep data in; name a directory with --data"));
        };
        if !self.sites.is_dir() {
            let name = self.sites.display();
            return Err(Failed::new(format!(
                "there is no directory `{name}`; name the directory of your route files: sluice run DIR"
            )));
        }
        let data = DataDir::take(&data).map_err(|e| Failed::new(e.to_string()))?;
        let workers = self.workers.map_or_else(cores, usize::from);
        let console = Console::stderr();
        if !self.core_dumps
            && let Err(e) = hide_memory()
        {
            console.warn(format!("secrets may come into core dumps of this process: {e}"));
        }
        let result = serve(&self.sites, &data, workers, &console, begin);
        console.flush();
        result
    }
}

/// Keys and secrets are in memory: no core dump is written, whatever takes them here, and no other process of this
/// user looks into it.
fn hide_memory() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // Where dumps go to a program, the limit does not count.
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn serve(sites: &Path, data: &DataDir, workers: usize, console: &Console, begin: Instant) -> Result<ExitCode, Failed> {
    // Before anything answers: whoever sees it serve may tell it to stop, and be understood.
    let mut signals = Signals::new().map_err(|e| Failed::new(format!("cannot listen for signals: {e}")))?;
    if let Some(trouble) = data.trouble() {
        console.warn(format!(
            "cannot write the data directory {}: {trouble}; serving goes on, but last good versions and certificates will not survive a restart",
            data.path().display()
        ));
    }
    let store = Store::open(data.path(), sites, data.trouble().is_some(), console);
    let routes = Arc::new(Routes::new(workers));
    let kept = Arc::new(Kept::default());
    let (sender, notices) = notice::channel();
    kept.providers.telling(sender.clone());
    kept.logins.telling(sender.clone());
    let secrets = Arc::new(Secrets::of_environment());
    let pools =
        Arc::new(Pools::new(workers).telling(sender.clone()).with_secrets(Arc::clone(&secrets)).keeping(data.path()));
    kept.providers.looking_up(pools.lookup());
    let files = Arc::new(SiteFiles::default());
    let serve = Serve::new(Arc::clone(&pools), Arc::clone(&routes), Arc::clone(&kept), Arc::clone(&files));
    let countries = Arc::new(Countries::default());
    let mut control = Control::new(sites, serve, store, console).with_countries(Arc::clone(&countries));
    let mut outcome = control.load().map_err(|e| Failed::new(format!("cannot read `{}`: {e}", sites.display())))?;
    let report = std::mem::take(&mut outcome.report);
    if control.loader().gateway_refused().is_some() {
        tell_errors(console, &report);
        console
            .error("gateway.route does not load, and no earlier version of it is known: where to listen is not clear");
        return Ok(ExitCode::from(FAILED));
    }
    let gateway = outcome.gateway.clone().unwrap_or_default();
    control.raise_limits();
    let log = LogSender::start(control.log_to(), console).map_err(|e| Failed::new(format!("cannot start: {e}")))?;
    let mut listeners = Listeners::new(workers);
    let changes = listeners
        .start(&control.listening().wanted())
        .map_err(|e| Failed::new(format!("address in use or not to be had: {e}")))?;
    let ca = authority(data, console)?;
    let ports = Ports::of(&listeners);
    let certificates = Certificates::at(data.path());
    certificates.start(console).map_err(|e| Failed::new(format!("cannot start: {e}")))?;
    let board = Board::new();
    let mut certifying = certifying(&certificates, &board, sites, data, &secrets);
    certifying.follow(&outcome, &gateway);
    let publisher = Publisher::start(outcome, gateway, ports.https_public);
    let config = runtime::Config {
        workers,
        published: Arc::clone(publisher.published()),
        listeners: listeners.sets(),
        ca: Arc::clone(&ca),
        tickets: tickets(data, console)?,
        certificates: Arc::clone(&certificates),
        board,
        notices: sender,
        log: log.clone(),
        countries,
    };
    let handle = runtime::start(config).map_err(|e| Failed::new(format!("cannot start: {e}")))?;
    let sources = Sources {
        certificates: Arc::clone(&certificates),
        kept,
        routes,
        pools,
        files,
        workers: handle.gauges(),
        log: log.clone(),
        published: Arc::clone(publisher.published()),
        sets: listeners.sets(),
        missing: listeners.missing(),
    };
    metrics::start(sources).map_err(|e| Failed::new(format!("cannot start: {e}")))?;
    greet(sites, data, &ca, &ports, workers, &control, &report, begin, console);
    for trouble in &changes.failed {
        console.error(format!("{trouble}; it is tried again"));
    }
    let stop = control.stopper();
    let followers = Followers { listeners, log: log.clone(), certifying };
    let reloads = std::thread::Builder::new()
        .name("control".into())
        .spawn(move || control.run(&publisher, followers))
        .map_err(|e| Failed::new(format!("cannot start: {e}")))?;
    relay(notices, console).map_err(|e| Failed::new(format!("cannot start: {e}")))?;
    let code = signals.until_told(handle, &log, console);
    stop();
    let _ = reloads.join();
    certificates.stop();
    log.end();
    Ok(code)
}

/// What tells the certificates which names are wanted, and makes what orders them.
fn certifying(
    certificates: &Arc<Certificates>,
    board: &Arc<Board>,
    sites: &Path,
    data: &DataDir,
    secrets: &Arc<Secrets>,
) -> Certifying {
    let means = Means {
        sites: sites.to_path_buf(),
        secrets: Arc::clone(secrets),
        accounts: Arc::new(AccountFiles::new(data.path().join("certificates/account"))),
        board: Arc::clone(board),
        resolver: Arc::default(),
    };
    let make = move |acme: &Arc<ir::Acme>, resolver: &[std::net::SocketAddr]| {
        Issuers::new(acme, Means { resolver: resolver.into(), ..means.clone() })
    };
    Certifying::new(Arc::clone(certificates), Box::new(make))
}

/// The internal CA; one that lasts as long as the process where nothing can be written.
fn authority(data: &DataDir, console: &Console) -> Result<Arc<InternalCa>, Failed> {
    let dir = data.path().join("ca");
    match InternalCa::load_or_create(&dir) {
        Ok(ca) => Ok(Arc::new(ca)),
        // What is there and makes no sense is not replaced: somebody trusts that root.
        Err(e) if matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::NotFound) => {
            Err(Failed::new(format!("cannot make certificates: {e}")))
        }
        Err(e) => {
            if data.trouble().is_none() {
                console.warn(format!("{e}; serving goes on, with certificates of a CA that ends with this process"));
            }
            let ca = InternalCa::ephemeral().map_err(|e| Failed::new(format!("cannot make certificates: {e}")))?;
            Ok(Arc::new(ca))
        }
    }
}

/// Session tickets. Where nothing can be written there may be something to read; where another gateway
/// may have the directory, neither is done.
fn tickets(data: &DataDir, console: &Console) -> Result<Tickets, Failed> {
    let dir = data.locked().then(|| data.path());
    let console = console.clone();
    Tickets::start(dir, move |trouble| console.warn(trouble)).map_err(|e| Failed::new(format!("cannot start: {e}")))
}

/// What the data plane tells goes to the console, by a thread of its own.
fn relay(notices: Receiver<Notice>, console: &Console) -> std::io::Result<()> {
    let console = console.clone();
    std::thread::Builder::new().name("notices".into()).spawn(move || {
        for notice in notices {
            match notice {
                Notice::EndpointRecovered { .. }
                | Notice::EndpointUp { .. }
                | Notice::EndpointReturned { .. }
                | Notice::NameFound { .. }
                | Notice::ProviderRecovered { .. }
                | Notice::WorkerTurnsAgain { .. } => {
                    console.note(notice.to_string());
                }
                Notice::EndpointTrouble { .. }
                | Notice::EndpointDown { .. }
                | Notice::EndpointEjected { .. }
                | Notice::NameTrouble { .. }
                | Notice::NoChecks { .. }
                | Notice::UpstreamTls { .. }
                | Notice::StickyKey { .. }
                | Notice::CallFailed { .. }
                | Notice::ProviderTrouble { .. }
                | Notice::AcceptFailing { .. }
                | Notice::ConnectionsExhausted { .. }
                | Notice::ClientFull { .. }
                | Notice::WorkerStuck { .. }
                | Notice::NoCertificate { .. }
                | Notice::FileTrouble { .. } => console.warn(notice.to_string()),
                Notice::WorkerDied { .. } => console.error(notice.to_string()),
            }
        }
    })?;
    Ok(())
}

// === the start

struct Ports {
    /// What `tcp`, `udp` and QUIC are listened for: the word, and where.
    others: Vec<(&'static str, String)>,
    http: Vec<std::net::SocketAddr>,
    https: Vec<std::net::SocketAddr>,
    /// The port that clients see, for HTTPS.
    https_public: Option<u16>,
}

impl Ports {
    fn of(listeners: &Listeners) -> Self {
        let of = |service| listeners.addresses().filter(|(w, _)| w.service == service).map(|(_, at)| at).collect();
        let mut others: Vec<(&str, String)> = Vec::new();
        for (wanted, at) in listeners.addresses() {
            match wanted.service {
                Service::Http | Service::Https => {}
                Service::Item(_) | Service::Quic | Service::Metrics => {
                    others.push((wanted.service.word(), at.to_string()));
                }
            }
        }
        Self { others, http: of(Service::Http), https: of(Service::Https), https_public: listeners.https_port() }
    }
}

/// Addresses by the word that asks for them, in the order of the words.
fn by_word(all: &[(&'static str, String)]) -> Vec<(&'static str, Vec<String>)> {
    let mut words: std::collections::BTreeMap<&str, Vec<String>> = std::collections::BTreeMap::new();
    for (word, at) in all {
        words.entry(word).or_default().push(at.clone());
    }
    words.into_iter().collect()
}

#[allow(clippy::too_many_arguments)] // everything that a start has to tell
fn greet(
    sites: &Path,
    data: &DataDir,
    ca: &InternalCa,
    ports: &Ports,
    workers: usize,
    control: &Control,
    report: &Report,
    begin: Instant,
    console: &Console,
) {
    let style = console.style();
    let served = control.loader().sites();
    let routes: usize = served.iter().map(|(_, site)| routes_of(site.program.site())).sum();
    let carried: usize = control.loader().items().iter().map(|(_, item)| item.rules.entries.len()).sum();
    let took = begin.elapsed();
    for warning in &report.warnings {
        console.warn(warning);
    }
    tell_errors(console, report);
    let mut out = format!(
        "{} {} serves {}: {}, {}, {} ({} ms, {})\n",
        style.bold("sluice"),
        env!("CARGO_PKG_VERSION"),
        sites.display(),
        count(control.loader().len(), "file"),
        count(served.len(), "site"),
        count(routes + carried, "route"),
        took.as_millis(),
        count(workers, "worker"),
    );
    for (path, why, kept) in report.refused() {
        let kept = if kept { "its last good version serves" } else { "its hosts answer 503" };
        out.push_str(&format!("  {} {}: {kept} ({})\n", style.red("refused"), printable(path), why.place));
    }
    let warnings = report.count(Severity::Warning);
    if warnings > 0 {
        out.push_str(&format!("  {}, see `sluice lint`\n", count(warnings, "warning")));
    }
    for (word, addresses) in [("http", &ports.http), ("https", &ports.https)] {
        if !addresses.is_empty() {
            let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            out.push_str(&format!("  {:<7} {}\n", word, all.join(", ")));
        }
    }
    for (word, addresses) in by_word(&ports.others) {
        let more = addresses.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        out.push_str(&format!("  {word:<7} {}{more}\n", addresses[..addresses.len().min(SHOWN)].join(", ")));
    }
    let passed = &control.listening().passthroughs;
    if !passed.is_empty() {
        let few: Vec<&str> = passed.iter().take(SHOWN).map(String::as_str).collect();
        let more =
            if passed.len() > few.len() { format!(" and {} more", passed.len() - few.len()) } else { String::new() };
        out.push_str(&format!("  passed through: {}{more}\n", few.join(", ")));
    }
    let urls: Vec<String> = served.iter().flat_map(|(_, site)| urls(site, ports)).collect();
    for url in urls.iter().take(SHOWN) {
        out.push_str(&format!("  {}\n", style.green(url)));
    }
    if urls.len() > SHOWN {
        out.push_str(&format!("  and {} more; `sluice routes` lists them\n", urls.len() - SHOWN));
    }
    if let Some(acme) = control.listening().gateway.acme.as_ref().filter(|_| !ports.https.is_empty()) {
        let by: Vec<&str> = acme.authorities.iter().map(|a| host_of(&a.directory)).collect();
        out.push_str(&format!(
            "  certificates of public names come from {}; `sluice certs` lists them\n",
            by.join(", or ")
        ));
    } else if let Some(root) = Some(ca.root_path()).filter(|p| p.exists() && !ports.https.is_empty()) {
        let root = root.display();
        let try_it = urls.iter().find(|u| u.starts_with("https:")).map_or("https://…", String::as_str);
        out.push_str(&format!(
            "  certificates come from the internal CA, no public one is asked: curl --cacert {root} {try_it}\n"
        ));
    }
    out.push_str(&format!("  data    {}\n", data.path().display()));
    out.push_str(&format!("  drop a .route file into {} and it serves; Ctrl-C ends", sites.display()));
    console.block(&out);
}

pub(crate) fn count(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

/// Entries that lead to an answer.
fn routes_of(site: &ir::Site) -> usize {
    let answers = |e: &&ir::Entry| matches!(e.target, ir::Target::Plan(_));
    site.scopes.iter().map(|scope| scope.entries.iter().filter(answers).count()).sum()
}

/// Addresses under which a site can be asked, for hosts without captures.
fn urls(site: &Served, ports: &Ports) -> Vec<String> {
    let site = site.program.site();
    let clear = (site.settings.tls == ir::Tls::Off || site.settings.http_allowed)
        .then(|| ports.http.first().map(|a| ("http", a.port(), 80)))
        .flatten();
    let secure = (site.settings.tls != ir::Tls::Off).then_some(ports.https_public).flatten().map(|p| ("https", p, 443));
    let hosts = site.hosts.iter().filter_map(|(pattern, _)| pattern.literal());
    hosts
        .flat_map(|host| {
            clear.into_iter().chain(secure).map(move |(scheme, port, usual)| {
                let port = if port == usual { String::new() } else { format!(":{port}") };
                format!("{scheme}://{host}{port}/")
            })
        })
        .collect()
}

// === the end

/// Waits until every worker has ended.
async fn ended(handle: &Handle) {
    let mut look = tokio::time::interval(Duration::from_millis(20));
    while !handle.is_finished() {
        look.tick().await;
    }
}

/// The signals that end it, and what they are waited for with.
struct Signals {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    /// Whether a terminal is there that may hang up: then that is what SIGHUP means.
    terminal: bool,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let hang_up = signal(SignalKind::hangup())?;
        drop(entered);
        Ok(Self { runtime, interrupt, terminate, hang_up, terminal: std::io::stderr().is_terminal() })
    }

    /// Waits for a signal and drains, or for the workers to end by themselves.
    fn until_told(&mut self, handle: Handle, log: &LogSender, console: &Console) -> ExitCode {
        let Self { runtime, interrupt, terminate, hang_up, terminal } = self;
        let mut next = async || {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => return,
                    _ = terminate.recv() => return,
                    _ = hang_up.recv() => {
                        if *terminal {
                            return;
                        }
                        log.reopen();
                        console.note("the connection log is opened anew");
                    }
                }
            }
        };
        runtime.block_on(async {
            let told = tokio::select! {
                () = next() => true,
                () = ended(&handle) => false,
            };
            if !told {
                console.error("every worker has ended; so does the gateway");
                return ExitCode::from(FOUND);
            }
            let open = count(usize::try_from(handle.connections()).unwrap_or(usize::MAX), "connection");
            let patience = DRAIN.as_secs();
            console.note(format!("stopping: {open} to finish, {patience} s at most; once more to end at once"));
            handle.drain(DRAIN);
            let done = tokio::select! {
                () = ended(&handle) => true,
                () = next() => false,
            };
            if !done {
                console.note("ended at once");
                return ExitCode::from(FOUND);
            }
            handle.join();
            console.note("stopped");
            ExitCode::SUCCESS
        })
    }
}
