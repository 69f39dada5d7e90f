//! Findings about what two files claim.

use super::{Done, Install, Loader};
use crate::sites::claims::{DEFAULT, Key, Lost, What};
use crate::sites::compile::{Claim, OVERLAP};
use crate::sites::item::own_ports;
use crate::sites::report::{Texts, line_of};
use dsl::diagnostic::Diagnostic;
use dsl::syntax::span::{FileId, Loc};
use dsl::tree::ir;
use std::collections::BTreeMap;

/// The code of a host that two files claim.
const CONFLICT: &str = "G2007";
/// The code of a host that two patterns match, neither inside the other.
const CROSSING: &str = "G2002";

impl<I: Install> Loader<I> {
    /// G2007, G2002 or G7001 for each key that a file lost.
    pub(super) fn conflicts(
        &self,
        file: FileId,
        lost: &[Lost],
        done: &BTreeMap<FileId, Done>,
        texts: &mut Texts,
    ) -> Vec<Diagnostic> {
        let claim_of = |file: &FileId, key: &Key| {
            let claims = &done.get(file)?.compiled.claims;
            claims.iter().find(|c| c.key == *key)
        };
        let mut found = Vec::new();
        for Lost { key, other, crossing } in lost {
            let Some(claim) = claim_of(&file, key) else { continue };
            let loc = claim.loc;
            let against = crossing.as_ref().map_or(key, |c| &c.key);
            let held = self.claims.holder(against) == Some(*other);
            let path = self.ids.path(*other).map(|path| self.places.show(path)).unwrap_or_default();
            let good = self.units.get(other).and_then(|unit| Some((unit, unit.good.as_ref()?)));
            let known = good.and_then(|(unit, good)| {
                let (claim, line) = good.claims.iter().find(|(c, _)| c.key == *against)?;
                if !texts.contains(*other)
                    && let Some(text) = self.text(unit, good.digest)
                {
                    texts.insert(*other, path.clone(), text);
                }
                Some((claim, *line))
            });
            let new = claim_of(other, against);
            let new = new.and_then(|c| Some((c, line_of(&done.get(other)?.job.source.text, c.loc.span.start))));
            // Where it is held, by the version that serves; that may be one of this batch.
            let place = if held { known.or(new) } else { new.or(known) };
            let at = place.map_or_else(|| path.clone(), |(_, line)| format!("{path}:{line}"));
            if let What::Port(_) = claim.what {
                let place = place.map(|(c, _)| c);
                let by_default = !self.units.contains_key(other);
                let loc_of = place.filter(|_| texts.contains(*other)).map(|c| c.loc);
                found.push(overlap(claim, against, place, (!by_default).then_some(&at), loc_of, held));
                continue;
            }
            let place = place.map(|(c, line)| (c.loc, line));
            let mut finding = match (crossing, &**key == DEFAULT, held) {
                (None, false, true) => Diagnostic::error(CONFLICT, loc, format!("`{key}` is already served by {at}")),
                (None, false, false) => Diagnostic::error(CONFLICT, loc, format!("`{key}` is also claimed by {at}")),
                (None, true, true) => Diagnostic::error(CONFLICT, loc, format!("`default` is already said by {at}")),
                (None, true, false) => Diagnostic::error(CONFLICT, loc, format!("`default` is also said by {at}")),
                (Some(crossing), ..) => {
                    let message =
                        format!("`{key}` and `{against}` of {at} share some hosts, and neither holds the other");
                    let finding = Diagnostic::error(CROSSING, loc, message);
                    match &crossing.witness {
                        Some(host) => finding.witness(format!("GET https://{host}/")),
                        None => finding.note("whether one holds the other cannot be told"),
                    }
                }
            };
            if let Some((loc, _)) = place.filter(|_| texts.contains(*other)) {
                finding = finding.label(loc, if held { "it serves this" } else { "and so does this" });
            }
            if !held {
                finding = finding.note("neither of them served it before, so neither gets it: it answers 503");
            }
            found.push(finding);
        }
        found
    }
}

/// G7001 for listeners of two files. `at` is where the other one is written, which nobody does where the
/// gateway listens by default.
fn overlap(
    claim: &Claim,
    against: &Key,
    other: Option<&Claim>,
    at: Option<&String>,
    label: Option<Loc>,
    held: bool,
) -> Diagnostic {
    let shown = |c: &Claim| c.shown.clone().unwrap_or_else(|| c.key.to_string());
    let own = shown(claim);
    let message = match at {
        Some(at) => format!("`{own}` overlaps with `{}` of {at}", other.map_or_else(|| against.to_string(), shown)),
        None => {
            let gateway = ir::Gateway::default();
            let by_default =
                own_ports(&gateway).filter(|(port, ..)| *What::Port(*port).key() == **against).map(|(_, s, _)| s);
            let by_default = by_default.last().unwrap_or_else(|| against.to_string());
            format!(
                "`{own}` overlaps with `{by_default}`, where the gateway listens while gateway.route says nothing else"
            )
        }
    };
    let mut finding = Diagnostic::error(OVERLAP, claim.loc, message);
    if let Some(loc) = label {
        finding = finding.label(loc, if held { "it has the port" } else { "the other one" });
    }
    if held { finding } else { finding.note("neither of them had the port before, so neither gets it") }
}
