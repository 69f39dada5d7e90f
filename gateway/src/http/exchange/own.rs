//! Answers of the gateway's own, and from files.

use super::{Exchange, Step};
use crate::answer::errors::{Form, presented};
use crate::answer::{self, files};
use crate::http::body::Content;
use crate::http::client::Client;
use crate::http::headers::{self, Edit};
use crate::http::judge::Prepared;
use crate::runtime::notice::Notice;
use crate::snapshot::Served;
use http::header::HeaderValue;
use http::{HeaderMap, Method, Response, StatusCode};
use std::path::PathBuf;

/// Files to be read for a request.
pub(super) struct Own {
    pub(super) files: FromFiles,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) answer_edits: Vec<Edit>,
}

pub(super) enum FromFiles {
    One { dir: PathBuf, path: String, status: StatusCode, kind: Option<HeaderValue> },
    Any(files::Lookup),
}

impl Exchange {
    /// An answer without an origin, to be edited.
    pub(super) fn own(
        &mut self,
        prepared: Prepared<'_>,
        served: &Served,
        method: Method,
        request_headers: HeaderMap,
        answer_edits: Vec<Edit>,
    ) -> Step {
        let done = |mut response: Response<Content>, edits: Vec<Edit>| {
            headers::apply(edits, response.headers_mut());
            Step::Done(response)
        };
        let files = match prepared {
            Prepared::Answer(response) => return done(presented(*response, self.form), answer_edits),
            // A policy answered, so to speak: the edits made until then hold for it.
            Prepared::Refused(reason) => return done(self.refuse(reason), answer_edits),
            Prepared::File { status, path, kind } => {
                FromFiles::One { dir: served.dir.clone(), path: path.to_owned(), status, kind }
            }
            Prepared::Files(lookup) => FromFiles::Any(*lookup),
            // Told apart by the callers.
            Prepared::Proxy { .. } | Prepared::Wait(_) | Prepared::Take(_) => {
                return done(answer::deny(502), answer_edits);
            }
        };
        Step::Own(Box::new(Own { files, method, headers: request_headers, answer_edits }))
    }
}

/// Answers from files.
pub(super) async fn read(client: &Client, own: &mut Own, form: Form) -> Response<Content> {
    let done = match &own.files {
        FromFiles::One { dir, path, status, kind } => files::respond(dir, path, *status, kind.clone()).await,
        FromFiles::Any(lookup) => files::serve(lookup.clone(), &own.method, &own.headers).await,
    };
    let response = done.unwrap_or_else(|trouble| {
        let path = trouble.path.display().to_string();
        let reason = trouble.error.to_string();
        let notice = || Notice::FileTrouble { path: path.clone(), reason };
        client.worker.tell_once(&path, notice);
        answer::plain(500, "a file of this route cannot be read")
    });
    presented(response, form)
}
