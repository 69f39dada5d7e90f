//! Datagrams: many clients that play ping-pong, and a few that send in bursts. One socket is all clients:
//! each datagram is sent from the loopback address of its client.
//!
//! What is under way at a time fits into a socket's default buffer, so that no proxy has to lose anything;
//! whatever is missing is a failure.

use crate::shape::Datagram;
use crate::system::{Batch, Bound};
use crate::{Done, Outcome, Task, because};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

/// Clients that play ping-pong.
const PLAYERS: u16 = 64;
/// Bytes of their datagrams.
const SMALL: usize = 64;
/// Clients that send in bursts.
const BURSTERS: u16 = 2;
/// Datagrams in a burst.
const BURST: u32 = 32;
/// Bytes of their datagrams: what QUIC sends.
const LARGE: usize = 1200;
/// What the bytes behind the head are.
const FILL: u8 = 0xA5;
/// A datagram that did not come back in so long is lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// One datagram of each client under way, each sent when the last one came back.
pub fn small(task: Task) -> Outcome<Done> {
    run(task, Datagram::ECHOED, PLAYERS, 1, SMALL)
}

/// Bursts: echoed, or counted by the origin, which answers the last one.
pub fn burst(task: Task, kind: u8) -> Outcome<Done> {
    run(task, kind, BURSTERS, BURST, LARGE)
}

/// The client's address: 127.16.0.1 and on.
fn client(flow: u16) -> Ipv4Addr {
    (u32::from(Ipv4Addr::new(127, 16, 0, 1)) + u32::from(flow)).into()
}

/// What a client waits for.
#[derive(Clone, Copy, Default)]
struct Client {
    /// The number of the next datagram that it sends.
    next: u32,
    /// How many of its burst are not back.
    missing: u32,
}

fn run(task: Task, kind: u8, flows: u16, burst: u32, length: usize) -> Outcome<Done> {
    let IpAddr::V4(ip) = task.to.ip() else { return Err("not an IPv4 address".into()) };
    let to = SocketAddrV4::new(ip, task.to.port());
    let socket = Bound::open(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)).map_err(because("socket"))?;
    socket.set_patience(PATIENCE).map_err(because("socket"))?;
    let mut received = Batch::new(64);
    let mut sending = Batch::new(64);
    sending.fill(FILL);
    let fill = [FILL; LARGE];
    let mut clients = vec![Client::default(); usize::from(flows)];
    let mut done = Done::default();
    let mut waiting = 0;
    let mut ready: Vec<u16> = (0..flows).collect();
    loop {
        let begin = Instant::now() < task.until;
        let mut slot = 0;
        for flow in ready.drain(..).filter(|_| begin) {
            let client_of = &mut clients[usize::from(flow)];
            for i in 0..burst {
                let head = Datagram { kind, last: i + 1 == burst, flow, number: client_of.next };
                client_of.next = client_of.next.wrapping_add(1);
                if slot == 64 {
                    sending.send(&socket).map_err(because("send"))?;
                    slot = 0;
                }
                sending.put(slot, client(flow), to, length, head);
                slot += 1;
            }
            client_of.missing = burst;
            waiting += 1;
            done.units += u64::from(burst);
            done.bytes += u64::from(burst) * length as u64;
        }
        sending.send(&socket).map_err(because("send"))?;
        if waiting == 0 {
            return Ok(done);
        }
        let count = received.receive(&socket).map_err(|e| format!("{waiting} clients wait for datagrams: {e}"))?;
        for i in 0..count {
            let bytes = received.bytes(i);
            let head = Datagram::read(bytes).ok_or("a datagram without head")?;
            let state = clients.get_mut(usize::from(head.flow)).ok_or("a datagram of no client")?;
            if received.local(i) != client(head.flow) || received.peer(i) != to {
                return Err(format!("a datagram of client {} from or to a wrong address", head.flow));
            }
            // In order: the machine's own interface does not reorder, and nor may a proxy within a flow.
            let expected = state.next.wrapping_sub(state.missing);
            if kind == Datagram::ECHOED {
                let right = head.kind == kind && head.number == expected && bytes.len() == length;
                if !right || bytes[Datagram::HEAD..] != fill[Datagram::HEAD..length] {
                    return Err(format!("client {} awaits {expected} and gets {head:?}", head.flow));
                }
                state.missing -= 1;
                done.bytes += length as u64;
                done.units += 1;
            } else {
                if head.kind != Datagram::ANSWER || head.number != burst {
                    return Err(format!("of a burst of {burst} datagrams the origin saw {}", head.number));
                }
                state.missing = 0;
                done.units += 1;
            }
            if state.missing == 0 {
                waiting -= 1;
                ready.push(head.flow);
            }
        }
    }
}
