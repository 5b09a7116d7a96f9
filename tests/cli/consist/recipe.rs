//! What makes a run another run, for programs in any language; and what does not.

use super::{copy, git};
use crate::project::{exists, project, read, run};
use crate::sandbox::Sandbox;

/// Scripts that lead to others, each in another language, as far as this machine has it.
fn languages() -> Vec<[&'static str; 4]> {
    let all = [
        // program, script, helper, the script's text
        ["sh", "steps/main.sh", "steps/part.sh", ". steps/part.sh; part > out\n"],
        ["awk", "steps/main.awk", "steps/part.awk", "BEGIN { part() }\n"],
        ["python3", "steps/main.py", "steps/part.py", "import part\nopen('out', 'w').write(part.text)\n"],
        ["perl", "steps/main.pl", "steps/part.pm", "require './steps/part.pm'; open(F, '>', 'out'); print F part();\n"],
    ];
    all.into_iter()
        .filter(|[program, ..]| {
            ["/usr/bin", "/bin", "/usr/local/bin"].iter().any(|at| exists(&Sandbox::new(), format!("{at}/{program}")))
        })
        .collect()
}

fn helper(program: &str, text: &str) -> String {
    match program {
        "sh" => format!("part() {{ echo {text}; }}\n"),
        "awk" => format!("function part() {{ print \"{text}\" > \"out\" }}\n"),
        "python3" => format!("text = '{text}\\n'\n"),
        _ => format!("sub part {{ return \"{text}\\n\" }} 1;\n"),
    }
}

#[test]
fn an_edited_helper_of_a_script_in_any_language_is_another_run_each_time() {
    assert!(languages().len() >= 2);
    for [program, script, part, text] in languages() {
        let sandbox = project();
        sandbox.file(script, text).file(part, helper(program, "1"));
        let words = match program {
            "awk" => vec!["awk", "-f", part, "-f", script],
            "python3" => vec!["python3", "-B", script],
            _ => vec![program, script],
        };
        let go = || run(&sandbox, [&["--name", "s", "-o", "out", "--"], &words[..]].concat());
        go().misses();
        // Never committed, edited more than once, and back again.
        for version in ["2", "3"] {
            sandbox.file(part, helper(program, version));
            assert_eq!(go().misses().parts(), [format!("code.{part}")], "{program}");
            assert_eq!(read(&sandbox, "out"), format!("{version}\n"), "{program}");
        }
        sandbox.file(part, helper(program, "1"));
        go().hits();
        assert_eq!(read(&sandbox, "out"), "1\n", "{program}");
    }
}

#[test]
fn tools_locks_and_variables_count_where_they_are_named() {
    let sandbox = project();
    sandbox.file("version", "1.0\n").file("uv.lock", "a = 1\n");
    let go = |threads: &str| {
        let threads = format!("THREADS={threads}");
        let words = ["--tool", "model=cat version", "--lock", "uv.lock", "--env", &threads, "-o", "out"];
        run(
            &sandbox,
            [&words[..], &["--name", "s", "--code", "none", "--", "sh", "-c", "echo $THREADS > out"]].concat(),
        )
    };
    go("1").misses();
    go("1").hits();
    assert_eq!(go("2").misses().parts(), ["env.THREADS"]);
    sandbox.file("version", "1.1\n");
    assert_eq!(go("2").misses().parts(), ["tools.model"]);
    sandbox.file("uv.lock", "a = 2\n");
    assert_eq!(go("2").misses().parts(), ["identity.uv_lock"]);
}

#[test]
fn commits_and_edits_elsewhere_are_no_other_run() {
    let sandbox = project();
    if !git(&sandbox, &["init", "-q"]) {
        return;
    }
    sandbox.file("clean.sh", "echo clean > clean\n").file("fit.sh", "echo fit > fit\n").file("README.md", "about\n");
    sandbox.file("prov.toml", "[steps.clean]\ncommand = \"sh clean.sh\"\noutput = \"clean\"\ncode = [\"clean.sh\"]\n");
    sandbox.file(".gitignore", "clean\nfit\n");
    let commit = || assert!(git(&sandbox, &["add", "-A"]) && git(&sandbox, &["commit", "-q", "-m", "x"]));
    let all = || run(&sandbox, ["--name", "fit", "-o", "fit", "--", "sh", "fit.sh"]);
    commit();
    run(&sandbox, ["clean"]).misses();
    all().misses();
    // Documents and data, edited and committed.
    sandbox.file("README.md", "about this\n").file("notes.txt", "new\n");
    all().hits();
    commit();
    all().hits();
    run(&sandbox, ["clean"]).hits();
    assert!(git(&sandbox, &["checkout", "-q", "-b", "branch"]));
    all().hits();
    // The code of another step: a step that names its own does not care, the others say how.
    sandbox.file("fit.sh", "echo better > fit\n");
    run(&sandbox, ["clean"]).hits();
    assert_eq!(all().misses().parts(), ["code.fit.sh"]);
    sandbox.file("clean.sh", "echo cleaner > clean\n");
    let miss = all().misses();
    assert!(miss.parts() == ["code.clean.sh"] && miss.outcome.err().contains("[steps.fit]"), "{}", miss.outcome);
    run(&sandbox, ["clean"]).misses();
}

#[test]
fn a_renamed_step_that_keeps_its_model_and_a_named_run_are_no_other_run() {
    let sandbox = project();
    let go = |more: &[&str]| run(&sandbox, [more, &["-o", "out", "--", "sh", "-c", "echo 1 > out"]].concat());
    go(&["--name", "old", "--model", "m"]).misses();
    go(&["--name", "new", "--model", "m", "--run-name", "baseline", "--tag", "t", "--stage", "s", "--facet", "a=1"])
        .hits();
}

#[test]
fn a_container_is_its_digest_or_its_bytes_and_no_path() {
    let sandbox = project();
    let go = |image: &str| {
        let words =
            ["--name", "c", "--container", image, "-o", "out", "--code", "none", "--", "sh", "-c", "echo 1 > out"];
        run(&sandbox, words)
    };
    let (one, other) = (format!("reg/model@sha256:{}", "a".repeat(64)), format!("mirror/m@sha256:{}", "a".repeat(64)));
    go(&one).misses();
    go(&other).hits();
    sandbox.file("images/model.sif", "image 1").file("elsewhere/copy.sif", "image 1");
    go("images/model.sif").misses();
    go("elsewhere/copy.sif").hits();
    sandbox.file("images/model.sif", "image 2");
    assert_eq!(go("images/model.sif").misses().parts(), ["container"]);
    sandbox.prov(["run", "--container", "images/none.sif", "-o", "x", "--", "touch", "x"]).ends(125);
    sandbox.prov(["run", "--container", "reg/model:latest", "-o", "x", "--", "touch", "x"]).ends(125);
    // The whole project in another place: no path of this machine is in it.
    let there = sandbox.project().with_file_name("elsewhere");
    copy(&sandbox.project(), &there);
    let mut command = sandbox.command(["--json", "run", "--name", "c", "--container", "images/model.sif", "-o", "out"]);
    command.args(["--code", "none", "--", "sh", "-c", "echo 1 > out"]).current_dir(&there);
    crate::project::Ran::of(sandbox.outcome(command)).hits();
}

#[test]
fn every_value_of_a_config_counts_by_what_it_says() {
    let sandbox = project();
    let go = |text: &str| {
        sandbox.file("c.yaml", text);
        run(
            &sandbox,
            [
                "--name",
                "s",
                "--config",
                "c.yaml",
                "-o",
                "out",
                "--code",
                "none",
                "--",
                "sh",
                "-c",
                "cat $PROV_CONFIG > out",
            ],
        )
    };
    let text = "when: 2026-01-01\nat: 2026-01-01T00:00:00Z\nrate: 0.10\nsize: 12345678901234567890\nnone: ~\nlist: [1, two, 3.5]\n";
    go(text).misses();
    assert!(read(&sandbox, "out").contains("2026-01-01"), "{}", read(&sandbox, "out"));
    // Order, comments and layout say nothing.
    go("# all\nlist:\n- 1\n- two\n- 3.5\nnone: null\nsize: 12345678901234567890\nrate: 0.1\nat: 2026-01-01T00:00:00Z\nwhen: 2026-01-01\n").hits();
    // These are different things to some program.
    let mut recipes = Vec::new();
    let values = [
        "1",
        "1.0",
        "\"1\"",
        "true",
        "0.0",
        "-0.0",
        "~",
        "[]",
        "{}",
        "''",
        "[1]",
        "2026-01-01",
        "1e3",
        "caf\u{e9}",
        "cafe\u{301}",
    ];
    for value in values {
        let ran = go(&format!("v: {value}\n")).misses();
        let recipe = ran.json["recipe"].clone();
        assert!(!recipes.contains(&recipe), "{value}");
        recipes.push(recipe);
    }
    assert!(!recipes.contains(&go("{}\n").json["recipe"]), "a key without a value is not a key that is not there");
    // The same value is the same from every format.
    go("v: 1\n").hits();
    for (name, text) in [("c.toml", "v = 1\n"), ("c.json", "{\"v\": 1}")] {
        sandbox.file(name, text);
        run(
            &sandbox,
            [
                "--name",
                "s",
                "--config",
                name,
                "-o",
                "out",
                "--code",
                "none",
                "--",
                "sh",
                "-c",
                "cat $PROV_CONFIG > out",
            ],
        )
        .hits();
    }
}
