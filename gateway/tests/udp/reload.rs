//! Endpoints and items that change while flows go on.

use crate::support::{Client, Rig, Server, endpoints, eventually, item};
use sluice::l4::End;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn a_flow_stays_where_it_is_whatever_the_table_says_now() {
    let servers = [Server::named("a"), Server::named("b"), Server::named("c")];
    let all: Vec<_> = servers.iter().collect();
    let pool = |of: &[&Server]| format!("{}balance maglev [client.ip, client.port]", endpoints(of));
    let mut rig = Rig::new(&item("idle 60s\n-> p", &pool(&all)));
    let clients: Vec<_> = (0..60).map(|_| rig.client()).collect();
    let before: Vec<_> = clients.iter().map(|c| c.ask(b"?")).collect();
    // Another endpoint moves some of the table, and none of the flows.
    let more = Server::named("d");
    rig.publish(&item("idle 60s\n-> p", &pool(&[all[0], all[1], all[2], &more])));
    let after: Vec<_> = clients.iter().map(|c| c.ask(b"?")).collect();
    assert_eq!(before, after);
    assert_eq!(servers.iter().map(|s| s.askers().len()).sum::<usize>(), 60, "nor did their ports change");
    let new: HashSet<_> = (0..60).map(|_| rig.client().ask(b"?")).collect();
    assert!(new.contains(&b"d:?"[..]), "new flows go there");
    assert_eq!(rig.ended(), 0);
}

#[test]
fn flows_of_an_endpoint_that_left_end_after_their_drain() {
    let (old, new) = (Server::named("old"), Server::named("new"));
    let mut rig = Rig::new(&item("idle 60s\ndrain 400ms\n-> p", &endpoints(&[&old])));
    let (busy, quiet) = (rig.client(), rig.client());
    assert_eq!((busy.ask(b"1"), quiet.ask(b"1")), (b"old:1".to_vec(), b"old:1".to_vec()));
    rig.publish(&item("idle 60s\ndrain 400ms\n-> p", &endpoints(&[&new])));
    assert_eq!(rig.client().ask(b"2"), b"new:2");
    assert_eq!(busy.ask(b"2"), b"old:2", "it may go on for a while");
    // What is under way when the flow ends stays without an answer, as datagrams may.
    eventually("the drain is over", || busy.ask_again(b"3") == b"new:3");
    eventually("for who is quiet too", || rig.ends(End::Drained) == 2);
    assert_eq!(quiet.ask(b"4"), b"new:4");
}

#[test]
fn nothing_begins_on_an_item_that_is_gone_and_flows_drain() {
    let server = Server::echo();
    let rig = Rig::new(&item("idle 60s\ndrain 500ms\n-> p", &endpoints(&[&server])));
    let client = rig.client();
    client.ask(b"1");
    rig.withdraw();
    assert_eq!(client.ask(b"2"), b"2");
    let late = rig.client();
    late.send(b"x");
    assert!(late.hears_nothing());
    eventually("the flow ends", || rig.ends(End::Drained) == 1);
}

#[test]
fn a_reload_that_says_the_same_otherwise_keeps_flows() {
    let server = Server::echo();
    let mut rig = Rig::new(&item("idle 60s\n-> p", &endpoints(&[&server])));
    let client = rig.client();
    client.ask(b"x");
    rig.publish(&item("idle 30s\nwhen client.ip in [127.0.0.0/8] -> p", &endpoints(&[&server])));
    client.ask(b"y");
    assert_eq!(server.askers().len(), 1);
    // The new line's settings hold for it: it ends soon now.
    rig.publish(&item("idle 100ms\n-> p", &endpoints(&[&server])));
    eventually("the new idle holds", || rig.ends(End::Idle) == 1);
    assert_eq!(rig.begun(), 1);
}

#[test]
fn reloads_under_load_lose_nothing_and_confuse_nobody() {
    let (a, b) = (Server::named("a"), Server::named("b"));
    let text = |n: u32| {
        format!(
            "udp 127.0.0.1:0 {{\nidle {}s\nwhen client.ip in [127.0.1.0/24] -> p\nwhen client.ip in [127.0.2.0/24] -> q\n}}\npool p {{\n{}\n}}\npool q {{\n{}\n}}\n",
            60 + n % 2,
            a.address,
            b.address
        )
    };
    let mut rig = Rig::with(&text(0), 2);
    let stop = Arc::new(AtomicBool::new(false));
    let address = rig.address;
    let threads: Vec<_> = [("127.0.1", "a"), ("127.0.2", "b")]
        .into_iter()
        .map(|(net, name)| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let clients: Vec<_> = (1..20).map(|n| Client::at(format!("{net}.{n}:0"), address)).collect();
                let mut asked = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    for client in &clients {
                        client.send(format!("{asked}").as_bytes());
                    }
                    for client in &clients {
                        assert_eq!(client.receive(), format!("{name}:{asked}").as_bytes());
                    }
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    for n in 1..=200 {
        rig.publish(&text(n));
        std::thread::sleep(Duration::from_millis(2));
    }
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        assert!(thread.join().expect("no answer was lost or wrong") > 0);
    }
    assert_eq!((rig.begun(), rig.ended(), rig.dropped()), (38, 0, 0));
}
