//! ## What
//!
//! This version knows the form and does not carry it out.
//!
//! ## Why
//!
//! A form that is ignored would be a promise that is not kept: a check that nobody makes, a limit that nobody
//! counts. `docs/unsupported.md` lists what is refused so, and what each will do.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     compress [zstd]
//!     else -> respond 404
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     else -> respond 404
//! }
//! ```
