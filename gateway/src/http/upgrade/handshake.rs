//! The headers of a handshake.

use http::HeaderMap;
use http::header::{CONNECTION, HeaderValue, UPGRADE};

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Makes a request ask for WebSocket. What the client said about its own connection has been removed.
pub fn ask(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, WEBSOCKET);
}

/// Makes an answer agree. What the origin said about its own connection has been removed.
pub fn agree(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, WEBSOCKET);
}

/// Whether an answer with 101 agrees to WebSocket and to nothing else (RFC 6455 section 4.1).
#[must_use]
pub fn is_agreed(headers: &HeaderMap) -> bool {
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
    use super::*;
    use http::header::HeaderName;

    fn headers(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn an_origin_agrees_to_websocket_and_to_nothing_else() {
        assert!(is_agreed(&headers(&[(UPGRADE, "WebSocket"), (CONNECTION, "keep-alive, upgrade")])));
        for not in [
            &[(UPGRADE, "websocket")][..],
            &[(CONNECTION, "upgrade")],
            &[(UPGRADE, "h2c"), (CONNECTION, "upgrade")],
            &[(UPGRADE, "websocket, h2c"), (CONNECTION, "upgrade")],
            &[(UPGRADE, "websocket"), (CONNECTION, "close")],
        ] {
            assert!(!is_agreed(&headers(not)), "{not:?}");
        }
        let mut twice = headers(&[(UPGRADE, "websocket"), (CONNECTION, "upgrade")]);
        twice.append(UPGRADE, HeaderValue::from_static("h2c"));
        assert!(!is_agreed(&twice));
    }
}
