//! What may be written at a place.

use super::{Index, keywords};
use crate::check::{
    BODY_CALLS, BODY_PARTS, CONNECTION_SETTINGS, FUNCTIONS, METHODS, POOL_SETTINGS, PROVIDER_SETTINGS, TEST_LINES,
    member_names,
};
use crate::check::{of_sites, of_the_gateway};
use crate::syntax::ast::{Item, ItemKind};
use crate::syntax::scan;
use crate::syntax::span::FileId;
use crate::syntax::words;

/// What a completion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A word of the language.
    Keyword,
    /// A setting of this place.
    Setting,
    /// A pool or table.
    Pool,
    /// A policy.
    Policy,
    /// A `let`, a capture, a parameter.
    Value,
    /// A part of the request, or of something else that has parts.
    Member,
    /// A function.
    Function,
    /// A module.
    Module,
}

/// One thing that may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What is written.
    pub label: String,
    /// What it is.
    pub kind: Kind,
    /// Its type or its parameters.
    pub detail: Option<String>,
    /// Its `##` lines.
    pub doc: Option<String>,
    /// What is inserted where that is more than the label: `${1:name}` are places to fill in.
    pub snippet: Option<String>,
}

/// The other files that completion looks into.
pub trait Others {
    /// A file by its number.
    fn index(&self, file: FileId) -> Option<&Index>;
    /// What `import` can name from here: `./pools`, `../shared/pools`.
    fn modules(&self) -> Vec<String>;
}

/// Headers that people route by or set, beside those that the file names itself.
const HEADERS: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "content-length",
    "content-security-policy",
    "content-type",
    "cookie",
    "etag",
    "location",
    "origin",
    "permissions-policy",
    "referer",
    "referrer-policy",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "user-agent",
    "vary",
    "x-api-key",
    "x-content-type-options",
    "x-frame-options",
    "x-request-id",
];

/// What the block around a place takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Top,
    Routes,
    Connection,
    Pool,
    Gateway,
    Tenant,
    /// `provider`
    Provider,
    Tls,
    Table,
    Test,
    Other,
}

/// What may be written at a byte of `text`, which the index was made of.
pub fn complete(index: &Index, text: &str, offset: usize, others: &dyn Others) -> Vec<Completion> {
    let offset = offset.min(text.len());
    let found = scan::scan(index.file, text);
    if found.comments.iter().any(|(start, end)| *start < offset && offset <= *end) {
        return Vec::new();
    }
    let line = text[..offset].rfind('\n').map_or(0, |n| n + 1);
    let prefix = &text[line..offset];
    let word_len = prefix.bytes().rev().take_while(|b| b.is_ascii_alphanumeric() || b"_-./%*".contains(b)).count();
    let (before, word) = prefix.split_at(prefix.len() - word_len);
    let mut out = Out { index, others, all: Vec::new() };
    if let Some(hole) = hole(prefix) {
        let word = &prefix[hole..];
        if !out.members(word, false) {
            out.values(offset);
        }
        return out.done();
    }
    if quoted(prefix) {
        return Vec::new();
    }
    let before = before.trim_end();
    let place = place(text, &found, offset);
    let mut tokens = before.split_ascii_whitespace();
    let first = tokens.next().unwrap_or_default();
    let last = before.split_ascii_whitespace().next_back().unwrap_or_default();
    let policies = last == "use" || last == "without" || (last.ends_with(',') && before.contains(" without "));
    if first == "import" {
        if last == "import" {
            out.modules();
        }
    } else if out.members(word, policies) {
        // Only its members can follow a dot.
    } else if policies {
        out.policies();
    } else if before.is_empty() {
        out.statements(place);
    } else if let Some(args) = open_call(before, first) {
        out.parameters(args);
        out.values(offset);
    } else if matches!(first, "set" | "add" | "remove") && place == Place::Routes {
        match before.split_ascii_whitespace().count() {
            1 => out.words(&["request", "response"], Kind::Keyword),
            2 => out.words(&["header"], Kind::Keyword),
            3 if last == "header" => out.headers(),
            _ => out.values(offset),
        }
    } else if last == "else"
        || last.ends_with("->")
        || (before.contains("->") && (last.ends_with('%') || last.ends_with(',')))
    {
        out.destinations();
    } else if place == Place::Test {
        out.test(first, last, offset);
    } else if let Some(choices) = choices(place, first, last) {
        out.words(choices, Kind::Keyword);
    } else if !matches!(last, "at" | "host" | "type" | "as" | "file" | "files" | "matches") {
        if last == "mirror" || last.ends_with('%') && first == "mirror" {
            out.pools();
        }
        out.values(offset);
        if matches!(last, "is" | "not" | "[") || last.ends_with('[') || last.ends_with(',') {
            out.words(METHODS, Kind::Value);
        }
        out.words(
            &["when", "and", "or", "not", "is", "in", "has", "matches", "else", "if missing", "per", "by"],
            Kind::Keyword,
        );
    }
    out.done()
}

/// Where an unclosed hole begins, behind its `{`: `/x/{na`, `"{client.`.
fn hole(prefix: &str) -> Option<usize> {
    let open = prefix.rfind('{')?;
    let inside = &prefix[open + 1..];
    let plain = inside.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.([\",".contains(&b));
    let before = prefix[..open].bytes().next_back();
    // After a blank it opens a block, but in a text.
    (plain && (before.is_some_and(|b| b != b' ') || quoted(&prefix[..open]))).then_some(open + 1)
}

/// Whether a line's beginning ends inside a text.
fn quoted(prefix: &str) -> bool {
    let (mut inside, mut escaped) = (false, false);
    for c in prefix.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            _ => {}
        }
    }
    inside
}

/// The policy or function whose arguments are being written.
fn open_call<'t>(before: &'t str, first: &str) -> Option<&'t str> {
    let open = before.rfind('(')?;
    if before[open..].contains(')') || first != "use" && !before[..open].ends_with(|c: char| c.is_ascii_alphanumeric())
    {
        return None;
    }
    let start = before[..open].rfind(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))).map_or(0, |n| n + 1);
    Some(&before[start..open]).filter(|name| !name.is_empty())
}

/// What the first pass says about the blocks around a place.
fn place(text: &str, found: &scan::Scan, offset: usize) -> Place {
    let around: Vec<usize> = found
        .blocks
        .iter()
        .filter(|(open, close)| *open < offset && (offset <= *close || *close >= text.trim_end().len()))
        .map(|(open, _)| *open)
        .collect();
    let head = |open: usize| {
        let line = text[..open].rfind('\n').map_or(0, |n| n + 1);
        text[line..open].split_ascii_whitespace().next().unwrap_or_default()
    };
    let Some(outer) = around.first() else { return Place::Top };
    let inner = if around.len() > 1 { head(around[around.len() - 1]) } else { "" };
    match (head(*outer), inner) {
        (_, "tls") => Place::Tls,
        ("site" | "policy", _) => Place::Routes,
        ("tcp" | "udp" | "passthrough", _) => Place::Connection,
        ("pool", "") => Place::Pool,
        ("gateway", "") => Place::Gateway,
        ("tenant", "") => Place::Tenant,
        ("provider", "") => Place::Provider,
        ("test" | "prove", _) => Place::Test,
        ("table", _) => Place::Table,
        _ => Place::Other,
    }
}

/// The words that may follow a setting.
fn choices(place: Place, first: &str, last: &str) -> Option<&'static [&'static str]> {
    if first != last {
        return None;
    }
    Some(match (place, first) {
        (Place::Pool, "balance") => {
            &["round-robin", "random", "least-requests", "least-connections", "peak-ewma", "hash", "maglev"]
        }
        (Place::Pool, "protocol") => &["auto", "h1", "h2", "h2c", "grpc"],
        (Place::Pool, "check") => &["GET", "tcp", "grpc", "udp"],
        (Place::Pool, "proxy-protocol") => &["v1", "v2"],
        (Place::Pool | Place::Connection, "connect") => &["within"],
        (Place::Routes, "tls") => &["auto", "internal", "off", "on-demand", "file"],
        (Place::Routes, "paths") => &["opaque-slash", "semicolon", "raw"],
        (Place::Routes, "http") => &["allowed"],
        (Place::Routes, "body" | "header") => &["limit"],
        (Place::Gateway, "trust") => &["proxies"],
        (Place::Gateway, "secrets" | "proxy-protocol") => &["from"],
        _ => return None,
    })
}

struct Out<'a> {
    index: &'a Index,
    others: &'a dyn Others,
    all: Vec<Completion>,
}

impl Out<'_> {
    fn done(self) -> Vec<Completion> {
        let mut seen = std::collections::BTreeSet::new();
        self.all.into_iter().filter(|c| seen.insert(c.label.clone())).collect()
    }

    fn push(&mut self, label: &str, kind: Kind, detail: Option<String>) {
        self.all.push(Completion { label: label.to_owned(), kind, detail, doc: None, snippet: None });
    }

    fn words(&mut self, words: &[&str], kind: Kind) {
        for word in words {
            self.push(word, kind, None);
        }
    }

    /// The items of this file, and of the modules it imports with their prefix.
    fn each(&self, each: &mut dyn FnMut(&str, &Item)) {
        for item in self.index.items() {
            each("", item);
        }
        for (alias, file) in self.index.imports() {
            if let Some(other) = self.others.index(*file) {
                let prefix = format!("{alias}.");
                other.items().iter().for_each(|item| each(&prefix, item));
            }
        }
    }

    /// What follows a dot; whether the word has one.
    fn members(&mut self, word: &str, policies: bool) -> bool {
        let Some((head, _)) = word.rsplit_once('.') else { return false };
        match head {
            "request" | "client" | "tls" | "tls.cert" => {
                for (name, ty) in member_names(head) {
                    self.push(name, Kind::Member, ty);
                }
            }
            "header" => self.headers(),
            _ => {
                let prefix = format!("{head}.");
                let mut found = Vec::new();
                self.each(&mut |at, item| {
                    if at == prefix
                        && let Some(mut c) = completion("", item)
                        && (c.kind == Kind::Policy) == policies
                    {
                        c.kind = if policies { Kind::Policy } else { c.kind };
                        found.push(c);
                    }
                });
                self.all.append(&mut found);
            }
        }
        true
    }

    fn policies(&mut self) {
        let mut found = Vec::new();
        self.each(&mut |prefix, item| found.extend(completion(prefix, item).filter(|c| c.kind == Kind::Policy)));
        self.all.append(&mut found);
    }

    fn pools(&mut self) {
        let mut found = Vec::new();
        self.each(&mut |prefix, item| found.extend(completion(prefix, item).filter(|c| c.kind == Kind::Pool)));
        self.all.append(&mut found);
    }

    fn destinations(&mut self) {
        self.pools();
        for (word, snippet) in [
            ("redirect", "redirect ${1:308} ${2:https://}"),
            ("respond", "respond ${1:404}"),
            ("deny", "deny ${1:403}"),
            ("files", "files \"${1:public}\""),
            ("login", "login ${1:provider}"),
            ("logout", "logout ${1:provider}"),
        ] {
            self.push(word, Kind::Keyword, None);
            self.all.last_mut().expect("was pushed on the line above").snippet = Some(snippet.to_owned());
        }
        for visible in self.index.scopes.iter().flat_map(|(_, visible)| visible) {
            if visible.ty.as_deref() == Some("pool") {
                self.all.push(Completion {
                    label: visible.name.clone(),
                    kind: Kind::Pool,
                    detail: Some(visible.kind.to_owned()),
                    doc: None,
                    snippet: None,
                });
            }
        }
    }

    /// Values: captures, `let`s, parameters, parts of the request, functions.
    fn values(&mut self, offset: usize) {
        for visible in self.index.visible(offset) {
            let ty = visible.ty.as_deref().map_or_else(String::new, |ty| format!(": {ty}"));
            let detail = Some(format!("{}{ty}", visible.kind));
            self.push(&visible.name, Kind::Value, detail);
        }
        let mut found = Vec::new();
        self.each(&mut |prefix, item| {
            found.extend(completion(prefix, item).filter(|c| matches!(c.kind, Kind::Value | Kind::Function)));
        });
        self.all.append(&mut found);
        for part in keywords::of("parts") {
            self.push(part, Kind::Member, None);
        }
        for head in ["request", "client", "tls", "tls.cert"] {
            for (name, ty) in member_names(head) {
                self.push(&format!("{head}.{name}"), Kind::Member, ty);
            }
        }
        for part in BODY_CALLS.iter().chain(BODY_PARTS) {
            self.push(&format!("body.{part}"), Kind::Member, Some("text?".to_owned()));
        }
        self.words(FUNCTIONS, Kind::Function);
    }

    fn headers(&mut self) {
        let own: Vec<String> = self
            .index
            .seen
            .iter()
            .filter_map(|seen| match &seen.means {
                super::Means::Builtin(name) => name.strip_prefix("header.").map(str::to_owned),
                _ => None,
            })
            .collect();
        for name in own.iter().map(String::as_str).chain(HEADERS.iter().copied()) {
            self.push(name, Kind::Member, Some("header".to_owned()));
        }
    }

    fn modules(&mut self) {
        for name in crate::resolve::stdlib::names() {
            self.push(&format!("std/{name}"), Kind::Module, Some("standard library".to_owned()));
        }
        for name in self.others.modules() {
            self.push(&name, Kind::Module, None);
        }
    }

    /// The parameters of a policy, as names of arguments.
    fn parameters(&mut self, name: &str) {
        let mut found = Vec::new();
        self.each(&mut |prefix, item| {
            let params = match &item.kind {
                ItemKind::Policy(policy) if format!("{prefix}{}", policy.name.node) == name => &policy.params,
                ItemKind::Let(l) if format!("{prefix}{}", l.name.node) == name => match &l.params {
                    Some(params) => params,
                    None => return,
                },
                _ => return,
            };
            found.extend(params.iter().map(|param| Completion {
                label: format!("{}:", param.name.node),
                kind: Kind::Value,
                detail: param.ty.as_ref().map(|ty| ty.node.clone()),
                doc: None,
                snippet: Some(format!("{}: ", param.name.node)),
            }));
        });
        self.all.append(&mut found);
    }

    fn statements(&mut self, place: Place) {
        let settings: Vec<&str> = match place {
            Place::Top => return self.words(&words::ITEMS, Kind::Keyword),
            Place::Routes => {
                self.words(&words::STATEMENTS, Kind::Keyword);
                self.words(&["end"], Kind::Keyword);
                of_sites().collect()
            }
            Place::Connection => {
                self.words(&["when", "else", "use", "require", "limit", "let", "tls"], Kind::Keyword);
                CONNECTION_SETTINGS.to_vec()
            }
            Place::Pool => POOL_SETTINGS.to_vec(),
            Place::Gateway => of_the_gateway().collect(),
            Place::Tenant => vec!["files", "owns", "dials", "secrets"],
            Place::Provider => PROVIDER_SETTINGS.to_vec(),
            Place::Tls => vec!["name", "trust", "pin", "client", "min", "allow", "limit"],
            Place::Test => return self.words(TEST_LINES, Kind::Keyword),
            Place::Table | Place::Other => Vec::new(),
        };
        self.words(&settings, Kind::Setting);
    }

    fn test(&mut self, first: &str, last: &str, offset: usize) {
        match (first, last) {
            ("given", "given") => {
                self.pools();
                self.words(&["draw", "time"], Kind::Keyword);
            }
            ("given", _) => self.words(&["down", "answers"], Kind::Keyword),
            ("expect", "pool" | "mirror") | ("every", "pool") => self.pools(),
            ("expect", "expect") => self.words(
                &[
                    "pool",
                    "redirect",
                    "respond",
                    "deny",
                    "login",
                    "files",
                    "request header",
                    "response header",
                    "no",
                    "mirror",
                ],
                Kind::Keyword,
            ),
            ("expect", "header") => self.headers(),
            ("request", "request") => self.words(METHODS, Kind::Value),
            (_, "passes") => self.policies(),
            ("request", _) => {
                self.words(&["with", "from"], Kind::Keyword);
                self.words(&["header", "cookie", "body", "tls", "request"], Kind::Member);
            }
            _ => self.values(offset),
        }
    }
}

/// An item as something to write.
fn completion(prefix: &str, item: &Item) -> Option<Completion> {
    let name = crate::resolve::item_name(item)?;
    let mut out = Completion {
        label: format!("{prefix}{}", name.node),
        kind: Kind::Value,
        detail: None,
        doc: item.doc.clone(),
        snippet: None,
    };
    let listed = |params: &[crate::syntax::ast::Param]| {
        let one = |p: &crate::syntax::ast::Param| match &p.ty {
            Some(ty) => format!("{}: {}", p.name.node, ty.node),
            None => p.name.node.clone(),
        };
        format!("({})", params.iter().map(one).collect::<Vec<_>>().join(", "))
    };
    match &item.kind {
        ItemKind::Pool(_) => (out.kind, out.detail) = (Kind::Pool, Some("pool".to_owned())),
        ItemKind::Table(_) => (out.kind, out.detail) = (Kind::Pool, Some("table".to_owned())),
        ItemKind::Provider(_) => out.detail = Some("provider".to_owned()),
        ItemKind::Let(l) => match &l.params {
            Some(params) => (out.kind, out.detail) = (Kind::Function, Some(listed(params))),
            None => out.detail = Some("let".to_owned()),
        },
        ItemKind::Policy(policy) => {
            out.kind = Kind::Policy;
            if !policy.params.is_empty() {
                out.detail = Some(listed(&policy.params));
                // What has no default has to be said.
                let needed = policy.params.iter().filter(|param| param.default.is_none()).enumerate();
                let places: Vec<String> = needed.map(|(n, p)| format!("${{{}:{}}}", n + 1, p.name.node)).collect();
                out.snippet = Some(format!("{prefix}{}({})", name.node, places.join(", ")));
            }
        }
        _ => return None,
    }
    Some(out)
}
