//! The server: its loop, what it can do, and who answers what.

use super::text::{Encoding, Lines};
use super::wire::{self, Read1};
use super::world::{Document, World, path_of};
use super::{actions, complete, diagnostics, format, goto, hints, hover, lens, rename, symbols};
use crate::cli::Failed;
use crate::cli::lint::linted::Linted;
use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, Response};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// How long nothing has to come before findings are made: a burst of keystrokes is one.
const QUIET: Duration = Duration::from_millis(40);

/// With more files than these an edit is answered with what its file says by itself; what all files say
/// together is worked out beside it.
const FEW: usize = 64;

/// How long nothing has to come, after the findings of a file, before all files are looked at.
const SETTLED: Duration = Duration::from_millis(160);

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
    /// Documents that changed since their findings were made.
    edited: BTreeSet<PathBuf>,
    /// Sites directories of which only edited files were looked at.
    unsettled: BTreeSet<PathBuf>,
    /// Whether a thread looks at all files of a directory.
    busy: bool,
    /// How often something changed.
    changes: u64,
    events: SyncSender<Event>,
    out: io::Stdout,
    asked: i32,
}

/// What the loop waits for.
enum Event {
    /// A message, or the end of them.
    Read(io::Result<Read1>),
    /// All files of a sites directory were looked at, as they were after so many changes.
    Linted(PathBuf, u64, Option<Result<Linted, Failed>>),
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
    let events = send.clone();
    std::thread::Builder::new().name("lsp-reader".into()).spawn(move || {
        let mut from = io::stdin().lock();
        loop {
            let read = wire::read(&mut from);
            let last = !matches!(read, Ok(Read1::Message(_) | Read1::Malformed(_)));
            if send.send(Event::Read(read)).is_err() || last {
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
        edited: BTreeSet::new(),
        unsettled: BTreeSet::new(),
        busy: false,
        changes: 0,
        events,
        out: io::stdout(),
        asked: 0,
    };
    server.serve(&receive)
}

// === impl Server ===

impl Server {
    /// Whether the client said goodbye as it should.
    fn serve(&mut self, from: &Receiver<Event>) -> io::Result<bool> {
        let (mut ready, mut leaving) = (false, false);
        loop {
            let quiet = match (self.dirty.is_empty(), self.unsettled.is_empty() || self.busy) {
                (false, _) => Some(QUIET),
                (true, false) => Some(SETTLED),
                (true, true) => None,
            };
            let next = match quiet {
                None => from.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(quiet) => from.recv_timeout(quiet),
            };
            let next = match next {
                Ok(Event::Read(next)) => Some(next),
                Ok(Event::Linted(root, changes, linted)) => {
                    self.settled(&root, changes, linted)?;
                    continue;
                }
                Err(RecvTimeoutError::Timeout) if self.dirty.is_empty() => {
                    self.settle()?;
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.publish()?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => None,
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
                self.changes += 1;
            }
            _ => {}
        }
    }

    fn changed(&mut self, uri: &str) {
        let path = path_of(uri);
        self.dirty.insert(World::root(&path));
        self.edited.insert(path);
        self.changes += 1;
    }

    /// Publishes what is wrong in the sites directories that changed: of all files where they are few, else of
    /// those that were edited, and of all when nothing has come for a while.
    fn publish(&mut self) -> io::Result<()> {
        for root in std::mem::take(&mut self.dirty) {
            if self.world.files(&root).len() <= FEW {
                let linted = diagnostics::lint(&root, &self.world.drafts());
                self.renew(&root, linted)?;
                self.edited.retain(|path| World::root(path) != root);
                continue;
            }
            let edited: Vec<PathBuf> = self.edited.iter().filter(|path| World::root(path) == root).cloned().collect();
            for path in edited {
                self.edited.remove(&path);
                if self.world.open.contains_key(&path)
                    && let Some((uri, diagnostics)) = diagnostics::quick(self, &path)
                {
                    self.tell(&uri, &diagnostics)?;
                }
            }
            self.unsettled.insert(root);
        }
        Ok(())
    }

    /// Looks at all files of a directory, on a thread of its own: what is typed meanwhile waits for nothing.
    fn settle(&mut self) -> io::Result<()> {
        let Some(root) = self.unsettled.pop_first() else { return Ok(()) };
        let (drafts, changes, events) = (self.world.drafts(), self.changes, self.events.clone());
        self.busy = true;
        let look = move || {
            let linted = diagnostics::lint(&root, &drafts);
            // Nobody is there any more to be told where this fails.
            let _ = events.send(Event::Linted(root, changes, linted));
        };
        std::thread::Builder::new().name("lsp-lint".into()).spawn(look)?;
        Ok(())
    }

    /// All files of a directory were looked at. What changed since then is looked at again.
    fn settled(&mut self, root: &Path, changes: u64, linted: Option<Result<Linted, Failed>>) -> io::Result<()> {
        self.busy = false;
        if changes == self.changes {
            return self.renew(root, linted);
        }
        self.unsettled.insert(root.to_path_buf());
        Ok(())
    }

    fn renew(&mut self, root: &Path, linted: Option<Result<Linted, Failed>>) -> io::Result<()> {
        for (uri, diagnostics) in diagnostics::renew(self, root, linted) {
            self.tell(&uri, &diagnostics)?;
        }
        Ok(())
    }

    fn tell(&mut self, uri: &str, diagnostics: &Value) -> io::Result<()> {
        let params = json!({ "uri": uri, "diagnostics": diagnostics });
        self.send(Notification::new("textDocument/publishDiagnostics".to_owned(), params).into())
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
