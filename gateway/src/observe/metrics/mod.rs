//! `metrics ADDRESS:PORT`: what is counted, for whoever asks over HTTP.
//!
//! Served by a thread of the control plane: no worker spends a moment on it, and it answers when they
//! are busy. Few connections at once, one request each, and a deadline for all of it.

mod certificates;
pub mod collect;
mod pools;
mod providers;
pub mod text;

use crate::runtime::follow::{Begin, Table};
use crate::runtime::listeners::Sets;
use crate::runtime::sockets::{Bound, Service};
use collect::{Sources, collect};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use text::Format;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Semaphore;

/// Connections at once; others wait.
const CONNECTIONS: usize = 16;
/// From the first byte of a request to the last of its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to leave a socket alone that cannot accept.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts the thread, which serves the sockets that are published for it for as long as the process lives.
///
/// # Errors
/// When the thread or its runtime cannot be made.
pub fn start(sources: Sources) -> io::Result<()> {
    thread::Builder::new().name("metrics".into()).spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        // Without it nobody can ask, which is no reason not to serve.
        if let Ok(runtime) = runtime {
            runtime.block_on(serve(sources));
        }
    })?;
    Ok(())
}

async fn serve(sources: Sources) {
    let sets: Sets = sources.sets.clone();
    let sources = Rc::new(sources);
    let table = Table::default();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let begin = |begin: Begin| {
        let (sources, room) = (Rc::clone(&sources), Arc::clone(&room));
        tokio::task::spawn_local(async move {
            let Begin { bound, live, mut closing, .. } = begin;
            let Bound::Tcp(socket) = bound else { return };
            let Ok(socket) = TcpListener::from_std(socket) else { return };
            tokio::select! {
                () = accept(&socket, &sources, &room) => {}
                () = closing.closed() => {}
            }
            drop(live);
        })
    };
    table.follow(sets, 0, |service| service == Service::Metrics, begin).await;
}

async fn accept(socket: &TcpListener, sources: &Rc<Sources>, room: &Arc<Semaphore>) {
    loop {
        let Ok(place) = Arc::clone(room).acquire_owned().await else { return };
        match socket.accept().await {
            Ok((tcp, _)) => {
                let sources = Rc::clone(sources);
                tokio::task::spawn_local(async move {
                    // A client that takes too long is cut off.
                    let _ = tokio::time::timeout(PATIENCE, answer(tcp, &sources)).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn answer(tcp: TcpStream, sources: &Rc<Sources>) -> hyper::Result<()> {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = respond(&request, sources);
        async move { Ok::<_, Infallible>(answer) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(16 * 1024)
        .keep_alive(false)
        .serve_connection(TokioIo::new(tcp), service)
        .await
}

fn respond<B>(request: &Request<B>, sources: &Sources) -> Response<Full<Bytes>> {
    let plain = |status: StatusCode, text: &'static str| {
        let mut answer = Response::new(Full::from(text));
        *answer.status_mut() = status;
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        answer
    };
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "counts are at /metrics\n");
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let format = Format::of(accept);
    let mut answer = Response::new(Full::from(collect(sources, format)));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    answer
}
