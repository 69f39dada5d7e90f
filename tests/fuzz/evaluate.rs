//! What the fuzz target of the evaluator does with its input, for libFuzzer and for the replay of the corpus.
//!
//! The input is a route file, a line `===`, and requests with an empty line between them: a line
//! `METHOD PATH[?QUERY] [HOST [ADDRESS [CALLS [FAILED]]]]`, then headers. `CALLS` is a number whose bits say
//! which calls of the site say yes, `FAILED` one whose bits say which of them failed.

use dsl::diagnostic::Severity;
use dsl::syntax::span::FileId;
use dsl::tree::calls::{Calls, Outcome};
use dsl::tree::eval::BadText;
use dsl::tree::ir::{CallIdx, Site};
use dsl::tree::judge::{Edit, Progress, Rendered, Walk};
use dsl::tree::request::Plain;
use dsl::tree::{Decision, Program, canonical, compile, interpret};
use dsl::{NoModules, Unit};

/// Route files that are longer, and requests beyond so many, are not looked at: one input is to take
/// milliseconds.
const LONGEST: usize = 4096;
const REQUESTS: usize = 16;

struct Unseen;

impl<'p> Walk<'p> for Unseen {
    fn edit(&mut self, _: Edit<'p>) -> Result<(), BadText> {
        Ok(())
    }
}

/// Asks the compiled program and the interpreter about each request; how many they agreed on. What a request
/// comes to is asked twice: with all its calls told, and with each told when it is asked for.
///
/// # Panics
/// They disagree, or one of them panics.
pub fn holds(input: &str) -> usize {
    let (text, requests) = input.split_once("\n===\n").unwrap_or((input, ""));
    if text.len() > LONGEST {
        return 0;
    }
    let unit = Unit { file: FileId(0), path: "fuzz.route", text, gateway: false, modules: &NoModules };
    let checked = dsl::check(&unit);
    if checked.diagnostics.iter().any(|d| d.severity == Severity::Error) {
        return 0;
    }
    let mut agreed = 0;
    for site in checked.sites {
        // An order of routes that cannot be decided is refused.
        let Ok(program) = compile(site.clone()) else { continue };
        for said in requests.split("\n\n").take(REQUESTS) {
            let Some(request) = request(said, &site) else { continue };
            let (decision, stop) = (program.decide(&request), request.calls.stopped());
            let meant = interpret(&site, &request);
            assert_eq!(stop, request.calls.stopped(), "{request:?}\n{text}");
            let judged = program.judge(&request, &mut || 0, &mut Unseen, &mut Progress::default());
            if stop.is_none() {
                assert_eq!(decision, meant, "{request:?}\n{text}");
                match decision {
                    Decision::Plan(plan) => assert_eq!(judged.plan.map(|(plan, _)| plan), Some(plan), "{text}"),
                    Decision::Conflict(_) => assert!(judged.plan.is_none(), "{text}"),
                }
            }
            assert_eq!(in_pieces(&program, &request), judged.answer, "{request:?}\n{text}");
            agreed += 1;
        }
    }
    agreed
}

/// What a request comes to whose calls are told one by one.
fn in_pieces<'p>(program: &'p Program, request: &Plain) -> Rendered<'p> {
    let (mut asked, mut progress) = (Plain { calls: Calls::default(), ..request.clone() }, Progress::default());
    loop {
        let answer = program.judge(&asked, &mut || 0, &mut Unseen, &mut progress).answer;
        let Rendered::Pending(call) = answer else { return answer };
        assert_eq!(asked.calls.outcome(call), None, "a call is asked once");
        asked.calls.tell(call, request.calls.outcome(call).expect("every call was told").clone());
    }
}

/// A request of the input; `None` where a site is asked no such request.
fn request(said: &str, site: &Site) -> Option<Plain> {
    let mut lines = said.lines();
    let mut words = lines.next()?.split_whitespace();
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut out = Plain {
        method: method.into(),
        https: true,
        host: words.next().unwrap_or("a.example.com").to_ascii_lowercase(),
        path: canonical::path_for(path.as_bytes(), &site.settings).ok()?.into_owned(),
        query: query.map(str::to_owned),
        ..Plain::default()
    };
    if let Some(address) = words.next().and_then(|word| word.parse().ok()) {
        out.client.0 = address;
    }
    let mut bits = || words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    let (yes, failed) = (bits(), bits());
    for call in 0..u32::try_from(site.calls.len()).ok()? {
        let outcome = match (failed >> (call % 64) & 1, yes >> (call % 64) & 1) {
            (1, _) => Outcome::Failed,
            (_, 1) => Outcome::Yes([].into()),
            _ => Outcome::No,
        };
        out.calls.tell(CallIdx(call), outcome);
    }
    for line in lines {
        let (name, value) = line.split_once(':')?;
        out.headers.push((name.to_ascii_lowercase(), value.trim().as_bytes().to_vec()));
    }
    Some(out)
}
