//! Providers: their keys, and how asking for them came out.

use super::text::{Kind, Text};
use crate::edge::provider::Providers;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Writes them. Providers of one name, of several files, are counted together.
pub(super) fn write(providers: &Providers, text: &mut Text) {
    let mut by_name: BTreeMap<Arc<str>, [u64; 3]> = BTreeMap::new();
    for provider in providers.live() {
        let [keys, good, failed] = by_name.entry(Arc::clone(provider.name())).or_default();
        *keys += provider.published().map_or(0, |published| published.len() as u64);
        *good += provider.counts().good.load(Ordering::Relaxed);
        *failed += provider.counts().failed.load(Ordering::Relaxed);
    }
    if by_name.is_empty() {
        return;
    }
    let mut keys = text.family("sluice_provider_keys", Kind::Gauge, "Keys of a provider that verify tokens.");
    for (name, [n, ..]) in &by_name {
        keys.add(&[("provider", name)], n);
    }
    let mut asked = text.family(
        "sluice_provider_fetches",
        Kind::Counter,
        "How often a provider was asked for its keys, by outcome.",
    );
    for (name, [_, good, failed]) in &by_name {
        asked.add(&[("provider", name), ("outcome", "good")], good);
        asked.add(&[("provider", name), ("outcome", "failed")], failed);
    }
}
