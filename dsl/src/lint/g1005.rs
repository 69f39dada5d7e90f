//! ## What
//!
//! A value of one type stands where another is taken.
//!
//! ## Why
//!
//! The language has no conversions: what is compared, passed or written must agree in type.
//!
//! ## Wrong
//!
//! ```route
//! import std/auth
//!
//! site a.example.com {
//!     use auth.only-from(5m)
//!     else -> respond 200 "in"
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! import std/auth
//!
//! site a.example.com {
//!     use auth.only-from([10.0.0.0/8])
//!     else -> respond 200 "in"
//! }
//! ```

use super::replace;
use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;

/// `what` (such as: name takes) wants one type and got another.
pub(crate) fn wrong(loc: Loc, what: &str, want: &str, found: &str) -> Diagnostic {
    Diagnostic::error("G1005", loc, format!("{what} {want}, this is {found}"))
}

/// Two sides of a comparison; `network` when an address is compared with a whole network.
pub(crate) fn compared(loc: Loc, left: &str, right: &str, network: bool) -> Diagnostic {
    let d = Diagnostic::error("G1005", loc, format!("{left} is compared with {right}"));
    if network { d.help("an address lies in a network: write `in`", "", None) } else { d }
}

/// A function named without its arguments.
pub(crate) fn needs_arguments(loc: Loc, name: &str) -> Diagnostic {
    Diagnostic::error("G1005", loc, format!("`{name}` is a function: call it with its arguments"))
}

/// `2.5` where only whole numbers exist.
pub(crate) fn not_whole(loc: Loc, text: &str) -> Diagnostic {
    Diagnostic::error("G1005", loc, format!("`{text}` is no whole number"))
}

/// `10.0.0.1/8`: an address with a length.
pub(crate) fn host_bits(loc: Loc, net: ipnet::IpNet) -> Diagnostic {
    let right = net.trunc().to_string();
    Diagnostic::error("G1005", loc, format!("`{net}` is an address inside a network; the network is `{right}`"))
        .help("write the network", right.clone(), replace(loc, &right, false))
        .help("or the address alone", net.addr().to_string(), None)
}

/// `GET /path` outside `ask`.
pub(crate) fn request_alone(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1005", loc, "a request is no value: only `ask` takes one")
}

/// `respond x`, where `x` is neither a status nor an `ask`.
pub(crate) fn nothing_said(loc: Loc, found: &str) -> Diagnostic {
    let message = format!("`respond` takes a status, or an `ask` whose answer is passed on; this is {found}");
    Diagnostic::error("G1005", loc, message)
        .help("name one `ask`, and nothing else, as in", "let verdict = ask(auth, GET /check)", None)
        .help("then", "require verdict else respond verdict", None)
        .help("or answer with a status", "respond 401", None)
}

/// A value that cannot be a condition.
pub(crate) fn no_condition(loc: Loc, ty: &str, always_there: bool) -> Diagnostic {
    if always_there {
        Diagnostic::error("G1005", loc, format!("a condition is needed; this is {ty} that is never missing"))
            .help("compare it with something: `is`, `in`, `starts with`, `matches`", "", None)
    } else {
        Diagnostic::error("G1005", loc, format!("a condition is needed, this is {ty}"))
    }
}

/// A text that no host can be.
pub(crate) fn never_host(loc: Loc, text: &str) -> Diagnostic {
    Diagnostic::error("G1005", loc, format!("`{text}` is no host"))
}

/// A text that is the code of no country.
pub(crate) fn never_country(loc: Loc, text: &str) -> Diagnostic {
    let d = Diagnostic::error("G1005", loc, format!("`client.country` is never `{text}`: it is two capital letters"));
    let capitals = text.to_ascii_uppercase();
    let fits = capitals.len() == 2 && capitals.bytes().all(|b| b.is_ascii_uppercase());
    let code = if fits { capitals } else { "DE".to_owned() };
    d.help("write the code of a country (ISO 3166-1), as in", format!("\"{code}\""), None)
}

/// The right side of `in`.
pub(crate) fn in_takes_list(loc: Loc, found: &str) -> Diagnostic {
    Diagnostic::error("G1005", loc, format!("`in` takes a list, this is {found}"))
        .help("put it in brackets, as in `in [a, b]`", "", None)
}

/// `<` on what has no order.
pub(crate) fn no_order(loc: Loc, left: &str, right: &str) -> Diagnostic {
    Diagnostic::error("G1005", loc, format!("only numbers and sizes have an order; this compares {left} with {right}"))
}

/// `lower(x) matches …`
pub(crate) fn lower_matches(loc: Loc, pattern: &str) -> Diagnostic {
    Diagnostic::error("G1005", loc, "`matches` reads a part of the request as it is, without `lower`")
        .help("let the expression ignore case", format!("\"(?i){pattern}\""), None)
}

/// A type's name that is none.
pub(crate) fn no_type(loc: Loc, name: &str, near: Option<&str>) -> Diagnostic {
    match near {
        Some(near) => Diagnostic::error("G1005", loc, format!("no type named `{name}`; did you mean `{near}`?"))
            .help("did you mean", near, replace(loc, near, true)),
        None => Diagnostic::error("G1005", loc, format!("no type named `{name}`")),
    }
}

/// Two secrets.
pub(crate) fn secrets(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1005", loc, "a secret is compared with a text of the request, this compares two secrets")
}

/// `local-path(…)` in a condition, a key or a text.
pub(crate) fn local_path_here(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1005", loc, "`local-path` stands where a path does: in a redirect, behind `at`, in a header")
}

/// `/x/{local-path(…)}`
pub(crate) fn second_slash(loc: Loc) -> Diagnostic {
    Diagnostic::error("G1005", loc, "a local path begins with its own `/`; nothing but a host or a path without a slash at its end stands before it")
}
