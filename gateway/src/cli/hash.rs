//! `sluice hash`: lines for files of users and of API keys.

use super::{Failed, print};
use crate::base64url;
use crate::edge::hashed;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use clap::{Args, Subcommand};
use dsl::tree::{api_keys, hash_hex, users};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{BufRead, IsTerminal, Stdin, Write};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Bytes of a key that are drawn.
const KEY_BYTES: usize = 32;
/// What keys begin with, so that they are found where they do not belong.
const PREFIX: &str = "sluice_";

/// Make lines for files of users and of API keys
#[derive(Debug, Args)]
pub struct Hash {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Key(Key),
    Password(Password),
}

/// Draw a new API key: prints the key, which is nowhere else, then its line for a file of keys
#[derive(Debug, Args)]
struct Key {
    /// Who has it: the claim `owner`
    #[arg(long, value_name = "NAME")]
    owner: String,
    /// What it is for, with blanks between: the claim `scope`
    #[arg(long, value_name = "SCOPES", default_value = "")]
    scope: String,
    /// The day from which it does not hold any more, as in `2027-01-31`, or a time in UTC
    #[arg(long, value_name = "DAY")]
    until: Option<String>,
}

/// Hash a password: asks for it, or reads it from standard input, and prints a line for a file of users
#[derive(Debug, Args)]
struct Password {
    /// Whose it is: the claim `user`
    #[arg(long, value_name = "NAME")]
    user: String,
}

impl Hash {
    /// Does it.
    ///
    /// # Errors
    /// What cannot stand in such a line, and what keeps a password from being read.
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        match self.what {
            What::Key(key) => key.run(),
            What::Password(password) => password.run(),
        }
        .map(|()| ExitCode::SUCCESS)
    }
}

impl Key {
    fn run(self) -> Result<(), Failed> {
        let mut drawn = Zeroizing::new([0; KEY_BYTES]);
        SystemRandom::new().fill(&mut *drawn).map_err(|_| Failed::new("the system has no random numbers"))?;
        let key = Zeroizing::new(format!("{PREFIX}{}", base64url::encode(&*drawn)));
        let fields = [Some(hash_hex(&key)), Some(self.owner), Some(self.scope), self.until];
        let mut fields: Vec<String> = fields.into_iter().flatten().map(|field| field_of(&field)).collect();
        while fields.last().is_some_and(String::is_empty) {
            fields.pop();
        }
        let line = fields.join(",");
        if let Err(wrong) = api_keys::read(&line) {
            return Err(Failed::new(wrong.into_iter().next().map_or_else(String::new, |wrong| wrong.message)));
        }
        print(&format!("{}\n{line}\n", *key));
        told("the first line is the key: hand it over, it is nowhere else; the second belongs in the file of keys");
        Ok(())
    }
}

impl Password {
    fn run(self) -> Result<(), Failed> {
        let password = read()?;
        let line = format!("{}:{}\n", self.user, hashed(password.as_bytes()).map_err(Failed::new)?);
        if let Err(wrong) = users::read(&line) {
            return Err(Failed::new(wrong.into_iter().next().map_or_else(String::new, |wrong| wrong.message)));
        }
        // A name that begins so would be a remark.
        if self.user.starts_with('#') || self.user.contains([':', '\n', '\r']) {
            return Err(Failed::new("a name does not begin with `#` and has no colon in it"));
        }
        print(&line);
        Ok(())
    }
}

/// A field as CSV has it.
fn field_of(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// A password: asked for twice at a terminal, unseen; else the first line of standard input.
fn read() -> Result<Zeroizing<String>, Failed> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return line(&input);
    }
    let _unseen = Unseen::begin(&input)?;
    let first = asked(&input, "Password: ")?;
    let again = asked(&input, "Again: ")?;
    if first == again { Ok(first) } else { Err(Failed::new("these were two passwords")) }
}

fn asked(input: &Stdin, words: &str) -> Result<Zeroizing<String>, Failed> {
    let mut out = std::io::stderr();
    let _ = write!(out, "{words}").and_then(|()| out.flush());
    let line = line(input);
    told("");
    line
}

fn line(input: &Stdin) -> Result<Zeroizing<String>, Failed> {
    let mut line = Zeroizing::new(String::with_capacity(4096));
    let read = input.lock().read_line(&mut line);
    read.map_err(|why| Failed::new(format!("no password can be read: {why}")))?;
    let kept = line.strip_suffix('\n').map_or(&**line, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Zeroizing::new(kept.to_owned()))
}

fn told(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// A terminal that does not show what is typed, until this is dropped.
struct Unseen<'t> {
    terminal: &'t Stdin,
    before: Termios,
}

impl<'t> Unseen<'t> {
    fn begin(terminal: &'t Stdin) -> Result<Self, Failed> {
        let words = |why| Failed::new(format!("the terminal cannot be kept from showing a password: {why}"));
        let before = tcgetattr(terminal).map_err(words)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &hidden).map_err(words)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Unseen<'_> {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}
