//! Files from a directory.
//!
//! Nothing here blocks the worker: names are resolved, files opened and read on the runtime's
//! blocking threads, in large pieces, each when the client has taken the one before it.

use super::ranges::{self, Facts, Wanted};
use super::{kinds, plain};
use crate::http::body::{Broken, Content};
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED,
};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::Frame;
use percent_encoding::percent_decode_str;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::{JoinHandle, spawn_blocking};

/// What is read at once; a file that is no larger is read when it is opened.
const PIECE: u64 = 128 * 1024;

/// What is to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The directory, absolute or relative to the process.
    pub root: PathBuf,
    /// The path that is looked up in it, percent-encoded, starting with a slash.
    pub path: String,
    /// Served for a directory.
    pub index: String,
    /// Served when nothing is found.
    pub fallback: Option<String>,
    /// Path and query of the request, for the redirect that adds a slash.
    pub shown: String,
}

/// What was found.
enum Found {
    File(Opened),
    /// A directory, named without its slash.
    Directory,
    Nothing,
}

struct Opened {
    file: File,
    facts: Facts,
    name: String,
}

/// A failure that the operator should hear of.
#[derive(Debug)]
pub struct Trouble {
    /// The file or directory.
    pub path: PathBuf,
    /// The system's words.
    pub error: io::Error,
}

/// Serves a file of a directory.
///
/// # Errors
/// When the directory or a file in it cannot be read, for another reason than being absent.
pub async fn serve(lookup: Lookup, method: &Method, headers: &HeaderMap) -> Result<Response<Content>, Trouble> {
    if method != Method::GET && method != Method::HEAD {
        let mut response = plain(405, "files are only read here");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    let shown = lookup.shown.clone();
    let root = lookup.root.clone();
    let found = blocking(&root, move || find(&lookup)).await?;
    match found {
        Found::File(opened) => answer(opened, method, headers).await,
        Found::Directory => {
            let (path, query) = shown.split_once('?').unwrap_or((&shown, ""));
            let mark = if query.is_empty() { "" } else { "?" };
            Ok(super::redirect(308, &format!("{path}/{mark}{query}")))
        }
        Found::Nothing => Ok(plain(404, "there is no such file")),
    }
}

/// Answers with the content of one file that the route names.
///
/// # Errors
/// When it cannot be read: the route promises it.
pub async fn respond(
    dir: &Path,
    path: &str,
    status: StatusCode,
    kind: Option<HeaderValue>,
) -> Result<Response<Content>, Trouble> {
    let (dir, name) = (dir.to_owned(), path.to_owned());
    let full = dir.join(path);
    let opened = blocking(&full, move || {
        let root = dir.canonicalize()?;
        match open(&root, &root.join(&name))? {
            Found::File(opened) => Ok(opened),
            Found::Directory => Err(io::ErrorKind::IsADirectory.into()),
            Found::Nothing => Err(io::ErrorKind::NotFound.into()),
        }
    })
    .await?;
    let kind = kind.unwrap_or_else(|| kinds::of(&opened.name));
    let len = opened.facts.len;
    let body = FileBody::open(opened.file, 0, len).await.map_err(|e| named(&full, e))?;
    let mut response = Response::new(Content::File(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
    Ok(response)
}

async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Trouble> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(|e| named(path, e)),
        Err(e) => Err(named(path, io::Error::other(e))),
    }
}

fn named(path: &Path, error: io::Error) -> Trouble {
    Trouble { path: path.to_owned(), error }
}

async fn answer(opened: Opened, method: &Method, headers: &HeaderMap) -> Result<Response<Content>, Trouble> {
    let Opened { file, facts, name } = opened;
    let get = method == Method::GET;
    let wanted = ranges::wanted(headers, &facts, get);
    let (status, from, len) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, facts.len),
        Wanted::Part { from, len } => (StatusCode::PARTIAL_CONTENT, from, len),
        Wanted::NotModified => (StatusCode::NOT_MODIFIED, 0, 0),
        Wanted::Failed => return Ok(plain(412, "the file is not as the request requires")),
        Wanted::Unsatisfiable => {
            let mut response = plain(416, "the range lies beyond the file");
            response.headers_mut().insert(CONTENT_RANGE, ascii(&format!("bytes */{}", facts.len)));
            return Ok(response);
        }
    };
    let content = if get && len > 0 {
        let body = FileBody::open(file, from, len).await;
        Content::File(body.map_err(|e| named(Path::new(&name), e))?)
    } else {
        Content::Empty
    };
    let mut response = Response::new(content);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ETAG, ascii(&facts.etag));
    headers.insert(LAST_MODIFIED, ascii(&httpdate::fmt_http_date(facts.modified)));
    if status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_TYPE, kinds::of(&name));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {from}-{}/{}", from + len - 1, facts.len);
        headers.insert(CONTENT_RANGE, ascii(&range));
    }
    Ok(response)
}

fn ascii(text: &str) -> HeaderValue {
    // Numbers, dates and quotes.
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

// === finding, on a blocking thread

fn find(lookup: &Lookup) -> io::Result<Found> {
    // Symbolic links may lead anywhere inside the directory, and nowhere else.
    let root = lookup.root.canonicalize()?;
    let found = match relative(&lookup.path) {
        Some((relative, slash)) => locate(&root, &relative, slash, &lookup.index)?,
        None => Found::Nothing,
    };
    match (&found, &lookup.fallback) {
        (Found::Nothing, Some(fallback)) => open(&root, &root.join(fallback.trim_start_matches('/'))),
        (Found::File(_) | Found::Directory, _) | (Found::Nothing, None) => Ok(found),
    }
}

fn locate(root: &Path, relative: &Path, slash: bool, index: &str) -> io::Result<Found> {
    let target = root.join(relative);
    if !slash {
        return open(root, &target);
    }
    match open(root, &target.join(index))? {
        Found::File(opened) => Ok(Found::File(opened)),
        Found::Directory | Found::Nothing => Ok(Found::Nothing),
    }
}

/// The path below the directory, decoded, and whether it ends in a slash. `None` for what is not
/// served: hidden files, and segments that name something else than one entry of a directory.
fn relative(path: &str) -> Option<(PathBuf, bool)> {
    let mut relative = PathBuf::new();
    let mut segments = path.split('/').filter(|s| !s.is_empty()).enumerate();
    segments.try_for_each(|(i, segment)| {
        let decoded = percent_decode_str(segment).decode_utf8().ok()?;
        let plain = !decoded.contains(['/', '\\', '\0'])
            // RFC 8615 gave one hidden directory to the public.
            && (!decoded.starts_with('.') || (i == 0 && decoded == ".well-known"));
        plain.then(|| relative.push(&*decoded))
    })?;
    Some((relative, path.ends_with('/') || path.is_empty()))
}

fn open(root: &Path, target: &Path) -> io::Result<Found> {
    let real = match target.canonicalize() {
        Ok(real) => real,
        Err(e) if absent(&e) => return Ok(Found::Nothing),
        Err(e) => return Err(e),
    };
    if !real.starts_with(root) {
        return Ok(Found::Nothing);
    }
    // Looked at before it is opened: opening a pipe waits for somebody to write into it.
    let meta = fs::metadata(&real)?;
    if meta.is_dir() {
        return Ok(Found::Directory);
    }
    if !meta.is_file() {
        return Ok(Found::Nothing);
    }
    let file = File::open(&real)?;
    let facts = ranges::facts(&file.metadata()?);
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Found::File(Opened { file, facts, name }))
}

fn absent(e: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    // A loop of symbolic links has no kind of its own in stable Rust: ELOOP.
    matches!(e.kind(), NotFound | NotADirectory | InvalidFilename) || e.raw_os_error() == Some(40)
}

// === the body

/// A file, or a part of it, read piece by piece.
pub struct FileBody {
    left: u64,
    state: State,
}

enum State {
    /// This is next.
    Ready(Bytes, Option<File>),
    /// It is being read.
    Reading(JoinHandle<io::Result<(Bytes, File)>>),
    Done,
}

impl FileBody {
    async fn open(mut file: File, from: u64, len: u64) -> io::Result<Self> {
        let first_room = room(len);
        let first = spawn_blocking(move || {
            file.seek(SeekFrom::Start(from))?;
            piece(file, len, first_room)
        });
        let (bytes, file) = first.await.map_err(io::Error::other)??;
        Ok(Self { left: len, state: State::Ready(bytes, Some(file)) })
    }

    /// Bytes that are still to come.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Whether nothing more comes.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.left == 0
    }

    /// The next piece.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            match &mut self.state {
                State::Ready(bytes, file) => {
                    let (bytes, file) = (std::mem::take(bytes), file.take());
                    // The file may have been cut while it was read.
                    if bytes.is_empty() && self.left > 0 {
                        self.state = State::Done;
                        return Poll::Ready(Some(Err(Broken::File)));
                    }
                    self.left -= (bytes.len() as u64).min(self.left);
                    let left = self.left;
                    self.state = match file {
                        Some(file) if left > 0 => {
                            // Made here and dropped here: memory that one thread takes and another gives
                            // back piles up in the allocator.
                            let room = room(left);
                            State::Reading(spawn_blocking(move || piece(file, left, room)))
                        }
                        Some(_) | None => State::Done,
                    };
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                State::Reading(read) => match ready!(Pin::new(read).poll(cx)) {
                    Ok(Ok((bytes, file))) => self.state = State::Ready(bytes, Some(file)),
                    Ok(Err(_)) | Err(_) => {
                        self.state = State::Done;
                        return Poll::Ready(Some(Err(Broken::File)));
                    }
                },
                State::Done => return Poll::Ready(None),
            }
        }
    }
}

/// Room for the next piece, which is a usize at most.
fn room(left: u64) -> Vec<u8> {
    Vec::with_capacity(left.min(PIECE) as usize)
}

fn piece(mut file: File, left: u64, mut bytes: Vec<u8>) -> io::Result<(Bytes, File)> {
    let want = left.min(PIECE);
    (&mut file).take(want).read_to_end(&mut bytes)?;
    Ok((Bytes::from(bytes), file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_and_crooked_names_are_not_served() {
        for path in ["/.git/config", "/a/.env", "/a/%2e%2e/b", "/a%2Fb", "/a%5Cb", "/a%00", "/%FF", "/x/.well-known/y"]
        {
            assert_eq!(relative(path), None, "{path}");
        }
        for (path, expected) in [
            ("/", ("", true)),
            ("/a/b.txt", ("a/b.txt", false)),
            ("/a%20b/", ("a b", true)),
            ("/.well-known/security.txt", (".well-known/security.txt", false)),
            ("/%C3%BC", ("\u{fc}", false)),
        ] {
            assert_eq!(relative(path), Some((PathBuf::from(expected.0), expected.1)), "{path}");
        }
    }
}
