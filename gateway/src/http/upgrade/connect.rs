//! WebSocket over HTTP/2 (RFC 8441): a CONNECT with `:protocol websocket` is the handshake that HTTP/1
//! makes with GET and `Upgrade`, and is decided about and passed on as that one.

use super::tunnel::Tunnel;
use super::{HAND_OVER_MS, Switched};
use crate::http::body::Finish;
use crate::http::gate::Reason;
use crate::l4::side::Side;
use crate::runtime::ticks::within;
use crate::runtime::worker::Worker;
use http::{Method, Request};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::rc::Rc;

/// Makes a GET of a CONNECT that asks for WebSocket; the client's stream comes once it is answered well.
/// `None`: it is no such request.
///
/// # Errors
/// When it asks for another protocol.
pub fn translate<B>(request: &mut Request<B>) -> Result<Option<OnUpgrade>, Reason> {
    if request.method() != Method::CONNECT {
        return Ok(None);
    }
    let Some(protocol) = request.extensions().get::<Protocol>() else { return Ok(None) };
    if !protocol.as_str().eq_ignore_ascii_case("websocket") {
        return Err(Reason::Protocol);
    }
    *request.method_mut() = Method::GET;
    Ok(Some(hyper::upgrade::on(request)))
}

/// Carries a WebSocket once hyper hands its stream over. `finish` is held until it ends: its connection
/// is busy.
pub fn carry(worker: Rc<Worker>, stream: OnUpgrade, switched: Box<Switched>, finish: Finish) {
    tokio::task::spawn_local(async move {
        // A stream that was reset meanwhile does not come.
        if let Some(Ok(upgraded)) = within(&worker.ticks, HAND_OVER_MS, stream).await {
            let client = Side::Stream(Box::new(TokioIo::new(upgraded)));
            Tunnel::new(worker, client, &[], *switched).await;
        }
        drop(finish);
    });
}
