//! A test for each defect of Otter that prov must not have. The table in `docs/from-otter.md` says what each is.

use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Ran, run, start, with};
use crate::project::{Gate, exists, project, read};
use crate::sandbox::Sandbox;

/// Runs a config as Otter's.
#[track_caller]
fn otter(sandbox: &Sandbox, words: &[&str]) -> Ran {
    let all = [&["-f", "config.yaml", "--runner", "pis"], words].concat();
    run(sandbox, &all)
}

fn with_config(text: &str) -> Sandbox {
    let sandbox = project();
    sandbox.file("config.yaml", text.replace("$SRC", sandbox.path("data").to_str().unwrap()));
    sandbox.file("data/a.txt", "one\n").file("data/b.txt", "two\n");
    sandbox
}

fn manifest(sandbox: &Sandbox) -> Value {
    sandbox.prov(["export", "otter-manifest"]).ok().json()
}

/// How many keys of the objects in a text stand more than once in their object.
fn doubled(text: &str) -> usize {
    struct Count(usize);
    impl<'de> serde::de::DeserializeSeed<'de> for &mut Count {
        type Value = ();
        fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
            from.deserialize_any(self)
        }
    }
    impl<'de> serde::de::Visitor<'de> for &mut Count {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("any value")
        }
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
            while all.next_element_seed(&mut *self)?.is_some() {}
            Ok(())
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
            let mut keys = std::collections::BTreeSet::new();
            while let Some(key) = all.next_key::<String>()? {
                self.0 += usize::from(!keys.insert(key));
                all.next_value_seed(&mut *self)?;
            }
            Ok(())
        }
    }
    let mut count = Count(0);
    serde::de::DeserializeSeed::deserialize(&mut count, &mut serde_json::Deserializer::from_str(text)).unwrap();
    count.0
}

/// As many rounds as `PROV_TEST_ROUNDS` says; `benches/peers/manifest_rounds.sh` makes it 20.
#[test]
#[expect(clippy::disallowed_methods, reason = "asked for by hand: how long the test is to go on")]
fn o01_sixteen_processes_that_finish_steps_at_once_all_leave_them_in_the_manifest() {
    let rounds = std::env::var("PROV_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for _ in 0..rounds {
        let step = |n: usize| format!("  s{n}: [{{name: noop n{n}}}, {{name: hello_world n{n}}}]\n");
        let steps = (0..16).map(step).collect::<Vec<_>>().concat();
        let sandbox = with_config(&format!("steps:\n{steps}"));
        let words = |n: usize| format!("s{n}");
        let children: Vec<_> = (0..16)
            .map(|n| start(&sandbox, &["-f", "config.yaml", "--runner", "pis", "--manifest", "-s", &words(n)]))
            .collect();
        for child in children {
            Ran::of(sandbox.finished(child)).ends(0);
        }
        let kept: Value = serde_json::from_str(&read(&sandbox, "output/manifest.json")).unwrap();
        for n in 0..16 {
            assert_eq!(kept["steps"][format!("pis_s{n}")]["result"], "success", "step {n}");
        }
        assert_eq!(kept["result"], "success");
    }
}

#[test]
fn o01_a_step_is_in_the_manifest_before_the_next_one_ends() {
    let sandbox = project();
    let gate = Gate::new(&sandbox, "slow");
    let text = format!(
        "runner: pis\nsteps:\n  first:\n    - {{name: a, run: 'touch a.txt', outputs: [a.txt]}}\n  slow:\n    needs: [first]\n    tasks:\n      - {{name: b, run: \"{} true\"}}\n",
        gate.line()
    );
    sandbox.file("prov.yaml", text);
    let child = start(&sandbox, &["--manifest"]);
    gate.wait();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let kept = loop {
        if let Ok(bytes) = std::fs::read(sandbox.path("manifest.json")) {
            break serde_json::from_slice::<Value>(&bytes).unwrap();
        }
        assert!(std::time::Instant::now() < deadline, "there is no manifest");
        std::thread::yield_now();
    };
    assert_eq!(kept["steps"]["pis_first"]["result"], "success", "{kept:#}");
    assert_eq!(kept["steps"]["pis_slow"]["result"], "pending", "{kept:#}");
    gate.open();
    Ran::of(sandbox.finished(child)).ends(0);
    let kept: Value = serde_json::from_str(&read(&sandbox, "manifest.json")).unwrap();
    assert_eq!((&kept["result"], &kept["steps"]["pis_slow"]["result"]), (&"success".into(), &"success".into()));
}

#[test]
fn o02_keys_that_stand_twice_are_read_and_never_written() {
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/interchange/otter-manifest.json");
    let text = std::fs::read_to_string(fixture).unwrap();
    assert!(doubled(&text) > 0, "the fixture is as Otter writes it");
    let sandbox = with_config("steps:\n  s: [{name: noop a}]\n");
    sandbox.file("output/manifest.json", text);
    otter(&sandbox, &["--manifest"]).ends(0);
    let kept = read(&sandbox, "output/manifest.json");
    assert!(kept.contains("pis_s"), "{kept}");
    assert_eq!(doubled(&kept), 0);
    sandbox.prov(["import", "otter-manifest", "output/manifest.json"]).ok();
    assert_eq!(doubled(&sandbox.prov(["export", "otter-manifest"]).ok().out()), 0);
}

#[test]
fn o03_a_cycle_is_told_before_anything_runs() {
    let sandbox = with_config(
        "steps:\n  s:\n    - {name: noop a, requires: [noop b]}\n    - {name: noop b, requires: [noop a]}\n",
    );
    let refused = sandbox.prov(["pipeline", "run", "-f", "config.yaml", "--runner", "pis"]).ends(2);
    assert!(refused.err().contains("error"), "{refused}");
    let checked = sandbox.prov(["pipeline", "check", "-f", "config.yaml"]).ends(2);
    assert!(checked.out().contains("noop a") && checked.out().contains("noop b"), "{checked}");
    assert!(sandbox.prov(["--json", "log"]).ok().json()["runs"].as_array().unwrap().is_empty());
}

#[test]
fn o04_a_name_that_no_task_has_is_told_within_do_as_well() {
    let sandbox = with_config(
        "steps:\n  s:\n    - name: explode all\n      foreach: [a]\n      do:\n        - {name: 'noop ${each}', requires: [noop nothing]}\n",
    );
    let checked = sandbox.prov(["pipeline", "check", "-f", "config.yaml"]).ends(2);
    assert!(checked.out().contains("noop nothing"), "{checked}");
    sandbox.prov(["pipeline", "run", "-f", "config.yaml", "--runner", "pis"]).ends(2);
}

#[test]
fn o05_a_placeholder_in_a_name_is_replaced_and_the_step_ends() {
    let sandbox = with_config(
        "scratchpad: {word: green}\nsteps:\n  s:\n    - {name: 'copy ${word} file', source: '$SRC/a.txt', destination: 'o.txt'}\n    - {name: noop after, requires: ['copy green file']}\n",
    );
    let ran = otter(&sandbox, &[]).ends(0);
    assert_eq!(ran.ends_of(&["copy green file", "noop after"]), ["success"; 2], "{}", ran.outcome);
}

#[test]
fn o06_a_task_whose_process_is_killed_has_failed_at_once_and_names_the_signal() {
    let sandbox = with(
        "steps:\n  s:\n    - {name: dies, run: 'kill -KILL $$'}\n    - {name: next, run: [\"true\"], requires: [dies]}\n",
    );
    let ran = run(&sandbox, &[]).ends(1);
    assert_eq!(ran.task("dies")["error"]["message"], "ended by signal 9", "{}", ran.outcome);
    assert_ne!(ran.end("next"), "success");
}

#[test]
fn o07_a_download_without_a_release_leaves_the_file_alone() {
    let sandbox = with_config("steps:\n  s:\n    - {name: download it, source: in/x.txt}\n");
    sandbox.file("output/in/x.txt", "precious\n");
    otter(&sandbox, &[]);
    assert_eq!(read(&sandbox, "output/in/x.txt"), "precious\n");
    otter(&sandbox, &["--force"]);
    assert_eq!(read(&sandbox, "output/in/x.txt"), "precious\n");
}

#[test]
fn o08_a_copy_is_no_link_to_its_source() {
    let sandbox = with_config("steps:\n  s:\n    - {name: copy a, source: '$SRC/a.txt', destination: 'a.txt'}\n");
    otter(&sandbox, &[]).ends(0);
    let inode = |path: &str| sandbox.path(path).metadata().unwrap().ino();
    assert_ne!(inode("data/a.txt"), inode("output/a.txt"));
    let mut file = std::fs::OpenOptions::new().append(true).open(sandbox.path("data/a.txt")).unwrap();
    std::io::Write::write_all(&mut file, b"more\n").unwrap();
    assert_eq!(read(&sandbox, "output/a.txt"), "one\n");
}

#[test]
fn o09_what_can_not_be_done_is_told_before_and_what_goes_wrong_then_is_on_record() {
    let sandbox = with_config("steps:\n  s:\n    - {name: unheard_of thing, source: x}\n");
    let refused = sandbox.prov(["pipeline", "run", "-f", "config.yaml", "--runner", "pis"]);
    assert!(refused.code != 0 && refused.err().contains("unheard_of"), "{refused}");
    let sandbox = with_config(
        "steps:\n  s:\n    - {name: find_latest one, source: '$SRC/none*.csv'}\n    - {name: noop after, requires: [find_latest one]}\n",
    );
    otter(&sandbox, &[]).ends(1);
    let kept = manifest(&sandbox);
    let step = &kept["steps"]["pis_s"];
    assert_eq!((&kept["result"], &step["result"]), (&"failure".into(), &"failure".into()));
    assert_eq!(step["tasks"][0]["result"], "failure");
    assert!(!step["failure_reason"].as_str().unwrap().is_empty(), "{step:#}");
}

#[test]
fn o10_killed_it_leaves_no_children_and_a_record_and_resumes_with_the_rest() {
    let sandbox = project();
    let gate = Gate::new(&sandbox, "slow");
    let text = format!(
        "steps:\n  s:\n    - {{name: first, run: 'echo x >> count; touch first.txt', outputs: [first.txt]}}\n    - {{name: slow, run: \"sleep 1000 & echo $! > pid; {line} \
         touch slow.txt\", requires: [first], outputs: [slow.txt]}}\n",
        line = gate.line(),
    );
    sandbox.file("prov.yaml", text);
    let mut child = start(&sandbox, &["--run-id", "20260101T000000.000000Z-x-0123456789abcdef"]);
    gate.wait();
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    let pid: u32 = read(&sandbox, "pid").trim().parse().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while prov::host::is_running(pid, 0) {
        assert!(std::time::Instant::now() < deadline, "the child of the child is still there");
        std::thread::yield_now();
    }
    let simple = "steps:\n  s:\n    - {name: first, run: 'echo x >> count; touch first.txt', outputs: [first.txt]}\n    - {name: slow, run: 'touch slow.txt', requires: [first], outputs: [slow.txt]}\n";
    sandbox.file("prov.yaml", simple);
    let again = run(&sandbox, &[]).ends(0);
    assert_eq!(again.ends_of(&["first", "slow"]), ["hit", "success"], "{}", again.outcome);
    assert_eq!(read(&sandbox, "count"), "x\n");
    let log = sandbox.prov(["--json", "log"]).ok().json();
    let runs = log["runs"].as_array().unwrap();
    let killed: Vec<&Value> = runs.iter().filter(|one| one["status"] == "aborted").map(|one| &one["kind"]).collect();
    assert_eq!(killed.len(), 3, "{log:#}");
    assert!(killed.contains(&&Value::from("pipeline")) && killed.contains(&&Value::from("step")), "{killed:?}");
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn o11_a_duration_is_never_null_for_what_has_ended() {
    let sandbox = with_config(
        "steps:\n  s:\n    - {name: noop a}\n    - {name: copy a, source: '$SRC/a.txt', destination: 'a.txt'}\n",
    );
    for _ in 0..2 {
        otter(&sandbox, &[]).ends(0);
        let kept = manifest(&sandbox);
        for task in kept["steps"]["pis_s"]["tasks"].as_array().unwrap() {
            for key in ["run_elapsed", "validation_elapsed", "elapsed"] {
                assert!(task[key].is_f64(), "{key} of {task:#}");
            }
        }
        assert!(kept["steps"]["pis_s"]["elapsed"].is_f64());
    }
}

#[test]
fn o12_two_tasks_with_one_destination_are_refused_before_anything_runs() {
    let sandbox = with_config(
        "steps:\n  s:\n    - {name: copy a, source: '$SRC/a.txt', destination: 'o.txt'}\n    - {name: copy b, source: '$SRC/b.txt', destination: 'o.txt'}\n",
    );
    let refused = sandbox.prov(["pipeline", "check", "-f", "config.yaml"]).ends(2);
    assert!(refused.out().contains("copy a") && refused.out().contains("copy b"), "{refused}");
    sandbox.prov(["pipeline", "run", "-f", "config.yaml", "--runner", "pis"]).ends(2);
    assert!(!exists(&sandbox, "output/o.txt"));
}

#[test]
fn o13_an_explode_within_an_explode_works_and_takes_late_keys() {
    let sandbox = with_config(
        "steps:\n  s:\n    - {name: find_latest newest, source: '$SRC/*.txt', scratchpad_key: newest}\n    - name: explode outer\n      foreach: [a, b]\n      requires: [find_latest newest]\n      do:\n        - name: explode inner ${each}\n          foreach: [x, y]\n          each_placeholder: inner\n          do:\n            - {name: 'copy ${each} ${inner}', source: '${newest}', destination: 'nest/${each}_${inner}.txt'}\n",
    );
    otter(&sandbox, &[]).ends(0);
    for name in ["a_x", "a_y", "b_x", "b_y"] {
        assert!(exists(&sandbox, format!("output/nest/{name}.txt")), "{name}");
    }
}

#[test]
fn o14_names_that_an_explode_makes_can_be_required() {
    let sandbox = with_config(
        "steps:\n  s:\n    - name: explode letters\n      foreach: [a, b]\n      do:\n        - {name: 'copy ${each}', source: '$SRC/${each}.txt', destination: '${each}.txt'}\n        - {name: 'noop ${each}', requires: ['copy ${each}']}\n    - {name: noop last, requires: [copy b]}\n",
    );
    let ran = otter(&sandbox, &[]).ends(0);
    assert_eq!(ran.ends_of(&["copy a", "noop a", "noop last"]), ["success"; 3], "{}", ran.outcome);
}

#[test]
fn o15_a_step_that_runs_again_does_nothing_again() {
    let sandbox = with_config(
        "steps:\n  s:\n    - {name: copy a, source: '$SRC/a.txt', destination: 'a.txt'}\n    - {name: copy b, source: '$SRC/b.txt', destination: 'b.txt'}\n",
    );
    otter(&sandbox, &[]).ends(0);
    let before = sandbox.path("output/a.txt").metadata().unwrap();
    let again = otter(&sandbox, &[]).ends(0);
    assert_eq!(again.ends_of(&["copy a", "copy b"]), ["hit"; 2], "{}", again.outcome);
    let after = sandbox.path("output/a.txt").metadata().unwrap();
    assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()));
    sandbox.file("data/b.txt", "three\n");
    let third = otter(&sandbox, &[]).ends(0);
    assert_eq!(third.ends_of(&["copy a", "copy b"]), ["hit", "success"], "{}", third.outcome);
}
