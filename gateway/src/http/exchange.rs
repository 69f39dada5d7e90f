//! One request, whatever the protocol: canonical form, decision, answer.

use super::body::{AnswerBody, Broken, Content, Finish, OriginBody, RequestBody, Upload};
use super::client::Client;
use super::forward::{Failure, Job, forward};
use super::gate::{Limits, Link, Reason};
use super::h2::Stream;
use super::headers::{self, Edit, Found, X_FORWARDED_FOR, X_FORWARDED_PROTO};
use super::judge::{Judged, Prepared, judge, prepare};
use super::received::Received;
use crate::answer::{self, files};
use crate::runtime::notice::Notice;
use crate::runtime::worker::Current;
use crate::snapshot::{Host, Served};
use crate::upstream::PoolHandle;
use dsl::tree::canonical;
use dsl::tree::ir::{IpNet, PlanIdx, Settings, Tls};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TE, TRANSFER_ENCODING};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use std::borrow::Cow;
use std::convert::Infallible;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// Until the head of an origin's answer.
const TIMEOUT_MS: u64 = 30_000;
/// Between two pieces of an origin's answer.
const IDLE_MS: u64 = 60_000;
/// Between two pieces of a client's body.
const UPLOAD_IDLE_MS: u64 = 30_000;

/// Serves a request of an HTTP/1 connection.
///
/// What can be done at once is done before there is a future: futures are moved and kept for as long
/// as a connection lives, so that they hold no more than what waiting needs.
pub fn http1(
    client: &Rc<Client>,
    link: &Rc<Link>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<AnswerBody>, Infallible>> + use<> {
    let refused = link.begin();
    // Held from here on: the connection is busy until the answer is through or given up.
    let finish = Finish::Http1(Rc::clone(link));
    link.ends_by_closing(request.version() == Version::HTTP_10);
    let unread = !request.body().is_end_stream();
    let head = request.method() == Method::HEAD;
    let mut exchange = Exchange { client: Rc::clone(client), upload: None, refused: false };
    let mut step = match refused {
        Some(reason) => Step::Done(exchange.refuse(reason)),
        None => exchange.begin(request, Some(link)),
    };
    async move {
        let mut response = exchange.finish(&mut step).await;
        let touched = exchange.upload.as_ref().is_some_and(|u| u.touched());
        // What the client still sends will not be read.
        if exchange.refused || (unread && !touched) {
            answer::close(&mut response);
        }
        let response = if head { answer::without_body(response) } else { response };
        Ok(response.map(|content| AnswerBody::new(content, finish)))
    }
}

/// Serves a request of an HTTP/2 connection.
pub fn http2(
    client: &Rc<Client>,
    stream: Stream,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<AnswerBody>, Infallible>> + use<> {
    let finish = Finish::Http2(stream);
    let head = request.method() == Method::HEAD;
    let mut exchange = Exchange { client: Rc::clone(client), upload: None, refused: false };
    let mut step = exchange.begin(request, None);
    async move {
        let response = exchange.finish(&mut step).await;
        let response = if head { answer::without_body(response) } else { response };
        Ok(response.map(|content| AnswerBody::new(content, finish)))
    }
}

/// A request being answered.
struct Exchange {
    client: Rc<Client>,
    /// The client's body, once it was handed on.
    upload: Option<Rc<Upload>>,
    refused: bool,
}

/// How far a request came without waiting.
#[expect(
    clippy::large_enum_variant,
    reason = "it lies in the future of every exchange: boxing would allocate for each"
)]
enum Step {
    /// To its answer.
    Done(Response<Content>),
    /// Files are to be read.
    Own(Box<Own>),
    /// An origin is to be asked.
    Ask(Ask),
    /// Finished.
    Gone,
}

/// Files to be read for a request.
struct Own {
    files: FromFiles,
    method: Method,
    headers: HeaderMap,
    answer_edits: Vec<Edit>,
}

enum FromFiles {
    One { dir: PathBuf, path: String, status: StatusCode, kind: Option<HeaderValue> },
    Any(files::Lookup),
}

/// An origin to be asked.
struct Ask {
    job: Job,
    answer_edits: Vec<Edit>,
    caught: Option<Box<Caught>>,
}

/// A request, taken apart.
struct Head {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    found: Found,
    /// Whether the peer is a trusted proxy.
    trusted: bool,
    ip: IpAddr,
}

/// What a catch needs, kept while the request itself is away.
struct Caught {
    snapshot: Rc<Current>,
    plan: PlanIdx,
    head: Head,
    host: String,
    path: String,
}

impl Exchange {
    /// Decides, renders, and makes of the request what goes to an origin.
    fn begin(&mut self, request: Request<Incoming>, link: Option<&Rc<Link>>) -> Step {
        self.client.worker.counters.request();
        let snapshot = self.client.worker.snapshot();
        let (parts, incoming) = request.into_parts();
        match self.route(&snapshot, parts, incoming, link) {
            Ok(step) => step,
            Err(reason) => Step::Done(self.refuse(reason)),
        }
    }

    fn route(
        &mut self,
        snapshot: &Rc<Current>,
        parts: http::request::Parts,
        incoming: Incoming,
        link: Option<&Rc<Link>>,
    ) -> Result<Step, Reason> {
        let client = Rc::clone(&self.client);
        if parts.version == Version::HTTP_2 {
            // What the gate sees to on HTTP/1.
            let line =
                Limits::with_head(usize::try_from(snapshot.gateway.limits.header_bytes).unwrap_or(usize::MAX)).line;
            if parts.uri.path_and_query().is_some_and(|target| target.as_str().len() > line) {
                return Err(Reason::LineTooLong);
            }
        }
        let mut head = Head::of(parts, &client, snapshot)?;
        let host = host_of(&head)?;
        let served = match self.site(snapshot, &host, &head)? {
            Ok(served) => served,
            Err(response) => return Ok(Step::Done(response)),
        };
        let settings = &served.program.site().settings;
        let path = canonical::path_for(raw_path(&head.uri), settings).map_err(|_| Reason::Path)?;
        let judged = judge(served, &head.received(&client, &host, &path), &client.worker);
        let Judged { plan, prepared, edits, answer_edits } = judged;
        let (index, plan) = plan.ok_or(Reason::Repeated)?;
        if let Some(link) = link {
            link.patient_for(plan.settings.idle_ms);
        }
        let Prepared::Proxy { pool, target, host: new_host } = prepared else {
            drop(path);
            drop(host);
            let step = self.own(prepared, served, head.method, head.headers)?;
            return Ok(step.edited(answer_edits));
        };
        let caught = (!plan.catches.is_empty()).then(|| {
            Box::new(Caught {
                snapshot: Rc::clone(snapshot),
                plan: index,
                head: head.copy(),
                host: host.to_string(),
                path: path.to_string(),
            })
        });
        let target = match (target, &path) {
            (Some(target), _) => Some(target),
            (None, Cow::Borrowed(_)) => None,
            (None, Cow::Owned(path)) => Some(respelled(path, head.uri.query()).ok_or(Reason::Path)?),
        };
        drop(path);
        drop(host);
        outgoing(&client, &mut head, target, new_host)?;
        headers::apply(edits, &mut head.headers);
        let limit = plan.settings.body_limit.unwrap_or(u64::MAX);
        if incoming.size_hint().lower() > limit {
            return Err(Reason::BodyTooLarge);
        }
        let upload_idle = plan.settings.idle_ms.unwrap_or(UPLOAD_IDLE_MS);
        let ticks = &client.worker.ticks;
        let (body, upload) = RequestBody::new(incoming, limit, upload_idle, ticks, link.cloned());
        self.upload.clone_from(&upload);
        let job = job(pool, &plan.settings, head, body, upload);
        Ok(Step::Ask(Ask { job, answer_edits, caught }))
    }

    /// Waits for what there is to wait for.
    async fn finish(&mut self, step: &mut Step) -> Response<Content> {
        match step {
            Step::Done(_) | Step::Gone => {}
            Step::Own(own) => {
                let response = Box::pin(read(&self.client, own)).await;
                return edited(response, std::mem::take(&mut own.answer_edits));
            }
            Step::Ask(ask) => {
                let result = self.ask(&mut ask.job).await;
                let response = match ask.caught.take() {
                    Some(caught) => Box::pin(self.catch(result, caught)).await,
                    None => result.unwrap_or_else(|failure| self.failed(failure)),
                };
                return edited(response, std::mem::take(&mut ask.answer_edits));
            }
        }
        match std::mem::replace(step, Step::Gone) {
            Step::Done(response) => response,
            // Taken care of above.
            Step::Own(_) | Step::Ask(_) | Step::Gone => answer::deny(500),
        }
    }

    fn refuse(&mut self, reason: Reason) -> Response<Content> {
        self.client.worker.counters.refused(reason);
        self.refused = true;
        answer::refusal(reason)
    }

    /// The site of a host, unless the host itself has the answer.
    fn site<'s>(
        &self,
        snapshot: &'s Current,
        host: &str,
        head: &Head,
    ) -> Result<Result<&'s Arc<Served>, Response<Content>>, Reason> {
        let served = match find(snapshot, host) {
            Ok(served) => served,
            Err(response) => return Ok(Err(response)),
        };
        let settings = &served.program.site().settings;
        match &self.client.tls {
            Some(secured) => {
                let other = secured.sni.as_deref().filter(|sni| *sni != host);
                let differs = other.is_some_and(|sni| tls_of(snapshot, sni) != Some(settings.tls));
                if differs || settings.tls == Tls::Off {
                    return Err(Reason::Misdirected);
                }
            }
            None => {
                let secure = head.trusted && head.headers.get(X_FORWARDED_PROTO).is_some_and(|v| v == "https");
                if settings.tls != Tls::Off && !settings.http_allowed && !secure {
                    return Ok(Err(to_https(snapshot, host, &head.uri, settings)?));
                }
            }
        }
        Ok(Ok(served))
    }

    /// An answer without an origin.
    fn own(
        &mut self,
        prepared: Prepared<'_>,
        served: &Served,
        method: Method,
        headers: HeaderMap,
    ) -> Result<Step, Reason> {
        let files = match prepared {
            Prepared::Answer(response) => return Ok(Step::Done(response)),
            // A policy answered, so to speak: the edits made until then hold for it.
            Prepared::Refused(reason) => return Ok(Step::Done(self.refuse(reason))),
            Prepared::File { status, path, kind } => {
                FromFiles::One { dir: served.dir.clone(), path: path.to_owned(), status, kind }
            }
            Prepared::Files(lookup) => FromFiles::Any(*lookup),
            // Told apart by the callers.
            Prepared::Proxy { .. } => return Ok(Step::Done(answer::deny(502))),
        };
        Ok(Step::Own(Box::new(Own { files, method, headers, answer_edits: Vec::new() })))
    }

    /// Asks a pool.
    async fn ask(&self, job: &mut Job) -> Result<Response<Content>, Failure> {
        let (response, lease) = forward(&self.client.worker, job).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            lease.died("switched protocols without being asked to");
            return Err(Failure::Unreachable);
        }
        let (mut parts, incoming) = response.into_parts();
        if parts.headers.contains_key(TRANSFER_ENCODING) && parts.headers.contains_key(CONTENT_LENGTH) {
            // RFC 9112 section 6.1: response splitting. hyper would take the one and pass on the other.
            lease.died("framed an answer in two ways (Content-Length and Transfer-Encoding)");
            return Err(Failure::Unreachable);
        }
        headers::remove_answer_hops(&mut parts.headers);
        parts.version = Version::HTTP_11;
        let body = OriginBody::new(incoming, lease, job.idle_ms);
        let content = if body.is_empty() { Content::Empty } else { Content::Origin(body) };
        Ok(Response::from_parts(parts, content))
    }

    /// Answers in place of an origin that failed: once, whatever comes of it.
    async fn catch(&mut self, result: Result<Response<Content>, Failure>, caught: Box<Caught>) -> Response<Content> {
        let status = match &result {
            Ok(response) => response.status().as_u16(),
            Err(Failure::NoEndpoint) => 503,
            Err(Failure::Unreachable) => 502,
            Err(Failure::Timeout) => 504,
            Err(Failure::Client(_)) => 0,
        };
        match self.instead(status, caught) {
            // What the origin sent is dropped, and its connection with it.
            Some(Ok(Step::Ask(mut ask))) => {
                let result = self.ask(&mut ask.job).await;
                result.unwrap_or_else(|failure| self.failed(failure))
            }
            Some(Ok(Step::Own(mut own))) => read(&self.client, &mut own).await,
            Some(Ok(Step::Done(response))) => response,
            Some(Ok(Step::Gone)) => answer::deny(502),
            Some(Err(reason)) => self.refuse(reason),
            None => result.unwrap_or_else(|failure| self.failed(failure)),
        }
    }

    /// What a plan has for a status of its upstream.
    fn instead(&mut self, status: u16, caught: Box<Caught>) -> Option<Result<Step, Reason>> {
        let Caught { snapshot, plan, mut head, host, path } = *caught;
        let served = find(&snapshot, &host).ok()?;
        let plan = served.program.site().plans.get(plan.0 as usize)?;
        let catch = plan.catches.iter().find(|c| c.statuses.contains(&status))?;
        let prepared = {
            let received = head.received(&self.client, &host, &path);
            prepare(&catch.answer, served, &received, &self.client.worker)
        };
        let Prepared::Proxy { pool, target, host } = prepared else {
            return Some(self.own(prepared, served, head.method, head.headers));
        };
        // LANGUAGE rule 19: another pool needs the request once more, which only one without a body is.
        if self.upload.is_some() {
            let why = "the origin failed, and the request cannot be sent again";
            return Some(Ok(Step::Done(answer::plain(502, why))));
        }
        let target = target.or_else(|| respelled(&path, head.uri.query()));
        if let Err(reason) = outgoing(&self.client, &mut head, target, host) {
            return Some(Err(reason));
        }
        let job = job(pool, &plan.settings, head, RequestBody::Empty, None);
        Some(Ok(Step::Ask(Ask { job, answer_edits: Vec::new(), caught: None })))
    }

    fn failed(&mut self, failure: Failure) -> Response<Content> {
        match failure {
            Failure::NoEndpoint => answer::plain(503, "no origin is up"),
            Failure::Unreachable => answer::plain(502, "the origin could not be reached"),
            Failure::Timeout => answer::plain(504, "the origin did not answer in time"),
            Failure::Client(Broken::Refused(reason)) => self.refuse(reason),
            // Nobody reads this.
            Failure::Client(_) => {
                self.refused = true;
                answer::plain(400, "the request body broke off")
            }
        }
    }
}

impl Step {
    /// The same, its answer to be edited.
    fn edited(self, edits: Vec<Edit>) -> Self {
        match self {
            Self::Done(response) => Self::Done(edited(response, edits)),
            Self::Own(own) => Self::Own(Box::new(Own { answer_edits: edits, ..*own })),
            Self::Ask(ask) => Self::Ask(Ask { answer_edits: edits, ..ask }),
            Self::Gone => Self::Gone,
        }
    }
}

fn edited(mut response: Response<Content>, edits: Vec<Edit>) -> Response<Content> {
    headers::apply(edits, response.headers_mut());
    response
}

/// Answers from files.
async fn read(client: &Client, own: &mut Own) -> Response<Content> {
    let done = match &own.files {
        FromFiles::One { dir, path, status, kind } => files::respond(dir, path, *status, kind.clone()).await,
        FromFiles::Any(lookup) => files::serve(lookup.clone(), &own.method, &own.headers).await,
    };
    done.unwrap_or_else(|trouble| {
        let path = trouble.path.display().to_string();
        let reason = trouble.error.to_string();
        let notice = || Notice::FileTrouble { path: path.clone(), reason };
        client.worker.tell_once(&path, notice);
        answer::plain(500, "a file of this route cannot be read")
    })
}

/// A request for a pool, by the settings of its plan and of the pool.
fn job(pool: &Arc<PoolHandle>, settings: &Settings, head: Head, body: RequestBody, upload: Option<Rc<Upload>>) -> Job {
    let timeout = settings.timeout_ms.or(pool.pool().timeout_ms).unwrap_or(TIMEOUT_MS);
    let idle = settings.idle_ms.or(pool.pool().idle_ms).unwrap_or(IDLE_MS);
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = head.uri;
    *request.headers_mut() = head.headers;
    Job::new(request, Arc::clone(pool), timeout, idle, upload)
}

/// Makes of a request what goes to the origin.
fn outgoing(
    client: &Client,
    head: &mut Head,
    target: Option<PathAndQuery>,
    host: Option<HeaderValue>,
) -> Result<(), Reason> {
    let trailers = headers::remove_hops(&mut head.headers, &head.found);
    if !head.headers.contains_key(HOST) {
        // The origin is asked by HTTP/1.1, which has one; the client knew an address only.
        let reached = HeaderValue::from_str(&client.local.to_string());
        head.headers.insert(HOST, reached.map_err(|_| Reason::HostMissing)?);
    }
    headers::write_forwarded(&mut head.headers, client, head.trusted);
    if trailers {
        // RFC 9110 section 10.1.4: who sends TE lists it.
        head.headers.insert(TE, HeaderValue::from_static("trailers"));
        head.headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if let Some(host) = host {
        head.headers.insert(HOST, host);
    }
    if let Some(target) = target {
        head.uri = Uri::from(target);
    } else if head.uri.authority().is_some() {
        // HTTP/2 and the absolute form; the latter may lack a path: `http://host?query`.
        head.uri = match head.uri.path_and_query() {
            Some(target) if target.as_str().starts_with('/') => Uri::from(target.clone()),
            Some(_) | None => Uri::from(respelled("/", head.uri.query()).ok_or(Reason::Path)?),
        };
    }
    head.version = Version::HTTP_11;
    Ok(())
}

/// Who answers for a host.
#[expect(clippy::result_large_err, reason = "rare, and handed on as it is")]
fn find<'s>(snapshot: &'s Current, host: &str) -> Result<&'s Arc<Served>, Response<Content>> {
    match (snapshot.hosts.get(host), &snapshot.default) {
        (Some(Host::Site(served)), _) | (None, Some(served)) => Ok(served),
        // LANGUAGE rule 26: its TLS ends elsewhere.
        (Some(Host::Passthrough(_)), _) => {
            let why = format!("host \"{host}\" is not served on this connection");
            Err(answer::plain(421, &why))
        }
        (Some(Host::Unavailable), _) => {
            let why = format!("the site of host \"{host}\" could not be loaded");
            Err(answer::plain(503, &why))
        }
        (None, None) => {
            let why = format!("no site here answers for host \"{host}\"");
            Err(answer::plain(404, &why))
        }
    }
}

impl Head {
    /// Takes a request apart, and removes what clients may not say.
    fn of(parts: http::request::Parts, client: &Client, snapshot: &Current) -> Result<Self, Reason> {
        let found = headers::look(&parts.headers);
        let proxies = &snapshot.gateway.trusted_proxies;
        let trusted = in_nets(proxies, client.ip);
        let ip = if trusted { real_ip(&parts.headers, client.ip, proxies) } else { client.ip };
        let http::request::Parts { method, uri, version, headers, .. } = parts;
        let mut head = Self { method, uri, version, headers, found, trusted, ip };
        headers::remove_forged(&mut head.headers, &head.found, trusted);
        match head.version {
            Version::HTTP_2 => http2_head(&mut head)?,
            Version::HTTP_10 => old_head(&mut head)?,
            // The gate has seen to it.
            _ => {}
        }
        Ok(head)
    }

    fn received<'r>(&'r self, client: &'r Client, host: &'r str, path: &'r str) -> Received<'r> {
        Received {
            client,
            ip: self.ip,
            method: &self.method,
            host,
            path,
            query: self.uri.query(),
            version: self.version,
            headers: &self.headers,
        }
    }

    fn copy(&self) -> Self {
        Self {
            method: self.method.clone(),
            uri: self.uri.clone(),
            version: self.version,
            headers: self.headers.clone(),
            found: self.found.cleaned(),
            trusted: self.trusted,
            ip: self.ip,
        }
    }
}

/// What the gate is for HTTP/1 (RFC 9113 sections 8.2.2, 8.2.3, 8.3.1). h2 has refused most of it.
fn http2_head(head: &mut Head) -> Result<(), Reason> {
    if head.found.http1_only() {
        return Err(Reason::ConnectionHeader);
    }
    if head.method == Method::CONNECT {
        return Err(Reason::Connect);
    }
    if head.headers.get_all(TE).iter().any(|v| v != "trailers") {
        return Err(Reason::ConnectionHeader);
    }
    if head.headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(Reason::LengthRepeated);
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Reason::HostRepeated);
    }
    match (head.uri.authority(), host) {
        (Some(authority), Some(host)) => {
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) {
                return Err(Reason::Authority);
            }
        }
        (Some(authority), None) => {
            let host = HeaderValue::from_str(authority.as_str());
            head.headers.insert(HOST, host.map_err(|_| Reason::Authority)?);
        }
        (None, Some(_)) => {}
        (None, None) => return Err(Reason::Authority),
    }
    headers::join_cookies(&mut head.headers);
    Ok(())
}

/// The canonical host of a request. HTTP/1.0 may have none.
fn host_of(head: &Head) -> Result<Cow<'_, str>, Reason> {
    match head.headers.get(HOST) {
        Some(host) => canonical::host(host.as_bytes()).map_err(|_| Reason::HostInvalid),
        None => Ok(Cow::Borrowed("")),
    }
}

/// HTTP/1.0 needs no Host: the target may name one in the absolute form.
fn old_head(head: &mut Head) -> Result<(), Reason> {
    if head.headers.contains_key(HOST) {
        return Ok(());
    }
    if let Some(authority) = head.uri.authority() {
        let host = HeaderValue::from_str(authority.as_str());
        head.headers.insert(HOST, host.map_err(|_| Reason::HostInvalid)?);
    }
    Ok(())
}

fn raw_path(uri: &Uri) -> &[u8] {
    uri.path().as_bytes()
}

fn respelled(path: &str, query: Option<&str>) -> Option<PathAndQuery> {
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    PathAndQuery::try_from(target).ok()
}

fn in_nets(nets: &[IpNet], ip: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&ip))
}

/// Who asked a chain of trusted proxies: the last address that is none of them.
fn real_ip(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let mut real = peer;
    let values: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().collect();
    for value in values.iter().rev() {
        let Ok(text) = value.to_str() else { return real };
        for hop in text.rsplit(',') {
            // What a trusted proxy cannot have written ends what is known.
            let Some(ip) = address(hop.trim()) else { return real };
            real = ip;
            if !in_nets(trusted, ip) {
                return real;
            }
        }
    }
    real
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let address: std::net::SocketAddr = text.parse().ok()?;
    Some(address.ip().to_canonical())
}

fn tls_of(snapshot: &Current, host: &str) -> Option<Tls> {
    match snapshot.hosts.get(host)? {
        Host::Site(served) => Some(served.program.site().settings.tls),
        Host::Passthrough(_) | Host::Unavailable => None,
    }
}

/// A site with TLS was asked on a clear port.
fn to_https(
    snapshot: &Current,
    host: &str,
    uri: &Uri,
    settings: &dsl::tree::ir::SiteSettings,
) -> Result<Response<Content>, Reason> {
    let path = canonical::path_for(raw_path(uri), settings).map_err(|_| Reason::Path)?;
    if host.is_empty() {
        return Err(Reason::HostMissing);
    }
    let mut location = format!("https://{host}");
    match snapshot.https_port {
        Some(443) | None => {}
        Some(port) => location.push_str(&format!(":{port}")),
    }
    location.push_str(&path);
    if let Some(query) = uri.query() {
        location.push('?');
        location.push_str(query);
    }
    Ok(answer::redirect(308, &location))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, F>(_: impl Fn(&A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_request_takes_little_memory() {
        let http1 = size(|c: &Rc<Client>, l: Rc<Link>, r| http1(c, &l, r));
        assert!(http1 <= 2048, "{http1}");
        let http2 = size(|c: &Rc<Client>, s: Stream, r| http2(c, s, r));
        assert!(http2 <= 2048, "{http2}");
    }

    fn real(listed: &[&str]) -> IpAddr {
        let mut headers = HeaderMap::new();
        for value in listed {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(value).expect("a value"));
        }
        let trusted = ["10.0.0.0/8".parse().expect("a net")];
        real_ip(&headers, IpAddr::from([10, 0, 0, 1]), &trusted)
    }

    #[test]
    fn the_rightmost_untrusted_address_is_the_client() {
        for (listed, ip) in [
            (&["1.2.3.4"][..], "1.2.3.4"),
            (&["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
            (&["6.6.6.6, 1.2.3.4, 10.9.9.9"], "1.2.3.4"),
            (&["6.6.6.6", "1.2.3.4", "10.9.9.9"], "1.2.3.4"),
            (&["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
            (&["1.2.3.4, nonsense"], "10.0.0.1"),
            (&["1.2.3.4:567"], "1.2.3.4"),
            (&["[2001:db8::1]:567"], "2001:db8::1"),
            (&["::ffff:1.2.3.4"], "1.2.3.4"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(real(listed).to_string(), ip, "{listed:?}");
        }
    }
}
