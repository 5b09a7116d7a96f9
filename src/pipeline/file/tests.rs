//! What files mean, and everything that is told about them.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::pipeline::finding::Severity;

fn told(name: &str, text: &str) -> (Pipeline, Vec<String>) {
    let (pipeline, findings) = parse(Path::new(name), None, text.as_bytes()).unwrap();
    let lines = findings.iter().map(|finding| {
        let at = finding.at.unwrap_or_default();
        let hint = finding.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}:{} {} {}{hint}", at.line, at.column, finding.severity.as_str(), finding.message)
    });
    (pipeline, lines.collect())
}

#[test]
fn the_flavour_is_told_by_the_name_or_by_the_file() {
    for (name, text, flavour) in [
        ("prov.yaml", "steps: {}", Flavour::Native),
        ("x.prov.yml", "steps: {}", Flavour::Native),
        ("config.yaml", "steps: {}", Flavour::Otter),
        ("config.yaml", "prov: 1\nsteps: {}", Flavour::Native),
        ("config.yaml", "scratchpad: {prov: 1}\nsteps: {}", Flavour::Otter),
    ] {
        assert_eq!(told(name, text).0.flavour, flavour, "{name} {text}");
    }
}

#[test]
fn several_mistakes_are_told_at_once_with_their_places() {
    let text = "prov: 1\nstep: x\nsteps:\n  one:\n    - name: noop a\n    - requires: noop a\n    - name: noop a\n      requires: {}\n  \
                two: 7\n  three: {task: []}\n";
    let (_, lines) = told("prov.yaml", text);
    assert_eq!(
        lines,
        [
            "2:1 error unknown key `step` in the file (did you mean `steps`?)",
            "6:7 error a task needs a `name` (the first word of a name is the task's type, what follows is up to you)",
            "8:17 error `requires` must be a list of task names, not a map",
            "7:13 error two tasks are called `noop a` (the other one is in line 5)",
            "9:8 error `two` must be a list of tasks, not an integer",
            "10:11 error unknown key `task` in a step (did you mean `tasks`?)",
            "10:10 error a step needs `tasks`",
        ]
    );
}

#[test]
fn an_otter_config_is_taken_with_warnings() {
    let text =
        "work_paht: x\nsteps:\n  one:\n    - name: copy a\n      source: /a\n      source: /b\n    - name: hello\n";
    let (pipeline, lines) = told("config.yaml", text);
    assert_eq!(
        lines,
        [
            "6:7 warning the key `source` stands twice in one map (the last one counts; keep one of them)",
            "1:1 warning unknown key `work_paht` in the file (did you mean `work_path`?)",
            "7:13 error the name `hello` is a task type without a description (write the type, a blank, and what this task is: `copy the raw table`)",
        ]
    );
    assert_eq!(pipeline.steps[0].specs[0].get("source").unwrap().as_text(), Some("/b"));
}

#[test]
fn anchors_and_merge_keys_keep_their_places() {
    let text = "prov: 1\nx-base: &base\n  timeout: soon\nsteps:\n  one:\n    - <<: *base\n      name: noop a\n";
    let (pipeline, lines) = told("prov.yaml", text);
    assert!(lines.is_empty(), "{lines:?}");
    let timeout = pipeline.steps[0].specs[0].get("timeout").unwrap();
    assert_eq!((timeout.at.line, timeout.at.column), (3, 12));
}

#[test]
fn defaults_of_the_file_and_of_the_step_stand_under_the_tasks_own() {
    let text = "prov: 1\ndefaults: {timeout: 1m, memory: 1GiB}\nsteps:\n  one:\n    defaults: {timeout: 2m}\n    needs: [zero]\n    \
                tasks:\n      - {name: noop a}\n      - {name: noop b, timeout: 3m}\n";
    let (pipeline, lines) = told("prov.yaml", text);
    assert!(lines.is_empty(), "{lines:?}");
    let of = |i: usize, key: &str| pipeline.steps[0].specs[i].get(key).unwrap().as_text().unwrap().to_owned();
    assert_eq!([of(0, "timeout"), of(0, "memory"), of(1, "timeout")], ["2m", "1GiB", "3m"]);
    assert_eq!(pipeline.steps[0].needs[0].text, "zero");
}

fn options(name: &str, text: &str, given: Given) -> Result<Options, String> {
    let (pipeline, _) = told(name, text);
    Options::resolve(&pipeline, &given, Path::new("/here")).map_err(|err| err.to_string())
}

fn environment<const N: usize>(variables: [(&str, &str); N]) -> BTreeMap<String, String> {
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[test]
fn the_command_line_wins_over_the_environment_over_the_file_over_the_default() {
    let text = "work_path: in_file\npool_size: 4\nlog_level: DEBUG\nsteps: {}\n";
    let environment = environment([
        ("PIS_WORK_PATH", "/in/env"),
        ("PIS_POOL_SIZE", "8"),
        ("PIS_STEP", "disease"),
        ("OTTER_LOG_LEVEL", "ERROR"),
        ("PIS_ANYTHING", "else"),
    ]);
    let given =
        Given { runner: Some("pis".to_owned()), work_path: Some("flag".to_owned()), environment, ..Given::default() };
    let options = options("config.yaml", text, given).unwrap();
    assert_eq!((options.work_path.value.as_path(), options.work_path.origin), (Path::new("/here/flag"), Origin::Flag));
    assert_eq!((options.pool_size.value, options.pool_size.origin.words()), (8, "PIS_POOL_SIZE".to_owned()));
    assert_eq!((options.log_level.value.as_str(), options.log_level.origin), ("DEBUG", Origin::File));
    assert_eq!(options.steps.value, ["disease"]);
    assert!(options.release_uri.is_none());
}

#[test]
fn the_runner_says_where_it_comes_from() {
    let of = |name: &str, text: &str, variables: BTreeMap<String, String>| {
        let runner = options(name, text, Given { environment: variables, ..Given::default() }).unwrap().runner;
        (runner.value, runner.origin.words())
    };
    let none = BTreeMap::new;
    assert_eq!(of("config.yaml", "steps: {}", none()), ("otter".to_owned(), "default".to_owned()));
    assert_eq!(of("prov.yaml", "steps: {}", none()), ("prov".to_owned(), "default".to_owned()));
    assert_eq!(of("config.yaml", "runner: pis\nsteps: {}", none()), ("pis".to_owned(), "file".to_owned()));
    let named = environment([("PROV_RUNNER", "pts")]);
    assert_eq!(of("config.yaml", "runner: pis\nsteps: {}", named), ("pts".to_owned(), "PROV_RUNNER".to_owned()));
    let bad = Given { runner: Some("Pis".to_owned()), ..Given::default() };
    assert_eq!(
        options("config.yaml", "steps: {}", bad).unwrap_err(),
        "command line: `Pis` can't be the name of a runner"
    );
}

#[test]
fn a_bad_option_is_a_mistake_even_where_it_does_not_count() {
    let given = |variables| Given { pool_size: Some("4".to_owned()), environment: variables, ..Given::default() };
    for (name, value, problem) in [
        ("OTTER_POOL_SIZE", "1", "must be 2 or more"),
        ("OTTER_POOL_SIZE", "many", "must be an integer"),
        ("OTTER_RELEASE_URI", "nowhere", "is no URI"),
        ("OTTER_RELEASE_URI", "gs://bucket", "is no URI"),
        ("OTTER_LOG_LEVEL", "debug", "did you mean DEBUG?"),
    ] {
        let err = options("config.yaml", "steps: {}", given(environment([(name, value)]))).unwrap_err();
        assert!(err.starts_with(name) && err.contains(problem), "{err}");
    }
    let (_, lines) = told("config.yaml", "pool_size: 1\nrelease_uri: x\nlog_level: LOUD\nsteps: {}\n");
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn paths_of_a_native_file_are_seen_from_its_folder() {
    let (pipeline, findings) =
        parse(Path::new("sub/prov.yaml"), None, b"work_path: data\nrelease_uri: s3://b/r/\nsteps: {}\n").unwrap();
    assert!(findings.iter().all(|finding| finding.severity < Severity::Error), "{findings:?}");
    let resolve = |given: &Given| Options::resolve(&pipeline, given, Path::new("/here")).unwrap();
    let options = resolve(&Given::default());
    assert_eq!(options.work_path.value, Path::new("/here/sub/data"));
    assert_eq!(options.release_uri.unwrap().value, "s3://b/r");
    let given = Given { work_path: Some("flag".to_owned()), ..Given::default() };
    assert_eq!(resolve(&given).work_path.value, Path::new("/here/flag"));
}
