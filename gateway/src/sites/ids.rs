//! Numbers for route files: stable while the file exists, used again when it is gone.

use dsl::syntax::span::FileId;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Paths relative to the sites directory, and their numbers.
#[derive(Debug, Default)]
pub struct Ids {
    by_path: HashMap<Arc<Path>, FileId>,
    paths: Vec<Option<Arc<Path>>>,
    free: Vec<u32>,
    /// Files of rows: their numbers begin at [`ROWS`], and are never taken back.
    rows: Mutex<Vec<Arc<Path>>>,
}

/// The first number of files of rows: more route files do not fit in memory.
const ROWS: u32 = 1 << 30;

impl Ids {
    /// The number of a file of rows, given out if it has none.
    pub fn rows(&self, path: &Path) -> FileId {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let at = rows.iter().position(|known| **known == *path).unwrap_or_else(|| {
            rows.push(path.into());
            rows.len() - 1
        });
        FileId(ROWS.saturating_add(u32::try_from(at).unwrap_or(u32::MAX)))
    }

    /// The number of a path that has one.
    pub fn get(&self, path: &Path) -> Option<FileId> {
        self.by_path.get(path).copied()
    }

    /// The path of a number.
    pub fn path(&self, file: FileId) -> Option<&Arc<Path>> {
        self.paths.get(file.0 as usize)?.as_ref()
    }

    /// The number of a path, given out if it has none.
    pub fn add(&mut self, path: &Arc<Path>) -> FileId {
        if let Some(file) = self.get(path) {
            return file;
        }
        let file = match self.free.pop() {
            Some(free) => FileId(free),
            None => {
                self.paths.push(None);
                FileId(u32::try_from(self.paths.len() - 1).expect("four thousand million files do not fit in memory"))
            }
        };
        self.paths[file.0 as usize] = Some(Arc::clone(path));
        self.by_path.insert(Arc::clone(path), file);
        file
    }

    /// Takes a number back.
    pub fn remove(&mut self, file: FileId) {
        if let Some(path) = self.paths.get_mut(file.0 as usize).and_then(Option::take) {
            self.by_path.remove(&path);
            self.free.push(file.0);
        }
    }
}

/// Where an import leads: `./pools` in `team/a.route` is `team/pools.route`, `gateway` is gateway.route. `None` when it leads
/// out of the sites directory.
pub fn import_path(importer: &Path, module: &str) -> Option<PathBuf> {
    if module == "gateway" {
        return Some("gateway.route".into());
    }
    let mut path = importer.parent().map(Path::to_path_buf).unwrap_or_default();
    for part in Path::new(module).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::Normal(name) => path.push(name),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    let name = path.file_name()?.to_str()?.to_owned();
    path.set_file_name(format!("{name}.route"));
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stable_and_used_again() {
        let mut ids = Ids::default();
        let (a, b) = (Arc::from(Path::new("a.route")), Arc::from(Path::new("b.route")));
        let first = ids.add(&a);
        assert_eq!(ids.add(&a), first);
        ids.remove(first);
        assert_eq!((ids.get(&a), ids.path(first)), (None, None));
        assert_eq!(ids.add(&b), first);
    }

    #[test]
    fn imports_stay_inside() {
        let at =
            |importer: &str, module: &str| import_path(Path::new(importer), module).map(|p| p.display().to_string());
        assert_eq!(at("a.route", "./pools").as_deref(), Some("pools.route"));
        assert_eq!(at("team/a.route", "../shared/pools").as_deref(), Some("shared/pools.route"));
        assert_eq!(at("team/a.route", "./v1.2").as_deref(), Some("team/v1.2.route"));
        assert_eq!(at("team/a.route", "../../etc/x"), None);
        assert_eq!(at("a.route", "/etc/x"), None);
    }
}
