//! A service's answer that is passed on to the client (`respond verdict`).

use crate::answer::errors::Foreign;
use crate::http::body::Content;
use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{HeaderMap, Response, StatusCode};

/// What a service said beside its no.
#[derive(Clone, Debug)]
pub struct Relayed {
    /// 3xx or 4xx.
    pub status: StatusCode,
    /// Without those that concern the connection to the service, and without a length.
    pub headers: HeaderMap,
    /// All of its body; empty where it was too long, or did not come in time.
    pub body: Bytes,
}

impl Relayed {
    /// Whether it is for one client alone: a cookie of somebody's is nobody else's.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        self.headers.contains_key(SET_COOKIE)
    }

    /// Bytes that it takes, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        self.body.len() + headers.sum::<usize>()
    }

    /// The answer to a client.
    #[must_use]
    pub fn answer(&self) -> Response<Content> {
        let content = if self.body.is_empty() { Content::Empty } else { Content::Text(self.body.clone()) };
        let mut response = Response::new(content);
        *response.status_mut() = self.status;
        response.headers_mut().clone_from(&self.headers);
        response.extensions_mut().insert(Foreign);
        response
    }
}
