//! Mistakes that belong to one item or statement.

use super::slips::did_you_mean;
use super::{Failed, first_word, meant};
use crate::diagnostic::Diagnostic;
use crate::syntax::build::Place;
use crate::syntax::grammar::Rule;
use crate::syntax::words::{ANSWERS, ITEMS, OPERATORS, STATEMENTS};

pub(super) fn explain(f: &Failed<'_>) -> Option<Diagnostic> {
    let places: [fn(&Failed<'_>) -> Option<Diagnostic>; 16] = [
        unknown_item,
        item_in_block,
        unknown_statement,
        answer_without_arrow,
        hosts,
        empty_capture,
        path,
        body,
        header,
        action,
        missing_quotes,
        pool,
        gateway,
        module,
        gets,
        reserved_name,
    ];
    places.iter().find_map(|place| place(f))
}

/// What other gateways call our items.
const FOREIGN: [(&str, &str); 14] = [
    ("server", "site"),
    ("host", "site"),
    ("vhost", "site"),
    ("domain", "site"),
    ("upstream", "pool"),
    ("backend", "pool"),
    ("cluster", "pool"),
    ("include", "import"),
    ("var", "let"),
    ("const", "let"),
    ("map", "table"),
    ("snippet", "policy"),
    ("function", "policy"),
    ("global", "gateway"),
];

fn unknown_item(f: &Failed<'_>) -> Option<Diagnostic> {
    if f.context.place.is_some() || ITEMS.contains(&f.head) {
        return None;
    }
    let word = f.head;
    let start = f.text.len() - f.text.trim_start().len();
    let range = start..start + word.len().max(1);
    let text = f.text.trim_start();
    let in_site = |what: &str| {
        let error = f.error(range.clone(), format!("{what} stands inside a `site` block"));
        Some(error.help("give it a site", "site app.example.com {", None))
    };
    if text.starts_with("->") {
        return in_site("an arrow");
    }
    if text.starts_with(['/', '.', '{', '*']) {
        return in_site("a path");
    }
    if STATEMENTS.contains(&word) || ANSWERS.contains(&word) {
        return in_site(&format!("`{word}`"));
    }
    if word.is_empty() {
        let found = if f.found.is_empty() {
            text.chars().next().map(String::from).unwrap_or_default()
        } else {
            f.found.to_owned()
        };
        return Some(f.error(range, format!("expected an item such as `site` or `pool`, found `{found}`")));
    }
    let foreign = FOREIGN.iter().find(|(theirs, _)| *theirs == word).map(|(_, ours)| *ours);
    Some(match meant(word, &ITEMS).or(foreign) {
        Some(item) => {
            let error = f.error(range.clone(), format!("unknown item `{word}`; did you mean `{item}`?"));
            error.help("write", item, f.edit(range, item, true))
        }
        None => f.error(range, format!("unknown item `{word}`")).note(format!("the items are {}", ITEMS.join(", "))),
    })
}

/// `pool x = …` inside a site.
fn item_in_block(f: &Failed<'_>) -> Option<Diagnostic> {
    let place = f.context.place?;
    let is_item = ITEMS.contains(&f.head) && f.head != "let";
    if !is_item || place == Place::Test || f.text.trim_start()[f.head.len()..].trim_start().starts_with("->") {
        return None;
    }
    let start = f.text.len() - f.text.trim_start().len();
    let error = f.error(
        start..start + f.head.len(),
        format!("`{}` is an item: it stands at the top of the file, not in a block", f.head),
    );
    Some(error)
}

fn unknown_statement(f: &Failed<'_>) -> Option<Diagnostic> {
    if !matches!(f.context.place?, Place::Http | Place::Bytes) || f.head.is_empty() || STATEMENTS.contains(&f.head) {
        return None;
    }
    let start = f.text.len() - f.text.trim_start().len();
    let range = start..start + f.head.len();
    let word = meant(f.head, &STATEMENTS)?;
    let message = format!("unknown statement `{}`; did you mean `{word}`?", f.head);
    let mut error = f.error(range.clone(), message).help("write", word, f.edit(range, word, true));
    error.code = "G1001";
    Some(error)
}

fn answer_without_arrow(f: &Failed<'_>) -> Option<Diagnostic> {
    if !matches!(f.context.place?, Place::Http | Place::Bytes) {
        return None;
    }
    let start = f.text.len() - f.text.trim_start().len();
    if ANSWERS.contains(&f.head) {
        let paste = format!("-> {}", f.with(0..start, ""));
        let error =
            f.error(start..start + f.head.len(), format!("`{}` is an answer: it stands behind an arrow", f.head));
        return Some(error.help("write", paste, f.edit(start..start, "-> ", false)));
    }
    if f.found != "->" || f.head.is_empty() || STATEMENTS.contains(&f.head) {
        return None;
    }
    if f.before.trim_start() == f.head {
        let error = f
            .error(start..f.before.len(), format!("expected a path, `when` or `else` before `->`, found `{}`", f.head));
        return Some(error.help(
            "a path begins with a slash",
            f.with(start..start, "/"),
            f.edit(start..start, "/", false),
        ));
    }
    Some(f.error(f.found_range(), "an arrow begins a statement of its own").help(
        "begin a new line before",
        "->",
        f.edit(f.before.len()..f.at, "\n", false),
    ))
}

fn hosts(f: &Failed<'_>) -> Option<Diagnostic> {
    if f.context.place.is_some() || !matches!(f.head, "site" | "passthrough") {
        return None;
    }
    let keyword = f.head.len();
    if f.before.len() <= keyword && (f.found.is_empty() || f.found == "{") || f.expects(Rule::ident) && f.found == "}" {
        let error = f.error(f.at.min(keyword)..keyword, format!("expected a host after `{}`", f.head));
        return Some(error.help("for example", format!("{} app.example.com {{", f.head), None));
    }
    if f.found.starts_with('"') {
        let bare = f.found.trim_matches('"');
        return Some(f.instead(f.found_range(), "a host stands without quotes", "write", bare));
    }
    let glued = f.text[..f.at].ends_with(|c: char| !c.is_whitespace());
    if f.before.ends_with("http") || f.before.ends_with("https") {
        let start = f.before.rfind(|c: char| c.is_whitespace()).map_or(0, |n| n + 1);
        let end = f.at + f.rest.find(|c: char| c.is_whitespace()).unwrap_or(f.rest.len());
        let host = f.text[start..end].trim_start_matches(|c| c != '/').trim_start_matches('/');
        let host = host.split(['/', ':']).next().unwrap_or_default();
        return Some(f.instead(start..end, format!("a {} names hosts, without a scheme", f.head), "write", host));
    }
    if glued && f.found.starts_with(':') {
        let error = f.error(f.found_range(), format!("a {} names hosts, without a port", f.head));
        let error = error.help("leave it out", "", f.edit(f.found_range(), "", false));
        return Some(error.note("ports are the gateway's: `http` and `https` in `gateway.route`"));
    }
    if f.found.starts_with('/') {
        let error = f.error(f.found_range(), format!("a {} names hosts; its paths stand in its block", f.head));
        return Some(error.help("leave it out", "", f.edit(f.found_range(), "", false)));
    }
    if !f.found.is_ascii() {
        let error = f.error(f.found_range(), "a host has letters, digits, hyphens and dots only");
        return Some(error.help("write the name as DNS has it, in its `xn--` form", "", None));
    }
    if f.found.starts_with('.') || f.text[..f.at].ends_with('.') {
        let at = if f.found.starts_with('.') { f.at } else { f.at - 1 };
        return Some(f.error(at..at + 1, "a label of this host is empty"));
    }
    if f.head == "site" && f.found == "->" {
        let error = f.error(f.found_range(), "a `site` has a block");
        let paste = format!("{} {{ {} }}", f.before.trim(), f.rest.trim());
        return Some(error.help("write", paste, None));
    }
    if f.expects(Rule::block) && !glued && f.found.starts_with(|c: char| c.is_alphanumeric() || c == '*') {
        let end = f.before.len();
        let error = f.error(f.found_range(), format!("expected `,` or `{{` after the host, found {}", f.found_words()));
        return Some(error.help("hosts stand apart by commas", f.with(end..end, ","), f.edit(end..end, ",", false)));
    }
    None
}

/// `/v/{} -> a`: read as a block, because it is no capture.
fn empty_capture(f: &Failed<'_>) -> Option<Diagnostic> {
    let start = f.before.strip_suffix('}')?.rfind('{')?;
    let glued = f.text[..start].ends_with(|c: char| !c.is_whitespace());
    (glued && f.found == "->" && f.text.trim_start().starts_with(['/', '.']))
        .then(|| capture_error(f, start..f.before.len()))
}

/// What a bare path cannot hold.
fn path(f: &Failed<'_>) -> Option<Diagnostic> {
    let text = f.text.trim_start();
    if !text.starts_with(['/', '.']) || !f.text[..f.at].ends_with(|c: char| !c.is_whitespace()) {
        return None;
    }
    // Still inside the patterns: behind them stand blanks.
    let before = f.before.trim_start();
    if before.split(',').any(|pattern| pattern.trim().contains([' ', '\t'])) {
        return None;
    }
    let first = f.rest.chars().next()?;
    let range = f.at..f.at + first.len_utf8();
    Some(match first {
        '?' => {
            let error = f.error(range, "a path pattern has no query");
            error.help("ask for it in the condition", "when query.name is \"value\"", None)
        }
        '*' => {
            let error = f.error(range.clone(), "`*` stands alone, as the last segment");
            error.help("write", "/*", f.edit(range, "/*", false))
        }
        '/' if f.before.ends_with('*') || f.expects(Rule::ident) => {
            f.error(f.at - 1..f.at, "`*` stands alone, as the last segment").help(
                "for one segment in the middle write a capture, such as",
                "{name}",
                f.edit(f.at - 1..f.at, "{_}", false),
            )
        }
        '/' => {
            let error = f.error(range.clone(), "an empty segment: paths are canonical, `//` never arrives");
            error.help("leave one slash out", "", f.edit(range, "", true))
        }
        '{' | '}' | '|' => self::capture(f),
        _ if f.expects(Rule::ident) || f.expects(Rule::choice) || f.expects(Rule::end_of_hole) => self::capture(f),
        _ if f.found == "->" => return None,
        _ => {
            let escape: String = first.to_string().bytes().map(|b| format!("%{b:02X}")).collect();
            let error = f.error(range.clone(), format!("a bare path holds no `{first}`"));
            error.help("write its escape", escape.clone(), f.edit(range, escape, false))
        }
    })
}

fn capture(f: &Failed<'_>) -> Diagnostic {
    // The brace may be what was found, so what was found is looked at too: one character, not one byte.
    let found = f.text[f.at..].chars().next().map_or(0, char::len_utf8);
    let start = f.text[..f.at + found].rfind('{').unwrap_or(f.at);
    let end = f.text[start..]
        .find('}')
        .map_or_else(|| start + f.text[start..].chars().next().map_or(0, char::len_utf8), |n| start + n + 1);
    capture_error(f, start..end)
}

fn capture_error(f: &Failed<'_>, range: std::ops::Range<usize>) -> Diagnostic {
    let error = f.error(range, "a capture is a name, and perhaps a type");
    error.help("for example", "{id}", None).help("or", "{id:int}", None).help("or, for literals", "{lang:de|en}", None)
}

/// `->` or `{` is missing.
fn body(f: &Failed<'_>) -> Option<Diagnostic> {
    if !f.expects_body() {
        return None;
    }
    let after = match f.head {
        "else" if !f.before.contains(' ') => "`else`",
        "catch" => "the statuses",
        "passthrough" => "the host",
        "tcp" | "udp" => "the address",
        _ if f.expects(Rule::k_and) || f.expects(Rule::k_or) || f.expects(Rule::operator) => "the condition",
        _ if f.text.trim_start().starts_with(['/', '.']) => "the path",
        _ => "this",
    };
    let error = f.error(f.found_range(), format!("expected `->` or `{{` after {after}, found {}", f.found_words()));
    if f.found.is_empty() {
        let end = f.before.len();
        return Some(error.help(
            "say where it leads",
            format!("{} -> POOL", f.before.trim()),
            f.edit(end..end, " -> POOL", false).filter(|_| false),
        ));
    }
    if f.found.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Some(error.help("write", f.with(f.at..f.at, "-> "), f.edit(f.at..f.at, "-> ", true)));
    }
    Some(error)
}

fn header(f: &Failed<'_>) -> Option<Diagnostic> {
    if !matches!(f.head, "set" | "add" | "remove") {
        return None;
    }
    if f.expects(Rule::side) {
        let error = f.error(
            f.found_range(),
            format!("expected `request` or `response` after `{}`, found {}", f.head, f.found_words()),
        );
        return Some(match meant(f.found, &["request", "response"]) {
            Some(_) => did_you_mean(f, error, &["request", "response"]),
            None => {
                error.help("say which message", f.with(f.at..f.at, "request "), f.edit(f.at..f.at, "request ", false))
            }
        });
    }
    if f.expects(Rule::k_header) {
        let error = f.error(f.found_range(), format!("expected `header`, found {}", f.found_words()));
        return Some(error.help("write", f.with(f.at..f.at, "header "), f.edit(f.at..f.at, "header ", true)));
    }
    if f.head == "remove" && f.found == "=" {
        return Some(f.error(f.at..f.text.trim_end().len(), "`remove` takes no value"));
    }
    if f.expects(Rule::gets) && f.found == ":" {
        return Some(f.instead(f.found_range(), "a header is set with `=`, not `:`", "write", "="));
    }
    None
}

/// Parts of an action.
fn action(f: &Failed<'_>) -> Option<Diagnostic> {
    let tail = f.before.trim_end();
    let last = tail.rsplit([' ', '\t']).next().unwrap_or_default();
    if last == "respond" && f.expects(Rule::literal) {
        let error = f.error(f.found_range(), format!("`respond` begins with a status, found {}", f.found_words()));
        return Some(error.help("write", f.with(f.at..f.at, "200 "), f.edit(f.at..f.at, "200 ", false)));
    }
    let status = last.bytes().all(|b| b.is_ascii_digit());
    let before_status = tail.strip_suffix(last).unwrap_or_default().trim_end();
    if last == "redirect" || status && before_status.ends_with("redirect") {
        let error =
            f.error(f.found_range(), format!("`redirect` leads to a path, a URL or a text, found {}", f.found_words()));
        return Some(match f.found {
            "permanent" => error.help("write", "308", f.edit(f.found_range(), "308", false)),
            "temporary" => error.help("write", "307", f.edit(f.found_range(), "307", false)),
            found if found.contains('.') => error.help(
                "a URL begins with its scheme",
                format!("https://{found}"),
                f.edit(f.at..f.at, "https://", false),
            ),
            _ => error.help("for example", "redirect 308 /new", None),
        });
    }
    if f.expects(Rule::simple) || f.expects(Rule::action) || f.expects(Rule::proxy) {
        let error =
            f.error(f.found_range(), format!("expected a pool or an answer after `->`, found {}", f.found_words()));
        return Some(error.help("for example", "-> respond 404", None));
    }
    if f.expects(Rule::share) || f.before.ends_with(',') && f.expects(Rule::literal) {
        let error = f.error(f.found_range(), format!("expected a share such as `5%`, found {}", f.found_words()));
        return Some(error);
    }
    if f.expects(Rule::k_by) && f.found.ends_with('%') {
        let end = f.before.len();
        let error = f.error(f.found_range(), format!("expected `,` between shares, found {}", f.found_words()));
        return Some(error.help("write", f.with(end..end, ","), f.edit(end..end, ",", true)));
    }
    if f.expects(Rule::regex) {
        let error = f.error(
            f.found_range(),
            format!("`matches` takes a regular expression in quotes, found {}", f.found_words()),
        );
        return Some(error.help("for example", "matches \"[a-z]+\"", None));
    }
    if f.found == "as" && f.expects(Rule::k_host) {
        return Some(f.instead(f.found_range(), "the Host that is sent is named with `host`", "write", "host"));
    }
    None
}

/// A text without its quotes.
fn missing_quotes(f: &Failed<'_>) -> Option<Diagnostic> {
    if !f.found.starts_with(|c: char| c.is_alphanumeric() || c == '/' || c == '.') {
        return None;
    }
    // `set request header x = hello world`
    let value = matches!(f.head, "set" | "add") && f.expects(Rule::k_if);
    let start = if value {
        let equals = f.text.find('=')? + 1;
        equals + (f.text[equals..].len() - f.text[equals..].trim_start().len())
    } else {
        f.at
    };
    if f.text[start..].starts_with('"') {
        return None;
    }
    let texts = [Rule::string, Rule::quoted, Rule::content_type];
    if !value && !texts.iter().any(|rule| f.expects(*rule)) {
        return None;
    }
    let line = f.text[start..].split('\n').next().unwrap_or_default();
    let stop = [" type ", " else ", " if missing ", " {", " index ", " fallback "]
        .iter()
        .filter_map(|stop| line.find(stop))
        .min();
    let bare = line[..stop.unwrap_or(line.len())].trim_end();
    Some(f.instead(
        start..start + bare.len(),
        format!("the text `{bare}` needs double quotes"),
        "write",
        &format!("\"{bare}\""),
    ))
}

fn pool(f: &Failed<'_>) -> Option<Diagnostic> {
    if f.context.place == Some(Place::Pool) {
        return endpoint(f);
    }
    if f.context.place.is_some() || f.head != "pool" {
        return None;
    }
    let quoted = f.found.starts_with('"');
    if f.expects(Rule::short_address) && quoted {
        return Some(f.instead(
            f.found_range(),
            "an endpoint stands without quotes",
            "write",
            f.found.trim_matches('"'),
        ));
    }
    if f.expects(Rule::gets) && f.expects(Rule::pool_block) {
        let error =
            f.error(f.found_range(), format!("expected `=` or `{{` after the pool's name, found {}", f.found_words()));
        return Some(match f.found {
            ":" | ":=" => error.help("write", "=", f.edit(f.found_range(), " =", true)),
            _ => error.help("for example", format!("{} = 10.0.0.1:80", f.before.trim()), None),
        });
    }
    if f.expects(Rule::k_weight) && f.found.contains([':', '.']) {
        let end = f.before.len();
        let error = f.error(f.found_range(), format!("expected `,` between endpoints, found {}", f.found_words()));
        return Some(error.help("write", f.with(end..end, ","), f.edit(end..end, ",", true)));
    }
    if f.expects(Rule::k_weight) {
        return weight(f);
    }
    None
}

fn endpoint(f: &Failed<'_>) -> Option<Diagnostic> {
    if f.expects(Rule::k_weight) {
        if f.found == "," {
            let error = f.error(f.found_range(), "in a block, each endpoint stands on a line of its own");
            return Some(error.help("begin a new line instead of", ",", f.edit(f.found_range(), "\n", false)));
        }
        return weight(f);
    }
    let text = f.text.trim();
    if matches!(f.head, "server" | "endpoint" | "address" | "upstream") && text.contains(' ') {
        let rest = text[f.head.len()..].trim();
        let start = f.text.len() - f.text.trim_start().len();
        let error = f.error(start..start + f.head.len(), "an endpoint is its address alone");
        return Some(error.help("write", rest, None));
    }
    let bare = text.split([' ', '\t']).next().unwrap_or_default();
    if bare.contains('.') && !bare.contains(['/', ':', '(']) {
        let start = f.text.len() - f.text.trim_start().len();
        let range = start..start + bare.len();
        let error = f.error(range, format!("the endpoint `{bare}` has no port"));
        return Some(error.help("say which one, such as", format!("{bare}:80"), None));
    }
    if text.starts_with("->") || text.starts_with('/') {
        return Some(f.error(f.found_range(), "a pool has endpoints and settings; routes stand in a `site`"));
    }
    None
}

fn weight(f: &Failed<'_>) -> Option<Diagnostic> {
    let error = f.error(
        f.found_range(),
        format!("expected `weight`, `backup` or the end of the line, found {}", f.found_words()),
    );
    Some(did_you_mean(f, error, &["weight", "backup"]))
}

fn gateway(f: &Failed<'_>) -> Option<Diagnostic> {
    if f.context.place.is_none() && f.head == "gateway" && f.expects(Rule::block) {
        let error = f.error(f.found_range(), format!("expected `{{` after `gateway`, found {}", f.found_words()));
        return Some(error.help("write", "gateway {", None));
    }
    None
}

fn module(f: &Failed<'_>) -> Option<Diagnostic> {
    if f.head != "import" || f.context.place.is_some() {
        return None;
    }
    if f.expects(Rule::module) && f.found.starts_with('"') {
        let bare = f.found.trim_matches('"');
        return Some(f.instead(
            f.found_range(),
            "a module stands without quotes",
            "write",
            bare.strip_suffix(".route").unwrap_or(bare),
        ));
    }
    if f.expects(Rule::k_as) && f.found.starts_with('.') {
        let start = f.before.rfind([' ', '\t']).map_or(0, |n| n + 1);
        let end = f.at + f.found.len();
        let written = &f.text[start..end];
        let path = written.strip_suffix(".route").map_or(written.replace('.', "/"), str::to_owned);
        return Some(f.instead(start..end, format!("`{written}` is not a module"), "write", &path));
    }
    None
}

/// `let x 5`
fn gets(f: &Failed<'_>) -> Option<Diagnostic> {
    if !f.expects(Rule::gets) || f.found.is_empty() || f.expects(Rule::end_of_group) {
        return None;
    }
    let error = f.error(f.found_range(), format!("expected `=` before {}", f.found_words()));
    Some(match f.found {
        ":" | ":=" | "==" => {
            f.instead(f.found_range(), format!("expected `=`, found {}", f.found_words()), "write", "=")
        }
        _ => error.help("write", f.with(f.at..f.at, "= "), f.edit(f.at..f.at, "= ", true)),
    })
}

/// `-> else`, `pool else = …`: a word that cannot be a name.
fn reserved_name(f: &Failed<'_>) -> Option<Diagnostic> {
    let word = first_word(f.rest);
    let reserved = OPERATORS.contains(&word);
    if reserved && f.expects_value() {
        return Some(f.error(f.found_range(), format!("expected a value, found the word `{word}`")));
    }
    None
}
