//! ## What
//!
//! Users have passwords that are hashed by MD5 (`apr1`) or SHA-1.
//!
//! ## Why
//!
//! They are verified, because that is what `htpasswd` writes unless it is told otherwise, but whoever gets hold of the
//! file finds the passwords out: MD5 a thousand times and SHA-1 once are made millions of times a second. argon2id
//! and bcrypt are made a few times. A hash cannot be made into another one: each user's password has to be set anew.
//!
//! ## Wrong
//!
//! ```route
//! # old.htpasswd
//! # ann:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/
//! site a.example.com {
//!     require password("old.htpasswd") else deny 401
//!     else -> respond 200 "in"
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! # users.htpasswd, by `sluice hash password --user ann` or `htpasswd -B`
//! # ann:$2y$10$…
//! site a.example.com {
//!     require password("users.htpasswd") else deny 401
//!     else -> respond 200 "in"
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::syntax::span::Loc;
use crate::tree::rows::Rows;
use crate::tree::users::Hash;

/// What is said of users some of whom have such passwords; `from` is where they are read from.
#[must_use]
pub fn weak(loc: Loc, from: &str, users: &Rows) -> Option<Diagnostic> {
    let hash = |row| Hash::read(users.value(row)).is_ok_and(|hash| hash.is_weak());
    let count = u32::try_from(users.len()).unwrap_or(u32::MAX);
    let mut weak = (0..count).filter(|row| hash(*row));
    let first = users.key(weak.next()?);
    let others = match weak.count() {
        0 => String::new(),
        1 => " and one more".to_owned(),
        more => format!(" and {more} more"),
    };
    let message = format!("{from} has passwords that are hashed weakly: `{first}`{others}");
    let note = "`sluice hash password` or `htpasswd -B` makes lines that keep a password secret";
    Some(Diagnostic::warning("G3029", loc, message).note(note))
}
