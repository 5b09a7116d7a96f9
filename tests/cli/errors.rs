//! How failures look and end.

use std::process::Stdio;

use insta::assert_snapshot;
use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::schema;

#[test]
fn a_usage_error_is_2_and_125_under_run() {
    let sandbox = Sandbox::new();
    sandbox.prov(["log", "--no-such"]).ends(2);
    sandbox.prov(["run", "--no-such", "--", "true"]).ends(125);
    sandbox.prov(["-C", "run", "log"]).ends(2);
    sandbox.prov(["frobnicate"]).ends(2);
}

#[test]
fn what_is_not_there_yet_says_so() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.prov(["log", "--graph"]), @r"
    exit 2
    --- stderr
    error: option `--graph` of `prov log` is not there yet
    hint: see `prov log --help` for what this version has
    ");
    assert_snapshot!(sandbox.prov(["man"]), @r"
    exit 2
    --- stderr
    error: command `man` is not there yet
    hint: see `prov --help` for what this version has
    ");
}

#[test]
fn a_command_without_dashes_before_it_gets_the_dashes_as_a_hint() {
    assert_snapshot!(Sandbox::new().prov(["run", "python", "clean.py"]), @r"
    exit 125
    --- stderr
    error: unexpected argument 'clean.py' found
    hint: put `--` before the command: prov run [OPTIONS] -- CMD...
    ");
}

#[test]
fn under_json_a_failure_is_a_document_on_standard_error() {
    let sandbox = Sandbox::new();
    for words in [
        &["--json", "log", "--no-such"][..],
        &["run", "--json", "--json-lines=1"],
        &["--json"],
        &["-C", "nowhere", "--json", "log"],
    ] {
        let outcome = sandbox.prov(words);
        assert!(outcome.stdout.is_empty(), "{outcome}");
        let document: Value = serde_json::from_slice(&outcome.stderr).unwrap_or_else(|err| panic!("{err}: {outcome}"));
        schema::assert_valid("error", &document);
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    assert_snapshot!(Sandbox::new().prov(["-C", "nowhere", "doctor"]), @r"
    exit 2
    --- stderr
    error: can not enter `nowhere`
    caused by: No such file or directory (os error 2)
    ");
}

#[test]
fn a_variable_that_makes_no_sense_is_named() {
    assert_snapshot!(Sandbox::new().with("PROV_CACHE", "sometimes").prov(["doctor"]), @r"
    exit 2
    --- stderr
    error: PROV_CACHE is `sometimes`
    hint: set it to reuse, overwrite, readonly or off
    ");
}

#[test]
fn a_closed_pipe_is_quiet() {
    let sandbox = Sandbox::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = sandbox.command(["completions", "bash"]);
    command.stdout(writer);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(141), &b""[..]));
}

#[test]
fn colour_comes_only_when_asked_for() {
    let sandbox = Sandbox::new();
    assert!(!sandbox.prov(["nonsense"]).err().contains('\u{1b}'));
    assert!(Sandbox::new().with("CLICOLOR_FORCE", "1").prov(["nonsense"]).err().contains("\u{1b}["));
    assert!(
        !Sandbox::new().with("CLICOLOR_FORCE", "1").with("NO_COLOR", "1").prov(["nonsense"]).err().contains('\u{1b}')
    );
}
