//! Versions that only programs can tell: of tools, and of a container image.
//!
//! A version is asked for at every lookup and never kept, and again after the command has ended. If it can't be told there is no lookup.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bstr::{BString, ByteSlice};
use rustix::process::Pid;

use super::Error;
use super::group::Group;
use super::prepare::Environment;
use super::request::{Container, Request};
use super::secrets::Secrets;
use super::session::Session;
use crate::path::shown;
use crate::worktree::{self, CaptureOptions};

/// How long a program may take to tell a version.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a request to stop is looked for meanwhile.
const TICK: Duration = Duration::from_millis(50);
/// Bytes of a version at most.
const MOST: u64 = 64 << 10;

/// What was told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versions {
    /// Versions of tools by name.
    pub tools: BTreeMap<String, BString>,
    /// The digest of the container image.
    pub container: Option<String>,
}

/// Asks for all versions that a request declares.
///
/// # Errors
/// When one of them can't be told: the part's name and why.
pub(super) fn ask(
    session: &Session<'_>,
    request: &Request,
    cwd: &Path,
    environment: &Environment,
) -> Result<Versions, Error> {
    let secrets = Secrets::known(&request.secret_env, environment);
    let asked = Asked { session, request, cwd, environment, secrets: &secrets };
    let mut versions = Versions::default();
    for (name, command) in &request.tools {
        crate::recipe::check_key(name)?;
        let part = format!("tools.{name}");
        let version = asked.output_of(&part, command)?;
        secrets.check(&version, "the version of a tool")?;
        versions.tools.insert(name.clone(), version);
    }
    versions.container = match &request.container {
        None => None,
        Some(Container::Image(image)) => Some(asked.image(image)?),
        Some(Container::Command(command)) => {
            let printed = asked.output_of("container", command)?;
            let digest = printed.to_str().ok().and_then(digest_of);
            Some(digest.ok_or_else(|| refuse("container", format!("`{command}` prints no `sha256:` digest")))?)
        }
    };
    Ok(versions)
}

fn refuse(part: &str, what: impl Into<String>) -> Error {
    Error::Part { part: part.to_owned(), what: what.into() }
}

/// The digest of `sha256:DIGEST` or `NAME@sha256:DIGEST`.
fn digest_of(text: &str) -> Option<String> {
    let digest = text.rsplit_once('@').map_or(text, |(_, digest)| digest);
    let hex = digest.strip_prefix("sha256:")?;
    let is_digest = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_digest.then(|| digest.to_owned())
}

struct Asked<'a> {
    session: &'a Session<'a>,
    request: &'a Request,
    cwd: &'a Path,
    environment: &'a Environment,
    secrets: &'a Secrets,
}

impl Asked<'_> {
    /// The digest that an image's name holds, or the id of an image file.
    fn image(&self, image: &BString) -> Result<String, Error> {
        if let Some(digest) = image.to_str().ok().and_then(digest_of) {
            return Ok(digest);
        }
        let place = crate::path::locate(self.session.repo.root(), self.cwd, &crate::path::from_bytes(image));
        let worktree = self.session.worktree();
        match worktree::capture(&worktree, &place, &CaptureOptions::default(), None) {
            Ok(captured) => Ok(format!("blake3:{}", captured.content.id())),
            Err(worktree::Error::Absent { .. }) => {
                let told = "is neither a file nor NAME@sha256:DIGEST; a tag may mean another image tomorrow";
                Err(refuse("container", format!("`{}` {told}", shown(image))))
            }
            Err(err) => Err(err.into()),
        }
    }

    /// What a command prints, without the line ends after it: its standard output, or its standard error if that is empty (`java
    /// -version`).
    fn output_of(&self, part: &str, command: &str) -> Result<BString, Error> {
        let refuse = |what: String| refuse(part, format!("`{}` {what}", shown(command.as_bytes())));
        let words = crate::config::split_words(command).map_err(|expected| refuse(format!("must be {expected}")))?;
        let Some((program, arguments)) = words.split_first() else { return Err(refuse("names no program".to_owned())) };
        let mut spawn = Command::new(program);
        spawn.args(arguments).current_dir(self.cwd).process_group(0);
        spawn.env_clear().envs(self.environment);
        for (name, value) in &self.request.env {
            if let Some(value) = value {
                spawn.env(name, OsString::from_vec(value.to_vec()));
            }
        }
        for name in &self.request.secret_env {
            spawn.env_remove(name);
        }
        spawn.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = spawn.spawn().map_err(|err| refuse(format!("can't be started: {err}")))?;
        let group = Group::new(Pid::from_child(&child));
        let (tell, told) = mpsc::channel();
        let reader = thread::Builder::new().name("version".to_owned()).spawn(move || drop(tell.send(read(child))));
        if let Err(err) = reader {
            group.kill();
            return Err(refuse(format!("can't be read: {err}")));
        }
        let until = Instant::now() + PATIENCE;
        let end = loop {
            match told.recv_timeout(TICK) {
                Ok(end) => break end,
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(refuse("can't be read".to_owned())),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            if self.session.worktree().cancel.is_raised() {
                group.kill();
                return Err(worktree::Error::Cancelled.into());
            }
            if Instant::now() > until {
                group.kill();
                return Err(refuse(format!("did not end within {} seconds", PATIENCE.as_secs())));
            }
        };
        let (status, streams) = end.map_err(|err| refuse(format!("can't be read: {err}")))?;
        if !status.success() {
            let why = streams[1].lines().next().unwrap_or_default();
            // It was not given the secrets, but may know them from elsewhere.
            let is_clean = self.secrets.check(why, "").is_ok();
            let why = if is_clean && !why.is_empty() { format!(": {}", shown(why)) } else { String::new() };
            return Err(refuse(format!("failed ({status}){why}")));
        }
        if streams.iter().any(|stream| stream.len() as u64 > MOST) {
            return Err(refuse(format!("prints more than {} KiB", MOST >> 10)));
        }
        let text = |stream: &Vec<u8>| BString::from(stream.trim_ascii_end());
        let version = streams.iter().map(text).find(|text| !text.is_empty());
        version.ok_or_else(|| refuse("prints nothing".to_owned()))
    }
}

/// Reads both streams of a child to their ends, keeps the beginnings, and waits for it.
fn read(mut child: Child) -> std::io::Result<(std::process::ExitStatus, [Vec<u8>; 2])> {
    fn drain(stream: Option<impl Read>) -> std::io::Result<Vec<u8>> {
        let mut kept = Vec::new();
        if let Some(mut stream) = stream {
            stream.by_ref().take(MOST + 1).read_to_end(&mut kept)?;
            std::io::copy(&mut stream, &mut std::io::sink())?;
        }
        Ok(kept)
    }
    let stderr = child.stderr.take();
    let err = thread::Builder::new().name("version".to_owned()).spawn(move || drain(stderr))?;
    let out = drain(child.stdout.take())?;
    let err = err.join().map_err(|_| std::io::Error::other("its errors can't be read"))??;
    Ok((child.wait()?, [out, err]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_told_from_a_tag() {
        let hex = "0123456789abcdef".repeat(4);
        assert_eq!(digest_of(&format!("sha256:{hex}")), Some(format!("sha256:{hex}")));
        assert_eq!(digest_of(&format!("reg.io/a/b:1@sha256:{hex}")), Some(format!("sha256:{hex}")));
        for text in ["a:latest", "sha256:12", "a@sha256:", &format!("md5:{hex}"), &format!("sha256:{}", &hex[1..])] {
            assert_eq!(digest_of(text), None, "{text}");
        }
    }
}
