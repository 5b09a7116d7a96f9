//! Folders of configuration: layers, changed copies, the configs of earlier runs.

use crate::project::{Ran, exists, project, read, remove, rename, run};
use crate::sandbox::Sandbox;

/// Prints every file of the folder that it is given, with names.
const DUMP: &str =
    "cd \"$1\"; for f in $(find . -type f | sort); do echo \"== $f\"; cat $f; done > \"$OLDPWD/out.txt\"\n";

fn model() -> Sandbox {
    let sandbox = project();
    sandbox
        .file("dump.sh", DUMP)
        .file("base/settings.yaml", "# all\nconstants:\n  rate: 0.5\n  when: 2026-01-01\ntables: [coefs.csv]\n")
        .file("base/coefs.csv", "name,value\na,1\nb,2\n")
        .file("base/sub/zones.csv", "zone\n1\n")
        .file("local/settings.yaml", "inherit: true\nconstants:\n  extra: no\n")
        .file("local/more.toml", "at = 2026-01-01 # kept\nn = 1\n");
    sandbox
}

const LAYERS: [&str; 4] = ["--config-dir", "base", "--config-dir", "local"];
const DUMPED: [&str; 6] = ["-o", "out.txt", "--", "sh", "dump.sh", "{config}"];

#[track_caller]
fn dump(sandbox: &Sandbox, more: &[&str]) -> Ran {
    run(sandbox, [&LAYERS, more, &DUMPED].concat())
}

#[test]
fn a_constant_a_coefficient_and_a_renamed_table_each_miss_and_are_named() {
    let sandbox = model();
    dump(&sandbox, &[]).misses();
    let out = read(&sandbox, "out.txt");
    let settings = "constants:\n  rate: 0.5\n  when: 2026-01-01\n  extra: no\ntables:\n  - coefs.csv\n";
    assert!(out.contains(&format!("== ./settings.yaml\n{settings}== ./sub/zones.csv\n")), "{out}");
    assert!(out.contains("== ./more.toml\nat = 2026-01-01 # kept\nn = 1\n"), "{out}");
    dump(&sandbox, &[]).hits();
    sandbox.file("base/settings.yaml", "# all\nconstants:\n  rate: 0.6\n  when: 2026-01-01\ntables: [coefs.csv]\n");
    let ran = dump(&sandbox, &[]).misses();
    assert_eq!(ran.parts(), ["@config/settings.yaml:constants.rate"]);
    assert_eq!(
        (ran.json["cache"]["reasons"][0]["before"].as_str(), ran.json["cache"]["reasons"][0]["after"].as_str()),
        (Some("0.5"), Some("0.6"))
    );
    sandbox.file("base/coefs.csv", "name,value\na,1\nb,3\n");
    assert_eq!(dump(&sandbox, &[]).misses().parts(), ["@config/coefs.csv"]);
    rename(&sandbox, "base/sub/zones.csv", "base/sub/zone.csv");
    assert_eq!(dump(&sandbox, &[]).misses().parts(), ["@config/sub/zone.csv", "@config/sub/zones.csv"]);
    assert_eq!(dump(&sandbox, &["--config-wins", "first"]).json["status"], "success");
}

#[test]
fn equal_overrides_hit_in_any_order_and_originals_stay() {
    let sandbox = model();
    let one = ["--override", "settings.yaml:constants.rate=0.9", "--override", "more.toml:n=2"];
    let other = ["--override", "more.toml:n=2", "--override", "settings.yaml:constants.rate=0.9"];
    let first = dump(&sandbox, &one).misses();
    dump(&sandbox, &other).hits();
    let out = read(&sandbox, "out.txt");
    assert!(out.contains("rate: 0.9\n") && out.contains("at = 2026-01-01 # kept\nn = 2\n"), "{out}");
    assert!(read(&sandbox, "base/settings.yaml").contains("rate: 0.5"), "the original is as it was");
    let ran =
        dump(&sandbox, &["--override", "more.toml:n=3", "--override", "settings.yaml:constants.rate=0.9"]).misses();
    assert_eq!(ran.parts(), ["@config/more.toml:n"]);
    let typo = [&LAYERS[..], &["--override", "settings.yaml:constants.rat=1"], &DUMPED].concat();
    let outcome = sandbox.prov([&["run"][..], &typo].concat()).ends(125);
    assert!(outcome.err().contains("did you mean `rate`?"), "{outcome}");
    let typo = [&LAYERS[..], &["--override", "setings.yaml:constants.rate=1"], &DUMPED].concat();
    let outcome = sandbox.prov([&["run"][..], &typo].concat()).ends(125);
    assert!(outcome.err().contains("did you mean `settings.yaml`?"), "{outcome}");
    // What a run was given can be had back.
    let rev = format!("{}:@config", first.id());
    sandbox.prov(["restore", &rev, "--to", "back"]).ok();
    assert!(read(&sandbox, "back/config/settings.yaml").contains("rate: 0.9"));
    assert_eq!(sandbox.prov(["cat", &format!("{rev}/config/more.toml")]).ok().out(), "at = 2026-01-01 # kept\nn = 2\n");
    assert!(sandbox.prov(["ls-tree", "-r", &rev]).ok().out().contains("sub/zones.csv"));
    sandbox.prov(["cat", &format!("{rev}/config/none.toml")]).ends(4);
}

#[test]
fn a_run_can_be_the_base_of_another() {
    let sandbox = model();
    let first = dump(&sandbox, &["--override", "more.toml:n=2"]).misses();
    remove(&sandbox, "base");
    remove(&sandbox, "local");
    let again = |more: &[&str]| run(&sandbox, [&["--base-run", first.id()], more, &DUMPED].concat());
    assert_eq!(again(&[]).hits().json["cache"]["source"], first.json["run"]);
    let changed = again(&["--override", "settings.yaml:constants.rate=0.1"]).misses();
    assert_eq!(changed.parts(), ["@config/settings.yaml:constants.rate"]);
    assert!(read(&sandbox, "out.txt").contains("rate: 0.1\n") && read(&sandbox, "out.txt").contains("n = 2\n"));
    let status = sandbox.prov(["--json", "status"]).ok().json();
    assert_eq!(status["steps"][0]["state"], "fresh", "{status:#}");
    // Values are a base as well.
    let plain = run(&sandbox, ["-S", "a=1", "-S", "b=2", "-o", "v", "--", "sh", "-c", "cat $PROV_CONFIG > v"]).misses();
    let words = ["--base-run", plain.id(), "-S", "b=3", "-o", "v", "--", "sh", "-c", "cat $PROV_CONFIG > v"];
    run(&sandbox, words).misses();
    assert_eq!(read(&sandbox, "v"), "{\"a\": 1, \"b\": 3}");
}

#[test]
fn there_is_exactly_one_base() {
    let sandbox = model();
    sandbox.file("c.yaml", "a: 1\n");
    let first = dump(&sandbox, &[]).misses();
    let none = run(&sandbox, ["-o", "n", "--", "touch", "n"]).misses();
    let refused: [&[&str]; 7] = [
        &["--config-dir", "base", "--base-run", first.id()],
        &["--config", "c.yaml", "--base-run", first.id()],
        &["--override", "c.yaml:a=2", "--config", "c.yaml"],
        &["--config-identity", "off"],
        &["--base-run", none.id()],
        &["--config-dir", "c.yaml"],
        &["--config-dir", "nowhere"],
    ];
    for words in refused {
        sandbox.prov([&["run"], words, &["-o", "x", "--", "touch", "x"]].concat()).ends(125);
    }
    assert!(!exists(&sandbox, "x"));
}

#[test]
fn how_a_folder_counts_can_be_said() {
    let sandbox = model();
    let with = |how: &'static str| dump(&sandbox, &["--name", how, "--config-identity", how]);
    with("values").misses();
    with("off").misses();
    with("bytes").misses();
    sandbox.file("local/more.toml", "at = 2026-01-01 # other\nn = 1\n");
    with("values").hits();
    with("off").hits();
    assert_eq!(with("bytes").misses().parts(), ["@config/more.toml"]);
    sandbox.file("local/more.toml", "at = 2026-01-01\nn = 4\n");
    assert_eq!(with("values").misses().parts(), ["@config/more.toml:n"]);
    sandbox.file("base/coefs.csv", "name,value\n");
    with("off").hits();
}

#[test]
fn a_folder_is_not_an_identity_file_of_the_same_name() {
    let sandbox = project();
    sandbox.file("config/a.yaml", "a: 1\n");
    let words = ["-o", "x", "--", "sh", "-c", "echo ${PROV_CONFIG:+set} > x"];
    run(&sandbox, [&["--config-dir", "config"][..], &words].concat()).misses();
    assert_eq!(read(&sandbox, "x"), "set\n");
    run(&sandbox, [&["--identity", "config=config"][..], &words].concat()).misses();
    assert_eq!(read(&sandbox, "x"), "\n");
    sandbox.prov([&["run", "--identity", "@config=config"][..], &words].concat()).ends(125);
}

#[test]
fn a_command_that_names_a_layer_is_given_what_counts() {
    let sandbox = model();
    let words = |dir: &'static str, more: &[&'static str]| {
        [&["--config-dir", "base"][..], more, &["-o", "out.txt", "--", "sh", "dump.sh", dir]].concat()
    };
    run(&sandbox, words("base", &[])).misses();
    run(&sandbox, words("./base", &[])).hits();
    run(&sandbox, words("{config}", &[])).hits();
    run(&sandbox, words("base", &["--override", "settings.yaml:constants.rate=0.7"])).misses();
    assert!(read(&sandbox, "out.txt").contains("rate: 0.7"), "it was given the changed copy");
    // What changes while it runs is no result.
    let ran = run(&sandbox, ["--config-dir", "base", "-o", "y", "--", "sh", "-c", "echo x >> base/coefs.csv; touch y"]);
    assert_eq!(ran.json["sealed"], false);
}

#[test]
fn links_that_lead_out_and_secrets_are_refused() {
    let sandbox = model().with("TOKEN", "hunter2-very-secret");
    sandbox.file("outside.yaml", "a: 1\n");
    std::os::unix::fs::symlink("coefs.csv", sandbox.path("base/link.csv")).unwrap();
    dump(&sandbox, &[]).misses();
    sandbox.file("base/coefs.csv", "name\n");
    assert_eq!(dump(&sandbox, &[]).misses().parts(), ["@config/coefs.csv", "@config/link.csv"]);
    std::os::unix::fs::symlink("../outside.yaml", sandbox.path("base/out.yaml")).unwrap();
    let outcome = sandbox.prov([&["run"][..], &LAYERS, &DUMPED].concat()).ends(125);
    assert!(outcome.err().contains("leads to no file of its own folder"), "{outcome}");
    remove(&sandbox, "base/out.yaml");
    sandbox.file("base/key.yaml", "key: hunter2-very-secret\n");
    let outcome = sandbox.prov([&["run", "--secret-env", "TOKEN"][..], &LAYERS, &DUMPED].concat()).ends(125);
    assert!(!outcome.err().contains("hunter2"), "{outcome}");
}
