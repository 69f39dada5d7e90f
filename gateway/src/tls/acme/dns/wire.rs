//! The little of DNS that a signed update needs (RFC 1035, RFC 2136).

/// SOA and TXT records, and signatures.
pub(super) const SOA: u16 = 6;
pub(super) const TXT: u16 = 16;
pub(super) const TSIG: u16 = 250;
/// Internet; "this record is no more" in an update; any.
pub(super) const IN: u16 = 1;
pub(super) const NONE: u16 = 254;
pub(super) const ANY: u16 = 255;

/// Appends a name, in lower case, uncompressed.
pub(super) fn put_name(out: &mut Vec<u8>, name: &str) -> Result<(), String> {
    let begin = out.len();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let length = u8::try_from(label.len()).ok().filter(|length| *length < 64);
        out.push(length.ok_or_else(|| format!("{name} has a label of more than 63 bytes"))?);
        out.extend(label.bytes().map(|b| b.to_ascii_lowercase()));
    }
    out.push(0);
    if out.len() - begin > 255 { Err(format!("{name} is longer than 255 bytes")) } else { Ok(()) }
}

/// Appends a number of two bytes.
pub(super) fn put16(out: &mut Vec<u8>, number: u16) {
    out.extend(number.to_be_bytes());
}

/// Appends a record.
pub(super) fn put_record(
    out: &mut Vec<u8>,
    name: &str,
    (kind, class, ttl): (u16, u16, u32),
    data: &[u8],
) -> Result<(), String> {
    put_name(out, name)?;
    put16(out, kind);
    put16(out, class);
    out.extend(ttl.to_be_bytes());
    put16(out, u16::try_from(data.len()).map_err(|_| "a record is too long".to_owned())?);
    out.extend_from_slice(data);
    Ok(())
}

/// A record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Lower case, without the trailing dot.
    pub(super) name: String,
    pub(super) kind: u16,
    pub(super) data: std::ops::Range<usize>,
    /// Where it begins in the message.
    pub(super) at: usize,
}

/// An answer, as far as it matters.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) id: u16,
    pub(super) rcode: u8,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    pub(super) additional: Vec<Record>,
}

/// Reads an answer; `None` where it is cut short or makes no sense.
pub(super) fn read(message: &[u8]) -> Option<Answer> {
    let word = |at: usize| Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?));
    let (id, flags) = (word(0)?, word(2)?);
    if flags & 0x8000 == 0 {
        return None;
    }
    let mut at = 12;
    for _ in 0..word(4)? {
        at = name(message, at)?.1 + 4;
    }
    let mut section = |count: u16| {
        let mut out = Vec::new();
        for _ in 0..count {
            let begin = at;
            let (name, after) = name(message, at)?;
            let kind = word(after)?;
            let length = usize::from(word(after + 8)?);
            let data = after + 10..after + 10 + length;
            message.get(data.clone())?;
            at = data.end;
            out.push(Record { name, kind, data, at: begin });
        }
        Some(out)
    };
    let (answers, authorities) = (section(word(6)?)?, section(word(8)?)?);
    Some(Answer { id, rcode: (flags & 15) as u8, answers, authorities, additional: section(word(10)?)? })
}

/// A name, and where it ends. Pointers lead backwards only, so that it ends.
pub(super) fn name(message: &[u8], at: usize) -> Option<(String, usize)> {
    let (mut out, mut at, mut end) = (String::new(), at, None);
    loop {
        let length = usize::from(*message.get(at)?);
        match length {
            0 => return Some((out, end.unwrap_or(at + 1))),
            1..=63 => {
                if !out.is_empty() {
                    out.push('.');
                }
                let label = message.get(at + 1..at + 1 + length)?;
                out.extend(label.iter().map(|b| char::from(b.to_ascii_lowercase())));
                if out.len() > 255 {
                    return None;
                }
                at += 1 + length;
            }
            192.. => {
                let to = (length & 63) << 8 | usize::from(*message.get(at + 1)?);
                end.get_or_insert(at + 2);
                if to >= at {
                    return None;
                }
                at = to;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_there_and_back() {
        let mut out = vec![0; 3];
        put_name(&mut out, "_acme-challenge.Example.NET.").expect("a name");
        assert_eq!(name(&out, 3), Some(("_acme-challenge.example.net".to_owned(), out.len())));
        // A pointer to it.
        let end = out.len();
        out.extend([1, b'a', 192, 3]);
        assert_eq!(name(&out, end), Some(("a._acme-challenge.example.net".to_owned(), end + 4)));
        // One that leads to itself, one that leads forward.
        for wrong in [[192_u8, 0], [192, 9]] {
            assert_eq!(name(&wrong, 0), None);
        }
        assert!(put_name(&mut Vec::new(), &"x".repeat(64)).is_err());
        assert!(put_name(&mut Vec::new(), &"abcdefg.".repeat(40)).is_err());
    }
}
