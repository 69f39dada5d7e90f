//! Files of rows: who reads them, and new rows for tables that serve. No program is made for them.

use super::{Batch, Install, Loader, Tests, Unit, Why};
use crate::sites::compile::{Compiled, RowsRead, Source, compile};
use crate::sites::digest::Digest;
use crate::sites::paths;
use crate::sites::report::{Event, Refused};
use crate::sites::store::{Change, Version};
use crate::sites::tree::{self, Stamp, Text};
use dsl::Data;
use dsl::diagnostic::Diagnostic;
use dsl::syntax::span::{FileId, Loc, Span};
use dsl::tree::ir::Table;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is known of the files of rows that a file names, by path; `None` for one that could not be read.
pub(super) type Known = BTreeMap<PathBuf, Option<(Option<Stamp>, Digest)>>;

impl<I: Install> Loader<I> {
    /// Notes which files of rows a file asked for.
    pub(super) fn remember_rows(&mut self, file: FileId, compiled: &Compiled) {
        let known: Known = compiled
            .rows
            .iter()
            .map(|(path, read)| (path.clone(), read.as_ref().map(|read| (read.stamp, read.digest))))
            .collect();
        let Some(unit) = self.units.get_mut(&file) else { return };
        let before = std::mem::replace(&mut unit.rows, known);
        let now: Vec<PathBuf> = unit.rows.keys().cloned().collect();
        self.forget_rows(file, before.keys());
        for path in now {
            self.readers.entry(path).or_default().insert(file);
        }
    }

    pub(super) fn forget_rows<'p>(&mut self, file: FileId, paths: impl Iterator<Item = &'p PathBuf>) {
        for path in paths {
            let Some(readers) = self.readers.get_mut(path) else { continue };
            readers.remove(&file);
            if readers.is_empty() {
                self.readers.remove(path);
            }
        }
    }

    /// The files of rows below a directory that do not look as they did when they were read.
    pub fn changed_rows(&self, below: &Path) -> Vec<PathBuf> {
        let same = |path: &PathBuf, files: &std::collections::BTreeSet<FileId>| {
            files.iter().filter_map(|file| self.units.get(file)?.rows.get(path)).all(|known| match known {
                Some((Some(stamp), _)) => stamp.still(&self.places.root.join(path)),
                Some((None, _)) => false,
                None => !self.exists(path),
            })
        };
        let readers = self.readers.iter().filter(|(path, _)| path.starts_with(below));
        readers.filter(|(path, files)| !same(path, files)).map(|(path, _)| path.clone()).collect()
    }

    /// Looks at files of rows. Tables that serve get their new rows; files that do not serve are compiled.
    pub(super) fn look_at_rows(&mut self, touched: &[PathBuf], batch: &mut Batch) {
        for path in touched {
            let readers = self.readers.get(path).cloned().unwrap_or_default();
            if readers.is_empty() {
                continue;
            }
            let read = tree::read_rows(&self.places.root.join(path));
            for file in readers {
                // It reads them itself.
                if !batch.jobs.contains_key(&file) {
                    self.look_at_rows_of(file, path, &read, batch);
                }
            }
        }
    }

    fn look_at_rows_of(&mut self, file: FileId, path: &PathBuf, read: &io::Result<Text>, batch: &mut Batch) {
        let Some(unit) = self.units.get_mut(&file) else { return };
        let now = read.as_ref().ok().map(|read| (Some(read.stamp), read.digest));
        let Some(known) = unit.rows.get_mut(path) else { return };
        let before = std::mem::replace(known, now);
        if before.map(|(_, digest)| digest) == now.map(|(_, digest)| digest) {
            return;
        }
        // What is on disk of the route file does not serve: with these rows it may.
        if unit.good.is_none() || unit.refused.is_some() {
            self.queue(file, Why::Importer, batch);
            return;
        }
        let id = self.ids.rows(path);
        let shown = self.places.show(path);
        let made = match read {
            Ok(read) => {
                let text =
                    if self.is_hidden(file, path) { tree::hidden(&read.text).into() } else { Arc::clone(&read.text) };
                batch.report.texts.insert(id, shown.clone(), text);
                self.new_rows(file, path, id, read)
            }
            Err(e) => {
                batch.report.texts.insert(id, shown.clone(), "".into());
                Err(vec![dsl::lint::files::unreadable(Loc { file: id, span: Span::default() }, &e.to_string())])
            }
        };
        match (made, read) {
            (Ok(made), Ok(read)) => {
                let rows = made.first().map_or(0, |(_, rows)| rows.len());
                for (table, rows) in made {
                    table.replace(Arc::new(rows));
                }
                self.keep_rows(file, path, read.digest, batch);
                self.rows_over(file, batch);
                if !matches!(batch.events.get(&shown), Some(Event::Refused { .. })) {
                    batch.events.insert(shown, Event::Rows(rows));
                }
            }
            (Err(findings), _) => {
                if let Some(why) = Refused::by(&findings, &batch.report.texts) {
                    batch.events.insert(shown, Event::Refused { why, kept: true });
                }
                batch.findings.insert(path.as_path().into(), findings);
            }
            (Ok(_), Err(_)) => {}
        }
    }

    /// Whether nobody is shown the lines of a file of rows.
    fn is_hidden(&self, file: FileId, path: &Path) -> bool {
        let good = self.units.get(&file).and_then(|unit| unit.good.as_ref());
        good.is_some_and(|good| good.tables.iter().any(|(p, table)| p == path && table.schema.value.is_hidden()))
    }

    /// The rows of each table of a file that are read from there.
    fn new_rows(
        &mut self,
        file: FileId,
        path: &Path,
        id: FileId,
        read: &Text,
    ) -> Result<Vec<(Arc<Table>, dsl::tree::rows::Rows)>, Vec<Diagnostic>> {
        let outside = |table: &Table| {
            let named = table.from.as_ref().map_or("", |from| &from.path);
            vec![dsl::lint::files::outside(Loc { file: id, span: Span::default() }, named)]
        };
        let Some(unit) = self.units.get(&file) else { return Ok(Vec::new()) };
        let good = unit.good.iter().flat_map(|good| &good.tables);
        let tables: Vec<Arc<Table>> = good.filter(|(p, _)| p == path).map(|(_, table)| Arc::clone(table)).collect();
        let mut made = Vec::new();
        for table in tables {
            let declarer = table.from.as_ref().and_then(|from| self.ids.path(from.file));
            let dir = declarer.map(|declarer| self.places.dir(declarer));
            if dir.is_some_and(|dir| !paths::inside(&dir, &self.places.root.join(path))) {
                return Err(outside(&table));
            }
            let data = Data { file: id, text: Arc::clone(&read.text) };
            let rows = dsl::read_rows(&table.schema, &data)?;
            made.push((table, rows));
        }
        self.tests_hold(file)?;
        Ok(made)
    }

    /// Runs the tests of a file with the rows that are on disk, if it has any and they decide.
    fn tests_hold(&mut self, file: FileId) -> Result<(), Vec<Diagnostic>> {
        let Some(unit) = self.units.get(&file) else { return Ok(()) };
        let Some(good) = unit.good.as_ref().filter(|good| good.tested && self.tests == Tests::Decide) else {
            return Ok(());
        };
        let (path, digest) = (Arc::clone(&unit.path), good.digest);
        let Some(text) = self.text(unit, digest) else { return Ok(()) };
        let source = Source::parse(file, path, digest, text);
        self.fetch_modules(&source, &BTreeMap::new());
        let mut compiled = compile(&source, &self.ids, &self.modules, &self.places, &self.tenants);
        compiled.test(&self.places);
        if compiled.sound() { Ok(()) } else { Err(compiled.findings) }
    }

    /// Says so where a tenant has more rows now than it may have.
    fn rows_over(&self, file: FileId, batch: &mut Batch) {
        let Some(tenant) = self.units.get(&file).and_then(|unit| self.tenant(&unit.path)) else { return };
        for (what, has, most) in self.over(tenant).into_iter().filter(|(what, ..)| *what == super::tenants::ROWS) {
            batch.report.warnings.push(format!("{} has {has} {what}, and its limit is {most} (G8006)", tenant.name));
        }
    }

    /// The version with these rows is the last good one.
    fn keep_rows(&mut self, file: FileId, path: &Path, digest: Digest, batch: &mut Batch) {
        let Some(unit) = self.units.get(&file) else { return };
        let Some(good) = &unit.good else { return };
        let mut version = Version::clone(&good.version);
        for (import, of) in &mut version.imports {
            if **import == *path {
                *of = digest;
            }
        }
        let mut texts = Vec::new();
        let own = self.text(unit, version.digest).map(|text| (version.digest, text));
        texts.extend(own);
        for (import, digest) in &version.imports {
            let at = self.places.root.join(import);
            let read = if is_rows(import) { tree::read_rows(&at) } else { tree::read(&at) };
            let read = read.ok().filter(|read| read.digest == *digest).map(|read| read.text);
            let stored = || self.store.as_ref()?.text(*digest);
            texts.extend(read.or_else(stored).map(|text| (*digest, text)));
        }
        let version = Arc::new(version);
        batch.changes.push(Change::Good(Arc::clone(&unit.path), Arc::clone(&version), texts));
        if let Some(good) = self.units.get_mut(&file).and_then(|unit| unit.good.as_mut()) {
            good.version = version;
        }
    }

    /// Tables of the same rows share them.
    pub(super) fn share_rows(&self, compiled: &Compiled) {
        let digest = |unit: &Unit<I>, path: &Path| unit.rows.get(path)?.as_ref().map(|(_, digest)| *digest);
        for (path, table) in &compiled.tables {
            let read = compiled.rows.get(path).and_then(|read| read.as_ref().map(|read| read.digest));
            let readers = self.readers.get(path).into_iter().flatten().filter_map(|file| self.units.get(file));
            let same = readers.filter(|unit| unit.refused.is_none() && digest(unit, path) == read);
            let mut serving = same.filter_map(|unit| unit.good.as_ref()).flat_map(|good| &good.tables);
            if let Some((_, other)) = serving.find(|(p, other)| p == path && other.schema == table.schema)
                && other.rows().len() == table.rows().len()
                && other.rows().digest() == table.rows().digest()
            {
                table.replace(Arc::clone(&other.rows()));
            }
        }
    }

    /// Findings in files of rows are shown with their texts.
    pub(super) fn rows_texts(&self, compiled: &Compiled, batch: &mut Batch) {
        for (path, read) in &compiled.rows {
            let Some(RowsRead { file, text, hidden, .. }) = read else { continue };
            let places = |d: &Diagnostic| std::iter::once(&d.primary).chain(&d.labels).any(|l| l.loc.file == *file);
            if compiled.findings.iter().any(places) {
                let shown = if *hidden { tree::hidden(text).into() } else { Arc::clone(text) };
                batch.report.texts.insert(*file, self.places.show(path), shown);
            }
        }
    }
}

/// Whether a path is that of a file of rows.
pub(super) fn is_rows(path: &Path) -> bool {
    path.file_name().is_some_and(tree::is_rows_name)
}
