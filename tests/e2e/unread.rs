//! Answers that come while the client still sends: whoever reads while it writes gets them whole, and whoever never
//! stops is stopped.

use sluice_tests::h2raw::{Fate, RawH2, kind};
use sluice_tests::origin::Origin;
use sluice_tests::peer;
use sluice_tests::sluice::{Sluice, TempDir, workspace};
use std::fs::File;
use std::path::PathBuf;

/// More than sockets and windows hold.
const LONG: u64 = 200_000_000;
/// What nobody's patience and no buffers explain: a sender that is let through to here is not stopped.
const ENDLESS: usize = 64 << 20;

/// Where a request is refused: by what is said of its length, while it comes, before anything of it is looked at; by a
/// service that answers without reading.
fn site() -> (Origin, Sluice) {
    let origin = Origin::start(|seen, conn| {
        if seen.target == "/early" {
            conn.respond("403 Forbidden", "connection: close\r\n", "early")?;
            // Who closes a socket with bytes unread resets it, an origin as well.
            return conn.body(seen).map(drop);
        }
        conn.body(seen)?;
        conn.respond("200 OK", "", "whole")
    });
    let route = format!(
        "pool web = {}\n\nsite a.test {{\n    http allowed\n    /limited {{\n        body limit 1KB\n        -> web\n    }}\n    \
         /looked {{\n        inspect 1KB\n        require not (body.text has \"evil\")\n        -> web\n    }}\n    \
         /walled -> deny 403\n    /moved -> redirect 308 /limited\n    else -> web\n}}\n",
        origin.addr()
    );
    let sluice = Sluice::with(route);
    (origin, sluice)
}

fn long(dir: &TempDir) -> PathBuf {
    let path = dir.path().join("long");
    // A file of holes: it takes no room.
    File::create(&path).unwrap().set_len(LONG).unwrap();
    path
}

#[test]
fn curl_sees_the_answer_to_a_body_that_is_refused() {
    let (_origin, sluice) = site();
    let dir = TempDir::new();
    let long = long(&dir);
    let asked = |args: &[&str], url: &str| {
        let mut curl = peer::command("curl", "curl");
        curl.args([
            "-sS",
            "--noproxy",
            "*",
            "--max-time",
            "30",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{http_version}",
        ]);
        curl.arg("--cacert").arg(sluice.root()).arg("--connect-to").arg(format!("a.test:80:{}", sluice.http));
        curl.arg("--connect-to").arg(format!("a.test:443:{}", sluice.https));
        curl.args(["-X", "POST", "-H", "Content-Type: text/plain", "-T"]).arg(&long).args(args).arg(url);
        peer::succeed(&mut curl)
    };
    for (path, status) in [("limited", 413), ("looked", 413), ("walled", 403), ("moved", 308), ("early", 403)] {
        for (version, shown) in [("--http1.1", "1.1"), ("--http2", "2"), ("--http2-prior-knowledge", "2")] {
            let url = if version == "--http2-prior-knowledge" { "http" } else { "https" };
            let url = format!("{url}://a.test/{path}");
            let wanted = format!("{status} {shown}");
            // By the length that is said, or by what has come; curl asks first, or sends at once.
            assert_eq!(asked(&[version], &url), wanted, "{path}");
            assert_eq!(asked(&[version, "-H", "Expect:"], &url), wanted, "{path}");
            let chunked = [version, "-H", "Expect:", "-H", "Transfer-Encoding: chunked"];
            assert_eq!(asked(&chunked, &url), wanted, "{path}");
        }
        // In the clear, where everything is faster.
        let url = format!("http://a.test/{path}");
        let args = ["--http1.1", "-H", "Expect:", "-H", "Transfer-Encoding: chunked"];
        assert_eq!(asked(&args, &url), format!("{status} 1.1"), "{path}");
    }
}

#[test]
fn a_stream_is_reset_without_an_error_behind_its_answer() {
    let (_origin, sluice) = site();
    for (path, status) in [("/limited", 413), ("/looked", 413), ("/walled", 403)] {
        for length in [0, LONG] {
            let mut python = peer::python();
            python.arg(workspace().join("tests/e2e/programs/early_answer.py"));
            python.args([sluice.http.port().to_string(), path.to_owned(), length.to_string()]);
            let told = peer::succeed(&mut python);
            assert_eq!(told, format!("answer {status}\nend\nreset 0\nthen 200\n"), "{path} {length}");
        }
    }
}

#[test]
fn attack_upload_without_end_behind_a_refusal_h1() {
    let (_origin, sluice) = site();
    let mut wire = sluice.wire();
    wire.send("POST /walled HTTP/1.1\r\nHost: a.test\r\nContent-Length: 99999999999\r\n\r\n");
    assert_eq!(wire.reply().status, 403);
    let piece = vec![b'x'; 64 * 1024];
    let sent = (0..ENDLESS / piece.len()).take_while(|_| wire.try_send(&piece).is_ok()).count();
    assert!(sent < ENDLESS / piece.len(), "all of it is taken");
}

#[test]
fn attack_silence_behind_a_refusal() {
    let (_origin, sluice) = site();
    // Neither sends more nor goes: its connection, or stream, is not kept for it.
    let mut wire = sluice.wire();
    wire.send("POST /walled HTTP/1.1\r\nHost: a.test\r\nContent-Length: 99999999999\r\n\r\nx");
    assert_eq!(wire.reply().status, 403);
    assert!(wire.rest().is_empty());
    let mut raw = RawH2::connect(sluice.http);
    let fields = [(":method", "POST"), (":path", "/walled"), (":scheme", "http"), (":authority", "a.test")];
    raw.open(1, &fields).data(1, 0, b"x");
    assert_eq!(raw.fate(1), Fate::Answered(403));
    let reset = loop {
        let frame = raw.next_frame().expect("the connection stays");
        if frame.kind == kind::RST_STREAM {
            break frame;
        }
    };
    assert_eq!((reset.stream, reset.payload.as_slice()), (1, [0; 4].as_slice()));
    assert!(raw.is_alive());
}
