//! Forms that the grammar knows and this version cannot honour: using one is G0002, never ignored.

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// A form of the language whose effect comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// As it is written: `limit … per KEY`.
    pub form: &'static str,
    /// What it will do.
    pub does: &'static str,
    /// The name that messages use: `limit`.
    pub name: &'static str,
}

/// The list. The table in the README is made of it.
const FORMS: &[Form] = &[
    form("compress", "compress […]", "compress answers"),
    form("cache", "cache …", "keep answers"),
    form("queue", "queue …", "hold requests back under load"),
    form("h3", "h3 on", "speak HTTP/3"),
    form("store", "store \"…\"", "choose where state is kept"),
    form("admin", "admin …", "open an administration socket"),
];

const fn form(name: &'static str, form: &'static str, does: &'static str) -> Form {
    Form { form, does, name }
}

/// The forms that this version refuses, in the order of the README's table.
pub fn forms() -> &'static [Form] {
    FORMS
}

/// The error at a use of the form called `name`; none where the list has no such form: it is carried out.
pub(crate) fn refuse(name: &'static str, loc: Loc) -> Option<Diagnostic> {
    let form = FORMS.iter().find(|form| form.name == name)?;
    let d = Diagnostic::error("G0002", loc, format!("`{name}` is not supported by this version"));
    Some(d.note(format!("a later version will {}", form.does)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_listed_once() {
        let mut names: Vec<_> = forms().iter().map(|f| f.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
