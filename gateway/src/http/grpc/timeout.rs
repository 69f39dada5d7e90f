//! `grpc-timeout`: how long a client waits for a call (gRPC's `PROTOCOL-HTTP2.md`).

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

/// `grpc-timeout`
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// `1*8DIGIT` and a unit, in milliseconds, rounded up so that nobody gets less time than said. `None`
/// where it is anything else.
#[must_use]
pub fn parse(text: &[u8]) -> Option<u64> {
    let (unit, digits) = text.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    // Eight digits of hours are far below 2^64 milliseconds.
    Some(match unit {
        b'H' => number * 3_600_000,
        b'M' => number * 60_000,
        b'S' => number * 1_000,
        b'm' => number,
        b'u' => number.div_ceil(1_000),
        b'n' => number.div_ceil(1_000_000),
        _ => return None,
    })
}

/// Milliseconds, as they are written: as exactly as eight digits allow, never more than said.
#[must_use]
pub fn written(ms: u64) -> HeaderValue {
    let text = if ms < 100_000_000 {
        format!("{ms}m")
    } else if ms / 1_000 < 100_000_000 {
        format!("{}S", ms / 1_000)
    } else {
        format!("{}H", (ms / 3_600_000).min(99_999_999))
    };
    // Digits and a letter.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("0m"))
}

/// What a request says, where it says one thing that makes sense.
#[must_use]
pub fn of(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(GRPC_TIMEOUT).iter();
    let first = parse(values.next()?.as_bytes())?;
    values.next().is_none().then_some(first)
}

/// Takes so many milliseconds off what a request says.
pub fn shorten(headers: &mut HeaderMap, passed_ms: u64) {
    if passed_ms > 0
        && let Some(told) = of(headers)
    {
        headers.insert(GRPC_TIMEOUT, written(told.saturating_sub(passed_ms)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_bounds() {
        for (text, ms) in [
            ("1S", 1_000),
            ("250m", 250),
            ("2M", 120_000),
            ("1H", 3_600_000),
            ("1u", 1),
            ("1500u", 2),
            ("1n", 1),
            ("0n", 0),
            ("99999999H", 359_999_996_400_000),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(ms), "{text}");
        }
        for text in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", " 1S", "1S ", "123456789m", "1SS", "١S"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_has_passed_is_taken_off() {
        let mut headers = HeaderMap::new();
        shorten(&mut headers, 10);
        assert!(headers.is_empty());
        headers.insert(GRPC_TIMEOUT, HeaderValue::from_static("2S"));
        shorten(&mut headers, 0);
        assert_eq!(headers[GRPC_TIMEOUT], "2S");
        shorten(&mut headers, 300);
        assert_eq!(headers[GRPC_TIMEOUT], "1700m");
        shorten(&mut headers, 5_000);
        assert_eq!(headers[GRPC_TIMEOUT], "0m");
    }

    #[test]
    fn what_is_written_is_read_as_no_more() {
        for ms in [0, 1, 999, 99_999_999, 100_000_000, 123_456_789_012, 359_999_996_400_000, u64::MAX] {
            let read = parse(written(ms).as_bytes()).expect("it is one");
            assert!(read <= ms, "{ms}: {read}");
            assert!(ms > 100_000_000_000 || ms - read < 1_000, "{ms}: {read}");
        }
    }
}
