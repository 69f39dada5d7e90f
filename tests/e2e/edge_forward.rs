//! Forward auth: what another service says of a request, and that a client hears it (`respond verdict`).

use http::Request;
use sluice_tests::client::full;
use sluice_tests::observed::Metrics;
use sluice_tests::origin::{Conn, Origin, Seen};
use sluice_tests::ports;
use sluice_tests::sluice::Sluice;
use sluice_tests::wire::Reply;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A service as people have them: by the token that a request brings.
fn service(seen: &Seen, conn: &mut Conn) -> io::Result<()> {
    let text = "Content-Type: text/plain\r\n";
    match seen.header("authorization").unwrap_or_default() {
        "yes" => conn.respond("200 OK", "X-User: ann\r\nSet-Cookie: of=the-yes\r\n", "of the service"),
        "challenged" => conn.respond(
            "401 Unauthorized",
            "WWW-Authenticate: Bearer realm=\"a\"\r\nWWW-Authenticate: Basic realm=\"a\"\r\nContent-Type: text/plain\r\n\
             Connection: x-hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-User: nobody\r\n",
            "who are you?\n",
        ),
        "sent" => conn.respond(
            "302 Found",
            "Location: https://login.test/?rd=%2Fa\r\nSet-Cookie: state=1; Secure\r\nSet-Cookie: nonce=2\r\n",
            "",
        ),
        "refused" => conn.respond("403 Forbidden", text, "not you\n"),
        "chunked" => conn.send(
            "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\nTrailer: x-late\r\nContent-Type: text/plain\r\n\r\n\
             4\r\nnot \r\n4\r\nyou\n\r\n0\r\nX-Late: 1\r\n\r\n",
        ),
        "broken" => conn.respond("500 Internal Server Error", text, "a stack trace"),
        "cached" => conn.respond("304 Not Modified", "", ""),
        "silent" => conn.hold(),
        "long" => conn.respond("403 Forbidden", "Content-Type: text/html\r\nETag: \"1\"\r\n", "x".repeat(70_000)),
        "endless" => {
            conn.send("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\nContent-Type: text/html\r\n\r\n")?;
            while conn.send(format!("1000\r\n{}\r\n", "x".repeat(0x1000))).is_ok() {}
            Ok(())
        }
        "stalled" => {
            conn.send("HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 10\r\n\r\nhalf")?;
            conn.hold()
        }
        who => conn.respond("401 Unauthorized", "", format!("nobody knows {who}")),
    }
}

fn route(origin: SocketAddr, service: SocketAddr, rules: &str) -> String {
    format!(
        "import std/auth\nimport std/cors\n\npool web = {origin}\npool control = {service}\n\nsite a.test {{\n    \
         http allowed\n{rules}    else -> web\n}}\n"
    )
}

fn ask(sluice: &Sluice, method: &str, path: &str, headers: &str) -> Reply {
    let mut wire = sluice.wire();
    wire.send(format!("{method} {path} HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n"));
    wire.reply_to(method)
}

fn by(sluice: &Sluice, token: &str) -> Reply {
    ask(sluice, "GET", "/a", &format!("Authorization: {token}\r\n"))
}

fn all<'r>(reply: &'r Reply, name: &str) -> Vec<&'r str> {
    reply.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
}

#[test]
fn a_client_hears_what_the_service_says() {
    let (asked, origin) = (Origin::start(service), Origin::echo());
    let sluice = Sluice::with(route(origin.addr(), asked.addr(), "    use auth.forward(control)\n"));

    let yes = by(&sluice, "yes");
    assert_eq!((yes.status, yes.header("set-cookie")), (200, None), "a yes says nothing to the client");
    assert_eq!(origin.only().all("x-user"), ["ann"]);

    let challenged = by(&sluice, "challenged");
    assert_eq!((challenged.status, challenged.text().as_str()), (401, "who are you?\n"));
    assert_eq!(all(&challenged, "www-authenticate"), ["Bearer realm=\"a\"", "Basic realm=\"a\""]);
    assert_eq!(challenged.header("content-type"), Some("text/plain"));
    assert_eq!(all(&challenged, "content-length"), ["13"]);
    assert_eq!(challenged.header("x-hop"), None, "what concerned its connection stays there");
    assert_eq!(challenged.header("keep-alive"), None);

    let sent = by(&sluice, "sent");
    assert_eq!((sent.status, sent.header("location")), (302, Some("https://login.test/?rd=%2Fa")));
    assert_eq!(all(&sent, "set-cookie"), ["state=1; Secure", "nonce=2"]);
    assert_eq!(sent.text(), "");

    let refused = by(&sluice, "refused");
    assert_eq!((refused.status, refused.text().as_str()), (403, "not you\n"));
    let chunked = by(&sluice, "chunked");
    assert_eq!((chunked.status, chunked.text().as_str()), (403, "not you\n"));
    assert_eq!((all(&chunked, "content-length"), chunked.header("trailer")), (vec!["8"], None));

    // Neither yes nor no: ours, and not a word of theirs.
    for token in ["broken", "cached", "silent"] {
        let failed = by(&sluice, token);
        assert_eq!(failed.status, 503, "{token}");
        assert!(!failed.text().contains("stack"), "{}", failed.text());
    }
    assert_eq!(origin.requests().len(), 1, "nobody else came through");
}

#[test]
fn attack_a_service_floods_with_its_no() {
    let (asked, origin) = (Origin::start(service), Origin::echo());
    let sluice = Sluice::with(route(origin.addr(), asked.addr(), "    use auth.forward(control)\n"));
    // The no stands, whatever is wrong with its body.
    for token in ["long", "endless", "stalled"] {
        let reply = by(&sluice, token);
        assert_eq!((reply.status, reply.text().as_str()), (403, ""), "{token}");
        assert_eq!(all(&reply, "content-length"), ["0"], "{token}");
        assert_eq!((reply.header("content-type"), reply.header("etag")), (None, None), "nothing speaks of it");
    }
    sluice.says("what was left away", |line| {
        line.contains("ask(control, GET /verify)") && line.contains("the body of its answer has more than 64 KiB")
    });
    assert_eq!(by(&sluice, "refused").text(), "not you\n", "and it goes on");
    origin.saw_nothing();
}

#[test]
fn no_yes_of_the_service_is_an_answer_to_somebody_who_is_refused() {
    let (asked, origin) = (Origin::start(service), Origin::echo());
    let rules = "    let verdict = ask(control, GET /check)\n    let lenient = ask(control, GET /lenient, failed: no, within: 300ms)\n    \
                 /both/* {\n        require verdict and header.x-key is \"k\" else respond verdict\n        -> web\n    }\n    \
                 /shut/* -> respond verdict\n    \
                 /lenient/* {\n        require lenient else respond lenient\n        -> web\n    }\n    \
                 /own/* {\n        require ask(control, GET /own) else deny 401\n        -> web\n    }\n";
    let sluice = Sluice::with(route(origin.addr(), asked.addr(), rules));
    let get = |path: &str, token: &str| ask(&sluice, "GET", path, &format!("Authorization: {token}\r\n"));
    for path in ["/both/x", "/shut/x"] {
        let ours = get(path, "yes");
        assert_eq!((ours.status, ours.header("set-cookie")), (403, None), "{path}");
        assert!(!ours.text().contains("of the service"), "{path}: {}", ours.text());
        assert_eq!(get(path, "refused").text(), "not you\n", "{path}");
        assert_eq!(get(path, "sent").status, 302, "{path}");
        assert_eq!(get(path, "broken").status, 503, "{path}");
    }
    let passes = ask(&sluice, "GET", "/both/x", "Authorization: yes\r\nX-Key: k\r\n");
    assert_eq!(passes.status, 200);
    // What failed counts as a no that nobody said.
    for token in ["broken", "silent"] {
        assert_eq!(get("/lenient/x", token).status, 403, "{token}");
    }
    // Where nothing is passed on, a redirect is neither yes nor no.
    assert_eq!((get("/own/x", "sent").status, get("/own/x", "refused").status), (503, 401));
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn whatever_the_client_speaks() {
    let (asked, origin) = (Origin::start(service), Origin::echo());
    let rules = "    use auth.forward(control)\n";
    let metrics = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let sluice = Sluice::setup()
        .gateway(&format!("    metrics {metrics}"))
        .file("a.route", route(origin.addr(), asked.addr(), rules))
        .start();
    let head = ask(&sluice, "HEAD", "/a", "Authorization: challenged\r\n");
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (401, 0, Some("13")));

    let mut h2 = sluice.h2();
    let answer = h2.ask(Request::get("http://a.test/a").header("authorization", "sent").body(full("")).unwrap());
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["location"]),
        (302, &"https://login.test/?rd=%2Fa".parse().unwrap())
    );
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["state=1; Secure", "nonce=2"]);
    let answer = h2.ask(Request::get("http://a.test/a").header("authorization", "challenged").body(full("")).unwrap());
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (401, "who are you?\n"));

    // A call of gRPC is told in its own form: it follows no redirect and reads no page.
    let call = |token: &str| {
        Request::post("http://a.test/a.Service/Call")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", token)
            .body(full(""))
            .unwrap()
    };
    for (token, code) in [("challenged", "16"), ("sent", "16"), ("refused", "7"), ("long", "7"), ("broken", "14")] {
        let answer = h2.ask(call(token));
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["content-type"]),
            (200, &"application/grpc".parse().unwrap()),
            "{token}"
        );
        assert_eq!(answer.headers["grpc-status"], code, "{token}");
        assert_eq!(answer.text(), "", "{token}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), token == "challenged", "{token}");
    }

    // A body that nobody reads.
    let posted = ask(&sluice, "POST", "/a", "Authorization: refused\r\nContent-Length: 100000\r\n");
    assert_eq!((posted.status, posted.text().as_str()), (403, "not you\n"));
    origin.saw_nothing();

    // The log and the counts name the rule, as with any refusal.
    let refused = sluice.record("the refusal", |line| line["request"] == "refused" && line["status"] == 302);
    assert_eq!(refused["rule"], "auth.forward");
    assert!(Metrics::of(metrics).sum("sluice_http_refused_by_rule_total", &[("rule", "auth.forward")]) >= 9.0);
}

#[test]
fn pages_of_other_origins_may_read_it_where_cors_stands_above() {
    let (asked, origin) = (Origin::start(service), Origin::echo());
    let rules = "    use cors.allow([\"https://app.test\"])\n    use auth.forward(control)\n";
    let sluice = Sluice::with(route(origin.addr(), asked.addr(), rules));
    let from = "Origin: https://app.test\r\n";
    let preflight = ask(&sluice, "OPTIONS", "/a", &format!("{from}Access-Control-Request-Method: GET\r\n"));
    assert_eq!((preflight.status, asked.requests().len()), (204, 0), "nobody is asked about what carries no token");
    let refused = ask(&sluice, "GET", "/a", &format!("{from}Authorization: challenged\r\n"));
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some("https://app.test")));
    assert_eq!(all(&refused, "www-authenticate").len(), 2);
}

/// The number of the question is in every answer, so that an answer that is repeated shows.
fn counting(asked: &AtomicUsize, seen: &Seen, conn: &mut Conn) -> io::Result<()> {
    let n = asked.fetch_add(1, Ordering::SeqCst);
    match seen.header("authorization").unwrap_or_default() {
        yes if yes.starts_with("yes") => conn.respond("200 OK", &format!("X-User: {n}\r\n"), ""),
        "cookie" => conn.respond("401 Unauthorized", &format!("Set-Cookie: n={n}\r\n"), ""),
        "broken" => conn.respond("500 Internal Server Error", "", ""),
        _ => conn.respond("403 Forbidden", &format!("X-N: {n}\r\n"), format!("no {n}")),
    }
}

fn kept(origin: &Origin, extra: &str) -> (Sluice, Origin) {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let asked = Origin::start(|seen, conn| counting(&ASKED, seen, conn));
    let rules = format!(
        "    let verdict = ask(control, GET /check, copy: [x-user], keep: 10m, per: header.authorization{extra})\n    \
         require verdict else respond verdict\n"
    );
    (Sluice::setup().workers(2).file("a.route", route(origin.addr(), asked.addr(), &rules)).start(), asked)
}

#[test]
fn a_verdict_is_kept_for_its_key_and_for_nobody_else() {
    let origin = Origin::echo();
    let (sluice, asked) = kept(&origin, "");
    let count = || asked.requests().len();
    // Over all workers, whichever connection it comes by.
    let first = by(&sluice, "yes").status;
    assert_eq!(([first, by(&sluice, "yes").status, by(&sluice, "yes").status], count()), ([200; 3], 1));
    let users: Vec<_> = origin.requests().iter().map(|seen| seen.all("x-user").concat()).collect();
    assert!(users.iter().all(|user| *user == users[0] && !user.is_empty()), "what it copies is kept too: {users:?}");
    assert_eq!((by(&sluice, "yes, second").status, count()), (200, 2), "another key asks again");
    assert_eq!(
        (ask(&sluice, "GET", "/b", "Authorization: yes\r\n").status, count()),
        (200, 2),
        "the question is the same"
    );

    // A no is kept with all that is passed on.
    let no = by(&sluice, "no");
    let again = by(&sluice, "no");
    assert_eq!((no.status, count()), (403, 3));
    assert_eq!((again.status, again.text(), again.header("x-n")), (403, no.text(), no.header("x-n")));
    assert!(no.text().starts_with("no "), "{}", no.text());

    // Who brings no key is asked about each time.
    for n in 4..6 {
        assert_eq!((ask(&sluice, "GET", "/a", "").status, count()), (403, n));
    }
    // What failed is not kept.
    for n in 6..8 {
        assert_eq!((by(&sluice, "broken").status, count()), (503, n));
    }
    // A key that says two things is none.
    assert_eq!((ask(&sluice, "GET", "/a", "Authorization: yes\r\nAuthorization: no\r\n").status, count()), (400, 7));
}

#[test]
fn attack_a_cookie_of_somebody_else_is_never_replayed() {
    let origin = Origin::echo();
    let (sluice, asked) = kept(&origin, "");
    let cookie = |reply: &Reply| reply.header("set-cookie").unwrap().to_owned();
    let one = cookie(&by(&sluice, "cookie"));
    let two = cookie(&by(&sluice, "cookie"));
    assert_ne!(one, two, "a no with a cookie is not kept");
    // Nor is it shared by those who ask at the same time.
    let mut h2 = sluice.h2();
    let request = || Request::get("http://a.test/a").header("authorization", "cookie").body(full("")).unwrap();
    let answers = h2.ask_all((0..20).map(|_| request()).collect());
    let mut cookies: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().headers["set-cookie"].clone()).collect();
    cookies.sort();
    cookies.dedup();
    assert_eq!((cookies.len(), asked.requests().len()), (20, 22), "each has one of its own");
}

#[test]
fn those_who_ask_at_once_share_one_question() {
    let origin = Origin::echo();
    let (sluice, asked) = kept(&origin, ", within: 10s");
    let mut h2 = sluice.h2();
    let request = || Request::get("http://a.test/a").header("authorization", "no").body(full("")).unwrap();
    let answers = h2.ask_all((0..20).map(|_| request()).collect());
    let texts: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().text()).collect();
    assert!(texts.iter().all(|text| *text == texts[0] && text.starts_with("no ")), "{texts:?}");
    assert_eq!(asked.requests().len(), 1);
}
