//! Endpoints: addresses, names, sockets and SRV records.

use crate::check::Checker;
use crate::lint;
use crate::resolve::ModIdx;
use crate::syntax::ast::{self, EndpointAddr};
use crate::syntax::span::Loc;
use crate::tree::ir::{self, EndpointKind};
use std::sync::Arc;

/// The longest path of a Unix socket, bytes (`sun_path` and its last zero).
const LONGEST_SOCKET: usize = 107;

impl<'a> Checker<'a> {
    /// Adds an endpoint; `false` when it cannot be used.
    pub(super) fn endpoint(
        &mut self,
        module: ModIdx,
        e: &ast::Endpoint,
        out: &mut ir::Pool,
        encrypted: &mut Vec<(bool, Loc)>,
    ) -> bool {
        let at = self.loc(module, e.addr.span);
        let mut weight = 1;
        if let Some(w) = &e.weight {
            let loc = self.loc(module, w.span);
            match u32::try_from(w.node) {
                _ if matches!(e.addr.node, EndpointAddr::Srv(_)) => {
                    self.report(lint::g1022::weight_of_srv(loc));
                }
                Ok(n) if (1..=65_535).contains(&n) => weight = n,
                _ => self.report(lint::g1024::range(loc, "`weight` takes a number from 1 to 65535")),
            }
        }
        let found = match &e.addr.node {
            EndpointAddr::Tcp { tls, host, port } => {
                encrypted.push((*tls, at));
                self.address(host, *port, at)
            }
            EndpointAddr::Unix(path) => self.socket(path, at),
            EndpointAddr::Srv(name) => self.records(name, at),
        };
        let Some((kind, host, port)) = found else { return false };
        if let Some(first) = out.endpoints.iter().find(|o| (o.kind, &o.host, o.port) == (kind, &host, port)) {
            let first = first.loc;
            let shown = match kind {
                EndpointKind::Tcp if host.contains(':') => format!("[{host}]:{port}"),
                EndpointKind::Tcp => format!("{host}:{port}"),
                EndpointKind::Unix => format!("unix:{host}"),
                EndpointKind::Srv => format!("srv {host}"),
            };
            let text = (at.file == self.linked.modules[0].file).then_some(self.text);
            self.report(lint::g5001::twice(at, &shown, first, text));
        }
        out.endpoints.push(ir::Endpoint { kind, host, port, weight, backup: e.backup, loc: at });
        true
    }

    /// `10.0.0.1:80`, `api.internal:80`, `[2001:db8::1]:80`
    fn address(&mut self, host: &str, port: u16, at: Loc) -> Option<(EndpointKind, Arc<str>, u16)> {
        if port == 0 {
            self.report(lint::g1024::range(at, "a port is a number from 1 to 65535"));
            return None;
        }
        match host.parse::<std::net::IpAddr>() {
            Ok(ip) => Some((EndpointKind::Tcp, crate::check::expr::unmapped(ip).to_string().into(), port)),
            Err(_) if crate::check::expr::is_host(host) => {
                Some((EndpointKind::Tcp, host.to_ascii_lowercase().into(), port))
            }
            Err(_) => {
                self.report(lint::g1005::never_host(at, host));
                None
            }
        }
    }

    /// `unix:/run/app.sock`; that it is absolute is a matter of syntax.
    fn socket(&mut self, path: &str, at: Loc) -> Option<(EndpointKind, Arc<str>, u16)> {
        if path.len() > LONGEST_SOCKET || path.ends_with('/') {
            let rule = format!("the path of a socket has at most {LONGEST_SOCKET} bytes and no `/` at its end");
            self.report(lint::g1024::range(at, &rule));
            return None;
        }
        Some((EndpointKind::Unix, path.into(), 0))
    }

    /// `srv _http._tcp.api.internal`
    fn records(&mut self, name: &str, at: Loc) -> Option<(EndpointKind, Arc<str>, u16)> {
        if name.contains(':') {
            self.report(lint::g1024::shape(at, "srv", "a name without a port: the records say the ports"));
            return None;
        }
        if !crate::check::expr::is_host(name) || name.parse::<std::net::IpAddr>().is_ok() {
            self.report(lint::g1005::never_host(at, name));
            return None;
        }
        Some((EndpointKind::Srv, name.to_ascii_lowercase().into(), 0))
    }

    /// A check of another port cannot reach a socket.
    pub(super) fn sockets_have_no_port(&mut self, pool: &ir::Pool, check: Option<Loc>) {
        let port = pool.check.as_ref().and_then(|check| check.port);
        let socket = pool.endpoints.iter().find(|e| e.kind == EndpointKind::Unix);
        if let (Some(_), Some(socket), Some(check)) = (port, socket, check) {
            self.report(lint::g1022::port_of_socket(check, socket.loc));
        }
    }
}
