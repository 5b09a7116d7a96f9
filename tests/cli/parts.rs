//! Tools, containers, lock files, runtime values, and steps of `prov.toml`.

use crate::project::{exists, project, read, run};

#[test]
fn a_new_version_of_a_tool_is_a_miss_that_names_it() {
    let sandbox = project();
    sandbox.file("version.sh", "cat version.txt; echo asked >> asked.txt\n").file("version.txt", "1.0\n");
    let words = ["--tool", "fit=sh version.sh", "-o", "x", "--code", "none", "--", "sh", "-c", "echo > x"];
    run(&sandbox, words).misses();
    run(&sandbox, words).hits();
    sandbox.file("version.txt", "1.1\n");
    let ran = run(&sandbox, words).misses();
    assert_eq!(ran.parts(), ["tools.fit"]);
    assert_eq!(ran.json["cache"]["reasons"][0]["after"], "1.1");
    // Asked at each lookup, and again after each execution.
    assert_eq!(read(&sandbox, "asked.txt").lines().count(), 5);
}

#[test]
fn a_version_that_can_not_be_told_fails_the_lookup() {
    let sandbox = project();
    let failing = ["t=false", "t=true", "t=no-such-tool --version", "t=sh -c 'echo 1; exit 1'", "t=a | b", "t= "];
    for tool in failing {
        let outcome = sandbox.prov(["run", "--tool", tool, "-o", "x", "--", "touch", "x"]).ends(125);
        assert!(outcome.err().contains("the part `tools.t` can't be computed"), "{outcome}");
        assert!(!exists(&sandbox, "x"));
    }
    let outcome = sandbox.prov(["run", "--container", "busybox:latest", "-o", "x", "--", "touch", "x"]).ends(125);
    assert!(outcome.err().contains("a tag may mean another image"), "{outcome}");
    let outcome = sandbox.prov(["run", "--container-from", "echo latest", "-o", "x", "--", "touch", "x"]).ends(125);
    assert!(outcome.err().contains("no `sha256:` digest"), "{outcome}");
    sandbox.prov(["run", "--lock", "uv.lock", "-o", "x", "--", "touch", "x"]).ends(125);
    assert_eq!(sandbox.prov(["log"]).out(), "");
}

#[test]
fn a_tool_that_changes_while_the_command_runs_unseals_it() {
    let sandbox = project();
    sandbox.file("version.txt", "1\n");
    let words = [
        "--tool",
        "t=cat version.txt",
        "-o",
        "x",
        "--code",
        "none",
        "--",
        "sh",
        "-c",
        "echo > x; echo 2 > version.txt",
    ];
    let ran = run(&sandbox, words);
    assert_eq!(ran.json["sealed"], false, "{:#}", ran.json);
}

#[test]
fn a_container_counts_by_its_digest_or_its_bytes() {
    let sandbox = project();
    let image = |digest: &str| format!("reg.io/model@sha256:{}", digest.repeat(64));
    let words = |image: &str| ["--container", image, "-o", "x", "--", "sh", "-c", "echo > x"].map(str::to_owned);
    run(&sandbox, words(&image("a"))).misses();
    run(&sandbox, words(&format!("mirror.io/model@sha256:{}", "a".repeat(64)))).hits();
    assert_eq!(run(&sandbox, words(&image("b"))).misses().parts(), ["container"]);
    let printed = format!("echo sha256:{}", "b".repeat(64));
    run(&sandbox, ["--container-from", &printed, "-o", "x", "--", "sh", "-c", "echo > x"]).hits();
    sandbox.file("image.sif", "one");
    run(&sandbox, words("image.sif")).misses();
    run(&sandbox, words("./image.sif")).hits();
    sandbox.file("image.sif", "two");
    assert_eq!(run(&sandbox, words("image.sif")).misses().parts(), ["container"]);
}

#[test]
fn lock_files_are_parts_with_their_whole_names() {
    let sandbox = project();
    sandbox.file("uv.lock", "a\n").file("sub/package-lock.json", "{}\n");
    let words = ["--lock", "uv.lock", "--lock", "npm=sub/package-lock.json", "-o", "x", "--", "sh", "-c", "echo > x"];
    run(&sandbox, words).misses();
    sandbox.file("uv.lock", "b\n");
    assert_eq!(run(&sandbox, words).misses().parts(), ["identity.uv_lock"]);
    sandbox.file("sub/package-lock.json", "[]\n");
    assert_eq!(run(&sandbox, words).misses().parts(), ["identity.npm"]);
}

#[test]
fn runtime_values_reach_the_command_and_do_not_count() {
    let sandbox = project();
    let words = |threads: &str| {
        let value = format!("threads={threads}");
        [
            "--runtime",
            &value,
            "-o",
            "x",
            "--",
            "sh",
            "-c",
            "echo $1 $PROV_RUNTIME_THREADS > x",
            "sh",
            "-j{runtime.threads}",
        ]
        .map(str::to_owned)
    };
    let first = run(&sandbox, words("4")).misses();
    assert_eq!(read(&sandbox, "x"), "-j4 4\n");
    run(&sandbox, words("8")).hits();
    assert_eq!(read(&sandbox, "x"), "-j4 4\n");
    let shown = sandbox.prov(["--json", "show", first.id()]).ok().json();
    assert_eq!(shown["run"]["meta"]["runtime"]["threads"], "4", "{shown:#}");
    sandbox.prov(["run", "-o", "x", "--", "echo", "{runtime.none}"]).ends(125);
    assert_eq!(read(&sandbox, "x"), "-j4 4\n", "nothing was cleared");
}

#[test]
fn a_step_needs_nothing_but_its_name() {
    let sandbox = project();
    sandbox.file("raw_2030.csv", "r\n").file("uv.lock", "a\n").file(
        "prov.toml",
        r#"
[steps.clean]
command = ["sh", "-c", "cat {input.raw} > {output.clean}; echo {dim.year} {runtime.threads} >> {output.clean}"]
input = { raw = "raw_{year}.csv" }
output = { clean = "out/{step}_{year}.csv" }
run_name = "{step}_{year}_{iteration}"
tag = ["y{year}", "{other}"]
year = 2030
iteration = 1
tool = { sh = "echo 1" }
lock = "uv.lock"
runtime = { threads = 2 }
"#,
    );
    let ran = run(&sandbox, ["clean"]).misses();
    assert_eq!(read(&sandbox, "out/clean_2030.csv"), "r\n2030 2\n");
    assert_eq!(ran.json["name"], "clean_2030_1");
    assert_eq!(ran.json["tags"], serde_json::json!(["y2030", "{other}"]));
    sandbox.file("raw_2040.csv", "s\n");
    run(&sandbox, ["clean", "--year", "2040", "--iteration", "2", "--runtime", "threads=9"]).misses();
    assert_eq!(read(&sandbox, "out/clean_2040.csv"), "s\n2040 9\n");
    assert_eq!(run(&sandbox, ["clean", "--run-name", "again", "--tool", "sh=echo 2"]).misses().parts(), ["tools.sh"]);
    let outcome = sandbox.prov(["run", "clean", "--run-name", "{yaer}"]).ends(125);
    assert!(outcome.err().contains("known are {iteration}"), "{outcome}");
}

#[test]
fn what_is_wrong_with_a_step_is_told_with_file_and_line() {
    let sandbox = project();
    sandbox.file("prov.toml", "[steps.x]\ncommand = 'true'\noutpt = 'a'\n");
    let outcome = sandbox.prov(["run", "x"]).ends(125);
    assert!(outcome.err().contains("prov.toml:3:1") && outcome.err().contains("did you mean `output`?"), "{outcome}");
    sandbox.file("prov.toml", "[steps.x]\ncommand = 'true'\nrestore = 'outputs'\ndim = { year = 3 }\n");
    sandbox.prov(["run", "x"]).ends(125);
}
