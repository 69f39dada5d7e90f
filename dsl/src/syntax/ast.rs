//! The syntax tree: the file as written, every form of the language, nothing resolved.

use super::span::{Span, Spanned};
use std::net::IpAddr;

/// A name as written at one place.
pub type Ident = Spanned<String>;

/// A parsed file. Items that did not parse are missing; their errors stand in the diagnostics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// The items, in source order.
    pub items: Vec<Item>,
    /// What can be read of the items that did not parse, in source order.
    pub broken: Vec<Broken>,
}

/// An item that did not parse: enough of it for claims, and to hold back errors that would only
/// follow from its absence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Broken {
    /// The name it declares, when it could be read: of a pool, table, policy, `let`, tenant, or the
    /// name that an import is known by.
    pub name: Option<Ident>,
    /// The hosts of a site or passthrough, when they could be read.
    pub hosts: Vec<Spanned<HostPattern>>,
}

/// One top-level item.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// From its keyword to its last byte.
    pub span: Span,
    /// The `##` lines directly above, joined by newlines, markers removed.
    pub doc: Option<String>,
}

/// The items.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// `import std/auth as a`
    Import(Import),
    /// `let office = [10.0.0.0/8]`
    Let(Let),
    /// `pool api = 10.0.0.1:80` or `pool api { … }`
    Pool(Pool),
    /// `table tenants: text -> pool in [a, b] from "tenants.csv"`
    Table(Table),
    /// `policy name(param: type = default) { … }`
    Policy(Policy),
    /// `provider corp { … }`
    Provider(Provider),
    /// `site HOSTS { … }`
    Site(Site),
    /// `passthrough HOSTS -> pool`
    Passthrough(Passthrough),
    /// `tcp :5432 { … }`, `udp :53 { … }`
    L4(L4),
    /// `gateway { … }`
    Gateway(Block),
    /// `tenant acme { … }`
    Tenant {
        /// Its name.
        name: Ident,
        /// Its settings.
        body: Block,
    },
    /// `test "…" { … }`
    Test {
        /// What it says.
        title: Spanned<String>,
        /// Its lines: the head word, then the words after it.
        lines: Vec<TestLine>,
    },
    /// `prove "…" { … }`
    Prove {
        /// What it says.
        title: Spanned<String>,
        /// Its lines.
        lines: Vec<TestLine>,
    },
}

/// A line of a `test` or `prove` block: parsed for its shape only.
#[derive(Clone, Debug, PartialEq)]
pub struct TestLine {
    /// `given`, `request`, `connect`, `expect`, `every`, `no`.
    pub head: Ident,
    /// The rest, as written.
    pub words: Vec<Spanned<Word>>,
}

/// `import std/auth as a`
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// `std/auth`, `./pools`, `../shared/pools`
    pub module: Spanned<String>,
    /// The name it is known by here, when `as` says so; else the last part of the path.
    pub alias: Option<Ident>,
}

/// `let name = expr`, `let name(params) = expr`
#[derive(Clone, Debug, PartialEq)]
pub struct Let {
    /// The name.
    pub name: Ident,
    /// Parameters of a user function; `None` for a plain value. Their types are not written.
    pub params: Option<Vec<Param>>,
    /// The value.
    pub value: Spanned<Expr>,
}

/// `pool name = endpoints` or `pool name { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// The name.
    pub name: Ident,
    /// Endpoints of the short form; empty in the long form.
    pub endpoints: Vec<Spanned<Endpoint>>,
    /// The long form: endpoints are statements in it.
    pub body: Option<Block>,
}

/// `table t: text -> pool in [a, b] from "x.csv"` or with rows in a block
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The name.
    pub name: Ident,
    /// Type of the key and of the value, where written; keys may stand alone.
    pub types: Option<(Ident, Option<Ident>)>,
    /// The declared set of values, where written.
    pub among: Option<Spanned<Expr>>,
    /// The file of rows.
    pub from: Option<Spanned<String>>,
    /// Rows in the file itself.
    pub body: Option<Block>,
}

/// `policy name(params) { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The name.
    pub name: Ident,
    /// The parameters.
    pub params: Vec<Param>,
    /// The statements.
    pub body: Block,
}

/// `name: type = default`
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// The name.
    pub name: Ident,
    /// The type as written, `list<ip>` and `text?` included; `None` in a user function.
    pub ty: Option<Ident>,
    /// The default.
    pub default: Option<Spanned<Expr>>,
}

/// `provider NAME { … }`: who signs tokens, and where people log in.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// The name.
    pub name: Ident,
    /// Its settings.
    pub body: Block,
}

/// `site HOSTS { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The host patterns.
    pub hosts: Vec<Spanned<HostPattern>>,
    /// The statements.
    pub body: Block,
}

/// `passthrough HOSTS -> pool`
#[derive(Clone, Debug, PartialEq)]
pub struct Passthrough {
    /// The host patterns.
    pub hosts: Vec<Spanned<HostPattern>>,
    /// The arrow or the block.
    pub body: Body,
}

/// `tcp :5432 { … }`, `udp :53 -> dns`
#[derive(Clone, Debug, PartialEq)]
pub struct L4 {
    /// `true` for `udp`.
    pub udp: bool,
    /// Where it listens.
    pub listen: Spanned<ListenAddr>,
    /// The arrow or the block.
    pub body: Body,
}

/// `:443` or `10.0.0.1:443` or `[::1]:443`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenAddr {
    /// `None` for a bare port: every address (LANGUAGE rule 29).
    pub ip: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// `/quic` was written after it.
    pub quic: bool,
}

/// `{ … }`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// The statements, in source order.
    pub stmts: Vec<Stmt>,
    /// The braces included.
    pub span: Span,
}

/// What stands behind a pattern, a `when` or an `else`.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// `{ … }`
    Block(Block),
    /// `-> action`
    Action(Spanned<Action>),
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it is.
    pub kind: StmtKind,
    /// The whole statement.
    pub span: Span,
}

/// The statements.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `let x = …`
    Let(Let),
    /// `use policy(args) [when cond]`
    Use {
        /// The policy as named.
        policy: Spanned<Name>,
        /// Its arguments; `None` when no parentheses were written.
        args: Option<Vec<Arg>>,
        /// Its condition.
        when: Option<Spanned<Expr>>,
    },
    /// `require cond [else action]`
    Require {
        /// The condition.
        cond: Spanned<Expr>,
        /// What answers when it does not hold.
        otherwise: Option<Spanned<Action>>,
    },
    /// `limit …`
    Limit(Limit),
    /// `set|add|remove request|response header NAME [= VALUE]`
    Header(HeaderStmt),
    /// `catch [502, 503] -> action`
    Catch {
        /// The list of statuses.
        statuses: Spanned<Expr>,
        /// What answers.
        body: Body,
    },
    /// `tls …`
    Tls {
        /// The words after `tls`.
        words: Vec<Spanned<Word>>,
        /// Its block, as in `tls on-demand { … }`. `allow when …` in it is a [`StmtKind::Setting`]
        /// whose last word is the condition.
        body: Option<Block>,
    },
    /// `start session(…)`, `keep session(…)`, `end session(…)`
    Session {
        /// What is done with it.
        verb: SessionVerb,
        /// Its arguments.
        args: Vec<Arg>,
    },
    /// `PATTERNS [without P] [when cond] BODY`
    Route {
        /// The patterns.
        patterns: Vec<Spanned<PathPattern>>,
        /// The policies that are left out.
        without: Vec<Spanned<Name>>,
        /// The condition.
        when: Option<Spanned<Expr>>,
        /// Block or action.
        body: Body,
    },
    /// `when cond BODY`
    When {
        /// The condition.
        cond: Spanned<Expr>,
        /// Block or action.
        body: Body,
    },
    /// `else BODY`
    Else(Body),
    /// A bare `-> action`.
    Arrow(Spanned<Action>),
    /// An endpoint of a pool.
    Endpoint(Endpoint),
    /// `"key" -> value` in a table.
    Row {
        /// The key.
        key: Spanned<Word>,
        /// The value.
        value: Spanned<Expr>,
    },
    /// Any other head word: settings, and words nobody knows (G1001).
    Setting {
        /// The first word.
        head: Ident,
        /// The words after it.
        words: Vec<Spanned<Word>>,
        /// Its block, as in `limits { … }`.
        body: Option<Block>,
    },
}

/// `limit RATE [burst N] [cost EXPR] per KEY [as NAME] [shadow]`, `limit N at-once per KEY`, `limit 10MB/s per KEY`, `limit N connections, N requests queued within D` (pools: a setting)
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// The rate, the count before `at-once`, or the size a second: the words up to `per`.
    pub words: Vec<Spanned<Word>>,
    /// The key.
    pub per: Option<Operand>,
    /// The words after the key (`as NAME`, `shadow`).
    pub rest: Vec<Spanned<Word>>,
}

/// `set`, `add` or `remove`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeaderOp {
    /// Replace every value.
    Set,
    /// Append a value.
    Add,
    /// Drop every value.
    Remove,
}

/// What a browser is sent to a provider for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VisitDoes {
    /// `login`
    Login,
    /// `logout`
    Logout,
}

impl VisitDoes {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Logout => "logout",
        }
    }
}

/// What is done with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionVerb {
    /// Issue it.
    Start,
    /// Issue it again where it has been idle for a while.
    Keep,
    /// Take it back.
    End,
}

/// Which message a header statement edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// What is sent to the upstream.
    Request,
    /// What is sent to the client.
    Response,
}

/// `set request header x-user = who.sub`
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderStmt {
    /// What is done.
    pub op: HeaderOp,
    /// To which message.
    pub side: Spanned<Side>,
    /// To which header, as written (`["X_Odd"]` without the brackets).
    pub name: Ident,
    /// With which value; `None` for `remove`.
    pub value: Option<Operand>,
}

/// A value with what happens when it is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// The value.
    pub value: Spanned<Expr>,
    /// `if missing …`
    pub if_missing: Option<IfMissing>,
}

/// `if missing VALUE`, `if missing ANSWER`
#[derive(Clone, Debug, PartialEq)]
pub enum IfMissing {
    /// Another value.
    Value(Box<Operand>),
    /// An answer of the gateway's.
    Answer(Box<Spanned<Action>>),
}

/// What stands behind an arrow.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// `redirect [308] TARGET`
    Redirect {
        /// The status, where written.
        status: Option<Spanned<i64>>,
        /// Where to: a URL, a path or a text, as a template.
        to: Spanned<Template>,
    },
    /// `respond STATUS ["text" | file "path"] [type "text/plain"]`
    Respond {
        /// The status.
        status: Spanned<i64>,
        /// The body.
        body: Option<RespondBody>,
        /// The content type.
        content_type: Option<Spanned<Template>>,
    },
    /// `respond verdict`: what an `ask` said, passed on to the client.
    Relay {
        /// The `ask`, or the name of one.
        said: Spanned<Expr>,
    },
    /// `deny [403]`
    Deny {
        /// The status, where written.
        status: Option<Spanned<i64>>,
    },
    /// `login PROVIDER`, `logout PROVIDER`
    Visit {
        /// For what.
        does: VisitDoes,
        /// Whom.
        provider: Spanned<Name>,
    },
    /// `files "dir" [index "index.html"] [fallback /index.html] [at /{rest}]`
    Files {
        /// The directory, relative to the route file.
        dir: Spanned<String>,
        /// The index file's name.
        index: Option<Spanned<String>>,
        /// What is served when no file is found.
        fallback: Option<Spanned<Template>>,
        /// The path that is looked up, instead of the request's.
        at: Option<Spanned<Template>>,
    },
    /// `95% a, 5% b by KEY`
    Split {
        /// The shares. A percentage keeps its text (`2.5%`); the checker adds them up.
        shares: Vec<Share>,
        /// The key that makes it sticky.
        by: Option<Operand>,
    },
    /// `pool [at /path] [host NAME] [else ACTION]`, `tenants[tenant] else ACTION`, `https://…`
    Proxy {
        /// The destination: a name, an index into a table ([`Expr::Index`]), or a URL (refused by the checker).
        to: Spanned<Expr>,
        /// The new path.
        at: Option<Spanned<Template>>,
        /// The Host that is sent.
        host: Option<Spanned<Template>>,
        /// What answers when a table has no such key.
        otherwise: Option<Box<Spanned<Action>>>,
    },
}

/// The body of a `respond`.
#[derive(Clone, Debug, PartialEq)]
pub enum RespondBody {
    /// A text.
    Text(Spanned<Template>),
    /// A file's content.
    File(Spanned<String>),
}

/// One share of a split.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// In ten-thousandths: `2.5%` is 250.
    pub basis_points: Spanned<u32>,
    /// The pool.
    pub pool: Spanned<Name>,
}

/// `10.0.0.1:80 weight 3 backup`
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// The address.
    pub addr: Spanned<EndpointAddr>,
    /// `weight N`
    pub weight: Option<Spanned<i64>>,
    /// `backup`
    pub backup: bool,
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndpointAddr {
    /// `[http://|https://]host:port`
    Tcp {
        /// `true` for `https://`.
        tls: bool,
        /// An address or a DNS name. IPv6 without brackets.
        host: String,
        /// The port; `https://name` without one is 443, `http://name` 80.
        port: u16,
    },
    /// `unix:/run/app.sock`
    Unix(String),
    /// `srv _http._tcp.api.internal`
    Srv(String),
}

/// A dotted name, as `cookie.sid`, `header["X_Odd"]`, `auth.session`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// Its parts; `["X"]` is a part like any other. Never empty.
    pub parts: Vec<Ident>,
}

/// `name: value` or `value`
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// The parameter, where named.
    pub name: Option<Ident>,
    /// The value.
    pub value: Spanned<Expr>,
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CmpOp {
    /// `is`
    Is,
    /// `is not`
    IsNot,
    /// `in`
    In,
    /// `not in`
    NotIn,
    /// `has`
    Has,
    /// `matches`
    Matches,
    /// `starts with`
    StartsWith,
    /// `ends with`
    EndsWith,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// Expressions and values.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `a and b and c`
    And(Vec<Spanned<Expr>>),
    /// `a or b or c`
    Or(Vec<Spanned<Expr>>),
    /// `not a`
    Not(Box<Spanned<Expr>>),
    /// `a is b`
    Compare {
        /// Left side.
        left: Box<Spanned<Expr>>,
        /// Operator.
        op: Spanned<CmpOp>,
        /// Right side; [`Expr::Regex`] after `matches`.
        right: Box<Spanned<Expr>>,
    },
    /// `( … )`
    Paren(Box<Spanned<Expr>>),
    /// `"a string with {holes}"`
    Text(Template),
    /// A raw regular expression.
    Regex(String),
    /// `true`, `false`
    Bool(bool),
    /// `200`, `-1`, `2.5` (text kept: the checker decides)
    Number(String),
    /// `200..299`
    Range(i64, i64),
    /// In ten-thousandths: `5%` is 500.
    Percent(u32),
    /// Milliseconds.
    Duration(u64),
    /// Bytes.
    Size(u64),
    /// `100/s`, `10MB/s`
    Rate {
        /// How many (bytes for a size).
        count: u64,
        /// In how many seconds.
        seconds: u64,
        /// `true` when it counts bytes.
        bytes: bool,
    },
    /// `10.0.0.1`, `::1`
    Ip(IpAddr),
    /// `10.0.0.0/8`: address and prefix length, checked to be at most 32 or 128.
    Cidr(IpAddr, u8),
    /// `[a, b]`
    List(Vec<Spanned<Expr>>),
    /// `lower(x)`
    Call {
        /// The function.
        name: Spanned<Name>,
        /// Its arguments.
        args: Vec<Arg>,
    },
    /// `GET /tenants/{tenant}`
    Request {
        /// The method.
        method: Ident,
        /// The path.
        path: Template,
    },
    /// `https://host/path`
    Url(Template),
    /// `/path/{x}`
    Path(Template),
    /// `who.sub`, `GET`, `office`
    Name(Name),
    /// `tenants[tenant]`
    Index {
        /// The table.
        table: Ident,
        /// The key.
        key: Box<Spanned<Expr>>,
    },
}

/// A word of a setting: any value, or a thing that only settings say.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// A value or name.
    Value(Expr),
    /// `:443`, `10.0.0.1:443`
    Listen(ListenAddr),
    /// `**.acme.com`, `1and1.com`: a host that cannot be read as a name. `acme.com` and
    /// `ledger.internal` are [`Expr::Name`]s: only the setting knows that it takes a host.
    Host(HostPattern),
    /// `unix:/run/sluice.sock`
    Unix(String),
    /// `,`
    Comma,
    /// `=` in tests.
    Equals,
    /// `when` before a condition in `allow when …`; the next word is the condition.
    When,
}

/// Text with holes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    /// The parts, in order. No two texts are neighbours.
    pub parts: Vec<TemplatePart>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum TemplatePart {
    /// Literal text, escapes resolved.
    Text(String),
    /// `{name}` or `{call(…)}`
    Hole(Spanned<Expr>),
}

/// `app.example.com`, `{tenant}.example.com`, `**`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    /// Labels from left to right, literals in lower case.
    pub labels: Vec<Spanned<HostLabel>>,
}

/// One label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostLabel {
    /// `**`: one or more labels; alone: any host.
    DoubleStar,
    /// `*`: one label.
    Star,
    /// Literal text and captures.
    Parts(Vec<SegmentPart>),
}

/// `/u/{id}/*rest`, `./x`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    /// `./…`
    pub relative: bool,
    /// The segments.
    pub segments: Vec<Spanned<Segment>>,
    /// How it ends.
    pub tail: Tail,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    /// Literals (as written, `%` escapes included) and captures; no two literals are neighbours.
    pub parts: Vec<SegmentPart>,
}

/// A part of a segment or label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SegmentPart {
    /// Literal text.
    Lit(String),
    /// `{name:type}`
    Capture {
        /// Its name; `_` is kept as written.
        name: Ident,
        /// Its type.
        ty: CaptureType,
    },
}

/// What a capture takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CaptureType {
    /// No type was written.
    Any,
    /// `int`, `uuid`, …: one word.
    Named(Ident),
    /// `a|b`: two or more literals.
    Set(Vec<Ident>),
    /// `"[a-z]+"`: a raw regular expression over the whole value.
    Regex(Spanned<String>),
}

/// How a path pattern ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tail {
    /// After its last segment.
    None,
    /// With a slash, which distinguishes nothing (G2018).
    Slash,
    /// `/*` or `/*rest`
    Splat(Option<Ident>),
}
