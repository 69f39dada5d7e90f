//! What load and origin say to each other.

/// The length of a TLS record's header.
const HEADER: usize = 5;
/// The longest TLS 1.3 record: 16 KiB, the type, the tag.
const RECORD: usize = 16_384 + 1 + 16;
/// After so many bytes the stream of a bulk transfer begins anew.
pub const PERIOD: usize = 64 * (HEADER + RECORD);

/// Bytes of a bulk transfer: they look like TLS records, whose contents nobody between the ends could
/// read in any case, and say at each place which place it is.
pub fn pattern() -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(PERIOD);
    while bytes.len() < PERIOD {
        bytes.extend_from_slice(&[0x17, 3, 3, (RECORD >> 8) as u8, RECORD as u8]);
        for _ in 0..RECORD {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.push((state >> 32) as u8);
        }
    }
    bytes
}

/// What is asked of an origin on a stream for bulk. On the wire it looks like a TLS record, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// So many bytes follow; answer with [`Command::Took`].
    Take(u64),
    /// Send so many bytes.
    Send(u64),
    /// So many bytes came, all of them right.
    Took(u64),
}

/// The length of a [`Command`].
pub const COMMAND: usize = HEADER + 9;
/// The first byte of every [`Command`].
pub const COMMAND_MARK: u8 = 0x17;
/// The first byte of a stream whose bytes come back.
pub const ECHO: u8 = b'E';
/// The only byte of a stream that is answered by [`BYE`] and closed.
pub const HELLO: u8 = b'C';
/// The answer to [`HELLO`].
pub const BYE: u8 = b'c';
/// Within TLS: answered by [`BULK`], after which both sides go on without TLS.
pub const RAW: u8 = b'R';
/// The answer to [`RAW`].
pub const BULK: u8 = b'k';

impl Command {
    /// On the wire.
    pub fn bytes(self) -> [u8; COMMAND] {
        let (kind, count) = match self {
            Self::Take(count) => (1, count),
            Self::Send(count) => (2, count),
            Self::Took(count) => (3, count),
        };
        let mut bytes = [0; COMMAND];
        bytes[..HEADER].copy_from_slice(&[COMMAND_MARK, 3, 3, 0, 9]);
        bytes[HEADER] = kind;
        bytes[HEADER + 1..].copy_from_slice(&count.to_be_bytes());
        bytes
    }

    /// From the wire.
    pub fn read(bytes: &[u8; COMMAND]) -> Option<Self> {
        let mut count = [0; 8];
        count.copy_from_slice(&bytes[HEADER + 1..]);
        let count = u64::from_be_bytes(count);
        match (&bytes[..HEADER], bytes[HEADER]) {
            ([COMMAND_MARK, 3, 3, 0, 9], 1) => Some(Self::Take(count)),
            ([COMMAND_MARK, 3, 3, 0, 9], 2) => Some(Self::Send(count)),
            ([COMMAND_MARK, 3, 3, 0, 9], 3) => Some(Self::Took(count)),
            _ => None,
        }
    }
}

/// The head of a datagram; fixed bytes follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// What the origin does with it: one of the constants below.
    pub kind: u8,
    /// Whether it is the last of its burst.
    pub last: bool,
    /// Whose it is.
    pub flow: u16,
    /// Which of that flow; in an answer: how many came.
    pub number: u32,
}

impl Datagram {
    /// It comes back as it is.
    pub const ECHOED: u8 = b'e';
    /// The last of a burst is answered.
    pub const COUNTED: u8 = b'n';
    /// The answer says which endpoint it is and from which port it was reached.
    pub const WHO: u8 = b'w';
    /// Nothing comes back.
    pub const IGNORED: u8 = b'x';
    /// How many came since the last answer; or who answers.
    pub const ANSWER: u8 = b'a';
    /// The length of the head.
    pub const HEAD: usize = 8;

    /// Writes the head.
    pub fn write(self, to: &mut [u8]) {
        to[0] = self.kind;
        to[1] = u8::from(self.last);
        to[2..4].copy_from_slice(&self.flow.to_be_bytes());
        to[4..8].copy_from_slice(&self.number.to_be_bytes());
    }

    /// Reads the head.
    pub fn read(from: &[u8]) -> Option<Self> {
        let [kind, last, f0, f1, n0, n1, n2, n3] = *from.first_chunk()?;
        let (flow, number) = (u16::from_be_bytes([f0, f1]), u32::from_be_bytes([n0, n1, n2, n3]));
        Some(Self { kind, last: last == 1, flow, number })
    }
}
