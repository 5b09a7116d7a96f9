//! Questions about many runs: find, facets, metrics, SQL, and the index that they are answered from.

mod find;
mod index;
mod sql;
mod tables;

use serde_json::Value;

use crate::project::{Ran, project, run};
use crate::sandbox::Sandbox;
use crate::schema;

/// Runs of two steps with facets, params, metrics and dimensions.
fn sweep() -> Sandbox {
    let sandbox = project();
    sandbox.file("fit.sh", "echo \"{\\\"loss\\\": $1, \\\"steps\\\": 3}\" > m.json\n");
    for (n, alpha) in ["0.1", "0.5", "0.9"].iter().enumerate() {
        fit(&sandbox, n, alpha);
    }
    sandbox.file("in.txt", "hello\n");
    run(
        &sandbox,
        [
            "-i",
            "in.txt",
            "-o",
            "out.txt",
            "--name",
            "copy",
            "--tag",
            "good",
            "-m",
            "copies a quake",
            "--",
            "cp",
            "in.txt",
            "out.txt",
        ],
    )
    .misses();
    sandbox
}

fn fit(sandbox: &Sandbox, n: usize, alpha: &str) -> Ran {
    let (facet, set, iteration) = (format!("alpha={alpha}"), format!("model.alpha={alpha}"), n.to_string());
    let shared = format!("sweep:n={n}");
    run(
        sandbox,
        [
            "-o",
            "m.json",
            "--name",
            "fit",
            "--facet",
            &facet,
            "--facet",
            &shared,
            "--facet",
            "kind=lin",
            "-S",
            &set,
            "--iteration",
            &iteration,
            "--metrics-from",
            "m",
            "--output-facet",
            "m:quality=good",
            "--",
            "sh",
            "fit.sh",
            alpha,
        ],
    )
    .misses()
}

/// What a question says, after its document was checked.
#[track_caller]
fn ask(sandbox: &Sandbox, what: &str, words: &[&str]) -> Value {
    let document = sandbox.prov(["--json"].iter().chain(words)).ok().json();
    schema::assert_valid(what, &document);
    document
}

/// One column of an answer.
#[track_caller]
fn column(document: &Value, name: &str) -> Vec<Value> {
    let names = document["columns"].as_array().unwrap();
    let at = names.iter().position(|one| one == name).unwrap_or_else(|| panic!("no {name} in {names:?}"));
    document["rows"].as_array().unwrap().iter().map(|row| row[at].clone()).collect()
}

fn found(sandbox: &Sandbox, words: &[&str]) -> Value {
    ask(sandbox, "find", &[&["find", "runs"], words].concat())
}
