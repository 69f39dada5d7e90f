use super::*;

#[test]
fn paths() {
    use PathRefusal::*;
    let table: &[(&str, Result<&str, PathRefusal>)] = &[
        ("/", Ok("/")),
        ("/a", Ok("/a")),
        ("/a/", Ok("/a/")),
        ("/a/./b", Ok("/a/b")),
        ("/a/.", Ok("/a/")),
        ("/a/./", Ok("/a/")),
        ("/a/..", Ok("/")),
        ("/a/../", Ok("/")),
        ("/a/b/..", Ok("/a/")),
        ("/a/b/../c", Ok("/a/c")),
        ("/.", Ok("/")),
        ("/./", Ok("/")),
        ("/..", Err(AboveRoot)),
        ("/../a", Err(AboveRoot)),
        ("/a/../..", Err(AboveRoot)),
        ("/%2e%2e/x", Err(AboveRoot)),
        ("/.%2E/x", Err(AboveRoot)),
        ("/a/%2E%2E/b", Ok("/b")),
        ("/a/%2e/b", Ok("/a/b")),
        ("/static/%2e%2e/admin", Ok("/admin")),
        ("//", Ok("/")),
        ("///a////b//", Ok("/a/b/")),
        ("/a//../b", Ok("/b")),
        ("//../a", Err(AboveRoot)),
        ("/..;/", Ok("/..;/")),
        ("/...", Ok("/...")),
        ("/.../..", Ok("/")),
        ("/.a", Ok("/.a")),
        ("/a.", Ok("/a.")),
        ("/..a/b", Ok("/..a/b")),
        ("/.well-known/x", Ok("/.well-known/x")),
        ("/%252e%252e/x", Ok("/%252e%252e/x")),
        ("/%2541", Ok("/%2541")),
        ("/a%2fb", Err(EncodedSlash)),
        ("/a%2Fb", Err(EncodedSlash)),
        ("/a%5cb", Err(Backslash)),
        ("/a%5Cb", Err(Backslash)),
        ("/a\\b", Err(Backslash)),
        ("/%00", Err(Control)),
        ("/a\0", Err(Control)),
        ("/a\n", Err(Control)),
        ("/a\x7f", Err(Control)),
        ("/a\tb", Err(Control)),
        ("/%0a", Err(Control)),
        ("/%7F", Err(Control)),
        ("/%", Err(BadEscape)),
        ("/%4", Err(BadEscape)),
        ("/%zz", Err(BadEscape)),
        ("/%%41", Err(BadEscape)),
        ("/%u0041", Err(BadEscape)),
        ("/%+1", Err(BadEscape)),
        ("/%41%7e%2d", Ok("/A~-")),
        ("/%c3%a9", Ok("/%C3%A9")),
        ("/é", Ok("/%C3%A9")),
        ("/%c0%ae%c0%ae/x", Ok("/%C0%AE%C0%AE/x")),
        ("/a|b{c}", Ok("/a%7Cb%7Bc%7D")),
        ("/%7b", Ok("/%7B")),
        ("/a b", Err(Delimiter)),
        ("/a?b", Err(Delimiter)),
        ("/a#b", Err(Delimiter)),
        ("/%3f%23%20", Ok("/%3F%23%20")),
        ("/a;b=c/d", Ok("/a;b=c/d")),
        ("/!$&'()*+,;=:@", Ok("/!$&'()*+,;=:@")),
        ("/%21", Ok("/%21")),
        ("", Err(NotAbsolute)),
        ("a", Err(NotAbsolute)),
        ("*", Err(NotAbsolute)),
        ("http://x/", Err(NotAbsolute)),
    ];
    for (raw, expected) in table {
        let got = path(raw.as_bytes(), Paths::Canonical);
        assert_eq!(got.as_deref().map_err(|e| *e), *expected, "{raw:?}");
        if let Ok(canonical) = expected {
            assert!(is_canonical(canonical, Paths::Canonical), "{canonical} is a fixed point");
            assert_eq!(matches!(got, Ok(Cow::Borrowed(_))), raw == canonical, "{raw:?} is copied only to be changed");
        }
    }
    assert_eq!(path(b"/\xff", Paths::Canonical).as_deref(), Ok("/%FF"));
}

#[test]
fn opaque_slashes_are_ordinary_and_nothing_else_is() {
    let opaque = |raw: &'static str| path(raw.as_bytes(), Paths::OpaqueSlash);
    assert_eq!(opaque("/@scope%2fname").as_deref(), Ok("/@scope%2Fname"));
    assert_eq!(opaque("/a%2F..%2Fb/../c").as_deref(), Ok("/c"), "an escaped slash separates nothing");
    assert_eq!(opaque("/a%5Cb"), Err(PathRefusal::Backslash));
    assert_eq!(opaque("/%00"), Err(PathRefusal::Control));
    assert_eq!(opaque("/%2f/../.."), Err(PathRefusal::AboveRoot));
}

#[test]
fn raw_paths_are_what_was_sent() {
    for sent in ["/", "//", "/a//../%2e%2E/%61", "/%2f%5c%00", "/%zz%", "/a;b\"{}|^`", "/./a/."] {
        assert!(matches!(path(sent.as_bytes(), Paths::Raw), Ok(Cow::Borrowed(text)) if text == sent), "{sent}");
    }
    for (sent, why) in [
        ("/a\\b", PathRefusal::Backslash),
        ("/a\tb", PathRefusal::Control),
        ("/a\x7f", PathRefusal::Control),
        ("/a b", PathRefusal::Delimiter),
        ("/a?b", PathRefusal::Delimiter),
        ("/\u{e9}", PathRefusal::NotAscii),
        ("a", PathRefusal::NotAbsolute),
    ] {
        assert_eq!(path(sent.as_bytes(), Paths::Raw), Err(why), "{sent:?}");
    }
}

#[test]
fn a_semicolon_is_refused_where_policies_hang_on_paths() {
    let site = |semicolon| SiteSettings {
        tls: crate::tree::ir::Tls::Auto,
        http_allowed: false,
        default: false,
        paths: Paths::Canonical,
        semicolon,
        walls: Default::default(),
        handshake: crate::tree::ir::Handshake::default(),
    };
    assert_eq!(path_for(b"/admin/..;/x", &site(false)), Err(PathRefusal::Semicolon));
    assert_eq!(path_for(b"/a;v=1", &site(true)).as_deref(), Ok("/a;v=1"));
    assert_eq!(path_for(b"/a%3Bv", &site(false)).as_deref(), Ok("/a%3Bv"));
}

#[test]
fn hosts() {
    use HostRefusal::*;
    let long = "a".repeat(64);
    let name = format!("{}.com", ["a".repeat(63).as_str(); 4].join("."));
    type Row<'t> = (&'t str, Result<(&'t str, Option<u16>), HostRefusal>);
    let table: &[Row<'_>] = &[
        ("example.com", Ok(("example.com", None))),
        ("Example.COM:8443", Ok(("example.com", Some(8443)))),
        ("example.com.", Ok(("example.com", None))),
        ("example.com.:80", Ok(("example.com", Some(80)))),
        ("example.com..", Err(Empty)),
        ("a..b", Err(Empty)),
        (".a", Err(Empty)),
        (".", Err(Empty)),
        ("", Err(Empty)),
        (":80", Err(Empty)),
        ("a:", Err(BadPort)),
        ("a:x", Err(BadPort)),
        ("a:+1", Err(BadPort)),
        ("a:65536", Err(BadPort)),
        ("a:000080", Err(BadPort)),
        ("a:80:80", Err(BadPort)),
        ("a_b-c.x", Ok(("a_b-c.x", None))),
        ("exa mple.com", Err(BadCharacter)),
        ("ex%61mple.com", Err(BadCharacter)),
        ("user@example.com", Err(BadCharacter)),
        ("a/b", Err(BadCharacter)),
        ("é.com", Err(BadCharacter)),
        ("a\0b", Err(BadCharacter)),
        ("*.example.com", Err(BadCharacter)),
        (&long, Err(TooLong)),
        (&name, Err(TooLong)),
        ("127.0.0.1:80", Ok(("127.0.0.1", Some(80)))),
        ("127.1", Err(BadAddress)),
        ("0x7f.1", Err(BadAddress)),
        ("127.0.0.01", Err(BadAddress)),
        ("1.2.3.4.5", Err(BadAddress)),
        ("2130706433", Err(BadAddress)),
        ("0x7f000001", Err(BadAddress)),
        ("a.1x", Ok(("a.1x", None))),
        ("[::1]", Ok(("[::1]", None))),
        ("[::1]:8443", Ok(("[::1]", Some(8443)))),
        ("[0:0::0001]", Ok(("[::1]", None))),
        ("[2001:DB8::1]", Ok(("[2001:db8::1]", None))),
        ("[::1", Err(BadAddress)),
        ("[::1]x", Err(BadPort)),
        ("[fe80::1%25eth0]", Err(BadAddress)),
        ("[127.0.0.1]", Err(BadAddress)),
        ("::1", Err(BadPort)),
    ];
    for (raw, expected) in table {
        let got = authority(raw.as_bytes());
        assert_eq!(got.as_ref().map(|(h, p)| (&**h, *p)).map_err(|e| *e), *expected, "{raw:?}");
    }
    assert!(matches!(host(b"example.com:80"), Ok(Cow::Borrowed(_))));
    assert!(matches!(host(b"[::1]:80"), Ok(Cow::Borrowed(_))));
}
