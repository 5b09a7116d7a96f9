//! A small history to look at: `raw.csv` committed, `clean` made of it, `fit` made of that, then a failure.

use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::schema;

/// The history.
pub(crate) fn chain() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.prov(["init"]).ok();
    sandbox.file("raw.csv", "c\na\nb\n");
    sandbox.prov(["commit", "raw.csv", "-m", "survey"]).ok();
    clean(&sandbox, "0.5");
    sandbox
        .prov(["run", "--name", "fit", "-i", "clean.csv", "-o", "models/", "--code", "none", "--", "sh", "-c", FIT])
        .ok();
    sandbox.prov(["run", "--name", "bad", "-o", "x.txt", "--code", "none", "--", "sh", "-c", "exit 3"]).ends(3);
    sandbox
}

const FIT: &str = "mkdir -p models/sub; cp clean.csv models/a; echo 1 > models/sub/b; echo fitted";

/// Runs the step `clean` with a threshold.
pub(crate) fn clean(sandbox: &Sandbox, threshold: &str) {
    let set = format!("threshold={threshold}");
    let words = ["run", "--name", "clean", "-i", "raw.csv", "-o", "clean.csv", "-S", &set, "--code", "none", "--"];
    let command = ["sh", "-c", "sort raw.csv > clean.csv"];
    sandbox.prov(words.iter().chain(&command)).ok();
}

/// The document that a command prints, checked against its schema.
#[track_caller]
pub(crate) fn document<const N: usize>(sandbox: &Sandbox, what: &str, words: [&str; N]) -> Value {
    let document = sandbox.prov(["--json"].iter().copied().chain(words)).ok().json();
    schema::assert_valid(what, &document);
    document
}

/// The first line that a command prints.
#[track_caller]
pub(crate) fn line<const N: usize>(sandbox: &Sandbox, words: [&str; N]) -> String {
    sandbox.prov(words).ok().out().lines().next().unwrap_or_default().to_owned()
}
