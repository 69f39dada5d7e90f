//! `sticky cookie`: read from the request and taken out of it, written to the answer.

use super::cookies;
use crate::http::forward::Job;
use crate::upstream::{EndpointHandle, Outcome, Sticky, Whom};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};
use std::time::SystemTime;

/// What a visitor of a sticky pool brought.
#[derive(Clone, Copy, Debug)]
pub struct Brought {
    /// Whom the cookie names, if there is one that holds.
    pub whom: Option<Whom>,
    /// Whether the visitor speaks TLS, to us or to a proxy that is trusted.
    pub secure: bool,
}

/// Takes the pool's cookie out of a request: it is nobody else's business, and the others stay as they
/// are. Of two that differ in anything somebody may have put one there: neither counts.
pub(super) fn take(headers: &mut HeaderMap, sticky: &Sticky) -> Option<Whom> {
    let own = sticky.cookie().as_bytes();
    let found = cookies::take(headers, |name| name == own);
    match found.as_slice() {
        [one] => sticky.open(one.trim_ascii(), SystemTime::now()),
        _ => None,
    }
}

/// Tells a visitor who answered with this status, where the pool is sticky.
pub(super) fn keep(job: &Job, headers: &mut HeaderMap, status: StatusCode, answered: &EndpointHandle) {
    if let (Some(sticky), Some(brought)) = (job.pool.sticky(), job.brought()) {
        give(headers, status, sticky, brought, answered);
    }
}

/// Tells a visitor who answered, unless that is whom its cookie names. Who fails keeps nobody.
fn give(headers: &mut HeaderMap, status: StatusCode, sticky: &Sticky, brought: Brought, answered: &EndpointHandle) {
    let whom = Whom::of(answered);
    if brought.whom == Some(whom) || Outcome::Answered(status.as_u16()).failed() {
        return;
    }
    let Some(sealed) = sticky.seal(whom, SystemTime::now()) else { return };
    let mut text = format!("{}={sealed}; Path=/; HttpOnly; SameSite=Lax", sticky.cookie());
    if brought.secure {
        text.push_str("; Secure");
    }
    if let Some(seconds) = sticky.max_age() {
        text.push_str(&format!("; Max-Age={seconds}"));
    }
    // A token and base64url.
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.append(SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{PoolHandle, Pools, testing};
    use dsl::tree::ir;
    use http::header::COOKIE;
    use std::path::Path;
    use std::sync::Arc;

    fn pool() -> Arc<PoolHandle> {
        let mut pool = testing::pool("shop", 2);
        pool.sticky = Some(ir::Sticky { cookie: "route".into(), secret: None, for_ms: Some(43_200_000) });
        Pools::new(1).intern(&Arc::new(pool), Path::new(""))
    }

    fn request(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_str(line).unwrap())).collect()
    }

    fn lines(headers: &HeaderMap) -> Vec<&str> {
        headers.get_all(COOKIE).iter().map(|line| line.to_str().unwrap()).collect()
    }

    #[test]
    fn a_visitor_is_told_once_and_known_again() {
        let pool = pool();
        let sticky = pool.sticky().unwrap();
        let members = pool.members();
        let give = |whom, secure, index: usize| {
            let mut headers = HeaderMap::new();
            super::give(&mut headers, StatusCode::OK, sticky, Brought { whom, secure }, members.endpoint(index));
            headers
        };
        let response = give(None, true, 1);
        let set = response[SET_COOKIE].to_str().unwrap().to_owned();
        let (cookie, attributes) = set.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=43200");
        let mut headers = request(&[&format!("a=1; {cookie};b=2"), "c=3"]);
        let whom = take(&mut headers, sticky);
        assert_eq!(whom, Some(Whom::of(members.endpoint(1))));
        assert_eq!(lines(&headers), ["a=1; b=2", "c=3"], "the others' stay");
        assert!(give(whom, true, 1).is_empty());
        let other = give(whom, false, 0);
        assert!(!other[SET_COOKIE].to_str().unwrap().contains("Secure"), "on a clear port it could not be sent");
    }

    #[test]
    fn who_fails_keeps_nobody() {
        let pool = pool();
        let (mut headers, brought) = (HeaderMap::new(), Brought { whom: None, secure: true });
        let status = StatusCode::SERVICE_UNAVAILABLE;
        give(&mut headers, status, pool.sticky().unwrap(), brought, pool.members().endpoint(0));
        assert!(headers.is_empty());
    }

    #[test]
    fn of_two_neither_counts_and_neither_is_passed_on() {
        let pool = pool();
        let sticky = pool.sticky().unwrap();
        let sealed = sticky.seal(Whom::of(pool.members().endpoint(0)), SystemTime::now()).unwrap();
        for cookies in [
            vec![format!("route={sealed}; route=x")],
            vec![format!("route={sealed}"), format!("route={sealed}")],
            vec!["route=x".to_owned()],
            vec!["route=".to_owned()],
        ] {
            let mut headers = request(&cookies.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(take(&mut headers, sticky), None, "{cookies:?}");
            assert_eq!(lines(&headers), [""; 0], "{cookies:?}");
        }
        let mut headers = request(&["routes=1; a=\"route=2\"; Route=3; route"]);
        assert_eq!(take(&mut headers, sticky), None);
        assert_eq!(lines(&headers), ["routes=1; a=\"route=2\"; Route=3; route"], "what is not its own is as it was");
    }
}
