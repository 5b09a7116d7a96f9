use serde_json::json;

use super::{ask, column, fit, found, sweep};
use crate::project::{project, run};

#[test]
fn runs_are_found_by_facets_params_metrics_and_dimensions() {
    let sandbox = sweep();
    for (expr, expected) in [
        ("facet.alpha = 0.5", 1),
        ("facet.alpha > 0.1", 2),
        ("facet.alpha <= 0.5 and step = fit", 2),
        ("facet.alpha in (0.1, 0.9)", 2),
        ("facet.alpha not in (0.1, 0.9)", 1),
        ("facet.fit:alpha = 0.5", 1),
        ("facet.sweep:n >= 1", 2),
        ("facet.*:n >= 1", 2),
        ("facet.kind ~ 'l*'", 3),
        ("facet.kind != lin", 0),
        ("not facet.kind = lin", 1),
        ("facet.kind", 3),
        ("not facet.kind", 1),
        ("param.model.alpha = 0.9", 1),
        ("metric.loss < 0.6 or step = copy", 3),
        ("dim.iteration = 2", 1),
        ("iteration >= 1", 2),
        ("tag = good", 1),
        ("tag != good", 3),
        ("status = success and not (step ~ 'f*')", 1),
        ("started_at > 1h and duration_ms < 1h", 4),
        ("started_at > 2100-01-01", 0),
        ("sealed and not retracted", 4),
        ("name = null", 4),
        ("cache = miss", 4),
    ] {
        let document = found(&sandbox, &["--where", expr]);
        assert_eq!(document["rows"].as_array().unwrap().len(), expected, "{expr}: {document:#}");
    }
    // A namespace that is not the step's is not meant by a key alone.
    assert_eq!(
        sandbox.prov(["find", "runs", "--where", "facet.n = 1", "--format", "csv"]).ok().out().lines().count(),
        1
    );
    let text = found(&sandbox, &["--text", "quake"]);
    assert_eq!(column(&text, "step"), [json!("copy")]);
}

#[test]
fn what_is_shown_can_be_chosen_sorted_grouped_and_indexed() {
    let sandbox = sweep();
    let document = found(
        &sandbox,
        &["--where", "step = fit", "--columns", "id,facet.alpha,metric.loss", "--sort", "metric.loss:desc"],
    );
    assert_eq!(document["columns"], json!(["id", "facet.alpha", "metric.loss"]));
    assert_eq!(column(&document, "facet.alpha"), [json!(0.9), json!(0.5), json!(0.1)]);
    let latest = found(&sandbox, &["--latest"]);
    assert_eq!((column(&latest, "step"), latest["rows"].as_array().unwrap().len()), (vec![json!("fit")], 1));
    let groups = found(&sandbox, &["--latest", "--group-by", "step"]);
    assert_eq!(groups["groups"], json!({"copy": [0], "fit": [1]}));
    let index = found(&sandbox, &["--where", "step = fit", "--index-by", "facet.alpha"]);
    assert_eq!(index["index"], json!({"0.9": 0, "0.5": 1, "0.1": 2}));
    let twice = sandbox.prov(["find", "runs", "--index-by", "step"]).ends(4);
    assert!(twice.err().contains("more than one has `step` = fit"), "{twice}");
    found(&sandbox, &["--where", "facet.alpha = 0.5", "--exactly-one"]);
    sandbox.prov(["find", "runs", "--where", "step = fit", "--exactly-one"]).ends(4);
    sandbox.prov(["find", "runs", "--where", "exit_code = 7", "--exactly-one"]).ends(4);
    let csv = sandbox
        .prov(["find", "runs", "--columns", "step,facet.alpha", "--where", "step = fit", "-n", "1", "--format", "csv"])
        .ok();
    assert_eq!(csv.out(), "step,facet.alpha\nfit,0.9\n");
}

#[test]
fn the_newest_iteration_wins_over_the_newest_run() {
    let sandbox = sweep();
    let last = fit(&sandbox, 1, "0.3");
    let latest = found(&sandbox, &["--where", "step = fit", "--latest", "--columns", "run,iteration"]);
    assert_eq!(column(&latest, "iteration"), [json!(2)]);
    let latest = found(&sandbox, &["--where", "iteration = 1", "--latest", "--columns", "run"]);
    assert_eq!(column(&latest, "run"), [json!(last.id())]);
}

#[test]
fn unknown_names_and_wrong_types_are_usage_errors_with_suggestions() {
    let sandbox = sweep();
    for (expr, message, candidate) in [
        ("statsu = success", "there is no column `statsu`", "status"),
        ("alpha = 1", "there is no column `alpha`", "facet.alpha"),
        ("facet.alhpa = 1", "no facet is called `facet.alhpa`", "facet.alpha"),
        ("metric.los = 1", "no metric is called", "metric.loss"),
        ("facet.alpha = high", "`facet.alpha` is a number, and `high` is not", "hint"),
        ("started_at > soon", "`started_at` is a time, and `soon` is not", "2026-03-01"),
        ("exit_code = zero", "`exit_code` is an integer", "hint"),
        ("sealed > 1", "`sealed` is true or false: it is equal or not", "hint"),
        ("step = (", "a value is wanted, `(` is none at character 8", "hint"),
    ] {
        let failed = sandbox.prov(["find", "runs", "--where", expr]).ends(2);
        let text = failed.err();
        assert!(text.contains(message) && text.contains(candidate), "{expr}: {failed}");
    }
    let failed = sandbox.prov(["find", "runs", "--scenario", "Main"]).ends(4);
    assert!(failed.err().contains("main"), "{failed}");
}

#[test]
fn artifacts_are_found_by_who_made_and_who_took_them() {
    let sandbox = sweep();
    run(&sandbox, ["-i", "out.txt", "-o", "more.txt", "--name", "more", "--", "cp", "out.txt", "more.txt"]).misses();
    let artifacts = |words: &[&str]| ask(&sandbox, "find", &[&["find", "artifacts"], words].concat());
    let made = artifacts(&["--creator", "copy"]);
    assert_eq!((column(&made, "key"), column(&made, "role")), (vec![json!("out")], vec![json!("output")]));
    let taken = artifacts(&["--consumer", "more", "--columns", "path,producer_key,linked_by"]);
    assert_eq!(taken["rows"], json!([["out.txt", "out", "path"]]));
    assert_eq!(artifacts(&["--key", "m"])["rows"].as_array().unwrap().len(), 3);
    assert_eq!(artifacts(&["--path", "out.txt"])["rows"].as_array().unwrap().len(), 2);
    assert_eq!(artifacts(&["--path", "."])["rows"].as_array().unwrap().len(), 7);
    assert_eq!(artifacts(&["--where", "facet.quality = good"])["rows"].as_array().unwrap().len(), 3);
    assert_eq!(artifacts(&["--where", "run.facet.alpha = 0.5"])["rows"].as_array().unwrap().len(), 1);
    let id = column(&made, "content")[0].as_str().unwrap()[..10].to_owned();
    assert_eq!(artifacts(&["--id", &id, "--output"])["rows"].as_array().unwrap().len(), 2);
    sandbox.prov(["find", "artifacts", "--id", "xyz"]).ends(2);
}

#[test]
fn runs_of_one_recipe_are_found_and_sets_of_runs_are_kept() {
    let sandbox = sweep();
    run(&sandbox, ["-i", "in.txt", "-o", "out.txt", "--name", "copy", "--", "cp", "in.txt", "out.txt"]).hits();
    let same = found(&sandbox, &["--like", "copy"]);
    assert_eq!(column(&same, "cache"), [json!("hit"), json!("miss")]);
    sandbox.prov(["find", "runs", "--where", "facet.alpha > 0.1", "--save", "strong"]).ok();
    fit(&sandbox, 3, "0.8");
    assert_eq!(found(&sandbox, &["--set", "strong"])["rows"].as_array().unwrap().len(), 2);
    let missing = sandbox.prov(["find", "runs", "--set", "weak"]).ends(4);
    assert!(missing.err().contains("strong"), "{missing}");
    // A set takes nobody's name, and goes as other tags go.
    sandbox.prov(["tag", "best", "copy"]).ok();
    sandbox.prov(["find", "runs", "--save", "best"]).ends(7);
    sandbox.prov(["undo"]).ok();
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn facets_metrics_history_and_summary_are_told() {
    let sandbox = sweep();
    let facets = ask(&sandbox, "facets", &["facets", "fit"]);
    let keys: Vec<String> = facets["facets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{}:{}", one["namespace"].as_str().unwrap(), one["key"].as_str().unwrap()))
        .collect();
    assert_eq!(keys, ["fit:alpha", "fit:kind", "sweep:n", "fit:quality"]);
    assert_eq!(ask(&sandbox, "facets", &["facets", "fit", "--prefix", "al"])["facets"][0]["value"], json!(0.9));
    assert_eq!(ask(&sandbox, "facets", &["facets", "fit:m"])["facets"][0]["output"], "m");

    let metrics = ask(&sandbox, "metrics", &["metrics", "fit", "--sort", "metric.loss"]);
    assert_eq!(column(&metrics, "metric.loss"), [json!(0.1), json!(0.5), json!(0.9)]);
    assert_eq!(column(&metrics, "param.model.alpha"), [json!(0.1), json!(0.5), json!(0.9)]);
    let names = metrics["columns"].as_array().unwrap();
    assert!(!names.contains(&json!("facet.kind")), "what is the same for all is left out: {names:?}");
    let text = sandbox.prov(["metrics", "fit"]).ok();
    assert!(text.out().contains("▁▅█"), "{text}");

    assert_eq!(ask(&sandbox, "history", &["history", "-n", "2"])["rows"].as_array().unwrap().len(), 2);
    let summary = ask(&sandbox, "summary", &["summary"]);
    assert_eq!((&summary["steps"][1]["step"], &summary["steps"][1]["runs"]), (&json!("fit"), &json!(3)));
    sandbox.prov(["summary"]).ok();
}

#[test]
fn a_facet_of_ten_thousand_keys_is_kept_and_told_of() {
    let sandbox = project();
    sandbox.file("big.py", "import json\njson.dump({f'k{n}': n for n in range(10000)}, open('f.json', 'w'))\n");
    run(&sandbox, ["-o", "f.json", "--facet-from", "f", "--name", "big", "--", "python3", "big.py"]).misses();
    let asked = sandbox.prov(["find", "runs", "--where", "facet.k1 = 1"]);
    assert!(asked.err().contains("more than 1000 facets"), "{asked}");
    assert_eq!(ask(&sandbox, "facets", &["facets", "big"])["facets"].as_array().unwrap().len(), 10_000);
    assert_eq!(found(&sandbox, &["--where", "left_out > 0"])["rows"].as_array().unwrap().len(), 1);
}
