//! A well-behaved HTTP/2 client: hyper's, on a thread of its own, for tests that block.

use crate::tls::{self, Offer};
use crate::wait::PATIENCE;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// The bodies that are sent.
pub type Body = BoxBody<Bytes, Infallible>;

/// A connection.
pub struct H2 {
    runtime: Runtime,
    sender: SendRequest<Body>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Option<HeaderMap>,
    /// Why the body did not end, if it did not.
    pub cut: Option<String>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {} {:?}", self.status, self.text()))
    }
}

/// A body that is all there.
pub fn full(body: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(body.into()).boxed()
}

/// No body.
pub fn empty() -> Body {
    http_body_util::Empty::new().boxed()
}

/// A body of these frames.
pub fn frames(frames: Vec<Frame<Bytes>>) -> Body {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for frame in frames {
        sender.send(Ok::<_, Infallible>(frame)).unwrap();
    }
    drop(sender);
    BodyExt::boxed(Channel(Box::new(move |cx| receiver.poll_recv(cx))))
}

type Poll<'a> = Box<
    dyn FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>>
        + Send
        + Sync
        + 'a,
>;

/// A stream out of a poll function.
struct Channel(Poll<'static>);

impl hyper::body::Body for Channel {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        (self.0)(cx)
    }
}

impl H2 {
    /// Connects in the clear, by prior knowledge.
    #[track_caller]
    pub fn clear(addr: SocketAddr) -> Self {
        let runtime = runtime();
        let sender = runtime.block_on(async { shake(TcpStream::connect(addr).await.unwrap()).await });
        Self { runtime, sender }
    }

    /// Connects with TLS.
    #[track_caller]
    pub fn secure(addr: SocketAddr, root: &Path, name: &str) -> Self {
        Self::with(addr, root, &Offer::h2(name))
    }

    /// Connects with TLS and what is offered.
    #[track_caller]
    pub fn with(addr: SocketAddr, root: &Path, offer: &Offer<'_>) -> Self {
        let connector = tokio_rustls::TlsConnector::from(tls::config(root, offer));
        let name = ServerName::try_from(offer.name.to_owned()).unwrap();
        let runtime = runtime();
        let sender = runtime.block_on(async {
            let socket = TcpStream::connect(addr).await.unwrap();
            shake(connector.connect(name, socket).await.expect("the handshake succeeds")).await
        });
        Self { runtime, sender }
    }

    /// Asks with a GET.
    #[track_caller]
    pub fn get(&mut self, url: &str) -> Answer {
        self.ask(Request::get(url).body(empty()).unwrap())
    }

    /// Asks and reads the answer to its end.
    #[track_caller]
    pub fn ask(&mut self, request: Request<Body>) -> Answer {
        self.try_ask(request).expect("the stream ended without an answer")
    }

    /// Asks and reads the answer to its end, if there is one.
    pub fn try_ask(&mut self, request: Request<Body>) -> Result<Answer, hyper::Error> {
        let Self { runtime, sender } = self;
        runtime.block_on(async {
            let answer = async { Ok(read(sender.send_request(request).await?).await) };
            tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time")
        })
    }

    /// Asks many times at once and reads all answers.
    #[track_caller]
    pub fn ask_all(&mut self, requests: Vec<Request<Body>>) -> Vec<Result<Answer, hyper::Error>> {
        let Self { runtime, sender } = self;
        runtime.block_on(async {
            let mut asked = Vec::new();
            for request in requests {
                sender.ready().await.unwrap();
                let answer = sender.send_request(request);
                asked.push(tokio::spawn(async move { Ok(read(answer.await?).await) }));
            }
            let mut answers = Vec::new();
            for answer in asked {
                answers.push(tokio::time::timeout(PATIENCE, answer).await.expect("answers in time").unwrap());
            }
            answers
        })
    }

    /// Whether the connection can take another request.
    pub fn is_open(&mut self) -> bool {
        let Self { runtime, sender } = self;
        // Let the connection's task see what has arrived.
        runtime.block_on(tokio::task::yield_now());
        !sender.is_closed()
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn shake(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> SendRequest<Body> {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn read(response: Response<Incoming>) -> Answer {
    let (parts, mut incoming) = response.into_parts();
    let mut answer =
        Answer { status: parts.status, headers: parts.headers, body: Vec::new(), trailers: None, cut: None };
    while let Some(frame) = incoming.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => answer.body.extend_from_slice(&data),
            Ok(Err(other)) => answer.trailers = other.into_trailers().ok(),
            Err(error) => {
                answer.cut = Some(format!("{error:?}"));
                break;
            }
        }
    }
    answer
}
