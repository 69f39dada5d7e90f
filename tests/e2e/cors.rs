//! `std/cors` in a browser: preflights are answered at the edge, pages of others read nothing, and `*` never goes with
//! cookies, whatever the origin server says.

use serde_json::json;
use sluice_tests::origin::Origin;
use sluice_tests::sluice::{Sluice, workspace};
use sluice_tests::{peer, ports};

/// An origin server that lets everybody read everything.
fn careless() -> Origin {
    Origin::start(|seen, conn| {
        conn.body(seen)?;
        let body = json!({ "method": seen.method, "cookie": seen.header("cookie") });
        let open = format!(
            "Content-Type: application/json\r\nAccess-Control-Allow-Origin: {}\r\nAccess-Control-Allow-Credentials: true\r\n\
             Access-Control-Allow-Headers: *\r\nAccess-Control-Allow-Methods: *\r\nX-Total: 7\r\n",
            seen.header("origin").unwrap_or("*")
        );
        conn.respond("200 OK", &open, body.to_string())
    })
}

#[test]
fn a_browser_reads_what_its_page_may_and_attack_pages_of_others_read_nothing() {
    let (api, https) = (careless(), ports::free());
    let [own, foreign, read] = ["app.shop", "evil", "api.shop"].map(|host| format!("https://{host}.localhost:{https}"));
    let route = format!(
        r#"import std/cors

pool api = {}

site app.shop.localhost, evil.localhost {{
    -> respond 200 "a page"
}}

site api.shop.localhost {{
    /enter {{
        add response header set-cookie = "sid=ann; Path=/; Secure; HttpOnly; SameSite=None"
        -> respond 200 "entered"
    }}
    /cookies/* {{
        use cors.allow-with-cookies(["{own}"], expose: "x-total")
        -> api
    }}
    /tokens/* {{
        use cors.allow(["{own}"])
        -> api
    }}
    /open/* {{
        use cors.open
        -> api
    }}
    else -> respond 404
}}
"#,
        api.addr()
    );
    let sluice = Sluice::setup().on(ports::free(), https).file("a.route", route).start();
    let program = workspace().join("tests/e2e/programs/cors_browser.py");
    let said = peer::succeed(peer::python().arg("-P").arg(program).args([&own, &foreign, &read]));
    assert!(said.ends_with("done\n"), "{said}\n{}", sluice.console_text());
    let seen = api.requests();
    // A preflight of what nobody answers for goes to the origin server, which is asked by the browser of a page that
    // may read without cookies.
    let asked: Vec<_> = seen.iter().filter(|seen| seen.method == "OPTIONS").map(|seen| &*seen.target).collect();
    assert!(asked.iter().all(|target| target.starts_with("/open/")), "{asked:?}");
    assert!(seen.iter().any(|seen| seen.method == "PUT" && seen.target == "/cookies/a"));
    let changed: Vec<_> = seen.iter().filter(|seen| seen.method == "PUT" && seen.target.ends_with("/c")).collect();
    assert!(changed.is_empty(), "what a foreign page would change never comes: {changed:?}");
}
