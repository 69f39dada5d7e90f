//! PROXY headers for upstreams: the bytes, and programs that read them.

use super::rig::*;
use dsl::tree::ir::ProxyProtocol;
use dsl::tree::l4::Rules;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

fn telling(origin: SocketAddr, version: ProxyProtocol) -> Rules {
    let mut rules = to(&[origin]);
    Arc::make_mut(&mut rules.pools[0]).proxy_protocol = Some(version);
    rules
}

#[test]
fn the_line_of_text() {
    let origin = Accepting::new();
    let carrier = Carrier::new(telling(origin.address, ProxyProtocol::V1));
    let mut client = carrier.connect();
    let (from, to) = (client.local_addr().unwrap().port(), carrier.address.port());
    client.write_all(b"hello").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let text = String::from_utf8(rest(&mut origin.accept())).unwrap();
    assert_eq!(text, format!("PROXY TCP4 127.0.0.1 127.0.0.1 {from} {to}\r\nhello"));
}

#[test]
fn the_binary_header() {
    let origin = Accepting::new();
    let carrier = Carrier::new(telling(origin.address, ProxyProtocol::V2));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let client = carrier.connect();
        let (from, to) = (client.local_addr().unwrap().port(), carrier.address.port());
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let bytes = rest(&mut origin.accept());
        let mut expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x26\x7f\0\0\x01\x7f\0\0\x01".to_vec();
        expected.extend_from_slice(&from.to_be_bytes());
        expected.extend_from_slice(&to.to_be_bytes());
        expected.extend_from_slice(b"\x05\0\x10");
        assert_eq!(bytes[..31].escape_ascii().to_string(), expected.escape_ascii().to_string());
        assert_eq!(&bytes[47..50], b"\x03\0\x04");
        assert_eq!(bytes.len(), 54);
        ids.push(bytes[31..47].to_vec());
    }
    assert_ne!(ids[0], ids[1]);
}

/// A server of another make that reads PROXY headers, ended with the test.
struct Program {
    child: Child,
    dir: PathBuf,
    address: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// `None` where it is not installed.
fn program(
    name: &str,
    config: impl Fn(&Path, u16) -> String,
    command: impl Fn(&Path, &Path) -> Command,
) -> Option<Program> {
    Command::new(name).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    let port = free_port();
    let dir = std::env::temp_dir().join(format!("sluice-tcp-{name}-{}-{port}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("config");
    std::fs::write(&file, config(&dir, port)).unwrap();
    let child = command(&dir, &file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let program = Program { child, dir, address };
    until(&format!("{name} to listen"), || TcpStream::connect(address).is_ok());
    Some(program)
}

/// What an HTTP server behind the gateway says that it was told.
fn answers(origin: SocketAddr, version: ProxyProtocol) -> (String, String) {
    let carrier = Carrier::new(telling(origin, version));
    let mut client = carrier.connect();
    let from = client.local_addr().unwrap().port();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    (text, format!("client 127.0.0.1 {from} reached {}", carrier.address.port()))
}

#[test]
fn nginx_reads_them() {
    let config = |dir: &Path, port: u16| {
        let dir = dir.display();
        format!(
            "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log; events {{}}\n\
             http {{ access_log off; client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; \
             fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;\n\
             server {{ listen 127.0.0.1:{port} proxy_protocol; location / {{ return 200 \
             \"client $proxy_protocol_addr $proxy_protocol_port reached $proxy_protocol_server_port\"; }} }} }}\n"
        )
    };
    let command = |dir: &Path, file: &Path| {
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir).arg("-e").arg("stderr").arg("-c").arg(file);
        command
    };
    let Some(nginx) = program("nginx", config, command) else { return };
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        let (text, expected) = answers(nginx.address, version);
        assert!(text.ends_with(&expected), "{expected} in {text}");
    }
}

#[test]
fn haproxy_reads_them() {
    let config = |_: &Path, port: u16| {
        format!(
            "global\n log /dev/null local0\ndefaults\n mode http\n timeout connect 5s\n timeout client 5s\n \
             timeout server 5s\nfrontend f\n bind 127.0.0.1:{port} accept-proxy\n http-request return status 200 \
             content-type text/plain lf-string \"client %[src] %[src_port] reached %[dst_port]\"\n"
        )
    };
    let command = |_: &Path, file: &Path| {
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(file);
        command
    };
    let Some(haproxy) = program("haproxy", config, command) else { return };
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        let (text, expected) = answers(haproxy.address, version);
        assert!(text.ends_with(&expected), "{expected} in {text}");
    }
}
