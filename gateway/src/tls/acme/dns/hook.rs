//! A command of the operator's: `COMMAND present NAME VALUE`, then `COMMAND cleanup NAME VALUE`.
//!
//! No shell reads it. The same is in its environment (`SLUICE_DNS_ACTION`, `SLUICE_DNS_NAME`,
//! `SLUICE_DNS_VALUE`), the secret, where one is named, on its standard input. It ends with 0 when the record
//! stands; what it prints otherwise is in the error.

use super::child::Running;
use super::{Dns01, Task};
use crate::secrets::Secret;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout;

/// What it may take; then it is killed. Less than what an order waits for a change.
const DEADLINE: Duration = Duration::from_secs(50);
/// Bytes of what it prints that are read; the last ones are shown.
const PRINTED: u64 = 64 * 1024;
const SHOWN: usize = 400;

pub(super) struct Hook {
    command: Arc<str>,
    secret: Option<Arc<Secret>>,
}

impl Hook {
    pub(super) fn new(command: &Arc<str>, secret: Option<Arc<Secret>>) -> Self {
        Self { command: Arc::clone(command), secret }
    }

    async fn run(&self, action: &str, name: &str, value: &str) -> Result<(), String> {
        let mut command = Command::new(&*self.command);
        command
            .args([action, name, value])
            .env("SLUICE_DNS_ACTION", action)
            .env("SLUICE_DNS_NAME", name)
            .env("SLUICE_DNS_VALUE", value)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let (mut child, pipes) = Running::start(&mut command).map_err(|e| format!("{}: {e}", self.command))?;
        let (mut stdin, stdout, stderr) = (pipes.stdin, pipes.stdout, pipes.stderr);
        let secret = self.secret.clone();
        let whole = async {
            let write = async {
                if let (Some(stdin), Some(secret)) = (stdin.as_mut(), &secret) {
                    // A command that does not read it may end before it is written.
                    let _ = stdin.write_all(secret.bytes()).await;
                }
                drop(stdin);
            };
            let ((), out, err, status) = tokio::join!(write, printed(stdout), printed(stderr), child.ended());
            (status, out, err)
        };
        let (status, out, err) = timeout(DEADLINE, whole).await.map_err(|_| {
            format!("{} {action} did not end within {} s, and was killed", self.command, DEADLINE.as_secs())
        })?;
        let status = status.map_err(|e| format!("{}: {e}", self.command))?;
        if status.success() {
            return Ok(());
        }
        let printed = if err.trim_ascii().is_empty() { out } else { err };
        let printed = match &secret {
            Some(secret) => without(&printed, secret.bytes()),
            None => printed,
        };
        Err(format!("{} {action} ended with {status}{}", self.command, shown(&printed)))
    }
}

/// What is printed; what is too much is read and dropped, so that the command does not wait for us.
async fn printed(from: Option<Receiver>) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(mut from) = from
        && (&mut from).take(PRINTED).read_to_end(&mut out).await.is_ok()
    {
        let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
    out
}

/// What was printed, the secret in it replaced: commands like to show what they were given.
fn without(printed: &[u8], secret: &[u8]) -> Vec<u8> {
    let secret = secret.trim_ascii();
    if secret.is_empty() {
        return printed.to_vec();
    }
    let (mut out, mut rest) = (Vec::with_capacity(printed.len()), printed);
    while let Some(first) = rest.first() {
        match rest.strip_prefix(secret) {
            Some(after) => {
                out.extend_from_slice(b"(secret)");
                rest = after;
            }
            None => {
                out.push(*first);
                rest = &rest[1..];
            }
        }
    }
    out
}

/// The end of what was printed, on one line.
fn shown(printed: &[u8]) -> String {
    let text = String::from_utf8_lossy(printed);
    let text: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text: String = text.join(" / ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let skip = text.chars().count().saturating_sub(SHOWN);
    let text: String = text.chars().skip(skip).collect();
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

impl Dns01 for Hook {
    fn present<'a>(&'a self, name: &'a str, value: &'a str) -> Task<'a> {
        Box::pin(self.run("present", name, value))
    }

    fn clean_up<'a>(&'a self, name: &'a str, value: &'a str) -> Task<'a> {
        Box::pin(self.run("cleanup", name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn script(name: &str, text: &str) -> (std::path::PathBuf, Arc<str>) {
        let path = std::env::temp_dir().join(format!("sluice-hook-{name}-{}", std::process::id()));
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
        let command = path.display().to_string().into();
        (path, command)
    }

    #[tokio::test]
    async fn it_is_told_what_to_do_and_its_words_are_shown_without_the_secret() {
        let text = "#!/bin/sh\nread -r key\necho \"$1 $2 $3 $SLUICE_DNS_NAME with $key\" >&2\nexit 3\n";
        let (path, command) = script("words", text);
        let hook = Hook::new(&command, Some(Arc::new(Secret::new(b"hush-hush\n".to_vec()))));
        let why = hook.present("_acme-challenge.x", "v;$(id)").await.expect_err("it ends with 3");
        assert!(
            why.contains("exit status: 3: present _acme-challenge.x v;$(id) _acme-challenge.x with (secret)"),
            "{why}"
        );
        std::fs::remove_file(path).expect("clean up");
    }

    #[tokio::test]
    async fn who_reads_nothing_and_prints_much_is_waited_for() {
        let (path, command) = script("much", "#!/bin/sh\nhead -c 300000 /dev/zero\nexit 0\n");
        Hook::new(&command, None).clean_up("_acme-challenge.x", "v").await.expect("it ends with 0");
        std::fs::remove_file(path).expect("clean up");
    }

    #[tokio::test]
    async fn of_much_that_is_printed_little_is_shown() {
        let (path, command) = script("flood", "#!/bin/sh\nhead -c 300000 /dev/zero | tr '\\0' x\nexit 1\n");
        let why = Hook::new(&command, None).present("x", "v").await.expect_err("it ends with 1");
        assert!(why.ends_with("xxx") && why.len() < SHOWN + 200, "{} bytes", why.len());
        std::fs::remove_file(path).expect("clean up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_hangs_is_given_up() {
        let (path, command) = script("hangs", "#!/bin/sh\nexec sleep 1000\n");
        let why = Hook::new(&command, None).present("x", "v").await.expect_err("it does not end");
        assert!(why.contains("present did not end within") && why.ends_with("and was killed"), "{why}");
        std::fs::remove_file(path).expect("clean up");
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_is_named() {
        let why = Hook::new(&"/nowhere/dns-hook".into(), None).present("x", "v").await.expect_err("nothing to run");
        assert!(why.contains("/nowhere/dns-hook"), "{why}");
    }
}
