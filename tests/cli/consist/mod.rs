//! What other caches for runs get wrong, as people would meet it here: swapped and edited inputs, overwritten and lost
//! outputs, colliding folders, code in other languages, interrupted runs, and records that go missing.

mod history;
mod inputs;
mod recipe;
mod results;

use std::process::Command;

use crate::sandbox::Sandbox;

/// Runs Git in the project; false if there is none.
fn git(sandbox: &Sandbox, words: &[&str]) -> bool {
    let mut command = Command::new("git");
    command.args(words).current_dir(sandbox.project()).env_clear();
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", sandbox.path("../home"));
    for (name, value) in [("NAME", "Ada"), ("EMAIL", "ada@example.org")] {
        command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
    }
    command.output().is_ok_and(|out| out.status.success())
}

/// Copies a folder with everything in it, as `cp -a` does.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}
