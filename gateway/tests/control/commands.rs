//! `lint`, `explain` and `routes`: what they print, to the letter.

use crate::support::Dir;

const SHOP: &str = r#"pool app   = 127.0.0.1:3000, 127.0.0.1:3001
pool admin = 127.0.0.1:4000

policy office() {
    require client.ip in [10.0.0.0/8] else deny 403
    set request header x-office = "yes"
}

site shop.test {
    /old/*rest -> redirect 308 /new/{rest}
    /admin/* {
        use office()
        -> admin at /internal
    }
    /beta/* when header.beta is "1" -> admin
    else -> app
}

site *.test {
    else -> respond 404
}
"#;

fn shop() -> Dir {
    let dir = Dir::new();
    dir.write("sites/shop.route", SHOP);
    dir
}

/// What a request meets in a pool that says nothing, by a route that says nothing.
const DEFAULTS: &str = "
protocol   auto: HTTP/1.1, in clear  PLACE
balance    round-robin
check      off: every endpoint is up
eject      off
panic      off
slow-start off
time       connect within 2s, timeout 30s, idle 1m
retry      off: another endpoint is tried only where nothing was sent
hedge      off
limit      off
sticky     off
mirror     off
websocket  on, idle 1h
log        what fails
";

#[track_caller]
fn prints(dir: &Dir, args: &[&str], expected: &str) {
    let (code, out, err) = dir.run(args);
    assert_eq!(code, Some(0), "{out}{err}");
    let expected: String = expected.lines().skip(1).map(|line| format!("{}\n", line.trim_end())).collect();
    let expected: String = expected
        .lines()
        .map(|line| match line.strip_prefix("DEFAULTS ") {
            Some(place) => DEFAULTS.trim_start().replace("PLACE", place),
            None => format!("{line}\n"),
        })
        .collect();
    assert!(out == expected, "expected:\n{expected}\nprinted:\n{out}\n{err}");
}

#[test]
fn explain_tells_the_way_of_a_request() {
    let request = "GET https://shop.test/x/..//%61dmin/users?a=1";
    prints(
        &shop(),
        &["explain", request, "--client", "10.1.2.3"],
        r#"
GET https://shop.test/x/..//%61dmin/users?a=1

host       shop.test  [sites/shop.route:9]
           more specific than *.test  [sites/shop.route:19]
path       /admin/users  (spelt /x/..//%61dmin/users by the client)
routes     /admin/*  · enters this block  [sites/shop.route:11]
             /admin/*  · takes it  [sites/shop.route:13]
policies   use office  [sites/shop.route:12]
           require client.ip in [10.0.0.0/8]  · holds  [sites/shop.route:5]
           set request header x-office = "yes"  [sites/shop.route:6]
answer     pool admin: 127.0.0.1:4000  [sites/shop.route:13]
           receives GET /internal?a=1 with host shop.test
DEFAULTS [sites/shop.route:2]
"#,
    );
}

#[test]
fn explain_tells_what_refused() {
    prints(
        &shop(),
        &["explain", "GET https://shop.test/beta/x"],
        r#"
GET https://shop.test/beta/x

host       shop.test  [sites/shop.route:9]
           more specific than *.test  [sites/shop.route:19]
path       /beta/x
routes     /beta/* when header.beta is "1"  · no: header.beta is "1" does not hold  [sites/shop.route:15]
           /*  · takes it  [sites/shop.route:16]
answer     pool app: 127.0.0.1:3000, 127.0.0.1:3001  [sites/shop.route:16]
           receives GET /beta/x with host shop.test
DEFAULTS [sites/shop.route:1]
"#,
    );
    prints(
        &shop(),
        &["explain", "https://shop.test/admin/x"],
        r#"
GET https://shop.test/admin/x

host       shop.test  [sites/shop.route:9]
           more specific than *.test  [sites/shop.route:19]
path       /admin/x
routes     /admin/*  · enters this block  [sites/shop.route:11]
             /admin/*  · takes it  [sites/shop.route:13]
policies   use office  [sites/shop.route:12]
           require client.ip in [10.0.0.0/8]  · does not hold  [sites/shop.route:5]
answer     deny 403  · by office  [sites/shop.route:5]
"#,
    );
}

#[test]
fn explain_tells_refusals_plainly() {
    for (request, said) in [
        ("GET https://shop.test/a%2Fb", "400 encoded slash in the path"),
        ("GET https://shop.test/../..", "400 path above the root"),
        ("GET https://nobody.example/", "404 no site claims nobody.example"),
        ("GET http://shop.test/", "308 to the same address with https"),
        ("GET https://bad_host!/", "400 bad character in the host"),
    ] {
        let (code, out, _) = shop().run(&["explain", request]);
        assert_eq!(code, Some(0));
        assert!(out.contains(said), "{request}:\n{out}");
    }
    let dir = shop();
    dir.write("sites/broken.route", "site broken.test {\n    else -> nowhere\n}\n");
    let (_, out, err) = dir.run(&["explain", "GET https://broken.test/"]);
    assert!(out.contains("503 broken.test is claimed by sites/broken.route, which does not load"), "{out}");
    assert!(err.contains("sites/broken.route:2"), "{err}");
    assert_eq!(dir.run(&["explain", "shop.test"]).0, Some(2));
}

#[test]
fn routes_are_a_table() {
    prints(
        &shop(),
        &["routes"],
        r#"
HOST       PATH        WHEN                LEADS TO                      WHERE
shop.test  /old/*rest                      redirect 308 /new/{rest}      sites/shop.route:10
shop.test  /admin/*                        admin at /internal  [office]  sites/shop.route:13
shop.test  /beta/*     header.beta is "1"  admin                         sites/shop.route:15
shop.test  /*                              app                           sites/shop.route:16
*.test     /*                              respond 404                   sites/shop.route:20
"#,
    );
}

const EDGE: &str = r#"pool pg    = 10.0.0.1:5432, 10.0.0.2:5432
pool next  = 10.0.0.9:5432
pool vault = 10.8.0.5:8443
pool turn {
    10.5.0.1:3478 weight 2
    10.5.0.2:3478
    10.5.0.3:3478 backup
    balance maglev client.ip
}

tcp :5432 {
    require client.ip in [10.0.0.0/8] else deny
    when client.ip in [10.1.0.0/16] {
        limit 50/s burst 100 per client.ip
        when client.port < 1024 -> next
        else -> deny
    }
    else -> 90% pg, 10% next by client.ip
}

udp 127.0.0.1:3478 {
    idle 60s
    limit 20 at-once per client.ip
    -> turn
}

passthrough vault.bank.test, *.vault.test {
    when tls.alpn has "h2" -> vault
}

site app.bank.test {
    else -> pg
}
"#;

fn edge() -> Dir {
    let dir = Dir::new();
    dir.write("sites/edge.route", EDGE);
    dir
}

#[test]
fn explain_tells_the_way_of_a_connection() {
    prints(
        &edge(),
        &["explain", "tcp :5432", "--client", "10.1.2.3:80"],
        r#"
tcp :5432

listener   tcp :5432  [sites/edge.route:11]
client     from 10.1.2.3
entries    when client.ip in [10.1.0.0/16] and client.port < 1024  · takes it  [sites/edge.route:15]
policies   require client.ip in [10.0.0.0/8]  · holds  [sites/edge.route:12]
           limit 50/s burst 100 per client.ip  · passes while it is not exceeded  [sites/edge.route:14]
answer     pool next: 10.0.0.9:5432  [sites/edge.route:15]
balance    round-robin  [sites/edge.route:2]
"#,
    );
    prints(
        &edge(),
        &["explain", "tcp :5432"],
        r#"
tcp :5432

listener   tcp :5432  [sites/edge.route:11]
client     from 203.0.113.1
entries    when client.ip in [10.1.0.0/16] and client.port < 1024  · no: client.ip in [10.1.0.0/16] does not hold  [sites/edge.route:15]
           when client.ip in [10.1.0.0/16]  · no: client.ip in [10.1.0.0/16] does not hold  [sites/edge.route:16]
           else  · takes it  [sites/edge.route:18]
policies   require client.ip in [10.0.0.0/8]  · does not hold  [sites/edge.route:12]
answer     refused: a `require` does not hold; the connection is reset  [sites/edge.route:12]
"#,
    );
    prints(
        &edge(),
        &["explain", "udp :3478"],
        r#"
udp :3478

listener   udp 127.0.0.1:3478  [sites/edge.route:21]
client     from 203.0.113.1
entries    else  · takes it  [sites/edge.route:24]
policies   limit 20 at-once per client.ip  · passes while it is not exceeded  [sites/edge.route:23]
answer     pool turn: 10.5.0.1:3478 weight 2, 10.5.0.2:3478, 10.5.0.3:3478 backup  [sites/edge.route:24]
balance    maglev client.ip: 10.5.0.2:3478, while all are up  [sites/edge.route:4]
"#,
    );
    prints(
        &edge(),
        &["explain", "tls a.Vault.test", "--alpn", "http/1.1", "--alpn", "h2"],
        r#"
tls a.vault.test

host       a.vault.test: passed through  (matches *.vault.test)  [sites/edge.route:27]
client     from 203.0.113.1, offering http/1.1, h2
entries    when tls.alpn has "h2"  · takes it  [sites/edge.route:28]
answer     pool vault: 10.8.0.5:8443  [sites/edge.route:28]
balance    round-robin  [sites/edge.route:3]
"#,
    );
    prints(
        &edge(),
        &["explain", "tls vault.bank.test"],
        r#"
tls vault.bank.test

host       vault.bank.test: passed through  [sites/edge.route:27]
client     from 203.0.113.1
entries    when tls.alpn has "h2"  · no: tls.alpn has "h2" does not hold  [sites/edge.route:28]
answer     refused: nothing here takes it; the connection is reset
"#,
    );
    for (asked, said) in [
        ("tls app.bank.test", "app.bank.test: a site, so TLS ends here  [sites/edge.route:31]"),
        ("tls nobody.test", "neither a site nor a passthrough claims it: the handshake is refused"),
        ("tcp :8443", "https :8443 of the gateway"),
        ("tcp :1", "nothing listens there"),
        ("GET https://vault.bank.test/", "sluice explain 'tls vault.bank.test'"),
    ] {
        let (code, out, _) = edge().run(&["explain", asked]);
        assert_eq!(code, Some(0));
        assert!(out.contains(said), "{asked}:\n{out}");
    }
    for asked in ["tcp x", "udp :99999", "tls bad_host!"] {
        assert_eq!(edge().run(&["explain", asked]).0, Some(2), "{asked}");
    }
}

#[test]
fn routes_list_connections_too() {
    let (code, out, _) = edge().run(&["routes"]);
    assert_eq!(code, Some(0));
    let rows: Vec<String> = out.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for row in [
        "tcp :5432 client.ip in [10.1.0.0/16] refused [require client.ip in [10.0.0.0/8]; limit 50/s burst 100 per client.ip] sites/edge.route:16",
        "tcp :5432 90% pg, 10% next by client.ip [require client.ip in [10.0.0.0/8]] sites/edge.route:18",
        "udp 127.0.0.1:3478 turn [limit 20 at-once per client.ip] sites/edge.route:24",
        "passthrough vault.bank.test, *.vault.test tls.alpn has \"h2\" vault sites/edge.route:28",
        "passthrough vault.bank.test, *.vault.test refused, no entry sites/edge.route:27",
    ] {
        assert!(rows.contains(&row.to_owned()), "{row}\n{out}");
    }
}

#[test]
fn lint_sees_files_beside_each_other() {
    let dir = Dir::new();
    dir.write("sites/a.route", "pool p = 127.0.0.1:9002\n\ntcp :9001 -> p\n");
    dir.write("sites/b.route", "pool p = 127.0.0.1:9001\n\ntcp :9002 -> p\n");
    let (code, out, _) = dir.run(&["lint", "--format", "concise"]);
    assert_eq!(code, Some(1));
    for at in ["sites/a.route:1:10: error[G5002]: a loop", "sites/b.route:1:10: error[G5002]: a loop"] {
        assert!(out.contains(at), "{out}");
    }
}

#[test]
fn lint_of_two_files_with_one_host_names_both() {
    let dir = Dir::new();
    dir.write("sites/a.route", "site a.test {\n    else -> respond 404\n}\n");
    dir.write("sites/b.route", "\nsite a.test {\n    else -> respond 404\n}\n");
    let (code, out, err) = dir.run(&["lint", "--format", "concise"]);
    assert_eq!(code, Some(1));
    let expected = "sites/a.route:1:6: error[G2007]: `a.test` is also claimed by sites/b.route:2\n\
                    sites/b.route:2:6: error[G2007]: `a.test` is also claimed by sites/a.route:1\n";
    assert!(out == expected, "{out}");
    assert_eq!(err, "2 files checked: 2 errors in 2 files\n");
    // One file is judged with its neighbours, and what is said concerns that file.
    let (code, out, _) = dir.run(&["lint", "--format", "concise", "sites/b.route"]);
    assert_eq!((code, out.lines().count()), (Some(1), 1), "{out}");
}

#[test]
fn lint_shows_the_lines_of_both_files() {
    let dir = Dir::new();
    dir.write("sites/a.route", "site a.test {\n    else -> respond 404\n}\n");
    dir.write("sites/b.route", "site a.test {\n    else -> respond 404\n}\n");
    let (_, out, _) = dir.run(&["lint"]);
    assert!(out.contains("--> sites/a.route:1:6") && out.contains("::: sites/b.route:1:6"), "{out}");
}

#[test]
fn paths_that_a_file_names_stay_in_its_folder() {
    let dir = Dir::new();
    dir.write("secret/a.txt", "");
    std::os::unix::fs::symlink("../secret", dir.path().join("sites/link")).unwrap();
    dir.write(
        "sites/a.route",
        "import ../../up\n\nsite a.test {\n    /l -> files \"link\"\n    else -> files \"nowhere\"\n}\n",
    );
    let (code, out, _) = dir.run(&["lint", "--format", "concise"]);
    assert_eq!(code, Some(1));
    for part in ["error[G1009]", "it leads out of the sites directory"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    dir.write("sites/a.route", "site a.test {\n    /l/* -> files \"link\"\n    else -> files \"nowhere\"\n}\n");
    let (_, out, _) = dir.run(&["lint", "--format", "concise"]);
    for part in
        ["a.route:2:5: error[G8007]: `link` leads out", "a.route:3:5: warning[G8008]: there is no directory `nowhere`"]
    {
        assert!(out.contains(part), "{part}: {out}");
    }
}

#[test]
fn mistakes_of_the_command_line_go_to_standard_error_and_end_with_2() {
    let dir = Dir::new();
    for args in [&["lint", "nowhere"][..], &["run", "nowhere"], &["explain"], &["routes", "nowhere"], &["frobnicate"]] {
        let (code, out, err) = dir.run(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(!err.is_empty());
    }
    assert!(dir.run(&["lint", "--explain", "g2007"]).1.starts_with("# G2007: "));
    assert_eq!(dir.run(&["lint", "--explain", "G0"]).0, Some(2));
}

#[test]
fn explain_and_routes_tell_what_a_request_meets_in_its_pool() {
    let dir = Dir::new();
    dir.write(
        "sites/api.route",
        r#"pool shadow = 127.0.0.1:4000
pool api {
    https://api.test:8443 weight 2
    unix:/run/api.sock backup
    tls { name api.test  trust "ca.pem" }
    check GET /healthz every 5s body "ok"
    eject after 5 failures for 10s
    slow-start 20s
    connect within 1s
    idle 90s
    retry 2 on [connect, 503] within 5s
    hedge after p95
    limit 10 connections, 5 requests, 3 queued within 1s
    sticky cookie "route" for 12h
}
pool spread {
    10.0.0.1:80
    10.0.0.2:80
    check tcp
    protocol h2c
    balance maglev header.x-user if missing client.ip
}
site api.test {
    /v1/* {
        mirror 1% shadow
        timeout 3s
        websocket off
        -> api
    }
    else -> spread
}
"#,
    );
    dir.write("sites/ca.pem", "");
    prints(
        &dir,
        &["explain", "GET https://api.test/v1/x"],
        r#"
GET https://api.test/v1/x

host       api.test  [sites/api.route:23]
path       /v1/x
routes     /v1/*  · enters this block  [sites/api.route:24]
             /v1/*  · takes it  [sites/api.route:28]
answer     pool api: api.test:8443 weight 2, unix:/run/api.sock backup  [sites/api.route:28]
           receives GET /v1/x with host api.test
protocol   auto: HTTP/2 where an endpoint agrees to it, HTTP/1.1 otherwise, over TLS 1.2 or later, verified for api.test by an authority in ca.pem  [sites/api.route:2]
balance    round-robin
check      GET /healthz expect 200..299 body "ok" every 5s within 1s rise 2 fall 3
eject      after 5 failures for 10s up to 50%
panic      below 50% that are well, those that were ejected are used too
slow-start 20s
time       connect within 1s, timeout 3s, idle 90s
retry      2 on [connect, 503] within 5s budget 20%
hedge      after p95
limit      10 connections, 5 requests, 3 queued within 1s
sticky     cookie "route" for 12h
mirror     1% shadow body 64KB
websocket  off
log        what fails
"#,
    );
    let (code, out, err) = dir.run(&["explain", "GET https://api.test/", "-H", "x-user: ann"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let said = |line: &str| assert!(out.lines().any(|l| l.starts_with(line)), "{line}\n{out}");
    said("protocol   h2c: HTTP/2, in clear");
    said("balance    maglev header.x-user if missing client.ip: 10.0.0.");
    prints(
        &dir,
        &["routes"],
        r#"
HOST      PATH   LEADS TO  WHERE
api.test  /v1/*  api  (timeout 3s; retry 2 on [connect, 503] within 5s budget 20%; hedge after p95; mirror 1% shadow body 64KB; websocket off; sticky cookie "route" for 12h; limit 10 connections, 5 requests, 3 queued within 1s)  sites/api.route:28
api.test  /*     spread  (protocol h2c; balance maglev header.x-user if missing client.ip)  sites/api.route:30
"#,
    );
}

#[test]
fn explain_tells_both_ways_of_a_call_that_nobody_knows() {
    let dir = Dir::new();
    dir.write(
        "sites/a.route",
        "pool app = 127.0.0.1:3000\npool verify = 127.0.0.1:3001\n\
         site a.test {\n    /in/* {\n        let who = jwt(cookie.sid, key: secret.k, iss: \"i\", aud: host)\n        \
         require who else redirect 303 /login\n        set request header x-user = who.sub\n        \
         -> respond 200 \"hello\"\n    }\n    /api/* {\n        \
         require ask(verify, GET /check, copy: [x-team]) else deny 403\n        -> app\n    }\n    else -> app\n}\n",
    );
    let (code, out, err) = dir.run(&["explain", "https://a.test/in/x"]);
    assert_eq!(code, Some(0), "{err}");
    let after = out.split_once("answer     depends on what jwt(").expect(&out).1;
    let (yes, no) = after.split_once("says no:").expect(&out);
    assert!(yes.contains("says yes, with claims <sub>:"), "{out}");
    assert!(yes.contains("set request header x-user = \"<sub>\"") && yes.contains("respond 200 \"hello\""), "{out}");
    assert!(no.contains("redirect 303 /login") && !no.contains("respond 200"), "{out}");
    let (_, out, _) = dir.run(&["explain", "https://a.test/api/x"]);
    let after = out.split_once("answer     depends on what ask(").expect(&out).1;
    let (yes, rest) = after.split_once("says no:").expect(&out);
    assert!(yes.contains("pool app: 127.0.0.1:3000"), "{out}");
    let (no, failed) = rest.split_once("is not answered:").expect(&out);
    assert!(no.contains("deny 403") && failed.contains("503"), "{out}");
    // Nobody but who is asked may say what it copies, on any way to a pool.
    let (_, out, _) = dir.run(&["explain", "https://a.test/other", "-H", "x-team: red"]);
    assert!(out.contains("remove request header x-team  · only ask("), "{out}");
}
