//! The PROXY protocol with those who speak it: HAProxy before and behind the gateway, nginx behind it.

use sluice_tests::endpoint::{Client, Named, dial};
use sluice_tests::peer::{self, Peer};
use sluice_tests::pki::Pki;
use sluice_tests::sluice::{TempDir, says};
use sluice_tests::tls::{self, Offer};
use sluice_tests::wire::Wire;
use sluice_tests::{Sluice, ports, wait};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// HAProxy with these sections.
#[track_caller]
fn haproxy(dir: &TempDir, sections: &str, listens: SocketAddr) -> Peer {
    let file = dir.path().join("haproxy.cfg");
    let defaults = "defaults\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n";
    fs::write(&file, format!("global\n  log stderr format raw local0 err\n{defaults}{sections}")).unwrap();
    let mut command = peer::command("haproxy", "haproxy");
    Peer::start(command.arg("-db").arg("-f").arg(file)).listens(listens)
}

/// Asks in HTTP/1.1 on a connection.
#[track_caller]
fn ask(mut wire: Wire, host: &str) -> String {
    wire.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    wire.reply().text()
}

#[test]
fn headers_to_nginx_and_haproxy_say_who_connects() {
    let pki = Pki::new();
    let identity = pki.issue(&["told.test"]);
    let dir = TempDir::new();
    let [nginx, tls_end, first, second] = [0; 4].map(|_| local(ports::free()));
    let d = dir.path().display();
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths = paths.map(|p| format!("{p}_temp_path {d}/{p};")).join(" ");
    let config = format!(
        "daemon off; worker_processes 1; pid {d}/pid; error_log stderr notice;\nevents {{}}\nhttp {{ access_log off; {paths}\n\
         server {{ listen {nginx} proxy_protocol; location / {{ return 200 \"$proxy_protocol_addr $proxy_protocol_port \
         $proxy_protocol_server_port\"; }} }} }}\n"
    );
    fs::write(dir.path().join("nginx.conf"), config).unwrap();
    let mut command = peer::command("nginx", "nginx-light");
    command.arg("-c").arg(dir.path().join("nginx.conf")).args(["-e", "stderr", "-p"]).arg(dir.path());
    let _nginx = Peer::start(&mut command).listens(nginx);
    // Certificate and key in one file, as HAProxy wants them.
    let pem = [&identity.cert, &identity.key].map(|path| fs::read_to_string(path).unwrap()).concat();
    fs::write(dir.path().join("both.pem"), pem).unwrap();
    let section = format!(
        "frontend told\n  mode http\n  bind {tls_end} accept-proxy ssl crt {d}/both.pem alpn http/1.1\n  http-request return status 200 \
         content-type text/plain lf-string \"%[src] %[src_port] sni=%[fc_pp_authority] id=%[fc_pp_unique_id,hex,length]\"\n"
    );
    let _haproxy = haproxy(&dir, &section, tls_end);

    let route = format!(
        "pool v1 {{\n    {nginx}\n    proxy-protocol v1\n}}\npool v2 {{\n    {nginx}\n    proxy-protocol v2\n}}\n\
         pool told {{\n    {tls_end}\n    proxy-protocol v2\n}}\n\
         tcp {first} -> v1\ntcp {second} -> v2\npassthrough told.test -> told\n"
    );
    let sluice = Sluice::setup().file("a.route", route).file("w.route", says("www.test", "w")).start();
    let client = Ipv4Addr::new(127, 0, 13, 5);
    for to in [first, second] {
        let wire = wait::until("the listener opens", || dial(client, to).ok());
        let from = wire.local();
        assert_eq!(ask(wire, "nginx"), format!("{} {} {}", from.ip(), from.port(), to.port()));
    }
    let secured = tls::connect(sluice.https, &pki.root(), &Offer::h1("told.test")).unwrap();
    let from = secured.wire.local();
    let said = ask(secured.wire, "told.test");
    let (told, id) = said.split_once(" id=").unwrap();
    assert_eq!(told, format!("{} {} sni=told.test", from.ip(), from.port()));
    assert!(id.parse::<u32>().is_ok_and(|digits| digits > 0), "a unique id: {said}");
}

#[test]
fn headers_from_haproxy_are_believed_and_nobody_elses() {
    let pki = Pki::new();
    let [known, other] = ["known", "other"].map(Named::start);
    let passed = Named::secure("passed", pki.issue(&["passed.test"]).server(&[]));
    let dir = TempDir::new();
    let [tcp, v1, v2, https] = [0; 4].map(|_| local(ports::free()));
    let setup = Sluice::setup().gateway("    proxy-protocol from [127.0.14.0/24]");
    let route = format!(
        "pool known = {}\npool other = {}\npool passed = {}\n\
         tcp {tcp} {{\n    when client.ip in [127.0.13.0/24] -> known\n    else -> other\n}}\n\
         passthrough passed.test {{\n    when client.ip in [127.0.13.0/24] -> passed\n    else -> deny\n}}\n",
        known.addr(),
        other.addr(),
        passed.addr()
    );
    let sluice = setup.file("a.route", route).file("www.route", says("www.test", "www")).start();
    let sections = [(v1, tcp, "send-proxy"), (v2, tcp, "send-proxy-v2"), (https, sluice.https, "send-proxy-v2")]
        .map(|(at, to, how)| {
            format!("listen l{}\n  mode tcp\n  bind {at}\n  server s {to} {how} source 127.0.14.1\n", at.port())
        })
        .concat();
    let _haproxy = haproxy(&dir, &sections, https);

    let client = Ipv4Addr::new(127, 0, 13, 5);
    for to in [v1, v2] {
        let mut through = Client::from(client, to).expect("an endpoint answers");
        assert_eq!(through.name, "known", "the address in the header decides");
        assert!(through.echoes("and the bytes after it are the client's"));
        let from = through.wire.local();
        drop(through);
        assert_eq!(sluice.record_of(from)["local"], to.to_string(), "what the client reached, by the header");
        assert_eq!(Client::from(Ipv4Addr::LOCALHOST, to).expect("an endpoint answers").name, "other");
    }
    // Before TLS too: for what is passed through, and for a site.
    let secure = |name: &'static str, root: &std::path::Path| {
        let socket = dial_std(client, https);
        let name_of_server = rustls::pki_types::ServerName::try_from(name).unwrap();
        let session = rustls::ClientConnection::new(tls::config(root, &Offer::h1(name)), name_of_server).unwrap();
        tls::over(socket, session).unwrap().wire
    };
    let mut through = Client::over(secure("passed.test", &pki.root())).unwrap();
    assert!(through.name == "passed" && through.echoes("x"));
    assert_eq!(ask(secure("www.test", &sluice.root()), "www.test"), "www");

    // From anybody else a header is bytes like others: it reaches the endpoint as it is.
    let mut stranger = Client::from(client, tcp).unwrap();
    assert!(stranger.echoes("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"));
    assert_eq!(stranger.name, "known");
    // And who is trusted must send one.
    let mut silent = dial(Ipv4Addr::new(127, 0, 14, 7), tcp).unwrap();
    silent.send("no header at all, and long enough to tell\r\n");
    silent.drain();
    assert_eq!(sluice.record_of(silent.local())["end"], "proxy-header");
}

/// A socket from an address of this machine.
fn dial_std(source: Ipv4Addr, addr: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&addr.into()).unwrap();
    socket.into()
}
