use super::*;
use crate::tree::ir::{Schema, ValueType};
use std::net::{Ipv4Addr, Ipv6Addr};

fn schema(key: KeyType, value: ValueType, among: &[&str]) -> Schema {
    Schema { key, value, among: among.iter().map(|t| (*t).into()).collect() }
}

fn rows(key: KeyType, text: &str) -> Rows {
    read(&schema(key, ValueType::Text, &[]), text).unwrap()
}

fn said(key: KeyType, value: ValueType, among: &[&str], text: &str) -> Vec<(usize, String)> {
    let wrong = read(&schema(key, value, among), text).unwrap_err();
    let line = |w: &Wrong| text[..w.span.start as usize].matches('\n').count() + 1;
    wrong.iter().map(|w| (line(w), w.message.clone())).collect()
}

fn found<'r>(rows: &'r Rows, key: &str) -> Option<&'r str> {
    rows.find(key.as_bytes()).map(|row| rows.value(row))
}

#[test]
fn a_line_that_names_the_columns_is_no_row() {
    for head in ["key,value", "tenant,text", "Tenant,Value", "key,plan"] {
        let rows = rows(KeyType::Text, &format!("{head}\nacme,gold\n"));
        assert_eq!((rows.len(), rows.line(0), found(&rows, "acme")), (1, 2, Some("gold")), "{head}");
    }
    assert_eq!(rows(KeyType::Text, "tenant,plan\nacme,gold\n").len(), 2, "any other line is a row");
    assert_eq!(rows(KeyType::Text, "tenant,\"value\"\n").len(), 1, "and so is one in quotes");
    assert_eq!(rows(KeyType::Text, "acme,gold\nkey,value\n").len(), 2, "and one further down");
    let pools = read(&schema(KeyType::Text, ValueType::Pool, &["pool", "b"]), "a,pool\n").unwrap();
    assert_eq!(pools.len(), 1, "a declared value is a value");
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let pools = ["gold", "silver"];
    let text = "tenant,pool\nacme,gold\nglobex,bronze\ninitech\numbrella, silver\n,gold\n";
    let said_ = said(KeyType::Text, ValueType::Pool, &pools, text);
    assert_eq!(
        said_,
        [
            (3, "`bronze` is not in the declared set [gold, silver]".to_owned()),
            (4, "one field in this line, and a row is a key and a value".to_owned()),
            (5, "` silver` is not in the declared set [gold, silver]".to_owned()),
            (6, "a key is not empty".to_owned()),
        ]
    );
    assert_eq!(
        said(KeyType::Text, ValueType::Pool, &pools, "a,gold\nb,gold\na,gold\n"),
        [(3, "the key `a` stands twice".into())]
    );
    assert_eq!(said(KeyType::Net, ValueType::Text, &[], "10.0.0.0/8,a\n10.0.0.0/8,b\n")[0].0, 2);
    assert_eq!(
        said(KeyType::Net, ValueType::Text, &[], "10.0.0.1/8,a\n"),
        [(1, "`10.0.0.1/8` has bits beyond its prefix: write 10.0.0.0/8".into())]
    );
    assert_eq!(said(KeyType::Int, ValueType::Int, &[], "007,1\n1,-1\n").len(), 2);
    assert_eq!(said(KeyType::Text, ValueType::Url, &[], "a,ftp://x\nb,https://\nc,https://a b/\nd,//x\n").len(), 4);
    assert_eq!(said(KeyType::Text, ValueType::Path, &[], "a,x\nb,/a//b\n").len(), 2);
    assert_eq!(said(KeyType::Text, ValueType::Text, &[], "a,\"x\ny\"\n").len(), 1);
    let many = "a\n".repeat(50);
    assert_eq!(said(KeyType::Text, ValueType::Text, &[], &many).len(), 10, "reading stops");
}

#[test]
fn the_most_specific_host_answers() {
    let rows = rows(KeyType::Host, "App.example.com,app\n*.example.com,one\n**.example.com,many\n**.com,com\n");
    let of = |host| found(&rows, host);
    assert_eq!(of("app.example.com"), Some("app"));
    assert_eq!(of("x.example.com"), Some("one"));
    assert_eq!(of("x.y.example.com"), Some("many"));
    assert_eq!(of("example.com"), Some("com"));
    assert_eq!(of("com"), None);
    assert_eq!(of("x.net"), None);
    assert_eq!(found(&rows, &format!("{}.com", "a".repeat(251))), Some("com"));
}

#[test]
fn the_longest_match_answers_as_a_search_through_all_would() {
    let mut text = String::new();
    let mut nets: Vec<IpNetRow> = Vec::new();
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        state >> 33
    };
    for n in 0..600 {
        let length = [0, 4, 8, 12, 16, 24, 31, 32][(next() % 8) as usize];
        let address = Ipv4Addr::from(
            (next() % 4) as u32 * 0x4000_0000 + (next() % 16) as u32 * 0x0010_0000 + (next() % 4) as u32,
        );
        let net = ipnet::IpNet::new(address.into(), length).unwrap().trunc();
        if nets.iter().all(|(other, _)| *other != net) {
            text.push_str(&format!("{net},{n}\n"));
            nets.push((net, n.to_string()));
        }
    }
    let v6 = "2001:db8::/32".parse().unwrap();
    text.push_str("2001:db8::/32,v6\n");
    nets.push((v6, "v6".into()));
    let rows = rows(KeyType::Net, &text);
    let mut asked: Vec<IpAddr> = nets.iter().flat_map(|(net, _)| [net.network(), net.broadcast()]).collect();
    asked.extend((0..2000).map(|_| IpAddr::from(Ipv4Addr::from((next() as u32) << 1))));
    asked.push(Ipv6Addr::LOCALHOST.into());
    asked.push("::ffff:10.0.0.1".parse().unwrap());
    for ip in asked {
        let ip = ip.to_canonical();
        let best = nets.iter().filter(|(net, _)| net.contains(&ip)).max_by_key(|(net, _)| net.prefix_len());
        assert_eq!(rows.find_ip(ip).map(|row| rows.value(row)), best.map(|(_, value)| &**value), "{ip}");
    }
}

type IpNetRow = (ipnet::IpNet, String);

#[test]
fn a_hundred_thousand_rows_are_found_and_take_little_memory() {
    let text: String = (0..100_000).map(|n| format!("tenant-{n:06},{}\n", ["gold", "silver"][n % 2])).collect();
    let rows = read(&schema(KeyType::Text, ValueType::Pool, &["gold", "silver"]), &text).unwrap();
    assert_eq!(rows.len(), 100_000);
    for n in [0, 1, 17, 99_999] {
        let row = rows.find(format!("tenant-{n:06}").as_bytes()).unwrap();
        assert_eq!((row as usize, rows.choice(row), rows.line(row) as usize), (n, n % 2, n + 1));
    }
    assert_eq!(rows.find(b"tenant-100000"), None);
    let overhead = rows.bytes() / 100_000 - "tenant-000000".len();
    assert!(overhead <= 14, "{overhead} bytes a row beside its key");
}

/// Numbers that look drawn, the same each time.
fn drawn(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 11
    }
}

#[test]
fn a_hundred_thousand_networks_answer_as_a_search_through_all_lengths_would() {
    let mut next = drawn(11);
    let mut nets: HashMap<ipnet::IpNet, usize> = HashMap::new();
    let mut text = String::from("# a list\n");
    while nets.len() < 100_000 {
        // Crowded enough that networks lie in networks.
        let net = if next() % 10 < 7 {
            let address = Ipv4Addr::from((0x0a00_0000 + next() % 0x0400_0000) as u32);
            ipnet::IpNet::new(address.into(), 8 + (next() % 25) as u8)
        } else {
            let bits = u128::from(next() % 0x1000_0000) << 80 | u128::from(next() % 4);
            let address = Ipv6Addr::from(0x2001_0db8 << 96 | bits);
            ipnet::IpNet::new(address.into(), 24 + (next() % 105) as u8)
        };
        let net = net.unwrap().trunc();
        let row = nets.len();
        nets.entry(net).or_insert_with(|| {
            let key = if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() };
            text.push_str(&format!("{key}\n"));
            row
        });
    }
    let rows = read(&schema(KeyType::Net, ValueType::Nothing, &[]), &text).unwrap();
    assert_eq!(rows.len(), 100_000);
    let longest = |ip: IpAddr| {
        let lengths = (0..=if ip.is_ipv4() { 32 } else { 128 }).rev();
        let mut in_them = lengths.map(|length| ipnet::IpNet::new(ip, length).unwrap().trunc());
        in_them.find_map(|net| nets.get(&net).copied())
    };
    let mut asked: Vec<IpAddr> = nets.keys().flat_map(|net| [net.network(), net.broadcast()]).take(20_000).collect();
    asked.extend((0..20_000).map(|_| IpAddr::from(Ipv4Addr::from((0x0900_0000 + next() % 0x0600_0000) as u32))));
    asked.extend(
        (0..20_000).map(|_| IpAddr::from(Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(next() % 0x1100_0000) << 80))),
    );
    let mut found = 0;
    for ip in asked {
        let row = rows.find_ip(ip);
        assert_eq!(row.map(|row| row as usize), longest(ip), "{ip}");
        found += usize::from(row.is_some());
    }
    assert!(found > 30_000, "only {found} were in a network at all");
    let bytes = rows.bytes() / 100_000;
    assert!(bytes <= 70, "{bytes} bytes a network, its key as text included");
}

#[test]
fn a_list_of_networks_is_read_as_it_is_published() {
    let text = "\u{feff}# merged list\r\n; of two\r\n\r\n1.10.16.0/20 ; SBL256894\r\n  192.0.2.7\t# one\r\n\
                2001:db8::/32\r\n192.0.2.7/32\r\n1.10.16.0/20";
    let rows = read(&schema(KeyType::Net, ValueType::Nothing, &[]), text).unwrap();
    let line = |ip: &str| rows.find_ip(ip.parse().unwrap()).map(|row| rows.line(row));
    assert_eq!([line("1.10.31.255"), line("192.0.2.7"), line("2001:db8:1::1")], [Some(4), Some(5), Some(6)]);
    assert_eq!([line("1.10.32.0"), line("192.0.2.8"), line("2001:db9::")], [None; 3]);
    let wrong = said(KeyType::Net, ValueType::Nothing, &[], "cidr\n10.0.0.0/8\n10.0.0.1/8 # x\n10.0.0.0/8,x\nhello\n");
    assert_eq!(
        wrong,
        [
            (3, "`10.0.0.1/8` has bits beyond its prefix: write 10.0.0.0/8".to_owned()),
            (4, "`10.0.0.0/8,x` is no address and no network".to_owned()),
            (5, "`hello` is no address and no network".to_owned()),
        ]
    );
    assert_eq!(said(KeyType::Net, ValueType::Nothing, &[], &"x\n".repeat(50)).len(), 10, "reading stops");
    let texts = read(&schema(KeyType::Text, ValueType::Nothing, &[]), "a#b\nkey\nc d # e\n").unwrap();
    assert!(texts.find(b"a#b").is_some() && texts.find(b"key").is_some() && texts.find(b"c d").is_some());
    let empty = read(&schema(KeyType::Net, ValueType::Nothing, &[]), "# nobody\n").unwrap();
    assert_eq!((empty.len(), empty.find_ip(IpAddr::from([10, 0, 0, 1]))), (0, None));
}
