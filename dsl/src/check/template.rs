//! Templates at their places: every hole is encoded for where it stands (LANGUAGE rules 10, 11, 24, 25).

use super::ty::Ty;
use super::val::{TplPart, Val, With};
use super::{Checker, Env};
use crate::lint;
use crate::syntax::ast::{IfMissing, Operand, Template};
use crate::syntax::span::{Loc, Spanned};
use crate::tree::ir::{Answer, Capture, Cond, Encode, Field, Missing, Part, Test, Value};

/// Where a text made of the request is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A header's value.
    Header,
    /// The body of a `respond`.
    Body,
    /// A key.
    Key,
    /// The target of a redirect.
    Redirect,
    /// The path after `at`, and the fallback of `files`.
    Path,
    /// The Host that is sent.
    Host,
}

/// What an operand with its `if missing` comes to.
#[derive(Clone, Debug)]
pub(super) enum Made {
    /// A value, there whenever it is asked for.
    Value(Value),
    /// Where `needs` are all there the value, else the other one.
    Either {
        /// Fields that the value needs.
        needs: Vec<Field>,
        /// What it is then.
        value: Value,
        /// What it is otherwise.
        otherwise: Box<Made>,
    },
    /// The answer of `if missing`, always.
    Answer(Answer),
    /// Reported.
    Broken,
}

/// A template once its constants are folded.
pub(super) enum Flat {
    Text(String),
    Hole { field: Field, ty: Ty, optional: bool, implied: bool, with: With, loc: Loc },
    Absent(Loc),
}

/// Where in a URL the next part stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spot {
    Scheme,
    Authority,
    Path,
    Query,
    Fragment,
}

impl<'a> Checker<'a> {
    /// A template without `if missing`: every hole must be there.
    pub(super) fn template(
        &mut self,
        t: &Spanned<Template>,
        ty: Ty,
        place: Place,
        env: &Env,
        known: &[Field],
    ) -> Option<Value> {
        let loc = self.at(env, t.span);
        let val = self.template_val(&t.node, ty, env);
        self.place(&val, place, known, loc)
    }

    /// A value at its place, every hole there.
    pub(super) fn place(&mut self, val: &Val, place: Place, known: &[Field], loc: Loc) -> Option<Value> {
        let flat = self.flatten(val, loc, known)?;
        let mut missing = false;
        for part in &flat {
            match part {
                Flat::Hole { optional: true, loc, field: Field::Capture(_), .. } => {
                    missing = true;
                    self.report(lint::g1012::absent(*loc));
                }
                Flat::Hole { optional: true, loc, field, .. } => {
                    missing = true;
                    let d = lint::g1012::hole(*loc, &source_name(field), place == Place::Header);
                    self.report(d);
                }
                Flat::Absent(loc) => {
                    missing = true;
                    self.report(lint::g1012::absent(*loc));
                }
                Flat::Text(_) | Flat::Hole { .. } => {}
            }
        }
        if missing {
            return None;
        }
        self.encode(&flat, place, loc, None)
    }

    /// A key or header value with its `if missing`.
    pub(super) fn operand(&mut self, op: &Operand, place: Place, env: &Env, known: &[Field]) -> Made {
        let loc = self.at(env, op.value.span);
        let val = self.eval(&op.value, env, Some(&Ty::Text));
        let Some(flat) = self.flatten(&val, loc, known) else {
            if let Some(IfMissing::Value(next)) = &op.if_missing {
                self.operand(next, place, env, known);
            }
            return Made::Broken;
        };
        let optional: Vec<Field> = flat
            .iter()
            .filter_map(|p| match p {
                Flat::Hole { field, optional: true, .. } => Some(field.clone()),
                Flat::Hole { .. } | Flat::Text(_) | Flat::Absent(_) => None,
            })
            .collect();
        let absent = flat.iter().any(|p| matches!(p, Flat::Absent(_)));
        match &op.if_missing {
            None if optional.is_empty() && !absent => match self.encode(&flat, place, loc, None) {
                Some(value) => Made::Value(value),
                None => Made::Broken,
            },
            None => {
                let name = optional.first().map_or_else(|| "this capture".to_owned(), source_name);
                let own = loc.file == self.linked.modules[0].file;
                let written = self.text.get(loc.span.range()).filter(|_| own).unwrap_or(&name).to_owned();
                self.report(match place {
                    Place::Key => lint::g1012::key(loc, &name, &written),
                    Place::Header | Place::Body | Place::Redirect | Place::Path | Place::Host => {
                        lint::g1012::header(loc, &name, &written)
                    }
                });
                Made::Broken
            }
            Some(IfMissing::Value(next)) => {
                let otherwise = self.operand(next, place, env, known);
                if absent {
                    return otherwise;
                }
                if let (true, Made::Value(value)) = (flat.len() == 1 && optional.len() == 1, &otherwise) {
                    let settled = Missing::Value(value.clone());
                    return match self.encode(&flat, place, loc, Some(&settled)) {
                        Some(value) => Made::Value(value),
                        None => Made::Broken,
                    };
                }
                match self.encode(&flat, place, loc, None) {
                    Some(value) if optional.is_empty() => Made::Value(value),
                    Some(value) => Made::Either { needs: optional, value, otherwise: Box::new(otherwise) },
                    None => Made::Broken,
                }
            }
            Some(IfMissing::Answer(action)) => {
                let Some(answer) = self.own_answer(action, env, known) else { return Made::Broken };
                if absent {
                    return Made::Answer(answer);
                }
                let settled = Missing::Answer(answer);
                match self.encode(&flat, place, loc, Some(&settled)) {
                    Some(value) => Made::Value(value),
                    None => Made::Broken,
                }
            }
        }
    }

    /// Parts, constants folded. `None` when something about them was reported.
    pub(super) fn flatten(&mut self, val: &Val, loc: Loc, known: &[Field]) -> Option<Vec<Flat>> {
        let mut out = Vec::new();
        match val {
            Val::Template(_, parts) => {
                for part in parts {
                    match part {
                        TplPart::Text(t) => out.push(Flat::Text(t.clone())),
                        TplPart::Hole(val, loc) => out.push(self.flat_hole(val, *loc, known)?),
                    }
                }
            }
            val if self.is_pool_of_row(val, loc) => return None,
            Val::Secret(_) => {
                self.report(lint::g3015::leaves(loc));
                return None;
            }
            Val::Field { ty: Ty::Claims, .. } => {
                self.report(lint::g1005::wrong(loc, "this place takes", &Ty::Text.noun(), &Ty::Claims.noun()));
                return None;
            }
            Val::Field { .. } | Val::Absent(_) => out.push(self.flat_hole(val, loc, known)?),
            Val::Opaque(ty, _) => {
                if *ty == Ty::Secret {
                    self.report(lint::g3015::leaves(loc));
                }
                return None;
            }
            other => match other.as_text() {
                Some(text) => out.push(Flat::Text(text.to_string())),
                None => {
                    let found = other.ty().0.noun();
                    self.report(lint::g1005::wrong(loc, "this place takes", &Ty::Text.noun(), &found));
                    return None;
                }
            },
        }
        Some(out)
    }

    fn flat_hole(&mut self, val: &Val, loc: Loc, known: &[Field]) -> Option<Flat> {
        match val {
            Val::Field { field, ty, optional, with } => {
                let missing = *optional && !known.contains(field);
                // Behind a `require` of its token a claim stands without `if missing`: a token that lacks
                // it is refused there.
                let implied = missing
                    && matches!(field, Field::Claim(call, _)
                        if known.iter().any(|known| matches!(known, Field::Call(asked, _) if asked == call)));
                Some(Flat::Hole {
                    field: field.clone(),
                    ty: ty.clone(),
                    optional: missing && !implied,
                    implied,
                    with: *with,
                    loc,
                })
            }
            Val::Absent(_) => Some(Flat::Absent(loc)),
            // Folded into text, or reported, when the template was evaluated.
            _ => None,
        }
    }

    fn encode(&mut self, flat: &[Flat], place: Place, loc: Loc, settled: Option<&Missing>) -> Option<Value> {
        let local = flat.iter().find_map(|part| match part {
            Flat::Hole { with, loc, .. } if with.local => Some(*loc),
            Flat::Hole { .. } | Flat::Text(_) | Flat::Absent(_) => None,
        });
        if let (Some(at), Place::Body | Place::Key | Place::Host) = (local, place) {
            self.report(lint::g1005::local_path_here(at));
            return None;
        }
        let mut value = match place {
            Place::Header => {
                for part in flat {
                    if let Flat::Text(t) = part
                        && t.bytes().any(|b| b.is_ascii_control() && b != b'\t')
                    {
                        self.report(lint::g1027::control(loc));
                        return None;
                    }
                }
                Some(simple(flat, Encode::Header, settled))
            }
            Place::Body | Place::Key => Some(simple(flat, Encode::Plain, settled)),
            Place::Redirect => self.redirect(flat, loc),
            Place::Path => self.new_path(flat, loc),
            Place::Host => self.new_host(flat, loc),
        }?;
        imply(flat, &mut value);
        Some(value)
    }

    /// `local-path(…)` in a URL: it begins a path, and may end in a query.
    fn local_hole(&mut self, field: &Field, spot: Spot, before: &[Part], loc: Loc) -> Option<Part> {
        let slash = matches!(before.last(), Some(Part::Text(text)) if text.ends_with('/'));
        let begins = matches!(
            (spot, before.last()),
            (Spot::Path, None) | (Spot::Authority, Some(_)) | (Spot::Path, Some(Part::Text(_)))
        );
        if slash || !begins {
            self.report(if slash { lint::g1005::second_slash(loc) } else { lint::g1005::local_path_here(loc) });
            return None;
        }
        Some(hole(field, With::default(), Encode::LocalPath, None))
    }

    /// The target of a redirect: a path of this host, or a URL whose authority the client cannot choose.
    fn redirect(&mut self, flat: &[Flat], loc: Loc) -> Option<Value> {
        let mut spot = match flat.first() {
            Some(Flat::Text(t)) if t.starts_with("https://") || t.starts_with("http://") => Spot::Scheme,
            Some(Flat::Text(t)) if t.starts_with("//") || t.starts_with("/\\") => {
                self.report(lint::g1005::wrong(loc, "`redirect` takes", "a URL with its scheme or a path", "neither"));
                return None;
            }
            Some(Flat::Text(t)) if t.starts_with('/') => Spot::Path,
            Some(Flat::Hole { field: Field::Uri | Field::Path, .. }) => Spot::Path,
            Some(Flat::Hole { with, .. }) if with.local => Spot::Path,
            Some(Flat::Hole { field: Field::Row(_), ty: Ty::Path, .. }) => Spot::Path,
            Some(Flat::Hole { field: Field::Row(_), ty: Ty::Url, .. }) => Spot::Scheme,
            Some(Flat::Hole { loc, field, .. }) => {
                self.report(lint::g3008::whole(*loc, &source_name(field)));
                return None;
            }
            Some(Flat::Text(_)) | Some(Flat::Absent(_)) | None => {
                self.report(lint::g1005::wrong(
                    loc,
                    "`redirect` takes",
                    "a URL or a path that starts with `/`",
                    "neither",
                ));
                return None;
            }
        };
        let mut parts = Vec::new();
        let mut authority_open = spot == Spot::Scheme;
        let mut of_row = false;
        for (i, part) in flat.iter().enumerate() {
            match part {
                Flat::Text(t) => {
                    if t.bytes().any(|b| b.is_ascii_control() || b == b' ' || b == b'\\') {
                        self.report(lint::g1027::control(loc));
                        return None;
                    }
                    spot = advance(spot, t, parts.is_empty());
                    parts.push(Part::Text(t.as_str().into()));
                }
                Flat::Hole { field, with, loc: at, .. } if with.local => {
                    parts.push(self.local_hole(field, spot, &parts, *at)?);
                    spot = Spot::Query;
                }
                Flat::Hole { field, ty, with, loc: at, .. } => {
                    let encode = match (spot, field) {
                        // The operator's own text, checked when it was read.
                        (Spot::Scheme, Field::Row(_)) if *ty == Ty::Url && parts.is_empty() => {
                            of_row = true;
                            Encode::Encoded
                        }
                        (Spot::Scheme | Spot::Authority, Field::Row(_)) if *ty == Ty::Host && !of_row => {
                            Encode::Authority
                        }
                        // A whole URL may end anywhere: what follows must not become a part of its host.
                        (Spot::Authority, field) if of_row && *field != Field::Uri => {
                            self.report(lint::g3008::authority(*at, &source_name(field)));
                            return None;
                        }
                        (Spot::Scheme | Spot::Authority, Field::Host) => Encode::Authority,
                        (Spot::Scheme | Spot::Authority, Field::Capture(Capture::Host { .. })) => {
                            if !bounded_after(&flat[i + 1..]) {
                                self.report(lint::g3008::label(*at, &source_name(field)));
                                return None;
                            }
                            Encode::Authority
                        }
                        (Spot::Authority, Field::Uri) => {
                            spot = Spot::Query;
                            Encode::Encoded
                        }
                        (Spot::Scheme | Spot::Authority, _) => {
                            self.report(lint::g3008::authority(*at, &source_name(field)));
                            return None;
                        }
                        (Spot::Path, Field::Uri) => {
                            spot = Spot::Query;
                            Encode::Encoded
                        }
                        (spot, field) => encode_in_url(spot, field, ty),
                    };
                    if spot == Spot::Scheme {
                        spot = Spot::Authority;
                    }
                    parts.push(hole(field, *with, encode, None));
                }
                Flat::Absent(_) => {}
            }
            authority_open &= matches!(spot, Spot::Scheme | Spot::Authority);
        }
        if authority_open
            && !flat
                .iter()
                .any(|p| matches!(p, Flat::Text(t) if t.len() > "https://".len()) || matches!(p, Flat::Hole { .. }))
        {
            self.report(lint::g1005::wrong(loc, "`redirect` takes", "a URL with a host", "none"));
            return None;
        }
        Some(Value { parts })
    }

    /// The path after `at`.
    fn new_path(&mut self, flat: &[Flat], loc: Loc) -> Option<Value> {
        let starts = match flat.first() {
            Some(Flat::Text(t)) => t.starts_with('/'),
            Some(Flat::Hole { field: Field::Row(_), ty, .. }) => *ty == Ty::Path,
            Some(Flat::Hole { field, with, .. }) => with.local || matches!(field, Field::Uri | Field::Path),
            Some(Flat::Absent(_)) | None => false,
        };
        if !starts {
            self.report(lint::g1005::wrong(loc, "this place takes", "a path that starts with `/`", "none"));
            return None;
        }
        let mut spot = Spot::Path;
        let mut parts = Vec::new();
        for part in flat {
            match part {
                Flat::Text(t) => {
                    if t.bytes().any(|b| b.is_ascii_control() || b == b' ' || b == b'\\') {
                        self.report(lint::g1027::control(loc));
                        return None;
                    }
                    spot = advance(spot, t, parts.is_empty());
                    parts.push(Part::Text(t.as_str().into()));
                }
                Flat::Hole { field, with, loc: at, .. } if with.local => {
                    parts.push(self.local_hole(field, spot, &parts, *at)?);
                    spot = Spot::Query;
                }
                Flat::Hole { field, ty, with, .. } => {
                    let encode = encode_in_url(spot, field, ty);
                    if *field == Field::Uri && spot == Spot::Path {
                        spot = Spot::Query;
                    }
                    parts.push(hole(field, *with, encode, None));
                }
                Flat::Absent(_) => {}
            }
        }
        Some(Value { parts })
    }

    /// The Host that is sent: never the client's choice.
    fn new_host(&mut self, flat: &[Flat], loc: Loc) -> Option<Value> {
        let mut parts = Vec::new();
        for part in flat {
            match part {
                Flat::Text(t) => {
                    let (name, port) = match t.rsplit_once(':') {
                        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
                            (name, Some(port))
                        }
                        _ => (t.as_str(), None),
                    };
                    let fine = name
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'[' | b']' | b':'))
                        && port.is_none_or(|p| p.parse::<u16>().is_ok());
                    if !fine {
                        self.report(lint::g1005::never_host(loc, t));
                        return None;
                    }
                    parts.push(Part::Text(t.to_ascii_lowercase().into()));
                }
                Flat::Hole { field: field @ (Field::Host | Field::Capture(Capture::Host { .. })), with, .. } => {
                    parts.push(hole(field, *with, Encode::Authority, None));
                }
                Flat::Hole { field: field @ Field::Row(_), ty: Ty::Host | Ty::Ip, with, .. }
                | Flat::Hole { field, ty: Ty::Int, with, .. } => {
                    parts.push(hole(field, *with, Encode::Authority, None));
                }
                Flat::Hole { field, loc, .. } => {
                    self.report(lint::g3009::host(*loc, &source_name(field)));
                    return None;
                }
                Flat::Absent(_) => {}
            }
        }
        if parts.is_empty() {
            self.report(lint::g1005::never_host(loc, ""));
            return None;
        }
        Some(Value { parts })
    }
}

/// A claim that stands without `if missing` refuses the token that lacks it.
pub(super) fn imply(flat: &[Flat], value: &mut Value) {
    let written = flat.iter().filter(|part| !matches!(part, Flat::Absent(_)));
    for (part, written) in value.parts.iter_mut().zip(written) {
        if let (Part::Hole { if_missing, .. }, Flat::Hole { implied: true, .. }) = (part, written) {
            *if_missing = Some(Box::new(Missing::Answer(Answer::Deny { status: 403 })));
        }
    }
}

/// One encoding for all holes.
pub(super) fn simple(flat: &[Flat], encode: Encode, settled: Option<&Missing>) -> Value {
    let parts = flat
        .iter()
        .filter_map(|part| match part {
            Flat::Text(t) => Some(Part::Text(t.as_str().into())),
            Flat::Hole { field, with, optional, .. } => {
                let encode = if with.local { Encode::LocalPath } else { encode };
                Some(hole(field, *with, encode, if *optional { settled } else { None }))
            }
            Flat::Absent(_) => None,
        })
        .collect();
    Value { parts }
}

fn hole(field: &Field, with: With, encode: Encode, settled: Option<&Missing>) -> Part {
    Part::Hole { field: field.clone(), transform: with.transform(), encode, if_missing: settled.cloned().map(Box::new) }
}

/// How a hole behind the authority is written.
fn encode_in_url(spot: Spot, field: &Field, ty: &Ty) -> Encode {
    match (spot, field) {
        (Spot::Path, Field::Row(_)) if *ty == Ty::Path => Encode::Encoded,
        (Spot::Path, Field::Path | Field::Uri) => Encode::Encoded,
        (Spot::Path, Field::Capture(Capture::Splat { .. })) => Encode::Path,
        (Spot::Query, Field::QueryString) => Encode::Encoded,
        (Spot::Query, Field::Uri | Field::Path | Field::Capture(Capture::Splat { .. })) => Encode::QueryPath,
        (Spot::Query, _) => Encode::Query,
        (Spot::Scheme | Spot::Authority | Spot::Path | Spot::Fragment, _) => Encode::Segment,
    }
}

/// Where a URL stands after some literal text.
fn advance(mut spot: Spot, text: &str, first: bool) -> Spot {
    let mut rest = text;
    if spot == Spot::Scheme && first {
        rest = text.split_once("://").map_or("", |(_, rest)| rest);
        spot = if rest.is_empty() { Spot::Scheme } else { Spot::Authority };
    }
    for byte in rest.bytes() {
        spot = match (spot, byte) {
            (Spot::Scheme | Spot::Authority, b'/') => Spot::Path,
            (Spot::Scheme | Spot::Authority | Spot::Path, b'?') => Spot::Query,
            (Spot::Fragment, _) | (_, b'#') => Spot::Fragment,
            (Spot::Scheme, _) => Spot::Authority,
            (spot, _) => spot,
        };
    }
    spot
}

/// Whether a host capture is followed by a literal domain of two labels or more, so that it cannot
/// choose the domain itself.
fn bounded_after(rest: &[Flat]) -> bool {
    match rest.first() {
        Some(Flat::Text(t)) => {
            let end = t.find(['/', '?', '#', ':']).unwrap_or(t.len());
            let domain = &t[..end];
            let whole =
                end < t.len() || rest.len() == 1 || matches!(rest.get(1), Some(Flat::Hole { field: Field::Uri, .. }));
            let Some((_, parent)) = domain.split_once('.') else { return false };
            whole
                && parent.split('.').filter(|l| !l.is_empty()).count()
                    >= if parent == "localhost" || parent == "test" { 1 } else { 2 }
        }
        Some(Flat::Hole { .. } | Flat::Absent(_)) | None => false,
    }
}

/// A field as it is written in the language.
pub(crate) fn source_name(field: &Field) -> String {
    match field {
        Field::Method => "method".into(),
        Field::Path => "request.path".into(),
        Field::Uri => "request.uri".into(),
        Field::QueryString => "request.query-string".into(),
        Field::Size => "request.size".into(),
        Field::Version => "request.version".into(),
        Field::Host => "host".into(),
        Field::ClientIp => "client.ip".into(),
        Field::ClientPort => "client.port".into(),
        Field::ClientCountry => "client.country".into(),
        Field::TlsSni => "tls.sni".into(),
        Field::TlsVersion => "tls.version".into(),
        Field::TlsAlpn => "tls.alpn".into(),
        Field::TlsCert(part) => part.to_string(),
        Field::Header(name) => member("header", name),
        Field::Cookie(name) => member("cookie", name),
        Field::Query(name) => member("query", name),
        Field::Capture(_) => "this capture".into(),
        Field::Call(..) => "this call".into(),
        Field::Row(lookup) => lookup.to_string(),
        Field::Claim(_, name) => format!("the claim `{name}`"),
        Field::Body(_, shown) => shown.to_string(),
    }
}

fn member(of: &str, name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && !name.ends_with('-')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if plain { format!("{of}.{name}") } else { format!("{of}[\"{name}\"]") }
}

/// The condition that all fields are there.
pub(super) fn all_present(fields: &[Field]) -> Cond {
    super::cond::and(fields.iter().map(|f| Cond::Test(f.clone(), Test::Present)).collect())
}
