//! Origins that fail: the client can always tell, and the operator is told once.

use sluice_tests::h2raw::{Fate, RawH2};
use sluice_tests::origin::hang_up;
use sluice_tests::ports::{Refusing, Unanswering};
use sluice_tests::wait;
use sluice_tests::wire::End;
use sluice_tests::{Origin, Sluice};
use std::net::SocketAddr;
use std::time::Duration;

/// A gateway before an address, with settings for the pool and the site.
fn before(origin: SocketAddr, pool: &str, site: &str) -> Sluice {
    Sluice::with(format!(
        "pool origin {{\n    {origin}\n{pool}}}\n\nsite a.test {{\n    http allowed\n{site}    /ok -> respond 200 \"ok\"\n    else -> origin\n}}\n"
    ))
}

/// What the gateway says when it answers for an origin.
#[track_caller]
fn status_of(sluice: &Sluice) -> u16 {
    let mut wire = sluice.wire();
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let reply = wire.reply();
    assert_ne!(reply.end, End::Cut, "{reply:?}");
    reply.status
}

#[test]
fn refused_is_502() {
    let nobody = Refusing::new();
    let sluice = before(nobody.addr(), "", "");
    assert_eq!(status_of(&sluice), 502);
    assert_eq!(sluice.h2().get("http://a.test/").status.as_u16(), 502);
}

#[test]
fn console_says_which_origin_and_why_once() {
    let nobody = Refusing::new();
    let sluice = before(nobody.addr(), "", "");
    for _ in 0..50 {
        assert_eq!(status_of(&sluice), 502);
    }
    let address = nobody.addr().to_string();
    // Beside the log, which has a line for each request that failed.
    let about = |line: &str| line.contains(&address) && !line.starts_with('{');
    let line = sluice.says("which origin refused", about);
    assert!(line.contains("refused"), "it says why: {line}");
    assert!(line.contains("origin"), "it names the pool: {line}");
    let lines = sluice.console().into_iter().filter(|l| about(l)).count();
    assert_eq!(lines, 1, "once, not a line a request:\n{}", sluice.console_text());
}

#[test]
fn console_says_when_the_origin_is_back() {
    // Down, up, down: that it answers again is told, and the second failure is news again.
    let nobody = Refusing::new();
    let address = nobody.addr();
    let sluice = before(address, "", "");
    let told = |what: &str| {
        let about = |line: &&String| line.contains(&address.to_string()) && line.contains(what);
        // Beside the log, which has a line for each request that failed.
        sluice.console().iter().filter(about).filter(|line| !line.starts_with('{')).count()
    };
    assert_eq!(status_of(&sluice), 502);
    sluice.says("that it is down", |line| line.contains(&address.to_string()) && line.contains("refused"));
    drop(nobody);
    let listener = std::net::TcpListener::bind(address).unwrap();
    let server = std::thread::spawn(move || {
        // Until a connection that says nothing.
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut head = [0; 4096];
            if std::io::Read::read(&mut socket, &mut head).unwrap() == 0 {
                return;
            }
            let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
            std::io::Write::write_all(&mut socket, answer).unwrap();
        }
    });
    let again = wait::within(wait::PATIENCE, || {
        assert!([200, 502].contains(&status_of(&sluice)));
        (told("again") == 1).then_some(())
    });
    assert!(again.is_some(), "that it answers again is not told:\n{}", sluice.console_text());
    drop(std::net::TcpStream::connect(address).unwrap());
    server.join().unwrap();
    sluice.serves("a.test", "/", |reply| reply.status == 502);
    let down = wait::within(wait::PATIENCE, || (told("refused") == 2).then_some(()));
    assert!(down.is_some(), "the second failure is not told:\n{}", sluice.console_text());
}

#[test]
fn no_answer_in_time_is_504() {
    let origin = Origin::silent();
    let sluice = before(origin.addr(), "    timeout 300ms\n", "");
    assert_eq!(status_of(&sluice), 504);
    assert_eq!(sluice.h2().get("http://a.test/").status.as_u16(), 504);
    let address = origin.addr().to_string();
    sluice.says("which origin did not answer", |line| line.contains(&address));
    // The connection on which an answer may yet come is not used again.
    let ended = origin.record().wait(wait::PATIENCE, |r| (r.closed == 2).then_some(()));
    assert!(ended.is_some());
}

#[test]
fn no_answer_in_time_by_the_sites_timeout() {
    let origin = Origin::silent();
    let sluice = before(origin.addr(), "", "    timeout 300ms\n");
    assert_eq!(status_of(&sluice), 504);
}

#[test]
fn no_connection_in_time_is_504() {
    let full = Unanswering::new();
    let sluice = before(full.addr(), "    connect within 300ms\n", "");
    assert_eq!(status_of(&sluice), 504);
    let address = full.addr().to_string();
    sluice.says("which origin did not take the connection", |line| line.contains(&address));
}

#[test]
fn hung_up_before_the_answer_is_502() {
    let origin = Origin::start(|seen, conn| {
        conn.body(seen)?;
        hang_up()
    });
    let sluice = before(origin.addr(), "", "");
    assert_eq!(status_of(&sluice), 502);
}

#[test]
fn hung_up_within_the_head_is_502() {
    let origin = Origin::verbatim_then_close(b"HTTP/1.1 200 OK\r\nContent-Le");
    let sluice = before(origin.addr(), "", "");
    assert_eq!(status_of(&sluice), 502);
}

/// Answers that are no HTTP, or not one answer.
#[track_caller]
fn is_502(answer: &'static [u8]) {
    let origin = Origin::verbatim_then_close(answer);
    let sluice = before(origin.addr(), "", "");
    assert_eq!(status_of(&sluice), 502);
}

#[test]
fn answer_that_is_no_http() {
    is_502(b"SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n");
}

#[test]
fn answer_with_two_content_lengths() {
    is_502(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nhello");
}

#[test]
fn answer_with_both_lengths() {
    is_502(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
}

#[test]
fn answer_with_a_head_that_never_ends() {
    let origin = Origin::start(|_, conn| {
        conn.send("HTTP/1.1 200 OK\r\n")?;
        let line = format!("X: {}\r\n", "x".repeat(8000));
        for _ in 0..10_000 {
            conn.send(&line)?;
        }
        hang_up()
    });
    let sluice = before(origin.addr(), "", "");
    assert_eq!(status_of(&sluice), 502);
}

#[test]
fn switching_protocols_that_nobody_asked_for() {
    is_502(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
}

/// The answer breaks off after `hello`: an HTTP/1 client sees a cut, an HTTP/2 client a reset.
#[track_caller]
fn is_cut(origin: &Origin, pool: &str) {
    let sluice = before(origin.addr(), pool, "");
    let mut wire = sluice.wire();
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let reply = wire.reply();
    assert_eq!((reply.status, reply.end), (200, End::Cut), "{reply:?}");
    assert_eq!(reply.text(), "hello");
    let mut old = sluice.wire();
    old.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    old.reply();
    let answer = sluice.h2().get("http://a.test/");
    assert!(answer.cut.is_some(), "a clean end: {answer:?}");
    // The stream is reset, the connection carries on.
    let mut raw = RawH2::connect(sluice.http);
    raw.request(1, &[(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/")]);
    let fate = raw.fate(1);
    assert!(matches!(fate, Fate::Answered(200) | Fate::Reset(_)), "{fate:?}");
    assert!(raw.is_alive());
    let secured = sluice.h2_secure("a.test").get("https://a.test/");
    assert!(secured.cut.is_some(), "a clean end: {secured:?}");
    let address = origin.addr().to_string();
    sluice.says("which origin died mid-body", |line| line.contains(&address));
    assert_eq!(sluice.get("a.test", "/ok").text(), "ok");
}

#[test]
fn died_mid_body_with_content_length() {
    is_cut(&Origin::verbatim_then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello"), "");
}

#[test]
fn died_mid_body_in_chunks() {
    is_cut(&Origin::verbatim_then_close(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), "");
}

#[test]
fn died_mid_chunk() {
    is_cut(
        &Origin::verbatim_then_close(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\n"),
        "",
    );
}

#[test]
fn reset_mid_body() {
    let origin = Origin::start(|seen, conn| {
        conn.body(seen)?;
        // A reset overtakes what was not read yet; a chunk on its own is read first.
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        conn.reset()
    });
    let sluice = before(origin.addr(), "", "");
    let mut wire = sluice.wire();
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    // Which of the three depends on how much of the head the reset overtook; never a clean end.
    if let Some(reply) = wire.try_reply("GET") {
        assert!(reply.end == End::Cut || reply.status == 502, "{reply:?}");
    }
    assert_eq!(sluice.get("a.test", "/ok").text(), "ok");
}

#[test]
fn stalled_mid_body() {
    let origin = Origin::start(|seen, conn| {
        conn.body(seen)?;
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello")?;
        conn.hold()
    });
    is_cut(&origin, "    idle 300ms\n");
}

#[test]
fn bytes_behind_an_answer() {
    // What follows an answer unasked is not the next answer.
    let origin = Origin::verbatim(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    );
    let sluice = before(origin.addr(), "", "");
    let mut wire = sluice.wire();
    for _ in 0..10 {
        wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        let reply = wire.reply();
        assert_ne!(reply.text(), "evil");
    }
}

#[test]
fn catch_replaces_a_refused_origin() {
    let nobody = Refusing::new();
    let sluice = before(nobody.addr(), "", "    catch [502, 504] -> respond 503 \"back soon\"\n");
    let reply = sluice.get("a.test", "/");
    assert_eq!((reply.status, reply.text().as_str()), (503, "back soon"));
}

#[test]
fn catch_replaces_an_answer_of_the_origin() {
    let origin = Origin::verbatim(b"HTTP/1.1 503 Service Unavailable\r\nX-Secret: 1\r\nContent-Length: 5\r\n\r\ntrace");
    let sluice = before(origin.addr(), "", "    catch [503] -> respond 503 \"back soon\"\n");
    let mut wire = sluice.wire();
    for _ in 0..2 {
        wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        let reply = wire.reply();
        assert_eq!((reply.status, reply.text().as_str()), (503, "back soon"));
        assert_eq!(reply.header("x-secret"), None);
    }
}

#[test]
fn catch_leaves_other_answers_alone() {
    let origin = Origin::verbatim(b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops");
    let sluice = before(origin.addr(), "", "    catch [502] -> respond 503 \"back soon\"\n");
    assert_eq!(sluice.get("a.test", "/").text(), "oops");
}

#[test]
fn catch_leads_to_another_pool() {
    let nobody = Refusing::new();
    let spare = Origin::fixed("spare");
    let sluice = Sluice::with(format!(
        "pool first = {}\npool spare = {}\n\nsite a.test {{\n    http allowed\n    catch [502] -> spare\n    else -> first\n}}\n",
        nobody.addr(),
        spare.addr()
    ));
    assert_eq!(sluice.get("a.test", "/").text(), "spare");
}

#[test]
fn what_policies_take_away_stays_away_from_the_pool_of_a_catch() {
    let nobody = Refusing::new();
    let spare = Origin::fixed("spare");
    let sluice = Sluice::with(format!(
        "pool first = {}\npool spare = {}\n\nsite a.test {{\n    http allowed\n    catch [502] -> spare\n    \
         remove request header x-user\n    set request header x-site = \"a\"\n    else -> first\n}}\n",
        nobody.addr(),
        spare.addr()
    ));
    let mut wire = sluice.wire();
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-User: root\r\n\r\n");
    assert_eq!(wire.reply().text(), "spare");
    let seen = spare.only();
    assert_eq!((seen.header("x-user"), seen.header("x-site")), (None, Some("a")));
}

#[test]
fn catch_does_not_see_the_gateways_own_answers() {
    let sluice = Sluice::with(
        "site a.test {\n    http allowed\n    catch [502] -> respond 503 \"caught\"\n    else -> respond 502 \"own\"\n}\n",
    );
    let reply = sluice.get("a.test", "/");
    assert_eq!((reply.status, reply.text().as_str()), (502, "own"));
}

#[test]
fn answers_of_the_gateway_for_an_origin_tell_no_secrets() {
    let nobody = Refusing::new();
    let sluice = before(nobody.addr(), "", "");
    let reply = sluice.get("a.test", "/");
    assert_eq!(reply.status, 502);
    assert!(!reply.text().contains(&nobody.addr().port().to_string()), "{}", reply.text());
}

#[test]
fn a_slow_origin_holds_up_nobody() {
    let origin = Origin::silent();
    let sluice = before(origin.addr(), "    timeout 5s\n", "");
    let mut waiting: Vec<_> = (0..50)
        .map(|_| {
            let mut wire = sluice.wire();
            wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
            wire
        })
        .collect();
    origin.record().wait(wait::PATIENCE, |r| (r.requests.len() == 50).then_some(())).expect("50 requests wait");
    let begin = std::time::Instant::now();
    assert_eq!(sluice.get("a.test", "/ok").text(), "ok");
    assert!(begin.elapsed() < Duration::from_secs(2));
    assert_eq!(waiting[0].reply().status, 504);
}

#[test]
fn weights_divide_the_requests() {
    let (a, b) = (Origin::fixed("a"), Origin::fixed("b"));
    let sluice = Sluice::with(format!(
        "pool both {{\n    {} weight 3\n    {}\n}}\n\nsite a.test {{\n    http allowed\n    else -> both\n}}\n",
        a.addr(),
        b.addr()
    ));
    let mut wire = sluice.wire();
    for _ in 0..40 {
        wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!(wire.reply().status, 200);
    }
    assert_eq!((a.requests().len(), b.requests().len()), (30, 10));
}

#[test]
fn log_off_leaves_the_lines_of_a_site_or_a_block_out() {
    let nobody = Refusing::new();
    let route = format!(
        "pool p = {}\n\
         site quiet.test {{\n    http allowed\n    log off\n    /loud/* {{\n        log on\n        -> p\n    }}\n    else -> p\n}}\n\
         site loud.test {{\n    http allowed\n    /quiet/* {{\n        log off\n        -> p\n    }}\n    else -> p\n}}\n",
        nobody.addr()
    );
    let sluice = Sluice::with(route);
    let asked = [
        ("quiet.test", "/"),
        ("loud.test", "/quiet/x"),
        ("quiet.test", "/loud/x"),
        ("loud.test", "/"),
        ("quiet.test", "/"),
    ];
    for (host, path) in asked {
        assert_eq!(sluice.get(host, path).status, 502);
    }
    assert_eq!(sluice.get("loud.test", "/last").status, 502);
    sluice.record("the last", |line| line["path"] == "/last");
    let told: Vec<(String, String)> = sluice
        .records()
        .iter()
        .map(|line| {
            (line["host"].as_str().unwrap_or_default().into(), line["path"].as_str().unwrap_or_default().into())
        })
        .collect();
    let wanted = [("quiet.test", "/loud/x"), ("loud.test", "/"), ("loud.test", "/last")];
    assert_eq!(told, wanted.map(|(host, path)| (host.to_owned(), path.to_owned())));
}
