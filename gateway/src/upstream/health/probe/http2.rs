//! Checks by HTTP/2: of a status and a text, and what the gRPC check has in common with them.

use super::driven::driven;
use super::text::Looked;
use super::{Stream, describe};
use bytes::Bytes;
use h2::RecvStream;
use h2::client::Builder;
use http::{Method, Request, Response, Uri, Version};

/// A connection of one stream needs no larger windows than an answer that is looked at.
const WINDOW: u32 = 256 * 1024;

/// A request to an endpoint of this name.
pub(super) fn request(method: Method, secure: bool, authority: &str, path: &str) -> Result<Request<()>, String> {
    let uri = Uri::builder().scheme(if secure { "https" } else { "http" }).authority(authority).path_and_query(path);
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri.build().map_err(|e| format!("it cannot be asked ({e})"))?;
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.insert(http::header::USER_AGENT, http::HeaderValue::from_static("sluice-check"));
    Ok(request)
}

/// Sends a request on a new connection, which is closed behind it, and hands the answer on.
pub(super) async fn exchange<T, F: Future<Output = Result<T, String>>>(
    stream: Box<dyn Stream>,
    request: Request<()>,
    body: Option<Bytes>,
    answered: impl FnOnce(Response<RecvStream>) -> F,
) -> Result<T, String> {
    let mut builder = Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW).enable_push(false);
    let (sender, connection) = builder.handshake(stream).await.map_err(|e| broke(&e))?;
    let asked = async {
        let mut sender = sender.ready().await.map_err(|e| broke(&e))?;
        let (response, mut send) = sender.send_request(request, body.is_none()).map_err(|e| broke(&e))?;
        if let Some(body) = body {
            // A few bytes, which any first window holds.
            send.send_data(body, true).map_err(|e| broke(&e))?;
        }
        answered(response.await.map_err(|e| broke(&e))?).await
    };
    driven(connection, asked).await
}

/// Asks for an answer whose status is good and, where one is written, that holds a text.
pub(super) async fn ask(
    stream: Box<dyn Stream>,
    request: Request<()>,
    expect: (u16, u16),
    text: Option<&str>,
) -> Result<(), String> {
    exchange(stream, request, None, async |response: Response<RecvStream>| {
        super::http::good(response.status().as_u16(), expect)?;
        let Some(text) = text else { return Ok(()) };
        let (mut body, mut looked) = (response.into_body(), Looked::new(text));
        while let Some(piece) = body.data().await {
            let piece = piece.map_err(|e| broke(&e))?;
            let _ = body.flow_control().release_capacity(piece.len());
            if let Some(known) = looked.add(&piece) {
                return known;
            }
        }
        looked.end()
    })
    .await
}

/// What went wrong, in words.
pub(super) fn broke(e: &h2::Error) -> String {
    if e.is_io() || e.is_remote() {
        return format!("the connection broke off ({})", describe(e));
    }
    format!("what it answered is not HTTP/2 ({})", describe(e))
}
