//! Calls: what a request is asked of somebody else, or of a key: tokens, signatures, secrets, other services.
//!
//! To decisions and to the analysis a call is a yes or a no about which nothing more is known. Whoever
//! walks a plan works it out when it is first read, once for each request, and goes on.

use super::{PoolIdx, ProviderIdx, Table, Value, ValueType};
use crate::body;
use crate::syntax::ast::VisitDoes;
use crate::syntax::span::Loc;
use std::fmt;
use std::sync::Arc;

/// Index into [`Site::calls`](super::Site::calls).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CallIdx(pub u32);

/// A call, the same wherever it is written the same in a site.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What is asked.
    pub kind: CallKind,
    /// As it is shown: `jwt(cookie.sid, …)`.
    pub shown: Arc<str>,
    /// Where it was first written.
    pub loc: Loc,
    /// Whether an answer passes on what is said (`respond verdict`): a redirect is a no then, and the answer is kept
    /// until the client has it.
    pub relayed: bool,
}

impl Call {
    /// The secrets that it names.
    #[must_use]
    pub fn secrets(&self) -> &[Arc<str>] {
        match (&self.kind, self.kind.lines()) {
            (CallKind::Secret(test), _) => std::slice::from_ref(&test.secret),
            (_, Some((lines, _))) => lines.secret(),
            (kind, None) => kind.keys(),
        }
    }
}

/// What a call asks.
#[derive(Clone, Debug, PartialEq)]
pub enum CallKind {
    /// `jwt(token, key: …)`
    Jwt(Jwt),
    /// `signed(…)`
    Signed(Signed),
    /// `header.k is secret.x`, `header.k in secret.keys`: compared in constant time (LANGUAGE rule 23).
    Secret(SecretTest),
    /// `ask(pool, GET /path)`
    Ask(Ask),
    /// `session(corp)`
    Session(LoggedIn),
    /// What `login corp` and `logout corp` answer. No condition reads it.
    Visit(ProviderIdx, VisitDoes),
    /// `password("users.htpasswd")`
    Password(Password),
    /// `api-key(header.x-api-key, "keys.csv")`
    ApiKey(ApiKey),
    /// `body.json("/user/role")`, `body.text`: a part of the request's body
    Body(body::Part),
}

impl CallKind {
    /// Whether it is waited for: in a guard it comes behind its block's policies then (LANGUAGE rule 4). A password
    /// is, since its hash costs more than all else that a request is asked.
    #[must_use]
    pub fn waits(&self) -> bool {
        match self {
            Self::Ask(_) | Self::Body(_) | Self::Password(_) => true,
            Self::Jwt(_) | Self::Signed(_) | Self::Secret(_) | Self::ApiKey(_) | Self::Session(_) | Self::Visit(..) => {
                false
            }
        }
    }

    /// The values that it reads of a request, in the order in which they are written.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        let (first, more, per): (Option<&Value>, [Option<&Value>; 2], &[Value]) = match self {
            Self::Jwt(jwt) => (Some(&jwt.token), [jwt.issuer.as_ref(), jwt.audience.as_ref()], &[]),
            Self::Signed(signed) => (Some(&signed.text), [Some(&signed.signature), signed.expires.as_ref()], &[]),
            Self::Secret(test) => (Some(&test.value), [None; 2], &[]),
            Self::Password(password) => (Some(&password.credentials), [None; 2], &[]),
            Self::ApiKey(key) => (Some(&key.key), [None; 2], &[]),
            Self::Ask(ask) => (Some(&ask.at), [None; 2], ask.keep.as_ref().map_or(&[], |keep| &keep.per)),
            Self::Session(session) => (Some(&session.cookie), [None; 2], &[]),
            Self::Body(_) | Self::Visit(..) => (None, [None; 2], &[]),
        };
        first.into_iter().chain(more.into_iter().flatten()).chain(per)
    }

    /// Names of the secrets whose lines are keys that verify what a request brings.
    #[must_use]
    pub fn keys(&self) -> &[Arc<str>] {
        match self {
            Self::Jwt(jwt) => jwt.keys.secrets(),
            Self::Signed(signed) => &signed.keys,
            Self::Secret(_)
            | Self::Ask(_)
            | Self::Password(_)
            | Self::ApiKey(_)
            | Self::Body(_)
            | Self::Session(_)
            | Self::Visit(..) => &[],
        }
    }

    /// The lines that what a request brings is looked up in, and what their values are.
    #[must_use]
    pub fn lines(&self) -> Option<(&Lines, ValueType)> {
        match self {
            Self::Password(password) => Some((&password.users, ValueType::Hash)),
            Self::ApiKey(key) => Some((&key.keys, ValueType::Owner)),
            Self::Jwt(_)
            | Self::Signed(_)
            | Self::Secret(_)
            | Self::Ask(_)
            | Self::Body(_)
            | Self::Session(_)
            | Self::Visit(..) => None,
        }
    }

    /// The question to another service that it is.
    #[must_use]
    pub fn ask(&self) -> Option<&Ask> {
        match self {
            Self::Ask(ask) => Some(ask),
            _ => None,
        }
    }
}

/// Who logged in at a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedIn {
    /// Which one.
    pub provider: ProviderIdx,
    /// The cookie that its session lies in; no when it is missing.
    pub cookie: Value,
}

/// A token to be verified (RFC 7519).
#[derive(Clone, Debug, PartialEq)]
pub struct Jwt {
    /// The token; no when it is missing.
    pub token: Value,
    /// What it is verified with.
    pub keys: KeySource,
    /// Algorithms that are accepted; the kind of the key bounds them further. Never empty, never `none`.
    pub algorithms: Vec<Algorithm>,
    /// What `iss` must be.
    pub issuer: Option<Value>,
    /// What `aud` must be, or have among others.
    pub audience: Option<Value>,
    /// `exp: optional`: a token without `exp` holds too.
    pub endless: bool,
    /// `nbf: required`: a token without `nbf` does not hold.
    pub nbf: bool,
    /// By how much clocks may differ, milliseconds.
    pub leeway_ms: u64,
}

/// What a token is verified with.
#[derive(Clone, Debug, PartialEq)]
pub enum KeySource {
    /// Secrets whose lines are keys, by name: all verify. Never empty.
    Secrets(Vec<Arc<str>>),
    /// The keys that a provider publishes.
    Provider(ProviderIdx),
}

impl KeySource {
    /// The secrets, by name.
    #[must_use]
    pub fn secrets(&self) -> &[Arc<str>] {
        match self {
            Self::Secrets(names) => names,
            Self::Provider(_) => &[],
        }
    }
}

/// How a token is signed (RFC 7518 section 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// A text that carries a signature of itself: HMAC with SHA-256, base64url without padding.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed {
    /// What was signed.
    pub text: Value,
    /// The signature; no when it is missing.
    pub signature: Value,
    /// Until when it holds, seconds since 1970; no when it has passed or is no number. Part of what was signed.
    pub expires: Option<Value>,
    /// Names of the secrets whose lines are keys.
    pub keys: Vec<Arc<str>>,
}

/// A value that is compared with secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct SecretTest {
    /// The value; no when it is missing.
    pub value: Value,
    /// The secret.
    pub secret: Arc<str>,
    /// `in`: any line of the secret; else its whole content.
    pub any_line: bool,
}

/// A question to another service: 2xx is yes, 4xx no, anything else failed (LANGUAGE rule 20).
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Whom.
    pub pool: PoolIdx,
    /// The method: `GET` or `HEAD` where none is written.
    pub method: Arc<str>,
    /// The path that is asked for.
    pub at: Value,
    /// Until the head of the answer, milliseconds.
    pub within_ms: u64,
    /// Headers, in lower case, that are deleted from the request, then copied from the answer.
    pub copy: Vec<Arc<str>>,
    /// What a failure counts as; 503 without it.
    pub failed: Option<bool>,
    /// For how long, and by what, answers are kept; not at all without it.
    pub keep: Option<Keep>,
}

/// `keep: 30s, per: cookie.sid`
#[derive(Clone, Debug, PartialEq)]
pub struct Keep {
    /// For how long a yes or a no holds, milliseconds.
    pub for_ms: u64,
    /// What requests that get the same answer have in common, beside host and path of the question. Where one of
    /// them is missing, the service is asked each time.
    pub per: Vec<Value>,
}

/// The name and password that a request brings (RFC 7617), compared with those of users, whose passwords are hashed.
#[derive(Clone, Debug, PartialEq)]
pub struct Password {
    /// `Authorization`; no when it is missing.
    pub credentials: Value,
    /// The users, a line each: `name:hash`.
    pub users: Lines,
}

/// A key of an owner's, looked up among those that there are by its hash.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    /// The key; no when it is missing.
    pub key: Value,
    /// The keys, a line each: `sha256,owner,scopes`.
    pub keys: Lines,
}

/// Lines that stand outside of route files, and change without them.
#[derive(Clone, Debug, PartialEq)]
pub enum Lines {
    /// Of a secret.
    Secret(Arc<str>),
    /// Of a file, read as a table's rows are.
    File(Arc<Table>),
}

impl Lines {
    /// The secret that they are, where they are one.
    #[must_use]
    pub fn secret(&self) -> &[Arc<str>] {
        match self {
            Self::Secret(name) => std::slice::from_ref(name),
            Self::File(_) => &[],
        }
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(name) => write!(f, "secret.{name}"),
            Self::File(table) => write!(f, "\"{}\"", table.from.as_ref().map_or("", |from| &from.path)),
        }
    }
}
