//! Calls, limits and sessions, over real sockets: sites built by hand.

mod answered;
mod ask;
mod limits;
mod on_demand;
mod passwords;
mod tokens;

use super::support::{Rig, plan, proxy, site};
use aws_lc_rs::hmac;
use dsl::syntax::ast::{HeaderOp, Side};
use dsl::syntax::span::Loc;
use dsl::tree::ir::{
    self, Answer, Call, CallIdx, CallKind, Cond, Encode, Field, HeaderEdit, KeySource, Part, Plan, Step, Test,
    Transform, Value,
};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// 32 bytes.
pub const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The value of a field, as it is.
pub fn hole(field: Field) -> Value {
    encoded(field, Encode::Plain)
}

/// The same, for a place.
pub fn encoded(field: Field, encode: Encode) -> Value {
    Value { parts: vec![Part::Hole { field, transform: Transform::None, encode, if_missing: None }] }
}

pub fn header(name: &str) -> Value {
    hole(Field::Header(name.into()))
}

/// A call that says yes.
pub fn yes(call: u32) -> Cond {
    Cond::Test(Field::Call(CallIdx(call), "call".into()), Test::Present)
}

/// `require call else deny 401`
pub fn require(call: u32) -> Step {
    Step::Require { cond: yes(call), otherwise: Answer::Deny { status: 401 }, loc: Loc::default() }
}

/// `set request header NAME = {claim}`
pub fn claim(call: u32, claim: &str, name: &str) -> Step {
    let value = encoded(Field::Claim(CallIdx(call), claim.into()), Encode::Header);
    set(name, value)
}

/// `set request header NAME = VALUE`
pub fn set(name: &str, value: Value) -> Step {
    let (op, side, name) = (HeaderOp::Set, Side::Request, name.into());
    Step::Header(Arc::new(HeaderEdit { op, side, name, value, when: Cond::Const(true), loc: Loc::default() }))
}

/// A plan with policies.
pub fn after(steps: Vec<Step>, answer: Answer) -> Plan {
    Plan { steps, ..plan(answer) }
}

pub fn call(kind: CallKind, shown: &str) -> Arc<Call> {
    Arc::new(Call { kind, shown: shown.into(), loc: Loc::default(), relayed: false })
}

/// `jwt(header.x-token, key: secret.key, …)`
pub fn jwt() -> ir::Jwt {
    ir::Jwt {
        token: header("x-token"),
        keys: KeySource::Secrets(vec!["key".into()]),
        endless: false,
        nbf: false,
        algorithms: vec![
            ir::Algorithm::Hs256,
            ir::Algorithm::Rs256,
            ir::Algorithm::Ps256,
            ir::Algorithm::Es256,
            ir::Algorithm::EdDsa,
        ],
        issuer: None,
        audience: None,
        leeway_ms: 0,
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// base64url without padding.
pub fn base64url(bytes: &[u8]) -> String {
    let letter =
        |n: u32| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[n as usize & 63]);
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let group = three.iter().fold(0, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        text.extend((0..=three.len()).map(|at| letter(group >> (18 - 6 * at))));
    }
    text
}

pub fn hmac_of(key: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    base64url(hmac::sign(&key, text.as_bytes()).as_ref())
}

/// A token with this head and body, signed with HMAC.
pub fn token(head: &str, body: &str, key: &str) -> String {
    let text = format!("{}.{}", base64url(head.as_bytes()), base64url(body.as_bytes()));
    let signature = hmac_of(key, &text);
    format!("{text}.{signature}")
}

/// GET with these headers; the status.
pub fn status(rig: &Rig, path: &str, headers: &str) -> u16 {
    rig.ask(&format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n")).status
}

/// A site whose every request passes these policies on its way to an origin.
pub fn guarded(calls: Vec<Arc<Call>>, steps: Vec<Step>, pools: Vec<ir::Pool>) -> ir::Site {
    let mut guarded = site(vec![("/*", after(steps, proxy()))], pools);
    guarded.calls = calls;
    guarded
}
