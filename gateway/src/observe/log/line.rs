//! A record as a line of JSON.

use crate::http::forward::About;
use crate::l4::Record;
use dsl::tree::l4::Transport;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest text that is written of what a client chose, or of an error.
const LONGEST: usize = 256;

/// Appends the line, with its end.
pub fn write(out: &mut String, record: &Record) {
    out.push_str("{\"time\":\"");
    time(out, record.started);
    out.push_str("\",\"route\":");
    text(out, &record.route);
    let transport = match record.transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    // Writing to a `String` cannot fail.
    let _ =
        write!(out, ",\"transport\":\"{transport}\",\"client\":\"{}\",\"local\":\"{}\"", record.client, record.local);
    for (name, value) in
        [("sni", record.sni.as_deref()), ("pool", record.pool.as_deref()), ("endpoint", record.endpoint.as_deref())]
    {
        field(out, name, value);
    }
    let _ = write!(out, ",\"bytes_in\":{},\"bytes_out\":{}", record.bytes_in, record.bytes_out);
    if record.transport == Transport::Udp {
        let _ = write!(out, ",\"datagrams_in\":{},\"datagrams_out\":{}", record.datagrams_in, record.datagrams_out);
    }
    let end = record.end.label();
    let _ = write!(out, ",\"lasted_ms\":{},\"tries\":{},\"end\":\"{end}\"", record.lasted_ms, record.tries);
    field(out, "detail", record.detail.as_deref());
    out.push_str("}\n");
}

/// Begins the line of a request: when, and what became of it.
pub(super) fn request(out: &mut String, at: SystemTime, became: &str, about: &About) {
    out.push_str("{\"time\":\"");
    time(out, at);
    for part in ["\",\"request\":\"", became, "\",\"client\":\""] {
        out.push_str(part);
    }
    // Writing to a `String` cannot fail.
    let _ = write!(out, "{}\"", about.client);
}

/// What a request asked for. Its query stays out: it may hold secrets.
pub(super) fn asked(out: &mut String, about: &About) {
    let host = about.host.as_ref().map(|host| String::from_utf8_lossy(host.as_bytes()));
    field(out, "host", host.as_deref());
    field(out, "path", Some(about.target.as_ref().map_or("/", |target| target.path())));
}

/// A field and its text, where there is one.
pub(super) fn field(out: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        for part in [",\"", name, "\":"] {
            out.push_str(part);
        }
        text(out, value);
    }
}

/// RFC 3339, in UTC, with milliseconds. A clock before 1970 is not told from 1970.
fn time(out: &mut String, at: SystemTime) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = dsl::calendar::date(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let ms = since.subsec_millis();
    // A line may be written for each request: that is too often for what formatting costs.
    for (number, width, end) in [
        (year, 4, '-'),
        (month, 2, '-'),
        (day, 2, 'T'),
        (hour, 2, ':'),
        (minute, 2, ':'),
        (second, 2, '.'),
        (u64::from(ms), 3, 'Z'),
    ] {
        for place in (0..width).rev() {
            let digit = number / 10_u64.pow(place) % 10;
            out.push(char::from_digit(digit as u32, 10).unwrap_or('0'));
        }
        out.push(end);
    }
}

/// A text in quotes. Control characters, and those that turn the direction of what follows, are
/// written as escapes: a client's name must not end the line or deceive who reads it on a terminal.
fn text(out: &mut String, text: &str) {
    out.push('"');
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let shown = &text[..end];
    // What nearly all texts are.
    if shown.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
        out.push_str(shown);
    } else {
        escaped(out, shown);
    }
    if end < text.len() {
        out.push('…');
    }
    out.push('"');
}

fn escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                // All of these are in the basic plane, where an escape is one unit.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::l4::End;
    use std::time::Duration;

    fn record() -> Record {
        Record {
            route: "tcp :5432".into(),
            transport: Transport::Tcp,
            client: "192.0.2.7:40000".parse().unwrap(),
            local: "[::1]:5432".parse().unwrap(),
            sni: None,
            pool: Some("pg".into()),
            endpoint: Some("10.0.0.1:5432".into()),
            started: UNIX_EPOCH + Duration::from_millis(1_709_164_800_007),
            lasted_ms: 1234,
            bytes_in: 10,
            bytes_out: 20,
            datagrams_in: 0,
            datagrams_out: 0,
            tries: 2,
            end: End::ClientClosed,
            detail: None,
        }
    }

    fn line(record: &Record) -> String {
        let mut out = String::new();
        write(&mut out, record);
        out
    }

    #[test]
    fn a_line_says_what_the_record_holds() {
        assert_eq!(
            line(&record()),
            "{\"time\":\"2024-02-29T00:00:00.007Z\",\"route\":\"tcp :5432\",\"transport\":\"tcp\",\
             \"client\":\"192.0.2.7:40000\",\"local\":\"[::1]:5432\",\"pool\":\"pg\",\
             \"endpoint\":\"10.0.0.1:5432\",\"bytes_in\":10,\"bytes_out\":20,\"lasted_ms\":1234,\"tries\":2,\
             \"end\":\"client-closed\"}\n"
        );
        let udp = Record { transport: Transport::Udp, datagrams_in: 3, pool: None, endpoint: None, ..record() };
        assert!(line(&udp).contains("\"bytes_out\":20,\"datagrams_in\":3,\"datagrams_out\":0,\"lasted_ms\""));
    }

    #[test]
    fn what_clients_choose_stays_in_its_quotes_and_is_bounded() {
        let sni = "a\"b\\c\r\n\x1b[2J\u{7f}\u{9b}\u{202e}ü";
        let detail = "ä".repeat(1000);
        let line = line(&Record { sni: Some(sni.into()), detail: Some(detail.clone()), ..record() });
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.contains(r#""sni":"a\"b\\c\u000d\u000a\u001b[2J\u007f\u009b\u202eü""#), "{line}");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["sni"], sni);
        assert_eq!(value["detail"].as_str().unwrap().len(), LONGEST + '…'.len_utf8());
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds: u64| {
            let mut out = String::new();
            time(&mut out, UNIX_EPOCH + Duration::from_secs(seconds));
            out
        };
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59.000Z");
        assert_eq!(at(951_868_800), "2000-03-01T00:00:00.000Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59.000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000Z");
        assert_eq!(at(1_798_761_599), "2026-12-31T23:59:59.000Z");
    }
}
