//! Which addresses of a host are one endpoint: an IPv6 and an IPv4 address each, which connections race.

use std::net::IpAddr;

/// Addresses of one endpoint: one, or an IPv6 and an IPv4 address.
pub(super) type Pair = Box<[IpAddr]>;

/// Pairs addresses: the first of one kind with the first of the other. Pairs of before that are still
/// there stay together, so that an address that comes or goes changes no other endpoint.
pub(super) fn pair(before: &[Pair], six: &[IpAddr], four: &[IpAddr]) -> Vec<Pair> {
    let sorted = |all: &[IpAddr]| {
        let mut all = all.to_vec();
        all.sort_unstable();
        all.dedup();
        all
    };
    let (mut six, mut four) = (sorted(six), sorted(four));
    let mut pairs: Vec<Pair> = Vec::with_capacity(six.len().max(four.len()));
    for both in before.iter().filter(|pair| pair.len() == 2) {
        if six.contains(&both[0]) && four.contains(&both[1]) {
            six.retain(|ip| *ip != both[0]);
            four.retain(|ip| *ip != both[1]);
            pairs.push(both.clone());
        }
    }
    let mut rest = six.into_iter();
    let mut others = four.into_iter();
    loop {
        let pair: Pair = rest.next().into_iter().chain(others.next()).collect();
        if pair.is_empty() {
            break;
        }
        pairs.push(pair);
    }
    // By the address that is the last to be given up, which is the IPv4 one where there is one.
    pairs.sort_unstable_by(|a, b| a.last().cmp(&b.last()));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(all: &[&str]) -> Vec<IpAddr> {
        all.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    fn paired(before: &[Pair], six: &[&str], four: &[&str]) -> Vec<Pair> {
        pair(before, &ips(six), &ips(four))
    }

    fn are(pairs: &[Pair], expected: &[&[&str]]) {
        let expected: Vec<Pair> = expected.iter().map(|pair| ips(pair).into()).collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn the_first_goes_with_the_first_however_they_come() {
        let pairs = paired(&[], &["fd00::2", "fd00::1"], &["10.0.0.2", "10.0.0.1", "10.0.0.1"]);
        are(&pairs, &[&["fd00::1", "10.0.0.1"], &["fd00::2", "10.0.0.2"]]);
        assert_eq!(pairs, paired(&[], &["fd00::1", "fd00::2"], &["10.0.0.1", "10.0.0.2"]));
    }

    #[test]
    fn what_has_no_partner_stands_alone() {
        are(&paired(&[], &[], &["10.0.0.1"]), &[&["10.0.0.1"]]);
        are(&paired(&[], &["fd00::1", "fd00::2"], &["10.0.0.1"]), &[&["fd00::1", "10.0.0.1"], &["fd00::2"]]);
        are(&paired(&[], &[], &[]), &[]);
    }

    #[test]
    fn pairs_stay_together() {
        let before = paired(&[], &["fd00::2", "fd00::3"], &["10.0.0.2", "10.0.0.3"]);
        let after = paired(&before, &["fd00::1", "fd00::2", "fd00::3"], &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        are(&after, &[&["fd00::1", "10.0.0.1"], &["fd00::2", "10.0.0.2"], &["fd00::3", "10.0.0.3"]]);
        let after = paired(&before, &["fd00::3"], &["10.0.0.2", "10.0.0.3"]);
        are(&after, &[&["10.0.0.2"], &["fd00::3", "10.0.0.3"]]);
    }
}
