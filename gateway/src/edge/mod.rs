//! What is decided about a request beyond its routes: calls worked out, limits counted, sessions issued.
//!
//! The plan is walked by [`dsl::tree::judge`], which stops where it needs a call that is not known. What
//! a key can tell (tokens, signatures, secrets) is worked out at once; another service is asked by
//! [`crate::http::exchange`], which waits for it. Nothing here waits.
//!
//! INVARIANT: everything fails closed. A call that cannot be worked out is answered 503 unless its
//! program says otherwise, and the content of a secret is in no message.

mod api_keys;
mod calls;
pub mod fetch;
mod json;
mod jwt;
mod keys;
pub mod limit;
mod lines;
pub mod login;
pub mod on_demand;
mod passwords;
pub mod provider;
pub mod relayed;
pub mod replies;
pub mod rules;
mod session;
mod signed;
mod verdicts;
mod walk;

pub use calls::{Later, Question, Worked, work_out};
pub use jwt::Claims;
pub use limit::Holds;
pub use verdicts::Verdicts;
pub use walk::{Walked, Walking};

use crate::limit::Bucketed;
use crate::secrets::Secrets;
use dsl::tree::ir::{ProviderIdx, Session, Site, Step};
use http::HeaderName;
use keys::Ring;
use limit::LimitTable;
use lines::Source;
use login::{Login, Logins};
use on_demand::{Gate, Gates};
use passwords::Passwords;
use provider::{Provider, Providers};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use walk::Written;

/// What is kept over reloads. One per process, asked by the control plane only.
#[derive(Debug, Default)]
pub struct Kept {
    /// Buckets of limits.
    pub limits: LimitTable,
    /// Names that sites with `tls on-demand` know.
    pub gates: Gates,
    /// What refuses requests.
    pub rules: rules::RuleTable,
    /// What services said.
    pub replies: replies::ReplyTable,
    /// What verifies passwords.
    pub passwords: Arc<Passwords>,
    /// Whose keys verify tokens.
    pub providers: Providers,
    /// What logins know together.
    pub logins: Arc<Logins>,
}

pub use keys::unfit;
pub use lines::{users, wrong_lines};
pub use passwords::{Credentials, hashed};

/// What a site needs to carry out its calls, limits and sessions.
pub struct Edge {
    /// Differs between any two.
    id: u64,
    secrets: Arc<Secrets>,
    /// By `CallIdx`; `None` where a call has no keys.
    rings: Box<[Option<Ring>]>,
    /// By `CallIdx`; `None` where a call has no users and no keys of owners.
    lines: Box<[Option<Source>]>,
    passwords: Arc<Passwords>,
    /// By `ProviderIdx`.
    providers: Box<[Arc<Provider>]>,
    /// By `CallIdx`; `None` where a call keeps no answers.
    replies: Box<[Option<Arc<replies::Replies>>]>,
    /// By `ProviderIdx`; `None` for one where nobody logs in.
    logins: Box<[Option<Arc<Login>>]>,
    /// By the address of the step's own, which the site's program holds.
    sessions: ByAddress<Ring>,
    /// Likewise.
    limits: ByAddress<Arc<Bucketed>>,
    /// Likewise.
    edits: ByAddress<Written>,
    /// See [`Edge::identities`].
    identities: Box<[HeaderName]>,
    /// Who may have a certificate, with `tls on-demand`.
    gate: Option<Arc<Gate>>,
}

impl Edge {
    /// For a site of a route file in `dir`, of a tenant's where it is one's. The site must outlive it: the program
    /// has it.
    #[must_use]
    pub fn new(site: &Site, dir: &Path, whose: Option<&Arc<str>>, secrets: &Arc<Secrets>, kept: &Kept) -> Self {
        let ring = |names: &[Arc<str>]| Ring::new(names.to_vec(), Arc::clone(secrets));
        let kinds = || site.calls.iter().map(|call| &call.kind);
        let rings = kinds().map(|kind| (!kind.keys().is_empty()).then(|| ring(kind.keys())));
        let lines = kinds().map(|kind| kind.lines().map(|(lines, value)| Source::new(lines, value, secrets)));
        let identities = site.identities().into_iter();
        static IDS: AtomicU64 = AtomicU64::new(0);
        let providers: Vec<Arc<Provider>> =
            site.providers.iter().map(|provider| kept.providers.intern(provider, dir)).collect();
        let logins = site.providers.iter().zip(&providers);
        let mut edge = Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            secrets: Arc::clone(secrets),
            rings: rings.collect(),
            lines: lines.collect(),
            passwords: Arc::clone(&kept.passwords),
            logins: logins.map(|(says, provider)| Login::new(says, provider, secrets, &kept.logins)).collect(),
            providers: providers.into(),
            replies: kept.replies.of(site, whose),
            sessions: ByAddress::default(),
            limits: ByAddress::default(),
            edits: ByAddress::default(),
            identities: identities.filter_map(|one| HeaderName::from_bytes(one.name.as_bytes()).ok()).collect(),
            gate: kept.gates.intern(site, dir),
        };
        for step in site.plans.iter().flat_map(|plan| &plan.steps) {
            match step {
                Step::Session(session) => {
                    if let Some(key) = session.key() {
                        let key = std::slice::from_ref(key);
                        edge.sessions.entry(address(session)).or_insert_with(|| ring(key));
                    }
                }
                Step::Limit(limit) => {
                    edge.limits.entry(address(limit)).or_insert_with(|| kept.limits.intern(limit, whose));
                }
                Step::Header(edit) => {
                    if !edge.edits.contains_key(&address(edit))
                        && let Some(written) = Written::of(edit)
                    {
                        edge.edits.insert(address(edit), written);
                    }
                }
                Step::Require { .. } => {}
            }
        }
        edge
    }

    /// Identity headers of the site: clients cannot say them to its origins ([`Site::identities`]).
    #[must_use]
    pub fn identities(&self) -> &[HeaderName] {
        &self.identities
    }

    /// A provider of the site.
    #[must_use]
    pub fn provider(&self, at: ProviderIdx) -> Option<&Arc<Provider>> {
        self.providers.get(at.0 as usize)
    }

    /// What logins at a provider of the site need.
    fn login(&self, at: ProviderIdx) -> Option<&Arc<Login>> {
        self.logins.get(at.0 as usize)?.as_ref()
    }

    /// Whether somebody logs in at a provider here.
    #[must_use]
    pub fn has_logins(&self) -> bool {
        self.logins.iter().any(Option::is_some)
    }

    /// Whether a cookie of this name is of a login here: of a session, or of a login that is under way.
    #[must_use]
    pub fn is_of_login(&self, cookie: &[u8]) -> bool {
        self.logins.iter().flatten().any(|login| login.has_cookie(cookie))
    }

    /// Whether a name may have a certificate. Where everybody may, there is nothing to ask.
    #[must_use]
    pub fn certifies(&self, name: &str) -> bool {
        self.gate.as_ref().is_none_or(|gate| gate.allows(name))
    }

    /// Takes a name that has a certificate for allowed, until it is decided about again; `false` where it was
    /// refused of late.
    #[must_use]
    pub fn vouches(&self, name: &str) -> bool {
        self.gate.as_ref().is_some_and(|gate| gate.vouches(name))
    }

    fn session_ring(&self, session: &Arc<Session>) -> Option<&Ring> {
        self.sessions.get(&address(session))
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge").field("limits", &self.limits.len()).finish_non_exhaustive()
    }
}

/// What belongs to steps of a program, by their addresses.
type ByAddress<T> = HashMap<usize, T, BuildHasherDefault<AddressHasher>>;

fn address<T>(shared: &Arc<T>) -> usize {
    Arc::as_ptr(shared) as usize
}

/// Spreads addresses: no client chooses them, so nothing has to be kept from anybody.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write_usize(&mut self, address: usize) {
        let spread = (address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = spread ^ (spread >> 32);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_usize(self.0 as usize ^ usize::from(*byte)));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Since 1970, by the system's clock.
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
