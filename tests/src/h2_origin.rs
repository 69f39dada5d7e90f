//! An HTTP/2 origin in the clear, by prior knowledge, that counts requests and connections: hyper's server.
//! A request of gRPC gets its message back, and trailers.

use crate::client::Body;
use crate::wait::Watched;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// How one behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// Says GOAWAY on a connection after so many requests.
    pub requests_per_connection: Option<u64>,
    /// How many requests it takes at once on a connection; hyper's own, when nothing is said.
    pub streams: Option<u32>,
}

/// What it has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Connections so far.
    pub connections: u64,
    /// Requests so far, by their paths not told apart.
    pub requests: u64,
    /// Requests that are under way.
    pub now: u64,
    /// The most that were under way at one time.
    pub most: u64,
}

/// A running one; it ends with the value.
pub struct H2Origin {
    addr: SocketAddr,
    seen: Arc<Watched<Seen>>,
    stop: Arc<Notify>,
}

impl H2Origin {
    /// Starts one whose answers are this text.
    pub fn start(text: &str, manners: Manners) -> Self {
        Self::on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), text, manners)
    }

    /// Starts one at an address.
    ///
    /// # Panics
    ///
    /// When somebody has the address.
    #[track_caller]
    pub fn on(addr: SocketAddr, text: &str, manners: Manners) -> Self {
        let listener = TcpListener::bind(addr).unwrap();
        let addr = listener.local_addr().unwrap();
        let origin = Self { addr, seen: Arc::default(), stop: Arc::new(Notify::new()) };
        let (seen, stop, text) = (origin.seen.clone(), origin.stop.clone(), Bytes::copy_from_slice(text.as_bytes()));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let accepted = tokio::select! {
                        accepted = listener.accept() => accepted,
                        () = stop.notified() => return,
                    };
                    let Ok((stream, _)) = accepted else { continue };
                    let _ = stream.set_nodelay(true);
                    seen.change(|s| s.connections += 1);
                    tokio::spawn(carry(stream, text.clone(), manners, seen.clone()));
                }
            });
        });
        origin
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it has seen.
    pub fn seen(&self) -> Seen {
        self.seen.get().clone()
    }

    /// What it has seen, to wait for.
    pub fn watch(&self) -> &Watched<Seen> {
        &self.seen
    }
}

impl Drop for H2Origin {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}

async fn carry(stream: TcpStream, text: Bytes, manners: Manners, seen: Arc<Watched<Seen>>) {
    let served = Arc::new(AtomicU64::new(0));
    let enough = Arc::new(Notify::new());
    let (count, tell) = (served.clone(), enough.clone());
    let service = service_fn(move |request| {
        let count = count.fetch_add(1, SeqCst) + 1;
        if manners.requests_per_connection == Some(count) {
            tell.notify_one();
        }
        answer(request, text.clone(), seen.clone())
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    if let Some(streams) = manners.streams {
        builder.max_concurrent_streams(streams);
    }
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = enough.notified() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // How a connection ends is the other side's matter.
    let _ = ended;
}

async fn answer(
    request: Request<Incoming>,
    text: Bytes,
    seen: Arc<Watched<Seen>>,
) -> Result<Response<Body>, hyper::Error> {
    seen.change(|s| {
        s.requests += 1;
        s.now += 1;
        s.most = s.most.max(s.now);
    });
    let grpc =
        request.headers().get(header::CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"application/grpc"));
    let body = request.into_body().collect().await;
    seen.change(|s| s.now -= 1);
    let body = body?.to_bytes();
    if !grpc {
        let mut response = Response::new(Full::new(text).boxed());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        return Ok(response);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let mut response = Response::new(Message { data: Some(body), trailers: Some(trailers) }.boxed());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

/// A message and its trailers, of a length that is not told beforehand: no server of gRPC sends one.
struct Message {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl hyper::body::Body for Message {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        Poll::Ready(data.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }
}
