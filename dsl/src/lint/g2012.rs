//! ## What
//!
//! A redirect leads to a host that no site answers for, and that is one letter or two from one that does.
//!
//! ## Why
//!
//! Redirects to hosts of others are usual, and nothing is said of them. A host that is nearly one of our
//! own, and that nobody serves, is a slip, and clients end in the void. It is said where all files are
//! known: by `sluice lint` of a directory.
//!
//! ## Wrong
//!
//! ```route
//! site shop.example.com {
//!     else -> respond 200 "here"
//! }
//!
//! site www.example.com {
//!     else -> redirect 308 https://shpo.example.com{request.uri}
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site shop.example.com {
//!     else -> respond 200 "here"
//! }
//!
//! site www.example.com {
//!     else -> redirect 308 https://shop.example.com{request.uri}
//! }
//! ```

use super::g2011::authority;
use crate::diagnostic::Diagnostic;
use crate::reach::Sites;
use crate::reach::endings::endings;
use crate::resolve::nearest;
use crate::syntax::span::Loc;
use crate::tree::ir::Answer;
use std::collections::BTreeSet;

/// Looks at the host of every redirect.
pub(super) fn run(sites: &Sites, out: &mut Vec<Diagnostic>) {
    let hosts = sites.iter().flat_map(|(_, program)| &program.site().hosts);
    let served: BTreeSet<String> = hosts.filter_map(|(host, _)| host.literal()).collect();
    let mut said: BTreeSet<Loc> = BTreeSet::new();
    for (_, program) in sites.iter() {
        for plan in &program.site().plans {
            for ending in endings(plan) {
                let Answer::Redirect { to, .. } = ending.answer else { continue };
                let Some(host) = authority(to).map(str::to_ascii_lowercase) else { continue };
                if sites.find(&host).is_some() || said.contains(&ending.loc) {
                    continue;
                }
                // By its first label alone: the same label elsewhere is another's host, and the rest is alike.
                let Some((label, parent)) = host.split_once('.') else { continue };
                // `eu-1` and `eu-2` are two hosts, and short names are near each other by nature.
                if label.len() < 4 || label.bytes().any(|b| b.is_ascii_digit()) {
                    continue;
                }
                let beside = served.iter().filter_map(|near| near.split_once('.')).filter(|(_, of)| *of == parent);
                let Some(near) = nearest(label, beside.map(|(near, _)| near)) else { continue };
                let near = format!("{near}.{parent}");
                said.insert(ending.loc);
                let message = format!("nobody serves `{host}`; did you mean `{near}`?");
                out.push(Diagnostic::warning("G2012", ending.loc, message).at("leads there"));
            }
        }
    }
}
