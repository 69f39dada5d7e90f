//! The standard library: modules of the language that are part of the program.

use crate::Parsed;
use crate::syntax::span::FileId;
use std::sync::{Arc, OnceLock};

/// Name, path to show, text.
const SOURCES: &[(&str, &str, &str)] = &[
    ("auth", "std/auth.route", include_str!("../../../stdlib/auth.route")),
    ("bots", "std/bots.route", include_str!("../../../stdlib/bots.route")),
    ("canary", "std/canary.route", include_str!("../../../stdlib/canary.route")),
    ("cors", "std/cors.route", include_str!("../../../stdlib/cors.route")),
    ("maintenance", "std/maintenance.route", include_str!("../../../stdlib/maintenance.route")),
    ("tenants", "std/tenants.route", include_str!("../../../stdlib/tenants.route")),
    ("waf", "std/waf.route", include_str!("../../../stdlib/waf.route")),
    ("web", "std/web.route", include_str!("../../../stdlib/web.route")),
];

/// Files of the standard library are numbered from the top down, out of the way of the caller's.
fn file(index: usize) -> FileId {
    FileId(u32::MAX - u32::try_from(index).unwrap_or(0))
}

/// The modules' names, without `std/`.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SOURCES.iter().map(|(name, _, _)| *name)
}

/// A module by its name without `std/`.
pub(crate) fn module(name: &str) -> Option<Arc<Parsed>> {
    static PARSED: OnceLock<Vec<Arc<Parsed>>> = OnceLock::new();
    let index = SOURCES.iter().position(|(n, _, _)| *n == name)?;
    let all = PARSED.get_or_init(|| {
        SOURCES.iter().enumerate().map(|(i, (_, _, text))| Arc::new(crate::syntax::parse(file(i), text))).collect()
    });
    Some(Arc::clone(&all[index]))
}

/// The path to show and the text behind a file number of the standard library; callers consult it
/// for the numbers that they did not give out themselves.
pub fn source(id: FileId) -> Option<(&'static str, &'static str)> {
    let index = usize::try_from(u32::MAX - id.0).ok()?;
    SOURCES.get(index).map(|(_, path, text)| (*path, *text))
}

/// Every file of the standard library: its number, the path to show, its text.
pub fn files() -> impl Iterator<Item = (FileId, &'static str, &'static str)> {
    SOURCES.iter().enumerate().map(|(i, (_, path, text))| (file(i), *path, *text))
}
