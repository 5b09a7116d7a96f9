//! Programs as task types, and limits on memory.

#![expect(clippy::disallowed_methods, reason = "tests make and break the files they work on")]

use super::{run, with};
use crate::project::{exists, read};

/// Counts the bytes of its source: told by the file that `PROV_TASK` names, and telling what it made.
const COUNT: &str = r#"#!/bin/sh
set -eu
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$PROV_TASK" | head -n 1; }
echo called >> "$PWD/calls"
grep -q '"phase": *"run"' "$PROV_TASK"
from=$(tr -d '\n' < "$PROV_TASK" | sed 's/.*"sources"[^]]*"absolute": *"\([^"]*\)".*/\1/')
to=$(tr -d '\n' < "$PROV_TASK" | sed 's/.*"destinations"[^]]*"absolute": *"\([^"]*\)".*/\1/')
mkdir -p "$(dirname "$to")"
wc -c < "$from" | tr -d ' ' > "$to.part"
mv "$to.part" "$to"
echo "{\"scratchpad\": {\"bytes\": \"$(cat "$to")\"}}" >&3
echo "{\"log\": \"counted\"}" >&3
"#;

const COUNTED: &str = "prov: 1
types:
  count: {run: [sh, count.sh], provides: [bytes]}
steps:
  s:
    - {name: count it, type: count, source: in.txt, destination: out/n.txt, outputs: [out/n.txt]}
    - {name: say, run: [sh, -c, 'echo ${bytes} > said'], requires: [count it], outputs: [said]}
";

#[test]
fn a_program_is_told_and_tells_and_is_asked_once() {
    let sandbox = with(COUNTED);
    sandbox.file("count.sh", COUNT).file("in.txt", "12345");
    let first = run(&sandbox, &[]).ends(0);
    assert_eq!(first.ends_of(&["count it", "say"]), ["success", "success"], "{}", first.outcome);
    assert_eq!((read(&sandbox, "out/n.txt"), read(&sandbox, "said")), ("5\n".to_owned(), "5\n".to_owned()));
    // Its result, and what it told, are known.
    std::fs::remove_file(sandbox.path("said")).unwrap();
    std::fs::remove_file(sandbox.path("out/n.txt")).unwrap();
    let second = run(&sandbox, &[]).ends(0);
    assert_eq!(second.ends_of(&["count it", "say"]), ["hit", "hit"], "{}", second.outcome);
    assert_eq!((read(&sandbox, "out/n.txt"), read(&sandbox, "said")), ("5\n".to_owned(), "5\n".to_owned()));
    assert_eq!(read(&sandbox, "calls"), "called\n");
    // Another source is another result.
    sandbox.file("in.txt", "1234567");
    let third = run(&sandbox, &[]).ends(0);
    assert_eq!(third.ends_of(&["count it", "say"]), ["success", "success"], "{}", third.outcome);
    assert_eq!(read(&sandbox, "said"), "7\n");
    let log = sandbox.prov(["pipeline", "logs", "count it"]).ok();
    assert!(log.out().contains("counted"), "{log}");
}

#[test]
fn a_program_that_says_nonsense_fails_and_the_line_is_named() {
    let sandbox = with(COUNTED);
    sandbox.file("count.sh", "echo '{\"artefact\": 1}' >&3\n").file("in.txt", "1");
    let ran = run(&sandbox, &[]).ends(1);
    assert_eq!(ran.ends_of(&["count it", "say"]), ["failure", "blocked"], "{}", ran.outcome);
    let error = ran.task("count it")["error"].to_string();
    assert!(error.contains("artefact") || error.contains("line 1"), "{error}");
    assert!(!exists(&sandbox, "said"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_task_is_refused_more_memory_than_it_may_have() {
    // The limit comes right after the start: the shell waits for it, and hands it on.
    let wait = "while [ \"$(ulimit -d)\" = unlimited ]; do :; done; ";
    let text = |memory: &str| {
        format!(
            "prov: 1\nsteps:\n  s:\n    - name: hungry\n      run: |\n        {wait}head -c 300000000 /dev/zero | tail -c 300000000 | wc -c > n.txt; test \"$(cat n.txt)\" = 300000000\n      outputs: [n.txt]\n      timeout: 60s\n      memory: {memory}\n"
        )
    };
    let sandbox = with(&text("64MiB"));
    let ran = run(&sandbox, &[]).ends(1);
    assert_eq!(ran.end("hungry"), "failure", "{}", ran.outcome);
    // With room enough it does the same.
    sandbox.file("prov.yaml", text("2GiB"));
    let ran = run(&sandbox, &[]).ends(0);
    assert_eq!(ran.end("hungry"), "success", "{}", ran.outcome);
}
