//! `prov export`, `prov import`, `prov schema`.

use insta::assert_snapshot;
use serde_json::{Map, Value};

use crate::sandbox::Sandbox;
use crate::schema::assert_valid;

const PIPELINE: &str = r#"
prov: 1
runner: demo
pool_size: 2
steps:
  make:
    - name: say it
      type: hello_world
    - name: write table
      run: "printf 'a,b\n1,2\n' > t.csv"
      outputs: {table: t.csv}
      validate: [{min_rows: 1}]
    - name: copy table
      type: copy
      source: t.csv
      destination: out/t.csv
      requires: write table
  broken:
    needs: make
    tasks:
      - name: fails
        run: "echo 'disk on fire' >&2; exit 3"
"#;

/// A project in which that pipeline ran.
fn ran() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.prov(["init"]).ok();
    sandbox.file("prov.yaml", PIPELINE);
    let outcome = sandbox.prov(["pipeline", "run", "--keep-going"]);
    assert_ne!(outcome.code, 0, "{outcome}");
    sandbox
}

fn manifest(sandbox: &Sandbox, words: &[&str]) -> Value {
    let all = [&["export", "otter-manifest"], words].concat();
    sandbox.prov(all).ok().json()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The same without what differs from run to run: times, durations, ids.
fn steady(value: &mut Value, root: &str) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if key.ends_with("elapsed") && value.is_number() {
                    *value = Value::from("SECONDS");
                } else if key.ends_with("_at") && value.is_string() {
                    let text = value.as_str().unwrap();
                    assert!(text.len() == 27 && text.ends_with('Z'), "{text}");
                    *value = Value::from("TIME");
                } else if key == "run" && value.is_string() {
                    *value = Value::from("RUN");
                } else {
                    steady(value, root);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| steady(item, root)),
        Value::String(text) => {
            let cut = text.replace(root, "PROJECT");
            // Lines of logs begin with their time.
            *text = if cut.get(4..5) == Some("-") && cut.len() > 28 { cut[28..].to_owned() } else { cut };
        }
        _ => {}
    }
}

#[test]
fn a_release_is_a_manifest_in_otters_fields_and_their_order() {
    let sandbox = ran();
    let mut manifest = manifest(&sandbox, &[]);
    assert_eq!(keys(&manifest), ["result", "started_at", "modified_at", "log", "steps"]);
    let broken = &manifest["steps"]["demo_broken"];
    let fields = "name result started_run_at finished_run_at log tasks artifacts failure_reason elapsed";
    assert_eq!(keys(broken).join(" "), fields);
    let fields = "name result started_run_at finished_run_at started_validation_at finished_validation_at log artifacts \
                  failure_reason prov run_elapsed validation_elapsed elapsed";
    assert_eq!(keys(&manifest["steps"]["demo_make"]["tasks"][0]).join(" "), fields);
    for task in manifest["steps"]["demo_make"]["tasks"].as_array().unwrap() {
        assert!(task["elapsed"].is_number(), "{task}");
    }
    let root = sandbox.project().canonicalize().unwrap();
    steady(&mut manifest, root.to_str().unwrap());
    assert_snapshot!("otter-manifest", serde_json::to_string_pretty(&manifest).unwrap());
}

#[test]
fn a_second_run_of_a_step_takes_the_place_of_the_first() {
    let sandbox = ran();
    sandbox.file("prov.yaml", PIPELINE.replace("echo 'disk on fire' >&2; exit 3", "true"));
    sandbox.prov(["pipeline", "run", "--step", "broken"]).ok();
    let all = manifest(&sandbox, &[]);
    assert_eq!(all["result"], "success");
    assert_eq!(keys(&all["steps"]), ["demo_make", "demo_broken"]);
    assert_eq!(all["steps"]["demo_make"]["tasks"].as_array().unwrap().len(), 3);
    let none = sandbox.prov(["export", "otter-manifest", "--place", "gs://b/other"]).ends(4);
    assert!(none.err().contains("no run of a pipeline is on record for `gs://b/other`"), "{none}");
}

#[test]
fn a_manifest_that_others_write_keeps_their_steps() {
    let sandbox = ran();
    let other: Value = serde_json::from_str(&fixture()).unwrap();
    sandbox.file("out/manifest.json", fixture());
    sandbox.prov(["export", "otter-manifest", "--into", "out/manifest.json"]).ok();
    let text = std::fs::read_to_string(sandbox.path("out/manifest.json")).unwrap();
    let merged: Value = serde_json::from_str(&text).unwrap();
    for (key, step) in other["steps"].as_object().unwrap() {
        assert_eq!(merged["steps"][key], *step, "{key}");
    }
    assert_eq!(merged["steps"]["demo_make"]["result"], "success");
    assert_eq!(merged["started_at"], other["started_at"]);
    assert_eq!(merged["result"], "failure");
    let again = sandbox.prov(["--json", "export", "otter-manifest", "--into", "out/manifest.json"]).ok().json();
    assert_valid("export", &again);
    assert_eq!(again["written"], 0);
    assert_eq!(std::fs::read_to_string(sandbox.path("out/manifest.json")).unwrap(), text);
    sandbox.file("bad.json", "[]");
    sandbox.prov(["export", "otter-manifest", "--into", "bad.json"]).ends(2);
    assert_eq!(std::fs::read_to_string(sandbox.path("bad.json")).unwrap(), "[]");
}

/// What Otter 26.9.1 wrote, with fields of an application's own.
fn fixture() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/interchange/otter-manifest.json");
    std::fs::read_to_string(path).unwrap()
}

/// The text with keys that stand twice standing once.
fn once(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn an_imported_manifest_comes_out_as_it_was_and_twice_adds_nothing() {
    let sandbox = Sandbox::new();
    sandbox.prov(["init"]).ok();
    sandbox.file("release/manifest.json", fixture());
    let words = ["--json", "import", "otter-manifest", "release/manifest.json"];
    let first = sandbox.prov(words).ok().json();
    assert_valid("import", &first);
    assert_eq!(
        (first["added"].as_u64(), first["tasks"].as_u64(), first["new"].as_bool()),
        (Some(5), Some(18), Some(true))
    );
    let runs = sandbox.prov(["--json", "log", "--all"]).ok().json()["runs"].as_array().unwrap().len();
    let second = sandbox.prov(words).ok().json();
    assert_eq!(
        (second["added"].as_u64(), second["known"].as_u64(), second["new"].as_bool()),
        (Some(0), Some(5), Some(false))
    );
    assert_eq!(sandbox.prov(["--json", "log", "--all"]).ok().json()["runs"].as_array().unwrap().len(), runs);
    let out = sandbox.prov(["export", "otter-manifest"]).ok().out();
    // To the last digit of every number, in the order of every map.
    assert_eq!(serde_json::to_string(&once(&out)).unwrap(), serde_json::to_string(&once(&fixture())).unwrap());
    assert!(out.contains("0.0009780000000000001"));

    // One step ran again since: it alone is new.
    let changed = fixture().replace("2026-11-22T09:14:54.527806Z", "2026-11-22T10:00:00.000000Z");
    sandbox.file("release/manifest.json", &changed);
    let third = sandbox.prov(words).ok().json();
    assert_eq!((third["added"].as_u64(), third["known"].as_u64()), (Some(1), Some(4)));
    let all = sandbox.prov(["export", "otter-manifest"]).ok().json();
    assert_eq!(all["steps"]["pts_broken"]["finished_run_at"], "2026-11-22T10:00:00.000000Z");
    assert_eq!(keys(&all["steps"]).len(), 5);

    sandbox.file("release/manifest.json", "{\"result\": \"success\"}");
    let refused = sandbox.prov(words).ends(2);
    assert!(refused.err().contains("it has no map of `steps`"), "{refused}");
}

#[test]
fn processes_that_run_different_steps_of_a_release_all_leave_them_in_its_manifest() {
    let sandbox = Sandbox::new();
    sandbox.prov(["init"]).ok();
    let steps: Vec<String> =
        (0..6).map(|n| format!("  s{n}: [{{name: hello, type: hello_world, who: w{n}}}]\n")).collect();
    let steps = steps.concat();
    sandbox.file("prov.yaml", format!("prov: 1\nrunner: demo\nsteps:\n{steps}"));
    sandbox.file("manifest.json", fixture());
    let start = |n: usize| {
        let words = ["pipeline".to_owned(), "run".into(), "--manifest".into(), "--step".into(), format!("s{n}")];
        sandbox.command(words).spawn().unwrap()
    };
    let children: Vec<_> = (0..6).map(start).collect();
    for child in children {
        sandbox.finished(child).ok();
    }
    let text = std::fs::read_to_string(sandbox.path("manifest.json")).unwrap();
    let merged: Value = serde_json::from_str(&text).unwrap();
    for n in 0..6 {
        assert_eq!(merged["steps"][format!("demo_s{n}")]["result"], "success", "{text}");
    }
    assert_eq!(keys(&merged["steps"]).len(), 5 + 6);
}

#[test]
fn tables_of_runs_are_added_to_and_are_there_when_empty() {
    let sandbox = Sandbox::new();
    sandbox.prov(["init"]).ok();
    let words = ["--json", "export", "loom-records", "--to", "runs"];
    let empty = sandbox.prov(words).ok().json();
    assert_valid("export", &empty);
    assert_eq!(empty["added"], 0);
    let files = |table: &str| std::fs::read_dir(sandbox.path(format!("runs/{table}"))).unwrap().count();
    assert_eq!([files("pipeline_runs"), files("process_runs"), files("step_runs")], [1, 1, 1]);
    sandbox.file("prov.yaml", PIPELINE);
    sandbox.prov(["pipeline", "run", "--keep-going"]);
    let first = sandbox.prov(words).ok().json();
    assert_eq!(first["rows"], serde_json::json!({"pipeline_runs": 1, "process_runs": 2, "step_runs": 4}));
    let second = sandbox.prov(words).ok().json();
    assert_eq!((second["added"].as_u64(), second["known"].as_u64()), (Some(0), Some(1)));
    assert_eq!([files("pipeline_runs"), files("process_runs"), files("step_runs")], [2, 2, 2]);
    for table in ["pipeline_runs", "process_runs", "step_runs"] {
        for entry in std::fs::read_dir(sandbox.path(format!("runs/{table}"))).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
        }
    }
}

#[test]
fn a_tables_schema_is_shown() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.prov(["schema", "show", "loom:step_runs"]).ok().out(), @r"
    step_runs: a step of a process: a task
    run_id          UTF8               REQUIRED
    correlation_id  UTF8               OPTIONAL
    attempt         INT64              REQUIRED
    step_run_id     UTF8               REQUIRED
    step            UTF8               REQUIRED
    started_at      DATETIME(us, UTC)  REQUIRED
    status          UTF8               REQUIRED
    duration_ms     INT64              REQUIRED
    error           UTF8               OPTIONAL
    process_run_id  UTF8               OPTIONAL
    error_type      UTF8               OPTIONAL
    error_message   UTF8               OPTIONAL
    ");
    let document = sandbox.prov(["--json", "schema", "show", "loom:pipeline_runs"]).ok().json();
    assert_valid("schema", &document);
    assert_eq!(document["columns"].as_array().unwrap().len(), 12);
    let unknown = sandbox.prov(["schema", "show", "loom:steps"]).ends(4);
    assert!(unknown.err().contains("loom:step_runs"), "{unknown}");
}
