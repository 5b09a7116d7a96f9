//! When a run is a hit, and when it must not be.

use crate::project::{self, RUN_COPY, exists, project, read, remove, run, with_copy};
use crate::sandbox::Sandbox;

fn copy(sandbox: &Sandbox) -> project::Ran {
    run(sandbox, RUN_COPY[1..].iter().copied().chain(["out.txt"]))
}

#[test]
fn the_second_run_is_a_hit_that_replays_what_was_printed() {
    let sandbox = with_copy();
    let first = copy(&sandbox).misses();
    assert_eq!(first.parts(), ["step"]);
    assert!(first.outcome.err().contains("out\n"), "under --json standard output is for the document");
    let second = copy(&sandbox).hits();
    assert_eq!(second.json["cache"]["source"], first.json["run"]);
    assert_eq!(second.action("out"), "kept");
    let third = sandbox.prov(RUN_COPY.iter().copied().chain(["out.txt"])).ok();
    assert_eq!(third.out(), "out\n");
    assert!(third.err().starts_with("err\n"), "{third}");
}

#[test]
fn deleted_outputs_come_back() {
    let sandbox = with_copy();
    copy(&sandbox).misses();
    remove(&sandbox, "out.txt");
    assert_eq!(copy(&sandbox).hits().action("out"), "restored");
    assert_eq!(read(&sandbox, "out.txt"), "hello\n");
}

#[test]
fn swapped_inputs_miss() {
    let sandbox = project();
    sandbox.file("a", "1\n").file("b", "2\n");
    let cat = |a: &str, b: &str| {
        run(
            &sandbox,
            [
                "-i",
                &format!("x={a}"),
                "-i",
                &format!("y={b}"),
                "-o",
                "out",
                "--",
                "sh",
                "-c",
                "cat $PROV_INPUT_X $PROV_INPUT_Y > out",
            ],
        )
    };
    cat("a", "b").misses();
    let swapped = cat("b", "a").misses();
    assert_eq!(swapped.parts(), ["inputs.x", "inputs.y"]);
    assert_eq!(read(&sandbox, "out"), "2\n1\n");
    cat("a", "b").hits();
    assert_eq!(read(&sandbox, "out"), "1\n2\n");
}

#[test]
fn an_input_that_is_edited_between_two_steps_gives_the_right_result() {
    let sandbox = with_copy();
    let upper = ["-i", "out.txt", "-o", "up.txt", "--", "sh", "-c", "tr a-z A-Z < out.txt > up.txt"];
    copy(&sandbox).misses();
    run(&sandbox, upper).misses();
    sandbox.file("out.txt", "edited\n");
    let second = run(&sandbox, upper).misses();
    assert_eq!(second.parts(), ["inputs.out"]);
    assert_eq!(read(&sandbox, "up.txt"), "EDITED\n");
}

#[test]
fn a_b_a_with_one_output_path_is_a_hit_the_third_time_and_the_path_holds_the_first_bytes() {
    let sandbox = project();
    let set = |value: &str| {
        run(&sandbox, ["-S", &format!("v={value}"), "-o", "out", "--", "sh", "-c", "echo $1 > out", "sh", "{set.v}"])
    };
    set("a").misses();
    set("b").misses();
    assert_eq!(read(&sandbox, "out"), "b\n");
    let third = set("a").hits();
    assert_eq!((third.action("out"), read(&sandbox, "out").as_str()), ("restored", "a\n"));
    assert_eq!(third.json["displaced"], serde_json::json!([]), "the store knows what was there");
}

#[test]
fn another_folder_another_stdin_another_variable_miss() {
    let sandbox = project();
    sandbox.file("sub/x", "").file("one", "1\n").file("two", "2\n");
    let make = ["-o", "out", "--code", "none", "--", "sh", "-c", "pwd > out"];
    run(&sandbox, make).misses();
    let mut command = sandbox.command(["--json", "run"].into_iter().chain(make));
    command.current_dir(sandbox.path("sub"));
    let elsewhere = project::Ran::of(sandbox.outcome(command)).misses();
    assert!(elsewhere.parts().contains(&"cwd"), "{:?}", elsewhere.parts());

    let stdin =
        |from: &str| run(&sandbox, ["--stdin", from, "-o", "o2", "--code", "none", "--", "sh", "-c", "cat > o2"]);
    stdin("one").misses();
    assert_eq!(stdin("two").misses().parts(), ["stdin"]);
    assert_eq!(read(&sandbox, "o2"), "2\n");
    stdin("one").hits();
    assert_eq!(read(&sandbox, "o2"), "1\n");

    let env = |value: &str| {
        run(&sandbox, ["--env", &format!("N={value}"), "-o", "o3", "--code", "none", "--", "sh", "-c", "echo $N > o3"])
    };
    env("1").misses();
    assert_eq!(env("2").misses().parts(), ["env.N"]);
    assert_eq!(read(&sandbox, "o3"), "2\n");
}

#[test]
fn a_stale_file_that_the_command_did_not_write_is_not_taken_for_its_output() {
    let sandbox = project();
    sandbox.file("out.txt", "stale\n");
    let ran = run(&sandbox, ["-o", "out.txt", "--", "true"]);
    assert_eq!((ran.outcome.code, ran.status(), ran.json["failed_in"].as_str()), (1, "failure", Some("validation")));
    assert_eq!(ran.json["error"]["type"], "output_missing");
    assert_eq!(ran.json["outputs"], serde_json::json!({}));
    assert_eq!(ran.json["displaced"].as_array().unwrap().len(), 1, "what lay there is kept");
    assert!(!exists(&sandbox, "out.txt"));
}

#[test]
fn a_code_pattern_that_matches_nothing_is_warned_of_on_a_miss_and_on_a_hit() {
    let sandbox = project();
    let words = ["--code", "stpes/clean.sh", "-o", "o", "--", "touch", "o"];
    for ran in [run(&sandbox, words).misses(), run(&sandbox, words).hits()] {
        assert_eq!(
            ran.json["warnings"],
            serde_json::json!(["no file counts as code by `stpes/clean.sh`: there is none, or it is ignored"])
        );
    }
}

#[test]
fn editing_a_helper_misses_and_names_it_and_editing_the_readme_hits() {
    let sandbox = project();
    sandbox.file("main.sh", ". ./lib/help.sh\nhelp > out\n").file("lib/help.sh", "help() { echo 1; }\n");
    sandbox.file("README.md", "about\n");
    let go = || run(&sandbox, ["--name", "s", "-o", "out", "--", "sh", "main.sh"]);
    go().misses();
    sandbox.file("README.md", "about this\n");
    go().hits();
    sandbox.file("lib/help.sh", "help() { echo 2; }\n");
    let miss = go().misses();
    assert_eq!(miss.parts(), ["code.lib/help.sh"]);
    assert!(miss.outcome.err().contains("[steps.s]"), "the line that would narrow it: {}", miss.outcome);
    assert_eq!(read(&sandbox, "out"), "2\n");
}

#[test]
fn another_place_of_the_whole_project_hits() {
    let sandbox = with_copy();
    copy(&sandbox).misses();
    remove(&sandbox, "out.txt");
    let moved = sandbox.project().with_file_name("elsewhere");
    prov::fs::Fs::real().rename(&sandbox.project(), &moved).unwrap();
    let mut command = sandbox.command(["--json"]);
    command.args(RUN_COPY).arg("out.txt").current_dir(&moved);
    project::Ran::of(sandbox.outcome(command)).hits();
    assert!(moved.join("out.txt").is_file());
    let mut command = sandbox.command(["--json", "run", "-i"]);
    // The same paths, typed absolute.
    command.arg(moved.join("in.txt")).arg("-o").arg(moved.join("out.txt")).args(["--", "sh", "copy.sh"]);
    command.arg(moved.join("in.txt")).arg(moved.join("out.txt")).current_dir(&moved);
    project::Ran::of(sandbox.outcome(command)).hits();
}

#[test]
fn failed_and_ended_runs_are_on_record_with_their_logs_and_are_never_hits() {
    let sandbox = project();
    let fail = ["--name", "f", "-o", "out", "--", "sh", "-c", "echo said; touch out; exit 3"];
    let first = run(&sandbox, fail);
    assert_eq!((first.outcome.code, first.status(), first.json["exit_code"].as_i64()), (3, "failure", Some(3)));
    assert!(first.json["logs"]["stdout"]["size"].as_u64() == Some(5), "{:#}", first.json["logs"]);
    let second = run(&sandbox, fail);
    assert_eq!((second.cache(), second.outcome.code), ("miss", 3));
    assert_eq!(second.json["cache"]["reasons"][0]["kind"], "failed");

    let killed = ["--name", "k", "-o", "out", "--", "sh", "-c", "touch out; kill -KILL $$"];
    let ran = run(&sandbox, killed);
    assert_eq!((ran.outcome.code, ran.json["signal"].as_i64()), (137, Some(9)));
    assert_eq!(run(&sandbox, killed).cache(), "miss");

    let slow = ["--name", "t", "--timeout", "50ms", "-o", "out", "--", "sh", "-c", "touch out; sleep 1000"];
    let ran = run(&sandbox, slow);
    assert_eq!((ran.outcome.code, ran.status(), ran.json["error"]["type"].as_str()), (124, "aborted", Some("timeout")));
    assert_eq!(run(&sandbox, slow).cache(), "miss");
    assert_eq!(project::why(&sandbox, "@last")["outcome"], "miss", "all of them are on record");
}

#[test]
fn a_project_of_three_steps_whose_outputs_nobody_ignores_hits_fully_on_the_second_pass() {
    for with_git in [false, true] {
        let sandbox = project();
        if with_git {
            let git = |words: &[&str]| {
                let status = std::process::Command::new("git")
                    .args(words)
                    .current_dir(sandbox.project())
                    .env_clear()
                    .env("PATH", "/usr/local/bin:/usr/bin:/bin")
                    .env("HOME", sandbox.path("../home"))
                    .output();
                status.is_ok_and(|out| out.status.success())
            };
            if !git(&["init", "-q"]) {
                return;
            }
        }
        sandbox
            .file("a.sh", "echo 1 > one.csv\n")
            .file("b.sh", "cat one.csv one.csv > two.csv\necho '[]' > two.json\n");
        sandbox.file("c.sh", "mkdir -p res; cp two.csv res/three.json; cp two.csv res/three.toml\n");
        let pass = || {
            [
                run(&sandbox, ["-o", "one.csv", "--", "sh", "a.sh"]),
                run(&sandbox, ["-i", "one.csv", "-o", "two.csv", "-o", "js=two.json", "--", "sh", "b.sh"]),
                run(&sandbox, ["-i", "two.csv", "-o", "res", "--", "sh", "c.sh"]),
            ]
        };
        for ran in pass() {
            ran.misses();
        }
        for ran in pass() {
            ran.hits();
        }
        remove(&sandbox, "res");
        for ran in pass() {
            ran.hits();
        }
        assert_eq!(read(&sandbox, "res/three.json"), "1\n1\n");
    }
}

#[test]
fn steps_without_inputs_are_hits_and_commands_without_outputs_are_not_looked_up() {
    let sandbox = project();
    let make = ["-o", "out", "--", "sh", "-c", "echo made > out"];
    run(&sandbox, make).misses();
    run(&sandbox, make).hits();
    let say = ["--", "echo", "hi"];
    assert_eq!(run(&sandbox, say).cache(), "off");
    assert_eq!(run(&sandbox, say).cache(), "off");
    let forced = run(&sandbox, ["--cache", "reuse", "--", "echo", "hi"]);
    assert_eq!(forced.cache(), "hit", "a success without outputs can be looked up if that is asked for");
}

#[test]
fn cache_modes_do_what_the_table_says() {
    let sandbox = project();
    let with = |mode: &[&str], text: &str| {
        let mut words = mode.to_vec();
        words.extend(["--code", "none", "-o", "out", "--", "sh", "-c", "date +%N > out"]);
        let _ = text;
        run(&sandbox, words)
    };
    let readonly = with(&["--cache", "readonly"], "");
    assert_eq!((readonly.cache(), readonly.json["object"].is_null()), ("miss", true));
    let first = with(&[], "").misses();
    let overwritten = with(&["-f"], "").misses();
    assert_eq!(overwritten.json["cache"]["reasons"][0]["kind"], "policy");
    let hit = with(&[], "").hits();
    assert_eq!(hit.json["cache"]["source"], overwritten.json["run"], "the newest is found first");
    assert_ne!(hit.json["cache"]["source"], first.json["run"]);
    assert_eq!(with(&["--cache", "off"], "").cache(), "off");
    let hit = with(&["--cache", "readonly"], "").hits();
    assert!(hit.json["object"].is_null());
}

#[test]
fn epoch_version_and_dimensions_count_and_tags_and_messages_do_not() {
    let sandbox = project();
    let with = |more: &[&str]| {
        let mut words = more.to_vec();
        words.extend(["-o", "out", "--", "sh", "-c", "echo 1 > out"]);
        run(&sandbox, words)
    };
    with(&[]).misses();
    with(&["--tag", "t", "-m", "msg", "--run-name", "named"]).hits();
    for (more, part) in [
        (&["--epoch", "1"][..], "epoch.step"),
        (&["--step-version", "2"], "version"),
        (&["--year", "2030"], "dims.year"),
        (&["--iteration", "1"], "dims.iteration"),
        (&["--dim", "region=north"], "dims.region"),
    ] {
        let ran = with(more).misses();
        assert!(
            ran.parts().iter().any(|found| found.starts_with(part.split('.').next().unwrap())),
            "{part}: {:?}",
            ran.parts()
        );
        with(more).hits();
    }
}

#[test]
fn a_hit_whose_content_is_damaged_becomes_a_miss_that_says_so() {
    let sandbox = project();
    // Too large to lie in the log, so it lies in a pack.
    let make = ["--name", "big", "-o", "big", "--", "sh", "-c", "head -c 400000 /dev/zero | tr '\\0' x > big"];
    run(&sandbox, make).misses();
    remove(&sandbox, "big");
    for pack in std::fs::read_dir(sandbox.path(".prov/store/packs")).unwrap() {
        let path = pack.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        prov::fs::Fs::real().replace(&path, &bytes, false).unwrap();
    }
    let again = run(&sandbox, make);
    assert_eq!((again.cache(), again.status(), again.outcome.code), ("miss", "success", 0), "{}", again.outcome);
    assert_eq!(again.json["cache"]["reasons"][0]["kind"], "outputs_lost");
    assert_eq!(again.parts(), ["outputs.big"]);
    assert!(exists(&sandbox, "big"));
}

#[test]
fn code_that_comes_into_a_folder_of_results_is_a_miss() {
    let sandbox = project();
    sandbox.file("src/step.py", "step\n");
    for n in 0..20 {
        sandbox.file(format!("runs/{n}/a.csv"), "a\n").file(format!("runs/{n}/b.csv"), "b\n");
    }
    let look = || run(&sandbox, ["-o", "x", "--", "sh", "-c", "echo > x"]);
    look().misses();
    // The folders are old enough to be passed over when they were looked at long ago; that they are is tested where they are scanned.
    for _ in 0..3 {
        look().hits();
    }
    sandbox.file("runs/7/late.py", "late\n");
    assert_eq!(look().misses().parts(), ["code.runs"]);
    look().hits();
    sandbox.file("runs/7/c.csv", "c\n");
    look().hits();
    remove(&sandbox, "runs/7/late.py");
    look().hits();
}

#[test]
fn links_that_lead_to_no_file_are_no_code_whatever_their_names() {
    let sandbox = project();
    sandbox.file("lib/run.py", "run\n").file("step.sh", "cat lib/run.py > out; ln -sfn lib latest.d\n");
    let link = |target: &str, name: &str| {
        prov::fs::Fs::real().symlink(std::path::Path::new(target), &sandbox.path(name)).unwrap();
    };
    link("lib", "conf.d");
    link("self.py", "self.py");
    link("nowhere", "gone.py");
    link(&"x".repeat(300), "long.py");
    let go = || run(&sandbox, ["--name", "s", "-o", "out", "--", "sh", "step.sh"]);
    assert_eq!(go().misses().json["sealed"], true);
    go().hits();
    sandbox.file("lib/run.py", "run again\n");
    go().misses();
}
