//! What the tests of the checker and of the lints share: files in memory, compiled and rendered.

use dsl::diagnostic::{Diagnostic, Edit, Severity, Sources, render};
use dsl::syntax::span::FileId;
use dsl::{Compiled, Modules, Parsed, Unit};
use std::sync::Arc;

/// Files that import each other: paths and texts, by number. The first is the one that is compiled.
#[derive(Clone, Debug, Default)]
pub struct Files(pub Vec<(String, String)>);

impl Files {
    /// One file.
    pub fn one(path: &str, text: &str) -> Self {
        Self(vec![(path.to_owned(), text.to_owned())])
    }

    /// Compiles a file of these by its number.
    pub fn compile(&self, number: u32) -> Compiled {
        let (path, text) = &self.0[number as usize];
        let gateway = path.ends_with("gateway.route");
        dsl::compile(&Unit { file: FileId(number), path, text, gateway, modules: self })
    }

    /// As the command prints it.
    pub fn render(&self, diagnostics: &[Diagnostic]) -> String {
        render::full(diagnostics, self, false)
    }

    /// With an edit made.
    pub fn edited(&self, edit: &Edit) -> Self {
        let mut files = self.clone();
        let text = &mut files.0[edit.loc.file.0 as usize].1;
        text.replace_range(edit.loc.span.range(), &edit.text);
        files
    }
}

impl Modules for Files {
    fn find(&self, importer: FileId, module: &str) -> Result<Arc<Parsed>, String> {
        let (from, _) = &self.0[importer.0 as usize];
        let mut parts: Vec<&str> = from.split('/').collect();
        parts.pop();
        for part in module.split('/') {
            match part {
                "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        let path = format!("{}.route", parts.join("/"));
        let at = self.0.iter().position(|(p, _)| *p == path).ok_or(format!("{path} does not exist"))?;
        let file = FileId(u32::try_from(at).unwrap());
        Ok(Arc::new(dsl::syntax::parse(file, &self.0[at].1)))
    }
}

impl Sources for Files {
    fn source(&self, file: FileId) -> Option<(&str, &str)> {
        match self.0.get(file.0 as usize) {
            Some((path, text)) => Some((path, text)),
            None => dsl::stdlib::source(file),
        }
    }
}

/// Compiles one file alone.
pub fn compile(text: &str) -> Compiled {
    Files::one("sites/a.route", text).compile(0)
}

/// The codes of the findings of one file, in source order.
pub fn codes(text: &str) -> Vec<&'static str> {
    compile(text).diagnostics.iter().map(|d| d.code).collect()
}

/// One file alone, which must be without errors.
pub fn sound(text: &str) -> Compiled {
    let files = Files::one("sites/a.route", text);
    let compiled = files.compile(0);
    let errors: Vec<Diagnostic> =
        compiled.diagnostics.iter().filter(|d| d.severity == Severity::Error).cloned().collect();
    assert!(errors.is_empty(), "{}", files.render(&errors));
    compiled
}
