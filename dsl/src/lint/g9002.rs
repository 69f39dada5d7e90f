//! ## What
//!
//! A proof does not hold: a request shows the contrary, or it cannot be decided.
//!
//! ## Why
//!
//! A proof speaks of every request that there can be, through every site, whatever file it is in, and
//! counts every dial of a pool. The file that breaks it is refused like one that does not compile: its last
//! good version goes on, and no other file is touched. The request was walked through the compiled program
//! and through the interpreter before it was printed; `sluice test` tells its way. A proof that rests on
//! what the analysis cannot look into (a comparison of two values of a request, the whole query string)
//! fails too, and says on what. `gateway { tests off }` loads files all the same.
//!
//! ## Wrong
//!
//! ```route
//! import std/auth
//!
//! pool admin = 10.0.3.10:9000
//!
//! site a.example.com {
//!     /admin/* {
//!         use auth.only-from([10.0.0.0/8])
//!         -> admin
//!     }
//!     else -> respond 404
//! }
//!
//! site b.example.com {
//!     else -> admin
//! }
//!
//! prove "the admin area is for the office" {
//!     every request to pool admin passes auth.only-from
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! import std/auth
//!
//! pool admin = 10.0.3.10:9000
//!
//! site a.example.com {
//!     /admin/* {
//!         use auth.only-from([10.0.0.0/8])
//!         -> admin
//!     }
//!     else -> respond 404
//! }
//!
//! site b.example.com {
//!     use auth.only-from([10.0.0.0/8])
//!     else -> admin
//! }
//!
//! prove "the admin area is for the office" {
//!     every request to pool admin passes auth.only-from
//! }
//! ```

use crate::diagnostic::Diagnostic;
use crate::reach::prove::{Claim, Proof, Verdict};
use crate::syntax::span::FileId;

/// A claim that does not hold, said of the file that broke it. `None` for one that does.
pub(crate) fn fails(proof: &Proof, claim: &Claim, verdict: &Verdict, file: FileId) -> Option<Diagnostic> {
    let title = &proof.title;
    match verdict {
        Verdict::Holds { .. } => None,
        Verdict::Undecided(why) => Some(
            Diagnostic::error("G9002", claim.loc, format!("proof \"{title}\" cannot be decided: {why}"))
                .at("is neither shown nor refuted"),
        ),
        Verdict::Refuted(counter) => {
            let message = format!("proof \"{title}\" does not hold: {} {}", counter.request, counter.why);
            let here = claim.loc.file == file || counter.at.file != file;
            let d = if here {
                Diagnostic::error("G9002", claim.loc, message).at("is not so").label(counter.at, "leads it there")
            } else {
                Diagnostic::error("G9002", counter.at, message).at("leads it there").label(claim.loc, "says otherwise")
            };
            let way = counter.lines.iter().flat_map(|line| line.plain().lines().map(str::to_owned).collect::<Vec<_>>());
            let d = way.fold(d, Diagnostic::note);
            Some(d.witness(counter.request.clone()))
        }
    }
}
