//! Errors of the gateway's own: statuses by cause, in a form that the client accepts, without the inside.

use super::support::{Origin, Reply, Rig, fixed, plan, pool, proxy, refusing, site};
use dsl::tree::ir::{Answer, Check, Probe};
use std::io::Write;

fn ask(rig: &Rig, path: &str, more: &str) -> Reply {
    rig.ask(&format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{more}\r\n"))
}

#[test]
fn clients_get_errors_in_a_form_that_they_accept() {
    let port = refusing();
    let deny = plan(Answer::Deny { status: 403 });
    let said = Answer::Respond { status: 503, body: fixed("as written"), content_type: "text/plain".into() };
    let routes = vec![("/api/*", plan(proxy())), ("/deny", deny), ("/said", plan(said))];
    let rig = Rig::new(vec![site(routes, vec![pool(&[port])])]);
    for (path, status, why) in [
        ("/api", 502, "the origin could not be reached"),
        ("/deny", 403, "forbidden"),
        ("/none", 404, "no route here matches this path"),
    ] {
        let plain = ask(&rig, path, "Accept: */*\r\n");
        assert_eq!((plain.status, plain.text()), (status, &*format!("{status}: {why}\n")));
        assert_eq!(plain.header("vary"), Some("Accept"));
        let page = ask(&rig, path, "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n");
        assert_eq!((page.status, page.header("content-type")), (status, Some("text/html; charset=utf-8")));
        assert!(page.text().contains(&format!("<p>{why}</p>")), "{}", page.text());
        let json = ask(&rig, path, "Accept: application/json\r\n");
        assert_eq!((json.status, json.header("content-type")), (status, Some("application/json")));
        assert_eq!(json.text(), format!("{{\"error\":{{\"message\":\"{why}\",\"status\":{status}}}}}\n"));
        for reply in [plain, page, json] {
            let whole = format!("{}{}", reply.head, reply.text());
            assert!(!whole.contains(&port.port().to_string()) && !whole.contains("127.0.0.1"), "{whole}");
        }
    }
    // What a route says is said as it is.
    assert_eq!(ask(&rig, "/said", "Accept: application/json\r\n").text(), "as written");
    // A request that is refused before routing, too.
    let refused = ask(&rig, "/..%2f", "Accept: application/json\r\n");
    assert_eq!((refused.status, refused.header("content-type")), (400, Some("application/json")));
}

#[test]
fn grpc_gets_trailers_only() {
    let rig = Rig::new(vec![site(vec![("/*", plan(proxy()))], vec![pool(&[refusing()])])]);
    for (kind, answered) in
        [("application/grpc", "application/grpc"), ("application/grpc-web+proto", "application/grpc-web+proto")]
    {
        let reply = rig
            .ask(&format!("POST /s/M HTTP/1.1\r\nHost: a.test\r\nContent-Type: {kind}\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(answered)));
        assert_eq!(reply.header("grpc-status"), Some("14"));
        assert_eq!(reply.header("grpc-message"), Some("the origin could not be reached"));
        assert_eq!(reply.text(), "");
    }
}

#[test]
fn statuses_follow_causes() {
    let silent = Origin::raw(|mut stream, _| while super::support::read_request(&mut stream).is_some() {});
    let broken = Origin::new(|_, _| false);
    let garbage = Origin::new(|stream, _| stream.write_all(b"NONSENSE\r\n\r\n").is_err());
    let mut down = pool(&[refusing()]);
    down.check = Some(Check { probe: Probe::Tcp, port: None, every_ms: 20, within_ms: 1_000, rise: 1, fall: 1 });
    let mut pools =
        vec![pool(&[refusing()]), pool(&[broken.address]), pool(&[garbage.address]), down, pool(&[silent.address])];
    let mut routes = Vec::new();
    for (n, (path, pool)) in
        ["/refused", "/broken", "/garbage", "/down", "/late"].into_iter().zip(&mut pools).enumerate()
    {
        pool.name = path[1..].into();
        pool.timeout_ms = Some(200);
        let to = dsl::tree::ir::Destination::Pool(dsl::tree::ir::PoolIdx(n as u32));
        routes.push((path, plan(Answer::Proxy { to, at: None, host: None })));
    }
    let rig = Rig::new(vec![site(routes, pools)]);
    while !rig.notice().contains("is down") {}
    for (path, status) in [("/refused", 502), ("/broken", 502), ("/garbage", 502), ("/down", 503), ("/late", 504)] {
        assert_eq!(rig.get(path).status, status, "{path}");
    }
}
