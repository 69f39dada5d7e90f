//! iperf3 through `tcp`, both ways: bulk, and the counts of it.

use sluice_tests::observed::Metrics;
use sluice_tests::peer::{self, Peer};
use sluice_tests::{Sluice, ports, wait};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

const SIZE: u64 = 256 << 20;

#[test]
fn iperf3_both_ways() {
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    let mut command = peer::command("iperf3", "iperf3");
    command.args(["-s", "-B", "127.0.0.1", "-p", &server.port().to_string(), "--forceflush"]);
    let peer = Peer::start(&mut command);
    peer.says("Server listening");
    let [port, metrics] = [0; 2].map(|_| ports::free());
    let route = format!("pool iperf = {server}\ntcp 127.0.0.1:{port} -> iperf\n");
    let setup = Sluice::setup().gateway(&format!("    metrics 127.0.0.1:{metrics}")).workers(2);
    let sluice = setup.file("a.route", route).start();
    wait::until("the listener opens", || TcpStream::connect(("127.0.0.1", port)).ok());
    wait::until("iperf3 has seen that connection end", || {
        // A connection that says nothing ends iperf3's test before it began; then it listens again.
        (peer.console_text().matches("Server listening").count() > 1).then_some(())
    });

    for back in [false, true] {
        let mut client = peer::command("iperf3", "iperf3");
        client.args(["-c", "127.0.0.1", "-p", &port.to_string(), "-n", &SIZE.to_string(), "-P", "2", "-J"]);
        client.args(["--connect-timeout", "5000"]);
        if back {
            client.arg("-R");
        }
        let said: serde_json::Value = serde_json::from_str(&peer::succeed(&mut client)).unwrap();
        assert!(said.get("error").is_none(), "{said}");
        let received = said["end"]["sum_received"]["bytes"].as_u64().unwrap();
        // iperf3 ends the test when so much is sent, and throws away what is still in buffers: there are
        // twice as many of them as without a gateway.
        assert!(received > SIZE / 2, "{received}");
        // Data connections, by the log: the bytes that iperf3 counted went through here.
        let counted = wait::until("the connections' lines are there", || {
            let field = if back { "bytes_out" } else { "bytes_in" };
            let bytes = |r: &serde_json::Value| r[field].as_u64().unwrap();
            let bulk = sluice.records().iter().map(bytes).filter(|b| *b > SIZE / 8).collect::<Vec<_>>();
            (bulk.len() == 2).then(|| bulk.iter().sum::<u64>())
        });
        assert!(counted >= received, "{counted} by the log, {received} by iperf3");
    }
    let metrics = Metrics::of(SocketAddr::from((Ipv4Addr::LOCALHOST, metrics)));
    let all: u64 = sluice.records().iter().map(|r| r["bytes_in"].as_u64().unwrap()).sum();
    assert!(all > SIZE / 2, "{:?}", metrics.names());
}
