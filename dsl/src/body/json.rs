//! JSON (RFC 8259), read from end to end for what a pointer (RFC 6901) leads to.
//!
//! The whole text is checked: a reader that gives up at the first mistake would say of a broken text what another
//! reader does not. Nothing is kept of it but the value.

use super::BadBody;
use super::spelling::same_but_case;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Objects and lists inside one another beyond this are refused.
const DEEPEST: usize = 64;
/// Digits of a number that every reader keeps (a double of IEEE 754 has 15).
const DIGITS: usize = 15;
/// How far its point may be moved.
const FARTHEST: i32 = 15;

/// A pointer into JSON: the names on the way, unescaped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pointer {
    written: Arc<str>,
    steps: Arc<[Box<str>]>,
}

/// Why a text is no pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointerError {
    /// It does not begin with `/`, and is not empty.
    Start,
    /// A `~` that is followed by neither `0` nor `1`.
    Escape,
    /// It is longer than any body is deep.
    Deep,
}

impl Pointer {
    /// Reads a pointer: empty, or names with a `/` before each.
    ///
    /// # Errors
    /// Why it is none.
    pub fn new(text: &str) -> Result<Self, PointerError> {
        let mut steps = Vec::new();
        if !text.is_empty() {
            let names = text.strip_prefix('/').ok_or(PointerError::Start)?;
            for name in names.split('/') {
                let bare = name.replace("~1", "").replace("~0", "");
                if bare.contains('~') {
                    return Err(PointerError::Escape);
                }
                // In this order (RFC 6901 section 4): `~01` is `~1`.
                steps.push(name.replace("~1", "/").replace("~0", "~").into_boxed_str());
            }
        }
        if steps.len() > DEEPEST {
            return Err(PointerError::Deep);
        }
        Ok(Self { written: text.into(), steps: steps.into() })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// What a pointer leads to: the text of a string, a number in one spelling, `true` or `false`; `None` for `null` and
/// where nothing stands there.
pub(super) fn find<'t>(text: &'t str, pointer: &Pointer) -> Result<Option<Cow<'t, str>>, BadBody> {
    let mut reader = Reader { text, at: 0 };
    let found = reader.value(0, Some(&pointer.steps))?;
    reader.ends()?;
    Ok(found)
}

/// Hands on every name and every string of a text.
pub(super) fn each<'t>(text: &'t str, each: &mut dyn FnMut(&str)) -> Result<(), BadBody> {
    let mut reader = Reader { text, at: 0 };
    reader.walk(0, each)?;
    reader.ends()
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

/// What pointers lead to, and what a walk to it does.
type Found<'t> = Option<Cow<'t, str>>;

const SYNTAX: BadBody = BadBody::Malformed("the body is not well-formed JSON");

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn ends(&mut self) -> Result<(), BadBody> {
        self.blank();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(BadBody::Malformed("text stands after the JSON of the body"))
        }
    }

    /// A value: what the rest of a pointer leads to in it, where it is on the way of one.
    fn value(&mut self, depth: usize, want: Option<&[Box<str>]>) -> Result<Found<'t>, BadBody> {
        self.blank();
        match self.peek() {
            Some(b'{') => self.object(deeper(depth)?, want),
            Some(b'[') => self.list(deeper(depth)?, want),
            Some(_) => match want {
                None => self.scalar().map(|_| None),
                Some(steps) => match self.scalar()? {
                    Scalar::Null => Ok(None),
                    _ if !steps.is_empty() => Err(BadBody::Malformed("a plain value stands where the pointer goes on")),
                    Scalar::Text(text) => Ok(Some(text)),
                    Scalar::Number(number) => canonical(number).map(Some),
                },
            },
            None => Err(SYNTAX),
        }
    }

    fn object(&mut self, depth: usize, want: Option<&[Box<str>]>) -> Result<Found<'t>, BadBody> {
        let want = match want {
            None => None,
            Some(steps) => Some(steps.split_first().ok_or(NOT_PLAIN)?),
        };
        let (mut found, mut seen) = (None, false);
        self.members(b'}', |reader| {
            let name = reader.string()?;
            reader.blank();
            if !reader.eat(b':') {
                return Err(SYNTAX);
            }
            match want {
                Some((step, rest)) if *name == **step => {
                    if std::mem::replace(&mut seen, true) {
                        return Err(BadBody::Ambiguous("a name that the pointer reads stands there more than once"));
                    }
                    found = reader.value(depth, Some(rest))?;
                }
                Some((step, _)) if same_but_case(&name, step) => {
                    return Err(BadBody::Ambiguous("a name that the pointer reads stands there in another case"));
                }
                Some(_) | None => {
                    reader.value(depth, None)?;
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn list(&mut self, depth: usize, want: Option<&[Box<str>]>) -> Result<Found<'t>, BadBody> {
        let want = match want {
            None => None,
            Some(steps) => {
                let (step, rest) = steps.split_first().ok_or(NOT_PLAIN)?;
                let named = || BadBody::Malformed("a list stands where the pointer goes on by a name");
                Some((index(step).ok_or_else(named)?, rest))
            }
        };
        let (mut found, mut at) = (None, 0usize);
        self.members(b']', |reader| {
            match want {
                Some((index, rest)) if index == at => found = reader.value(depth, Some(rest))?,
                Some(_) | None => {
                    reader.value(depth, None)?;
                }
            }
            at += 1;
            Ok(())
        })?;
        Ok(found)
    }

    /// What stands between brackets, commas between.
    fn members(&mut self, end: u8, mut member: impl FnMut(&mut Self) -> Result<(), BadBody>) -> Result<(), BadBody> {
        self.at += 1;
        self.blank();
        if self.eat(end) {
            return Ok(());
        }
        loop {
            self.blank();
            member(self)?;
            self.blank();
            if self.eat(end) {
                return Ok(());
            }
            if !self.eat(b',') {
                return Err(SYNTAX);
            }
        }
    }

    fn walk(&mut self, depth: usize, each: &mut dyn FnMut(&str)) -> Result<(), BadBody> {
        self.blank();
        match self.peek() {
            Some(b'{') => {
                let depth = deeper(depth)?;
                self.members(b'}', |reader| {
                    each(&reader.string()?);
                    reader.blank();
                    if !reader.eat(b':') {
                        return Err(SYNTAX);
                    }
                    reader.walk(depth, each)
                })
            }
            Some(b'[') => {
                let depth = deeper(depth)?;
                self.members(b']', |reader| reader.walk(depth, each))
            }
            Some(b'"') => {
                each(&self.string()?);
                Ok(())
            }
            Some(_) => self.scalar().map(|_| ()),
            None => Err(SYNTAX),
        }
    }

    fn scalar(&mut self) -> Result<Scalar<'t>, BadBody> {
        match self.peek() {
            Some(b'"') => self.string().map(Scalar::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Scalar::Number),
            _ => {
                let rest = &self.text[self.at..];
                for (word, scalar) in [
                    ("true", Scalar::Text(Cow::Borrowed("true"))),
                    ("false", Scalar::Text(Cow::Borrowed("false"))),
                    ("null", Scalar::Null),
                ] {
                    if rest.starts_with(word) {
                        self.at += word.len();
                        return Ok(scalar);
                    }
                }
                Err(SYNTAX)
            }
        }
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - from
    }

    fn number(&mut self) -> Result<&'t str, BadBody> {
        let from = self.at;
        self.eat(b'-');
        let zero = self.peek() == Some(b'0');
        let digits = self.digits();
        if digits == 0 || (zero && digits > 1) {
            return Err(SYNTAX);
        }
        if self.eat(b'.') && self.digits() == 0 {
            return Err(SYNTAX);
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            if self.digits() == 0 {
                return Err(SYNTAX);
            }
        }
        Ok(&self.text[from..self.at])
    }

    fn string(&mut self) -> Result<Cow<'t, str>, BadBody> {
        if !self.eat(b'"') {
            return Err(SYNTAX);
        }
        let mut from = self.at;
        let mut out: Option<String> = None;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let rest = &self.text[from..self.at];
                    self.at += 1;
                    return Ok(match out {
                        None => Cow::Borrowed(rest),
                        Some(mut out) => {
                            out.push_str(rest);
                            Cow::Owned(out)
                        }
                    });
                }
                Some(b'\\') => {
                    let out = out.get_or_insert_default();
                    out.push_str(&self.text[from..self.at]);
                    self.at += 1;
                    let c = self.escape()?;
                    out.push(c);
                    from = self.at;
                }
                Some(0..0x20) | None => return Err(SYNTAX),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<char, BadBody> {
        let byte = self.peek().ok_or(SYNTAX)?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unpaired = || BadBody::Malformed("half of a character stands in the JSON of the body");
                let unit = match self.unit()? {
                    0 => return Err(BadBody::Malformed("a zero character stands in the JSON of the body")),
                    high @ 0xd800..0xdc00 => {
                        if !(self.eat(b'\\') && self.eat(b'u')) {
                            return Err(unpaired());
                        }
                        let low = self.unit()?.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or_else(unpaired)?;
                        0x1_0000 + ((high - 0xd800) << 10) + low
                    }
                    unit => unit,
                };
                // A low half alone is none.
                char::from_u32(unit).ok_or_else(unpaired)?
            }
            _ => return Err(SYNTAX),
        })
    }

    fn unit(&mut self) -> Result<u32, BadBody> {
        let hex = self.text.as_bytes().get(self.at..self.at + 4).ok_or(SYNTAX)?;
        let mut unit = 0;
        for byte in hex {
            unit = unit << 4 | char::from(*byte).to_digit(16).ok_or(SYNTAX)?;
        }
        self.at += 4;
        Ok(unit)
    }
}

enum Scalar<'t> {
    Text(Cow<'t, str>),
    Number(&'t str),
    Null,
}

const NOT_PLAIN: BadBody = BadBody::Malformed("an object or a list stands where the pointer ends");

fn deeper(depth: usize) -> Result<usize, BadBody> {
    if depth < DEEPEST { Ok(depth + 1) } else { Err(BadBody::Malformed("the JSON of the body is nested too deeply")) }
}

/// A place in a list (RFC 6901 section 4): no zeros before it, no sign.
fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || (!step.starts_with('0') && step.bytes().all(|b| b.is_ascii_digit()));
    step.parse().ok().filter(|_| plain)
}

/// A number in one spelling, for `10`, `10.0` and `1e1` are one: digits without zeros around them, a point where there
/// is a fraction, no exponent. What some readers would round is refused.
fn canonical(number: &str) -> Result<Cow<'_, str>, BadBody> {
    const ROUNDED: BadBody = BadBody::Ambiguous("a number that is read has more digits than every reader keeps");
    let (minus, unsigned) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        None => (unsigned, 0),
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| ROUNDED)?),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let lead = all.len() - all.trim_start_matches('0').len();
    let digits = all.trim_matches('0');
    if digits.is_empty() {
        return Ok(Cow::Borrowed("0"));
    }
    let point = i32::try_from(whole.len()).ok().zip(i32::try_from(lead).ok());
    // The point stands so many digits behind the first of them.
    let point = point.and_then(|(whole, lead)| (whole - lead).checked_add(exponent)).ok_or(ROUNDED)?;
    if digits.len() > DIGITS || !(-FARTHEST..=FARTHEST).contains(&point) {
        return Err(ROUNDED);
    }
    let before = usize::try_from(point).unwrap_or(0);
    let mut out = String::from(minus);
    if before == 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', usize::try_from(-point).unwrap_or(0)));
        out.push_str(digits);
    } else if digits.len() <= before {
        out.push_str(digits);
        out.extend(std::iter::repeat_n('0', before - digits.len()));
    } else {
        let (whole, fraction) = digits.split_at(before);
        out.push_str(whole);
        out.push('.');
        out.push_str(fraction);
    }
    Ok(if out == number { Cow::Borrowed(number) } else { Cow::Owned(out) })
}
