//! ## What
//!
//! The text is none of the language.
//!
//! ## Why
//!
//! A file loads whole or not at all. Each item and each statement is read alone, so that one slip is one finding.
//!
//! ## Wrong
//!
//! ```route
//! site a.example.com {
//!     /x => respond 200
//! }
//! ```
//!
//! ## Right
//!
//! ```route
//! site a.example.com {
//!     /x   -> respond 200
//!     else -> respond 404
//! }
//! ```
