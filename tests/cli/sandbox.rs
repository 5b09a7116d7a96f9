//! A place that no test shares and that shares nothing with the machine: own home, own project, own environment.

use std::ffi::OsStr;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use prov::fs::Fs;
use serde_json::Value;
use tempfile::TempDir;

use crate::redact::redacted;

/// A home and a project folder below one temporary folder.
pub(crate) struct Sandbox {
    root: TempDir,
    variables: Vec<(String, String)>,
}

/// What a process left.
pub(crate) struct Outcome {
    /// Its exit code; 128+N for a signal.
    pub(crate) code: i32,
    /// Its standard output.
    pub(crate) stdout: Vec<u8>,
    /// Its standard error.
    pub(crate) stderr: Vec<u8>,
    root: PathBuf,
}

impl Sandbox {
    /// An empty project.
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("prov-cli-").tempdir().unwrap();
        for folder in ["home", "project"] {
            Fs::real().make_dir(&root.path().join(folder)).unwrap();
        }
        Self { root, variables: Vec::new() }
    }

    /// The same with one more variable for every process.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The project's folder.
    pub(crate) fn project(&self) -> PathBuf {
        self.root.path().join("project")
    }

    /// The folders of runs that are not on record.
    pub(crate) fn live_runs(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.path(".prov/live")).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).filter(|name| !name.starts_with('.')).collect()
    }

    /// A path in the project.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.project().join(path)
    }

    /// Writes a file in the project, with the folders it needs.
    pub(crate) fn file(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        let fs = Fs::real();
        fs.make_dirs(path.parent().unwrap()).unwrap();
        fs.create(&path, 0o666).unwrap().write_all(bytes.as_ref()).unwrap();
        self
    }

    /// A prov process that is not started yet.
    pub(crate) fn command<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prov"));
        command
            .args(words)
            .current_dir(self.project())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.root.path().join("home"))
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("PROV_AUTHOR_NAME", "Ada Example")
            .env("PROV_AUTHOR_EMAIL", "ada@example.org")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }

    /// Runs prov in the project and waits for its end.
    pub(crate) fn prov<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Outcome {
        self.outcome(self.command(words))
    }

    /// Runs a prepared process and waits for its end.
    pub(crate) fn outcome(&self, mut command: Command) -> Outcome {
        let child = command.spawn().unwrap();
        self.finished(child)
    }

    /// Waits for the end of a started process.
    pub(crate) fn finished(&self, child: std::process::Child) -> Outcome {
        use std::os::unix::process::ExitStatusExt;
        let output = child.wait_with_output().unwrap();
        let code = output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal)).unwrap();
        Outcome { code, stdout: output.stdout, stderr: output.stderr, root: self.root.path().to_owned() }
    }
}

impl Outcome {
    /// Standard output as text.
    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Standard output as one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|err| panic!("no JSON: {err}\n{self}"))
    }

    /// Asserts that it ended with an exit code other than 0, and with no panic.
    #[track_caller]
    pub(crate) fn fails(self) -> Self {
        assert!((1..=100).contains(&self.code), "{self}");
        self
    }

    /// The same after making sure that it went well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self}");
        self
    }

    /// The same after making sure how it ended.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }
}

/// Everything that can be compared: exit code and both streams, without what differs from run to run.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "exit {}", self.code)?;
        for (name, text) in [("stdout", self.out()), ("stderr", self.err())] {
            if !text.is_empty() {
                writeln!(f, "--- {name}\n{}", redacted(&text, &self.root).trim_end())?;
            }
        }
        Ok(())
    }
}

/// Two texts whose ids begin with the same four digits, and those digits.
pub(crate) fn twins() -> (String, [String; 2]) {
    let mut seen: std::collections::HashMap<String, String> = std::collections::HashMap::new();
    for n in 0.. {
        let text = format!("twin {n}");
        let prefix = prov::hash::blob(text.as_bytes()).to_string()[..4].to_owned();
        if let Some(first) = seen.insert(prefix.clone(), text.clone()) {
            return (prefix, [first, text]);
        }
    }
    unreachable!("there are only so many prefixes")
}
