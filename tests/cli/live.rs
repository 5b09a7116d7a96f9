//! Runs while they run: claims, children, interrupts, death, and stores that can't be written.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::project::{self, Gate, Ran, exists, project, read, run};
use crate::sandbox::Sandbox;
use crate::schema;

fn start(sandbox: &Sandbox, words: &[&str]) -> Child {
    let mut command = sandbox.command(["--json", "run"].iter().chain(words));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(sandbox: &Sandbox, child: Child) -> Ran {
    Ran::of(sandbox.finished(child))
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn of_two_runs_with_one_output_the_second_fails_or_waits() {
    let sandbox = project();
    let gate = Gate::new(&sandbox, "a");
    let line = format!("{} echo first > out", gate.line());
    let first = start(&sandbox, &["--name", "one", "-o", "out", "--", "sh", "-c", &line]);
    gate.wait();
    let second = ["--name", "two", "-o", "out", "--", "sh", "-c", "echo second > out"];
    let refused = sandbox.prov([&["--json", "run"][..], &second].concat()).ends(125);
    let document: serde_json::Value = serde_json::from_slice(&refused.stderr).unwrap();
    schema::assert_valid("error", &document);
    assert_eq!(document["error"]["code"], "claimed");
    assert!(document["error"]["hint"].as_str().unwrap().contains("--wait"));
    let waiting = start(&sandbox, &[&["--wait"][..], &second].concat());
    gate.open();
    let first = end(&sandbox, first);
    assert_eq!(
        (first.status(), first.json["sealed"].as_bool()),
        ("success", Some(true)),
        "{:#}",
        first.json["unsealed"]
    );
    assert_eq!(end(&sandbox, waiting).misses().status(), "success");
    assert_eq!(read(&sandbox, "out"), "second\n");
}

#[test]
fn a_run_that_waits_for_an_output_can_be_interrupted() {
    let sandbox = project();
    let gate = Gate::new(&sandbox, "a");
    let line = format!("{} echo first > out", gate.line());
    let first = start(&sandbox, &["--name", "one", "-o", "out", "--", "sh", "-c", &line]);
    gate.wait();
    let mut command = sandbox.command(["run", "--wait", "-o", "out", "--", "touch", "out"]);
    let waiting = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let live = sandbox.path(".prov/live");
    // It waits once its own folder is there.
    while std::fs::read_dir(&live)
        .unwrap()
        .filter(|one| !one.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'))
        .count()
        < 2
    {
        std::thread::yield_now();
    }
    signal(&waiting, Signal::INT);
    let outcome = sandbox.finished(waiting);
    assert_eq!(outcome.code, 130, "{outcome}");
    gate.open();
    assert_eq!(end(&sandbox, first).outcome.code, 0);
}

#[test]
fn many_runs_at_once_in_one_folder_are_all_on_record() {
    let sandbox = project();
    let children: Vec<Child> = (0..8)
        .map(|n| {
            start(
                &sandbox,
                &["--name", &format!("s{n}"), "-o", &format!("o{n}"), "--", "sh", "-c", &format!("echo {n} > o{n}")],
            )
        })
        .collect();
    let ran: Vec<Ran> = children.into_iter().map(|child| end(&sandbox, child)).collect();
    for one in &ran {
        assert_eq!(
            (one.status(), one.outcome.code, one.json["published"].as_str()),
            ("success", 0, Some("done")),
            "{}",
            one.outcome
        );
        assert_eq!(project::why(&sandbox, one.id())["run"], one.json["run"]);
    }
    for n in 0..8 {
        let again = run(
            &sandbox,
            ["--name", &format!("s{n}"), "-o", &format!("o{n}"), "--", "sh", "-c", &format!("echo {n} > o{n}")],
        );
        assert_eq!(again.cache(), "hit", "s{n}: {:#}", again.json["cache"]);
    }
}

#[test]
fn a_run_inside_a_run_is_its_child() {
    let sandbox = project();
    let prov = env!("CARGO_BIN_EXE_prov");
    let line = format!("{prov} -q run --name inner -o mid -- sh -c 'echo 1 > mid' && cp mid out");
    let outer = run(&sandbox, ["--name", "outer", "-o", "out", "--", "sh", "-c", &line]).misses();
    let children = outer.json["children"].as_object().unwrap();
    assert_eq!(children.len(), 1, "{:#}", outer.json);
    let inner = children.keys().next().unwrap();
    assert_eq!(project::why(&sandbox, inner)["run"], inner.as_str());
    assert!(inner.contains("-inner-"));
    let again = run(&sandbox, ["-f", "--name", "outer", "-o", "out", "--", "sh", "-c", &line]).misses();
    assert_eq!(again.json["children"].as_object().unwrap().len(), 1, "a hit is a child as well");
}

#[test]
fn an_interrupt_reaches_the_command_and_is_on_record() {
    let sandbox = project();
    let gate = Gate::new(&sandbox, "a");
    let line = format!("trap 'echo caught; exit 9' TERM; {} echo no > out", gate.line());
    let child = start(&sandbox, &["--name", "i", "-o", "out", "--", "sh", "-c", &line]);
    gate.wait();
    signal(&child, Signal::TERM);
    let ran = end(&sandbox, child);
    assert_eq!(
        (ran.outcome.code, ran.status(), ran.json["error"]["type"].as_str()),
        (9, "aborted", Some("interrupted"))
    );
    assert!(ran.outcome.err().contains("caught"));
    let next = run(&sandbox, ["--name", "i", "-o", "out", "--", "touch", "out"]);
    assert_eq!(next.cache(), "miss");
}

#[test]
fn a_killed_prov_is_settled_by_the_next_command() {
    let sandbox = project();
    let gate = Gate::new(&sandbox, "a");
    let line = format!("echo printed; {} echo late > out", gate.line());
    let mut child = start(&sandbox, &["--name", "victim", "-o", "out", "--", "sh", "-c", &line]);
    gate.wait();
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    let next = sandbox.prov(["--json", "why", "@last"]).ok();
    assert!(next.err().contains("killed"), "{next}");
    let document = next.json();
    assert!(document["run"].as_str().unwrap().contains("-victim-"), "{document:#}");
    assert_eq!(sandbox.live_runs(), [""; 0]);
    let again = run(&sandbox, ["--name", "victim", "-o", "out", "--", "sh", "-c", "echo ok > out"]).misses();
    assert_eq!((again.status(), read(&sandbox, "out").as_str()), ("success", "ok\n"));
}

/// Puts a file where a folder of the store is, so that nothing can be created in it, by anyone.
fn block(folder: &str) -> String {
    format!("mv {folder} {folder}.away; : > {folder}; ")
}

fn unblock(sandbox: &Sandbox, folder: &str) {
    project::remove(sandbox, folder);
    project::rename(sandbox, format!("{folder}.away"), folder);
}

#[test]
fn a_run_that_can_not_be_published_waits_and_is_published_by_a_later_command() {
    let sandbox = project();
    let line = format!("{} echo made > out; exit 0", block(".prov/store/tmp"));
    let ran = run(&sandbox, ["--name", "w", "-o", "out", "--", "sh", "-c", &line]);
    assert_eq!(
        (ran.outcome.code, ran.status(), ran.json["published"].as_str()),
        (0, "success", Some("waiting")),
        "{}",
        ran.outcome
    );
    assert!(ran.outcome.err().contains("will be published by the next command"), "{}", ran.outcome);
    // It still can't be published: it stays, and the next command goes on.
    let failing = sandbox.prov(["--json", "why", "w"]);
    assert_eq!(failing.code, 4, "{failing}");
    unblock(&sandbox, ".prov/store/tmp");
    let next = sandbox.prov(["--json", "why", "w"]).ok();
    assert!(next.err().contains("had waited"), "{next}");
    assert_eq!(next.json()["run"], ran.json["run"]);
    project::remove(&sandbox, "out");
    sandbox.prov(["restore", "w"]).ok();
    assert_eq!(read(&sandbox, "out"), "made\n");
}

#[test]
fn the_exit_code_of_the_command_is_kept_when_it_can_not_be_recorded() {
    let sandbox = project();
    let line = format!("{} exit 4", block(".prov/store/tmp"));
    let ran = run(&sandbox, ["--name", "w", "--", "sh", "-c", &line]);
    assert_eq!((ran.outcome.code, ran.json["published"].as_str()), (4, Some("waiting")), "{}", ran.outcome);
}

#[test]
fn nothing_is_started_when_prov_can_not_write_and_a_hit_works_all_the_same() {
    let sandbox = project();
    let words = ["--name", "h", "-o", "out", "--", "sh", "-c", "echo made > out"];
    run(&sandbox, words).misses();
    project::remove(&sandbox, "out");
    for folder in [".prov/store/tmp", ".prov/live"] {
        project::rename(&sandbox, folder, format!("{folder}.away"));
        sandbox.file(folder, "");
    }
    let hit = run(&sandbox, words).hits();
    assert_eq!((hit.json["published"].as_str(), hit.json["object"].is_null()), (Some("lost"), true));
    assert_eq!(read(&sandbox, "out"), "made\n");
    let refused = sandbox.prov(["run", "-o", "new", "--", "touch", "started"]).ends(125);
    assert!(refused.err().contains("live"), "{refused}");
    assert!(!exists(&sandbox, "started"));
    for folder in [".prov/store/tmp", ".prov/live"] {
        unblock(&sandbox, folder);
    }
    sandbox.prov(["why", "h"]).ok();
}

#[test]
fn a_run_under_which_an_input_changes_is_on_record_and_never_a_hit() {
    let sandbox = project();
    sandbox.file("in", "1\n");
    let words = ["--name", "u", "-i", "in", "-o", "out", "--", "sh", "-c", "cat in > out; echo 2 > in"];
    let ran = run(&sandbox, words);
    assert_eq!((ran.status(), ran.json["sealed"].as_bool(), ran.outcome.code), ("success", Some(false), 0));
    assert!(ran.json["unsealed"][0].as_str().unwrap().contains("in"), "{:#}", ran.json["unsealed"]);
    sandbox.file("in", "1\n");
    let again = run(&sandbox, words);
    assert_eq!((again.cache(), again.json["cache"]["reasons"][0]["kind"].as_str()), ("miss", Some("unsealed")));
}

/// As in a container that was entered from outside: the session's leader has no number there, `getsid` says 0.
#[cfg(target_os = "linux")]
#[test]
fn a_run_in_a_pid_namespace_whose_session_began_outside() {
    let sandbox = project();
    let enter = |command: &Command| {
        let mut inside = Command::new("unshare");
        inside.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--"]);
        inside.arg(command.get_program()).args(command.get_args()).env_clear();
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside.current_dir(sandbox.project()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        inside
    };
    if !enter(&Command::new("true")).output().is_ok_and(|tried| tried.status.success()) {
        eprintln!("not tried: namespaces can't be made here");
        return;
    }
    let line = "(sleep 0.01; echo late >> out) & echo early > out";
    let words = ["--json", "run", "-o", "out", "--", "sh", "-c", line];
    let ran = Ran::of(sandbox.outcome(enter(&sandbox.command(words))));
    assert_eq!(ran.outcome.code, 0, "{}", ran.outcome);
    assert_eq!(read(&sandbox, "out"), "early\nlate\n", "what is left of the group was seen and waited for");
    let again = Ran::of(sandbox.outcome(enter(&sandbox.command(words))));
    assert_eq!(again.outcome.code, 0, "{}", again.outcome);
}
