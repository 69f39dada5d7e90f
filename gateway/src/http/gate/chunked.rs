//! The strict chunked parser: it only counts, it decodes nothing.

/// Bytes of chunk extensions that one body may carry; hyper's bound is wider.
const EXTENSIONS: u32 = 4096;

/// Where in a chunked body the stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// A size begins.
    Start,
    /// In a size of so many digits.
    Size(u8),
    /// In an extension.
    Extension,
    /// A line feed must follow.
    SizeFeed,
    /// So many bytes of data follow.
    Data,
    /// A carriage return must follow the data.
    DataReturn,
    /// A line feed must follow it.
    DataFeed,
}

/// A chunked body.
#[derive(Clone, Debug)]
pub(super) struct Chunked {
    at: At,
    left: u64,
    extensions: u32,
}

/// What looking at more bytes brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// All of them are well-formed and more must follow.
    More,
    /// The last chunk's line ends after so many bytes; the trailer section follows.
    Last(usize),
    /// Malformed after so many bytes.
    Malformed(usize),
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { at: At::Start, left: 0, extensions: 0 }
    }

    /// Looks at the next bytes. None of them is to be shown again.
    pub(super) fn scan(&mut self, input: &[u8]) -> Chunks {
        let mut i = 0;
        while i < input.len() {
            if self.at == At::Data {
                let here = (input.len() - i) as u64;
                let skip = here.min(self.left);
                self.left -= skip;
                // At most `input.len()`, which is a usize.
                i += skip as usize;
                if self.left > 0 {
                    return Chunks::More;
                }
                self.at = At::DataReturn;
                continue;
            }
            let b = input[i];
            i += 1;
            self.at = match (self.at, b) {
                (At::Start, _) if digit(b).is_some() => {
                    self.left = u64::from(digit(b).unwrap_or(0));
                    At::Size(1)
                }
                // Fifteen digits are more than any body has and fit without overflow.
                (At::Size(n), _) if digit(b).is_some() && n < 15 => {
                    self.left = self.left * 16 + u64::from(digit(b).unwrap_or(0));
                    At::Size(n + 1)
                }
                (At::Size(_), b';') => At::Extension,
                (At::Size(_) | At::Extension, b'\r') => At::SizeFeed,
                (At::Extension, b'\t' | b' '..=b'~') if self.extensions < EXTENSIONS => {
                    self.extensions += 1;
                    At::Extension
                }
                (At::SizeFeed, b'\n') if self.left == 0 => return Chunks::Last(i),
                (At::SizeFeed, b'\n') => At::Data,
                (At::DataReturn, b'\r') => At::DataFeed,
                (At::DataFeed, b'\n') => At::Start,
                _ => return Chunks::Malformed(i - 1),
            };
        }
        Chunks::More
    }
}

fn digit(b: u8) -> Option<u8> {
    match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    }
}
