//! Every form that this version refuses is refused where it is used, and nothing that it supports is.

#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use dsl::unsupported::forms;
use front::{Files, sound};

/// A use of each form, by its name: what stands in a site, a pool, the gateway, or at the top.
const USES: &[(&str, &str, &str)] = &[
    ("compress", "site", "compress [zstd, br, gzip]"),
    ("cache", "site", "cache 10m"),
    ("queue", "site", "queue 100"),
    ("h3", "gateway", "https :9443 h3 on"),
    ("store", "gateway", "store \"redis://x\""),
    ("admin", "gateway", "admin unix:/run/sluice.sock"),
];

fn file(place: &str, text: &str) -> Files {
    let (top, site, pool, gateway) = match place {
        "top" => (text, "", "", ""),
        "site" => ("", text, "", ""),
        "pool" => ("", "", text, ""),
        _ => ("", "", "", text),
    };
    let text = format!(
        "import std/auth\n\npool web {{\n10.0.0.1:80\n{pool}\n}}\n{top}\ngateway {{\nhttp :8080\n{gateway}\n}}\n\
         site a.example.com {{\n{site}\nelse -> web\n}}\n"
    );
    Files::one("sites/gateway.route", &text)
}

#[test]
fn each_listed_form_is_refused_once_at_its_place() {
    assert_eq!(file("none", "").compile(0).diagnostics, []);
    for (name, place, text) in USES {
        let files = file(place, text);
        let compiled = files.compile(0);
        let said: Vec<&str> =
            compiled.diagnostics.iter().filter(|d| d.code == "G0002").map(|d| d.message.as_str()).collect();
        let expected = format!("`{name}` is not supported by this version");
        assert!(said.contains(&expected.as_str()), "{name}: {text}\n{}", files.render(&compiled.diagnostics));
        let others = compiled.diagnostics.iter().filter(|d| d.code != "G0002").count();
        assert_eq!(others, 0, "{name}: {text}\n{}", files.render(&compiled.diagnostics));
        assert!(compiled.programs.is_empty() && compiled.gateway.is_none(), "{name} is not ignored");
    }
}

#[test]
fn every_form_of_the_list_has_its_use_here() {
    for form in forms() {
        assert!(USES.iter().any(|(name, _, _)| *name == form.name), "`{}` is listed, and no use is tried", form.name);
        assert!(!form.does.is_empty() && !form.form.is_empty());
    }
    for (name, _, _) in USES {
        assert!(forms().iter().any(|f| f.name == *name), "`{name}` is refused and not listed");
    }
}

/// What the first issue names is supported: one file with all of it.
#[test]
fn what_this_version_promises_is_not_refused() {
    sound(
        r#"import std/web
import std/auth

let office = [10.0.0.0/8, 2001:db8::/32]
let team(name) = "team-{name}"

pool web {
    10.0.0.1:80 weight 3
    api.internal:8080
    [2001:db8::1]:80
    balance round-robin
    protocol h1
    connect within 2s
    timeout 30s
    idle 60s
}
pool next = 10.0.0.2:80

policy tagged(name: text, networks: list<cidr> = [10.0.0.0/8]) {
    require client.ip in networks else respond 401 "no"
    set request header x-tag = team(name)
    ./ping -> respond 200 "pong"
}

site {tenant}.example.com, pr-{n:int}.preview.example.com, *.star.example.com, **.any.example.com {
    tls internal
    http allowed
    default
    paths opaque-slash
    paths semicolon
    timeout 30s
    idle 60s
    body limit 10MB
    use web.secure-headers
    use tagged("a") when header.x-debug
    add response header x-a = "1"
    remove response header server
    set request header["X_Odd"] = "1"
    catch [502, 503, 504] -> respond 503 file "down.html" type "text/html"
    /a/{x}/{y:int}/{z:uuid}/{v:a|b}/{w:"[a-z]+"}/{file}.png -> files "public" at /{x}/{file}
    /b/*rest when method in [GET, HEAD] and not cookie.b -> files "public" index "i.html" fallback /i.html
    /c/*, /d/* {
        use auth.only-from(office)
        when header.accept has "text/html" -> web at /c host web.internal
        else -> 95% web, 5% next by cookie.uid if missing client.ip
    }
    /e -> redirect 308 "https://other.example.net{request.uri}"
    /f -> deny 451
    /g when request.size > 1MB or request.version is 1.0 -> respond 413
    /h when tls.sni is "a.example.com" and tls.version is "1.3" -> respond 200
    else -> web
}
"#,
    );
}
