//! What makes two versions of something the same: pools and calls by what they are, not by what they
//! are called or where they stand.

use crate::region::space::{call_key, local_value, localized};
use crate::syntax::span::Loc;
use crate::tree::ir::{
    Answer, ByTable, CallIdx, Cond, Destination, Endpoint, KeyFrom, LimitKey, Mirror, Pool, PoolIdx, ProviderIdx,
    Settings, Site, Value,
};
use std::sync::Arc;

/// The pools and calls of both versions, each once.
#[derive(Debug, Default)]
pub(super) struct Both {
    pools: Vec<Pool>,
    calls: Vec<String>,
    /// How each call is written.
    pub(super) shown: Vec<Arc<str>>,
}

/// The numbers that a site's pools and calls have among those of both versions.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    pools: Vec<PoolIdx>,
    pub(super) calls: Vec<CallIdx>,
    /// The folder of the site's file.
    dir: Arc<str>,
}

impl Both {
    /// Takes the pools and calls of a site in. `dir` is the folder of its file: what files it names lie there.
    pub(super) fn take(&mut self, site: &Site, dir: &Arc<str>) -> Numbers {
        let pools = site.pools.iter().map(|pool| self.pool(pool, dir)).collect();
        let calls = site.calls.iter().map(|call| {
            let key = call_key(site, call);
            let at = self.calls.iter().position(|known| *known == key).unwrap_or_else(|| {
                self.calls.push(key);
                self.shown.push(Arc::clone(&call.shown));
                self.calls.len() - 1
            });
            CallIdx(u32::try_from(at).unwrap_or(u32::MAX))
        });
        Numbers { pools, calls: calls.collect(), dir: Arc::clone(dir) }
    }

    /// A pool that was taken in, without its name.
    pub(super) fn of(&self, pool: PoolIdx) -> Option<&Pool> {
        self.pools.get(pool.0 as usize)
    }

    /// A pool by what it is.
    pub(super) fn pool(&mut self, pool: &Pool, dir: &str) -> PoolIdx {
        let bare = bare(pool, dir);
        let at = self.pools.iter().position(|known| *known == bare).unwrap_or_else(|| {
            self.pools.push(bare);
            self.pools.len() - 1
        });
        PoolIdx(u32::try_from(at).unwrap_or(u32::MAX))
    }
}

/// A pool without its name and places, its files by their place below the sites directory.
fn bare(pool: &Pool, dir: &str) -> Pool {
    let endpoint = |e: &Endpoint| Endpoint { loc: Loc::default(), ..e.clone() };
    let mut out = Pool { name: "".into(), loc: Loc::default(), ..pool.clone() };
    out.endpoints = pool.endpoints.iter().map(endpoint).collect();
    if let Some(tls) = &mut out.tls {
        tls.trust = tls.trust.as_ref().map(|path| below(dir, path));
        tls.client = tls.client.take().map(|(path, key)| {
            let key = match key {
                KeyFrom::File(path) => KeyFrom::File(below(dir, &path)),
                secret @ KeyFrom::Secret(_) => secret,
            };
            (below(dir, &path), key)
        });
    }
    out
}

/// A path as it is below the sites directory, its `.` and `..` taken out.
fn below(dir: &str, path: &str) -> Arc<str> {
    if path.starts_with('/') {
        return path.into();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in dir.split('/').chain(path.split('/')).filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/").into()
}

impl Numbers {
    pub(super) fn cond(&self, cond: &Cond) -> Cond {
        localized(cond, &self.calls)
    }

    pub(super) fn value(&self, value: &Value) -> Value {
        local_value(value, &self.calls)
    }

    pub(super) fn call(&self, call: CallIdx) -> CallIdx {
        self.calls.get(call.0 as usize).copied().unwrap_or(call)
    }

    fn pool(&self, pool: PoolIdx) -> PoolIdx {
        self.pools.get(pool.0 as usize).copied().unwrap_or(pool)
    }

    pub(super) fn answer(&self, answer: &Answer) -> Answer {
        match answer {
            Answer::Redirect { status, to, keep_query } => {
                Answer::Redirect { status: *status, to: self.value(to), keep_query: *keep_query }
            }
            Answer::Respond { status, body, content_type } => {
                Answer::Respond { status: *status, body: self.value(body), content_type: Arc::clone(content_type) }
            }
            Answer::RespondFile { status, path, content_type } => Answer::RespondFile {
                status: *status,
                path: below(&self.dir, path),
                content_type: content_type.clone(),
            },
            Answer::Relay { call } => Answer::Relay { call: self.call(*call) },
            Answer::Deny { status } => Answer::Deny { status: *status },
            // The call says which provider.
            Answer::Visit { does, provider: _, call } => {
                Answer::Visit { does: *does, provider: ProviderIdx(0), call: self.call(*call) }
            }
            Answer::NotFound => Answer::NotFound,
            Answer::Files { dir, index, fallback, at } => Answer::Files {
                dir: below(&self.dir, dir),
                index: Arc::clone(index),
                fallback: fallback.clone(),
                at: at.as_ref().map(|at| self.value(at)),
            },
            Answer::Proxy { to, at, host } => Answer::Proxy {
                to: self.destination(to),
                at: at.as_ref().map(|at| self.value(at)),
                host: host.as_ref().map(|host| self.value(host)),
            },
        }
    }

    fn destination(&self, to: &Destination) -> Destination {
        match to {
            Destination::Pool(pool) => Destination::Pool(self.pool(*pool)),
            Destination::Split { shares, by, salt } => Destination::Split {
                shares: shares.iter().map(|(share, pool)| (*share, self.pool(*pool))).collect(),
                by: by.as_ref().map(|by| self.value(by)),
                // Who is in which share hangs on it only where a key decides.
                salt: if by.is_some() { *salt } else { 0 },
            },
            Destination::Table(by) => Destination::Table(ByTable {
                lookup: Arc::clone(&by.lookup),
                among: by.among.iter().map(|pool| self.pool(*pool)).collect(),
                otherwise: Box::new(self.answer(&by.otherwise)),
            }),
        }
    }

    /// The settings that have a part in an answer.
    pub(super) fn settings(&self, settings: &Settings, proxied: bool) -> Settings {
        let mirror = settings.mirror.map(|mirror| Mirror { pool: self.pool(mirror.pool), ..mirror });
        if proxied {
            Settings { mirror, ..settings.clone() }
        } else {
            let Settings { body_limit, header_limit, .. } = *settings;
            Settings { body_limit, header_limit, ..Settings::default() }
        }
    }

    pub(super) fn key(&self, key: &LimitKey) -> LimitKey {
        LimitKey { value: self.value(&key.value), ..key.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_the_same_by_where_they_lie() {
        for (dir, path, expected) in [
            ("", "public", "public"),
            ("a", "../public", "public"),
            ("a/b", "./x/y", "a/b/x/y"),
            ("a", "/etc/x", "/etc/x"),
        ] {
            assert_eq!(&*below(dir, path), expected);
        }
    }
}
