//! What a request is told apart by (`balance hash header.x-user if missing client.ip`), as a number or
//! as a place on the ring.
//!
//! A number is made as a connection's is (`hash_of`): each part begins with what it is, so that a
//! header's text is never an address's place (LANGUAGE rule 21). On the ring parts are plain text with
//! `:` between them, because nginx has them so. Client addresses are the client's behind trusted
//! proxies, IPv6 ones by their /64.

use super::client_group;
use super::ring::Crc;
use dsl::tree::eval::{Conflict, bytes_of};
use dsl::tree::ir::{Capture, Field, HashPart};
use dsl::tree::l4::key::{client_ip, client_port, xxh64};
use dsl::tree::request::Request;
use std::fmt::Write;

/// The hash of a request's key.
///
/// # Errors
/// A field that the key names arrived several times with different values.
pub(super) fn hash_of_request(parts: &[HashPart], request: &impl Request) -> Result<u64, Conflict> {
    parts.iter().try_fold(0, |hash, part| {
        let mut text = Text::default();
        let there = first(part, request, &mut |field| match field {
            Field::ClientIp | Field::ClientPort => Ok(true),
            field => bytes_of(field, request, &mut |byte| text.push(byte)),
        })?;
        Ok(match there {
            Some(Field::ClientIp) => client_ip(hash, request.client_ip()),
            Some(Field::ClientPort) => client_port(hash, request.client_port()),
            Some(field) => xxh64(text.bytes(), tagged(hash, field)),
            None => xxh64(part.otherwise.as_bytes(), xxh64(b"-", hash)),
        })
    })
}

/// Where a request's key lies on the ring, as nginx has `hash $http_x_user:$uri consistent`.
///
/// # Errors
/// A field that the key names arrived several times with different values.
pub(super) fn position_of_request(parts: &[HashPart], request: &impl Request) -> Result<u32, Conflict> {
    let mut crc = Crc::new();
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            crc = crc.of(b":");
        }
        let there = first(part, request, &mut |field| match field {
            Field::ClientIp => {
                let written = write!(crc, "{}", client_group(request.client_ip()));
                debug_assert!(written.is_ok(), "a checksum takes any text");
                Ok(true)
            }
            field => bytes_of(field, request, &mut |byte| crc = crc.of(&[byte])),
        })?;
        if there.is_none() {
            crc = crc.of(part.otherwise.as_bytes());
        }
    }
    Ok(crc.value())
}

/// The first field of a part that is there, read by `read`. Copies that differ are refused in all of
/// them, whichever is there: a client must not choose by what it adds.
fn first<'p>(
    part: &'p HashPart,
    request: &impl Request,
    read: &mut dyn FnMut(&Field) -> Result<bool, Conflict>,
) -> Result<Option<&'p Field>, Conflict> {
    let mut there = None;
    for field in &part.fields {
        if there.is_none() {
            there = read(field)?.then_some(field);
        } else if matches!(field, Field::Header(_) | Field::Cookie(_) | Field::Query(_)) {
            bytes_of(field, request, &mut |_| {})?;
        }
    }
    Ok(there)
}

/// The seed of a field's value: what it is, and its name where it has one.
fn tagged(hash: u64, field: &Field) -> u64 {
    let place = |kind: u8, at: u32, prefix: u32, suffix: u32| {
        let mut tag = [kind; 13];
        for (to, number) in tag[1..].as_chunks_mut::<4>().0.iter_mut().zip([at, prefix, suffix]) {
            *to = number.to_be_bytes();
        }
        xxh64(&tag, hash)
    };
    let named = |kind: &[u8], name: &str| xxh64(name.as_bytes(), xxh64(kind, hash));
    match field {
        Field::Method => xxh64(b"m", hash),
        Field::Path => xxh64(b"/", hash),
        Field::Uri => xxh64(b"u", hash),
        Field::QueryString => xxh64(b"?", hash),
        Field::Size => xxh64(b"z", hash),
        Field::Version => xxh64(b"v", hash),
        Field::Host => xxh64(b"n", hash),
        Field::ClientIp => xxh64(b"i", hash),
        Field::ClientPort => xxh64(b"p", hash),
        Field::ClientCountry => xxh64(b"y", hash),
        // As of connections.
        Field::TlsSni => xxh64(b"s", hash),
        Field::TlsVersion => xxh64(b"t", hash),
        Field::TlsAlpn => xxh64(b"a", hash),
        Field::TlsCert(part) => named(b"x", part.name()),
        Field::Header(name) => named(b"h", name),
        Field::Cookie(name) => named(b"k", name),
        Field::Query(name) => named(b"q", name),
        Field::Capture(Capture::Segment { index, prefix, suffix }) => place(b'g', *index, *prefix, *suffix),
        Field::Capture(Capture::Splat { from }) => place(b'r', *from, 0, 0),
        Field::Capture(Capture::Host { prefix, suffix }) => place(b'w', 0, *prefix, *suffix),
        Field::Row(lookup) => named(b"b", &lookup.to_string()),
        Field::Call(_, shown) => named(b"c", shown),
        Field::Body(_, shown) => named(b"y", shown),
        Field::Claim(call, name) => named(b"l", &format!("{} {name}", call.0)),
    }
}

/// A value, on the stack where it is as short as keys are.
struct Text {
    inline: [u8; 128],
    len: usize,
    long: Vec<u8>,
}

impl Default for Text {
    fn default() -> Self {
        Self { inline: [0; 128], len: 0, long: Vec::new() }
    }
}

impl Text {
    fn push(&mut self, byte: u8) {
        match self.inline.get_mut(self.len) {
            Some(place) => {
                *place = byte;
                self.len += 1;
            }
            None => {
                if self.long.is_empty() {
                    self.long.extend_from_slice(&self.inline);
                }
                self.long.push(byte);
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        if self.long.is_empty() { &self.inline[..self.len] } else { &self.long }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::hash_of;
    use dsl::tree::l4::{Facts, Key, KeyPart};
    use dsl::tree::request::Plain;

    fn header(name: &str) -> Field {
        Field::Header(name.into())
    }

    fn key(parts: &[(&[Field], &str)]) -> Vec<HashPart> {
        parts
            .iter()
            .map(|(fields, otherwise)| HashPart { fields: fields.to_vec(), otherwise: (*otherwise).into() })
            .collect()
    }

    fn request(headers: &[(&str, &str)]) -> Plain {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        Plain { client: ([192, 0, 2, 7].into(), 1000), headers, ..Plain::default() }
    }

    fn crc(text: &str) -> u32 {
        Crc::new().of(text.as_bytes()).value()
    }

    #[test]
    fn the_first_field_that_is_there_is_the_key() {
        let key = key(&[(&[header("x-user"), Field::ClientIp], "")]);
        let ann = request(&[("x-user", "ann")]);
        assert_eq!(position_of_request(&key, &ann), Ok(crc("ann")));
        assert_eq!(position_of_request(&key, &request(&[])), Ok(crc("192.0.2.7")));
        assert_eq!(hash_of_request(&key, &ann), Ok(xxh64(b"ann", xxh64(b"x-user", xxh64(b"h", 0)))));
        // Where nobody says who it is, requests go where connections from there go.
        let facts =
            Facts { client: ([192, 0, 2, 7], 1000).into(), local: ([192, 0, 2, 1], 443).into(), sni: None, alpn: &[] };
        assert_eq!(hash_of_request(&key, &request(&[])), Ok(hash_of(&Key(vec![KeyPart::ClientIp]), &facts)));
    }

    #[test]
    fn parts_stand_one_after_the_other_and_have_a_text_where_they_are_missing() {
        let key = key(&[(&[header("x-user")], "none"), (&[Field::Path], ""), (&[Field::ClientPort], "")]);
        assert_eq!(position_of_request(&key, &request(&[])), Ok(crc("none:/:1000")));
        let there = request(&[("x-user", "none")]);
        assert_eq!(position_of_request(&key, &there), position_of_request(&key, &request(&[])));
        assert_ne!(hash_of_request(&key, &there), hash_of_request(&key, &request(&[])), "a text is not a lack");
    }

    #[test]
    fn what_a_client_writes_is_nobodys_address() {
        let of = |field: Field, request: &Plain| hash_of_request(&key(&[(&[field], "")]), request);
        let request = request(&[("x-user", "192.0.2.7"), ("cookie", "x-user=192.0.2.7")]);
        let all = [
            of(header("x-user"), &request),
            of(Field::Cookie("x-user".into()), &request),
            of(Field::ClientIp, &request),
        ];
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2], "{all:?}");
    }

    #[test]
    fn clients_of_ipv6_go_by_their_64() {
        let at = |ip: &str| Plain { client: (ip.parse().unwrap(), 1), ..Plain::default() };
        let key = key(&[(&[Field::ClientIp], "")]);
        let both = |ip| (hash_of_request(&key, &at(ip)), position_of_request(&key, &at(ip)));
        assert_eq!(both("2001:db8:0:1::1"), both("2001:db8:0:1:ffff::2"));
        assert_ne!(both("2001:db8:0:1::1"), both("2001:db8:0:2::1"));
        assert_eq!(both("::ffff:192.0.2.7"), both("192.0.2.7"));
    }

    #[test]
    fn copies_that_differ_are_refused_and_copies_that_do_not_are_one() {
        let key = key(&[(&[header("x-tenant"), header("x-user")], "none")]);
        let differ = request(&[("x-tenant", "t"), ("x-user", "ann"), ("x-user", "bob")]);
        assert_eq!(hash_of_request(&key, &differ), Err(Conflict(header("x-user"))));
        assert_eq!(position_of_request(&key, &differ), Err(Conflict(header("x-user"))));
        let same = request(&[("x-user", "ann"), ("x-user", "ann")]);
        assert_eq!(position_of_request(&key, &same), Ok(crc("ann")));
    }

    #[test]
    fn long_values_count_to_their_end() {
        let key = key(&[(&[header("x-user")], "")]);
        let of = |value: &str| hash_of_request(&key, &request(&[("x-user", value)]));
        let long = "u".repeat(500);
        assert_eq!(of(&long), Ok(xxh64(long.as_bytes(), xxh64(b"x-user", xxh64(b"h", 0)))));
        assert_ne!(of(&long), of(&"u".repeat(501)));
    }
}
