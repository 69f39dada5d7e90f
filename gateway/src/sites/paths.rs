//! Paths that route files name stay inside their folder, links resolved (LANGUAGE rule 27).

use dsl::diagnostic::Diagnostic;
use dsl::lint;
use dsl::syntax::span::Loc;
use dsl::tree::ir::{Answer, Destination, KeyFrom, Missing, Part, Pool, Provider, Site, Step, Value};
use std::path::{Component, Path};
use std::sync::Arc;

/// Whether `path` lies in `dir`, once links are resolved. What does not exist lies where it is named.
pub fn inside(dir: &Path, path: &Path) -> bool {
    match (dir.canonicalize(), path.canonicalize()) {
        (Ok(dir), Ok(path)) => path.starts_with(dir),
        _ => path.starts_with(dir) && !path.components().any(|c| c == Component::ParentDir),
    }
}

/// Checks what a site's plans name, against the folder of its route file.
pub fn check(site: &Site, dir: &Path, findings: &mut Vec<Diagnostic>) {
    for plan in &site.plans {
        for step in &plan.steps {
            match step {
                Step::Require { otherwise, loc, .. } => answer(otherwise, *loc, dir, findings),
                Step::Header(edit) => values(&edit.value, edit.loc, dir, findings),
                Step::Limit(limit) => limit.key.iter().for_each(|k| values(&k.value, limit.loc, dir, findings)),
                Step::Session(session) => {
                    session.starts().iter().for_each(|s| values(&s.sub, session.loc, dir, findings));
                }
            }
        }
        for catch in &plan.catches {
            answer(&catch.answer, catch.loc, dir, findings);
        }
        answer(&plan.answer, plan.loc, dir, findings);
    }
}

/// Checks what providers name, against the folder of the route file that uses them.
pub fn check_providers(providers: &[Arc<Provider>], dir: &Path, findings: &mut Vec<Diagnostic>) {
    for provider in providers {
        let Some(named) = &provider.trust else { continue };
        let at = dir.join(&**named);
        let finding = if !inside(dir, &at) {
            lint::files::outside(provider.loc, named)
        } else if !at.is_file() {
            let message = format!("there is no file `{named}` beside this file");
            let why = format!("nobody can tell `{}` from somebody else without it", provider.name);
            Diagnostic::error("G8008", provider.loc, message).note(why)
        } else {
            continue;
        };
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
}

/// Checks what pools name, against the folder of the route file that uses them.
pub fn check_pools(pools: &[Arc<Pool>], dir: &Path, findings: &mut Vec<Diagnostic>) {
    for pool in pools {
        let Some(tls) = &pool.tls else { continue };
        let client = tls.client.iter().flat_map(|(certificate, key)| {
            let key = match key {
                KeyFrom::File(named) => Some(named),
                KeyFrom::Secret(_) => None,
            };
            std::iter::once(certificate).chain(key)
        });
        for named in tls.trust.iter().chain(client) {
            let at = dir.join(&**named);
            let finding = if !inside(dir, &at) {
                lint::files::outside(pool.loc, named)
            } else if !at.is_file() {
                // Unlike a page that is not there yet: every connection would fail.
                let message = format!("there is no file `{named}` beside this file");
                let why = format!("pool `{}` cannot make a connection without it", pool.name);
                Diagnostic::error("G8008", pool.loc, message).note(why)
            } else {
                continue;
            };
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
}

fn answer(answer: &Answer, loc: Loc, dir: &Path, findings: &mut Vec<Diagnostic>) {
    match answer {
        Answer::Files { dir: named, at, .. } => {
            path(named, true, loc, dir, findings);
            at.iter().for_each(|v| values(v, loc, dir, findings));
        }
        Answer::RespondFile { path: named, .. } => path(named, false, loc, dir, findings),
        Answer::Redirect { to: value, .. } | Answer::Respond { body: value, .. } => values(value, loc, dir, findings),
        Answer::Proxy { to, at, host } => {
            if let Destination::Table(by) = to {
                self::answer(&by.otherwise, loc, dir, findings);
            }
            at.iter().chain(host).for_each(|v| values(v, loc, dir, findings));
        }
        Answer::Relay { .. } | Answer::Deny { .. } | Answer::Visit { .. } | Answer::NotFound => {}
    }
}

/// Answers stand in values, behind `if missing`.
fn values(value: &Value, loc: Loc, dir: &Path, findings: &mut Vec<Diagnostic>) {
    for part in &value.parts {
        match part {
            Part::Hole { if_missing: Some(missing), .. } => match &**missing {
                Missing::Answer(inner) => answer(inner, loc, dir, findings),
                Missing::Value(inner) => values(inner, loc, dir, findings),
            },
            Part::Hole { if_missing: None, .. } | Part::Text(_) => {}
        }
    }
}

fn path(named: &str, directory: bool, loc: Loc, dir: &Path, findings: &mut Vec<Diagnostic>) {
    let at = dir.join(named);
    let finding = if !inside(dir, &at) {
        lint::files::outside(loc, named)
    } else if directory && !at.is_dir() || !directory && !at.is_file() {
        lint::files::missing(loc, named, directory)
    } else {
        return;
    };
    // One route can be several plans.
    if !findings.contains(&finding) {
        findings.push(finding);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sites::testing::TempDir;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_do_not_lead_out_of_the_folder() {
        let temp = TempDir::new("paths");
        temp.write("sites/public/a.txt", "");
        temp.write("secret/a.txt", "");
        let sites = temp.path().join("sites");
        symlink("../secret", sites.join("link")).unwrap();
        symlink("public", sites.join("current")).unwrap();
        assert!(inside(&sites, &sites.join("public")));
        assert!(inside(&sites, &sites.join("current")));
        assert!(inside(&sites, &sites.join("not-yet")));
        assert!(!inside(&sites, &sites.join("link")));
        assert!(!inside(&sites, &sites.join("../secret")));
        assert!(!inside(&sites, &sites.join("../nowhere")));
        assert!(!inside(&sites, Path::new("/etc")));
    }
}
