//! Config adapters, and plans of folders of configuration.

use serde_json::Value;

use crate::project::{exists, project, read, run};
use crate::sandbox::Sandbox;
use crate::schema;

/// The adapter of the documentation, on a folder that it understands.
fn model() -> Sandbox {
    let sandbox = project();
    let adapter = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/adapters/travel.py");
    sandbox
        .file("travel.py", std::fs::read(adapter).unwrap())
        .file("data/land.csv", "zone,jobs\n1,10\n")
        .file("cfg/settings.yaml", "rate: 0.5 # share\nzones: 3\nland_use: data/land.csv\nlog: a.log\n")
        .file("cfg/modes.csv", "car\n")
        .file(
            "prov.toml",
            "[adapters.travel]\ncommand = ['python3', 'travel.py']\n[steps.go]\ncommand = ['sh', '-c', 'cat {config}/* > out']\n\
             output = 'out'\ncode = 'none'\nconfig_dir = 'cfg'\nconfig_adapter = 'travel'\n",
        );
    sandbox
}

#[test]
fn an_adapter_says_what_counts() {
    let sandbox = model();
    let first = run(&sandbox, ["go"]).misses();
    let shown = sandbox.prov(["--json", "show", first.id()]).ok().json();
    assert_eq!(shown["run"]["facets"]["zones"], 3);
    let settings = |text: &str| {
        sandbox.file("cfg/settings.yaml", text);
    };
    settings("# new\nlog: b.log\nrate: 0.5\nzones: 3\nland_use: data/land.csv\n");
    run(&sandbox, ["go"]).hits();
    settings("rate: 0.6\nzones: 3\nland_use: data/land.csv\n");
    assert_eq!(run(&sandbox, ["go"]).misses().parts(), ["@config/@scalars.json:rate"]);
    sandbox.file("data/land.csv", "zone,jobs\n1,11\n");
    assert_eq!(run(&sandbox, ["go"]).misses().parts(), ["@config/@references/land_use"]);
    sandbox.file("cfg/modes.csv", "bus\n");
    assert_eq!(run(&sandbox, ["go"]).misses().parts(), ["@config/modes.csv"]);
    let warned = run(&sandbox, ["go", "--override", "settings.yaml:rate=1.5"]).misses();
    assert!(warned.outcome.err().contains("rate is above 1"), "{}", warned.outcome);
    // The folder as it is is another thing, even if its bytes are those that count here.
    run(
        &sandbox,
        [
            "--name",
            "go",
            "-o",
            "out",
            "--code",
            "none",
            "--config-dir",
            "cfg",
            "--",
            "sh",
            "-c",
            "cat {config}/* > out",
        ],
    )
    .misses();
}

#[test]
fn what_an_adapter_finds_wrong_fails_the_lookup() {
    let sandbox = model();
    sandbox.file("cfg/settings.yaml", "zones: 3\n");
    let outcome = sandbox.prov(["run", "go"]).ends(125);
    assert!(outcome.err().contains("settings.yaml:1: rate is missing") && !exists(&sandbox, "out"), "{outcome}");
    let document = sandbox.prov(["--json", "config", "validate", "go"]).ends(1).json();
    schema::assert_valid("config-plan", &document);
    assert_eq!(document["diagnostics"][0]["message"], "rate is missing");
    sandbox.file("cfg/settings.yaml", "rate: 0.5\nland_use: data/none.csv\n");
    sandbox.prov(["run", "go"]).ends(125);
    sandbox.prov(["run", "go", "--config-adapter", "other"]).ends(125);
    for (answer, told) in [
        ("not JSON", "answer of adapter bad"),
        ("{}", "protocol"),
        (r#"{"protocol": "prov.config-adapter/2"}"#, "speaks `prov.config-adapter/2`"),
        (r#"{"protocol": "prov.config-adapter/1", "scalar": {}}"#, "answers something else"),
        (
            r#"{"protocol": "prov.config-adapter/1", "files": [{"path": "x", "policy": "ignore"}]}"#,
            "no file of the folder",
        ),
        (r#"{"protocol": "prov.config-adapter/1", "scalars": {"a": []}}"#, "no single value"),
    ] {
        sandbox.file("answer.json", answer);
        sandbox.file(
            "prov.toml",
            "[adapters.bad]\ncommand = ['cat', 'answer.json']\n[steps.go]\ncommand = 'true'\nconfig_dir = 'cfg'\nconfig_adapter = 'bad'\n",
        );
        let outcome = sandbox.prov(["run", "go"]).ends(125);
        assert!(outcome.err().contains(told), "{answer}: {outcome}");
    }
}

#[test]
fn question_and_answer_are_as_their_schemas_say() {
    let sandbox = model();
    sandbox.file("spy.sh", "cat > question.json; python3 travel.py < question.json > answer.json && cat answer.json\n");
    sandbox.file("prov.toml", "[adapters.spy]\ncommand = 'sh spy.sh'\n");
    for mode in ["plan", "validate"] {
        let words = ["--json", "config", mode, "--config-dir", "cfg", "--config-adapter", "spy"];
        schema::assert_valid("config-plan", &sandbox.prov(words).ok().json());
        for what in ["question", "answer"] {
            let document: Value = serde_json::from_str(&read(&sandbox, format!("{what}.json"))).unwrap();
            schema::assert_valid(&format!("config-adapter-{what}"), &document);
        }
    }
}

#[test]
fn a_plan_prints_the_identity_that_runs_will_have() {
    let sandbox = model();
    let plan = |more: &[&str]| {
        let words = [&["--json", "config", "plan", "--config-dir", "cfg"], more].concat();
        let document = sandbox.prov(words).ok().json();
        schema::assert_valid("config-plan", &document);
        document
    };
    let plain = plan(&[]);
    assert_eq!(plain["identity"], plain["tree"]);
    assert_eq!(plain["files"][1]["from"], "cfg/settings.yaml");
    let one = plan(&["--override", "settings.yaml:rate=1", "--override", "settings.yaml:zones=4"]);
    let other = plan(&["--override", "settings.yaml:zones=4", "--override", "settings.yaml:rate=1"]);
    assert_eq!(one["identity"], other["identity"]);
    assert_ne!(one["identity"], plain["identity"]);
    assert_eq!(one["files"][1]["from"], "made");
    let words = ["config", "plan", "--config-dir", "cfg"];
    let text = sandbox.prov(words).ok().out();
    assert!(text.starts_with(&format!("identity {}\n", plain["identity"].as_str().unwrap())), "{text}");
    sandbox.file("cfg/bad.yaml", "a: [1\n");
    let outcome = sandbox.prov(["config", "validate", "--config-dir", "cfg"]).ok();
    assert!(outcome.out().starts_with("warning: bad.yaml:"), "{outcome}");
    sandbox.prov(["config", "plan"]).ends(2);
    assert_eq!(sandbox.prov(["log"]).out(), "");
}
