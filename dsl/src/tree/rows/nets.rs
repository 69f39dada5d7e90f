//! Networks by longest match: nested ones are written out into ranges that do not overlap, so that a
//! look-up is one binary search.

use super::{NONE, RowIdx, Twice};
use ipnet::IpNet;
use std::net::IpAddr;

/// Where ranges begin, and the row that answers in them.
#[derive(Debug, Default)]
pub(super) struct Nets {
    v4: Box<[(u32, RowIdx)]>,
    v6: Box<[(u128, RowIdx)]>,
}

impl Nets {
    /// Of networks and their rows.
    pub(super) fn new(nets: Vec<(IpNet, RowIdx)>, twice: &mut Vec<Twice>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (net, row) in nets {
            match net {
                IpNet::V4(net) => {
                    v4.push((u32::from(net.network()), u32::from(net.broadcast()), net.prefix_len(), row));
                }
                IpNet::V6(net) => {
                    v6.push((u128::from(net.network()), u128::from(net.broadcast()), net.prefix_len(), row));
                }
            }
        }
        Self { v4: ranges(v4, twice, |end| end.checked_add(1)), v6: ranges(v6, twice, |end| end.checked_add(1)) }
    }

    pub(super) fn find(&self, ip: IpAddr) -> Option<RowIdx> {
        let row = match ip {
            IpAddr::V4(ip) => at(&self.v4, u32::from(ip)),
            IpAddr::V6(ip) => at(&self.v6, u128::from(ip)),
        };
        row.filter(|row| *row != NONE)
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.v4) + size_of_val(&*self.v6)
    }
}

fn at<A: Ord + Copy>(ranges: &[(A, RowIdx)], ip: A) -> Option<RowIdx> {
    let after = ranges.partition_point(|(start, _)| *start <= ip);
    ranges.get(after.checked_sub(1)?).map(|(_, row)| *row)
}

/// Ranges of networks, outer ones cut by what lies in them.
fn ranges<A: Ord + Copy>(
    mut nets: Vec<(A, A, u8, RowIdx)>,
    twice: &mut Vec<Twice>,
    after: impl Fn(A) -> Option<A>,
) -> Box<[(A, RowIdx)]> {
    // An outer network before what lies in it; equal ones in the order of their rows.
    nets.sort_unstable_by_key(|(start, _, length, row)| (*start, *length, *row));
    let mut out: Vec<(A, RowIdx)> = Vec::with_capacity(nets.len() + 1);
    let mut open: Vec<(A, RowIdx)> = Vec::new();
    let begin = |out: &mut Vec<(A, RowIdx)>, start: A, row: RowIdx| match out.last_mut() {
        Some(last) if last.0 == start => last.1 = row,
        Some(last) if last.1 == row => {}
        _ => out.push((start, row)),
    };
    let close = |out: &mut Vec<(A, RowIdx)>, open: &mut Vec<(A, RowIdx)>| {
        let Some((end, _)) = open.pop() else { return };
        if let Some(next) = after(end) {
            begin(out, next, open.last().map_or(NONE, |(_, row)| *row));
        }
    };
    let mut before: Option<(A, u8, RowIdx)> = None;
    for (start, end, length, row) in nets {
        if let Some((_, _, first)) = before.filter(|(at, len, _)| (*at, *len) == (start, length)) {
            twice.push(Twice { first, again: row });
            continue;
        }
        before = Some((start, length, row));
        while open.last().is_some_and(|(end, _)| *end < start) {
            close(&mut out, &mut open);
        }
        begin(&mut out, start, row);
        open.push((end, row));
    }
    while !open.is_empty() {
        close(&mut out, &mut open);
    }
    out.into()
}
