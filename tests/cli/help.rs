//! Help, version, completions.

use insta::assert_snapshot;

use crate::sandbox::Sandbox;

#[test]
fn version_is_data() {
    let outcome = Sandbox::new().prov(["--version"]).ok();
    assert_eq!(outcome.out(), concat!("prov ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn help_lists_every_command_with_one_line() {
    let help = Sandbox::new().prov(["--help"]).ok().out();
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let expected = "init add commit run map start log-input log-output log-meta finish status log show diff compare why plan lineage impact preview find facets history summary metrics sql events id restore cat rerun verify check retract hide scrub tag note ops undo scenario pipeline export import schema remote push fetch pull sync clone bundle evict where pack serve hooks fsck gc config doctor \
                    completions cat-object ls-tree rev-parse help";
    assert_eq!(commands.join(" "), expected);
}

#[test]
fn without_words_prov_shows_its_help_as_a_usage_error() {
    let outcome = Sandbox::new().prov([""; 0]).ends(2);
    assert!(outcome.stdout.is_empty() && outcome.err().contains("Usage: prov"), "{outcome}");
}

#[test]
fn completions_come_for_every_shell() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(sandbox.prov(["completions", shell]).ok().out().contains("rev-parse"), "{shell}");
    }
}

#[test]
fn the_help_of_run_explains_keys_and_exit_codes() {
    let help = Sandbox::new().prov(["run", "--help"]).ok().out();
    let tail: String =
        help.lines().skip_while(|line| !line.starts_with("In CMD")).take(4).collect::<Vec<_>>().join("\n");
    assert_snapshot!(tail, @r"
    In CMD, {input.KEY}, {output.KEY}, {config}, {set.KEY}, {dim.KEY} and {runtime.KEY} are replaced.
    Other braces are left alone. --run-name, --tag and -m take {step}, {year}, {iteration}, {DIM}.
    KEY is the file name up to its first dot unless given as KEY=PATH; write ./a=b for a path with `=`.
    The exit code is CMD's own; 125 says that prov itself failed, 124 that the time was up.
    ");
}
