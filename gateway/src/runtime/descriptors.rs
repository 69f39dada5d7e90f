//! How many descriptors the process may have: each connection needs two, one to each side.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A client's connection, and the one to the upstream.
const EACH: u64 = 2;
/// Listening sockets, idle connections to upstreams, checks, files.
const BESIDE: u64 = 4096;

/// Raises the limit of open files as far as it can be raised, up to what so many connections need.
/// Says what is wrong when that is not enough.
#[must_use]
pub fn raise(connections: u64) -> Option<String> {
    let needed = connections.saturating_mul(EACH).saturating_add(BESIDE);
    let now = getrlimit(Resource::Nofile);
    let hard = now.maximum.unwrap_or(u64::MAX);
    if now.current.unwrap_or(u64::MAX) < hard {
        let raised = Rlimit { current: now.maximum, maximum: now.maximum };
        // Lowering is never done, and raising up to the hard limit is always allowed.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    if hard < needed {
        // With the privilege for it, the hard limit may be raised too.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: Some(needed) });
    }
    let have = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (have < needed).then(|| words(have, needed, connections))
}

fn words(have: u64, needed: u64, connections: u64) -> String {
    let enough = have.saturating_sub(BESIDE) / EACH;
    format!(
        "this process may open {have} files, enough for about {enough} connections at once; `limits {{ connections {connections} }}` allows more. \
         Raise it (`ulimit -Hn {needed}` before the start, or LimitNOFILE={needed} in the service's unit), or state a lower limit in gateway.route"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_and_what_is_not_enough_is_said_with_what_to_type() {
        assert_eq!(raise(1), None);
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current, now.maximum);
        // More than the kernel allows anybody.
        let said = raise(1 << 40).unwrap();
        assert!(said.contains("LimitNOFILE=2199023259648") && said.contains("ulimit -Hn 2199023259648"), "{said}");
    }
}
