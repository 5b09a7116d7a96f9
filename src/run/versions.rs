//! Versions that only programs can tell: of tools, and of a container image.
//!
//! A version is asked for at every lookup and never kept, and again after the command has ended. If it can't be told there is no lookup.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use bstr::{BString, ByteSlice};

use super::Error;
use super::consult::{Question, Said, consult};
use super::prepare::Environment;
use super::request::{Container, Request};
use super::secrets::Secrets;
use super::session::Session;
use crate::path::shown;
use crate::worktree::{self, CaptureOptions};

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
        let with = self
            .request
            .env
            .iter()
            .filter_map(|(name, value)| Some((OsString::from(name), OsString::from_vec(value.as_ref()?.to_vec()))));
        let question = Question {
            words: &words,
            cwd: self.cwd,
            environment: self.environment,
            without: &self.request.secret_env,
            with: with.collect(),
            stdin: Vec::new(),
            most: MOST,
        };
        let Said { status, stdout, stderr } = consult(self.session, question, &refuse)?;
        if !status.success() {
            let why = stderr.lines().next().unwrap_or_default();
            // It was not given the secrets, but may know them from elsewhere.
            let is_clean = self.secrets.check(why, "").is_ok();
            let why = if is_clean && !why.is_empty() { format!(": {}", shown(why)) } else { String::new() };
            return Err(refuse(format!("failed ({status}){why}")));
        }
        let text = |stream: &Vec<u8>| BString::from(stream.trim_ascii_end());
        let version = [&stdout, &stderr].into_iter().map(text).find(|text| !text.is_empty());
        version.ok_or_else(|| refuse("prints nothing".to_owned()))
    }
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
