//! A task is taken from the cache exactly if looking at everything anew says so, and what lies there then is what executing it would make.

use std::time::{Duration, SystemTime};

use super::{Ran, with};
use crate::project::{exists, project, read, remove};
use crate::sandbox::Sandbox;

const PIPELINE: &str = "\
steps:
  s:
    - {name: up, run: [sh, code/up.sh, a.txt, up.txt], inputs: [a.txt], outputs: [up.txt]}
    - {name: low, run: 'cat b.txt > low.txt; echo $MODE >> low.txt', inputs: [b.txt], outputs: [low.txt], env: [MODE]}
    - {name: join, run: 'cat up.txt low.txt > join.txt', inputs: [up.txt, low.txt], outputs: [join.txt], code: [none]}
    - {name: tool, run: [./tool, join.txt, tool.txt], inputs: [join.txt], outputs: [tool.txt]}
    - {name: nothing, run: ['true'], cache: reuse, requires: [tool]}
    - {name: count, run: 'wc -c < tool.txt > count.txt', inputs: [tool.txt], outputs: [count.txt], code: [lib/]}
";

const TASKS: [&str; 6] = ["up", "low", "join", "tool", "nothing", "count"];

/// What the files of the project are, and so what its tasks make.
#[derive(Clone)]
struct World {
    a: String,
    b: String,
    mode: String,
    suffix: String,
    prefix: String,
}

impl World {
    fn lay(&self, sandbox: &Sandbox) {
        sandbox.file("a.txt", &self.a).file("b.txt", &self.b);
        self.lay_code(sandbox);
    }

    fn lay_code(&self, sandbox: &Sandbox) {
        sandbox.file("code/up.sh", format!("tr a-z A-Z < \"$1\" > \"$2\"; echo {} >> \"$2\"\n", self.suffix));
        sandbox.file("tool", format!("#!/bin/sh\n{{ echo {}; cat \"$1\"; }} > \"$2\"\n", self.prefix));
        let path = sandbox.path("tool");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    #[track_caller]
    fn assert_made(&self, sandbox: &Sandbox, what: &str) {
        let up = format!("{}{}\n", self.a.to_uppercase(), self.suffix);
        let join = format!("{up}{}{}\n", self.b, self.mode);
        let tool = format!("{}\n{join}", self.prefix);
        assert_eq!(read(sandbox, "up.txt"), up, "after {what}");
        assert_eq!(read(sandbox, "join.txt"), join, "after {what}");
        assert_eq!(read(sandbox, "tool.txt"), tool, "after {what}");
        assert_eq!(read(sandbox, "count.txt").trim(), tool.len().to_string(), "after {what}");
    }
}

/// Asks for the plan, runs, and holds one against the other. Returns how many tasks were executed.
#[track_caller]
fn run(sandbox: &Sandbox, world: &World, what: &str) -> usize {
    let with_mode = |words: &[&str]| {
        let mut command = sandbox.command(["--json", "pipeline"].iter().chain(words));
        command.env("MODE", &world.mode);
        sandbox.outcome(command)
    };
    let plan = with_mode(&["plan"]).ok().json();
    let ran = Ran::of(with_mode(&["run"])).ends(0);
    let mut executed = 0;
    for name in TASKS {
        let planned = plan["tasks"].as_array().unwrap().iter().find(|task| task["name"] == name).unwrap();
        let (outlook, end) = (planned["cache"]["outcome"].as_str().unwrap(), ran.end(name));
        match outlook {
            "hit" => assert_eq!(end, "hit", "{name} after {what}: {}", ran.outcome),
            "miss" => assert_eq!(end, "success", "{name} after {what}: {}", ran.outcome),
            other => assert_eq!(other, "depends", "{name} after {what}"),
        }
        executed += usize::from(end == "success");
    }
    world.assert_made(sandbox, what);
    executed
}

fn run_of(sandbox: &Sandbox, task: &str) -> String {
    let status = sandbox.prov(["--json", "pipeline", "status"]).ok().json();
    let found = status["tasks"].as_array().unwrap().iter().find(|one| one["name"] == task).unwrap();
    found["run"].as_str().unwrap().to_owned()
}

fn set_time(sandbox: &Sandbox, path: &str, time: SystemTime) {
    std::fs::File::options().write(true).open(sandbox.path(path)).unwrap().set_modified(time).unwrap();
}

#[test]
fn what_is_taken_is_what_executing_would_make_whatever_changed() {
    let sandbox = project();
    sandbox.file("prov.yaml", PIPELINE).file("lib/x.py", "x = 1\n").file(".gitignore", "count\n");
    let text = |text: &str| text.to_owned();
    let mut world = World { a: text("one\n"), b: text("two\n"), mode: text("m"), suffix: text("s"), prefix: text("p") };
    world.lay(&sandbox);
    assert_eq!(run(&sandbox, &world, "nothing"), 6);
    assert_eq!(run(&sandbox, &world, "a first run"), 0);

    // A fixed walk through all kinds of change, each met in many states.
    let mut state = 7_u64;
    let mut executed = 0;
    for at in 0..24 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let n = (state >> 33) % 1000;
        let what = match at % 12 {
            0 => {
                world.a = format!("edited {n}\n");
                sandbox.file("a.txt", &world.a);
                "an edit"
            }
            1 => {
                std::mem::swap(&mut world.a, &mut world.b);
                world.lay(&sandbox);
                "inputs that changed places"
            }
            2 => {
                let time = sandbox.path("a.txt").metadata().unwrap().modified().unwrap();
                set_time(&sandbox, "a.txt", time + Duration::from_secs(n));
                set_time(&sandbox, "up.txt", SystemTime::UNIX_EPOCH + Duration::from_secs(n));
                "a touch"
            }
            3 => {
                // As long as before, with the time it had.
                let path = sandbox.path("b.txt");
                let time = path.metadata().unwrap().modified().unwrap();
                world.b = format!("{:03}{}", n, world.b.get(3..).unwrap_or("\n"));
                std::fs::OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
                sandbox.file("b.txt", &world.b);
                set_time(&sandbox, "b.txt", time);
                "an edit that kept size and time"
            }
            4 => {
                let run = run_of(&sandbox, TASKS[usize::try_from(n).unwrap() % 4]);
                sandbox.prov(["retract", &run]).ok();
                "a retraction"
            }
            5 => {
                let run = run_of(&sandbox, TASKS[usize::try_from(n).unwrap() % 4]);
                sandbox.prov(["hide", &run]).ok();
                "a run that was hidden"
            }
            6 => {
                remove(&sandbox, ["up.txt", "low.txt", "join.txt", "tool.txt"][usize::try_from(n).unwrap() % 4]);
                "an output that was lost"
            }
            7 => {
                sandbox.file(["up.txt", "low.txt", "join.txt", "tool.txt"][usize::try_from(n).unwrap() % 4], "spoilt");
                "an output that was spoilt"
            }
            8 => {
                world.mode = format!("mode{n}");
                "another environment"
            }
            9 => {
                world.suffix = format!("suffix{n}");
                world.lay_code(&sandbox);
                "an edit of a script"
            }
            10 => {
                world.prefix = format!("prefix{n}");
                world.lay_code(&sandbox);
                "an edit of a program"
            }
            _ => {
                if at % 24 == 11 {
                    sandbox.file("code/more.sh", format!("echo {n}\n"));
                    "a script that is new"
                } else {
                    sandbox.file("prov.toml", format!("[steps.s]\nepoch = {n}\n"));
                    "an epoch"
                }
            }
        };
        executed += run(&sandbox, &world, what);
        assert_eq!(run(&sandbox, &world, &format!("{what}, again")), 0);
    }
    assert!(executed > 24, "{executed}");
    assert!(exists(&sandbox, "count.txt"));
    sandbox.prov(["fsck"]).ok();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the path of the test is that of its tasks, with one more folder")]
fn what_an_earlier_task_of_the_same_run_changes_is_seen_by_the_next() {
    // `write` is always executed and writes what nobody declares: a script, and a program that the path leads to.
    let text = "\
steps:
  s:
    - {name: before, run: [sh, gen.sh], cache: reuse}
    - {name: write, run: 'cp next.sh gen.sh; mkdir -p bin; cp next.sh bin/own; chmod +x bin/own', requires: [before], cache: off}
    - {name: after, run: 'sh gen.sh > after.txt', outputs: [after.txt], requires: [write]}
    - {name: own, run: [own], cache: reuse, requires: [write]}
";
    let sandbox = project();
    sandbox.file("prov.yaml", text).file("gen.sh", "echo 0\n");
    let run = |n: u32| {
        sandbox.file("next.sh", format!("#!/bin/sh\necho {n}\n"));
        let mut command = sandbox.command(["--json", "pipeline", "run"]);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(sandbox.path("bin")).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(all).unwrap());
        Ran::of(sandbox.outcome(command)).ends(0)
    };
    for n in 1..4 {
        let ran = run(n);
        assert_eq!(ran.ends_of(&["after", "own"]), ["success"; 2], "{}", ran.outcome);
        assert_eq!(read(&sandbox, "after.txt"), format!("{n}\n"));
    }
    let settled = run(3);
    assert_eq!(settled.ends_of(&["after", "own"]), ["hit"; 2], "{}", settled.outcome);
}

/// A chain of copies, long enough that tasks are looked up before their turn. In its middle a task writes a script that nobody declares, and
/// the one after it runs that.
fn chain(length: usize, middle: usize) -> String {
    let mut text = "steps:\n  s:\n".to_owned();
    for n in 1..=length {
        let before = n - 1;
        if n == middle {
            text += &format!("    - {{name: write, run: [cp, next.sh, gen.sh], requires: [t{before}], cache: off}}\n");
            text += &format!(
                "    - {{name: t{n}, run: 'sh gen.sh < f{before} > f{n}', inputs: [f{before}], outputs: [f{n}], requires: [write]}}\n"
            );
        } else {
            text += &format!(
                "    - {{name: t{n}, run: [cp, f{before}, f{n}], inputs: [f{before}], outputs: [f{n}], code: none}}\n"
            );
        }
    }
    text
}

#[test]
fn what_was_looked_up_before_its_turn_holds_only_as_long_as_nothing_was_done() {
    const LENGTH: usize = 36;
    const MIDDLE: usize = 22;
    let sandbox = with(&chain(LENGTH, MIDDLE));
    sandbox.file("f0", "zero\n").file("gen.sh", "cat\n");
    let run = |word: &str| {
        sandbox.file("next.sh", format!("echo {word}; cat\n"));
        let ran = super::run(&sandbox, &[]).ends(0);
        assert_eq!(ran.end("write"), "success");
        assert_eq!(read(&sandbox, format!("f{LENGTH}")), format!("{word}\nzero\n"), "{}", ran.outcome);
        let executed = (1..=LENGTH).filter(|n| ran.end(&format!("t{n}")) != "hit").count();
        (executed, ran)
    };
    let after = LENGTH - MIDDLE + 1;
    assert_eq!(run("one").0, LENGTH);
    // What `write` makes is looked at when it has ended: what was found of those after it before that does not hold.
    assert_eq!(run("one").0, 0);
    assert_eq!(run("two").0, after);
    assert_eq!(run("one").0, 0);

    // Somebody takes a result back, spoils, loses or replaces what a task in the midst of known ones made.
    let taken = run_of(&sandbox, "t13");
    sandbox.prov(["retract", &taken]).ok();
    assert_eq!(run("one").0, 1);
    sandbox.file("f14", "spoilt\n");
    assert_eq!(run("one").0, 0);
    assert_eq!(read(&sandbox, "f14"), "zero\n");
    remove(&sandbox, "f15");
    remove(&sandbox, "f30");
    assert_eq!(run("two").0, 0);
    assert_eq!(read(&sandbox, "f30"), "two\nzero\n");

    // A failure in the midst of known ones is one, and what comes after it is not taken.
    let taken = run_of(&sandbox, "t13");
    sandbox.prov(["retract", &taken]).ok();
    sandbox.file("prov.yaml", chain(LENGTH, MIDDLE).replace("[cp, f12, f13]", "[cp, f12, nowhere/f13]"));
    let ran = super::run(&sandbox, &["--keep-going"]).ends(1);
    assert_eq!(ran.ends_of(&["t12", "t13", "t14", "t30"]), ["hit", "failure", "blocked", "blocked"], "{}", ran.outcome);
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn an_earlier_outcome_that_differs_is_taken_when_the_newest_was_taken_back() {
    let mut text = "steps:\n  s:\n".to_owned();
    for n in 1..=20 {
        text += &format!("    - {{name: t{n}, run: 'cat given{n} > f{n}', outputs: [f{n}]}}\n");
    }
    let sandbox = with(&text);
    let give = |n: u32, text: &str| {
        sandbox.file(format!("given{n}"), text);
    };
    for n in 1..=20 {
        give(n, "first");
    }
    super::run(&sandbox, &[]).ends(0);
    let first = run_of(&sandbox, "t17");
    // Nobody declares what it reads: the same recipe has two outcomes.
    give(17, "second");
    super::run(&sandbox, &["--task", "t17", "--force"]).ends(0);
    assert_eq!(read(&sandbox, "f17"), "second");
    let second = run_of(&sandbox, "t17");
    assert_ne!(first, second);

    let ran = super::run(&sandbox, &[]).ends(0);
    assert_eq!(ran.count("hit"), 20);
    assert_eq!(ran.task("t17")["run"], second.as_str());
    sandbox.prov(["retract", &second]).ok();
    let ran = super::run(&sandbox, &[]).ends(0);
    assert_eq!(ran.count("hit"), 20);
    assert_eq!(read(&sandbox, "f17"), "first");
    sandbox.prov(["retract", &first]).ok();
    let ran = super::run(&sandbox, &[]).ends(0);
    assert_eq!((ran.count("hit"), ran.end("t17")), (19, "success"));
    assert_eq!(read(&sandbox, "f17"), "second");
}
