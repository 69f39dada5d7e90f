//! The decision about the name of a hello.

use super::Gate;
use super::names::may_be_certified;
use super::sources::{NAMES, network_of, shown};
use crate::edge::calls::{Worked, work_out};
use crate::http::client::{Client, Secured};
use crate::http::exchange::ask_of_name;
use crate::runtime::notice::Notice;
use crate::runtime::worker::Worker;
use crate::snapshot::Served;
use dsl::tree::calls::{Calls, Outcome, Stop};
use dsl::tree::eval;
use dsl::tree::ir::{CallIdx, OnDemand};
use dsl::tree::request::{Handshake, Plain};
use std::net::SocketAddr;
use std::rc::Rc;

/// What was decided about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may have a certificate.
    Allowed,
    /// It may not, now or at all.
    Refused,
    /// Nobody was asked about it: too many unknown names are asked for.
    TooMany,
    /// `allow` could not be worked out.
    Unknown,
}

/// Decides about the name of a hello. Whoever is allowed everything by its site is allowed.
///
/// It waits for an `ask`: the deadline is the caller's.
pub async fn decide(worker: &Rc<Worker>, served: &Served, name: &str, peer: SocketAddr, local: SocketAddr) -> Verdict {
    let (Some(gate), Some(on_demand)) = (&served.edge.gate, &served.program.site().on_demand) else {
        return Verdict::Allowed;
    };
    if !may_be_certified(name) {
        return Verdict::Refused;
    }
    if let Some(known) = gate.known(name) {
        return verdict(known);
    }
    if !gate.is_decided_about(name) && !admits(worker, gate, peer) {
        return Verdict::TooMany;
    }
    let Some(flight) = gate.flight(name) else { return Verdict::TooMany };
    let _turn = flight.turn.lock().await;
    if let Some(known) = gate.known(name) {
        return verdict(known);
    }
    match allowed(&asking(worker, name, peer, local), served, on_demand, name).await {
        Some(true) if gate.has_room() => {
            gate.allowed.insert(name.into(), ());
            Verdict::Allowed
        }
        Some(true) => {
            tell(worker, "as many new names were allowed as its `limit` says; more are refused for a while");
            Verdict::Refused
        }
        Some(false) => {
            gate.deny(name);
            Verdict::Refused
        }
        // It is decided about again.
        None => Verdict::Unknown,
    }
}

/// Decides again about a name that is taken for allowed, without waiting where as many are decided about as may be.
/// A no ends what was known of it; without an answer everything stays as it is.
pub async fn again(worker: &Rc<Worker>, served: &Served, name: &str, peer: SocketAddr, local: SocketAddr) -> Verdict {
    let (Some(gate), Some(on_demand)) = (&served.edge.gate, &served.program.site().on_demand) else {
        return Verdict::Allowed;
    };
    let Some(_flight) = gate.flight(name) else { return Verdict::TooMany };
    match allowed(&asking(worker, name, peer, local), served, on_demand, name).await {
        Some(true) => Verdict::Allowed,
        Some(false) => {
            gate.deny(name);
            Verdict::Refused
        }
        None => Verdict::Unknown,
    }
}

/// The client on whose behalf others are asked.
fn asking(worker: &Rc<Worker>, name: &str, peer: SocketAddr, local: SocketAddr) -> Rc<Client> {
    let secured = Secured { sni: Some(name.into()), version: "1.3", alpn: None, told: None, shown: Default::default() };
    Client::new(Rc::clone(worker), peer, local, Some(secured))
}

fn verdict(known: bool) -> Verdict {
    if known { Verdict::Allowed } else { Verdict::Refused }
}

/// Whether one more unknown name may be asked about, by the client's network and by all together.
fn admits(worker: &Worker, gate: &Gate, peer: SocketAddr) -> bool {
    if !gate.sources.admit(peer.ip()) {
        let network = shown(network_of(peer.ip()));
        tell(worker, &format!("{network} asks for more than {NAMES} unknown names a minute; more are refused unasked"));
        return false;
    }
    gate.asked.admits(gate.bucket)
}

fn tell(worker: &Worker, reason: &str) {
    let call = "tls on-demand".to_owned();
    worker.tell_once(&call, || Notice::CallFailed { call: call.clone(), reason: reason.to_owned() });
}

/// Whether a name is allowed; `None` where that cannot be told.
async fn allowed(client: &Rc<Client>, served: &Served, on_demand: &OnDemand, name: &str) -> Option<bool> {
    let mut calls = Calls::default();
    // Each turn tells a call that was not known.
    for _ in 0..=served.program.site().calls.len() {
        let request = Plain {
            host: name.to_owned(),
            tls: Handshake { sni: Some(name.to_owned()), ..Handshake::default() },
            client: (client.ip, client.port),
            calls: calls.clone(),
            ..Plain::default()
        };
        let held = eval::cond(&on_demand.allow, &request);
        match request.calls.stopped() {
            None => return held.ok(),
            Some(Stop::Unknown(call)) => {
                let (call, outcome) = worked(client, served, name, call, &request).await;
                calls.tell(call, outcome);
            }
            Some(Stop::Failed(_) | Stop::Refused(_)) => return None,
        }
    }
    None
}

async fn worked(
    client: &Rc<Client>,
    served: &Served,
    name: &str,
    mut call: CallIdx,
    request: &Plain,
) -> (CallIdx, Outcome) {
    // A call needs only what was written before it, so this ends.
    for _ in 0..=served.program.site().calls.len() {
        match work_out(served, call, request, &client.worker) {
            Worked::Known(outcome) => return (call, outcome),
            Worked::First(first) => call = first,
            Worked::Said(call, said) => return (call, said.outcome.clone()),
            Worked::Ask(question) => return (call, ask_of_name(client, served, name, question).await),
            Worked::Later(call, later) => return (call, later.await),
        }
    }
    (call, Outcome::Failed)
}
