//! What pools, sites and blocks say about their endpoints and about the tries of a request.
#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use dsl::tree::ir::{
    Balance, Eject, EndpointKind, Field, HashKey, HashPart, Hedge, KeyFrom, Mirror, PathCase, Pool, PoolIdx, PoolLimit,
    Probe, Protocol, Retry, RetryOn, Settings, Sticky,
};
use dsl::tree::l4::{Key, KeyPart};
use front::{Files, codes, compile, sound, worse};

/// The pool of a site with these lines.
fn pool(body: &str) -> Pool {
    let compiled = sound(&format!("pool p {{\n10.0.0.1:80\n{body}\n}}\nsite a.example.com {{\nelse -> p\n}}\n"));
    (*compiled.programs[0].site().pools[0]).clone()
}

/// The settings of the only route of a site with these statements.
fn settings(body: &str) -> Settings {
    let compiled = sound(&format!(
        "pool p = 10.0.0.1:80\npool shadow = 10.0.0.2:80\nsite a.example.com {{\n{body}\nelse -> p\n}}\n"
    ));
    let site = compiled.programs[0].site();
    let plan = site.plans.iter().find(|p| matches!(p.answer, dsl::tree::ir::Answer::Proxy { .. })).unwrap();
    plan.settings.clone()
}

/// The findings of a pool with one more line.
fn found(line: &str) -> Vec<&'static str> {
    worse(&format!("pool p {{\n    10.0.0.1:80\n    {line}\n}}\n"))
}

/// What is said first of a pool with one more line.
fn said(line: &str) -> String {
    let text = format!("pool p {{\n    10.0.0.1:80\n    {line}\n}}\n");
    compile(&text).diagnostics.first().map(|d| d.message.clone()).unwrap_or_default()
}

#[test]
fn endpoints_are_addresses_names_sockets_and_records() {
    let p = pool("api.Internal:8080\n[2001:db8::1]:8080\nunix:/run/api.sock backup\nsrv _http._tcp.api.internal");
    let all: Vec<(EndpointKind, &str, u16, bool)> =
        p.endpoints.iter().map(|e| (e.kind, &*e.host, e.port, e.backup)).collect();
    use EndpointKind::{Srv, Tcp, Unix};
    assert_eq!(
        all,
        [
            (Tcp, "10.0.0.1", 80, false),
            (Tcp, "api.internal", 8080, false),
            (Tcp, "2001:db8::1", 8080, false),
            (Unix, "/run/api.sock", 0, true),
            (Srv, "_http._tcp.api.internal", 0, false),
        ]
    );
    // The short form takes them too.
    let short = sound("pool p = unix:/run/a.sock, srv _http._tcp.b.internal\nsite a.example.com {\nelse -> p\n}\n");
    assert_eq!(short.programs[0].site().pools[0].endpoints.len(), 2);
    for (line, code) in [
        ("unix:run/api.sock", "G0001"),
        ("unix:/run/", "G1024"),
        ("unix:/run/a.sock\nunix:/run/a.sock", "G5001"),
        ("srv _http._tcp.api.internal\nsrv _HTTP._tcp.api.internal", "G5001"),
        ("[2001:db8::1]:80\n[2001:db8:0::1]:80", "G5001"),
        ("srv _http._tcp.api.internal:80", "G1024"),
        ("srv _http._tcp.api.internal weight 2", "G1022"),
        ("unix:/run/a.sock\ncheck tcp port 8081", "G1022"),
    ] {
        assert_eq!(found(line), [code], "{line}");
    }
    assert_eq!(found(&format!("unix:/{}", "x".repeat(107))), ["G1024"]);
    assert_eq!(found(&format!("unix:/{}", "x".repeat(106))), [""; 0]);
    // Sockets and records follow `tls`; addresses say it themselves.
    let tls = sound(
        "pool p {\nhttps://a.internal\nunix:/run/a.sock\nsrv _x._tcp.b.internal\ntls {\nname a.internal\n}\n}\nsite a.example.com {\nelse -> p\n}\n",
    );
    assert!(tls.programs[0].site().pools[0].tls.is_some());
}

#[test]
fn protocols() {
    let protocol = |line: &str| pool(line).protocol;
    assert_eq!(protocol(""), Protocol::Auto);
    assert_eq!(protocol("protocol auto"), Protocol::Auto);
    assert_eq!(protocol("protocol h1"), Protocol::H1);
    assert_eq!(protocol("protocol h2c"), Protocol::H2c);
    assert_eq!(protocol("protocol grpc"), Protocol::Grpc);
    assert_eq!(protocol("protocol h2\ntls {\nname a.internal\n}"), Protocol::H2);
    for (line, code) in [
        ("protocol h3", "G1024"),
        ("protocol", "G1024"),
        ("protocol h1 h2", "G1024"),
        ("protocol h1\nprotocol h2c", "G1023"),
        ("protocol h2", "G1022"),
        ("protocol h2c\ntls {\n        name a.internal\n    }", "G1022"),
        ("protocol h2c\nproxy-protocol v2", "G1022"),
        ("protocol grpc\nproxy-protocol v2", "G1022"),
    ] {
        assert_eq!(found(line), [code], "{line}");
    }
    assert!(said("protocol h2x").contains("did you mean `protocol h2`?"), "{}", said("protocol h2x"));
}

#[test]
fn header_limits_of_sites_and_blocks() {
    assert_eq!(settings("").header_limit, None);
    assert_eq!(settings("header limit 8KB").header_limit, Some(8 * 1024));
    let inner = "header limit 8KB\n/x/* {\nheader limit 2KB\n-> p\n}";
    assert_eq!(settings(inner).header_limit, Some(2 * 1024));
    for (line, code) in
        [("header 8KB", "G1024"), ("header limit 5m", "G1005"), ("header limit 8KB\nheader limit 9KB", "G1023")]
    {
        assert!(codes(&format!("site a.example.com {{\n{line}\nelse -> respond 404\n}}\n")).contains(&code), "{line}");
    }
}

#[test]
fn resolve_slow_start_and_panic() {
    let p = pool("resolve every 10s\nslow-start 30s\npanic below 40%");
    assert_eq!((p.resolve_ms, p.slow_start_ms, p.panic_below), (Some(10_000), Some(30_000), Some(40)));
    assert_eq!(pool("panic below 0%").panic_below, Some(0));
    assert_eq!(pool("").panic_below, None);
    for (line, code) in [
        ("resolve 10s", "G1024"),
        ("resolve every 10ms", "G1024"),
        ("resolve every 10s\nresolve every 20s", "G1023"),
        ("slow-start 0s", "G1024"),
        ("slow-start", "G1024"),
        ("panic 50%", "G1024"),
        ("panic below 33.3%", "G1024"),
        ("panic below 5", "G1024"),
        ("panics below 50%", "G1001"),
    ] {
        assert_eq!(found(line), [code], "{line}");
    }
}

#[test]
fn case_of_paths() {
    assert_eq!(pool("").paths, None);
    assert_eq!(pool("paths case-sensitive").paths, Some(PathCase::Sensitive));
    assert_eq!(pool("paths case-insensitive").paths, Some(PathCase::Insensitive));
    for line in ["paths", "paths raw", "paths case-sensitive case-sensitive", "paths \"case-sensitive\""] {
        assert_eq!(found(line), ["G1024"], "{line}");
    }
}

#[test]
fn ejections() {
    let eject = |text: &str| pool(&format!("eject {text}")).eject.unwrap();
    let of = |failures, ratio| Eject { failures, ratio, for_ms: 30_000, up_to: 50 };
    assert_eq!(eject("after 5 failures"), of(Some(5), None));
    assert_eq!(eject("after 1 failure"), of(Some(1), None));
    assert_eq!(eject("after 50% within 10s"), of(None, Some((50, 10_000))));
    assert_eq!(
        eject("after 5 failures, 50% within 10s for 1m up to 100%"),
        Eject { for_ms: 60_000, up_to: 100, ..of(Some(5), Some((50, 10_000))) }
    );
    assert_eq!(
        eject("after 50% within 10s, 5 failures up to 10%"),
        Eject { up_to: 10, ..of(Some(5), Some((50, 10_000))) }
    );
    for line in [
        "eject",
        "eject 5 failures",
        "eject after",
        "eject after 5",
        "eject after 0 failures",
        "eject after 5 failures for",
        "eject after 0% within 10s",
        "eject after 50%",
        "eject after 50% within 10ms",
        "eject after 50% within 1h",
        "eject after 5 failures up 50%",
        "eject after 5 failures up to 0%",
        "eject after 5 failures up to 50% of",
        "eject after 5 failures,",
    ] {
        let codes = found(line);
        assert!(codes == ["G1024"] || codes == ["G0001"], "{line}: {codes:?}");
    }
    for line in [
        "eject after 5 failures for 1s for 2s",
        "eject after 5 failures, 6 failures",
        "eject after 5% within 1s, 6% within 2s",
        "eject after 1 failure\neject after 2 failures",
    ] {
        assert_eq!(found(line), ["G1023"], "{line}");
    }
}

fn retry(times: u32) -> Retry {
    Retry {
        times,
        on: RetryOn { connect: true, reset: true, refused: true, timeout: false, statuses: Vec::new() },
        within_ms: None,
        each_ms: None,
        budget: 20,
        body_bytes: 0,
        any_method: false,
    }
}

#[test]
fn retries_of_pools_and_routes() {
    let of = |text: &str| pool(&format!("retry {text}")).retry.unwrap();
    assert_eq!(of("2"), retry(2));
    assert_eq!(
        of("2 on [connect, reset, refused, timeout, 502, 503] within 10s each 3s budget 15% body 64KB any method"),
        Retry {
            on: RetryOn { connect: true, reset: true, refused: true, timeout: true, statuses: vec![502, 503] },
            within_ms: Some(10_000),
            each_ms: Some(3000),
            budget: 15,
            body_bytes: 64 << 10,
            any_method: true,
            ..retry(2)
        }
    );
    assert_eq!(of("1 on 503").on, RetryOn { statuses: vec![503], ..RetryOn::default() });
    assert_eq!(
        of("1 on [500..502, reset]").on,
        RetryOn { reset: true, statuses: vec![500, 501, 502], ..RetryOn::default() }
    );
    assert!(of("1 each 2s").on.timeout, "whoever bounds each try wants another one behind the bound");
    assert!(!of("1 on [503] each 2s").on.timeout);
    assert_eq!(of("off"), Retry { on: RetryOn::default(), ..retry(0) });
    assert_eq!(pool("").retry, None);
    assert_eq!(
        settings("retry 1 on [503] within 2s").retry,
        Some(Retry { on: RetryOn { statuses: vec![503], ..RetryOn::default() }, within_ms: Some(2000), ..retry(1) })
    );
    for (line, code) in [
        ("retry", "G1024"),
        ("retry twice", "G1003"),
        ("retry 5s", "G1024"),
        ("retry 0", "G1024"),
        ("retry 11", "G1024"),
        ("retry on [503]", "G1024"),
        ("retry 1 on", "G1024"),
        ("retry 1 on connect, reset", "G1024"),
        ("retry 1 on []", "G1024"),
        ("retry 1 on [200]", "G1024"),
        ("retry 1 on [499..600]", "G1024"),
        ("retry 1 on [conect]", "G1024"),
        ("retry 1 on [timeout]", "G1024"),
        ("retry 1 on [503, 503]", "G1023"),
        ("retry 1 on [reset, reset]", "G1023"),
        ("retry 1 on [503, 500..504]", "G1023"),
        ("retry 1 budget 0%", "G1024"),
        ("retry 1 budget 2.5%", "G1024"),
        ("retry 1 body 64", "G1005"),
        ("retry 1 body 17MB", "G1024"),
        ("retry 1 each 0s", "G1024"),
        ("retry 1 within 1s within 2s", "G1023"),
        ("retry 1 bugdet 20%", "G1001"),
        ("retry 1 any", "G1001"),
        ("retry off on [503]", "G1024"),
        ("retry 1\nretry 2", "G1023"),
    ] {
        assert_eq!(found(line), [code], "{line}");
    }
    assert!(said("retry 1 on [conect]").contains("did you mean `on connect`?"), "{}", said("retry 1 on [conect]"));
}

#[test]
fn hedges_of_pools_and_routes() {
    assert_eq!(pool("hedge after p95").hedge, Some(Hedge::Percentile(95)));
    assert_eq!(pool("hedge after 50ms").hedge, Some(Hedge::After(50)));
    assert_eq!(settings("hedge after 1s").hedge, Some(Hedge::After(1000)));
    for line in [
        "hedge",
        "hedge p95",
        "hedge after",
        "hedge after p100",
        "hedge after p49",
        "hedge after 0s",
        "hedge after p95 p99",
    ] {
        assert_eq!(found(line), ["G1024"], "{line}");
    }
    assert_eq!(found("hedge after p95\nhedge after p99"), ["G1023"]);
    assert_eq!(found("hedge after slow"), ["G1003"]);
}

#[test]
fn limits_of_pools() {
    let limit = |text: &str| pool(&format!("limit {text}")).limit;
    let of = |connections, requests, queue| PoolLimit { connections, requests, queue };
    assert_eq!(limit("1000 connections"), of(Some(1000), None, None));
    assert_eq!(
        limit("1000 connections, 500 requests, 200 queued within 1s"),
        of(Some(1000), Some(500), Some((200, 1000)))
    );
    assert_eq!(limit("1000 connections, 200 requests queued within 1s"), of(Some(1000), None, Some((200, 1000))));
    assert_eq!(limit("5 requests,\n200 queued within 1s"), of(None, Some(5), Some((200, 1000))));
    assert_eq!(pool("").limit, PoolLimit::default());
    for (line, code) in [
        ("limit", "G1024"),
        ("limit 5", "G1024"),
        ("limit 0 connections", "G1024"),
        ("limit 2000000 connections", "G1024"),
        ("limit 5 conections", "G1024"),
        ("limit 5 connections 6 requests", "G1024"),
        ("limit 5 requests, 6 queued", "G1024"),
        ("limit 5 requests, 6 queued within", "G1024"),
        ("limit 6 queued within 1s", "G1024"),
        ("limit 5 requests, 6 requests", "G1023"),
        ("limit 100/s per client.ip", "G1022"),
        ("limit 5 requests\nlimit 5 connections", "G1023"),
    ] {
        assert_eq!(found(line), [code], "{line}");
    }
    assert!(said("limit 5 conections").contains("did you mean `connections`?"), "{}", said("limit 5 conections"));
}

#[test]
fn sticky_cookies() {
    let sticky = |text: &str| pool(&format!("sticky {text}")).sticky.unwrap();
    let of = |secret: Option<&str>, for_ms| Sticky { cookie: "route".into(), secret: secret.map(Into::into), for_ms };
    assert_eq!(sticky("cookie \"route\""), of(None, None));
    assert_eq!(sticky("cookie \"route\" key secret.sticky"), of(Some("sticky"), None));
    assert_eq!(sticky("cookie \"route\" for 12h key secret.sticky-key"), of(Some("sticky-key"), Some(43_200_000)));
    for (line, code) in [
        ("sticky", "G1024"),
        ("sticky \"route\"", "G1024"),
        ("sticky cookie route", "G1024"),
        ("sticky cookie \"\"", "G1024"),
        ("sticky cookie \"a b\"", "G1024"),
        ("sticky cookie \"a\" key \"k\"", "G1024"),
        ("sticky cookie \"a\" key secret", "G1024"),
        ("sticky cookie \"a\" key", "G1024"),
        ("sticky cookie \"a\" for 0s", "G1024"),
        ("sticky cookie \"a\" fro 1h", "G1001"),
        ("sticky cookie \"a\" for 1h for 2h", "G1023"),
    ] {
        assert_eq!(found(line), [code], "{line}");
    }
}

#[test]
fn balancers_and_their_keys() {
    assert_eq!(pool("balance least-requests").balance, Balance::LeastRequests);
    assert_eq!(pool("balance peak-ewma").balance, Balance::PeakEwma);
    let key = |text: &str| match pool(&format!("balance hash {text}")).balance {
        Balance::Hash(key) => key,
        other => panic!("{other:?}"),
    };
    let header = |name: &str| Field::Header(name.into());
    let part = |fields: &[Field], otherwise: &str| HashPart { fields: fields.to_vec(), otherwise: otherwise.into() };
    let request = |parts: Vec<HashPart>| HashKey::Request(parts);
    assert_eq!(key("client.ip"), HashKey::Connection(Key(vec![KeyPart::ClientIp])));
    assert_eq!(key("client.ip if missing \"x\""), HashKey::Connection(Key(vec![KeyPart::ClientIp])), "it never is");
    assert_eq!(
        key("header.x-user if missing client.ip"),
        request(vec![part(&[header("x-user"), Field::ClientIp], "")])
    );
    assert_eq!(key("cookie.uid if missing \"none\""), request(vec![part(&[Field::Cookie("uid".into())], "none")]));
    assert_eq!(
        key("header.a if missing cookie.b if missing \"none\""),
        request(vec![part(&[header("a"), Field::Cookie("b".into())], "none")])
    );
    assert_eq!(key("request.path"), request(vec![part(&[Field::Path], "")]));
    assert_eq!(key("tls.sni if missing \"\""), request(vec![part(&[Field::TlsSni], "")]));
    assert_eq!(
        key("[client.ip, header.a] if missing \"none\""),
        request(vec![part(&[Field::ClientIp], ""), part(&[header("a")], "none")])
    );
    assert_eq!(
        key("\"{host}/{request.path}\""),
        request(vec![part(&[Field::Host], ""), part(&[], "/"), part(&[Field::Path], "")])
    );
    match pool("balance maglev [host, method]").balance {
        Balance::Maglev(key) => assert_eq!(key.to_string(), "[host, method]"),
        other => panic!("{other:?}"),
    }
    for (line, code) in [
        ("balance hash header.x-user", "G1012"),
        ("balance hash [client.ip, cookie.a]", "G1012"),
        ("balance hash header.a if missing cookie.b", "G1012"),
        ("balance hash header.a if missing deny 401", "G1022"),
        ("balance hash header.a if missing", "G1024"),
        ("balance hash header.a if absent \"x\"", "G1024"),
        ("balance hash header.a if missing client.ip if missing \"x\"", "G1024"),
        ("balance hash header.a header.b", "G1024"),
        ("balance hash [connection, host]", "G1024"),
        ("balance hash lower(host)", "G1024"),
        ("balance hash path", "G1003"),
        ("balance hash \"x\"", "G1024"),
        ("balance hash [10.0.0.0/8]", "G1005"),
        ("balance least-request", "G1024"),
        ("balance hash", "G1024"),
    ] {
        assert_eq!(found(line), [code], "{line}");
    }
    assert!(said("balance least-request").contains("did you mean `balance least-requests`?"));
}

#[test]
fn checks_of_bodies_and_of_grpc() {
    let check = |text: &str| pool(&format!("check {text}")).check.unwrap();
    assert!(
        matches!(check("GET /h body \"ok\" every 2s").probe, Probe::Http { body: Some(ref b), .. } if &**b == "ok")
    );
    assert_eq!(check("grpc").probe, Probe::Grpc { service: "".into() });
    let grpc = check("grpc service \"shop.v1.Cart\" every 2s within 1s rise 1 fall 2 port 9000");
    assert_eq!(
        (grpc.probe, grpc.every_ms, grpc.port),
        (Probe::Grpc { service: "shop.v1.Cart".into() }, 2000, Some(9000))
    );
    for line in [
        "check HEAD /h body \"ok\"",
        "check GET /h body",
        "check GET /h body \"\"",
        "check GET /h service \"x\"",
        "check grpc service",
        "check grpc service \"a..b\"",
        "check grpc expect 200",
        "check tcp body \"x\"",
    ] {
        assert_eq!(found(line), ["G1024"], "{line}");
    }
    assert_eq!(found("check GET /h body \"a\" body \"b\""), ["G1023"]);
    assert_eq!(found("check GET /h body \"{host}\""), ["G1027"]);
}

#[test]
fn the_key_of_a_client_certificate_is_a_file_or_a_secret() {
    let client = |key: &str| {
        pool(&format!("tls {{\nname a.internal\nclient \"gw.pem\" key {key}\n}}")).tls.unwrap().client.unwrap()
    };
    assert_eq!(client("\"gw.key\""), ("gw.pem".into(), KeyFrom::File("gw.key".into())));
    assert_eq!(client("secret.gw-key"), ("gw.pem".into(), KeyFrom::Secret("gw-key".into())));
    assert_eq!(found("tls {\n        client \"gw.pem\" key gw\n    }"), ["G1003"]);
    assert_eq!(found("tls {\n        client \"gw.pem\" key 5\n    }"), ["G1024"]);
}

#[test]
fn mirrors_and_websockets() {
    let made = settings("mirror 1% shadow");
    assert_eq!(made.mirror, Some(Mirror { share: 100, pool: PoolIdx(0), body_bytes: 64 << 10 }));
    assert_eq!(
        settings("mirror 2.5% shadow body 1MB").mirror,
        Some(Mirror { share: 250, pool: PoolIdx(0), body_bytes: 1 << 20 })
    );
    assert_eq!(settings("").mirror, None);
    assert_eq!(settings("websocket off").websocket, Some(false));
    assert_eq!(settings("websocket on").websocket, Some(true));
    assert_eq!(settings("").websocket, None);
    let of = |line: &str| codes(&format!("pool p = 10.0.0.1:80\nsite a.example.com {{\n{line}\nelse -> p\n}}\n"));
    for (line, code) in [
        ("mirror p", "G1024"),
        ("mirror p 1%", "G1024"),
        ("mirror 1%", "G1024"),
        ("mirror 0% p", "G1024"),
        ("mirror 1 p", "G1024"),
        ("mirror 1% nowhere", "G1002"),
        ("mirror 1% host", "G1005"),
        ("mirror 1% p body", "G1024"),
        ("mirror 1% p body 17MB", "G1024"),
        ("mirror 1% p size 1KB", "G1024"),
        ("mirror 1% p\nmirror 2% p", "G1023"),
        ("mirorr 1% p", "G1001"),
        ("websocket", "G1024"),
        ("websocket of", "G1024"),
        ("retry 1\nretry 2", "G1023"),
        ("hedge after fast", "G1003"),
    ] {
        assert_eq!(of(line), [code], "{line}");
    }
    // A block's settings replace those around it, a policy's are those of where it is used.
    let compiled = sound(
        "pool p = 10.0.0.1:80\npool s = 10.0.0.2:80\npolicy shadowed(to: pool) {\n    mirror 5% to\n    retry 1\n}\n\
         site a.example.com {\nwebsocket off\nretry 3\n/x/* {\nuse shadowed(s)\nwebsocket on\nelse -> p\n}\nelse -> p\n}\n",
    );
    let plans = &compiled.programs[0].site().plans;
    let inner = plans.iter().find(|p| p.settings.mirror.is_some()).unwrap();
    assert_eq!((inner.settings.websocket, inner.settings.retry.as_ref().map(|r| r.times)), (Some(true), Some(1)));
    let outer = plans.iter().find(|p| p.settings.mirror.is_none()).unwrap();
    assert_eq!((outer.settings.websocket, outer.settings.retry.as_ref().map(|r| r.times)), (Some(false), Some(3)));
}

#[test]
fn what_only_requests_can_have_is_refused_for_connections() {
    let with = |setting: &str, item: &str| worse(&format!("pool p {{\n    10.0.0.1:80\n    {setting}\n}}\n{item}\n"));
    let items = [
        "tcp :1 -> p",
        "passthrough v.example.com -> p",
        "udp :1 {\n    idle 1m\n    limit 1/s per client.ip\n    -> p\n}",
    ];
    for item in items {
        for setting in [
            "protocol h2c",
            "protocol grpc",
            "retry 1",
            "hedge after 1s",
            "sticky cookie \"a\"",
            "balance least-requests",
            "balance peak-ewma",
            "limit 5 connections",
            "eject after 5 failures",
            "panic below 10%",
            "slow-start 10s",
            "paths case-sensitive",
            "timeout 5s",
            "idle 5s",
        ] {
            assert_eq!(with(setting, item), ["G1022"], "{setting} {item}");
        }
        assert_eq!(with("balance hash host", item), ["G7002"], "{item}");
        assert_eq!(with("balance maglev header.a if missing client.ip", item), ["G7002"], "{item}");
        for setting in
            ["resolve every 10s", "protocol h1", "check grpc", "srv _x._tcp.a.internal", "balance maglev client.ip"]
        {
            assert_eq!(with(setting, item), [""; 0], "{setting} {item}");
        }
    }
    let unix = "unix:/run/a.sock";
    assert_eq!([with(unix, items[0]), with(unix, items[1])], [[""; 0]; 2].map(Vec::from));
    assert_eq!(with(unix, items[2]), ["G1022"]);
    // A site's pool can have all of it.
    let all = "tls {\n        name a.internal\n    }\n    retry 1\n    hedge after 1s\n    sticky cookie \"a\"\n    balance peak-ewma\n    limit 5 connections\n    \
               eject after 5 failures\n    panic below 10%\n    slow-start 10s\n    proxy-protocol v2";
    assert_eq!(with(all, "site a.example.com {\n    else -> p\n}"), [""; 0]);
}

#[test]
fn a_mirror_that_needs_a_pool_of_another_file() {
    let files = Files(vec![
        (
            "sites/a.route".into(),
            "import ./pools\nsite a.example.com {\n    mirror 1% pools.shadow\n    else -> pools.web\n}\n".into(),
        ),
        ("sites/pools.route".into(), "pool web = 10.0.0.1:80\npool shadow = 10.0.0.2:80\n".into()),
    ]);
    let compiled = files.compile(0);
    assert!(compiled.is_sound(), "{}", files.render(&compiled.diagnostics));
    assert_eq!(compiled.programs[0].site().pools.len(), 2);
}

/// What is said of a site with a pool, hints included.
fn of_site(pool: &str, site: &str) -> Vec<&'static str> {
    codes(&format!("pool p {{\n    {pool}\n}}\nsite a.example.com {{\n    {site}\n}}\n"))
}

#[test]
fn endpoints_that_cannot_be_verified_are_refused() {
    let tls = |endpoint: &str, tls: &str| of_site(&format!("{endpoint}\n    tls {{ {tls} }}"), "else -> p");
    let none = [""; 0];
    assert_eq!(of_site("https://10.0.0.1:8443", "else -> p"), ["G4009"]);
    assert_eq!(of_site("https://[2001:db8::1]:8443", "else -> p"), ["G4009"]);
    assert_eq!(tls("unix:/run/a.sock", "trust \"ca.pem\""), ["G4009"]);
    assert_eq!(tls("https://10.0.0.1:8443", "name a.internal"), none);
    assert_eq!(tls("https://10.0.0.1:8443", "name 10.0.0.1"), none);
    assert_eq!(of_site("https://a.internal:8443", "else -> p"), none);
    assert_eq!(of_site("https://a.internal:8443\n    srv _x._tcp.a.internal\n    check tcp", "else -> p"), none);
    let two = "\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\", \"n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=\"";
    assert_eq!(tls("https://10.0.0.1:8443", &format!("pin sha256 {two}")), none, "the key says who it is");
    assert_eq!(tls("https://10.0.0.1:8443", &format!("trust \"ca.pem\" pin sha256 {two}")), ["G4009"]);
    let one = two.split(", ").next().unwrap();
    assert_eq!(tls("https://a.internal:8443", &format!("pin sha256 {one}")), ["G4010"]);
}

#[test]
fn what_was_decrypted_does_not_cross_the_internet_in_clear() {
    let none = [""; 0];
    assert_eq!(of_site("203.0.113.9:80", "else -> p"), ["G4011"]);
    assert_eq!(of_site("10.0.0.1:80\n    203.0.113.9:80 backup\n    check tcp", "else -> p"), ["G4011"]);
    assert_eq!(of_site("203.0.113.9:80", "tls off\n    else -> p"), none);
    assert_eq!(of_site("203.0.113.9:80\n    tls { name a.example }", "else -> p"), none);
    assert_eq!(of_site("a.example.net:80", "else -> p"), none, "what a name stands for is not known");
    assert_eq!(codes("pool p = 203.0.113.9:80\ntcp :1 -> p\n"), none, "nothing is decrypted here");
    assert_eq!(codes("pool p = 203.0.113.9:80\ntcp :1 {\n    tls auto\n    -> p\n}\n"), ["G4011"]);
    // A mirror is sent it too.
    let text =
        "pool p = 10.0.0.1:80\npool s = 203.0.113.9:80\nsite a.example.com {\n    mirror 1% s\n    else -> p\n}\n";
    assert_eq!(codes(text), ["G4011"]);
}

#[test]
fn a_request_that_may_run_twice_is_said_with_one_that_would() {
    let twice = "10.0.0.1:80\n    retry 1 on [connect, 503] any method";
    let found = |pool: &str, site: &str| {
        let text = format!("pool p {{\n    {pool}\n}}\nsite a.example.com {{\n    {site}\n}}\n");
        let found = compile(&text).diagnostics;
        let found = found.iter().filter(|d| d.severity > dsl::diagnostic::Severity::Info);
        found.map(|d| format!("{} {}", d.code, d.witness.clone().unwrap_or_default())).collect::<Vec<_>>()
    };
    let none = [""; 0];
    assert_eq!(found(twice, "else -> p"), ["G5003 POST https://a.example.com/"]);
    assert_eq!(
        found(twice, "/x/* when method in [PATCH, GET] -> p\n    else -> respond 404"),
        ["G5003 PATCH https://a.example.com/x"]
    );
    assert_eq!(found(twice, "/x/* when method in [GET, PUT] -> p\n    else -> respond 404"), none);
    assert_eq!(found(twice, "require method in [GET, HEAD] else deny 405\n    else -> p"), none);
    assert_eq!(
        found("10.0.0.1:80\n    retry 1 on [connect, refused] any method", "else -> p"),
        none,
        "nothing was done"
    );
    assert_eq!(found("10.0.0.1:80\n    retry 1 on [503]", "else -> p"), none, "only what is idempotent is sent again");
    assert_eq!(found(&format!("{twice}\n    protocol grpc"), "else -> p"), none, "every method of gRPC is a POST");
    assert_eq!(found("10.0.0.1:80", "retry 1 any method\n    else -> p"), ["G5003 POST https://a.example.com/"]);
    assert_eq!(found(twice, "retry off\n    else -> p"), none, "the innermost retry holds");
}

#[test]
fn tries_that_do_not_fit_are_said() {
    let none = [""; 0];
    assert_eq!(of_site("10.0.0.1:80\n    retry 3 each 5s within 10s", "else -> p"), ["G5005"]);
    assert_eq!(of_site("10.0.0.1:80\n    retry 2 each 4s within 10s", "else -> p"), none, "the last is cut, and made");
    assert_eq!(of_site("10.0.0.1:80\n    retry 3 each 5s", "timeout 10s\n    else -> p"), ["G5005"]);
    assert_eq!(of_site("10.0.0.1:80\n    retry 3 each 5s\n    timeout 10s", "else -> p"), ["G5005"]);
    assert_eq!(of_site("10.0.0.1:80\n    retry 3 each 5s\n    timeout 10s", "timeout 30s\n    else -> p"), none);
    assert_eq!(of_site("10.0.0.1:80\n    timeout 10s", "retry 2 each 5s\n    else -> p"), ["G5005"]);
    assert_eq!(of_site("10.0.0.1:80\n    timeout 10s", "retry 2\n    else -> p"), none);
}

#[test]
fn endpoints_that_nobody_checks_are_a_hint() {
    assert_eq!(of_site("10.0.0.1:80\n    10.0.0.2:80", "else -> p"), ["G5004"]);
    for more in ["check tcp", "eject after 5 failures"] {
        assert_eq!(of_site(&format!("10.0.0.1:80\n    10.0.0.2:80\n    {more}"), "else -> p"), [""; 0], "{more}");
    }
    assert_eq!(of_site("10.0.0.1:80", "else -> p"), [""; 0]);
}

/// Whatever is left out of a setting, or said twice in it, it is a finding or it means something: nothing else.
#[test]
fn words_that_are_missing_or_too_many_are_never_a_surprise() {
    let lines = [
        "eject after 5 failures, 50% within 10s for 30s up to 50%",
        "panic below 50%",
        "retry 2 on [connect, reset, 502, 500..501] within 10s each 3s budget 20% body 64KB any method",
        "hedge after p95",
        "limit 1000 connections, 500 requests, 200 requests queued within 1s",
        "sticky cookie \"route\" key secret.sticky for 12h",
        "balance maglev [header.a, \"x\", client.ip] if missing cookie.b if missing \"none\"",
        "check GET /healthz every 5s within 1s expect 200..299 body \"ok\" rise 2 fall 3 port 8081",
        "check grpc service \"a.B\" every 5s",
        "resolve every 10s",
        "protocol grpc",
        "srv _http._tcp.api.internal backup",
        "unix:/run/api.sock weight 2",
        "mirror 1% p body 64KB",
        "websocket off",
    ];
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let mut tried: Vec<Vec<&str>> = (0..words.len()).map(|n| words[..n].to_vec()).collect();
        for n in 0..words.len() {
            let mut without = words.clone();
            without.remove(n);
            tried.push(without);
            let mut twice = words.clone();
            twice.insert(n, words[n]);
            tried.push(twice);
            let mut moved = words.clone();
            moved.swap(n, words.len() - 1);
            tried.push(moved);
        }
        for words in tried {
            let line = words.join(" ");
            compile(&format!("pool p {{\n10.0.0.1:80\n{line}\n}}\nsite a.example.com {{\nelse -> p\n}}\n"));
            compile(&format!("pool p = 10.0.0.1:80\nsite a.example.com {{\n{line}\nelse -> p\n}}\n"));
        }
    }
}

#[test]
fn a_check_by_datagrams_is_not_for_requests() {
    let text =
        "pool p {\n    10.0.0.1:80\n    check udp send \"x\"\n}\nsite a.example.com {\n    /a -> p\n    else -> p\n}\n";
    let found: Vec<_> = compile(text).diagnostics.into_iter().filter(|d| d.code == "G1022").collect();
    assert_eq!(found.len(), 1, "said once");
    assert!(found[0].message.contains("by UDP"), "{}", found[0].message);
}
