//! Secrets that files name: a file whose secret is not at hand does not load.

use crate::secrets::Secrets;
use crate::sites::compile::Compiled;
use dsl::diagnostic::Diagnostic;
use dsl::lint;
use dsl::tree::ir::Pool;
use std::sync::Arc;

/// What a file's pools name and is not at hand: the names, and what to say of it.
pub fn missing<'p>(pools: impl Iterator<Item = &'p Arc<Pool>>, secrets: &Secrets) -> (Vec<Arc<str>>, Vec<Diagnostic>) {
    let (mut names, mut findings) = (Vec::new(), Vec::new());
    for pool in pools {
        for name in pool.secrets().filter(|name| secrets.get(name).is_none()) {
            let finding = lint::files::no_secret(pool.loc, name, &secrets.why_not(name));
            // A pool stands in each site that uses it.
            if !findings.contains(&finding) {
                findings.push(finding);
                names.push(Arc::clone(name));
            }
        }
    }
    (names, findings)
}

/// The pools of a compiled file.
pub fn pools(compiled: &Compiled) -> impl Iterator<Item = &Arc<Pool>> {
    let of_sites = compiled.programs.iter().flat_map(|program| &program.site().pools);
    of_sites.chain(compiled.items.iter().flat_map(|item| &item.rules().pools))
}
