//! Conditional requests and ranges (RFC 9110 sections 13 and 14), pure.

use http::HeaderMap;
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its bytes.
    pub len: u64,
    /// A strong validator, quotes included.
    pub etag: String,
    /// When it was changed, whole seconds.
    pub modified: SystemTime,
}

/// What is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// 200
    Whole,
    /// 206: this much, from there on.
    Part {
        /// The first byte.
        from: u64,
        /// So many.
        len: u64,
    },
    /// 304
    NotModified,
    /// 412
    Failed,
    /// 416
    Unsatisfiable,
}

/// What a GET or HEAD with these headers wants of a file (RFC 9110 section 13.2.2).
///
/// A request for several ranges gets the whole: RFC 9110 section 14.2 lets a server ignore `Range`,
/// and many small ranges are how a client makes a server work.
#[must_use]
pub fn wanted(headers: &HeaderMap, facts: &Facts, get: bool) -> Wanted {
    if let Some(listed) = listed(headers, &IF_MATCH, facts, false) {
        if !listed {
            return Wanted::Failed;
        }
    } else if let Some(since) = date(headers, &IF_UNMODIFIED_SINCE)
        && facts.modified > since
    {
        return Wanted::Failed;
    }
    if let Some(listed) = listed(headers, &IF_NONE_MATCH, facts, true) {
        if listed {
            return Wanted::NotModified;
        }
    } else if let Some(since) = date(headers, &IF_MODIFIED_SINCE)
        && facts.modified <= since
    {
        return Wanted::NotModified;
    }
    if get && range_applies(headers, facts) { range(headers, facts.len) } else { Wanted::Whole }
}

/// Whether the file's validator is in a list of them; `None` when there is no list.
fn listed(headers: &HeaderMap, name: &http::HeaderName, facts: &Facts, weakly: bool) -> Option<bool> {
    if !headers.contains_key(name) {
        return None;
    }
    let matches = |tag: &str| {
        let tag = tag.trim();
        let tag = if weakly { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
        tag == "*" || tag == facts.etag
    };
    let mut values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
    // None of our validators has a comma in it, so that splitting finds them whole.
    Some(values.any(|v| v.split(',').any(matches)))
}

fn date(headers: &HeaderMap, name: &http::HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

fn range_applies(headers: &HeaderMap, facts: &Facts) -> bool {
    let Some(condition) = headers.get(IF_RANGE) else { return true };
    let text = condition.to_str().unwrap_or_default();
    // RFC 9110 section 13.1.5: exact, and never by a weak validator.
    text == facts.etag || httpdate::parse_http_date(text).is_ok_and(|d| d == facts.modified)
}

fn range(headers: &HeaderMap, len: u64) -> Wanted {
    let mut values = headers.get_all(RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Wanted::Whole };
    let Some(spec) = value.to_str().ok().and_then(|v| v.strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    if spec.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Wanted::Whole,
        (Some(first), last) if last.is_some() || spec.trim().ends_with('-') => {
            if first >= len {
                return Wanted::Unsatisfiable;
            }
            let last = last.unwrap_or(u64::MAX).min(len - 1);
            Wanted::Part { from: first, len: last - first + 1 }
        }
        (None, Some(suffix)) if first.is_empty() => {
            if suffix == 0 || len == 0 {
                return Wanted::Unsatisfiable;
            }
            let suffix = suffix.min(len);
            Wanted::Part { from: len - suffix, len: suffix }
        }
        // Malformed: as if it were not there.
        _ => Wanted::Whole,
    }
}

fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // A number that does not fit lies beyond every file.
    Some(text.parse().unwrap_or(u64::MAX))
}

/// The facts of a file.
#[must_use]
pub fn facts(meta: &std::fs::Metadata) -> Facts {
    let since = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or(Duration::ZERO);
    let etag = format!("\"{:x}-{:x}-{:x}\"", since.as_secs(), since.subsec_nanos(), meta.len());
    let modified = UNIX_EPOCH + Duration::from_secs(since.as_secs());
    Facts { len: meta.len(), etag, modified }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn ask(pairs: &[(http::HeaderName, &str)]) -> Wanted {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        let modified = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        wanted(&headers, &Facts { len: 100, etag: "\"a\"".into(), modified }, true)
    }

    #[test]
    fn ranges() {
        let part = |from, len| Wanted::Part { from, len };
        for (spec, wanted) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=10-19", part(10, 10)),
            ("bytes=90-", part(90, 10)),
            ("bytes=90-1000", part(90, 10)),
            ("bytes=-10", part(90, 10)),
            ("bytes=-1000", part(0, 100)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=x-4", Wanted::Whole),
            ("bytes=4-x", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
        ] {
            assert_eq!(ask(&[(RANGE, spec)]), wanted, "{spec}");
        }
    }

    #[test]
    fn conditions() {
        let (then, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Mon, 07 Nov 1994 08:49:37 GMT");
        let before = "Sat, 05 Nov 1994 08:49:37 GMT";
        let part = Wanted::Part { from: 0, len: 1 };
        for (pairs, wanted) in [
            (vec![(IF_NONE_MATCH, "\"a\"")], Wanted::NotModified),
            (vec![(IF_NONE_MATCH, "\"x\", W/\"a\"")], Wanted::NotModified),
            (vec![(IF_NONE_MATCH, "*")], Wanted::NotModified),
            (vec![(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, later)], Wanted::Whole),
            (vec![(IF_MODIFIED_SINCE, then)], Wanted::NotModified),
            (vec![(IF_MODIFIED_SINCE, before)], Wanted::Whole),
            (vec![(IF_MODIFIED_SINCE, "nonsense")], Wanted::Whole),
            (vec![(IF_MATCH, "\"x\"")], Wanted::Failed),
            (vec![(IF_MATCH, "W/\"a\"")], Wanted::Failed),
            (vec![(IF_MATCH, "\"a\"")], Wanted::Whole),
            (vec![(IF_UNMODIFIED_SINCE, before)], Wanted::Failed),
            (vec![(IF_RANGE, "\"a\""), (RANGE, "bytes=0-0")], part),
            (vec![(IF_RANGE, "\"x\""), (RANGE, "bytes=0-0")], Wanted::Whole),
            (vec![(IF_RANGE, then), (RANGE, "bytes=0-0")], part),
            (vec![(IF_RANGE, before), (RANGE, "bytes=0-0")], Wanted::Whole),
        ] {
            assert_eq!(ask(&pairs), wanted, "{pairs:?}");
        }
    }
}
