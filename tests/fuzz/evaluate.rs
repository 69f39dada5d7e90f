//! What the fuzz target of the evaluator does with its input, for libFuzzer and for the replay of the corpus.
//!
//! The input is a route file, a line `===`, and requests with an empty line between them: a line
//! `METHOD PATH[?QUERY] [HOST [ADDRESS [CALLS]]]`, then headers. `CALLS` is a number whose bits say which
//! calls of the site say yes.

use dsl::diagnostic::Severity;
use dsl::syntax::span::FileId;
use dsl::tree::calls::Outcome;
use dsl::tree::eval::BadText;
use dsl::tree::ir::{CallIdx, Site};
use dsl::tree::judge::{Edit, Progress, Walk};
use dsl::tree::request::Plain;
use dsl::tree::{Decision, canonical, compile, interpret};
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

/// Asks the compiled program and the interpreter about each request; how many they agreed on.
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
            let decision = program.decide(&request);
            assert_eq!(decision, interpret(&site, &request), "{request:?}\n{text}");
            assert_eq!(request.calls.stopped(), None, "every call is known");
            let judged = program.judge(&request, &mut || 0, &mut Unseen, &mut Progress::default());
            match decision {
                Decision::Plan(plan) => assert_eq!(judged.plan.map(|(plan, _)| plan), Some(plan), "{text}"),
                Decision::Conflict(_) => assert!(judged.plan.is_none(), "{text}"),
            }
            agreed += 1;
        }
    }
    agreed
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
    let yes: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    for call in 0..u32::try_from(site.calls.len()).ok()? {
        let outcome = if yes >> (call % 64) & 1 == 1 { Outcome::Yes([].into()) } else { Outcome::No };
        out.calls.tell(CallIdx(call), outcome);
    }
    for line in lines {
        let (name, value) = line.split_once(':')?;
        out.headers.push((name.to_ascii_lowercase(), value.trim().as_bytes().to_vec()));
    }
    Some(out)
}
