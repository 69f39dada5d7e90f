//! Findings that come with what they speak of.

/// A finding that is not made yet.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    /// `G4001`
    pub code: &'static str,
    /// What it will say, in a few words.
    pub summary: &'static str,
    /// What it comes with.
    pub with: &'static str,
}

const fn with(code: &'static str, summary: &'static str, with: &'static str) -> Planned {
    Planned { code, summary, with }
}

/// By their codes. One that is in the registry is made, whatever stands here.
pub(super) const PLANNED: &[Planned] = &[
    with("G1006", "capture that is dropped", "the catalogue"),
    with("G1007", "pool that is never used", "the catalogue"),
    with("G1014", "header that nobody sends", "the catalogue"),
    with("G1015", "cookie named once, unlike the others", "the catalogue"),
    with("G1016", "negation that holds for what is missing", "the catalogue"),
    with("G2014", "method that gets 404 and not 405", "the catalogue"),
    with("G2017", "routes that differ only in data", "the catalogue"),
    with("G3002", "check that raw paths walk around", "`paths raw`"),
    with("G3004", "cookie that is only asked for", "the catalogue"),
    with("G3007", "address of a balancer", "the catalogue"),
    with("G3010", "any site may read answers", "the catalogue"),
    with("G3011", "cookie without its attributes", "the catalogue"),
    with("G3012", "session cookie in clear", "sessions"),
    with("G3013", "token of another service", "`jwt`"),
    with("G3014", "token that anybody can make", "`jwt`"),
    with("G3016", "credential in a file", "secrets"),
    with("G3017", "failure that lets everybody pass", "`ask`"),
    with("G3019", "path that is usually not public", "the catalogue"),
    with("G3020", "body without a limit", "the catalogue"),
    with("G3021", "no deadline", "the catalogue"),
    with("G3022", "check removed below a path", "the catalogue"),
    with("G3023", "TLS site without strict-transport-security", "the catalogue"),
    with("G3024", "nested quantifiers", "the catalogue"),
    with("G4001", "certificate of other names", "`tls file`"),
    with("G4002", "wildcard without DNS-01", "`acme`"),
    with("G4003", "certificate one label short", "`tls file`"),
    with("G4004", "certificate that expires", "`tls file`"),
    with("G4005", "weak TLS", "`tls min`"),
    with("G4006", "certificates for whoever asks", "`tls on-demand`"),
    with("G4007", "certificates without a limit", "`tls on-demand`"),
    with("G4012", "challenge that cannot be answered", "`acme`"),
    with("G4013", "client certificates asked for and ignored", "`client cert`"),
    with("G4015", "CAA record that forbids the authority", "`acme`, and a look-up that is made only when asked for"),
    with("G5006", "every client has one key", "the catalogue"),
    with("G5007", "name that does not resolve", "a look-up that is made only when asked for"),
    with("G6001", "costly check before a cheap one", "limits"),
    with("G6002", "keys without number", "limits"),
    with("G6003", "burst of nothing", "limits"),
    with("G6004", "limits that count the same", "limits"),
    with("G6005", "limit by a key that clients invent", "limits"),
    with("G9001", "route that no test reaches", "coverage"),
    with("G9004", "not formatted", "`sluice fmt`"),
    with("G9005", "form of an old edition", "editions"),
    with("G9006", "expression over the state limit", "the algebra of regions"),
];

/// Findings that are not made yet, in the order of their codes.
pub fn planned() -> impl Iterator<Item = &'static Planned> {
    PLANNED.iter().filter(|p| !super::RULES.iter().any(|r| r.code == p.code))
}
