use super::super::testing::{Client, drawn, endpoint, snapshot};
use super::*;
use rustls::quic::Version;

/// A socket with its engine's part played by hand.
struct Socket {
    it: ByConnection,
    counters: Arc<Counters>,
    snapshot: Snapshot,
    next: u32,
}

impl Socket {
    /// Each test has its own address: what workers share is told apart by it.
    fn new(port: u16) -> Self {
        let counters = Arc::new(Counters::default());
        let listening = SocketAddr::from(([192, 0, 2, 1], port));
        let it = ByConnection::new(listening, Arc::clone(&counters));
        Self { it, counters, snapshot: snapshot(&["a.test", "b.test"]), next: 0 }
    }

    fn takes(&mut self, client: SocketAddr, bytes: &[u8]) -> Verdict {
        let datagram = Datagram { bytes, client, local: self.it.listening, now: 0 };
        self.it.classify(&self.snapshot, &datagram, None)
    }

    /// Begins the flow that was asked for.
    #[track_caller]
    fn begins(&mut self, verdict: Verdict, endpoint: &Arc<EndpointHandle>) -> FlowId {
        let Verdict::New(new) = verdict else { panic!("{verdict:?}") };
        self.next += 1;
        let flow = FlowId::numbered(self.next);
        self.it.began(flow, Start { token: new.token, endpoint });
        flow
    }

    #[track_caller]
    fn goes(&mut self, client: SocketAddr, bytes: &[u8], to: FlowId) {
        let verdict = self.takes(client, bytes);
        assert!(matches!(verdict, Verdict::Flow(flow) if flow == to), "{verdict:?} in place of {to:?}");
    }

    #[track_caller]
    fn loses(&mut self, client: SocketAddr, bytes: &[u8], lost: Lost) {
        let before = self.count(lost);
        let verdict = self.takes(client, bytes);
        assert!(matches!(verdict, Verdict::Drop(end, None) if end == lost.end()), "{verdict:?}");
        assert_eq!(self.count(lost), before + 1);
    }

    fn count(&self, lost: Lost) -> u64 {
        let totals = crate::runtime::counters::Totals::of(&[Arc::clone(&self.counters)]);
        totals.quic.iter().find(|(l, _)| *l == lost).map_or(0, |(_, n)| *n)
    }
}

fn client(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, host], port))
}

fn initial(name: &str) -> Vec<u8> {
    let client = Client::new(Version::V1, name);
    client.initial(0, &[(0, client.hello.len())], 4000)
}

/// What a server sends while a connection is made.
fn answer(id: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xe0, 0, 0, 0, 1, 4];
    packet.extend(b"mine");
    packet.push(u8::try_from(id.len()).expect("short"));
    packet.extend(id);
    packet.extend([0; 20]);
    packet
}

fn short(id: &[u8]) -> Vec<u8> {
    [&[0x40], id, &[7; 24]].concat()
}

#[test]
fn by_hello_then_by_the_clients_id_then_by_the_servers() {
    let (mut socket, there) = (Socket::new(1), endpoint(1));
    let who = client(1, 1000);
    let hello = initial("a.test");
    let verdict = socket.takes(who, &hello);
    let Verdict::New(new) = &verdict else { panic!("{verdict:?}") };
    let said = new.hello.as_ref().expect("a hello");
    assert_eq!((said.sni.as_deref(), &*said.alpn[0]), (Some("a.test"), "h3"));
    assert_eq!(&*new.route.name, "passthrough a.test");
    let flow = socket.begins(verdict, &there);
    // Sent again.
    socket.goes(who, &hello, flow);
    socket.it.answered(flow, &answer(b"serverid"));
    let handshake = [&[0xe0, 0, 0, 0, 1, 8][..], b"serverid", &[0, 1, 9]].concat();
    socket.goes(who, &handshake, flow);
    socket.goes(who, &short(b"serverid"), flow);
    // An ID that was told inside the encryption.
    socket.goes(who, &short(b"another!"), flow);
    socket.it.ended(flow);
    socket.loses(who, &short(b"serverid"), Lost::Unknown);
    assert!(socket.it.ids.is_empty() && socket.it.clients.is_empty() && socket.it.drawn.is_empty());
    assert_eq!(socket.it.lengths.iter().sum::<u32>(), 0);
}

#[test]
fn names_that_nobody_passes_on() {
    let mut socket = Socket::new(2);
    socket.loses(client(1, 1), &initial("nobody.test"), Lost::Unserved);
    socket.loses(client(1, 1), b"", Lost::Unknown);
    socket.loses(client(1, 1), &short(b"nobodys!"), Lost::Unknown);
    socket.loses(client(1, 1), &[0x40; 20], Lost::Unknown);
    let mut unknown = initial("a.test");
    unknown[1] = 0xfa;
    socket.loses(client(1, 1), &unknown, Lost::Version);
}

#[test]
fn two_connections_of_one_address() {
    let mut socket = Socket::new(3);
    let who = client(1, 1000);
    let verdict = socket.takes(who, &initial("a.test"));
    let first = socket.begins(verdict, &endpoint(1));
    socket.it.answered(first, &answer(b"serverid"));
    // The same client's address, another connection: it drew another ID, as clients do.
    let other = Client::drawing(Version::V1, "b.test", b"another8");
    let verdict = socket.takes(who, &other.initial(0, &[(0, other.hello.len())], 4000));
    let second = socket.begins(verdict, &endpoint(2));
    socket.it.answered(second, &answer(b"otherid8"));
    socket.goes(who, &short(b"serverid"), first);
    socket.goes(who, &short(b"otherid8"), second);
    // Which of the two it is cannot be known, and the wrong upstream must not have it.
    socket.loses(who, &short(b"unknown!"), Lost::Ambiguous);
}

#[test]
fn two_connections_of_one_address_to_one_endpoint() {
    // An upstream that sees a connection change its address while it is being made gives it up.
    let (mut socket, there) = (Socket::new(4), endpoint(1));
    let who = client(1, 1000);
    let verdict = socket.takes(who, &initial("a.test"));
    let first = socket.begins(verdict, &there);
    let other = Client::drawing(Version::V1, "a.test", b"another8");
    let verdict = socket.takes(who, &other.initial(0, &[(0, other.hello.len())], 4000));
    let second = socket.begins(verdict, &there);
    socket.it.answered(first, &answer(b"serverid"));
    socket.it.answered(second, &answer(b"otherid8"));
    socket.goes(who, &short(b"otherid8"), second);
    socket.goes(who, &short(b"serverid"), first);
}

#[test]
fn a_client_that_moves_gets_a_flow_to_the_same_endpoint() {
    let (mut here, mut elsewhere) = (Socket::new(5), Socket::new(5));
    let there = endpoint(1);
    let verdict = here.takes(client(1, 1000), &initial("a.test"));
    let flow = here.begins(verdict, &there);
    here.it.answered(flow, &answer(b"serverid"));
    // The kernel gives its new address to another worker.
    let verdict = elsewhere.takes(client(2, 2000), &short(b"serverid"));
    let Verdict::New(new) = &verdict else { panic!("{verdict:?}") };
    assert!(new.to.as_ref().is_some_and(|to| Arc::ptr_eq(to, &there)) && new.hello.is_some());
    let moved = elsewhere.begins(verdict, &there);
    elsewhere.goes(client(2, 2000), &short(b"serverid"), moved);
    // The old flow ends; the connection can move on all the same.
    here.it.ended(flow);
    let verdict = here.takes(client(3, 3000), &short(b"serverid"));
    assert!(matches!(&verdict, Verdict::New(new) if new.to.is_some()), "{verdict:?}");
}

#[test]
fn of_two_connections_that_move_together_each_goes_home() {
    let (mut here, mut elsewhere) = (Socket::new(9), Socket::new(9));
    let (one, other) = (endpoint(1), endpoint(2));
    let verdict = here.takes(client(1, 1000), &initial("a.test"));
    let first = here.begins(verdict, &one);
    here.it.answered(first, &answer(b"serverid"));
    let also = Client::drawing(Version::V1, "b.test", b"another8");
    let verdict = here.takes(client(1, 1000), &also.initial(0, &[(0, also.hello.len())], 4000));
    let second = here.begins(verdict, &other);
    here.it.answered(second, &answer(b"otherid8"));
    // The worker that gets the new address knows neither; after the first packet it knows one.
    let verdict = elsewhere.takes(client(2, 2000), &short(b"serverid"));
    let moved = elsewhere.begins(verdict, &one);
    let verdict = elsewhere.takes(client(2, 2000), &short(b"otherid8"));
    let moved_too = elsewhere.begins(verdict, &other);
    elsewhere.goes(client(2, 2000), &short(b"otherid8"), moved_too);
    elsewhere.goes(client(2, 2000), &short(b"serverid"), moved);
}

#[test]
fn a_client_that_moves_with_an_unknown_id_is_found_by_its_ip_address() {
    let mut socket = Socket::new(6);
    let (there, other) = (endpoint(1), endpoint(2));
    let verdict = socket.takes(client(1, 1000), &initial("a.test"));
    let flow = socket.begins(verdict, &there);
    socket.it.answered(flow, &answer(b"serverid"));
    let verdict = socket.takes(client(1, 2000), &short(b"unknown!"));
    assert!(matches!(&verdict, Verdict::New(new) if new.to.is_some()), "{verdict:?}");
    // From elsewhere nothing tells who it is.
    socket.loses(client(2, 2000), &short(b"unknown!"), Lost::Unknown);
    // Nor when connections from that address live in two places.
    let verdict = socket.takes(client(1, 3000), &initial("b.test"));
    socket.begins(verdict, &other);
    socket.loses(client(1, 4000), &short(b"unknown!"), Lost::Unknown);
}

#[test]
fn taking_over_the_id_of_another_upstream() {
    let mut socket = Socket::new(7);
    let (there, thief) = (endpoint(1), endpoint(2));
    let verdict = socket.takes(client(1, 1000), &initial("a.test"));
    let flow = socket.begins(verdict, &there);
    socket.it.answered(flow, &answer(b"serverid"));
    let verdict = socket.takes(client(2, 1000), &initial("b.test"));
    let other = socket.begins(verdict, &thief);
    socket.it.answered(other, &answer(b"serverid"));
    socket.goes(client(1, 1000), &short(b"serverid"), flow);
    // An upstream that claims many is not listened to for long.
    for number in 0..100_u32 {
        socket.it.answered(other, &answer(&[number.to_be_bytes(), *b"many"].concat()));
    }
    assert_eq!(socket.it.flows[&other].ids.len(), IDS);
}

#[test]
fn half_hellos_are_held_and_forgotten() {
    let mut socket = Socket::new(8);
    let half = Client::new(Version::V1, "a.test").initial(0, &[(0, 100)], 1200);
    assert!(matches!(socket.takes(client(1, 1), &half), Verdict::Hold));
    assert!(!socket.it.is_idle());
    socket.it.tick(3_000);
    assert!(socket.it.is_idle());
    assert_eq!(socket.count(Lost::Forgotten), 1);
    assert_eq!(drawn().len(), 8);
}
