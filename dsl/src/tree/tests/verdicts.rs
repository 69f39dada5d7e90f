//! Proofs and differences of random route files, against brute force over requests that meet them.
//!
//! A proof that is said to hold nothing refutes; one that is said to fail is refuted by the request that it
//! shows. A difference that is said to be none is none for any request; and of one that is said to be
//! there, the request that shows it is treated otherwise.

use super::findings::Texts;
use super::programs;
use crate::diagnostic::Severity;
use crate::reach::plan::{self, Version, difference};
use crate::reach::prove::{self, Verdict, prove};
use crate::reach::{Sites, plan::Home};
use crate::region::Algebra;
use crate::syntax::span::FileId;
use crate::tree::Program;
use crate::tree::eval::{self, BadText};
use crate::tree::interpret::interpret_with;
use crate::tree::ir::{Cond, Field, Test};
use crate::tree::judge::{Edit, Progress, Rendered, Walk};
use crate::tree::request::Plain;
use crate::{NoModules, Unit};
use std::sync::Arc;

/// Requests that each program is asked.
const REQUESTS: usize = 16;

/// Claims, of which each proof has some.
const CLAIMS: &[&str] = &[
    "every request to pool q passes guard",
    "no request to pool q when header.a is \"1\"",
    "no request to /a/* reaches pool q",
    "every request to /b/* when method is POST gets 403",
    "no request to pool p from [10.0.0.0/8]",
];

/// A file in pieces: what stands before its routes, and its routes.
#[derive(Clone)]
struct Pieces {
    guard: String,
    routes: Vec<String>,
}

impl Pieces {
    fn new(texts: &mut Texts) -> Self {
        let guard = ["client.ip in [10.0.0.0/8]", "cookie.c is \"1\"", "header.a and method is GET"];
        let count = 2 + texts.random.below(2);
        let mut routes: Vec<String> = (0..count).map(|_| route(texts)).collect();
        routes.push(format!("    else -> {}\n", answer(texts)));
        Self { guard: texts.random.word(&guard).into(), routes }
    }

    /// The same, changed a little, or only written otherwise.
    fn changed(&self, texts: &mut Texts) -> Self {
        let mut out = self.clone();
        let last = out.routes.len() - 1;
        let at = texts.random.below(last);
        match texts.random.below(6) {
            0 => out.routes.swap(at, texts.random.below(last)),
            1 => drop(out.routes.remove(at)),
            2 => out.routes.insert(at, route(texts)),
            3 => out.routes[at] = out.routes[at].replacen("-> p", "-> q", 1),
            4 => out.guard = "method is GET and header.a".into(),
            _ => out.routes[at] = route(texts),
        }
        out
    }

    fn text(&self, claims: &[&str]) -> String {
        let Self { guard, routes } = self;
        let guard = format!("    require {guard} else deny 403\n    set request header x-guard = \"1\"\n");
        let claims: String = claims.iter().map(|claim| format!("    {claim}\n")).collect();
        let proof = if claims.is_empty() { claims } else { format!("prove \"it\" {{\n{claims}}}\n") };
        format!(
            "pool p = 10.0.0.1:80\npool q = 10.0.0.2:80\npolicy guard() {{\n{guard}}}\nsite a.example.com {{\n{}}}\n{proof}",
            routes.concat()
        )
    }
}

fn answer(texts: &mut Texts) -> &'static str {
    ["p", "q", "p at /n", "respond 200 \"1\"", "deny 403"][texts.random.below(5)]
}

fn when(texts: &mut Texts, percent: usize) -> String {
    if texts.random.chance(percent) { format!(" when {}", texts.condition("")) } else { String::new() }
}

fn route(texts: &mut Texts) -> String {
    let path = texts.random.word(&["/a", "/a/b", "/b", "/b/*", "/a/*", "/{x}", "/{x:int}", "/a/{x}", "/7"]).to_owned();
    let cond = when(texts, 45);
    if !path.ends_with("/*") || texts.random.chance(40) {
        return format!("    {path}{cond} -> {}\n", answer(texts));
    }
    let guard =
        if texts.random.chance(60) { format!("        use guard(){}\n", when(texts, 25)) } else { String::new() };
    let inner = if texts.random.chance(50) {
        format!("        ./b{} -> {}\n", when(texts, 40), answer(texts))
    } else {
        String::new()
    };
    let asked = if texts.random.chance(30) {
        format!("        {} -> {}\n", when(texts, 100).trim(), answer(texts))
    } else {
        String::new()
    };
    format!("    {path}{cond} {{\n{guard}{inner}{asked}        else -> {}\n    }}\n", answer(texts))
}

/// A file's program and proofs. The linter is not asked: routes that it would refuse are still decided.
fn compile(text: &str) -> Option<(Arc<Program>, Vec<Arc<prove::Proof>>)> {
    let made = crate::check(&Unit { file: FileId(0), path: "a.route", text, gateway: false, modules: &NoModules });
    let site = made.sites.first().filter(|_| made.diagnostics.iter().all(|d| d.severity != Severity::Error))?;
    Some((Arc::new(crate::tree::compile(Arc::clone(site)).ok()?), made.proofs))
}

/// What becomes of a request.
#[derive(Debug, PartialEq)]
struct Fate {
    pool: Option<String>,
    status: Option<u16>,
    guarded: bool,
    /// All of it.
    whole: String,
}

#[derive(Default)]
struct Edits(Vec<String>);

impl<'p> Walk<'p> for Edits {
    fn edit(&mut self, edit: Edit<'p>) -> Result<(), BadText> {
        self.0.push(format!("{}: {}", edit.name, edit.value));
        Ok(())
    }
}

fn fate(program: &Program, request: &Plain, algebra: &mut Algebra) -> Fate {
    assert_eq!(program.decide(request), interpret_with(program.site(), request, algebra), "{request:?}");
    let mut edits = Edits::default();
    let judged = program.judge(request, &mut || 0, &mut edits, &mut Progress::default());
    let pools = &program.site().pools;
    let (pool, status, whole) = match judged.answer {
        Rendered::Proxy { pool, target, host, .. } => {
            let name = pools[pool.0 as usize].name.to_string();
            (Some(name.clone()), None, format!("pool {name} {target:?} {host:?} {:?}", edits.0))
        }
        Rendered::Respond { status, body, .. } => (None, Some(status), format!("{status} {body}")),
        Rendered::Deny { status } => (None, Some(status), format!("deny {status}")),
        // Which field is refused is no matter.
        Rendered::Refused(_) => (None, None, "refused".into()),
        other => (None, None, format!("{other:?}")),
    };
    Fate { pool, status, guarded: edits.0.iter().any(|edit| edit.starts_with("x-guard")), whole }
}

/// Whether a request refutes a claim; `None` where the claim does not speak of it.
fn refutes(claim: &str, request: &Plain, fate: &Fate) -> Option<bool> {
    let to = |pool: &str| fate.pool.as_deref() == Some(pool);
    let below = |dir: &str| request.path == dir || request.path.starts_with(&format!("{dir}/"));
    let one = Cond::Test(Field::Header("a".into()), Test::OneOf(vec!["1".into()]));
    let private = Cond::Test(Field::ClientIp, Test::InNets(vec!["10.0.0.0/8".parse().unwrap()]));
    match CLAIMS.iter().position(|known| *known == claim).unwrap() {
        0 => to("q").then_some(!fate.guarded),
        1 => (to("q") && eval::holds(&one, request)).then_some(true),
        2 => below("/a").then(|| to("q")),
        3 => (below("/b") && request.method == "POST" && fate.whole != "refused").then(|| fate.status != Some(403)),
        _ => (to("p") && eval::holds(&private, request)).then_some(true),
    }
}

/// A request as it is printed, read again.
fn read(shown: &str) -> Plain {
    let mut words = shown.splitn(3, ' ');
    let (method, url) = (words.next().unwrap(), words.next().unwrap());
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query.to_owned())));
    let mut out = Plain {
        method: method.into(),
        https: scheme == "https",
        host: host.into(),
        path: path.into(),
        query,
        ..Plain::default()
    };
    let mut rest = words.next().unwrap_or("");
    while !rest.is_empty() {
        let (word, after) = rest.split_once(' ').unwrap();
        let (value, after) = match word {
            "-H" => after.strip_prefix('\'').unwrap().split_once('\'').unwrap(),
            _ => after.split_once(' ').map_or((after, ""), |(value, _)| (value, &after[value.len()..])),
        };
        match word {
            "-H" => {
                let (name, value) = value.split_once(": ").unwrap();
                out.headers.push((name.into(), value.into()));
            }
            "from" => out.client.0 = value.parse().unwrap(),
            "port" => out.client.1 = value.parse().unwrap(),
            "by" => out.version = if value == "HTTP/2" { "2" } else { "1.0" },
            other => panic!("{other} in {shown}"),
        }
        rest = after.trim_start();
    }
    out
}

fn requests(texts: &mut Texts) -> Vec<Plain> {
    (0..REQUESTS).map(|_| Plain { https: true, ..texts.request() }).collect()
}

/// Whether something in a file is opaque to the analysis.
fn is_opaque(text: &str) -> bool {
    text.contains("header.a is cookie.c")
}

#[test]
fn proofs_and_brute_force_agree() {
    let (mut texts, mut algebra) = (Texts::new(21), Algebra::paths());
    let (mut files, mut held, mut refuted, mut undecided) = (0, 0, 0, 0);
    for n in 0..programs() {
        let claims: Vec<&str> = (0..2).map(|_| CLAIMS[texts.random.below(CLAIMS.len())]).collect();
        let text = Pieces::new(&mut texts).text(&claims);
        let requests = requests(&mut texts);
        let Some((program, proofs)) = compile(&text) else { continue };
        files += 1;
        let sites = Sites::of([program.clone()]);
        let fates: Vec<Fate> = requests.iter().map(|request| fate(&program, request, &mut algebra)).collect();
        let outcomes = prove(&proofs, &sites, &sites.all(), &[], prove::BUDGET);
        for (claim, verdict) in outcomes.iter().flat_map(|outcome| &outcome.claims) {
            let said = |wanted: bool| {
                let mut all = requests.iter().zip(&fates);
                all.find(|(request, fate)| refutes(&claim.shown, request, fate) == Some(wanted))
            };
            match verdict {
                Verdict::Holds { meant } => {
                    held += usize::from(*meant);
                    assert_eq!(said(true), None, "file {n}: {}\n{text}", claim.shown);
                    assert!(*meant || claim.subject.pool.is_none() || said(false).is_none(), "file {n}\n{text}");
                }
                Verdict::Refuted(counter) => {
                    refuted += 1;
                    let request = read(&counter.request);
                    let fate = fate(&program, &request, &mut algebra);
                    let shows = refutes(&claim.shown, &request, &fate) == Some(true);
                    assert!(shows, "file {n}: {}\n{} {fate:?}\n{text}", claim.shown, counter.request);
                }
                Verdict::Undecided(why) => {
                    undecided += 1;
                    assert!(is_opaque(&text), "file {n}: {}: {why}\n{text}", claim.shown);
                }
            }
        }
    }
    let all = held + refuted + undecided;
    assert!(
        files > programs() / 4 && held > all / 20 && refuted > all / 5 && undecided < all / 20,
        "{files} {held} {refuted} {undecided}"
    );
}

#[test]
fn differences_and_brute_force_agree() {
    let (mut texts, mut algebra) = (Texts::new(22), Algebra::paths());
    let (mut pairs, mut none, mut shown, mut possible) = (0, 0, 0, 0);
    for n in 0..programs() {
        let before = Pieces::new(&mut texts);
        let after = before.changed(&mut texts);
        let requests = requests(&mut texts);
        let (old, new) = (before.text(&[]), after.text(&[]));
        let (Some((a, _)), Some((b, _))) = (compile(&old), compile(&new)) else { continue };
        pairs += 1;
        let version = |program: &Arc<Program>| Version {
            sites: vec![(Arc::clone(program), Home::default())],
            ..Version::default()
        };
        let found = difference(&version(&a), &version(&b), plan::BUDGET);
        let mut otherwise = |request: &Plain| {
            let fates = [fate(&a, request, &mut algebra), fate(&b, request, &mut algebra)];
            (fates[0].whole != fates[1].whole).then_some(fates)
        };
        let differs = requests.iter().find_map(|request| Some((request, otherwise(request)?)));
        if found.is_none() {
            none += 1;
            assert!(differs.is_none(), "pair {n}: {differs:?}\n{old}\n{new}");
        }
        for change in &found.changes {
            match (&change.witness, change.possibly) {
                (Some(witness), false) => {
                    shown += 1;
                    assert!(otherwise(&read(witness)).is_some(), "pair {n}: {change:?}\n{old}\n{new}");
                }
                // A setting, which is no matter of requests.
                (None, false) => assert!(change.path.is_empty(), "pair {n}: {change:?}\n{old}\n{new}"),
                _ => {
                    possible += 1;
                    assert!(is_opaque(&old) || is_opaque(&new), "pair {n}: {change:?}\n{old}\n{new}");
                }
            }
        }
        assert!(found.undecided.is_empty(), "pair {n}: {:?}\n{old}\n{new}", found.undecided);
    }
    assert!(
        pairs > programs() / 5 && none > pairs / 10 && shown > pairs / 2 && possible < pairs / 10,
        "{pairs} {none} {shown} {possible}"
    );
}

/// A printed request is the request that was meant.
#[test]
fn printed_requests_can_be_read() {
    let mut texts = Texts::new(23);
    for _ in 0..100 {
        let request = Plain { https: true, ..texts.request() };
        let again = read(&crate::lint::describe(&request));
        assert_eq!(format!("{request:?}"), format!("{again:?}"));
    }
}
