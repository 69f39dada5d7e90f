//! Pools for tests.

use dsl::syntax::span::Loc;
use dsl::tree::ir;

/// A pool of so many endpoints, alike but for their ports: 10.0.0.1:1, 10.0.0.1:2 and so on.
pub(crate) fn pool(name: &str, endpoints: u16) -> ir::Pool {
    let endpoint = |port: u16| ir::Endpoint {
        kind: ir::EndpointKind::Tcp,
        host: "10.0.0.1".into(),
        port,
        weight: 1,
        backup: false,
        loc: Loc::default(),
    };
    ir::Pool::new(name.into(), (1..=endpoints).map(endpoint).collect(), Loc::default())
}
