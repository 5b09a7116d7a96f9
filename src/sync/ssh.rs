//! ssh: the system's own program, spoken to through its standard streams.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Error;
use super::address::SshAddress;
use super::place::Means;
use crate::store::{self, BackendError, WireBackend};

/// What ssh may say before it is told to people, at most.
const SAID: usize = 4 << 10;

/// How long the other end may be silent while it owes an answer.
const SILENCE: Duration = Duration::from_secs(300);

/// How long ssh may take to end once nothing more is asked.
const PATIENCE: Duration = Duration::from_secs(2);

/// The words that start prov at the other end, for the shell there.
fn command(path: &str, is_read_only: bool) -> String {
    let quoted = path.replace('\'', r"'\''");
    let mode = if is_read_only { " --read-only" } else { "" };
    format!("prov serve --stdio{mode} -- '{quoted}'")
}

/// The words that start ssh. Nothing of an address can be taken for an option: what could be was refused, and `--` comes before it.
fn words(address: &SshAddress, means: &Means, is_read_only: bool) -> Vec<String> {
    let mut words = if means.ssh.is_empty() { vec!["ssh".to_owned()] } else { means.ssh.clone() };
    if means.ssh.is_empty() {
        // A network that is gone is noticed while something is sent, too.
        words.extend(["-o".to_owned(), "ServerAliveInterval=30".to_owned()]);
        words.extend(["-o".to_owned(), "ServerAliveCountMax=4".to_owned()]);
    }
    words.push("-T".to_owned());
    if let Some(port) = address.port {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    words.push("--".to_owned());
    words.push(match &address.user {
        Some(user) => format!("{user}@{}", address.host),
        None => address.host.clone(),
    });
    words.push(command(&address.path, is_read_only));
    words
}

/// The way to ssh. Once nobody writes to it any more, it ends.
struct Pipe {
    stdin: Option<ChildStdin>,
    child: Child,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.flush()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.stdin = None;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                _ => return,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts ssh and waits for the other end.
///
/// # Errors
/// [`Error::Remote`] with what ssh said.
pub(super) fn connect(address: &SshAddress, means: &Means, is_read_only: bool) -> Result<WireBackend, Error> {
    let place = address.to_string();
    let failed = |source: io::Error| {
        let source = BackendError::Io { action: "reach", file: place.clone(), source };
        Error::Remote { remote: place.clone(), source: Box::new(store::Error::Backend(source)) }
    };
    let words = words(address, means, is_read_only);
    let Some((program, arguments)) = words.split_first() else { return Err(failed(io::ErrorKind::NotFound.into())) };
    let mut ssh = Command::new(program);
    ssh.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = ssh.spawn().map_err(|err| failed(io::Error::new(err.kind(), format!("{program}: {err}"))))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let said = Arc::new(Mutex::new(Vec::new()));
    let listener = stderr.map(|mut stderr| {
        let said = Arc::clone(&said);
        std::thread::spawn(move || {
            let mut part = [0; 1024];
            while let Ok(read @ 1..) = stderr.read(&mut part) {
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                let room = SAID.saturating_sub(said.len());
                said.extend_from_slice(&part[..read.min(room)]);
            }
        })
    });
    let pipe = Pipe { stdin, child };
    let Some(stdout) = stdout else { return Err(failed(io::ErrorKind::BrokenPipe.into())) };
    let patience = means.patience.unwrap_or(SILENCE);
    WireBackend::connect(Box::new(stdout), Box::new(pipe), place.clone(), patience).map_err(|err| {
        // The pipe is gone, so ssh has ended, and all that it said is here.
        let _ = listener.map(std::thread::JoinHandle::join);
        let said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; ");
        failed(if last.is_empty() { err } else { io::Error::new(err.kind(), crate::path::shown(last.as_bytes())) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Address;

    #[test]
    fn nothing_of_an_address_is_an_option_or_a_word_for_the_shell() {
        let address = |text| match Address::parse(text, std::path::Path::new("/")).unwrap() {
            Address::Ssh(address) => address,
            _ => panic!("{text}"),
        };
        let found = words(&address("ssh://ann@host:22/a b/it's;$(rm)"), &Means::default(), true);
        assert_eq!(
            found,
            [
                "ssh",
                "-o",
                "ServerAliveInterval=30",
                "-o",
                "ServerAliveCountMax=4",
                "-T",
                "-p",
                "22",
                "--",
                "ann@host",
                r"prov serve --stdio --read-only -- '/a b/it'\''s;$(rm)'"
            ]
        );
        let means = Means { ssh: vec!["my-ssh".to_owned(), "-F".to_owned(), "config".to_owned()], ..Means::default() };
        let found = words(&address("host:p"), &means, false);
        assert_eq!(found, ["my-ssh", "-F", "config", "-T", "--", "host", "prov serve --stdio -- 'p'"]);
    }
}
