//! The headers of a handshake.

use super::Asks;
use crate::http::body::Content;
use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, Response, StatusCode};

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADES: HeaderValue = HeaderValue::from_static("Upgrade");

/// Makes a request ask for WebSocket. What the client said about its own connection has been removed.
pub fn ask(headers: &mut HeaderMap, how: &Asks) {
    if let Asks::Http2(key) = how {
        headers.insert(SEC_WEBSOCKET_KEY, key.key.clone());
    }
    headers.insert(CONNECTION, UPGRADES);
    headers.insert(UPGRADE, WEBSOCKET);
}

/// Makes an answer agree. What the origin said about its own connection has been removed.
pub fn agree(answer: &mut Response<Content>, how: &Asks) {
    if let Asks::Http2(_) = how {
        // RFC 8441 section 5.
        *answer.status_mut() = StatusCode::OK;
        answer.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
    } else {
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        answer.headers_mut().insert(CONNECTION, UPGRADES);
        answer.headers_mut().insert(UPGRADE, WEBSOCKET);
    }
}

/// Whether an answer with 101 agrees to WebSocket and to nothing else (RFC 6455 section 4.1). Whether it
/// proves to have read the key is for whoever made the key to see.
#[must_use]
pub fn is_agreed(headers: &HeaderMap, how: &Asks) -> bool {
    if let Asks::Http2(key) = how {
        let mut proofs = headers.get_all(SEC_WEBSOCKET_ACCEPT).iter();
        if proofs.next() != Some(&key.accept) || proofs.next().is_some() {
            return false;
        }
    }
    let mut to = headers.get_all(UPGRADE).iter();
    let websocket = to.next().is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let upgrades = |value: &HeaderValue| {
        let mut options = value.as_bytes().split(|b| *b == b',');
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    };
    websocket && to.next().is_none() && headers.get_all(CONNECTION).iter().any(upgrades)
}

#[cfg(test)]
mod tests {
    use super::super::Key;
    use super::*;
    use http::header::HeaderName;

    fn headers(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn an_origin_agrees_to_websocket_and_to_nothing_else() {
        assert!(is_agreed(&headers(&[(UPGRADE, "WebSocket"), (CONNECTION, "keep-alive, upgrade")]), &Asks::Http1));
        for not in [
            &[(UPGRADE, "websocket")][..],
            &[(CONNECTION, "upgrade")],
            &[(UPGRADE, "h2c"), (CONNECTION, "upgrade")],
            &[(UPGRADE, "websocket, h2c"), (CONNECTION, "upgrade")],
            &[(UPGRADE, "websocket"), (CONNECTION, "close")],
        ] {
            assert!(!is_agreed(&headers(not), &Asks::Http1), "{not:?}");
        }
        let mut twice = headers(&[(UPGRADE, "websocket"), (CONNECTION, "upgrade")]);
        twice.append(UPGRADE, HeaderValue::from_static("h2c"));
        assert!(!is_agreed(&twice, &Asks::Http1));
    }

    #[test]
    fn who_made_the_key_wants_the_proof() {
        let how = Asks::Http2(Box::new(Key::fresh()));
        let Asks::Http2(key) = &how else { unreachable!() };
        let mut answer = headers(&[(UPGRADE, "websocket"), (CONNECTION, "upgrade")]);
        assert!(!is_agreed(&answer, &how));
        answer.insert(SEC_WEBSOCKET_ACCEPT, Key::fresh().accept);
        assert!(!is_agreed(&answer, &how));
        answer.insert(SEC_WEBSOCKET_ACCEPT, key.accept.clone());
        assert!(is_agreed(&answer, &how));
    }
}
