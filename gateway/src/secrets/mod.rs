//! Secrets: what `secret.NAME` stands for.
//!
//! They come from a directory with a file for each (`gateway { secrets from "DIR" }`; systemd's
//! `$CREDENTIALS_DIRECTORY` where nothing is written), as Kubernetes and systemd lay them out, or from the
//! environment (`secrets from env`), which is read once. The control plane reads files, again when they change;
//! what was read once stays in force until there is something newer.
//!
//! Whoever needs one keeps an `Arc<Secrets>` (a pool's: [`Pools::secrets`](crate::upstream::Pools::secrets))
//! with the name and asks [`Secrets::get`] when the time comes. What is derived from a secret is made
//! again when [`Secrets::version`] is another.
//!
//! INVARIANT: the content of a secret is in no message. [`Secret`] has neither `Debug` nor `Display`.

mod dir;
mod env;
mod equal;

use crate::files::Stamp;
use arc_swap::{ArcSwap, ArcSwapOption};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

pub use equal::{Unguessable, equal};

/// Names a directory of secrets where no route file does; systemd sets it.
pub const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The content of a secret. Its memory is overwritten when it is dropped.
pub struct Secret {
    content: Zeroizing<Vec<u8>>,
    serial: u64,
}

impl Secret {
    /// Of these bytes, which are overwritten when it is dropped.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        Self { content: Zeroizing::new(bytes), serial: SERIAL.fetch_add(1, Ordering::Relaxed) }
    }

    /// A number that no other secret of this process has, nor another content of this one.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Its bytes, for whoever computes with them. They belong in no message.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.content
    }

    /// Whether it is this text, in a time that does not depend on where they differ.
    #[must_use]
    pub fn is(&self, other: &[u8]) -> bool {
        equal(&self.content, other)
    }
}

/// The secrets as they are now. Shared; the data plane asks, the control plane reads.
#[derive(Default)]
pub struct Secrets {
    /// By name. Replaced whole.
    held: ArcSwap<HashMap<Arc<str>, Arc<Secret>>>,
    version: AtomicU64,
    /// Those of the environment, where it may be looked at: by the names of their variables.
    variables: ArcSwapOption<HashMap<String, Arc<Secret>>>,
    source: Mutex<Source>,
}

#[derive(Default)]
struct Source {
    /// Where nothing is written.
    default: Option<PathBuf>,
    dir: Option<PathBuf>,
    /// What was read last, by file.
    stamps: BTreeMap<PathBuf, Stamp>,
    /// Why there is nothing of a name, or nothing new; the directory's own trouble under an empty name.
    troubles: BTreeMap<String, String>,
}

/// What a look at the directory brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Names that have another content than before, or one for the first time, sorted.
    pub new: Vec<Arc<str>>,
    /// What to tell the operator: secrets that were read before and cannot be any more.
    pub words: Vec<String>,
}

impl Secrets {
    /// None yet. `default` is the directory to read where no route file names one.
    #[must_use]
    pub fn new(default: Option<PathBuf>) -> Self {
        let source = Source { default: default.clone(), dir: default, ..Source::default() };
        Self { source: Mutex::new(source), ..Self::default() }
    }

    /// None yet, with the default directory that the environment names.
    #[must_use]
    pub fn of_environment() -> Self {
        Self::new(std::env::var_os(DIRECTORY).filter(|dir| !dir.is_empty()).map(PathBuf::from))
    }

    /// What a name stands for now. `None` where nothing of it could be read so far: a file that names it
    /// is not loaded then, so that only a last good version from before a restart gets to see it. Whoever
    /// does must not go on without what the secret protects.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Secret>> {
        let file = self.held.load().get(name).cloned();
        file.or_else(|| self.variables.load().as_ref()?.get(&env::variable(name)?).cloned())
    }

    /// Another number whenever a secret has another content.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Whether there is a directory to look at.
    #[must_use]
    pub fn has_directory(&self) -> bool {
        self.source().dir.is_some()
    }

    /// Reads from this directory from now on; from the default one with `None`. What was read elsewhere
    /// stays in force for names that are not here.
    pub fn read_from(&self, dir: Option<PathBuf>) -> Looked {
        let mut source = self.source();
        let dir = dir.or_else(|| source.default.clone());
        if dir != source.dir {
            source.dir = dir;
            source.stamps.clear();
            source.troubles.clear();
        }
        self.read(&mut source)
    }

    /// Whether what no file has is looked for in the environment from now on.
    pub fn in_environment(&self, allowed: bool) {
        let known = self.variables.load().is_some();
        if allowed != known {
            self.variables.store(allowed.then(|| Arc::new(env::all())));
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Reads what changed.
    pub fn look(&self) -> Looked {
        self.read(&mut self.source())
    }

    /// Why [`Secrets::get`] has nothing of a name, in words for the operator.
    #[must_use]
    pub fn why_not(&self, name: &str) -> String {
        let source = self.source();
        let variable = self.variables.load().is_some().then(|| env::variable(name));
        match (&source.dir, source.troubles.get(name).or_else(|| source.troubles.get(""))) {
            (None, _) if variable.is_some() => no_variable(variable.flatten().as_deref()),
            (None, _) => "nothing says where secrets are: write `secrets from \"DIR\"` in `gateway { … }`".to_owned(),
            (Some(_), Some(trouble)) => trouble.clone(),
            (Some(dir), None) => {
                let no_file = format!("there is no file `{name}` in {}", dir.display());
                match variable {
                    Some(variable) => format!("{no_file}, and {}", no_variable(variable.as_deref())),
                    None => no_file,
                }
            }
        }
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, source: &mut Source) -> Looked {
        let mut looked = Looked::default();
        let Some(dir) = source.dir.clone() else { return looked };
        let held = self.held.load_full();
        let mut troubles = BTreeMap::new();
        let files = match dir::files(&dir) {
            Ok(files) => files,
            Err(why) => {
                let why = format!("{}: {why}", dir.display());
                if !held.is_empty() && !source.troubles.contains_key("") {
                    looked.words.push(format!("secrets: {why}; those that were read before go on"));
                }
                source.troubles = BTreeMap::from([(String::new(), why)]);
                return looked;
            }
        };
        let mut next = HashMap::clone(&held);
        let mut stamps = BTreeMap::new();
        for (name, file) in &files {
            let stamp = Stamp::of(file);
            let known = stamp.is_some() && source.stamps.get(file) == stamp.as_ref();
            match known.then(|| source.troubles.get(&**name)) {
                // As it was read last.
                Some(before) => troubles.extend(before.map(|why| (name.to_string(), why.clone()))),
                None => match dir::read(file) {
                    Ok(content) if next.get(name).is_some_and(|before| before.is(content.bytes())) => {}
                    Ok(content) => {
                        next.insert(Arc::clone(name), Arc::new(content));
                        looked.new.push(Arc::clone(name));
                    }
                    Err(why) => {
                        troubles.insert(name.to_string(), format!("{}: {why}", file.display()));
                    }
                },
            }
            stamps.extend(stamp.map(|stamp| (file.clone(), stamp)));
        }
        for name in held.keys().filter(|name| !files.contains_key(*name)) {
            troubles.insert(name.to_string(), format!("there is no file `{name}` in {} any more", dir.display()));
        }
        let read_before = |name: &&String| held.contains_key(name.as_str()) && !source.troubles.contains_key(*name);
        for name in troubles.keys().filter(read_before) {
            looked.words.push(format!("secret {name}: {}; what was read before goes on", troubles[name]));
        }
        source.stamps = stamps;
        source.troubles = troubles;
        if !looked.new.is_empty() {
            looked.new.sort();
            self.held.store(Arc::new(next));
            self.version.fetch_add(1, Ordering::Release);
        }
        looked
    }
}

fn no_variable(variable: Option<&str>) -> String {
    match variable {
        Some(variable) => format!("the environment has no variable {variable}"),
        None => "no variable of the environment can stand for it".to_owned(),
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("version", &self.version()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
