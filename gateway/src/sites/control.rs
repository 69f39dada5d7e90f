//! The control plane's loop: notice, load, publish, tell.

use super::certifying::Certifying;
use super::compile::{GATEWAY, Places};
use super::listening::Listening;
use super::load::{Loader, OutcomeOf, Touched};
use super::planned;
use super::publish::{Publisher, Serve};
use super::report::Report;
use super::store::Store;
use super::tree::{Scan, is_rows_name};
use super::watch::{Batch, Watcher};
use crate::console::Console;
use crate::countries::Countries;
use crate::observe::log::{LogSender, To};
use crate::runtime::descriptors;
use crate::runtime::listeners::{Changes, Listeners};
use crate::secrets::Secrets;
use crate::tls::{SiteFiles, Told};
use crate::upstream::Pools;
use dsl::diagnostic::{Severity, render};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Secrets, and files of certificates, are looked at again after so long.
const LOOK_AT_SECRETS: Duration = Duration::from_secs(2);

/// Findings that are printed in full at once; the rest is counted.
const FINDINGS: usize = 20;

/// Loads a sites directory and keeps it loaded.
pub struct Control {
    watcher: Watcher,
    loader: Loader<Serve>,
    console: Console,
    /// Directories that could not be read when they were last looked at, and why.
    unreadable: BTreeMap<PathBuf, String>,
    /// What is to be listened on.
    listening: Listening,
    /// What was said of it and still holds.
    said: Vec<String>,
    secrets: Arc<Secrets>,
    pools: Arc<Pools>,
    files: Arc<SiteFiles>,
    countries: Arc<Countries>,
}

/// What follows a reload beside the snapshot.
#[derive(Debug)]
pub struct Followers {
    /// The sockets.
    pub listeners: Listeners,
    /// The connection log.
    pub log: LogSender,
    /// Certificates by ACME.
    pub certifying: Certifying,
}

impl Control {
    /// Prepares to load `sites`.
    pub fn new(sites: &Path, install: Serve, store: Store, console: &Console) -> Self {
        let places = Places::new(sites);
        let secrets = Arc::clone(install.secrets());
        let pools = Arc::clone(install.pools());
        let files = Arc::clone(install.files());
        Self {
            watcher: Watcher::new(&places.root, console),
            listening: Listening { gateway_file: places.show(Path::new(GATEWAY)), ..Listening::default() },
            loader: Loader::new(places, install, Some(store)).with_secrets(Arc::clone(&secrets)),
            secrets,
            pools,
            files,
            countries: Arc::default(),
            console: console.clone(),
            unreadable: BTreeMap::new(),
            said: Vec::new(),
        }
    }

    /// Keeps these as `gateway.route` says.
    #[must_use]
    pub fn with_countries(self, countries: Arc<Countries>) -> Self {
        Self { countries, ..self }
    }

    /// Loads everything for the first time.
    ///
    /// # Errors
    /// The sites directory cannot be read.
    pub fn load(&mut self) -> io::Result<OutcomeOf<Serve>> {
        let scan = self.watcher.scan(Path::new(""));
        let mut unreadable = scan.unreadable;
        if let Some(at) = unreadable.iter().position(|(dir, _)| dir.as_os_str().is_empty()) {
            return Err(unreadable.swap_remove(at).1);
        }
        let present: Vec<_> = scan.files.into_iter().map(|(path, _)| path).collect();
        self.loader.recall(&present);
        let mut outcome = self.loader.apply(&Touched { present, ..Touched::default() });
        outcome.report.warnings.extend(self.note_unreadable(Path::new(""), unreadable));
        self.listening.update(&outcome);
        self.pools.resolve_by(&self.listening.gateway.resolver);
        let countries = self.find_countries();
        outcome.report.warnings.extend(countries.into_iter().filter(|told| told.wrong).map(|told| told.words));
        outcome.report.warnings.extend(self.new_words());
        Ok(outcome)
    }

    /// What was loaded.
    pub fn loader(&self) -> &Loader<Serve> {
        &self.loader
    }

    /// What ends [`Control::run`] from elsewhere.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        self.watcher.stopper()
    }

    /// What is to be listened on.
    pub fn listening(&self) -> &Listening {
        &self.listening
    }

    /// Reloads what changes, until stopped.
    pub fn run(mut self, publisher: &Publisher, mut followers: Followers) {
        let mut look_at = None;
        let mut secrets_at = Instant::now() + LOOK_AT_SECRETS;
        loop {
            // Kept from batch to batch: one after another must not put it off for ever.
            look_at = followers.listeners.again().map(|after| look_at.unwrap_or_else(|| Instant::now() + after));
            let looks = self.secrets.has_directory() || self.files.any() || self.loader.waits_for_certificates();
            let looks = looks || self.countries.has_file();
            let until = looks.then_some(secrets_at).into_iter().chain(look_at).min();
            let Some(batch) = self.watcher.wait(until) else { return };
            if batch != Batch::default() {
                self.reload(&batch, publisher, &mut followers);
            }
            if secrets_at <= Instant::now() {
                self.look_at_secrets(publisher, &mut followers);
                self.look_at_certificates(publisher, &mut followers);
                secrets_at = Instant::now() + LOOK_AT_SECRETS;
            }
            if look_at.is_some_and(|at| at <= Instant::now()) {
                look_at = None;
                let changes = followers.listeners.look();
                self.tell_listeners(&changes);
            }
            publisher.https_port(followers.listeners.https_port());
        }
    }

    fn reload(&mut self, batch: &Batch, publisher: &Publisher, followers: &mut Followers) {
        let start = Instant::now();
        let (touched, warnings) = self.touched(batch);
        let mut outcome = self.loader.apply(&touched);
        outcome.report.warnings.extend(warnings);
        self.take(outcome, start, publisher, followers);
    }

    /// Reads secrets that changed; files that waited for one are loaded.
    fn look_at_secrets(&mut self, publisher: &Publisher, followers: &mut Followers) {
        let start = Instant::now();
        let looked = self.secrets.look();
        for words in &looked.words {
            self.console.warn(words);
        }
        if !looked.new.is_empty() {
            self.console.note(format!("secrets read: {}", looked.new.join(", ")));
            let outcome = self.loader.secrets_came();
            self.take(outcome, start, publisher, followers);
        }
    }

    /// Reads files of certificates that changed; files that were refused for theirs are loaded.
    fn look_at_certificates(&mut self, publisher: &Publisher, followers: &mut Followers) {
        let start = Instant::now();
        self.say(self.files.look());
        self.say(self.countries.look());
        if let Some(outcome) = self.loader.certificates_came() {
            self.take(outcome, start, publisher, followers);
        }
    }

    fn say(&self, told: Vec<Told>) {
        for told in told {
            if told.wrong {
                self.console.warn(&told.words);
            } else {
                self.console.note(&told.words);
            }
        }
    }

    /// Reads countries from where `gateway.route` says.
    fn find_countries(&self) -> Vec<Told> {
        let file = self.listening.gateway.country.as_ref();
        if file.is_none() && !self.loader.reads_countries() {
            self.countries.forget();
        }
        self.countries.read_from(file.map(|file| self.loader.places().root.join(&**file)))
    }

    fn take(
        &mut self,
        mut outcome: OutcomeOf<Serve>,
        start: Instant,
        publisher: &Publisher,
        followers: &mut Followers,
    ) {
        if outcome.report.is_empty() {
            return;
        }
        let report = std::mem::take(&mut outcome.report);
        let before = Arc::clone(&self.listening.gateway);
        let follow = self.listening.update(&outcome);
        self.pools.resolve_by(&self.listening.gateway.resolver);
        followers.certifying.follow(&outcome, &self.listening.gateway);
        // Before anybody reads them.
        let countries = self.find_countries();
        // Before the sockets: who connects finds the item.
        publisher.publish(outcome);
        let changes = if follow { followers.listeners.follow(&self.listening.wanted()) } else { Changes::default() };
        self.tell(&report, start.elapsed());
        self.say(countries);
        self.tell_listeners(&changes);
        for warning in self.new_words() {
            self.console.warn(warning);
        }
        let gateway = &self.listening.gateway;
        if gateway.log != before.log {
            followers.log.set(self.log_to());
        }
        if gateway.limits.connections != before.limits.connections {
            self.raise_limits();
        }
    }

    /// Where the connection log goes by what is in force.
    pub fn log_to(&self) -> To {
        let to = To::of(&self.listening.gateway.log, &self.loader.places().root);
        match to.trouble() {
            None => to,
            Some(trouble) => {
                self.console.error(trouble);
                To::Off
            }
        }
    }

    /// Makes room for as many connections as are allowed.
    pub fn raise_limits(&self) {
        if let Some(trouble) = descriptors::raise(self.listening.gateway.limits.connections) {
            self.console.warn(trouble);
        }
    }

    /// What is to be said of the listeners, and was not yet.
    fn new_words(&mut self) -> Vec<String> {
        let now = self.listening.without_quic();
        let new = now.iter().filter(|words| !self.said.contains(words)).cloned().collect();
        self.said = now;
        new
    }

    fn tell_listeners(&self, changes: &Changes) {
        let list = |what: &str, all: &[String]| (!all.is_empty()).then(|| format!("{what} {}", all.join("; ")));
        let closed = list("closed", &changes.closed);
        let opened = list("listening on", &changes.opened);
        let line: Vec<String> = closed.into_iter().chain(opened).collect();
        if !line.is_empty() {
            self.console.note(line.join("; "));
        }
        for trouble in &changes.failed {
            self.console.error(format!("{trouble}; it is tried again"));
        }
    }

    /// Where a batch leads: files that are there, and files that are not.
    fn touched(&mut self, batch: &Batch) -> (Touched, Vec<String>) {
        let root = self.loader.places().root.clone();
        let mut present = BTreeSet::new();
        let mut gone = BTreeSet::new();
        let mut rows = BTreeSet::new();
        let mut warnings = Vec::new();
        for file in &batch.files {
            let Ok(path) = file.strip_prefix(&root) else { continue };
            if path.file_name().is_some_and(is_rows_name) {
                rows.insert(path.to_path_buf());
                continue;
            }
            match std::fs::symlink_metadata(file) {
                Ok(_) => present.insert(Arc::from(path)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => gone.insert(Arc::from(path)),
                // A directory on the way may not be read: nothing is known, so nothing changes.
                Err(_) => false,
            };
        }
        let whole = PathBuf::new();
        let dirs = batch.dirs.iter().filter_map(|dir| dir.strip_prefix(&root).ok().map(Path::to_path_buf));
        let dirs: Vec<PathBuf> = if batch.all { vec![whole] } else { dirs.collect() };
        for dir in dirs {
            let scan = self.watcher.scan(&dir);
            warnings.extend(self.look(&dir, scan, &mut present, &mut gone));
            rows.extend(self.loader.changed_rows(&dir));
        }
        // Looked at last: a root that is away takes nothing with it.
        if !root.is_dir() {
            return (Touched::default(), warnings);
        }
        let touched = Touched {
            present: present.into_iter().collect(),
            gone: gone.into_iter().filter(|p| !root.join(p).exists()).collect(),
            rows: rows.into_iter().collect(),
        };
        (touched, warnings)
    }

    fn look(
        &mut self,
        dir: &Path,
        scan: Scan,
        present: &mut BTreeSet<Arc<Path>>,
        gone: &mut BTreeSet<Arc<Path>>,
    ) -> Vec<String> {
        let found: BTreeSet<&Arc<Path>> = scan.files.iter().map(|(path, _)| path).collect();
        let unknown = |path: &Path| {
            let dark = |(dir, e): &(PathBuf, io::Error)| path.starts_with(dir) && e.kind() != io::ErrorKind::NotFound;
            scan.unreadable.iter().any(dark)
        };
        let root_away = scan.unreadable.iter().any(|(dir, _)| dir.as_os_str().is_empty());
        if !root_away {
            gone.extend(self.loader.below(dir).into_iter().filter(|p| !found.contains(p) && !unknown(p)));
        }
        present.extend(found.into_iter().filter(|path| !self.loader.looks_the_same(path)).cloned());
        self.note_unreadable(dir, scan.unreadable)
    }

    /// Says what cannot be read when that is new.
    fn note_unreadable(&mut self, below: &Path, now: Vec<(PathBuf, io::Error)>) -> Vec<String> {
        let places = self.loader.places();
        let now: BTreeMap<PathBuf, String> = now
            .into_iter()
            .filter(|(dir, e)| dir.as_os_str().is_empty() || e.kind() != io::ErrorKind::NotFound)
            .map(|(dir, e)| (dir, e.to_string()))
            .collect();
        let show = |dir: &Path| places.shown.join(dir).display().to_string();
        let mut said: Vec<String> = now
            .iter()
            .filter(|(dir, why)| self.unreadable.get(*dir) != Some(why))
            .map(|(dir, why)| format!("{}: {why}; nothing changes for what was in it", show(dir)))
            .collect();
        let back = |dir: &&PathBuf| dir.starts_with(below) && !now.contains_key(*dir);
        said.extend(self.unreadable.keys().filter(back).map(|dir| format!("{} can be read again", show(dir))));
        self.unreadable.retain(|dir, _| !dir.starts_with(below));
        self.unreadable.extend(now);
        said
    }

    fn tell(&self, report: &Report, took: Duration) {
        for warning in &report.warnings {
            self.console.warn(warning);
        }
        if report.events.is_empty() {
            return;
        }
        let line = report.line();
        let warnings = match report.count(Severity::Warning) {
            0 => String::new(),
            1 => "; 1 warning, see `sluice lint`".into(),
            n => format!("; {n} warnings, see `sluice lint`"),
        };
        self.console.note(format!("reloaded in {:.1} ms: {line}{warnings}", took.as_secs_f64() * 1000.0));
        tell_errors(&self.console, report);
        if let Some(found) = self.loader.difference(&report.replaced) {
            let text = planned::text(&found, CHANGES, self.console.style());
            self.console.block(&text);
        }
    }
}

/// Changes in behaviour that a reload writes out.
const CHANGES: usize = 12;

/// Prints the errors as `sluice lint` does.
pub fn tell_errors(console: &Console, report: &Report) {
    let errors: Vec<_> = report.findings.iter().filter(|d| d.severity == Severity::Error).collect();
    let colours = console.style().colours;
    let shown: Vec<_> = errors.iter().take(FINDINGS).map(|d| (*d).clone()).collect();
    if !shown.is_empty() {
        console.block(&render::full(&shown, &report.texts, colours));
    }
    if errors.len() > FINDINGS {
        let more = errors.len() - FINDINGS;
        console.note(format!("and {more} more errors; `sluice lint` prints them all"));
    }
}
