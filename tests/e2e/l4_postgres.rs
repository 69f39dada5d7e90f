//! A real PostgreSQL with TLS of its own, through `tcp` and through `passthrough`.

use sluice_tests::observed::records;
use sluice_tests::peer::{self, Peer};
use sluice_tests::pki::Pki;
use sluice_tests::sluice::{TempDir, says};
use sluice_tests::{Sluice, ports};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Output};

/// The name in its certificate.
const NAME: &str = "pg.test";

/// A server with an empty database, for as long as the value lives.
struct Postgres {
    addr: SocketAddr,
    peer: Peer,
    _dir: TempDir,
}

impl Postgres {
    #[track_caller]
    fn start(pki: &Pki) -> Self {
        let dir = TempDir::new();
        peer::give(dir.path());
        let in_dir = |name: &str| dir.path().join(name).display().to_string();
        fs::write(in_dir("password"), "s3cret\n").unwrap();
        let identity = pki.issue(&[NAME]);
        fs::copy(identity.cert, in_dir("server.crt")).unwrap();
        fs::copy(identity.key, in_dir("server.key")).unwrap();
        for file in ["password", "server.crt", "server.key"] {
            peer::give(&dir.path().join(file));
        }
        let data = in_dir("data");
        let mut initdb = peer::unprivileged_command("initdb", "postgresql");
        initdb.args(["-D", &data, "-U", "tester", "-A", "scram-sha-256", "--pwfile", &in_dir("password")]);
        initdb.args(["--no-sync", "-E", "UTF8", "--locale=C"]).current_dir(dir.path());
        peer::succeed(&mut initdb);
        let port = ports::free();
        let mut postgres = peer::unprivileged_command("postgres", "postgresql");
        postgres.args(["-D", &data, "-h", "127.0.0.1", "-p", &port.to_string(), "-k", &in_dir("")]);
        for setting in ["fsync=off", "ssl=on", "ssl_min_protocol_version=TLSv1.3", "shared_buffers=16MB"] {
            postgres.args(["-c", setting]);
        }
        postgres.args(["-c", &format!("ssl_cert_file={}", in_dir("server.crt"))]);
        postgres.args(["-c", &format!("ssl_key_file={}", in_dir("server.key"))]).current_dir(dir.path());
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let peer = Peer::start(&mut postgres).listens(addr);
        peer.says("ready to accept connections");
        Self { addr, peer, _dir: dir }
    }
}

/// psql's command for a server at a port of this machine that must prove its name.
fn psql(port: u16, name: &str, root: &Path, more: &str) -> Command {
    let mut psql = peer::command("psql", "postgresql-client");
    psql.env("PGPASSWORD", "s3cret").env_remove("PGSERVICE").args(["--no-psqlrc", "-X", "-At"]);
    psql.arg(format!(
        "host={name} hostaddr=127.0.0.1 port={port} user=tester dbname=postgres connect_timeout=10 \
         sslmode=verify-full sslrootcert={} {more}",
        root.display()
    ));
    psql
}

fn error(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a client sees of the server: TLS that the server itself speaks, and all the rows.
#[track_caller]
fn is_served(port: u16, root: &Path) {
    let ask = |more: &str, sql: &str| peer::succeed(psql(port, NAME, root, more).args(["-c", sql]));
    assert_eq!(ask("", "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()"), "t|TLSv1.3\n");
    // Channel binding holds only where nobody between has ended the TLS.
    assert_eq!(ask("channel_binding=require", "select 6 * 7"), "42\n");
    // Megabytes, both ways.
    let rows = "select g || ' ' || md5(g::text) from generate_series(1, 60000) g";
    let copied = ask("", &format!("copy ({rows}) to stdout"));
    assert_eq!(copied.lines().count(), 60_000);
    let dir = TempDir::new();
    let file = dir.path().join("rows");
    fs::write(&file, &copied).unwrap();
    let sql = format!(
        "create temp table t (line text)\\;\n\\copy t from '{}'\nselect count(*), \
        md5(string_agg(line, E'\\n' order by split_part(line, ' ', 1)::int)) from t\\;\n\
        select md5(string_agg(line, E'\\n' order by n)) from (select g as n, g || ' ' || md5(g::text) as line \
        from generate_series(1, 60000) g) s",
        file.display()
    )
    .replace("\\;", ";");
    let script = dir.path().join("script.sql");
    fs::write(&script, sql + ";\n").unwrap();
    let said = peer::succeed(psql(port, NAME, root, "").arg("-q").arg("-f").arg(&script));
    let lines: Vec<&str> = said.lines().collect();
    let [counted, hash] = lines[..] else { panic!("{said}") };
    assert_eq!(counted, format!("60000|{hash}"));
}

#[test]
fn psql_with_tls_through_tcp_and_passthrough() {
    let pki = Pki::new();
    let postgres = Postgres::start(&pki);
    let port = ports::free();
    let route = format!(
        "pool pg {{\n    {}\n    check tcp every 1s within 1s\n}}\n\
         tcp 127.0.0.1:{port} {{\n    limit 100/s burst 100 per client.ip\n    -> pg\n}}\n\
         passthrough {NAME} -> pg\n",
        postgres.addr
    );
    let sluice = Sluice::setup().file("pg.route", route).file("www.route", says("www.test", "terminated")).start();
    let https = sluice.https.port();
    sluice_tests::wait::until("the tcp listener opens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    for port in [port, https] {
        is_served(port, &pki.root());
    }

    // The same port ends the TLS of a site.
    let mut wire = sluice.secure("www.test");
    wire.send("GET / HTTP/1.1\r\nHost: www.test\r\n\r\n");
    assert_eq!(wire.reply().text(), "terminated");

    // A name that nobody serves is refused, a wrong name is not trusted, and there is no plain way in.
    let unknown = error(&peer::run(psql(https, "other.test", &pki.root(), "").args(["-c", "select 1"])));
    assert!(unknown.contains("SSL") || unknown.contains("closed") || unknown.contains("reset"), "{unknown}");
    let wrong = error(&peer::run(psql(port, "other.test", &pki.root(), "").args(["-c", "select 1"])));
    assert!(wrong.contains("does not match host name"), "{wrong}");
    let terminated = error(&peer::run(psql(https, "www.test", &sluice.root(), "").args(["-c", "select 1"])));
    assert!(!terminated.contains("timeout"), "the connection ends at once: {terminated}");

    // What the log says of them.
    let through = |route: &str| {
        let wanted =
            |record: &&serde_json::Value| record["route"] == route && record["bytes_out"].as_u64() > Some(2_000_000);
        let found = sluice.record(route, |record| wanted(&record));
        // PostgreSQL may leave before it has read psql's last TLS record, which resets the connection.
        assert!(found["end"] == "client-closed" || found["end"] == "upstream-reset", "{found}");
        assert_eq!(found["pool"], "pg", "{found}");
        assert_eq!(found["endpoint"], postgres.addr.to_string(), "{found}");
        found
    };
    through(&format!("tcp 127.0.0.1:{port}"));
    let passed = through(&format!("passthrough {NAME}"));
    assert_eq!(passed["sni"], NAME, "{passed}");
    assert!(records(&sluice.console()).len() >= 8);

    // A server that is gone: psql is told at once, and the gateway says why.
    let Postgres { mut peer, addr, .. } = postgres;
    peer.kill();
    sluice_tests::wait::until("the check sees it", || {
        let output = peer::run(psql(port, NAME, &pki.root(), "").args(["-c", "select 1"]));
        error(&output);
        sluice.records().iter().any(|r| r["end"] == "no-endpoint").then_some(())
    });
    assert!(std::net::TcpStream::connect(addr).is_err());
}
