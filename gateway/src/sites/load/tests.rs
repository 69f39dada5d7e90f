//! Loading, without watching or serving: what a batch decides.

use super::*;
use crate::console::{Console, Style};
use crate::sites::testing::TempDir;
use crate::sites::tree;

/// Keeps what a site says to `GET /`.
pub(super) struct Say;

impl Install for Say {
    type Site = String;
    type Route = String;

    fn carry(&mut self, item: &Item, _: &Path) -> Arc<String> {
        Arc::new(item.name())
    }

    fn install(&mut self, program: Arc<Program>, _: &Path, _: Option<&Arc<str>>, _: &Lines) -> String {
        let site = program.site();
        match site.plans.iter().map(|p| &p.answer).find(|a| matches!(a, ir::Answer::Respond { .. })) {
            Some(ir::Answer::Respond { body, .. }) => match body.parts.as_slice() {
                [ir::Part::Text(text)] => text.to_string(),
                parts => panic!("{parts:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

pub(super) struct Sites {
    pub(super) temp: TempDir,
    pub(super) loader: Loader<Say>,
    hosts: BTreeMap<String, String>,
    ports: BTreeMap<String, String>,
    pub(super) last: Report,
}

impl Sites {
    pub(super) fn new(name: &str) -> Self {
        let temp = TempDir::new(name);
        std::fs::create_dir(temp.path().join("sites")).unwrap();
        let loader = Self::loader(&temp);
        Self { temp, loader, hosts: BTreeMap::new(), ports: BTreeMap::new(), last: Report::default() }
    }

    fn loader(temp: &TempDir) -> Loader<Say> {
        let console = Console::new(Style { colours: false }, std::io::sink());
        let root = temp.path().join("sites");
        let store = Store::open(&temp.path().join("data"), &root, false, &console);
        Loader::new(Places { shown: "sites".into(), ..Places::new(&root) }, Say, Some(store))
    }

    /// What the process would find if it were started again.
    pub(super) fn restart(&mut self) {
        self.loader.store.as_ref().unwrap().settle();
        self.loader = Self::loader(&self.temp);
        self.hosts.clear();
        self.ports.clear();
        let present = self.present();
        self.loader.recall(&present);
        self.apply(Touched { present, ..Touched::default() });
    }

    fn present(&self) -> Vec<Arc<Path>> {
        let scan = tree::scan(&self.loader.places.root, Path::new(""), &mut |_, _| {});
        scan.files.into_iter().map(|(path, _)| path).collect()
    }

    /// Writes files and looks at them together; an absent text is a deletion.
    pub(super) fn write(&mut self, files: &[(&str, Option<&str>)]) {
        let mut touched = Touched::default();
        for (name, text) in files {
            let path: Arc<Path> = Path::new(name).into();
            match text {
                Some(text) => {
                    self.temp.write(&format!("sites/{name}"), text);
                    touched.present.push(path);
                }
                None => {
                    std::fs::remove_file(self.temp.path().join("sites").join(name)).unwrap();
                    touched.gone.push(path);
                }
            }
        }
        self.apply(touched);
    }

    fn apply(&mut self, touched: Touched) {
        let outcome = self.loader.apply(&touched);
        self.take(outcome);
    }

    pub(super) fn take(&mut self, outcome: OutcomeOf<Say>) {
        for (pattern, stand) in outcome.hosts {
            match stand {
                None => self.hosts.remove(&pattern.to_string()),
                Some(Stand::Nobody) => self.hosts.insert(pattern.to_string(), "nobody".into()),
                Some(Stand::Unavailable) => self.hosts.insert(pattern.to_string(), "503".into()),
                Some(Stand::Site(site)) => self.hosts.insert(pattern.to_string(), site.to_string()),
                Some(Stand::Passthrough(route)) => self.hosts.insert(pattern.to_string(), route.to_string()),
            };
        }
        for (key, item) in outcome.listening {
            match item {
                None => self.ports.remove(&key.to_string()),
                Some((_, file)) => self.ports.insert(key.to_string(), file),
            };
        }
        self.last = outcome.report;
    }

    pub(super) fn ports(&self) -> Vec<(&str, &str)> {
        self.ports.iter().map(|(key, file)| (key.as_str(), file.as_str())).collect()
    }

    pub(super) fn hosts(&self) -> Vec<(&str, &str)> {
        self.hosts.iter().map(|(host, says)| (host.as_str(), says.as_str())).collect()
    }
}

pub(super) fn site(host: &str, says: &str) -> String {
    format!("site {host} {{\n    else -> respond 200 \"{says}\"\n}}\n")
}

pub(super) const BROKEN: &str = "site a.test {\n    else -> -> nothing\n}\n";

#[test]
fn a_broken_edit_keeps_the_version_before_it_and_a_fix_replaces_it() {
    let mut s = Sites::new("load-broken");
    s.write(&[("a.route", Some(&site("a.test", "one")))]);
    assert_eq!(s.last.line(), "added sites/a.route");
    s.write(&[("a.route", Some(BROKEN))]);
    assert_eq!(s.hosts(), [("a.test", "one")]);
    let line = s.last.line();
    assert!(
        line.starts_with("refused sites/a.route:2 G0001 ") && line.ends_with("(its last good version serves)"),
        "{line}"
    );
    s.write(&[("a.route", Some(&site("a.test", "two")))]);
    assert_eq!((s.hosts(), s.last.line().as_str()), (vec![("a.test", "two")], "changed sites/a.route"));
    s.write(&[("a.route", None)]);
    assert_eq!((s.hosts(), s.last.line().as_str()), (vec![], "removed sites/a.route"));
}

#[test]
fn the_same_content_is_no_change() {
    let mut s = Sites::new("load-same");
    s.write(&[("a.route", Some(&site("a.test", "one")))]);
    s.write(&[("a.route", Some(&site("a.test", "one")))]);
    assert!(s.last.is_empty());
}

#[test]
fn an_emptied_file_is_broken_and_not_deleted() {
    let mut s = Sites::new("load-empty");
    s.write(&[("a.route", Some(&site("a.test", "one")))]);
    s.write(&[("a.route", Some("\n"))]);
    assert_eq!(s.hosts(), [("a.test", "one")]);
    assert_eq!(s.last.findings[0].message, "this file is empty");
}

#[test]
fn hosts_of_a_file_that_never_loaded_answer_503_until_it_does() {
    let mut s = Sites::new("load-never");
    s.write(&[("a.route", Some(BROKEN)), ("w.route", Some(&site("*.test", "wild")))]);
    assert_eq!(s.hosts(), [("*.test", "wild"), ("a.test", "503")]);
    s.write(&[("a.route", Some(&site("a.test", "one")))]);
    assert_eq!(s.hosts(), [("*.test", "wild"), ("a.test", "one")]);
    s.write(&[("b.route", Some(&BROKEN.replace("a.test", "b.test")))]);
    s.write(&[("b.route", None)]);
    assert_eq!(s.hosts(), [("*.test", "wild"), ("a.test", "one")]);
}

#[test]
fn the_last_good_version_survives_a_restart() {
    let mut s = Sites::new("load-restart");
    s.write(&[("a.route", Some(&site("a.test", "one"))), ("b.route", Some(&site("b.test", "two")))]);
    s.write(&[("a.route", Some(BROKEN))]);
    s.restart();
    assert_eq!(s.hosts(), [("a.test", "one"), ("b.test", "two")]);
    assert!(s.last.line().contains("sites/a.route:2 G0001"), "{}", s.last.line());
    // Deleted means forgotten, also when nobody looked.
    std::fs::remove_file(s.temp.path().join("sites/a.route")).unwrap();
    s.restart();
    assert_eq!(s.hosts(), [("b.test", "two")]);
    s.write(&[("a.route", Some(BROKEN))]);
    assert_eq!(s.hosts(), [("a.test", "503"), ("b.test", "two")]);
}

#[test]
fn a_deleted_file_takes_its_last_good_version_with_it() {
    let mut s = Sites::new("load-forget");
    s.write(&[("a.route", Some(&site("a.test", "one")))]);
    s.write(&[("a.route", None)]);
    s.write(&[("a.route", Some(BROKEN))]);
    assert_eq!(s.hosts(), [("a.test", "503")]);
    s.restart();
    assert_eq!(s.hosts(), [("a.test", "503")]);
}

#[test]
fn the_incumbent_keeps_its_host_also_over_a_restart() {
    let mut s = Sites::new("load-incumbent");
    s.write(&[("z.route", Some(&site("a.test", "first")))]);
    s.write(&[("a.route", Some(&site("a.test", "second")))]);
    let expected = "refused sites/a.route:1 G2007 `a.test` is already served by sites/z.route:1";
    assert_eq!((s.hosts(), s.last.line().as_str()), (vec![("a.test", "first")], expected));
    s.restart();
    assert_eq!((s.hosts(), s.last.refused().count()), (vec![("a.test", "first")], 1));
    s.write(&[("z.route", None)]);
    assert_eq!(s.hosts(), [("a.test", "second")]);
    assert_eq!(s.last.line(), "added sites/a.route; removed sites/z.route");
}

#[test]
fn an_incumbent_that_is_broken_at_a_restart_is_still_one() {
    let mut s = Sites::new("load-incumbent-broken");
    s.write(&[("z.route", Some(&site("a.test", "first")))]);
    s.write(&[("z.route", Some(BROKEN)), ("a.route", Some(&site("a.test", "second")))]);
    s.restart();
    assert_eq!((s.hosts(), s.last.refused().count()), (vec![("a.test", "first")], 2));
}

#[test]
fn on_a_first_start_both_are_refused_and_the_host_answers_503() {
    let mut s = Sites::new("load-both");
    let (one, two) = (site("a.test", "one"), site("a.test", "two") + &site("b.test", "b"));
    s.write(&[("a.route", Some(&one)), ("b.route", Some(&two))]);
    assert_eq!(s.hosts(), [("a.test", "503"), ("b.test", "503")]);
    assert_eq!(s.last.findings[0].message, "`a.test` is also claimed by sites/b.route:1");
    s.restart();
    assert_eq!(s.hosts(), [("a.test", "503"), ("b.test", "503")]);
    s.write(&[("b.route", Some(&site("b.test", "b")))]);
    assert_eq!(s.hosts(), [("a.test", "one"), ("b.test", "b")], "one gave way, so both serve");
}

#[test]
fn a_host_moves_between_files_in_one_batch() {
    let mut s = Sites::new("load-move");
    s.write(&[("a.route", Some(&site("a.test", "one")))]);
    s.write(&[("a.route", None), ("b.route", Some(&site("a.test", "two")))]);
    assert_eq!(s.hosts(), [("a.test", "two")]);
}

#[test]
fn a_changed_module_recompiles_who_imports_it_and_a_broken_one_changes_nothing() {
    let mut s = Sites::new("load-module");
    let importer = |says| format!("import ./pools\n\n{}", site("a.test", says));
    s.write(&[("pools.route", Some("pool x = 127.0.0.1:1\n")), ("a.route", Some(&importer("one")))]);
    assert_eq!(
        (s.hosts(), s.last.line().as_str()),
        (vec![("a.test", "one")], "added sites/a.route, sites/pools.route")
    );
    s.write(&[("pools.route", Some("pool x = 127.0.0.1:2\n"))]);
    assert_eq!(s.last.line(), "changed sites/pools.route; recompiled sites/a.route");
    s.write(&[("pools.route", Some("pool x == 127.0.0.1:2\n"))]);
    assert_eq!((s.hosts(), s.last.refused().count()), (vec![("a.test", "one")], 1));
    // An importer that is edited meanwhile gets the version that is in force.
    s.write(&[("a.route", Some(&importer("two")))]);
    assert_eq!((s.hosts(), s.last.line().as_str()), (vec![("a.test", "two")], "changed sites/a.route"));
    s.restart();
    assert_eq!(s.hosts(), [("a.test", "two")]);
    s.write(&[("pools.route", None)]);
    let line = s.last.line();
    assert!(line.contains("removed sites/pools.route; refused sites/a.route:1"), "{line}");
    s.restart();
    assert_eq!(s.hosts(), [("a.test", "two")], "the last good version has the text of what it imported");
    s.write(&[("pools.route", Some("pool x = 127.0.0.1:3\n"))]);
    assert_eq!(s.last.refused().count(), 0);
    assert!(s.last.line().contains("sites/a.route"), "{}", s.last.line());
}

#[test]
fn modules_of_modules_and_circles() {
    let mut s = Sites::new("load-chain");
    let a = format!("import ./b\n{}", site("a.test", "one"));
    s.write(&[("a.route", Some(&a)), ("b.route", Some("import ./c\n")), ("c.route", Some("pool x = 127.0.0.1:1\n"))]);
    assert_eq!((s.hosts(), s.last.refused().count()), (vec![("a.test", "one")], 0));
    s.write(&[("c.route", Some("pool x = 127.0.0.1:2\n"))]);
    assert_eq!(s.last.line(), "changed sites/c.route; recompiled sites/a.route, sites/b.route");
    s.write(&[("c.route", Some("import ./b\n"))]);
    assert_eq!(s.hosts(), [("a.test", "one")]);
}

#[test]
fn imports_do_not_leave_the_sites_directory() {
    let mut s = Sites::new("load-outside");
    s.temp.write("secret.route", "pool x = 127.0.0.1:1\n");
    std::os::unix::fs::symlink("../secret.route", s.temp.path().join("sites/link.route")).unwrap();
    s.write(&[("a.route", Some(&format!("import ../secret\n{}", site("a.test", "one"))))]);
    assert_eq!((s.hosts(), s.last.refused().count()), (vec![("a.test", "503")], 1));
    let text = format!("import ./link\n{}", site("b.test", "one"));
    s.temp.write("sites/b.route", &text);
    let present = s.present();
    s.apply(Touched { present, ..Touched::default() });
    assert_eq!(s.hosts(), [("a.test", "503"), ("b.test", "503")]);
}

#[test]
fn a_file_that_cannot_be_read_is_broken_and_not_deleted() {
    let mut s = Sites::new("load-unreadable");
    s.write(&[("a.route", Some(&site("a.test", "one")))]);
    let path = s.temp.path().join("sites/a.route");
    std::fs::write(&path, b"site \xff").unwrap();
    s.apply(Touched { present: vec![Path::new("a.route").into()], ..Touched::default() });
    assert_eq!(s.hosts(), [("a.test", "one")]);
    assert_eq!(
        s.last.line(),
        "refused sites/a.route G0004 it cannot be read: byte 5 is not UTF-8 (its last good version serves)"
    );
    s.apply(Touched { present: vec![Path::new("a.route").into()], ..Touched::default() });
    assert!(s.last.is_empty(), "it is said once");
    s.write(&[("a.route", Some(&site("a.test", "two")))]);
    assert_eq!(s.hosts(), [("a.test", "two")]);
}

#[test]
fn thousands_of_reloads_leave_nothing_behind() {
    let mut s = Sites::new("load-flat");
    for n in 0..300 {
        let name = format!("f{n}.route");
        s.write(&[(&name, Some(&site(&format!("h{n}.test"), "x")))]);
        s.write(&[(&name, Some(BROKEN))]);
        s.write(&[(&name, None)]);
    }
    let l = &s.loader;
    assert!(l.units.is_empty() && l.importers.is_empty() && l.modules.is_empty() && l.unavailable.is_empty());
    assert_eq!(s.hosts(), []);
}
