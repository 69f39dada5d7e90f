//! Identity headers: what a site tells its origins of who asks.
//!
//! Nobody but who fills them may say them: they are taken from every request of the site that goes to a pool,
//! whether the policies that fill them ran or not.

use super::{CallKind, Field, KeyText, Missing, Part, Site, Value};
use crate::syntax::ast::Side;
use crate::syntax::span::Loc;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A header that clients cannot say to the origins of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// In lower case.
    pub name: Arc<str>,
    /// Who says it, for people: `ask(control, GET /verify)`, `who.sub` of a token, a certificate.
    pub by: Arc<str>,
    /// The line that first says so.
    pub loc: Loc,
}

impl Site {
    /// Headers that an `ask` copies from its answer (LANGUAGE rule 20), and those that `set` or `add` fills from
    /// what a call says or from the client's certificate; each name once.
    #[must_use]
    pub fn identities(&self) -> Vec<Identity> {
        let mut known: BTreeSet<&str> = BTreeSet::new();
        let mut all = Vec::new();
        for call in &self.calls {
            let CallKind::Ask(ask) = &call.kind else { continue };
            for name in ask.copy.iter().filter(|name| known.insert(name)) {
                all.push(Identity { name: Arc::clone(name), by: Arc::clone(&call.shown), loc: call.loc });
            }
        }
        for step in self.plans.iter().flat_map(|plan| &plan.steps) {
            let Some(edit) = step.writes(Side::Request) else { continue };
            if !known.contains(&*edit.name)
                && let Some(by) = self.says_who(&edit.value)
            {
                known.insert(&edit.name);
                all.push(Identity { name: Arc::clone(&edit.name), by, loc: edit.loc });
            }
        }
        all
    }

    /// What of a value tells who asks.
    fn says_who(&self, value: &Value) -> Option<Arc<str>> {
        value.parts.iter().find_map(|part| {
            let Part::Hole { field, if_missing, .. } = part else { return None };
            self.is_who(field).or_else(|| match if_missing.as_deref() {
                Some(Missing::Value(value)) => self.says_who(value),
                Some(Missing::Answer(_)) | None => None,
            })
        })
    }

    fn is_who(&self, field: &Field) -> Option<Arc<str>> {
        match field {
            Field::Call(call, shown) => match &self.calls.get(call.0 as usize)?.kind {
                // Whether a path or a secret is right says nothing of a person.
                CallKind::Signed(_) | CallKind::Secret(_) => None,
                _ => Some(Arc::clone(shown)),
            },
            Field::Claim(call, _) => Some(Arc::clone(&self.calls.get(call.0 as usize)?.shown)),
            Field::TlsCert(part) => Some(part.to_string().into()),
            Field::Row(lookup) => lookup.key.iter().find_map(|part| match part {
                KeyText::Field { field, .. } => self.is_who(field),
                KeyText::Text(_) => None,
            }),
            _ => None,
        }
    }
}

/// Whether origins may read two names of headers as one: many put `_` in the place of whatever is neither a
/// letter nor a digit (RFC 3875 section 4.1.18). Names in lower case.
#[must_use]
pub fn alike(a: &str, b: &str) -> bool {
    let folds = |byte: u8| !byte.is_ascii_alphanumeric();
    a.len() == b.len() && a.bytes().zip(b.bytes()).all(|(a, b)| a == b || (folds(a) && folds(b)))
}

#[cfg(test)]
mod tests {
    use super::alike;

    #[test]
    fn names_that_a_cgi_variable_has_in_common_are_alike() {
        for other in ["x-user", "x_user", "x.user", "x!user"] {
            assert!(alike("x-user", other) && alike(other, "x-user"), "{other}");
        }
        for other in ["xuser", "x-use", "x-users", "y-user", "x-uses", "xauser"] {
            assert!(!alike("x-user", other) && !alike(other, "x-user"), "{other}");
        }
    }
}
