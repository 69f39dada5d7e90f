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
    with("G4001", "certificate of other names", "`tls file`"),
    with("G4003", "certificate one label short", "`tls file`"),
    with("G4004", "certificate that expires", "`tls file`"),
    with("G4013", "client certificates asked for and ignored", "`client cert`"),
    with("G4015", "CAA record that forbids the authority", "`acme`, and a look-up that is made only when asked for"),
    with("G5007", "name that does not resolve", "a look-up that is made only when asked for"),
    with("G9005", "form of an old edition", "editions"),
];

/// Findings that are not made yet, in the order of their codes.
pub fn planned() -> impl Iterator<Item = &'static Planned> {
    PLANNED.iter().filter(|p| !super::RULES.iter().any(|r| r.code == p.code))
}
