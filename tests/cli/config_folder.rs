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

#[test]
fn the_config_and_code_of_a_run_are_inputs_of_another_and_two_configs_can_be_compared() {
    let sandbox = project();
    sandbox.file("cfg/s.yaml", "a: 1\n");
    sandbox.file("cfg/t.csv", "x,y\n");
    sandbox.file("step.py", "pass\n");
    let go = |name: &str, more: &[&str], line: &str| {
        let out = format!("{name}.out");
        let words = ["--name", name, "-o", &out].map(ToOwned::to_owned);
        let tail =
            ["--".to_owned(), "sh".to_owned(), "-c".to_owned(), format!("{line} > {out}"), "{input.cfg}".to_owned()];
        let tail = if more.iter().any(|word| word.starts_with("cfg=")) { tail.to_vec() } else { tail[..4].to_vec() };
        run(&sandbox, words.into_iter().chain(more.iter().map(|word| (*word).to_owned())).chain(tail))
    };
    go("a", &["--config-dir", "cfg"], "cat $PROV_CONFIG/s.yaml").misses();
    go("b", &["--config-dir", "cfg", "--override", "s.yaml:a=2"], "cat $PROV_CONFIG/s.yaml").misses();
    go("v", &["-S", "x=1", "-S", "y.z=2"], "cat $PROV_CONFIG").misses();
    go("w", &["-S", "x=1", "-S", "y.z=3"], "cat $PROV_CONFIG").misses();
    let narrow = ["--code", "none", "-i"];
    let with = |name: &str, input: &str, line: &str| go(name, &[&narrow[..], &[input]].concat(), line);
    let folder = with("c", "cfg=b:@config", "cat $0/s.yaml $0/t.csv").misses();
    assert_eq!(read(&sandbox, "c.out"), "a: 2\nx,y\n");
    let recorded = folder.json["inputs"]["cfg"]["path"].as_str().unwrap();
    assert!(recorded.ends_with(":@config") && recorded.contains("-b-"), "{recorded}");
    with("c", "cfg=b:@config", "cat $0/s.yaml $0/t.csv").hits();
    assert_eq!(with("c", "cfg=a:@config", "cat $0/s.yaml $0/t.csv").misses().parts(), ["inputs.cfg/s.yaml"]);
    with("f", "cfg=b:@config/config/s.yaml", "cat $0").misses();
    assert_eq!(read(&sandbox, "f.out"), "a: 2\n");
    with("j", "cfg=v:@config", "cat $0").misses();
    assert_eq!(read(&sandbox, "j.out"), read(&sandbox, "v.out"), "as the command found it");
    with("j", "cfg=v:@config", "cat $0").hits();
    with("k", "cfg=a:@code", "ls $0").misses();
    assert_eq!(read(&sandbox, "k.out"), "step.py\n");

    let parts = |a: &str, b: &str| {
        let found = sandbox.prov(["--json", "diff", a, b]).ok().json();
        crate::schema::assert_valid("diff", &found);
        assert_eq!(found["equal"], found["parts"].as_array().unwrap().is_empty());
        let parts = found["parts"].as_array().unwrap().iter().map(|part| part["part"].as_str().unwrap().to_owned());
        parts.collect::<Vec<_>>()
    };
    assert_eq!(parts("a:@config", "b:@config"), ["@config/s.yaml:a"]);
    assert_eq!(parts("a:@config/config/s.yaml", "b:@config/config/s.yaml"), ["s.yaml:a"]);
    assert_eq!(parts("v:@config", "w:@config"), ["config.y.z"]);
    assert!(parts("a:@config", "a:@config").is_empty());
    sandbox.prov(["diff", "a:@config", "v:@config"]).ends(2);
    assert_eq!(sandbox.prov(["diff", "--exit-code", "v:@config", "w:@config"]).code, 1);
}
