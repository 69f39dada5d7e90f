//! Loads a sites directory once, to ask it something: no sockets, no data directory, nothing kept.

use super::Failed;
use crate::sites::compile::{Drafts, GATEWAY, Places, Source};
use crate::sites::item::{Item, by_kind};
use crate::sites::load::{Install, Loader, Outcome, Stand, Touched};
use crate::sites::report::Lines;
use crate::sites::tree;
use dsl::diagnostic::{Diagnostic, Sources};
use dsl::lint;
use dsl::syntax::span::FileId;
use dsl::tree::ir::{Gateway, Site};
use dsl::tree::{HostIndex, Program};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Keeps programs as they are.
pub(crate) struct Ask;

impl Install for Ask {
    type Site = Program;
    type Route = Item;

    fn install(&mut self, program: Arc<Program>, _: &Path, _: Option<&Arc<str>>, _: &Lines) -> Program {
        Arc::try_unwrap(program).unwrap_or_else(|shared| Program::clone(&shared))
    }

    fn carry(&mut self, item: &Item, _: &Path) -> Arc<Item> {
        Arc::new(item.clone())
    }
}

/// A loaded sites directory.
pub(crate) struct Loaded {
    pub(crate) loader: Loader<Ask>,
    pub(crate) outcome: Outcome<Program, Item>,
    /// Directories that could not be read, and why.
    pub(crate) unreadable: Vec<(PathBuf, std::io::Error)>,
}

/// Loads a sites directory, and `also` files in it that are hidden from it.
/// Tests are not run: [`Loader::tests`] has them.
pub(crate) fn load(sites: &Path, also: Option<&Path>) -> Result<Loaded, Failed> {
    load_by(sites, also, Loader::keeping_tests)
}

/// The same, with drafts in the place of what is on disk.
pub(crate) fn load_drafts(sites: &Path, also: Option<&Path>, drafts: &Drafts) -> Result<Loaded, Failed> {
    load_by(sites, also, |loader| loader.keeping_tests().with_drafts(drafts))
}

/// As `sluice run` does: a file whose tests or proofs fail does not load.
pub(crate) fn load_as_run(sites: &Path) -> Result<Loaded, Failed> {
    load_by(sites, None, |loader| loader)
}

/// The same, and it is said what no test reaches. Drafts stand in for what is on disk.
pub(crate) fn load_tested(sites: &Path, also: Option<&Path>, drafts: &Drafts) -> Result<Loaded, Failed> {
    load_by(sites, also, |loader| loader.for_lint(drafts))
}

/// A file as if its directory held nothing but it and what it imports: other versions of it may lie beside it.
pub(super) fn load_alone(file: &Path) -> Result<Loaded, Failed> {
    let (sites, below) = home(file);
    let places = Places::new(&sites);
    let mut present: Vec<Arc<Path>> = vec![below.into()];
    let mut at = 0;
    while let Some(path) = present.get(at).cloned() {
        at += 1;
        // What cannot be read is said when it is loaded.
        let Ok(read) = tree::read(&places.root.join(&path)) else { continue };
        for import in Source::parse(FileId(0), path, read.digest, read.text).imports {
            if !present.iter().any(|known| **known == *import) && places.root.join(&import).is_file() {
                present.push(import.into());
            }
        }
    }
    let mut loader = Loader::new(places, Ask, None).keeping_tests();
    let outcome = loader.apply(&Touched { present, ..Touched::default() });
    Ok(Loaded { loader, outcome, unreadable: Vec::new() })
}

fn load_by(sites: &Path, also: Option<&Path>, how: impl FnOnce(Loader<Ask>) -> Loader<Ask>) -> Result<Loaded, Failed> {
    let cannot = |why: &dyn std::fmt::Display| Failed::new(format!("cannot read `{}`: {why}", sites.display()));
    let places = Places::new(sites);
    let scan = tree::scan(&places.root, Path::new(""), &mut |_, _| {});
    if let Some((_, e)) = scan.unreadable.iter().find(|(dir, _)| dir.as_os_str().is_empty()) {
        return Err(cannot(e));
    }
    let mut present: Vec<Arc<Path>> = scan.files.into_iter().map(|(path, _)| path).collect();
    if let Some(also) = also.filter(|also| !present.iter().any(|p| &**p == *also)) {
        present.push(also.into());
    }
    let mut loader = how(Loader::new(places, Ask, None));
    let outcome = loader.apply(&Touched { present, ..Touched::default() });
    Ok(Loaded { loader, outcome, unreadable: scan.unreadable })
}

/// What a path on the command line names: a sites directory, or a file with the one that it belongs to.
pub(crate) fn place(path: &Path) -> Result<(PathBuf, Option<PathBuf>), Failed> {
    let meta = std::fs::metadata(path).map_err(|e| Failed::new(format!("cannot read `{}`: {e}", path.display())))?;
    if meta.is_dir() {
        return Ok((path.to_path_buf(), None));
    }
    let (home, below) = home(path);
    Ok((home, Some(below)))
}

impl Loaded {
    /// Tells which directories could not be read; whether there are any.
    pub(crate) fn tells_unreadable(&self, sites: &Path) -> bool {
        for (dir, e) in &self.unreadable {
            let _ = writeln!(std::io::stderr(), "error: cannot read `{}`: {e}", sites.join(dir).display());
        }
        !self.unreadable.is_empty()
    }

    /// Findings that no file shows alone: items beside each other, and beside the gateway's listeners.
    pub(crate) fn together(&self) -> Vec<Diagnostic> {
        let default = Gateway::default();
        let sites = self.loader.sites();
        let sites: Vec<&Site> = sites.iter().map(|(_, program)| &**program.site()).collect();
        let items = self.loader.items();
        let (listening, passthroughs) = by_kind(items.iter().map(|(_, item)| &**item));
        let mut found = lint::together(&lint::Together {
            gateway: Some(self.outcome.gateway.as_deref().unwrap_or(&default)),
            listening: &listening,
            passthroughs: &passthroughs,
            sites: &sites,
        });
        let programs: Vec<_> = self.loader.sites().into_iter().map(|(_, program)| program).collect();
        found.extend(lint::across(&programs));
        found.extend(lint::of_all(&programs));
        found
    }

    /// What is only advice: of sites, where the whole is known.
    pub(crate) fn advice(&self, sources: &dyn Sources) -> Vec<Diagnostic> {
        let default = Gateway::default();
        let sites = self.loader.sites();
        let sites: Vec<&Site> = sites.iter().map(|(_, program)| &**program.site()).collect();
        let gateway = self.outcome.gateway.as_deref().unwrap_or(&default);
        let mut found = lint::advice(gateway, &sites, sources);
        let pools: Vec<&lint::Pools> = self.outcome.report.pools.iter().collect();
        found.extend(lint::unused_pools(&pools, sources));
        found
    }

    /// Who answers for which host.
    pub(crate) fn hosts(&self) -> HostIndex<Stand<Program, Item>> {
        let mut hosts = HostIndex::default();
        for (pattern, stand) in &self.outcome.hosts {
            if let Some(stand) = stand {
                hosts.insert(pattern, stand.clone());
            }
        }
        hosts
    }
}

/// The sites directory that a route file belongs to: the nearest directory above it with a
/// `gateway.route`, else `sites` where it lies in it, else its own directory. And its path in there.
pub(crate) fn home(file: &Path) -> (PathBuf, PathBuf) {
    let dir = file.parent().map(Path::to_path_buf).unwrap_or_default();
    let with_gateway = file.ancestors().skip(1).find(|dir| dir.join(GATEWAY).is_file());
    let sites = || file.ancestors().skip(1).find(|dir| dir.file_name().is_some_and(|name| name == "sites"));
    let home = with_gateway.or_else(sites).unwrap_or(&dir).to_path_buf();
    let below = file.strip_prefix(&home).unwrap_or(file).to_path_buf();
    (if home.as_os_str().is_empty() { PathBuf::from(".") } else { home }, below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites::testing::TempDir;

    #[test]
    fn what_no_file_shows_alone_is_found() {
        let temp = TempDir::new("together");
        temp.write("sites/gateway.route", "gateway {\n    https :443\n}\n");
        let through = "pool self = 127.0.0.1:443\npassthrough v.example.com -> self\n";
        temp.write("sites/through.route", through);
        let udp = "pool q = 10.0.0.1:443\nudp :443 {\n    idle 1m\n    limit 1/s per client.ip\n    -> q\n}\n";
        temp.write("sites/udp.route", udp);
        temp.write("sites/site.route", "site *.example.com {\n    else -> respond 404\n}\n");
        let loaded = load(&temp.path().join("sites"), None).unwrap();
        assert!(loaded.outcome.report.findings.is_empty(), "{:?}", loaded.outcome.report.findings);
        let found: Vec<_> = loaded.together().iter().map(|d| d.code).collect();
        assert_eq!(found, ["G4014", "G5002", "G7006"]);
    }

    #[test]
    fn a_file_is_at_home_where_the_gateway_file_is() {
        let temp = TempDir::new("home");
        temp.write("cfg/gateway.route", "");
        let file = temp.write("cfg/team/a.route", "");
        assert_eq!(home(&file), (temp.path().join("cfg"), "team/a.route".into()));
        let file = temp.write("other/sites/team/a.route", "");
        assert_eq!(home(&file), (temp.path().join("other/sites"), "team/a.route".into()));
        let file = temp.write("lone/a.route", "");
        assert_eq!(home(&file), (temp.path().join("lone"), "a.route".into()));
        assert_eq!(home(Path::new("a.route")), (".".into(), "a.route".into()));
    }
}
