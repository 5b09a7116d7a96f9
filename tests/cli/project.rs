//! A project to run commands in, and what the documents of `prov run` say.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox};
use crate::schema;

/// A script that copies its input to its output, loudly.
pub(crate) const COPY: &str = "echo out\necho err >&2\ncat \"$1\" > \"$2\"\n";

/// A sandbox with a project in it.
pub(crate) fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.prov(["init", "-q"]).ok();
    sandbox
}

/// A project with an input and the copying script.
pub(crate) fn with_copy() -> Sandbox {
    let sandbox = project();
    sandbox.file("in.txt", "hello\n").file("copy.sh", COPY);
    sandbox
}

/// The words of a run of the copying script.
pub(crate) const RUN_COPY: [&str; 9] = ["run", "-i", "in.txt", "-o", "out.txt", "--", "sh", "copy.sh", "in.txt"];

/// What a run of these words says, after its document was checked.
#[track_caller]
pub(crate) fn run<W: AsRef<OsStr>>(sandbox: &Sandbox, words: impl IntoIterator<Item = W>) -> Ran {
    let words: Vec<_> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
    let all = [OsStr::new("--json"), OsStr::new("run")].into_iter().map(OsStr::to_owned).chain(words);
    Ran::of(sandbox.prov(all))
}

/// A run that left a document.
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    pub(crate) json: Value,
}

impl Ran {
    #[track_caller]
    pub(crate) fn of(outcome: Outcome) -> Self {
        let json = outcome.json();
        schema::assert_valid("run", &json);
        Self { outcome, json }
    }

    /// `hit`, `miss` or `off`.
    pub(crate) fn cache(&self) -> &str {
        self.json["cache"]["outcome"].as_str().unwrap()
    }

    pub(crate) fn status(&self) -> &str {
        self.json["status"].as_str().unwrap()
    }

    /// The parts that are named as reasons.
    pub(crate) fn parts(&self) -> Vec<&str> {
        self.json["cache"]["reasons"].as_array().unwrap().iter().map(|one| one["part"].as_str().unwrap()).collect()
    }

    pub(crate) fn action(&self, key: &str) -> &str {
        self.json["outputs"][key]["action"].as_str().unwrap()
    }

    pub(crate) fn id(&self) -> &str {
        self.json["run"].as_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn hits(self) -> Self {
        assert_eq!(self.cache(), "hit", "{}\n{:#}", self.outcome, self.json["cache"]);
        assert_eq!(self.outcome.code, 0, "{}", self.outcome);
        self
    }

    #[track_caller]
    pub(crate) fn misses(self) -> Self {
        assert_eq!((self.cache(), self.status()), ("miss", "success"), "{}\n{:#}", self.outcome, self.json["error"]);
        assert_eq!(self.outcome.code, 0, "{}", self.outcome);
        self
    }
}

/// The bytes of a file of the project.
#[track_caller]
pub(crate) fn read(sandbox: &Sandbox, path: impl AsRef<Path>) -> String {
    let path = sandbox.path(path);
    String::from_utf8(std::fs::read(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))).unwrap()
}

pub(crate) fn exists(sandbox: &Sandbox, path: impl AsRef<Path>) -> bool {
    std::fs::symlink_metadata(sandbox.path(path)).is_ok()
}

pub(crate) fn remove(sandbox: &Sandbox, path: impl AsRef<Path>) {
    let (fs, path) = (prov::fs::Fs::real(), sandbox.path(path));
    if path.is_dir() { fs.remove_tree(&path) } else { fs.remove_file(&path) }.unwrap();
}

pub(crate) fn rename(sandbox: &Sandbox, from: impl AsRef<Path>, to: impl AsRef<Path>) {
    prov::fs::Fs::real().rename(&sandbox.path(from), &sandbox.path(to)).unwrap();
}

/// The newest run of a revision, as its record has it.
#[track_caller]
pub(crate) fn why(sandbox: &Sandbox, rev: &str) -> Value {
    let document = sandbox.prov(["--json", "why", rev]).ok().json();
    schema::assert_valid("why", &document);
    document
}

/// Letters that no compression makes much smaller.
pub(crate) fn noise(len: usize) -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + u8::try_from(state % 26).unwrap())
    };
    (0..len).map(letter).collect()
}

/// Changes a byte in the middle of the largest pack of the store.
#[track_caller]
pub(crate) fn spoil_content(sandbox: &Sandbox) {
    let packs = std::fs::read_dir(sandbox.path(".prov/store/packs")).unwrap().map(|entry| entry.unwrap().path());
    let pack = packs.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    prov::fs::Fs::real().replace(&pack, &bytes, false).unwrap();
}

/// A word of any bytes.
pub(crate) fn word(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

/// Two FIFOs by which a child says that it runs, and waits for being let go on.
pub(crate) struct Gate {
    started: std::path::PathBuf,
    go: std::path::PathBuf,
}

impl Gate {
    pub(crate) fn new(sandbox: &Sandbox, name: &str) -> Self {
        let at = |what: &str| sandbox.project().with_file_name(format!("{name}-{what}"));
        let gate = Self { started: at("started"), go: at("go") };
        assert!(std::process::Command::new("mkfifo").args([&gate.started, &gate.go]).status().unwrap().success());
        gate
    }

    /// A line of shell that says "started", then waits.
    pub(crate) fn line(&self) -> String {
        format!("echo > {}; read x < {}; ", self.started.display(), self.go.display())
    }

    /// Waits until the child has come to the gate.
    pub(crate) fn wait(&self) {
        std::fs::read(&self.started).unwrap();
    }

    pub(crate) fn open(&self) {
        // Opening for writing waits for the reader.
        use std::io::Write;
        std::fs::OpenOptions::new().write(true).open(&self.go).unwrap().write_all(b"\n").unwrap();
    }
}
