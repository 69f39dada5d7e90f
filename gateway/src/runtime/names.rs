//! Names of headers, read once instead of for every request.
//!
//! A name of a route file stays where it is as long as its program does, so its address tells where to look; that
//! what is found there is the same name is seen by its text.

use http::header::{HOST, HeaderName};
use std::cell::RefCell;

/// A power of two.
const PLACES: usize = 128;

/// Those that a worker came across of late.
#[derive(Debug)]
pub struct Names(RefCell<Box<[HeaderName]>>);

impl Default for Names {
    fn default() -> Self {
        Self(RefCell::new(vec![HOST; PLACES].into()))
    }
}

impl Names {
    /// Asks something of a name in lower case; `None` where no header can be called so.
    pub fn with<R>(&self, name: &str, ask: impl FnOnce(&HeaderName) -> R) -> Option<R> {
        let place = (name.as_ptr() as usize / align_of::<usize>()) % PLACES;
        if let Some(known) = self.0.borrow().get(place)
            && known.as_str() == name
        {
            return Some(ask(known));
        }
        let read = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let answer = ask(&read);
        if let Some(known) = self.0.borrow_mut().get_mut(place) {
            *known = read;
        }
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_its_text_says_wherever_it_stands() {
        let names = Names::default();
        // One place in memory, two names one after the other.
        let mut text = *b"x-user";
        for name in [b"x-user", b"accept", b"x-user"] {
            text.copy_from_slice(name);
            let text = str::from_utf8(&text).unwrap();
            for _ in 0..2 {
                assert_eq!(names.with(text, HeaderName::to_string).as_deref(), Some(text));
            }
        }
        assert_eq!(names.with("no name", HeaderName::to_string), None);
    }
}
