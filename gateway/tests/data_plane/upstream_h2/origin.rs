//! Origins that speak HTTP/2: one that answers, and one that is driven frame by frame.

use crate::support::PATIENCE;
use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use std::future::Future;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

type Answering = Pin<Box<dyn Future<Output = ()> + Send>>;
type Handler = Arc<dyn Fn(Request<RecvStream>, SendResponse<Bytes>) -> Answering + Send + Sync>;

/// An origin.
pub struct H2Origin {
    pub address: SocketAddr,
    /// Connections that were accepted.
    pub connections: Arc<AtomicUsize>,
    /// The heads of the requests that arrived.
    pub seen: Arc<Mutex<Vec<http::request::Parts>>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for H2Origin {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl H2Origin {
    /// Answers each request by a function.
    pub fn new<F>(handler: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::with(Builder::new(), None, handler)
    }

    /// The same, by other settings, perhaps over TLS.
    pub fn with<F>(
        builder: Builder,
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request, respond| Box::pin(handler(request, respond)));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, seen) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (count, record) = (Arc::clone(&connections), Arc::clone(&seen));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                tcp.set_nodelay(true).unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let (builder, handler, record) = (builder.clone(), Arc::clone(&handler), Arc::clone(&record));
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => connection(tcp, builder, handler, record).await,
                        Some(config) => {
                            if let Ok(tls) = TlsAcceptor::from(config).accept(tcp).await {
                                connection(tls, builder, handler, record).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, connections, seen, runtime: Some(runtime) }
    }

    /// Connections that were accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn connection<T>(io: T, builder: Builder, handler: Handler, seen: Arc<Mutex<Vec<http::request::Parts>>>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(mut connection) = builder.handshake::<_, Bytes>(io).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (parts, body) = request.into_parts();
        seen.lock().unwrap().push(parts.clone());
        let parting = parts.uri.path() == "/last";
        tokio::spawn(handler(Request::from_parts(parts, body), respond));
        if parting {
            connection.graceful_shutdown();
        }
    }
}

/// Answers 200 with a text.
pub fn say(mut respond: SendResponse<Bytes>, text: &'static str) {
    let response = Response::builder().header("x-origin", "h2").body(()).unwrap();
    if let Ok(mut body) = respond.send_response(response, false) {
        let _ = body.send_data(Bytes::from_static(text.as_bytes()), true);
    }
}

/// Reads a body to its end, opening the window as it goes.
pub async fn read(body: &mut RecvStream) -> Option<(Vec<u8>, Option<HeaderMap>)> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.ok()?;
        all.extend_from_slice(&data);
        let _ = body.flow_control().release_capacity(data.len());
    }
    Some((all, body.trailers().await.ok()?))
}

/// Sends all of it as the window allows.
pub async fn send(body: &mut SendStream<Bytes>, mut data: Bytes, last: bool) -> Option<()> {
    while !data.is_empty() {
        body.reserve_capacity(data.len());
        let room = std::future::poll_fn(|cx| body.poll_capacity(cx)).await?.ok()?;
        let piece = data.split_to(room.min(data.len()));
        body.send_data(piece, last && data.is_empty()).ok()?;
    }
    Some(())
}

// === frame by frame

pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;

/// An origin's end of a connection, after the preface and the settings.
pub struct Frames(pub TcpStream);

/// A frame: its kind, its flags, its stream.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Frames {
    /// Reads the preface and exchanges settings.
    pub fn begin(mut tcp: TcpStream) -> Self {
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut preface = [0; 24];
        tcp.read_exact(&mut preface).unwrap();
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut frames = Self(tcp);
        frames.send(SETTINGS, 0, 0, &[]);
        frames
    }

    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.0.write_all(&frame).unwrap();
    }

    /// The next frame; settings are acknowledged by the way. `None` when the connection ended.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).ok()?;
            let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; len as usize];
            self.0.read_exact(&mut payload).ok()?;
            let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
            let frame = Frame { kind: head[3], flags: head[4], stream };
            if frame.kind != SETTINGS {
                return Some(frame);
            }
            if frame.flags & 1 == 0 {
                self.send(SETTINGS, 1, 0, &[]);
            }
        }
    }

    /// The stream of the next request whose head arrives.
    pub fn request(&mut self) -> Option<u32> {
        loop {
            let frame = self.next()?;
            if frame.kind == HEADERS {
                return Some(frame.stream);
            }
        }
    }

    /// Answers 204.
    pub fn answer(&mut self, stream: u32) {
        // HPACK: `:status: 204`, indexed (RFC 7541 appendix A).
        self.send(HEADERS, 0x5, stream, &[0x89]);
    }
}

/// Hands each connection, with its number, to a function.
pub fn frames(serve: impl Fn(Frames, usize) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for (number, tcp) in listener.incoming().enumerate() {
            let (Ok(tcp), serve) = (tcp, Arc::clone(&serve)) else { return };
            tcp.set_nodelay(true).unwrap();
            thread::spawn(move || serve(Frames::begin(tcp), number));
        }
    });
    address
}
