//! A command that runs, waited for without a thread.
//!
//! Not by tokio's `process`: with that feature every worker looks after ended processes each time before it waits
//! for the kernel, which costs every request and datagram one or two per cent.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A command that is killed when nobody waits for it any more.
pub(super) struct Running {
    /// Taken when it is dropped.
    child: Option<Child>,
    some_ended: Signal,
}

/// Its ends of the pipes that were asked for.
pub(super) struct Pipes {
    /// What it reads.
    pub(super) stdin: Option<Sender>,
    /// What it prints.
    pub(super) stdout: Option<Receiver>,
    /// What it prints of its troubles.
    pub(super) stderr: Option<Receiver>,
}

impl Running {
    /// Starts a command.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn start(command: &mut Command) -> io::Result<(Self, Pipes)> {
        // Before it can end.
        let some_ended = signal(SignalKind::child())?;
        let mut child = command.spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let running = Self { child: Some(child), some_ended };
        let reads = |pipe: Option<OwnedFd>| pipe.map(Receiver::from_owned_fd).transpose();
        let pipes = Pipes {
            stdin: stdin.map(OwnedFd::from).map(Sender::from_owned_fd).transpose()?,
            stdout: reads(stdout.map(OwnedFd::from))?,
            stderr: reads(stderr.map(OwnedFd::from))?,
        };
        Ok((running, pipes))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// What the system says.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().transpose()) {
                return status;
            }
            self.some_ended.recv().await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take()
            && !matches!(child.try_wait(), Ok(Some(_)))
        {
            let _ = child.kill();
            // As a rule at once; not where the kernel does something for it that cannot be broken off.
            std::thread::spawn(move || child.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};
    use std::process::Stdio;
    use std::time::{Duration, Instant};
    use tokio::io::AsyncReadExt;

    fn start(script: &str) -> (Running, Pipes, PathBuf) {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let (running, pipes) = Running::start(&mut command).unwrap();
        let id = running.child.as_ref().unwrap().id();
        (running, pipes, Path::new("/proc").join(id.to_string()))
    }

    /// The kernel has nothing left of it: it ended, and somebody asked how.
    fn is_gone(process: &Path) -> bool {
        let patience = Instant::now() + Duration::from_secs(30);
        while process.exists() && Instant::now() < patience {
            std::thread::yield_now();
        }
        !process.exists()
    }

    #[tokio::test]
    async fn many_at_once_end_each_with_its_own_status_and_leave_nothing() {
        let mut all: Vec<_> = (0..20).map(|code| start(&format!("read -r line; exit {code}"))).collect();
        // Those that end late wait for those that ended before, whose signals may have been one.
        for (code, (running, pipes, process)) in all.iter_mut().enumerate() {
            drop(pipes.stdin.take());
            assert_eq!(running.ended().await.unwrap().code(), Some(code as i32));
            assert!(is_gone(process));
        }
    }

    #[tokio::test]
    async fn who_is_not_waited_for_is_killed_and_is_no_zombie() {
        let (running, mut pipes, process) = start("echo begun; exec sleep 1000");
        let mut begun = [0; 6];
        pipes.stdout.as_mut().unwrap().read_exact(&mut begun).await.unwrap();
        assert_eq!((&begun, process.exists()), (b"begun\n", true));
        drop(running);
        assert!(is_gone(&process));
    }

    #[tokio::test]
    async fn who_ended_unseen_is_no_zombie() {
        let (running, mut pipes, process) = start("exit 0");
        pipes.stdout.as_mut().unwrap().read_to_end(&mut Vec::new()).await.unwrap();
        drop(running);
        assert!(is_gone(&process));
    }
}
