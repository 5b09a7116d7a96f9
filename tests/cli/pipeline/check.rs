//! Pipelines as people and scripts meet them, before anything runs.

use std::path::PathBuf;

use crate::sandbox::Sandbox;
use crate::schema;

fn fixture(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/pipelines").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

#[test]
fn a_production_config_passes_check_and_plan_without_a_store() {
    let sandbox = Sandbox::new();
    sandbox.file("config.yaml", fixture("otter-pis.yaml"));
    let document = sandbox.prov(["--json", "pipeline", "check", "--runner", "pis"]).ok().json();
    schema::assert_valid("pipeline-check", &document);
    assert_eq!((&document["ok"], &document["flavour"]), (&true.into(), &"otter".into()));
    assert_eq!(document["counts"]["steps"], 40);
    assert_eq!(document["unknown_types"]["solr"], 6);
    sandbox.prov(["pipeline", "check", "--strict"]).ends(2);
    let plan = sandbox.prov(["--json", "pipeline", "plan"]).ok().json();
    schema::assert_valid("pipeline-plan", &plan);
    assert_eq!(plan["tasks"].as_array().unwrap().len(), 227);
    assert_eq!(plan["counts"]["edges"]["requires"], 23);
    let text = sandbox.prov(["pipeline", "plan", "-s", "disease"]).ok();
    assert!(text.out().contains("copy efo otar_slim") && text.err().contains("1 step, 4 tasks"), "{text}");
}

#[test]
fn mistakes_end_with_2_and_are_told_all_at_once() {
    let sandbox = Sandbox::new();
    sandbox.file("prov.yaml", "prov: 1\nstep: 1\nsteps:\n  a:\n    - {name: noop x, requires: noop y}\n");
    let outcome = sandbox.prov(["pipeline", "check"]).ends(2);
    let out = outcome.out();
    assert!(
        out.contains("prov.yaml:2:1 error: unknown key `step` in the file")
            && out.contains("hint: did you mean `steps`?")
    );
    assert!(
        out.contains("prov.yaml:5:32 error: `noop x` requires `noop y`, which is no task of this step [a]"),
        "{outcome}"
    );
    for words in [["pipeline", "plan"], ["pipeline", "graph"]] {
        let outcome = sandbox.prov(words).ends(2);
        assert!(outcome.err().contains("the pipeline has 2 errors") && outcome.out().is_empty(), "{outcome}");
    }
    let document = sandbox.prov(["--json", "pipeline", "check"]).ends(2).json();
    schema::assert_valid("pipeline-check", &document);
    assert_eq!(document["findings"][0]["line"], 2);
}

#[test]
fn graphs_come_in_three_forms() {
    let sandbox = Sandbox::new();
    sandbox.file("prov.yaml", fixture("native/prov.yaml"));
    for (format, start) in [("dot", "digraph pipeline {"), ("mermaid", "flowchart LR"), ("svg", "<svg xmlns=")] {
        for detail in ["tasks", "steps"] {
            let outcome = sandbox.prov(["pipeline", "graph", "--format", format, "--detail", detail]).ok();
            assert!(outcome.out().starts_with(start), "{outcome}");
        }
    }
    let document = sandbox.prov(["--json", "pipeline", "graph"]).ok().json();
    schema::assert_valid("pipeline-graph", &document);
}

#[test]
fn options_come_from_flags_then_variables_of_the_runner_then_the_file() {
    let sandbox =
        Sandbox::new().with("PROV_RUNNER", "pis").with("PIS_CONFIG_PATH", "other.yaml").with("PIS_POOL_SIZE", "7");
    sandbox.file("other.yaml", "pool_size: 3\nlog_level: DEBUG\nsteps: {one: [{name: hello_world x}], two: []}\n");
    let document = sandbox.prov(["--json", "pipeline", "plan", "-l", "ERROR"]).ok().json();
    schema::assert_valid("pipeline-plan", &document);
    let options = &document["options"];
    assert_eq!(options["runner"], serde_json::json!({"value": "pis", "origin": "PROV_RUNNER"}));
    assert_eq!(options["pool_size"], serde_json::json!({"value": 7, "origin": "PIS_POOL_SIZE"}));
    assert_eq!(options["log_level"], serde_json::json!({"value": "ERROR", "origin": "command line"}));
    assert_eq!(document["file"], "other.yaml");
    let outcome = sandbox.prov(["pipeline", "plan", "-s", "three"]).ends(4);
    assert!(outcome.err().contains("there is no step `three`"), "{outcome}");
    sandbox.prov(["pipeline", "plan", "-p", "1"]).ends(2);
}

#[test]
fn executables_on_the_task_path_are_task_types() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    sandbox
        .file("prov.yaml", "prov: 1\ntask_path: tasks\nsteps:\n  a: [{name: fetch x, source: /a}]\n")
        .file("tasks/fetch.sh", "#!/bin/sh\n");
    sandbox.prov(["pipeline", "check"]).ends(2);
    std::fs::set_permissions(sandbox.path("tasks/fetch.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let plan = sandbox.prov(["--json", "pipeline", "plan"]).ok().json();
    assert_eq!(plan["tasks"][0]["kind"], "program");
}

#[test]
fn the_published_schema_fits_the_examples() {
    for (file, is_valid) in [("native/prov.yaml", true), ("otter/nested.yaml", true)] {
        let text = fixture(file);
        let value = prov::config::parse(file.as_ref(), prov::config::Format::Yaml, text.as_bytes()).unwrap();
        let document = serde_json::from_str(&prov::config::to_json(&value)).unwrap();
        assert_eq!(schema::faults("prov.yaml", &document).is_empty(), is_valid, "{file}");
    }
    for bad in [
        serde_json::json!({"prov": 2, "steps": {}}),
        serde_json::json!({"steps": {"a": {"task": []}}}),
        serde_json::json!({"steps": {"a": [{"requires": []}]}}),
        serde_json::json!({"steps": {"a": [{"name": "x", "validate": ["exist"]}]}}),
        serde_json::json!({"log_level": "LOUD"}),
    ] {
        assert!(!schema::faults("prov.yaml", &bad).is_empty(), "{bad}");
    }
}

#[test]
fn without_a_file_it_says_which_would_do() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.prov(["pipeline", "check"]).ends(4);
    assert!(outcome.err().contains("there is no pipeline file here"), "{outcome}");
    sandbox.prov(["pipeline", "run"]).ends(4);
}
