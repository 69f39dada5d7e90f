//! Tenants: whose files these are, and what they may claim, dial and read.

use super::HostPattern;
use crate::syntax::span::Loc;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;

/// `tenant NAME { … }` of gateway.route.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// Its name.
    pub name: Arc<str>,
    /// Patterns of its route files, relative to the sites directory: `acme/*.route`.
    pub files: Vec<Arc<str>>,
    /// The hosts that it may claim, and where that is said.
    pub owns: Vec<(HostPattern, Loc)>,
    /// What its pools may dial.
    pub dials: Arc<Dials>,
    /// Patterns of the secrets that its files may name: `acme-*`.
    pub secrets: Vec<Arc<str>>,
    /// How much it may have.
    pub quota: Quota,
    /// The policies that each of its sites passes first, as they are written.
    pub uses: Vec<Arc<str>>,
    /// Where it is declared.
    pub loc: Loc,
}

/// What the pools of a tenant may dial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dials {
    /// Networks.
    pub nets: Vec<IpNet>,
    /// Sockets of the file system.
    pub sockets: Vec<Arc<str>>,
    /// Whose they are.
    pub tenant: Arc<str>,
}

/// Bounds of what a tenant's files come to, all of them together. `None` where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Routes.
    pub routes: Option<u64>,
    /// Rows of tables.
    pub rows: Option<u64>,
    /// States of regular expressions.
    pub states: Option<u64>,
}

impl Tenant {
    /// Whether a file is this tenant's: one of its patterns matches the path, relative to the sites directory,
    /// or the file lies below the folder that a pattern ends in.
    pub fn has(&self, path: &str) -> bool {
        self.files.iter().any(|pattern| {
            let pattern = within_sites(pattern);
            match folder(pattern) {
                "" => matches(pattern, path),
                folder => path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
            }
        })
    }

    /// The folders that its patterns end in, relative to the sites directory; empty for one without.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|pattern| folder(within_sites(pattern)))
    }

    /// Whether it says the same as another, wherever that is written.
    pub fn means(&self, other: &Self) -> bool {
        let owns = |t: &Self| t.owns.iter().map(|(pattern, _)| pattern.clone()).collect::<Vec<_>>();
        let plain = |t: &Self| Self { owns: Vec::new(), loc: Loc::default(), ..t.clone() };
        owns(self) == owns(other) && plain(self) == plain(other)
    }

    /// Whether its files may name a secret.
    pub fn reads(&self, secret: &str) -> bool {
        self.secrets.iter().any(|pattern| matches(pattern, secret))
    }
}

impl Dials {
    /// Whether an address may be dialled. Loopback, link-local and the like must be named: a wide network
    /// that happens to hold them does not do.
    pub fn allows(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let special = special(ip);
        self.nets.iter().any(|net| {
            let named = |special: &IpNet| special.contains(net);
            net.contains(&ip) && special.as_ref().is_none_or(named)
        })
    }

    /// Whether an address is named by itself: what an address of the gateway's own needs.
    pub fn names(&self, ip: IpAddr) -> bool {
        self.nets.contains(&IpNet::from(ip.to_canonical()))
    }

    /// Whether a socket may be dialled.
    pub fn allows_socket(&self, path: &str) -> bool {
        self.sockets.iter().any(|socket| **socket == *path)
    }
}

/// The network of addresses that nobody means by a wider one, where an address is in it.
fn special(ip: IpAddr) -> Option<IpNet> {
    const SPECIAL: [&str; 9] = [
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "::1/128",
        "fe80::/10",
        "ff00::/8",
    ];
    SPECIAL.iter().filter_map(|net| net.parse::<IpNet>().ok()).find(|net| net.contains(&ip))
}

/// `sites/` at the start of a pattern stands for the sites directory, whatever it is called.
fn within_sites(pattern: &str) -> &str {
    pattern.strip_prefix("sites/").unwrap_or(pattern)
}

/// The folder in which everything is meant by a pattern: `acme` of `acme/*.route`; nothing where only
/// some of a folder's files are.
fn folder(pattern: &str) -> &str {
    let fixed = pattern.find('*').map_or(pattern.len(), |star| star);
    let Some(end) = pattern[..fixed].rfind('/') else { return "" };
    match &pattern[end + 1..] {
        "*.route" | "**" | "**.route" | "**/*.route" => &pattern[..end],
        _ => "",
    }
}

/// Whether a pattern matches a text: `*` is any part of a segment, `**` anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some(star) = pattern.find('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(&pattern[..star]) else { return false };
    let (deep, after) = match pattern[star..].strip_prefix("**") {
        Some(after) => (true, after),
        None => (false, &pattern[star + 1..]),
    };
    let end = if deep { rest.len() } else { rest.find('/').unwrap_or(rest.len()) };
    (0..=end).filter(|at| rest.is_char_boundary(*at)).any(|at| matches(after, &rest[at..]))
}

/// Whose a file is, among all tenants.
#[derive(Clone, Copy, Debug)]
pub struct Tenancy<'t> {
    /// Whose it is.
    pub tenant: &'t Tenant,
    /// Every tenant.
    pub all: &'t [Arc<Tenant>],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(files: &[&str]) -> Tenant {
        Tenant {
            name: "acme".into(),
            files: files.iter().map(|f| (*f).into()).collect(),
            owns: Vec::new(),
            dials: Arc::default(),
            secrets: vec!["acme/*".into(), "shared-*".into()],
            quota: Quota::default(),
            uses: Vec::new(),
            loc: Loc::default(),
        }
    }

    #[test]
    fn a_folder_is_the_tenants_with_all_below() {
        for pattern in ["acme/*.route", "sites/acme/*.route", "acme/**"] {
            let t = tenant(&[pattern]);
            assert!(t.has("acme/a.route") && t.has("acme/deep/b.route"), "{pattern}");
            assert!(!t.has("acme.route") && !t.has("acme2/a.route") && !t.has("gateway.route"), "{pattern}");
        }
        let t = tenant(&["acme-*.route", "shared/acme.route"]);
        assert!(t.has("acme-shop.route") && t.has("shared/acme.route"));
        assert!(!t.has("shared/globex.route") && !t.has("acme-/x.route") && !t.has("acme.route"));
    }

    #[test]
    fn secrets_are_matched_segment_by_segment() {
        let t = tenant(&[]);
        assert!(t.reads("acme/key") && t.reads("shared-key"));
        assert!(!t.reads("globex/key") && !t.reads("acme/deep/key") && !t.reads("acme"));
    }

    #[test]
    fn special_addresses_need_naming() {
        let dials = |nets: &[&str]| Dials {
            nets: nets.iter().map(|n| n.parse().unwrap()).collect(),
            sockets: vec!["/run/acme.sock".into()],
            tenant: "acme".into(),
        };
        let allows = |nets: &[&str], ip: &str| dials(nets).allows(ip.parse().unwrap());
        assert!(allows(&["10.20.0.0/16"], "10.20.0.5") && !allows(&["10.20.0.0/16"], "10.21.0.5"));
        for ip in ["127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "fe80::1", "::ffff:127.0.0.1"] {
            assert!(!allows(&["0.0.0.0/0", "::/0"], ip), "{ip}");
        }
        assert!(allows(&["127.0.0.1/32"], "127.0.0.1") && allows(&["127.0.0.0/8"], "127.0.0.9"));
        assert!(dials(&[]).allows_socket("/run/acme.sock") && !dials(&[]).allows_socket("/run/other.sock"));
    }
}
