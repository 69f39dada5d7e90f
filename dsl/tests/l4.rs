//! `tcp`, `udp`, `passthrough`, and what pools and the gateway say for them.
#![allow(clippy::unwrap_used)] // a test that cannot read its case fails

mod front;

use dsl::diagnostic::Severity;
use dsl::tree::ir::{Balance, Check, HashKey, KeyFrom, Pool, Probe, ProxyProtocol};
use dsl::tree::l4::{Bound, Entry, Facts, Key, KeyPart, Rules, Settings, Step, Target, Transport};
use front::{Files, codes, compile, sound, worse};
use std::net::SocketAddr;

/// Pools to lead to.
const POOLS: &str = "pool a = 10.0.0.1:1\npool b = 10.0.0.2:1\npool c = 10.0.0.3:1\n\n";

/// The rules of the only `tcp` or `udp` item.
fn rules(body: &str) -> Rules {
    let compiled = sound(&format!("{POOLS}{body}"));
    match (compiled.listening.as_slice(), compiled.passthroughs.as_slice()) {
        ([item], []) => item.rules.clone(),
        ([], [item]) => item.rules.clone(),
        other => panic!("one item: {other:?}"),
    }
}

/// Codes of the findings beside the pools that are not used.
fn found(body: &str) -> Vec<&'static str> {
    codes(&format!("{POOLS}{body}"))
}

/// Where a connection goes, and what it passes: `a`, `deny`, `none`, `require!a` where a `require` refuses it.
fn goes(rules: &Rules, client: &str, sni: Option<&str>, alpn: &[&str]) -> String {
    let alpn: Vec<Box<str>> = alpn.iter().map(|one| (*one).into()).collect();
    let client: SocketAddr =
        if client.contains(':') { client.parse().unwrap() } else { format!("{client}:5000").parse().unwrap() };
    let facts = Facts { client, local: "10.9.9.9:443".parse().unwrap(), sni, alpn: &alpn };
    let Some(entry) = rules.decide(&facts) else { return "none".into() };
    for step in &entry.steps {
        if let Step::Require { cond, .. } = step
            && !facts.hold(cond)
        {
            return format!("require!{}", target(rules, entry));
        }
    }
    target(rules, entry)
}

fn target(rules: &Rules, entry: &Entry) -> String {
    match &entry.target {
        Target::Pool(p) => rules.pools[p.0 as usize].name.to_string(),
        Target::Split { shares, .. } => {
            shares.iter().map(|(n, p)| format!("{n}:{}", rules.pools[p.0 as usize].name)).collect::<Vec<_>>().join("+")
        }
        Target::Deny => "deny".into(),
    }
}

fn pool(body: &str) -> Pool {
    let rules = {
        let compiled = sound(&format!("pool p {{\n    10.0.0.1:80\n    10.0.0.2:80\n{body}\n}}\ntcp :1 -> p\n"));
        compiled.listening[0].rules.clone()
    };
    (*rules.pools[0]).clone()
}

#[test]
fn the_arrow_form() {
    let compiled = sound(&format!(
        "{POOLS}tcp :5432 -> a\nudp 127.0.0.1:53 -> b\npassthrough v.example.com, *.v.example.com -> c\n"
    ));
    let tcp = &compiled.listening[0];
    assert_eq!((tcp.transport, tcp.listener.ip, tcp.listener.port), (Transport::Tcp, None, 5432));
    assert_eq!(tcp.rules.settings, Settings::of(Transport::Tcp));
    assert_eq!(goes(&tcp.rules, "192.0.2.1", None, &[]), "a");
    let udp = &compiled.listening[1];
    assert_eq!((udp.transport, udp.listener.ip), (Transport::Udp, Some("127.0.0.1".parse().unwrap())));
    assert_eq!(udp.rules.settings.idle_ms, 60_000);
    let through = &compiled.passthroughs[0];
    assert_eq!(
        through.hosts.iter().map(|(h, _)| h.to_string()).collect::<Vec<_>>(),
        ["v.example.com", "*.v.example.com"]
    );
    assert_eq!(through.rules.settings.idle_ms, 3_600_000);
    assert_eq!(compiled.claims.len(), 2);
    assert_eq!(compiled.listeners.len(), 2);
}

#[test]
fn the_block_form() {
    let rules = rules(
        "let bad = [192.0.2.0/24]\n\
         tcp :5432 {\n    require client.ip in [10.0.0.0/8, 192.0.2.0/24] else deny\n    limit 50/s burst 100 per client.ip\n    \
         limit 20 at-once per client.ip\n    idle 10m\n    lifetime 12h\n    drain 30s\n    cut on-unhealthy\n    tls auto\n    log off\n    \
         when client.ip in [10.1.0.0/16] -> a\n    when client.ip in bad -> deny\n    else -> 90% b, 10% c by client.ip\n}\n",
    );
    let s = &rules.settings;
    assert_eq!((s.idle_ms, s.lifetime_ms, s.drain_ms), (600_000, Some(43_200_000), 30_000));
    assert!(s.cut_on_unhealthy && s.tls && !s.log);
    assert_eq!(rules.entries.len(), 3);
    assert_eq!(rules.entries[0].steps.len(), 3, "each passes the item's policies");
    let Step::Limit(rate) = &rules.entries[0].steps[1] else { panic!() };
    assert_eq!(rate.bound, Bound::Rate { count: 50, per_ms: 1000, burst: 100 });
    assert_eq!(rate.key, Key(vec![KeyPart::ClientIp]));
    let Step::Limit(many) = &rules.entries[0].steps[2] else { panic!() };
    assert_eq!(many.bound, Bound::AtOnce(20));
    assert_eq!(goes(&rules, "10.1.2.3", None, &[]), "a");
    assert_eq!(goes(&rules, "192.0.2.9", None, &[]), "deny");
    assert_eq!(goes(&rules, "10.9.0.1", None, &[]), "9000:b+1000:c");
    assert_eq!(goes(&rules, "8.8.8.8", None, &[]), "require!9000:b+1000:c");
}

#[test]
fn a_block_is_a_wall() {
    let rules = rules(
        "tcp :1 {\n    when client.ip in [10.0.0.0/8] {\n        require client.port > 1023\n        when client.ip in [10.1.0.0/16] -> a\n        \
         when client.ip in [10.2.0.0/16] {\n            when client.port is 5000 -> b\n        }\n    }\n    else -> c\n}\n",
    );
    assert_eq!(goes(&rules, "10.1.0.1:5000", None, &[]), "a");
    assert_eq!(goes(&rules, "10.1.0.1:80", None, &[]), "require!a");
    assert_eq!(goes(&rules, "10.2.0.1:5000", None, &[]), "b");
    assert_eq!(goes(&rules, "10.2.0.1:6000", None, &[]), "deny");
    assert_eq!(goes(&rules, "10.3.0.1:6000", None, &[]), "deny", "never out of a block that was entered");
    assert_eq!(goes(&rules, "192.0.2.1", None, &[]), "c");
    // What is not there needs no wall.
    assert_eq!(rules.entries.len(), 5);
}

#[test]
fn passthrough_reads_the_hello() {
    let rules = rules(
        "passthrough **.example.com {\n    when tls.sni is \"a.example.com\" -> a\n    when tls.alpn has \"http/1.1\" -> b\n    \
         when tls.alpn is \"acme-tls/1\" -> c\n    else -> deny\n}\n",
    );
    assert_eq!(goes(&rules, "192.0.2.1", Some("a.example.com"), &[]), "a");
    assert_eq!(goes(&rules, "192.0.2.1", Some("b.example.com"), &["h2", "http/1.1"]), "b", "any that is offered");
    assert_eq!(
        goes(&rules, "192.0.2.1", Some("b.example.com"), &["acme-tls/1", "h2"]),
        "c",
        "the first that is offered"
    );
    assert_eq!(goes(&rules, "192.0.2.1", Some("b.example.com"), &["h2", "acme-tls/1"]), "deny");
    assert_eq!(goes(&rules, "192.0.2.1", Some("b.example.com"), &["http/1.10"]), "deny", "the whole of it");
}

#[test]
fn udp_says_what_a_flow_is() {
    let item =
        rules("udp :3478 {\n    idle 30s\n    flow per client.ip\n    limit 1000/s per client.ip\n    -> a\n}\n");
    assert_eq!(item.settings.flow, Key(vec![KeyPart::ClientIp]));
    assert_eq!(item.settings.idle_ms, 30_000);
    assert_eq!(rules("udp :1 {\n    idle 1m\n    -> a\n}\n").settings.flow, Key(vec![KeyPart::Connection]));
}

#[test]
fn policies_are_inlined() {
    let text = "import std/auth\npolicy careful(rate: rate = 10/s, at-once: int) {\n    require client.ip not in [192.0.2.0/24]\n    limit rate per client.ip\n    \
                limit at-once at-once per client.ip\n    when client.ip in [203.0.113.0/24] -> deny\n}\n";
    let compiled = sound(&format!(
        "{}{POOLS}{}tcp :1 {{\n    use auth.only-from([10.0.0.0/8, 203.0.113.0/24])\n    use careful(5/m, 7)\n    else -> a\n}}\n",
        "import std/auth\n",
        text.trim_start_matches("import std/auth\n")
    ));
    let rules = &compiled.listening[0].rules;
    assert_eq!(rules.entries.len(), 2);
    assert_eq!(rules.entries[0].steps.len(), 4);
    let Step::Limit(rate) = &rules.entries[1].steps[2] else { panic!() };
    assert_eq!(rate.bound, Bound::Rate { count: 5, per_ms: 60_000, burst: 1 });
    let Step::Limit(many) = &rules.entries[1].steps[3] else { panic!() };
    assert_eq!(many.bound, Bound::AtOnce(7));
    assert_eq!(goes(rules, "203.0.113.1", None, &[]), "deny");
    assert_eq!(goes(rules, "10.0.0.1", None, &[]), "a");
    assert_eq!(goes(rules, "8.8.8.8", None, &[]), "require!a");
}

#[test]
fn pools_say_how_they_choose() {
    let key = |parts: &[KeyPart]| Key(parts.to_vec());
    use KeyPart::{ClientIp, ClientPort, Connection, Sni};
    assert_eq!(pool("    balance round-robin").balance, Balance::RoundRobin);
    assert_eq!(pool("    balance random").balance, Balance::Random);
    assert_eq!(pool("    balance least-connections").balance, Balance::LeastConnections);
    assert_eq!(pool("    balance hash client.ip").balance, Balance::Hash(HashKey::Connection(key(&[ClientIp]))));
    assert_eq!(pool("    balance maglev connection").balance, Balance::Maglev(HashKey::Connection(key(&[Connection]))));
    assert_eq!(
        pool("    balance maglev [client.ip, client.port]").balance,
        Balance::Maglev(HashKey::Connection(key(&[ClientIp, ClientPort])))
    );
    let compiled = sound("pool p {\n    10.0.0.1:80\n    balance hash tls.sni\n}\npassthrough a.example.com -> p\n");
    assert_eq!(compiled.passthroughs[0].rules.pools[0].balance, Balance::Hash(HashKey::Connection(key(&[Sni]))));
}

#[test]
fn pools_say_how_endpoints_are_checked() {
    let check = |text: &str| pool(&format!("    check {text}")).check.unwrap();
    let of = |probe| Check { probe, port: None, every_ms: 5000, within_ms: 1000, rise: 2, fall: 3 };
    assert_eq!(check("tcp"), of(Probe::Tcp));
    assert_eq!(
        check("tcp every 2s within 500ms rise 1 fall 5 port 8080"),
        Check { probe: Probe::Tcp, port: Some(8080), every_ms: 2000, within_ms: 500, rise: 1, fall: 5 }
    );
    let http = |method: &str, path: &str, expect| {
        of(Probe::Http { method: method.into(), path: path.into(), expect, body: None })
    };
    assert_eq!(
        check("GET /healthz every 5s within 1s expect 200..299 rise 2 fall 3"),
        http("GET", "/healthz", (200, 299))
    );
    assert_eq!(check("HEAD /x?deep=1 expect 204"), http("HEAD", "/x?deep=1", (204, 204)));
    let udp = |send: &[u8], expect: &[u8]| of(Probe::Udp { send: send.into(), expect: expect.into() });
    assert_eq!(check("udp send \"ping\\n\" expect \"pong\""), udp(b"ping\n", b"pong"));
    assert_eq!(check("udp send hex \"00 01ff\" expect hex \"01\" every 5s"), udp(&[0, 1, 255], &[1]));
    assert_eq!(check("udp send \"x\""), udp(b"x", b""));
}

#[test]
fn pools_say_what_endpoints_are_told_and_how_they_are_verified() {
    assert_eq!(pool("    proxy-protocol v1").proxy_protocol, Some(ProxyProtocol::V1));
    assert_eq!(pool("    proxy-protocol v2").proxy_protocol, Some(ProxyProtocol::V2));
    assert_eq!(pool("").tls, None);
    let pin = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let whole = format!(
        "tls {{\n        name  ledger.internal\n        trust \"pki/ca.pem\"\n        pin   sha256 \"{pin}\",\n              \"{pin}\"\n        \
         client \"pki/gw.pem\" key \"pki/gw.key\"\n        min 1.3\n    }}"
    );
    let line = format!(
        "tls {{ name ledger.internal  trust \"pki/ca.pem\"  pin sha256 \"{pin}\", \"{pin}\"  client \"pki/gw.pem\" key \"pki/gw.key\"  min 1.3 }}"
    );
    for text in [whole, line] {
        let tls = pool(&format!("    {text}")).tls.unwrap();
        assert_eq!(tls.name.as_deref(), Some("ledger.internal"));
        assert_eq!(tls.trust.as_deref(), Some("pki/ca.pem"));
        assert_eq!(tls.pins.len(), 2);
        assert_eq!(tls.pins[0][..4], [0xe3, 0xb0, 0xc4, 0x42]);
        assert_eq!(tls.client, Some(("pki/gw.pem".into(), KeyFrom::File("pki/gw.key".into()))));
        assert!(tls.min_13);
    }
    let compiled = sound("pool p = https://a.internal:8443, https://b.internal\ntcp :1 -> p\n");
    let p = &compiled.listening[0].rules.pools[0];
    assert_eq!(p.tls, Some(Default::default()));
    assert_eq!(p.endpoints[1].port, 443);
    let compiled = sound("pool p {\n    10.0.0.1:1\n    10.0.0.2:1 backup\n}\ntcp :1 -> p\n");
    let backups: Vec<bool> = compiled.listening[0].rules.pools[0].endpoints.iter().map(|e| e.backup).collect();
    assert_eq!(backups, [false, true]);
}

#[test]
fn the_gateway_says_whom_it_believes_and_what_it_writes() {
    use dsl::tree::ir::LogTo;
    let gateway = |body: &str| {
        let files = Files::one("sites/gateway.route", &format!("gateway {{\n{body}\n}}\n"));
        let compiled = files.compile(0);
        assert!(compiled.is_sound(), "{}", files.render(&compiled.diagnostics));
        compiled.gateway.unwrap()
    };
    assert_eq!(gateway("    log off").log, LogTo::Off);
    assert_eq!(gateway("    log stdout").log, LogTo::Stdout);
    assert_eq!(gateway("    log \"connections.log\"").log, LogTo::File("connections.log".into()));
    assert_eq!(gateway("").log, LogTo::Stdout);
    let made = gateway("    metrics 127.0.0.1:9090\n    proxy-protocol from [10.0.0.0/8, 192.0.2.1]");
    let metrics = made.metrics.unwrap();
    assert_eq!((metrics.ip, metrics.port), (Some("127.0.0.1".parse().unwrap()), 9090));
    assert_eq!(made.proxy_protocol_from.len(), 2);
    assert_eq!(gateway("    metrics :9090").metrics.unwrap().ip, None);
    assert_eq!(gateway("").resolver, []);
    let asked = gateway("    resolver 10.0.0.53 [::1]:5353 ::ffff:10.0.0.53").resolver;
    let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
    assert_eq!(asked, ["10.0.0.53:53", "[::1]:5353"], "each once");
}

#[test]
fn a_resolver_is_an_address() {
    for wrong in ["", "ns.internal", ":53", "10.0.0.53:0", "10.0.0.0/8"] {
        let files = Files::one("sites/gateway.route", &format!("gateway {{\n    resolver {wrong}\n}}\n"));
        let compiled = files.compile(0);
        assert!(compiled.diagnostics.iter().any(|d| d.code == "G1024"), "{wrong}: {:?}", compiled.diagnostics);
    }
}

#[test]
fn every_word_that_does_not_fit_is_said() {
    for (body, code) in [
        ("tcp :1 {\n    idle 0s\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    idle 400d\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    idle 1s\n    idle 2s\n    -> a\n}", "G1023"),
        ("tcp :1 {\n    idel 1s\n    -> a\n}", "G1001"),
        ("tcp :1 {\n    timeout 1s\n    -> a\n}", "G1022"),
        ("tcp :1 {\n    websocket off\n    -> a\n}", "G1022"),
        ("tcp :1 {\n    flow per client.ip\n    -> a\n}", "G1022"),
        ("tcp :1 {\n    cut always\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    log on\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    tls on\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    tls file \"a\" key \"b\"\n    -> a\n}", "G1022"),
        ("tcp :1 {\n    tls on-demand\n    -> a\n}", "G1022"),
        ("tcp :1 {\n    tls min 1.3\n    -> a\n}", "G1022"),
        ("tcp :1 {\n    tls auto via dns(x)\n    -> a\n}", "G1022"),
        ("udp :1 {\n    idle 1s\n    tls auto\n    limit 1/s per client.ip\n    -> a\n}", "G1022"),
        ("udp :1 {\n    idle 1s\n    flow per client.port\n    limit 1/s per client.ip\n    -> a\n}", "G1024"),
        ("passthrough v.example.com {\n    tls auto\n    -> a\n}", "G1022"),
        ("tcp :1 {\n    limit 0/s per client.ip\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 10/s burst 0 per client.ip\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 10/s\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 10 per client.ip\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 0 at-once per client.ip\n    -> a\n}", "G1024"),
        ("udp :1 {\n    idle 60s\n    limit 1MB/s per client.ip\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 1MB/s cost 2 per client.ip\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 1/s per client.ip on [401]\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 1/s per client.ip tell\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 1/s per client.ip shade\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 1/s cost 2 per client.ip\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 9/s cost 2 cost 3 per client.ip\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 9 at-once cost 2 per client.ip\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 9/s per client.ip as x\n    limit 8/s per client.ip as x\n    -> a\n}", "G1023"),
        ("tcp :1 {\n    limit 1/s per connection\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 1/s per \"x\"\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 1/s per client.ip if missing deny\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 1/s per header.k if missing client.ip\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    limit 1/s per header.k\n    -> a\n}", "G7002"),
        ("tcp :1 {\n    when request.path is \"/\" -> a\n    else -> b\n}", "G7002"),
        ("tcp :1 {\n    when host is \"a.example.com\" -> a\n    else -> b\n}", "G7002"),
        ("tcp :1 {\n    when tls.sni is \"a.example.com\" -> a\n    else -> b\n}", "G7002"),
        ("tcp :1 {\n    tls auto\n    when tls.alpn is \"h2\" -> a\n    else -> b\n}", "G7002"),
        ("passthrough v.example.com {\n    when tls.version is 1.3 -> a\n    else -> b\n}", "G7002"),
        ("passthrough 10.0.0.1 -> a", "G1026"),
        ("passthrough [::1] -> a", "G1026"),
        ("tcp :1 -> redirect https://a.example.com/", "G1022"),
        ("tcp :1 -> respond 200", "G1022"),
        ("tcp :1 -> deny 403", "G1022"),
        ("tcp :1 -> a at /x", "G1022"),
        ("tcp :1 -> a else deny", "G1022"),
        ("tcp :1 -> https://10.0.0.1:80", "G3009"),
        ("tcp :1 -> nowhere", "G1002"),
        ("tcp :1 {\n    idle 1s\n}", "G1022"),
        ("tcp :1 {\n    -> a\n    require client.port > 1\n}", "G1020"),
        ("tcp :1 {\n    when client.port is 1 -> a\n    -> b\n}", "G2024"),
        ("tcp :1 {\n    require client.port is 1 else -> a\n    -> b\n}", "G0001"),
        ("tcp :1 {\n    require client.port is 1 else respond 404\n    -> b\n}", "G1022"),
        ("tcp :1 {\n    when client.port is 1 {\n        idle 1s\n        -> a\n    }\n    else -> b\n}", "G1022"),
        ("tcp :1 -> 50% a, 40% b by client.ip", "G2009"),
        ("tcp :1 -> 50% a, 50% b", "G2010"),
        ("tcp :1 -> 50% a, 50% b by cookie.x", "G7002"),
        ("udp :443/quic {\n    idle 1s\n    limit 1/s per client.ip\n    -> a\n}", "G1024"),
        ("tcp :1 {\n    set request header x = \"y\"\n    -> a\n}", "G0001"),
        ("tcp :1 {\n    /x -> a\n}", "G0001"),
        ("import std/web\ntcp :1 {\n    use web.secure-headers\n    -> a\n}", "G1022"),
        ("import std/web\ntcp :1 {\n    use web.no-robots\n    -> a\n}", "G1022"),
        ("policy p {\n    require header.x is \"1\"\n}\ntcp :1 {\n    use p\n    -> a\n}", "G7002"),
        ("policy p {\n    limit 1/s per client.ip\n}\ntcp :1 {\n    use p when client.port is 1\n    -> a\n}", "G1022"),
    ] {
        assert_eq!(found(body), [code], "{body}");
    }
    // A limit in a policy is for whoever can honour it.
    assert_eq!(found("policy p {\n    limit 1/s per client.ip\n}\n"), [""; 0]);
}

#[test]
fn every_word_of_a_pool_that_does_not_fit_is_said() {
    for (line, code) in [
        ("balance hash cookie.sid", "G1012"),
        ("balance roundrobin", "G1024"),
        ("balance hash", "G1024"),
        ("balance hash \"x\"", "G1024"),
        ("check http", "G1024"),
        ("check POST /x", "G1024"),
        ("check tcp every 10ms", "G1024"),
        ("check tcp every 1s within 2s", "G1024"),
        ("check tcp rise 0", "G1024"),
        ("check tcp fall 1000", "G1024"),
        ("check tcp port 70000", "G1024"),
        ("check tcp expect 200", "G1024"),
        ("check tcp every", "G1024"),
        ("check tcp every 5", "G1005"),
        ("check tcp every 5s every 6s", "G1023"),
        ("check GET /x expect 99", "G1024"),
        ("check udp", "G1024"),
        ("check udp send hex \"0\"", "G1024"),
        ("check udp send hex \"zz\"", "G1024"),
        ("check udp send \"\"", "G1024"),
        ("proxy-protocol v3", "G1024"),
        ("tls on", "G1024"),
        ("tls {\n        verify off\n    }", "G4008"),
        ("tls {\n        insecure\n    }", "G4008"),
        ("tls {\n        verfy off\n    }", "G1001"),
        ("tls {\n        pin sha256 \"abc\"\n    }", "G1024"),
        ("tls {\n        pin sha1 \"abc\"\n    }", "G1024"),
        ("tls {\n        min 1.1\n    }", "G1024"),
        ("tls {\n        client \"a\"\n    }", "G1024"),
        ("tls {\n        trust ca\n    }", "G1003"),
        ("tls {\n        name a.example.com\n        name b.example.com\n    }", "G1023"),
        ("https://10.0.0.9:80", "G1022"),
    ] {
        assert_eq!(codes(&format!("pool p {{\n    10.0.0.1:80\n    {line}\n}}\n")), [code], "{line}");
    }
    assert_eq!(codes("pool p {\n    10.0.0.1:80 backup\n}\n"), ["G1022"]);
}

#[test]
fn a_pool_must_make_sense_where_it_is_used() {
    let with = |setting: &str, item: &str| worse(&format!("pool p {{\n    10.0.0.1:80\n    {setting}\n}}\n{item}\n"));
    let site = "site a.example.com {\n    else -> p\n}";
    let udp = "udp :1 {\n    idle 1m\n    limit 1/s per client.ip\n    -> p\n}";
    let none = [""; 0];
    for setting in
        ["tls {\n        name a.internal\n    }", "proxy-protocol v2", "balance random", "balance hash client.ip"]
    {
        assert_eq!(with(setting, site), none, "{setting}");
        assert_eq!(with(setting, "tcp :1 -> p"), none, "{setting}");
    }
    for setting in ["check tcp", "check GET /x", "10.0.0.2:80 backup", "balance round-robin"] {
        assert_eq!(with(setting, site), none, "{setting}");
        assert_eq!(with(setting, udp), none, "{setting}");
    }
    assert_eq!(with("tls {\n        name a.internal\n    }", udp), ["G1022"]);
    assert_eq!(with("proxy-protocol v2", udp), ["G1022"]);
    assert_eq!(with("tls {\n        name a.internal\n    }", "passthrough v.example.com -> p"), ["G1022"]);
    assert_eq!(with("balance maglev tls.sni", "passthrough v.example.com -> p"), none);
    assert_eq!(with("balance maglev tls.sni", "tcp :1 {\n    tls auto\n    -> p\n}"), none);
    assert_eq!(with("balance maglev tls.sni", "tcp :1 -> p"), ["G7002"]);
    assert_eq!(with("balance maglev tls.sni", udp), ["G7002"]);
    assert_eq!(codes("pool p = https://10.0.0.1:80, 10.0.0.2:80\n"), ["G1022"]);
    assert_eq!(codes("pool p = https://a.internal:80\nsite a.example.com {\n    else -> p\n}\n"), none);
}

#[test]
fn a_broken_item_lets_nothing_load() {
    let compiled = compile(&format!("{POOLS}tcp :1 -> a\ntcp :2 -> nowhere\n"));
    assert!(compiled.listening.is_empty());
    assert_eq!(compiled.listeners.len(), 2, "where it listens is known all the same");
}

/// The findings of `gateway.route`.
fn of_gateway(text: &str) -> Vec<&'static str> {
    Files::one("sites/gateway.route", &format!("{POOLS}{text}")).compile(0).diagnostics.iter().map(|d| d.code).collect()
}

#[test]
fn listeners_do_not_overlap() {
    let none = [""; 0];
    assert_eq!(found("tcp :1 -> a\ntcp :1 -> b"), ["G7001"]);
    assert_eq!(found("tcp :1 -> a\ntcp 10.0.0.1:1 -> b"), ["G7001"], "a bare port is every address");
    assert_eq!(found("tcp 0.0.0.0:1 -> a\ntcp 10.0.0.1:1 -> b"), ["G7001"]);
    assert_eq!(found("tcp 10.0.0.9:1 -> a\ntcp 10.0.0.8:1 -> b"), none);
    assert_eq!(found("tcp :0 -> a\ntcp :0 -> b"), none, "whatever is free");
    let udp = "udp :1 {\n    idle 1m\n    limit 1/s per client.ip\n    -> b\n}";
    assert_eq!(found(&format!("tcp :1 -> a\n{udp}")), none, "TCP and UDP ports are two things");
    assert_eq!(of_gateway("gateway {\n    https :443\n}\ntcp :443 -> a"), ["G7001"]);
    assert_eq!(of_gateway("gateway {\n    metrics :443\n}\ntcp :443 -> a"), ["G7001"]);
    assert_eq!(of_gateway("gateway {\n    metrics :8443\n}\n"), ["G7001"], "where the gateway listens by default");
    assert_eq!(of_gateway("gateway {\n    log off\n}\ntcp :8080 -> a"), ["G7001"]);
    assert_eq!(of_gateway("tcp :8080 -> a"), none, "the gateway's default is known to whoever has all files");
}

#[test]
fn a_udp_item_takes_the_port_from_quic() {
    let udp = |port: u16| format!("udp :{port} {{\n    idle 1m\n    limit 1/s per client.ip\n    -> b\n}}\n");
    let https = "gateway {\n    https :443\n}\n";
    let through = "passthrough v.example.com -> a\n";
    assert_eq!(of_gateway(&format!("{https}{through}{}", udp(443))), ["G4014"]);
    assert_eq!(of_gateway(&format!("{https}{}", udp(443))), [""; 0], "nobody sends QUIC there");
    assert_eq!(of_gateway(&format!("{https}{through}{}", udp(444))), [""; 0]);
}

#[test]
fn a_pool_does_not_dial_the_gateway_itself() {
    let none = [""; 0];
    let one = |listen: &str, endpoint: &str| codes(&format!("pool p = {endpoint}\ntcp {listen} -> p\n"));
    for (listen, endpoint) in [
        (":5432", "127.0.0.1:5432"),
        (":5432", "127.0.0.9:5432"),
        (":5432", "localhost:5432"),
        (":5432", "[::1]:5432"),
        (":5432", "0.0.0.0:5432"),
        ("0.0.0.0:5432", "127.0.0.1:5432"),
        ("10.0.0.1:5432", "10.0.0.1:5432"),
    ] {
        assert_eq!(one(listen, endpoint), ["G5002"], "{listen} {endpoint}");
    }
    for (listen, endpoint) in [
        (":5432", "127.0.0.1:5433"),
        (":5432", "10.0.0.1:5432"),
        ("10.0.0.1:5432", "127.0.0.1:5432"),
        ("0.0.0.0:5432", "[::1]:5432"),
        (":5432", "db.internal:5432"),
    ] {
        assert_eq!(one(listen, endpoint), none, "{listen} {endpoint}");
    }
    // Round by another one, and not round where the address it comes back from leads elsewhere.
    let two = "pool p = 127.0.0.1:2\npool q = 127.0.0.1:1\ntcp :1 -> p\ntcp :2 -> q\n";
    assert_eq!(codes(two), ["G5002", "G5002"]);
    let elsewhere = "pool p = 127.0.0.1:1\npool q = 10.0.0.1:1\ntcp :1 {\n    when client.ip in [127.0.0.0/8] -> q\n    else -> p\n}\n";
    assert_eq!(codes(elsewhere), none);
    let udp = |endpoint: &str| {
        codes(&format!("pool p = {endpoint}\nudp :53 {{\n    idle 1m\n    limit 1/s per client.ip\n    -> p\n}}\n"))
    };
    assert_eq!(udp("127.0.0.1:53"), ["G5002"]);
    let through = "gateway {\n    https :443\n}\npool p = 127.0.0.1:443\npassthrough v.example.com -> p\n";
    assert_eq!(of_gateway(through), ["G5002"]);
}

#[test]
fn what_is_not_reached_and_what_is_missed_is_said() {
    for (body, codes) in [
        ("tcp :1 {\n    else -> a\n    when client.port is 1 -> b\n}", &["G2001"][..]),
        (
            "tcp :1 {\n    when client.ip in [10.0.0.0/8] -> a\n    when client.ip in [10.1.0.0/16] -> b\n    else -> c\n}",
            &["G2001"],
        ),
        (
            "tcp :1 {\n    when client.ip in [10.0.0.0/9] -> a\n    when client.ip in [10.128.0.0/9] -> a\n    when client.ip in [10.0.0.0/8] -> b\n    else -> c\n}",
            &["G2001"],
        ),
        ("tcp :1 {\n    when client.ip in [10.0.0.0/8] -> a\n}", &["G2005"]),
        ("tcp :1 {\n    when client.ip in [0.0.0.0/0, ::/0] -> a\n}", &[]),
        ("tcp :1 {\n    when client.port < 5 -> a\n    when client.port >= 5 -> b\n}", &[]),
        ("tcp :1 {\n    when client.port < 5 and client.port > 6 -> a\n    else -> b\n}", &["G1013"]),
        (
            "tcp :1 {\n    when client.ip in [10.0.0.0/8] {\n        when client.ip in [10.1.0.0/16] -> a\n    }\n    else -> b\n}",
            &["G2006"],
        ),
        (
            "tcp :1 {\n    when client.ip in [10.0.0.0/8] {\n        when client.ip in [10.1.0.0/16] -> a\n        else -> deny\n    }\n    else -> b\n}",
            &[],
        ),
        (
            "tcp :1 {\n    when client.ip in [10.0.0.0/8] {\n        when client.ip in [192.0.2.0/24] -> a\n        else -> c\n    }\n    else -> b\n}",
            &["G1013"],
        ),
        // A block that nothing enters is said once.
        (
            "tcp :1 {\n    when client.ip in [10.0.0.0/8] -> c\n    when client.ip in [10.1.0.0/16] {\n        when client.port is 1 -> a\n        when client.port is 2 -> b\n    }\n    else -> b\n}",
            &["G2001"],
        ),
        ("passthrough v.example.com {\n    when tls.sni is \"v.example.com\" -> a\n}", &[]),
        ("passthrough v.example.com, w.example.com {\n    when tls.sni is \"v.example.com\" -> a\n}", &["G2005"]),
        ("passthrough *.example.com {\n    when tls.sni is \"a.b.example.com\" -> a\n    else -> b\n}", &["G1013"]),
        (
            "passthrough v.example.com {\n    when tls.alpn is \"h2\" -> a\n    when tls.alpn has \"h2\" -> b\n    else -> c\n}",
            &[],
        ),
        (
            "passthrough v.example.com {\n    when tls.alpn has \"h2\" -> a\n    when tls.alpn is \"h2\" -> b\n    else -> c\n}",
            &["G2001"],
        ),
        // What cannot be told is not said.
        (
            "passthrough **.example.com {\n    when tls.sni ends with \".a.example.com\" -> a\n    when tls.sni is \"x.a.example.com\" -> b\n    else -> c\n}",
            &[],
        ),
    ] {
        assert_eq!(found(body), codes, "{body}");
    }
}

#[test]
fn a_name_alone_keeps_nobody_out() {
    let through = |body: &str| found(&format!("passthrough *.example.com {{\n{body}\n}}"));
    assert_eq!(through("    when tls.sni is \"x.example.com\" -> deny\n    else -> a"), ["G7003"]);
    assert_eq!(through("    when tls.sni is not \"x.example.com\" -> deny\n    else -> a"), ["G7003"]);
    assert_eq!(
        through("    when tls.sni is \"x.example.com\" -> a\n    else -> deny"),
        [""; 0],
        "only some are let in"
    );
    assert_eq!(
        through("    require client.ip in [10.0.0.0/8]\n    when tls.sni is \"x.example.com\" -> deny\n    else -> a"),
        [""; 0]
    );
    assert_eq!(
        found("tcp :1 {\n    tls auto\n    when tls.sni is \"x.example.com\" -> deny\n    else -> a\n}"),
        [""; 0],
        "TLS ends here"
    );
}

#[test]
fn open_udp_is_said() {
    let udp = |listen: &str, body: &str| found(&format!("udp {listen} {{\n    idle 1m\n{body}\n}}"));
    assert_eq!(udp(":53", "    -> a"), ["G7005"]);
    assert_eq!(udp("0.0.0.0:53", "    -> a"), ["G7005"]);
    assert_eq!(udp("127.0.0.1:53", "    -> a"), [""; 0]);
    assert_eq!(udp("10.0.0.1:53", "    -> a"), [""; 0]);
    assert_eq!(udp(":53", "    limit 9/s per client.ip\n    -> a"), [""; 0]);
    assert_eq!(udp(":53", "    limit 9 at-once per client.ip\n    -> a"), [""; 0]);
    assert_eq!(udp(":53", "    require client.ip in [10.0.0.0/8]\n    -> a"), [""; 0]);
    assert_eq!(udp(":53", "    when client.ip in [10.0.0.0/8] -> a\n    else -> deny"), [""; 0]);
    assert_eq!(udp(":53", "    when client.ip in [10.0.0.0/8] -> a\n    else -> b"), ["G7005"]);
    assert_eq!(found("udp :53 -> a"), ["G7004", "G7005"]);
}

#[test]
fn a_certificate_of_a_site_may_cover_a_passthrough_host() {
    let both = |site: &str, host: &str| found(&format!("site {site} {{\n    else -> a\n}}\npassthrough {host} -> b"));
    assert_eq!(both("*.example.com", "v.example.com"), ["G7006"]);
    assert_eq!(both("{tenant}.example.com", "v.example.com"), ["G7006"]);
    assert_eq!(both("**.example.com", "v.example.com"), ["G7006"]);
    assert_eq!(both("**.example.com", "v.w.example.com"), [""; 0], "a star is one label");
    assert_eq!(both("a.example.com", "v.example.com"), [""; 0]);
    assert_eq!(both("v.example.com", "*.example.com"), [""; 0]);
    assert_eq!(found("site *.example.com {\n    tls off\n    else -> a\n}\npassthrough v.example.com -> b"), [""; 0]);
}

/// The examples of the language reference are programs about which nothing is said.
#[test]
fn the_reference_is_true() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/language.md");
    let page = std::fs::read_to_string(path).unwrap();
    let chapter = page.split("## Connections").nth(1).unwrap().split("## Tests").next().unwrap();
    let blocks: Vec<&str> = chapter.split("```route\n").skip(1).map(|b| b.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 11);
    for block in blocks {
        let name = if block.starts_with("gateway") { "sites/gateway.route" } else { "sites/a.route" };
        let files = Files::one(name, block);
        let mut said = files.compile(0).diagnostics;
        said.retain(|d| d.severity > Severity::Info);
        assert!(said.is_empty(), "{}", files.render(&said));
    }
}
