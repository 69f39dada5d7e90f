//! Findings: one file for each, with what it says, why, and the wrong and the right way.
//!
//! INVARIANT: a finding speaks of the program, not of its text; what speaks of routing carries a
//! request that was replayed through the compiled program and the interpreter before it was made.

mod across;
mod advice;
mod allow;
mod around;
mod fingerprint;
pub(crate) mod inspected;
pub(crate) mod l4;
mod planned;
pub(crate) mod reads;
pub(crate) mod show;
mod slip;
mod solve;
mod view;
mod world;

macro_rules! findings {
    ($($code:literal $module:ident $summary:literal,)*) => {
        $(pub(crate) mod $module;)*

        /// The registry: one line for each finding, in the order of their codes.
        const RULES: &[Rule] = &[$(Rule { code: $code, summary: $summary, source: include_str!(concat!(stringify!($module), ".rs")) },)*];
    };
}

findings! {
    "G0001" g0001 "text that is none of the language",
    "G0002" g0002 "form that this version refuses",
    "G0003" g0003 "program and interpreter disagree",
    "G0004" g0004 "file says nothing",
    "G1001" g1001 "unknown statement or setting",
    "G1002" g1002 "no such pool",
    "G1003" g1003 "no such capture or name",
    "G1004" g1004 "no such member",
    "G1005" g1005 "types do not agree",
    "G1006" g1006 "capture that is dropped",
    "G1007" g1007 "pool that is never used",
    "G1008" g1008 "import cycle",
    "G1009" g1009 "module cannot be had",
    "G1010" g1010 "quotes make it another type",
    "G1011" g1011 "no such method or status",
    "G1012" g1012 "a required value can be missing",
    "G1013" g1013 "condition that never holds",
    "G1014" g1014 "header that nobody sends",
    "G1015" g1015 "name used once, unlike another",
    "G1016" g1016 "negation that holds for what is missing",
    "G1017" g1017 "no regular expression",
    "G1018" g1018 "name is taken",
    "G1019" g1019 "needs itself",
    "G1020" g1020 "policy below a route",
    "G1021" g1021 "arguments do not fit",
    "G1022" g1022 "statement in the wrong place",
    "G1023" g1023 "setting said twice",
    "G1024" g1024 "setting's words do not fit",
    "G1025" g1025 "test of an edited header",
    "G1026" g1026 "no host or path pattern",
    "G1027" g1027 "text cannot stand here",
    "G1028" g1028 "header cannot be edited",
    "G1029" g1029 "table or row that cannot be read",
    "G2001" g2001 "route that is never reached",
    "G2002" g2002 "two routes claim one request",
    "G2003" g2003 "types that overlap at one place",
    "G2004" g2004 "condition that is never asked",
    "G2005" g2005 "site without else",
    "G2006" g2006 "block without else",
    "G2007" g2007 "host claimed twice",
    "G2008" g2008 "route that its wider one makes needless",
    "G2009" g2009 "shares do not add up",
    "G2010" g2010 "split without a key",
    "G2011" g2011 "redirect loop",
    "G2012" g2012 "redirect to a host that nobody serves",
    "G2013" g2013 "look-up without else",
    "G2014" g2014 "method that gets 404 and not 405",
    "G2015" g2015 "catch of a good status",
    "G2016" g2016 "status caught twice",
    "G2017" g2017 "routes that differ only in data",
    "G2018" g2018 "trailing slash that distinguishes nothing",
    "G2019" g2019 "guarded block beside a wider route",
    "G2020" g2020 "pattern outside its block",
    "G2021" g2021 "pathless refusal beside longer paths",
    "G2022" g2022 "without removes nothing",
    "G2023" g2023 "policy with an else",
    "G2024" g2024 "bare arrow beside routes",
    "G2026" g2026 "exact path to a pool",
    "G3001" g3001 "past a protected block",
    "G3002" g3002 "check that raw paths walk around",
    "G3003" g3003 "pool reached without its check",
    "G3004" g3004 "cookie that is only asked for",
    "G3005" g3005 "limit by a client's header",
    "G3006" g3006 "everybody is a trusted proxy",
    "G3007" g3007 "address of a balancer",
    "G3008" g3008 "client chooses the redirect",
    "G3009" g3009 "client chooses the upstream",
    "G3010" g3010 "any site may read answers",
    "G3011" g3011 "cookie without its attributes",
    "G3012" g3012 "session cookie or password in clear",
    "G3013" g3013 "token of another service",
    "G3014" g3014 "token that anybody can make",
    "G3015" g3015 "secret leaves",
    "G3016" g3016 "credential in a file",
    "G3017" g3017 "failure that lets everybody pass",
    "G3018" g3018 "header of the client's that reaches a pool",
    "G3019" g3019 "path that is usually not public",
    "G3020" g3020 "body without a limit",
    "G3021" g3021 "no deadline",
    "G3022" g3022 "check removed below a path",
    "G3023" g3023 "TLS site without strict-transport-security",
    "G3024" g3024 "nested quantifiers",
    "G3025" g3025 "secret is not at hand",
    "G3026" g3026 "session cookie that other hosts can set",
    "G3027" g3027 "paths that differ by case alone",
    "G3029" g3029 "passwords hashed weakly",
    "G3030" g3030 "login that nobody finishes",
    "G3101" g3101 "client text in a page",
    "G4001" g4001 "certificate of other names",
    "G4002" g4002 "certificate that only DNS can prove",
    "G4003" g4003 "certificate one label short",
    "G4004" g4004 "certificate that expires",
    "G4005" g4005 "weak TLS",
    "G4006" g4006 "certificates for whoever asks",
    "G4007" g4007 "certificates without a limit",
    "G4008" g4008 "upstream that is not verified",
    "G4009" g4009 "no name to verify against",
    "G4010" g4010 "one pinned key",
    "G4011" g4011 "decrypted and sent on in clear",
    "G4012" g4012 "challenge that cannot be answered",
    "G4013" g4013 "client certificates asked for and ignored",
    "G4014" g4014 "udp item where QUIC would arrive",
    "G4016" g4016 "certificate file that cannot be used",
    "G5001" g5001 "endpoint listed twice",
    "G5002" g5002 "pool dials the gateway itself",
    "G5003" g5003 "request that may run twice",
    "G5004" g5004 "endpoints that nobody checks",
    "G5005" g5005 "tries that do not fit",
    "G5006" g5006 "every client has one key",
    "G6001" g6001 "costly check before a cheap one",
    "G6002" g6002 "keys without number",
    "G6003" g6003 "rate without a burst",
    "G6004" g6004 "limits that count the same",
    "G6005" g6005 "limit by a key that clients invent",
    "G7001" g7001 "listeners overlap",
    "G7002" g7002 "not known of a connection",
    "G7003" g7003 "name alone keeps nobody out",
    "G7004" g7004 "udp without idle",
    "G7005" g7005 "udp open to everybody",
    "G7006" g7006 "certificate of a site covers a passthrough host",
    "G8001" g8001 "host that is not the tenant's",
    "G8002" g8002 "dials outside the tenant's networks",
    "G8003" g8003 "secret that is not the tenant's",
    "G8004" g8004 "only gateway.route may say this",
    "G8005" g8005 "wildcard over other tenants' hosts",
    "G8006" g8006 "tenant over its limits",
    "G8007" g8007 "path outside its folder",
    "G8008" g8008 "nothing at a path",
    "G8009" g8009 "nothing says where clients are",
    "G9001" g9001 "route that no test reaches",
    "G9002" g9002 "proof does not hold",
    "G9003" g9003 "allow that allows nothing",
    "G9004" g9004 "not formatted",
    "G9006" g9006 "expression over the state limit",
    "G9007" g9007 "test fails",
}

pub(crate) use solve::describe;
#[cfg(test)]
pub(crate) use view::alternatives;

pub use across::{across, of_all};
pub use advice::advice;
pub use allow::allow;
pub use around::{Around, Traces, beside, loops};
pub use fingerprint::fingerprints;
pub use g1007::{Pools, unused_pools};
pub use g2007::cross_file;
pub use g9001::unreached;
pub use g9004::unformatted;
pub use l4::{Together, together};
pub use planned::{Planned, planned};

/// Findings about files, made by whoever can look at them: this crate cannot.
pub mod files {
    pub use super::g0004::{empty, unreadable};
    pub use super::g3025::{no_key, no_lines, no_secret};
    pub use super::g3029::weak;
    pub use super::g4001::{Cover, cover, uncovered};
    pub use super::g4003::one_label;
    pub use super::g4004::{Validity, validity};
    pub use super::g4016::unusable;
    pub use super::g8001::of_two;
    pub use super::g8002::own_address;
    pub use super::g8006::over;
    pub use super::g8007::outside;
    pub use super::g8008::missing;
    pub use super::g8009::no_countries;
}

use crate::check::SiteInfo;
use crate::diagnostic::{Diagnostic, Edit, Severity};
use crate::syntax::span::{Loc, Span};
use crate::tree::Program;

/// A finding that can be made.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// `G1001`
    pub code: &'static str,
    /// In a few words.
    pub summary: &'static str,
    source: &'static str,
}

impl Rule {
    /// What it says, why, and the wrong and the right way, as Markdown.
    pub fn explain(&self) -> String {
        let lines = self.source.lines().take_while(|l| l.starts_with("//!"));
        lines.map(|l| l.trim_start_matches("//!").strip_prefix(' ').unwrap_or("")).collect::<Vec<_>>().join("\n")
    }
}

/// Every finding, in the order of their codes.
pub fn rules() -> &'static [Rule] {
    RULES
}

/// The code, of a finding that is made or planned, that a misspelt one most likely means.
pub fn near_code(code: &str) -> Option<&'static str> {
    let codes = RULES.iter().map(|r| r.code).chain(planned::PLANNED.iter().map(|p| p.code));
    crate::resolve::nearest(code, codes)
}

/// The findings that speak of where requests go.
const ROUTING: &[fn(&mut world::World<'_>)] = &[
    g1006::run,
    g1013::run,
    g2001::run,
    g2002::run,
    g2004::run,
    g2005::run,
    g2006::run,
    g2008::run,
    g2014::run,
    g2017::run,
    g2018::run,
    g2019::run,
    g2026::run,
    g3001::run,
    g3004::run,
    g3010::run,
    g3011::run,
    g3012::run,
    g3013::run,
    g3017::run,
    g3019::run,
    g3020::run,
    g3027::run,
    g3030::run,
    g4013::run,
    g5003::run,
    g6001::run,
    g6002::run,
    g6004::run,
    g6005::run,
    g9006::run,
];

/// Says what can be said of a compiled site.
pub(crate) fn site(program: &Program, info: &SiteInfo, text: &str) -> Vec<Diagnostic> {
    let mut world = world::World::new(program, info, text);
    for lint in ROUTING {
        lint(&mut world);
    }
    let mut out = world.out;
    g3005::run(info, &mut out);
    out
}

/// The findings of sites, by the place of the site. A site with several layouts of hosts is several
/// trees: a route of it is dead when it is dead in all of them.
pub(crate) fn of_sites(mut findings: Vec<(Loc, Vec<Diagnostic>)>) -> Vec<Diagnostic> {
    findings.sort_by_key(|(loc, _)| *loc);
    let mut out = Vec::new();
    for trees in findings.chunk_by(|a, b| a.0 == b.0) {
        for d in trees.iter().flat_map(|(_, found)| found) {
            let same = |o: &Diagnostic| o.code == d.code && o.primary.loc == d.primary.loc;
            let of_all = matches!(d.code, "G1013" | "G2001" | "G2004" | "G2008");
            if !of_all || trees.iter().all(|(_, found)| found.iter().any(same)) {
                out.push(d.clone());
            }
        }
    }
    out
}

/// Drops what is said of routing where a condition or pattern has an error of its own: what it would
/// have meant is not known, and one mistake is one finding.
pub(crate) fn without_consequences(findings: &mut Vec<Diagnostic>, errors: &[Diagnostic]) {
    let within = |outer: Loc, inner: Loc| {
        outer.file == inner.file && outer.span.start <= inner.span.start && inner.span.end <= outer.span.end
    };
    // Names and types; a pool that is not there, or a line in the wrong place, leaves the condition whole.
    let of_meaning = |e: &&Diagnostic| {
        e.severity == Severity::Error && e.code.starts_with("G10") && !matches!(e.code, "G1002" | "G1020")
    };
    let hurt = |at: Loc| errors.iter().filter(of_meaning).any(|e| within(at, e.primary.loc));
    findings.retain(|d| d.witness.is_none() || !(hurt(d.primary.loc) || d.labels.iter().any(|label| hurt(label.loc))));
}

/// A replacement of exactly this place.
fn replace(loc: Loc, text: &str, safe: bool) -> Option<Edit> {
    Some(Edit { loc, text: text.to_owned(), safe })
}

/// An insertion behind this place, where nothing loads without it or nothing else can be meant.
fn insert(loc: Loc, text: &str) -> Option<Edit> {
    let end = loc.span.end;
    Some(Edit { loc: Loc { file: loc.file, span: Span { start: end, end } }, text: text.to_owned(), safe: true })
}
