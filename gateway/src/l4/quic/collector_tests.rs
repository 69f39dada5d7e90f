use super::super::testing::{Client, drawn};
use super::*;
use crate::listen::hello;
use rustls::quic::Version;

const WHO: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 7));

#[track_caller]
fn whole(offered: Offered) -> Collected {
    match offered {
        Offered::Whole(collected) => *collected,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_kept(offered: &Offered) {
    assert!(matches!(offered, Offered::Kept), "{offered:?}");
}

#[track_caller]
fn is_dropped(offered: &Offered, why: Dropped) {
    assert!(matches!(offered, Offered::Dropped(d) if *d == why), "{offered:?} in place of {why:?}");
}

fn name(collected: &Collected) -> String {
    let hello = hello::open(&collected.hello).unwrap_or_else(|e| panic!("{:?}", e.failure));
    hello.accepted.client_hello().server_name().expect("a name").to_owned()
}

#[test]
fn a_hello_in_one_datagram() {
    for version in [Version::V1, Version::V2] {
        let client = Client::new(version, "a.test");
        let mut collector = Collector::default();
        let collected = whole(collector.offer(WHO, &client.initial(0, &[(0, client.hello.len())], 4000), 0));
        assert_eq!(name(&collected), "a.test");
        assert_eq!((collected.drawn.bytes(), collected.client.bytes()), (drawn(), &b"mine"[..]));
        assert!(collected.before.is_empty() && collector.is_empty());
    }
}

#[test]
fn a_hello_in_two_datagrams_in_either_order() {
    let client = Client::new(Version::V1, "a.test");
    let (middle, end) = (client.hello.len() / 2, client.hello.len());
    let first = client.initial(0, &[(0, middle)], 1200);
    let second = client.initial(1, &[(middle, end)], 1200);
    for (one, other) in [(&first, &second), (&second, &first)] {
        let mut collector = Collector::default();
        is_kept(&collector.offer(WHO, one, 0));
        // Once more: it brings nothing, and is not kept twice.
        is_kept(&collector.offer(WHO, one, 1));
        let collected = whole(collector.offer(WHO, other, 2));
        assert_eq!(name(&collected), "a.test");
        assert_eq!(collected.before, [one.clone().into_boxed_slice()]);
    }
}

#[test]
fn a_hello_cut_into_many_frames_on_purpose() {
    let client = Client::new(Version::V1, "a.test");
    let mut frames: Vec<_> =
        (0..client.hello.len()).step_by(41).map(|at| (at, client.hello.len().min(at + 41))).collect();
    frames.reverse();
    frames.swap(0, 7);
    let mut collector = Collector::default();
    assert_eq!(name(&whole(collector.offer(WHO, &client.initial(0, &frames, 4000), 0))), "a.test");
}

#[test]
fn coalesced_packets() {
    // Two Initial packets in one datagram, behind them what is not for us to read.
    let client = Client::new(Version::V1, "a.test");
    let (middle, end) = (client.hello.len() / 2, client.hello.len());
    let mut datagram = client.packet(0, &[(0, middle)], 0);
    datagram.extend(client.packet(1, &[(middle, end)], 0));
    datagram.extend([0xe0, 0, 0, 0, 1, 8]);
    datagram.extend(drawn());
    datagram.extend([0, 0x41, 0]);
    datagram.extend([7; 256]);
    assert_eq!(name(&whole(Collector::default().offer(WHO, &datagram, 0))), "a.test");
}

#[test]
fn early_data_waits_with_the_hello() {
    let client = Client::new(Version::V1, "a.test");
    let (middle, end) = (client.hello.len() / 2, client.hello.len());
    let early = [&[0xd0, 0, 0, 0, 1, 8][..], drawn(), &[0, 2, 9, 9]].concat();
    let mut collector = Collector::default();
    is_dropped(&collector.offer(WHO, &early, 0), Dropped::NotInitial);
    is_kept(&collector.offer(WHO, &client.initial(0, &[(0, middle)], 1200), 0));
    is_kept(&collector.offer(WHO, &early, 0));
    let collected = whole(collector.offer(WHO, &client.initial(1, &[(middle, end)], 1200), 0));
    assert_eq!(collected.before.len(), 2);
    assert_eq!(*collected.before[1], *early);
}

#[test]
fn what_is_dropped() {
    let client = Client::new(Version::V1, "a.test");
    let good = client.initial(0, &[(0, client.hello.len())], 4000);
    let mut collector = Collector::default();
    // RFC 9000 section 14.1.
    is_dropped(&collector.offer(WHO, &client.initial(0, &[(0, 100)], 1199), 0), Dropped::Short);
    // A version that greases (RFC 9000 section 15).
    let mut unknown = good.clone();
    unknown[1..5].copy_from_slice(&[0x1a, 0x2a, 0x3a, 0x4a]);
    is_dropped(&collector.offer(WHO, &unknown, 0), Dropped::Version);
    // Version Negotiation is what servers send.
    unknown[1..5].copy_from_slice(&[0; 4]);
    is_dropped(&collector.offer(WHO, &unknown, 0), Dropped::Version);
    is_dropped(&collector.offer(WHO, &[0x40; 1200], 0), Dropped::NotInitial);
    is_dropped(&collector.offer(WHO, &[], 0), Dropped::NotInitial);
    let mut changed = good.clone();
    changed[700] ^= 1;
    is_dropped(&collector.offer(WHO, &changed, 0), Dropped::Malformed);
    assert!(collector.is_empty());
}

#[test]
fn overlapping_hello() {
    // One place, two texts: who reads the other one goes where the name that was looked at did not lead.
    let client = Client::new(Version::V1, "a.test");
    let other = Client::new(Version::V1, "b.test");
    let mut collector = Collector::default();
    is_kept(&collector.offer(WHO, &client.initial(0, &[(0, 400)], 1200), 0));
    is_dropped(&collector.offer(WHO, &other.initial(1, &[(0, other.hello.len())], 4000), 0), Dropped::Malformed);
    // What overlaps and says the same is fine.
    whole(collector.offer(WHO, &client.initial(2, &[(200, client.hello.len())], 4000), 0));
}

#[test]
fn a_hello_of_more_than_16_kilobytes() {
    let mut collector = Collector::default();
    let mut client = Client::new(Version::V1, "a.test");
    client.hello = [&[1, 0, 0x40, 0][..], &[0; 2000]].concat();
    is_dropped(&collector.offer(WHO, &client.initial(0, &[(0, 1000)], 1200), 0), Dropped::TooLong);
    is_dropped(&collector.offer(WHO, &client.initial_at(0, 16_380, &[0; 10]), 0), Dropped::TooLong);
    is_dropped(&collector.offer(WHO, &client.initial_at(0, 1 << 61, &[0; 10]), 0), Dropped::TooLong);
    assert!(collector.is_empty());
}

#[test]
fn a_hello_in_more_pieces_than_any() {
    let client = Client::new(Version::V1, "a.test");
    let mut collector = Collector::default();
    let apart: Vec<_> = (0..PARTS).map(|at| (at * 2 + 1, at * 2 + 2)).collect();
    is_kept(&collector.offer(WHO, &client.initial(0, &apart, 1200), 0));
    is_dropped(&collector.offer(WHO, &client.initial(1, &[(500, 501)], 1200), 0), Dropped::TooLong);
    // More datagrams than a hello has.
    for number in 0..DATAGRAMS - 1 {
        let at = number * 2;
        is_kept(&collector.offer(WHO, &client.initial(2, &[(at, at + 1)], 1200), 0));
    }
    is_dropped(&collector.offer(WHO, &client.initial(2, &[(40, 41)], 1200), 0), Dropped::TooLong);
}

#[test]
fn hellos_that_stay_half_are_forgotten() {
    let client = Client::new(Version::V1, "a.test");
    let half = client.initial(0, &[(0, 100)], 1200);
    let rest = client.initial(1, &[(100, client.hello.len())], 4000);
    let mut collector = Collector::default();
    is_kept(&collector.offer(WHO, &half, 5));
    collector.expire(5 + PATIENCE_MS - 1);
    assert_eq!(collector.len(), 1);
    is_kept(&collector.offer(WHO, &rest, 5 + PATIENCE_MS));
    assert_eq!(collector.forgotten(), 1);
}

#[test]
fn flood_of_half_hellos() {
    let client = Client::new(Version::V1, "a.test");
    let half = client.initial(0, &[(0, 100)], 1200);
    let from = |port: u16| SocketAddr::new(WHO.ip(), port);
    let mut collector = Collector::default();
    for port in 1..=2000 {
        is_kept(&collector.offer(from(port), &half, 0));
        assert!(collector.len() <= PENDING);
    }
    assert_eq!(collector.forgotten(), 2000 - PENDING as u64);
    // The youngest are those that go on.
    let rest = client.initial(1, &[(100, client.hello.len())], 4000);
    whole(collector.offer(from(2000), &rest, 0));
    is_kept(&collector.offer(from(1), &rest, 0));
}

#[test]
fn flood_of_garbage_initials() {
    // What does not decrypt pushes nobody out.
    let client = Client::new(Version::V1, "a.test");
    let mut collector = Collector::default();
    is_kept(&collector.offer(WHO, &client.initial(0, &[(0, 100)], 1200), 0));
    let mut garbage = client.initial(0, &[(0, 100)], 1200);
    garbage[100] ^= 1;
    for port in 1000..3000 {
        is_dropped(&collector.offer(SocketAddr::new(WHO.ip(), port), &garbage, 0), Dropped::Malformed);
    }
    assert_eq!((collector.len(), collector.forgotten()), (1, 0));
}
