//! What the machine knows without asking: `/etc/hosts`, and that `localhost` is the machine itself.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The names of a hosts file. A name on several lines has all their addresses.
#[derive(Debug, Default)]
pub(super) struct Hosts(HashMap<String, Vec<IpAddr>>);

impl Hosts {
    /// Reads it. Lines that make no sense are passed over, as every program does.
    pub(super) fn parse(text: &str) -> Self {
        let mut names: HashMap<String, Vec<IpAddr>> = HashMap::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            // An address with a zone (`fe80::1%eth0`) is of no use elsewhere, and is not read.
            let Some(ip) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for name in words {
                let all = names.entry(canonical(name)).or_default();
                if !all.contains(&ip) {
                    all.push(ip);
                }
            }
        }
        Self(names)
    }

    /// The addresses of a name.
    pub(super) fn find(&self, name: &str) -> Option<Vec<IpAddr>> {
        let name = canonical(name);
        let known = self.0.get(&name).cloned();
        // RFC 6761 section 6.3: no name server is asked.
        let own = name == "localhost" || name.ends_with(".localhost");
        known.or_else(|| own.then(|| vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]))
    }
}

fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(all: &[&str]) -> Option<Vec<IpAddr>> {
        Some(all.iter().map(|ip| ip.parse().unwrap()).collect())
    }

    #[test]
    fn a_hosts_file_is_read_as_the_system_reads_it() {
        let text = "127.0.0.1 localhost # the machine\n\n::1 ip6-localhost\n172.17.0.2\tDB db.internal\n\
                    nonsense db\nfe80::1%eth0 db\n172.17.0.3 db\n172.17.0.3 db";
        let hosts = Hosts::parse(text);
        assert_eq!(hosts.find("db"), ips(&["172.17.0.2", "172.17.0.3"]));
        assert_eq!(hosts.find("db.INTERNAL."), ips(&["172.17.0.2"]));
        assert_eq!(hosts.find("nonsense"), None);
        assert_eq!(hosts.find("localhost"), ips(&["127.0.0.1"]));
    }

    #[test]
    fn localhost_is_the_machine_itself() {
        for name in ["localhost", "LOCALHOST.", "api.localhost"] {
            assert_eq!(Hosts::default().find(name), ips(&["::1", "127.0.0.1"]), "{name}");
        }
        assert_eq!(Hosts::default().find("notlocalhost"), None);
    }
}
