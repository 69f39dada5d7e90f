//! One request, whatever the protocol: canonical form, decision, answer.

use super::body::{AnswerBody, Broken, Content, Finish, OriginBody, RequestBody, Upload};
use super::client::Client;
use super::forward::{Failure, forward};
use super::gate::{Link, Reason};
use super::h2::Stream;
use super::headers::{self, Found, X_FORWARDED_FOR, X_FORWARDED_PROTO};
use super::judge::{Judged, Prepared, judge, prepare};
use super::received::Received;
use crate::answer::{self, files};
use crate::runtime::notice::Notice;
use crate::runtime::worker::Current;
use crate::snapshot::{Host, Served};
use crate::upstream::PoolHandle;
use dsl::tree::canonical;
use dsl::tree::ir::{Catch, IpNet, Plan, Settings, Tls};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TE};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use std::borrow::Cow;
use std::convert::Infallible;
use std::net::IpAddr;
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
/// # Errors
/// None: every request has an answer.
pub async fn http1(
    client: Rc<Client>,
    link: Rc<Link>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let refused = link.begin();
    // Held from here on: the connection is busy until the answer is through or given up.
    let finish = Finish::Http1(Rc::clone(&link));
    if let Some(reason) = refused {
        client.worker.counters.refused(reason);
        let mut response = answer::refusal(reason);
        answer::close(&mut response);
        return Ok(response.map(|content| AnswerBody::new(content, finish)));
    }
    let unread = !request.body().is_end_stream();
    let head = request.method() == Method::HEAD;
    link.ends_by_closing(request.version() == Version::HTTP_10);
    let mut exchange = Exchange { client: &client, link: Some(&link), upload: None, refused: false };
    let mut response = exchange.run(request).await;
    let touched = exchange.upload.as_ref().is_some_and(|u| u.touched());
    // What the client still sends will not be read.
    if exchange.refused || (unread && !touched) {
        answer::close(&mut response);
    }
    let response = if head { answer::without_body(response) } else { response };
    Ok(response.map(|content| AnswerBody::new(content, finish)))
}

/// Serves a request of an HTTP/2 connection.
///
/// # Errors
/// None: every request has an answer.
pub async fn http2(
    client: Rc<Client>,
    stream: Stream,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let finish = Finish::Http2(stream);
    let head = request.method() == Method::HEAD;
    let mut exchange = Exchange { client: &client, link: None, upload: None, refused: false };
    let mut response = exchange.run(request).await;
    response.headers_mut().remove(CONNECTION);
    let response = if head { answer::without_body(response) } else { response };
    Ok(response.map(|content| AnswerBody::new(content, finish)))
}

/// A request being answered.
struct Exchange<'c> {
    client: &'c Rc<Client>,
    link: Option<&'c Rc<Link>>,
    /// The client's body, once it was handed on.
    upload: Option<Rc<Upload>>,
    refused: bool,
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
struct Kept {
    head: Head,
    host: String,
    path: String,
}

impl Exchange<'_> {
    async fn run(&mut self, request: Request<Incoming>) -> Response<Content> {
        self.client.worker.counters.request();
        let snapshot = self.client.worker.snapshot();
        let (parts, incoming) = request.into_parts();
        let found = headers::look(&parts.headers);
        let trusted = is_trusted(&snapshot, self.client.ip);
        let ip = if trusted {
            real_ip(&parts.headers, self.client.ip, &snapshot.gateway.trusted_proxies)
        } else {
            self.client.ip
        };
        let mut head = Head {
            method: parts.method,
            uri: parts.uri,
            version: parts.version,
            headers: parts.headers,
            found,
            trusted,
            ip,
        };
        headers::remove_forged(&mut head.headers, &head.found, trusted);
        let completed = match head.version {
            Version::HTTP_2 => http2_head(&mut head),
            Version::HTTP_10 => old_head(&mut head),
            // The gate has seen to it.
            _ => Ok(()),
        };
        if let Err(reason) = completed {
            return self.refuse(reason);
        }
        let host = match host_of(&head) {
            Ok(host) => host,
            Err(reason) => return self.refuse(reason),
        };
        let served = match self.site(&snapshot, &host, &head) {
            Ok(served) => served,
            Err(response) => return *response,
        };
        let path = match canonical::path_for(raw_path(&head.uri), &served.program.site().settings) {
            Ok(path) => path,
            Err(_) => return self.refuse(Reason::Path),
        };
        let received = head.received(self.client, &host, &path);
        let judged = judge(served, &received, &self.client.worker);
        let Judged { plan, prepared, edits, answer_edits } = judged;
        let Some(plan) = plan else { return self.refuse(Reason::Repeated) };
        let mut response = match prepared {
            Prepared::Proxy { pool, target, host: new_host } => {
                let kept = (!plan.catches.is_empty())
                    .then(|| Box::new(Kept { head: head.copy(), host: host.to_string(), path: path.to_string() }));
                let unchanged = matches!(path, Cow::Borrowed(_));
                let target = match (target, unchanged) {
                    (Some(target), _) => Some(target),
                    (None, true) => None,
                    (None, false) => match respelled(&path, head.uri.query()) {
                        Some(target) => Some(target),
                        None => return self.refuse(Reason::Path),
                    },
                };
                drop(path);
                drop(host);
                if let Err(reason) = self.outgoing(&mut head, target, new_host) {
                    return self.refuse(reason);
                }
                headers::apply(edits, &mut head.headers);
                let order = Order { pool, plan, served };
                self.proxy(order, head, incoming, kept).await
            }
            other => self.own(other, served, &head).await,
        };
        headers::apply(answer_edits, response.headers_mut());
        response
    }

    fn refuse(&mut self, reason: Reason) -> Response<Content> {
        self.client.worker.counters.refused(reason);
        self.refused = true;
        answer::refusal(reason)
    }

    /// The site of a host, unless the host itself has the answer.
    fn site<'s>(
        &mut self,
        snapshot: &'s Current,
        host: &str,
        head: &Head,
    ) -> Result<&'s Arc<Served>, Box<Response<Content>>> {
        let served = match snapshot.hosts.get(host) {
            Some(Host::Site(served)) => served,
            Some(Host::Unavailable) => {
                let why = format!("the site of host \"{host}\" could not be loaded");
                return Err(Box::new(answer::plain(503, &why)));
            }
            None => match &snapshot.default {
                Some(served) => served,
                None => {
                    let why = format!("no site here answers for host \"{host}\"");
                    return Err(Box::new(answer::plain(404, &why)));
                }
            },
        };
        let settings = &served.program.site().settings;
        match &self.client.tls {
            Some(secured) => {
                let other = secured.sni.as_deref().filter(|sni| *sni != host);
                let differs = match other {
                    Some(sni) => tls_of(snapshot, sni) != Some(settings.tls),
                    None => false,
                };
                if differs || settings.tls == Tls::Off {
                    return Err(Box::new(self.refuse(Reason::Misdirected)));
                }
            }
            None => {
                let secure = head.trusted && head.headers.get(X_FORWARDED_PROTO).is_some_and(|v| v == "https");
                if settings.tls != Tls::Off && !settings.http_allowed && !secure {
                    return Err(Box::new(to_https(snapshot, host, &head.uri, settings)));
                }
            }
        }
        Ok(served)
    }

    /// Makes of a request what goes to the origin.
    fn outgoing(&self, head: &mut Head, target: Option<PathAndQuery>, host: Option<HeaderValue>) -> Result<(), Reason> {
        let trailers = headers::remove_hops(&mut head.headers, &head.found);
        if !head.headers.contains_key(HOST) {
            // The origin is asked by HTTP/1.1, which has one; the client knew an address only.
            let reached = HeaderValue::from_str(&self.client.local.to_string());
            head.headers.insert(HOST, reached.map_err(|_| Reason::HostMissing)?);
        }
        headers::write_forwarded(&mut head.headers, self.client, head.trusted);
        if trailers {
            // RFC 9110 section 10.1.4: who sends TE lists it.
            head.headers.insert(TE, HeaderValue::from_static("trailers"));
            head.headers.insert(CONNECTION, HeaderValue::from_static("te"));
        }
        if let Some(host) = host {
            head.headers.insert(HOST, host);
        }
        let uri = std::mem::take(&mut head.uri);
        head.uri = match target {
            Some(target) => Uri::from(target),
            None if uri.authority().is_none() => uri,
            // HTTP/2 and the absolute form; the latter may lack a path: `http://host?query`.
            None => match uri.path_and_query() {
                Some(target) if target.as_str().starts_with('/') => Uri::from(target.clone()),
                Some(_) | None => Uri::from(respelled("/", uri.query()).ok_or(Reason::Path)?),
            },
        };
        head.version = Version::HTTP_11;
        Ok(())
    }

    /// Answers without an origin.
    async fn own(&mut self, prepared: Prepared<'_>, served: &Served, head: &Head) -> Response<Content> {
        let done = match prepared {
            Prepared::Answer(response) => return response,
            Prepared::Refused(reason) => return self.refuse(reason),
            Prepared::File { status, path, kind } => files::respond(&served.dir, path, status, kind).await,
            Prepared::Files(lookup) => files::serve(*lookup, &head.method, &head.headers).await,
            // Only ever reached from a catch whose pool cannot be asked again.
            Prepared::Proxy { .. } => return answer::plain(502, "the origin could not be reached"),
        };
        done.unwrap_or_else(|trouble| {
            let path = trouble.path.display().to_string();
            let reason = trouble.error.to_string();
            self.client.worker.tell_once(&path, || Notice::FileTrouble { path: path.clone(), reason });
            answer::plain(500, "a file of this route cannot be read")
        })
    }

    async fn proxy(
        &mut self,
        order: Order<'_>,
        head: Head,
        incoming: Incoming,
        kept: Option<Box<Kept>>,
    ) -> Response<Content> {
        let settings = &order.plan.settings;
        let limit = settings.body_limit.unwrap_or(u64::MAX);
        if incoming.size_hint().lower() > limit {
            return self.refuse(Reason::BodyTooLarge);
        }
        let ticks = &self.client.worker.ticks;
        let upload_idle = settings.idle_ms.unwrap_or(UPLOAD_IDLE_MS);
        let (body, upload) = RequestBody::new(incoming, limit, upload_idle, ticks, self.link.cloned());
        self.upload = upload;
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = head.uri;
        *request.headers_mut() = head.headers;
        let result = self.ask(order.pool, settings, request).await;
        let Some(kept) = kept else { return result.unwrap_or_else(|failure| self.failed(failure)) };
        let status = match &result {
            Ok(response) => response.status().as_u16(),
            Err(Failure::Unreachable) => 502,
            Err(Failure::Timeout) => 504,
            Err(Failure::Client(_)) => 0,
        };
        match order.plan.catches.iter().find(|c| c.statuses.contains(&status)) {
            // What the origin sent is dropped, and its connection with it.
            Some(catch) => self.caught(catch, &order, kept).await,
            None => result.unwrap_or_else(|failure| self.failed(failure)),
        }
    }

    /// Answers in place of an origin that failed: once, whatever comes of it.
    async fn caught(&mut self, catch: &Catch, order: &Order<'_>, kept: Box<Kept>) -> Response<Content> {
        let Kept { mut head, host, path } = *kept;
        let prepared = {
            let received = head.received(self.client, &host, &path);
            prepare(&catch.answer, order.served, &received, &self.client.worker)
        };
        let (pool, target, host) = match prepared {
            Prepared::Proxy { pool, target, host } => (pool, target, host),
            other => return self.own(other, order.served, &head).await,
        };
        // LANGUAGE rule 19: another pool needs the request once more, which only one without a body is.
        if self.upload.is_some() {
            return answer::plain(502, "the origin failed, and the request cannot be sent again");
        }
        let target = target.or_else(|| respelled(&path, head.uri.query()));
        if let Err(reason) = self.outgoing(&mut head, target, host) {
            return self.refuse(reason);
        }
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = head.method;
        *request.uri_mut() = head.uri;
        *request.headers_mut() = head.headers;
        match Box::pin(self.ask(pool, &order.plan.settings, request)).await {
            Ok(response) => response,
            Err(failure) => self.failed(failure),
        }
    }

    /// Asks a pool.
    async fn ask(
        &self,
        pool: &Arc<PoolHandle>,
        settings: &Settings,
        request: Request<RequestBody>,
    ) -> Result<Response<Content>, Failure> {
        let timeout = settings.timeout_ms.or(pool.pool().timeout_ms).unwrap_or(TIMEOUT_MS);
        let idle = settings.idle_ms.or(pool.pool().idle_ms).unwrap_or(IDLE_MS);
        let worker = &self.client.worker;
        let (response, lease) = forward(worker, pool, timeout, request, self.upload.as_ref()).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            lease.died("switched protocols without being asked to");
            return Err(Failure::Unreachable);
        }
        let (mut parts, incoming) = response.into_parts();
        headers::remove_answer_hops(&mut parts.headers);
        parts.version = Version::HTTP_11;
        let body = OriginBody::new(incoming, lease, idle);
        let content = if body.is_empty() { Content::Empty } else { Content::Origin(body) };
        Ok(Response::from_parts(parts, content))
    }

    fn failed(&mut self, failure: Failure) -> Response<Content> {
        match failure {
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

/// A request that is to be proxied.
struct Order<'s> {
    pool: &'s Arc<PoolHandle>,
    plan: &'s Plan,
    served: &'s Served,
}

impl Head {
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

fn is_trusted(snapshot: &Current, ip: IpAddr) -> bool {
    in_nets(&snapshot.gateway.trusted_proxies, ip)
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
        Host::Unavailable => None,
    }
}

/// A site with TLS was asked on a clear port.
fn to_https(snapshot: &Current, host: &str, uri: &Uri, settings: &dsl::tree::ir::SiteSettings) -> Response<Content> {
    let Ok(path) = canonical::path_for(raw_path(uri), settings) else {
        return answer::refusal(Reason::Path);
    };
    if host.is_empty() {
        return answer::refusal(Reason::HostMissing);
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
    answer::redirect(308, &location)
}

#[cfg(test)]
mod tests {
    use super::*;

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
