//! Attacks by the spelling of paths on an area that needs a session, against the running program. The site proves
//! that nobody reaches the admin area without one; the origin behind it decodes whatever it finds, as often as it
//! finds it, and says what it would have served.

use sluice_tests::h2raw::{Fate, RawH2};
use sluice_tests::origin::Seen;
use sluice_tests::ports;
use sluice_tests::{Origin, Sluice};

/// Behind the open way stands an origin that has an admin area too: what comes to it and is that area to it is a way
/// around. The admin pool's own is never reached here.
fn gateway(origin: &Origin) -> Sluice {
    let (web, admin) = (origin.addr(), ports::free());
    let route = format!(
        "import std/auth\n\npool admin = 127.0.0.1:{admin}\npool web = {web}\n\nsite a.test {{\n    http allowed\n    \
         /admin/* {{\n        use auth.session(\"sid\", key: secret.session, login: /login)\n        -> admin\n    }}\n    \
         /login -> respond 200 \"who are you\"\n    /internal/* -> deny 403\n    else -> web\n}}\n\n\
         prove \"admin needs a session\" {{\n    every request to pool admin passes auth.session\n}}\n"
    );
    Sluice::setup()
        .gateway("    secrets from \"../secrets\"")
        .file("../secrets/session", "a key of the tests that has thirty-two bytes\n")
        .file("a.route", route)
        .start()
}

/// What the most careless origin serves for a target: the path, decoded until nothing is left to decode.
fn served(target: &str) -> String {
    let target = target.split_once("://").map_or(target, |(_, rest)| &rest[rest.find('/').unwrap_or(rest.len())..]);
    let mut bytes = target.split(['?', '#']).next().unwrap_or_default().as_bytes().to_vec();
    for _ in 0..8 {
        let mut out = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let hex = |from: usize, to: usize| {
                let digits = bytes.get(from..to).and_then(|digits| std::str::from_utf8(digits).ok());
                digits.and_then(|digits| u32::from_str_radix(digits, 16).ok())
            };
            match (bytes[at], hex(at + 1, at + 3), bytes.get(at + 1), hex(at + 2, at + 6)) {
                (b'%', Some(byte), _, _) => {
                    out.push(u8::try_from(byte).unwrap());
                    at += 3;
                }
                (b'%', _, Some(b'u' | b'U'), Some(unit)) => {
                    let narrow = if (0xff01..=0xff5e).contains(&unit) { unit - 0xfee0 } else { unit };
                    out.extend(char::from_u32(narrow).unwrap_or(' ').to_string().bytes());
                    at += 6;
                }
                (byte, ..) => {
                    out.push(byte);
                    at += 1;
                }
            }
        }
        // Overlong two- and three-byte forms of ASCII.
        let mut plain = Vec::new();
        let mut at = 0;
        while at < out.len() {
            match out[at..] {
                [first @ (0xc0 | 0xc1), second, ..] => {
                    plain.push((first & 1) << 6 | second & 0x3f);
                    at += 2;
                }
                [0xe0, second @ 0x80..=0x81, third, ..] => {
                    plain.push((second & 1) << 6 | third & 0x3f);
                    at += 3;
                }
                [byte, ..] => {
                    plain.push(byte);
                    at += 1;
                }
                [] => {}
            }
        }
        if plain == bytes {
            break;
        }
        bytes = plain;
    }
    let end = bytes.iter().position(|byte| matches!(byte, 0 | b'?' | b'#')).unwrap_or(bytes.len());
    let mut kept: Vec<String> = Vec::new();
    for segment in bytes[..end].split(|byte| matches!(byte, b'/' | b'\\')) {
        let text = String::from_utf8_lossy(segment).into_owned();
        let name = text.split(';').next().unwrap_or_default().trim().to_owned();
        match &*name {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            name => kept.push(name.trim_end_matches(['.', ' ']).to_owned()),
        }
    }
    format!("/{}", kept.join("/"))
}

fn is_walled(seen: &Seen) -> bool {
    let path = served(&seen.target);
    ["/admin", "/internal"].iter().any(|wall| path == *wall || path.starts_with(&format!("{wall}/")))
}

/// Every way to write a text with one of its letters escaped.
fn each_letter(text: &str, escape: impl Fn(u8) -> String) -> Vec<String> {
    let letters = text.char_indices().filter(|(_, c)| c.is_ascii_alphabetic());
    letters.map(|(at, c)| format!("{}{}{}", &text[..at], escape(c as u8), &text[at + 1..])).collect()
}

fn spellings() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for target in ["/admin/users", "/admin", "/internal/x"] {
        for escape in [
            |byte: u8| format!("%{byte:02x}"),
            |byte: u8| format!("%{byte:02X}"),
            |byte: u8| format!("%25{byte:02x}"),
            |byte: u8| format!("%2525{byte:02X}"),
            |byte: u8| format!("%u00{byte:02x}"),
            |byte: u8| format!("%25u00{byte:02x}"),
            |byte: u8| format!("%25uff{:02x}", byte - 0x20),
            |byte: u8| format!("%c1%{:02x}", byte & 0x3f | 0x80),
            |byte: u8| format!("%25c1%25{:02x}", byte & 0x3f | 0x80),
            |byte: u8| format!("%e0%81%{:02x}", byte & 0x3f | 0x80),
        ] {
            all.extend(each_letter(target, escape));
        }
        let whole: String = target.bytes().map(|b| if b == b'/' { "/".into() } else { format!("%{b:02x}") }).collect();
        let twice = whole.replace('%', "%25");
        let inner = &target[1..];
        all.extend([whole, twice]);
        for before in [
            "//",
            "///",
            "/./",
            "/.//",
            "/x/../",
            "/x/..//",
            "/x/%2e%2e/",
            "/x/.%2e/",
            "/x/%2E./",
            "/x/%252e%252e/",
            "/x/..;/",
            "/x/..;a=b/",
            "/;/",
            "/;a=b/",
            "/.;/",
            "/%2f",
            "/%252f",
            "/%5c",
            "/%255c",
            "/\\",
            "/x/..\\",
            "/x/..%5c",
            "/x/..%255c",
            "/x%2f..%2f",
            "/x%252f..%252f",
            "/%c0%af",
            "/%c0%ae%c0%ae/",
            "/x/%c0%ae%c0%ae/",
            "/x/%c0%ae./",
            "/%e0%80%af",
            "/%20",
            "/%09",
            "/%2520",
            "/%00",
            "/%2500/../",
            "/.%00/",
            "/%0d%0a/",
            "/%2e/",
            "/%252e/",
            "/%3f/../",
            "/%23/../",
        ] {
            all.push(format!("{before}{inner}"));
        }
        for behind in [
            "/",
            "//",
            "/.",
            "/..;/x",
            ";",
            ";a=b",
            "%3b",
            "%253b",
            ".",
            "..",
            "...",
            "%2e",
            "%252e",
            "%20",
            "%2520",
            "%09",
            "%00",
            "%2500",
            "%00.png",
            "%2500.png",
            "%3f",
            "%253f",
            "%23",
            "%2523",
            "/%2e",
            "/%2e%2e/users",
            "%5c",
            "%255c",
            "%2f",
            "%252f",
            "/x/..",
            "~",
            "/;/",
            "?",
            "#",
        ] {
            all.push(format!("{target}{behind}"));
        }
    }
    all
}

#[test]
fn no_spelling_of_a_walled_path_reaches_an_origin() {
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    let spellings = spellings();
    assert!(spellings.len() > 400, "{}", spellings.len());
    let mut passed = 0;
    for target in &spellings {
        let mut wire = sluice.wire();
        wire.send(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"));
        let reply = wire.try_reply("GET");
        let status = reply.map_or(0, |reply| reply.status);
        assert!([0, 200, 303, 400, 403, 404].contains(&status), "{target}: {status}");
        passed += usize::from(status == 200);
        for seen in origin.requests() {
            assert!(!is_walled(&seen), "{target} came through as {}: {}", seen.target, served(&seen.target));
        }
        origin.record().change(|record| record.requests.clear());
    }
    // It is no wall around everything: what is no way around goes on to its origin.
    let other = sluice.get("a.test", "/docs/100%25/a.b?c=%2561dmin");
    assert_eq!((other.status, passed), (200, passed));
    assert_eq!(origin.only().target, "/docs/100%25/a.b?c=%2561dmin");
}

#[test]
fn absolute_form_and_other_hosts_lead_to_the_same_wall() {
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    for target in [
        "http://a.test/admin/users",
        "http://A.TEST/admin/users",
        "http://a.test//admin/users",
        "http://a.test/%61dmin/users",
        "http://a.test./admin/users",
        "http://a.test:80/x/../admin/users",
        "HTTP://a.test/admin",
        "http://a.test/%2561dmin",
    ] {
        for host in ["a.test", "A.test", "a.test.", "a.test:80"] {
            let mut wire = sluice.wire();
            wire.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
            let status = wire.try_reply("GET").map_or(0, |reply| reply.status);
            assert!([0, 303, 400, 421].contains(&status), "{target} for {host}: {status}");
        }
    }
    origin.saw_nothing();
}

#[test]
fn http2_paths_lead_to_the_same_wall() {
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    for path in spellings().iter().filter(|path| path.is_ascii()) {
        let mut raw = RawH2::connect(sluice.http);
        raw.request(1, &[(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", path)]);
        let fate = raw.fate(1);
        let fits = match fate {
            Fate::Answered(status) => [200, 303, 400, 403, 404].contains(&status),
            Fate::Reset(_) | Fate::GoneAway(_) => true,
            Fate::Closed => false,
        };
        assert!(fits, "{path}: {fate:?}");
    }
    for seen in origin.requests() {
        assert!(!is_walled(&seen), "{}: {}", seen.target, served(&seen.target));
    }
}

#[test]
fn methods_and_their_overrides_lead_to_the_same_wall() {
    let origin = Origin::echo();
    let sluice = gateway(&origin);
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "FOO"] {
        for headers in [
            "",
            "X-HTTP-Method-Override: GET\r\n",
            "X-HTTP-Method: GET\r\n",
            "X-Method-Override: PUT\r\n",
            "X-Original-URL: /public\r\n",
            "X-Rewrite-URL: /public\r\n",
            "X-Forwarded-Uri: /public\r\n",
            "X-Forwarded-Prefix: /public\r\n",
        ] {
            let mut wire = sluice.wire();
            wire.send(format!(
                "{method} /admin/users HTTP/1.1\r\nHost: a.test\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n"
            ));
            let status = wire.try_reply(method).map_or(0, |reply| reply.status);
            assert!([0, 303, 400, 405, 501].contains(&status), "{method} {headers}: {status}");
        }
    }
    origin.saw_nothing();
}
