//! The server: its loop, what it can do, and who answers what.

use super::text::{Encoding, Lines};
use super::wire::{self, Read1};
use super::world::{Document, World, path_of};
use super::{actions, complete, diagnostics, format, goto, hints, hover, lens, rename, symbols};
use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, Response};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How long nothing has to come before findings are made: a burst of keystrokes is one.
const QUIET: Duration = Duration::from_millis(40);

/// Messages that may wait.
const WAITING: usize = 256;

/// What the features share.
pub(super) struct Server {
    pub(super) world: World,
    pub(super) encoding: Encoding,
    /// Findings that were published, by URI: those of the text of that moment.
    pub(super) published: BTreeMap<String, Vec<diagnostics::Published>>,
    /// Whether the client fills in snippets.
    pub(super) snippets: bool,
    /// Sites directories whose findings are out of date.
    dirty: BTreeSet<PathBuf>,
    out: io::Stdout,
    asked: i32,
}

/// Why a request has no result.
pub(super) struct Refused(pub(super) String);

/// What a request comes to.
pub(super) type Answer = Result<Value, Refused>;

/// Serves one client until it says `exit`, or is gone.
///
/// # Errors
/// The other side cannot be read or written, or sends what is no message.
pub fn run() -> io::Result<bool> {
    let (send, receive) = sync_channel(WAITING);
    std::thread::Builder::new().name("lsp-reader".into()).spawn(move || {
        let mut from = io::stdin().lock();
        loop {
            let read = wire::read(&mut from);
            let last = !matches!(read, Ok(Read1::Message(_) | Read1::Malformed(_)));
            if send.send(read).is_err() || last {
                return;
            }
        }
    })?;
    let mut server = Server {
        world: World::default(),
        encoding: Encoding::Utf16,
        published: BTreeMap::new(),
        snippets: false,
        dirty: BTreeSet::new(),
        out: io::stdout(),
        asked: 0,
    };
    server.serve(&receive)
}

// === impl Server ===

impl Server {
    /// Whether the client said goodbye as it should.
    fn serve(&mut self, from: &Receiver<io::Result<Read1>>) -> io::Result<bool> {
        let (mut ready, mut leaving) = (false, false);
        loop {
            let next = if self.dirty.is_empty() {
                from.recv().ok()
            } else {
                match from.recv_timeout(QUIET) {
                    Ok(next) => Some(next),
                    Err(RecvTimeoutError::Timeout) => {
                        self.publish()?;
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => None,
                }
            };
            let message = match next.transpose()? {
                None | Some(Read1::End) => return Ok(leaving),
                Some(Read1::Malformed(why)) => {
                    let error = json!({ "code": ErrorCode::ParseError as i32, "message": why });
                    self.raw(&json!({ "jsonrpc": "2.0", "id": null, "error": error }))?;
                    continue;
                }
                Some(Read1::Message(message)) => *message,
            };
            match message {
                Message::Request(request) => {
                    let id = request.id.clone();
                    let response = match request.method.as_str() {
                        "initialize" if !ready => {
                            ready = true;
                            Response::new_ok(id, self.initialize(&request.params))
                        }
                        _ if !ready => error(id, ErrorCode::ServerNotInitialized, "`initialize` comes first"),
                        _ if leaving => error(id, ErrorCode::InvalidRequest, "after `shutdown` only `exit` follows"),
                        "shutdown" => {
                            leaving = true;
                            Response::new_ok(id, Value::Null)
                        }
                        _ => self.request(request)?,
                    };
                    self.send(response.into())?;
                }
                Message::Notification(note) if note.method == "exit" => return Ok(leaving),
                Message::Notification(note) if ready && !leaving => self.notification(&note),
                // Answers to what was only told, and what comes too early.
                Message::Notification(_) | Message::Response(_) => {}
            }
        }
    }

    pub(super) fn send(&mut self, message: Message) -> io::Result<()> {
        message.write(&mut self.out.lock())
    }

    fn raw(&mut self, message: &Value) -> io::Result<()> {
        let text = message.to_string();
        let mut out = self.out.lock();
        write!(out, "Content-Length: {}\r\n\r\n{text}", text.len())?;
        out.flush()
    }

    fn initialize(&mut self, params: &Value) -> Value {
        let known = params.pointer("/capabilities/general/positionEncodings").and_then(Value::as_array);
        let utf8 = known.is_some_and(|known| known.iter().any(|one| one == "utf-8"));
        self.encoding = if utf8 { Encoding::Utf8 } else { Encoding::Utf16 };
        let snippets = "/capabilities/textDocument/completion/completionItem/snippetSupport";
        self.snippets = params.pointer(snippets).and_then(Value::as_bool).unwrap_or_default();
        json!({
            "capabilities": {
                "positionEncoding": if utf8 { "utf-8" } else { "utf-16" },
                "textDocumentSync": { "openClose": true, "change": 2, "save": true },
                "hoverProvider": true,
                "definitionProvider": true,
                "referencesProvider": true,
                "documentHighlightProvider": true,
                "renameProvider": { "prepareProvider": true },
                "completionProvider": { "triggerCharacters": [".", "{", ">", "/"] },
                "documentFormattingProvider": true,
                "documentSymbolProvider": true,
                "codeActionProvider": { "codeActionKinds": ["quickfix", "source.fixAll"] },
                "codeLensProvider": { "resolveProvider": false },
                "inlayHintProvider": true,
                "executeCommandProvider": { "commands": [lens::RUN] },
            },
            "serverInfo": { "name": "sluice", "version": env!("CARGO_PKG_VERSION") },
        })
    }

    fn request(&mut self, request: Request) -> io::Result<Response> {
        let Request { id, method, params } = request;
        let answer = match method.as_str() {
            "textDocument/hover" => hover::hover(self, &params),
            "textDocument/definition" => goto::definition(self, &params),
            "textDocument/references" => goto::references(self, &params),
            "textDocument/documentHighlight" => goto::highlight(self, &params),
            "textDocument/prepareRename" => rename::prepare(self, &params),
            "textDocument/rename" => rename::rename(self, &params),
            "textDocument/completion" => complete::complete(self, &params),
            "textDocument/formatting" => format::format(self, &params),
            "textDocument/documentSymbol" => symbols::symbols(self, &params),
            "textDocument/codeAction" => {
                // The fixes are those of the text as it is now.
                self.publish()?;
                actions::actions(self, &params)
            }
            "textDocument/codeLens" => lens::lenses(self, &params),
            "textDocument/inlayHint" => hints::hints(self, &params),
            "workspace/executeCommand" => lens::execute(self, &params),
            other => return Ok(error(id, ErrorCode::MethodNotFound, &format!("`{other}` is not known"))),
        };
        Ok(match answer {
            Ok(value) => Response::new_ok(id, value),
            Err(Refused(why)) => error(id, ErrorCode::RequestFailed, &why),
        })
    }

    fn notification(&mut self, note: &Notification) {
        let params = &note.params;
        let uri = params.pointer("/textDocument/uri").and_then(Value::as_str);
        match (note.method.as_str(), uri) {
            ("textDocument/didOpen", Some(uri)) => {
                let text = params.pointer("/textDocument/text").and_then(Value::as_str).unwrap_or_default();
                self.world.open.insert(path_of(uri), Document { uri: uri.to_owned(), text: text.into() });
                self.world.forget_disk();
                self.changed(uri);
            }
            ("textDocument/didChange", Some(uri)) => {
                let changes = params.get("contentChanges").and_then(Value::as_array);
                let encoding = self.encoding;
                if let (Some(document), Some(changes)) = (self.world.open.get_mut(&path_of(uri)), changes) {
                    for change in changes {
                        apply(&mut document.text, change, encoding);
                    }
                }
                self.changed(uri);
            }
            ("textDocument/didClose", Some(uri)) => {
                self.world.open.remove(&path_of(uri));
                self.world.forget_disk();
                self.changed(uri);
            }
            ("textDocument/didSave", Some(uri)) => {
                self.world.forget_disk();
                self.changed(uri);
            }
            ("workspace/didChangeWatchedFiles", _) => {
                self.world.forget_disk();
                let open: Vec<PathBuf> = self.world.open.keys().map(|path| World::root(path)).collect();
                self.dirty.extend(open);
            }
            _ => {}
        }
    }

    fn changed(&mut self, uri: &str) {
        self.dirty.insert(World::root(&path_of(uri)));
    }

    /// Publishes what is wrong in the sites directories that changed.
    fn publish(&mut self) -> io::Result<()> {
        for root in std::mem::take(&mut self.dirty) {
            for (uri, diagnostics) in diagnostics::renew(self, &root) {
                let params = json!({ "uri": uri, "diagnostics": diagnostics });
                self.send(Notification::new("textDocument/publishDiagnostics".to_owned(), params).into())?;
            }
        }
        Ok(())
    }

    /// Tells the person at the editor something.
    pub(super) fn show(&mut self, kind: u8, message: &str) {
        let params = json!({ "type": kind, "message": message });
        // A client that is gone is noticed where it is read.
        let _ = self.send(Notification::new("window/showMessage".to_owned(), params).into());
    }

    /// Asks the client to ask for its lenses again.
    pub(super) fn refresh_lenses(&mut self) {
        self.asked += 1;
        let id = RequestId::from(self.asked);
        let _ = self.send(Request::new(id, "workspace/codeLens/refresh".to_owned(), Value::Null).into());
    }

    /// The document that a request is about, its text, and the byte that it is about.
    pub(super) fn place(&self, params: &Value) -> Option<(PathBuf, Arc<str>, usize)> {
        let (path, text) = self.document(params)?;
        let offset = Lines::new(&text, self.encoding).offset(params.get("position")?)?;
        Some((path, text, offset))
    }

    /// The document that a request is about, and its text.
    pub(super) fn document(&self, params: &Value) -> Option<(PathBuf, Arc<str>)> {
        let path = path_of(params.pointer("/textDocument/uri")?.as_str()?);
        let text = self.world.text(&path)?;
        Some((path, text))
    }
}

fn error(id: RequestId, code: ErrorCode, message: &str) -> Response {
    Response::new_err(id, code as i32, message.to_owned())
}

/// One change of a document: a range of it, or all of it.
fn apply(text: &mut Arc<str>, change: &Value, encoding: Encoding) {
    let Some(new) = change.get("text").and_then(Value::as_str) else { return };
    let span = change.get("range").map(|range| Lines::new(text, encoding).span(range));
    match span {
        None => *text = new.into(),
        Some(None) => {}
        Some(Some(span)) => {
            let mut whole = text.to_string();
            whole.replace_range(span.range(), new);
            *text = whole.into();
        }
    }
}
