//! Pipelines that run: what is executed and what is not, what failures do to others, what is on record.

use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Ran, run, start, with};
use crate::project::{Gate, exists, project, read, remove};
use crate::schema;

const CHAIN: &str = "\
steps:
  clean:
    - name: sort
      run: sort in.txt > sorted.txt; echo sorted; echo x >> sort.count
      inputs: [in.txt]
      outputs: [sorted.txt]
    - name: count
      run: wc -l < sorted.txt > count.txt; echo x >> count.count
      inputs: [sorted.txt]
      outputs: [count.txt]
  fit:
    needs: [clean]
    tasks:
      - name: fit
        run: cat count.txt > model.txt
        inputs: [count.txt]
        outputs: [model.txt]
";

#[test]
fn a_pipeline_runs_once_and_then_from_the_cache() {
    let sandbox = with(CHAIN);
    sandbox.file("in.txt", "3\n1\n2\n");
    let first = run(&sandbox, &[]).ends(0);
    assert_eq!((first.count("success"), first.count("hit")), (3, 0), "{}", first.outcome);
    assert_eq!(read(&sandbox, "model.txt").trim(), "3");
    let second = run(&sandbox, &[]).ends(0);
    assert_eq!((second.count("success"), second.count("hit")), (0, 3), "{}", second.outcome);
    assert_eq!(second.task("sort")["run"], first.task("sort")["run"], "a hit is the run whose result it took");
    remove(&sandbox, "sorted.txt");
    remove(&sandbox, "model.txt");
    let third = run(&sandbox, &[]).ends(0);
    assert_eq!(third.count("hit"), 3, "{}", third.outcome);
    assert_eq!(read(&sandbox, "sorted.txt"), "1\n2\n3\n");
    assert_eq!(read(&sandbox, "sort.count"), "x\n");

    let log = sandbox.prov(["--json", "log"]).ok().json();
    schema::assert_valid("log", &log);
    let kinds: Vec<&str> = log["runs"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    let count = |kind: &str| kinds.iter().filter(|one| **one == kind).count();
    assert_eq!((count("pipeline"), count("step"), count("task")), (3, 6, 3), "{kinds:?}");
    let lineage = sandbox.prov(["lineage", "model.txt"]).ok().out();
    for name in ["fit/fit", "clean/count", "clean/sort", "in.txt"] {
        assert!(lineage.contains(name), "{lineage}");
    }
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn early_cut_off_stops_where_the_bytes_are_the_same() {
    let sandbox = with(CHAIN);
    sandbox.file("in.txt", "3\n1\n2\n");
    run(&sandbox, &[]).ends(0);
    sandbox.file("in.txt", "2\n3\n1\n");
    let second = run(&sandbox, &[]).ends(0);
    assert_eq!(second.ends_of(&["sort", "count", "fit"]), ["success", "hit", "hit"], "{}", second.outcome);
    sandbox.file("in.txt", "2\n3\n1\n4\n");
    let third = run(&sandbox, &[]).ends(0);
    assert_eq!(third.ends_of(&["sort", "count", "fit"]), ["success"; 3], "{}", third.outcome);
    assert_eq!(read(&sandbox, "model.txt").trim(), "4");
}

#[test]
fn status_and_logs_tell_what_is_on_record() {
    let sandbox = with(CHAIN);
    sandbox.file("in.txt", "3\n1\n2\n");
    run(&sandbox, &[]).ends(0);
    run(&sandbox, &[]).ends(0);
    let status = sandbox.prov(["--json", "pipeline", "status"]).ok().json();
    schema::assert_valid("pipeline-status", &status);
    assert_eq!(status["steps"].as_array().unwrap().len(), 2);
    let ends: Vec<&Value> = status["tasks"].as_array().unwrap().iter().map(|task| &task["end"]).collect();
    assert_eq!(ends, ["hit"; 3]);
    assert!(sandbox.prov(["pipeline", "status", "--all"]).ok().out().contains("clean/sort"));
    assert_eq!(sandbox.prov(["pipeline", "logs", "clean/sort"]).ok().out(), "sorted\n");
    let logs = sandbox.prov(["--json", "pipeline", "logs", "sort"]).ok().json();
    schema::assert_valid("pipeline-logs", &logs);
    assert_eq!(logs["logs"]["stdout"], "sorted\n");
    sandbox.prov(["pipeline", "logs", "nothing"]).ends(4);
}

#[test]
fn a_dry_run_and_the_plan_say_what_would_be_done_and_change_nothing() {
    let sandbox = with(CHAIN);
    sandbox.file("in.txt", "3\n1\n2\n");
    let outcomes = |words: &[&str]| {
        let document = sandbox.prov(["--json", "pipeline"].iter().chain(words)).ok().json();
        schema::assert_valid("pipeline-plan", &document);
        let tasks = document["tasks"].as_array().unwrap().clone();
        tasks.iter().map(|task| task["cache"]["outcome"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(&["run", "-n"]), ["miss", "depends", "depends"]);
    assert!(!exists(&sandbox, "sorted.txt"));
    run(&sandbox, &[]).ends(0);
    assert_eq!(outcomes(&["plan"]), ["hit"; 3]);
    assert_eq!(outcomes(&["run", "-n", "--force", "-t", "count"]), ["left_out", "miss", "left_out"]);
    assert_eq!(outcomes(&["plan", "-t", "count"]), ["left_out", "hit", "left_out"]);
    assert!(sandbox.prov(["pipeline", "plan", "-t", "cuont"]).ends(4).err().contains("`count`"));
    let forced = sandbox.prov(["pipeline", "run", "--force", "-t", "count"]).ok();
    assert!(forced.err().contains("(forced)"), "{forced}");
    sandbox.file("in.txt", "9\n");
    assert_eq!(outcomes(&["plan"]), ["miss", "depends", "depends"]);
    let text = sandbox.prov(["pipeline", "run", "--dry-run"]).ok();
    assert!(text.out().contains("miss: ") && text.err().contains("1 would run, 2 depend on those"), "{text}");
}

#[test]
fn source_that_a_task_makes_is_code_of_those_that_follow_and_they_hit() {
    let text = "steps:\n  s:\n    - {name: gen, run: 'echo echo 1 > gen.sh', outputs: [gen.sh]}\n    - {name: use, run: 'sh gen.sh > out', requires: [gen], outputs: [out]}\n";
    let sandbox = with(text);
    assert_eq!(run(&sandbox, &[]).ends(0).ends_of(&["gen", "use"]), ["success"; 2]);
    run(&sandbox, &[]).ends(0);
    let third = run(&sandbox, &[]).ends(0);
    assert_eq!(third.ends_of(&["gen", "use"]), ["hit"; 2], "{}", third.outcome);
}

#[test]
fn source_that_a_known_task_brings_back_is_code_of_those_that_follow() {
    let text = "steps:\n  s:\n    - {name: gen, run: 'echo echo one > gen.sh', outputs: [gen.sh]}\n    - {name: use, run: 'if [ -e gen.sh ]; then sh ./gen.sh; else echo none; fi > out', requires: [gen], outputs: [out]}\n";
    let sandbox = with(text);
    let clean = || {
        ["gen.sh", "out"].map(|path| {
            if exists(&sandbox, path) {
                remove(&sandbox, path);
            }
        })
    };
    run(&sandbox, &[]).ends(0);
    clean();
    run(&sandbox, &["-t", "s/use"]).ends(0);
    assert_eq!(read(&sandbox, "out"), "none\n");
    clean();
    run(&sandbox, &[]).ends(0);
    assert_eq!(read(&sandbox, "out"), "one\n");
    clean();
    let known = run(&sandbox, &[]).ends(0);
    assert_eq!((known.ends_of(&["gen", "use"]), read(&sandbox, "out")), (vec!["hit"; 2], "one\n".to_owned()));
}

const FAILS: &str = "\
steps:
  s:
    - {name: bad, run: 'echo broken >&2; exit 3', outputs: [bad.txt]}
    - {name: after, run: 'touch after.txt', inputs: [bad.txt], outputs: [after.txt]}
    - {name: other, run: 'touch other.txt', outputs: [other.txt]}
    - {name: last, run: 'touch last.txt', requires: [other], outputs: [last.txt]}
";

#[test]
fn the_first_failure_stops_what_runs_and_starts_nothing_more() {
    let sandbox = project();
    let gate = Gate::new(&sandbox, "slow");
    let text = format!(
        "steps:\n  s:\n    - {{name: bad, run: 'read x < {ready}; exit 3'}}\n    - {{name: slow, run: ['sh', '-c', \"trap 'echo asked; exit 9' TERM; {line}\"]}}\n    - \
         {{name: next, run: [touch, never], requires: [slow]}}\n",
        ready = sandbox.project().with_file_name("slow-started").display(),
        line = gate.line().trim_end_matches("; "),
    );
    sandbox.file("prov.yaml", text);
    let ran = run(&sandbox, &[]).ends(1);
    assert_eq!(ran.ends_of(&["bad", "slow", "next"])[..2], ["failure", "aborted"], "{}", ran.outcome);
    assert!(!exists(&sandbox, "never"));
    assert_eq!(ran.json["result"], "failure");
    assert_eq!(ran.task("slow")["error"]["run"], ran.task("bad")["run"], "the reason is the task that failed");
    let status = sandbox.prov(["--json", "pipeline", "status"]).ok().json();
    let slow = status["tasks"].as_array().unwrap().iter().find(|task| task["name"] == "slow").unwrap();
    assert_eq!(slow["reason"], "s/bad failed");
    let shown = sandbox.prov(["--json", "show", slow["run"].as_str().unwrap()]).ok().json();
    assert_eq!(shown["run"]["status"], "aborted");
}

#[test]
fn with_keep_going_everything_that_does_not_depend_on_it_runs() {
    let sandbox = with(FAILS);
    let ran = run(&sandbox, &["--keep-going"]).ends(1);
    assert_eq!(ran.ends_of(&["bad", "after", "other", "last"]), ["failure", "blocked", "success", "success"]);
    assert!(exists(&sandbox, "last.txt") && !exists(&sandbox, "after.txt"));
    let status = sandbox.prov(["--json", "pipeline", "status"]).ok().json();
    let after = status["tasks"].as_array().unwrap().iter().find(|task| task["name"] == "after").unwrap();
    assert_eq!(after["reason"], "s/bad did not end well");
    assert_eq!(ran.task("after")["blocked_by"], "s/bad");
    assert!(ran.task("other")["blocked_by"].is_null());
    let told = sandbox.prov(["pipeline", "run", "-k"]).ends(1);
    assert!(told.err().contains("blocks 's/after'"), "{told}");
    assert_eq!(sandbox.prov(["pipeline", "logs", "bad"]).ok().out(), "broken\n");
    // A failure is never a hit; what went well is.
    let again = run(&sandbox, &["--keep-going"]).ends(1);
    assert_eq!(again.ends_of(&["bad", "after", "other", "last"]), ["failure", "blocked", "hit", "hit"]);
}

#[test]
fn a_task_is_tried_again_as_often_as_it_says() {
    let text = "\
steps:
  s:
    - {name: flaky, run: 'echo x >> tries; test $(wc -l < tries) -ge 3 && touch made', outputs: [made], retries: {count: 3, delay: 1ms}}
    - {name: hopeless, run: 'echo x >> more; echo $PROV_ATTEMPT $PROV_LAST_ATTEMPT >> numbers; exit 1', retries: 1}
";
    let sandbox = with(text);
    let ran = run(&sandbox, &["-k", "--correlation-id", "c", "--attempt", "3", "--last-attempt"]).ends(1);
    assert_eq!(ran.ends_of(&["flaky", "hopeless"]), ["success", "failure"], "{}", ran.outcome);
    assert_eq!((read(&sandbox, "tries"), read(&sandbox, "more")), ("x\n".repeat(3), "x\n".repeat(2)));
    let status = sandbox.prov(["--json", "pipeline", "status"]).ok().json();
    assert_eq!((&status["tasks"][0]["tries"], &status["tasks"][1]["tries"]), (&3.into(), &2.into()));
    // They count on from the pipeline's own attempt, and only the last one is the last.
    assert_eq!(read(&sandbox, "numbers"), "3 0\n4 1\n");
    let runs = sandbox.prov(["--json", "log", "--all", "--step", "s/hopeless"]).ok().json();
    let attempt = |run: &serde_json::Value| {
        let run = run["run"].as_str().unwrap();
        sandbox.prov(["--json", "show", run]).ok().json()["run"]["attempt"].as_u64().unwrap()
    };
    let attempts: Vec<u64> = runs["runs"].as_array().unwrap().iter().map(attempt).collect();
    assert_eq!(attempts, [4, 3]);
}

#[test]
fn a_task_that_takes_too_long_is_ended_and_has_failed() {
    let sandbox = with("steps:\n  s:\n    - {name: long, run: [sleep, '1000'], timeout: 50ms}\n");
    let ran = run(&sandbox, &[]).ends(1);
    assert_eq!((ran.end("long"), &ran.task("long")["error"]["type"]), ("failure", &"timeout".into()));
}

#[test]
fn a_task_that_the_terminal_stopped_is_ended_and_does_not_hang() {
    // What the system does to a process of the background that reads from the terminal.
    let sandbox = with("steps:\n  s:\n    - {name: asks, run: 'kill -TTIN $$; echo never'}\n");
    let asked = run(&sandbox, &[]).ends(1);
    assert!(asked.outcome.to_string().contains("terminal"), "{}", asked.outcome);
}

#[test]
fn a_task_that_a_signal_ends_names_it() {
    let sandbox = with("steps:\n  s:\n    - {name: dies, run: 'kill -SEGV $$'}\n");
    let ran = run(&sandbox, &[]).ends(1);
    assert_eq!(ran.task("dies")["error"]["message"], "ended by signal 11", "{}", ran.outcome);
}

#[test]
fn a_part_of_a_pipeline_says_that_it_is_one() {
    let sandbox = with(CHAIN);
    sandbox.file("in.txt", "1\n");
    let ran = run(&sandbox, &["--task", "clean/sort"]).ends(0);
    assert_eq!(ran.ends_of(&["sort", "count", "fit"]), ["success", "pending", "pending"]);
    let status = sandbox.prov(["--json", "pipeline", "status"]).ok().json();
    assert_eq!(status["pipeline"]["selection"]["tasks"], serde_json::json!(["clean/sort"]));
    let ran = run(&sandbox, &["--until", "count"]).ends(0);
    assert_eq!(ran.ends_of(&["sort", "count", "fit"]), ["hit", "success", "pending"]);
    let ran = run(&sandbox, &["--from", "count", "--force"]).ends(0);
    assert_eq!(ran.ends_of(&["sort", "count", "fit"]), ["pending", "success", "success"]);
    let ran = run(&sandbox, &["-t", "+fit/fit"]).ends(0);
    assert_eq!(ran.ends_of(&["sort", "count", "fit"]), ["hit"; 3]);
    let refused = sandbox.prov(["pipeline", "run", "--task", "sorts"]).ends(4);
    assert!(refused.err().contains("did you mean `sort`?"), "{refused}");
}

#[test]
fn a_tightened_check_looks_again_and_computes_nothing() {
    let text = |check: &str| {
        format!(
            "steps:\n  s:\n    - {{name: make, run: 'echo x >> count; echo 1 > out.txt', outputs: [out.txt], validate: [exists, {check}]}}\n"
        )
    };
    let sandbox = with(&text("{min_lines: 1}"));
    run(&sandbox, &[]).ends(0);
    assert_eq!(run(&sandbox, &[]).ends(0).end("make"), "hit");
    sandbox.file("prov.yaml", text("{min_bytes: 2}"));
    let looked = run(&sandbox, &[]).ends(0);
    assert_eq!(looked.end("make"), "hit", "{}", looked.outcome);
    sandbox.file("prov.yaml", text("{min_lines: 2}"));
    let failed = run(&sandbox, &[]).ends(1);
    assert_eq!((failed.end("make"), &failed.task("make")["phase"]), ("failure", &"validation".into()));
    let again = run(&sandbox, &[]).ends(1);
    assert_eq!(again.end("make"), "failure", "{}", again.outcome);
    assert_eq!(read(&sandbox, "count"), "x\n", "nothing was computed again");
    sandbox.file("prov.yaml", text("{min_lines: 1}"));
    assert_eq!(run(&sandbox, &[]).ends(0).end("make"), "hit");
}

#[test]
fn what_was_not_valid_is_never_a_hit() {
    let text = "steps:\n  s:\n    - {name: make, run: 'echo x >> count; touch out.txt', outputs: [out.txt], validate: [nonempty]}\n";
    let sandbox = with(text);
    for _ in 0..2 {
        let ran = run(&sandbox, &[]).ends(1);
        assert_eq!((ran.end("make"), &ran.task("make")["phase"]), ("failure", &"validation".into()));
    }
    assert_eq!(read(&sandbox, "count"), "x\nx\n");
}

#[test]
fn an_otter_config_runs_with_late_keys_globs_and_nested_explodes() {
    let config = "\
work_path: ./output
scratchpad: {release: '25'}
steps:
  s:
    - {name: find_latest newest, source: \"$SRC/v*.txt\", scratchpad_key: newest}
    - {name: copy newest file, source: '${newest}', destination: 'new/latest.txt'}
    - name: explode outer
      foreach: [a, b]
      do:
        - name: explode inner ${each}
          foreach: [x, y]
          each_placeholder: inner
          do:
            - {name: 'copy ${each} ${inner}', source: \"$SRC/v1.txt\", destination: 'nest/${each}_${inner}.txt'}
    - name: explode_glob all
      glob: \"$SRC/*.txt\"
      do:
        - {name: 'copy ${match_stem}', source: '${uri}', destination: 'all/${match_stem}.txt'}
    - {name: noop after, requires: [explode_glob all]}
";
    let sandbox = project();
    let source = sandbox.path("data");
    sandbox.file("data/v1.txt", "one\n").file("data/v2.txt", "two\n");
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    std::fs::File::open(source.join("v1.txt")).unwrap().set_modified(old).unwrap();
    sandbox.file("config.yaml", config.replace("$SRC", source.to_str().unwrap()));
    let ran = run(&sandbox, &["-f", "config.yaml", "--runner", "pis"]).ends(0);
    assert_eq!(read(&sandbox, "output/new/latest.txt"), "two\n");
    for name in ["a_x", "a_y", "b_x", "b_y"] {
        assert_eq!(read(&sandbox, format!("output/nest/{name}.txt")), "one\n");
    }
    assert_eq!(read(&sandbox, "output/all/v2.txt"), "two\n");
    assert_eq!(ran.ends_of(&["copy v1", "noop after", "explode outer", "explode inner a"]), ["success"; 4]);
    let again = run(&sandbox, &["-f", "config.yaml", "--runner", "pis"]).ends(0);
    assert_eq!(again.ends_of(&["copy newest file", "copy a x", "copy v1"]), ["hit"; 3], "{}", again.outcome);
    sandbox.file("data/v3.txt", "three\n");
    let frozen = run(&sandbox, &["-f", "config.yaml", "--runner", "pis", "--frozen"]).ends(0);
    assert_eq!(frozen.end("copy newest file"), "hit", "{}", frozen.outcome);
    let newer = run(&sandbox, &["-f", "config.yaml", "--runner", "pis"]).ends(0);
    assert_eq!(newer.ends_of(&["copy newest file", "copy a x", "copy v1", "copy v3"])[..3], ["success", "hit", "hit"]);
    assert_eq!(read(&sandbox, "output/new/latest.txt"), "three\n");
}

#[test]
fn prov_toml_says_what_holds_for_all_tasks_of_a_step() {
    let sandbox = with("steps:\n  s:\n    - {name: a, run: 'touch a.txt', outputs: [a.txt]}\n");
    sandbox.file("prov.toml", "[steps.s]\nenv = [\"MODE\"]\n");
    let with_mode = |mode: &str| {
        let mut command = sandbox.command(["--json", "pipeline", "run"]);
        Ran::of(sandbox.outcome({
            command.env("MODE", mode);
            command
        }))
        .ends(0)
    };
    assert_eq!(with_mode("one").end("a"), "success");
    assert_eq!(with_mode("one").end("a"), "hit");
    assert_eq!(with_mode("two").end("a"), "success");
}

#[test]
fn an_interrupt_stops_everything_and_is_on_record() {
    let sandbox = project();
    let gate = Gate::new(&sandbox, "slow");
    sandbox.file("prov.yaml", format!("steps:\n  s:\n    - {{name: slow, run: \"{} true\"}}\n", gate.line()));
    let child = start(&sandbox, &[]);
    gate.wait();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran = Ran::of(sandbox.finished(child)).ends(130);
    assert_eq!((ran.end("slow"), &ran.json["signal"]), ("aborted", &2.into()), "{}", ran.outcome);
    let log = sandbox.prov(["--json", "log"]).ok().json();
    assert!(log["runs"].as_array().unwrap().iter().all(|one| one["status"] == "aborted"), "{log:#}");
}

#[test]
fn steps_of_one_release_that_run_at_once_in_several_processes_lose_nothing() {
    let sandbox = project();
    let mut steps = String::new();
    for n in 0..6 {
        let task = format!(
            "{{name: 'make ${{each}}', run: 'echo {n} > o{n}_${{each}}', outputs: ['o{n}_${{each}}'], foreach: [1, 2, 3]}}"
        );
        steps.push_str(&format!("  s{n}:\n    - {task}\n"));
    }
    sandbox.file("prov.yaml", format!("steps:\n{steps}"));
    let children: Vec<Child> = (0..6).map(|n| start(&sandbox, &["-s", &format!("s{n}")])).collect();
    for child in children {
        let ran = Ran::of(sandbox.finished(child)).ends(0);
        assert_eq!(ran.count("success"), 4, "{}", ran.outcome);
    }
    let log = sandbox.prov(["--json", "log", "-n", "1000"]).ok().json();
    let count = |kind: &str| log["runs"].as_array().unwrap().iter().filter(|one| one["kind"] == kind).count();
    assert_eq!((count("pipeline"), count("step"), count("task")), (6, 6, 18));
    let all = run(&sandbox, &[]).ends(0);
    assert_eq!(all.count("hit"), 18, "{}", all.outcome);
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn a_task_that_there_is_not_is_told_and_leaves_no_run() {
    let sandbox = with("steps:\n  s:\n    - {name: a, run: ['true'], cache: reuse}\n");
    let refused = sandbox.prov(["pipeline", "run", "--task", "nobody"]);
    assert!(refused.err().contains("there is no task or step `nobody`"), "{refused}");
    let status = sandbox.prov(["pipeline", "status"]);
    assert!(!status.err().contains("killed") && !status.out().contains("aborted"), "{status}");
    assert_eq!(sandbox.prov(["log"]).out(), "");
}
