//! The head of a request: taken apart, and freed of what clients may not say.

use super::sticky::{self, Brought};
use crate::http::client::Client;
use crate::http::gate::Reason;
use crate::http::headers::{self, Found, X_FORWARDED_FOR, X_FORWARDED_PROTO};
use crate::http::received::Received;
use crate::runtime::worker::Current;
use crate::upstream::PoolHandle;
use dsl::tree::canonical;
use dsl::tree::ir::IpNet;
use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TE};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, Method, Version};
use std::borrow::Cow;
use std::net::IpAddr;

/// A request, taken apart.
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) found: Found,
    /// Whether the peer is a trusted proxy.
    pub(super) trusted: bool,
    pub(super) ip: IpAddr,
}

impl Head {
    /// Takes a request apart, and removes what clients may not say.
    pub(super) fn of(parts: http::request::Parts, client: &Client, snapshot: &Current) -> Result<Self, Reason> {
        let found = headers::look(&parts.headers);
        let proxies = &snapshot.gateway.trusted_proxies;
        let trusted = in_nets(proxies, client.ip);
        let ip = if trusted { real_ip(&parts.headers, client.ip, proxies) } else { client.ip };
        let http::request::Parts { method, uri, version, headers, .. } = parts;
        let mut head = Self { method, uri, version, headers, found, trusted, ip };
        headers::remove_forged(&mut head.headers, &mut head.found, trusted);
        match head.version {
            Version::HTTP_2 => http2_head(&mut head)?,
            Version::HTTP_10 => old_head(&mut head)?,
            // The gate has seen to it.
            _ => {}
        }
        Ok(head)
    }

    pub(super) fn received<'r>(&'r self, client: &'r Client, host: &'r str, path: &'r str) -> Received<'r> {
        Received {
            client,
            ip: self.ip,
            method: &self.method,
            host,
            path,
            raw_paths: false,
            query: self.uri.query(),
            version: self.version,
            headers: &self.headers,
            calls: None,
            body: None,
        }
    }

    /// Whether it is longer than so many bytes, written as HTTP/1.1: the request line, the header lines and the
    /// line that ends them.
    pub(super) fn exceeds(&self, limit: u64) -> bool {
        let target = self.uri.path_and_query().map_or(1, |target| target.as_str().len());
        let line = self.method.as_str().len() + target + "  HTTP/1.1\r\n".len();
        let bytes = line + headers::bytes(&self.headers, &self.found) + "\r\n".len();
        bytes as u64 > limit
    }

    /// What a visitor of a sticky pool brought, which is no longer in the request then.
    pub(super) fn brought(&mut self, pool: &PoolHandle, client: &Client) -> Option<Brought> {
        let sticky = pool.sticky()?;
        let secure = client.tls.is_some()
            || (self.trusted && self.headers.get(X_FORWARDED_PROTO).is_some_and(|proto| proto == "https"));
        Some(Brought { whom: sticky::take(&mut self.headers, sticky), secure })
    }

    pub(super) fn copy(&self) -> Self {
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
pub(super) fn http2_head(head: &mut Head) -> Result<(), Reason> {
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
pub(super) fn host_of(head: &Head) -> Result<Cow<'_, str>, Reason> {
    match head.headers.get(HOST) {
        Some(host) => canonical::host(host.as_bytes()).map_err(|_| Reason::HostInvalid),
        None => Ok(Cow::Borrowed("")),
    }
}

/// HTTP/1.0 needs no Host: the target may name one in the absolute form.
pub(super) fn old_head(head: &mut Head) -> Result<(), Reason> {
    if head.headers.contains_key(HOST) {
        return Ok(());
    }
    if let Some(authority) = head.uri.authority() {
        let host = HeaderValue::from_str(authority.as_str());
        head.headers.insert(HOST, host.map_err(|_| Reason::HostInvalid)?);
    }
    Ok(())
}

pub(super) fn raw_path(uri: &Uri) -> &[u8] {
    uri.path().as_bytes()
}

pub(super) fn respelled(path: &str, query: Option<&str>) -> Option<PathAndQuery> {
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    PathAndQuery::try_from(target).ok()
}

pub(super) fn in_nets(nets: &[IpNet], ip: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&ip))
}

/// Who asked a chain of trusted proxies: the last address that is none of them.
pub(super) fn real_ip(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
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

pub(super) fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let address: std::net::SocketAddr = text.parse().ok()?;
    Some(address.ip().to_canonical())
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
