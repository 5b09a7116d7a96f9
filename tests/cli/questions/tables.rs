use serde_json::{Value, json};

use super::{ask, column, sweep};
use crate::project::{project, read, remove, run};
use crate::sandbox::Sandbox;

const QUAKES: &str = "id,mag,place,at\n1,4.5,Rome,2026-01-02T03:04:05Z\n2,,\"Oslo, N\",2026-01-03T00:00:00Z\n3,5,,2026-01-04T00:00:00Z\n";

/// A step that copies a table.
fn table(sandbox: &Sandbox, text: &str, more: &[&str]) -> crate::project::Ran {
    sandbox.file("in.csv", text);
    let words = ["-i", "in.csv", "-o", "quakes=out.csv", "--name", "clean"];
    run(sandbox, [&words, more, &["--", "cp", "in.csv", "out.csv"]].concat())
}

fn gzip(sandbox: &Sandbox, path: &str) {
    assert!(std::process::Command::new("gzip").arg("-nk").arg(sandbox.path(path)).status().unwrap().success());
}

#[test]
fn columns_of_recorded_tables_are_told() {
    let sandbox = project();
    table(&sandbox, QUAKES, &[]).misses();
    // The bytes come from the store.
    sandbox.file("out.csv", "other\n");
    let shown = ask(&sandbox, "schema", &["schema", "show", "clean:quakes"]);
    let columns = shown["tables"][0]["columns"].as_array().unwrap();
    let kinds: Vec<_> = columns
        .iter()
        .map(|c| (c["name"].as_str().unwrap(), c["type"].as_str().unwrap(), c["nullable"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        kinds,
        [("id", "int64", false), ("mag", "double", true), ("place", "string", true), ("at", "timestamp", false)]
    );
    assert_eq!(
        (&shown["tables"][0]["rows"], &columns[1]["mean"], &columns[1]["nulls"]),
        (&json!(3), &json!(4.75), &json!(1))
    );
    // What was found out is kept by content, whatever it is called.
    assert_eq!(
        ask(&sandbox, "schema", &["schema", "show", "in.csv"])["tables"][0]["schema_id"],
        shown["tables"][0]["schema_id"]
    );
    assert_eq!(ask(&sandbox, "schema", &["schema", "show", "clean:quakes"]), shown);
    gzip(&sandbox, "in.csv");
    assert_eq!(
        ask(&sandbox, "schema", &["schema", "show", "in.csv.gz"])["tables"][0]["schema_id"],
        shown["tables"][0]["schema_id"]
    );

    let preview = ask(&sandbox, "preview", &["preview", "clean:quakes", "-n", "2"]);
    assert_eq!(preview["tables"][0]["rows"][1], json!(["2", "", "Oslo, N", "2026-01-03T00:00:00Z"]));
    assert_eq!(preview["tables"][0]["more"], true);
    assert!(sandbox.prov(["preview", "clean"]).ok().out().contains("Oslo, N"));
    sandbox.file("x.txt", "hello\n");
    sandbox.prov(["preview", "x.txt"]).ends(2);
}

#[test]
fn schemas_are_written_in_other_languages_and_their_drift_is_told() {
    let sandbox = project();
    table(&sandbox, QUAKES, &[]).misses();
    let sql = sandbox.prov(["schema", "export", "clean:quakes", "--as", "sql", "--name", "quakes"]).ok().out();
    assert!(
        sql.starts_with("create table \"quakes\" (\n  \"id\" bigint not null,\n  \"mag\" double precision,"),
        "{sql}"
    );
    let python =
        sandbox.prov(["schema", "export", "clean:quakes", "--as", "python", "--name", "big-quakes"]).ok().out();
    assert!(
        python.contains("class BigQuakes(SQLModel):") && python.contains("mag: Optional[float] = None"),
        "{python}"
    );
    assert!(sandbox.prov(["schema", "export", "clean:quakes", "--as", "rust"]).ok().out().contains("pub struct Out {"));
    let first: Value = serde_json::from_str(&sandbox.prov(["schema", "export", "clean:quakes"]).ok().out()).unwrap();
    assert_eq!(first["properties"]["mag"]["type"], json!(["number", "null"]));

    table(&sandbox, "id,mag,depth\n1,high,3\n", &[]).misses();
    let drift = ask(&sandbox, "schema", &["schema", "diff", "clean:quakes"]);
    let names: Vec<&str> =
        drift["changes"].as_array().unwrap().iter().map(|one| one["column"].as_str().unwrap()).collect();
    assert_eq!(names, ["place", "at", "mag", "depth"]);
    assert_eq!((&drift["equal"], &drift["changes"][2]["after"]["type"]), (&json!(false), &json!("string")));
    sandbox.prov(["schema", "diff", "clean:quakes", "--exit-code"]).ends(1);
    sandbox.prov(["schema", "diff", "clean~1:quakes", "clean~1:quakes", "--exit-code"]).ok();
}

#[test]
fn a_schema_that_is_a_file_is_held_at_capture_and_on_hits() {
    let sandbox = project();
    sandbox.file("good.json", r#"{"id": "int", "mag": "number", "place": "text", "at": "timestamp"}"#);
    sandbox.file("strict.json", r#"{"columns": ["id", "mag"]}"#);
    // Known, and never compared.
    table(&sandbox, QUAKES, &[]).misses();
    let compared = table(&sandbox, QUAKES, &["--schema", "quakes=good.json"]);
    assert_eq!((compared.cache(), compared.status()), ("miss", "success"), "{}", compared.outcome);
    table(&sandbox, QUAKES, &["--schema", "quakes=good.json"]).hits();
    // Another schema: the known result is not taken, and what is made anew is refused.
    let failed = table(&sandbox, QUAKES, &["--schema", "quakes=strict.json"]);
    assert_eq!((failed.cache(), failed.status()), ("miss", "failure"), "{}", failed.outcome);
    assert!(failed.json["error"]["message"].as_str().unwrap().contains("not asked for"), "{:#}", failed.json["error"]);
    sandbox.file("good.json", r#"{"id": "text", "mag": "number", "place": "text", "at": "timestamp"}"#);
    let failed = table(&sandbox, QUAKES, &["--schema", "quakes=good.json"]);
    assert!(
        failed.json["error"]["message"].as_str().unwrap().contains("`id` is int64, not text"),
        "{:#}",
        failed.json["error"]
    );
    // A result that was kept with a warning was not held to anything.
    let warned = table(&sandbox, QUAKES, &["--schema", "quakes=strict.json", "--on-mismatch", "warn", "-f"]);
    assert_eq!(warned.status(), "success", "{}", warned.outcome);
    assert_ne!(table(&sandbox, QUAKES, &["--schema", "quakes=strict.json"]).cache(), "hit");
    // What is no schema is told before anything runs; a mere name is a name.
    sandbox.file("bad.json", "3");
    assert_eq!(
        sandbox.prov(["run", "-o", "quakes=o.csv", "--schema", "quakes=bad.json", "--", "touch", "o.csv"]).code,
        125
    );
    assert_eq!(
        sandbox.prov(["run", "-o", "quakes=o.csv", "--schema", "quakes=gone.json", "--", "touch", "o.csv"]).code,
        125
    );
    table(&sandbox, QUAKES, &["--schema", "quakes=quakes-v1"]).hits();
}

#[test]
fn a_corrupt_table_is_named_and_the_others_are_shown() {
    let sandbox = project();
    sandbox.file("make.sh", "printf 'a\\n1\\n' > good.csv; printf 'PAR1 this is none PAR1' > bad.parquet; printf '{\"a\":1}\\n[2]\\n' > worse.jsonl\n");
    run(
        &sandbox,
        ["-o", "good.csv", "-o", "bad.parquet", "-o", "worse.jsonl", "--name", "make", "--", "sh", "make.sh"],
    )
    .misses();
    let shown = sandbox.prov(["--json", "schema", "show", "make"]).ends(1);
    crate::schema::assert_valid("schema", &shown.json());
    let tables = shown.json()["tables"].clone();
    assert_eq!(tables[1]["columns"][0]["type"], "int64", "{tables:#}");
    assert!(tables[0]["problem"].as_str().unwrap().contains("bad.parquet"), "{tables:#}");
    let text = sandbox.prov(["preview", "make"]).ends(1);
    assert!(text.out().contains("make") || text.out().contains('1'), "{text}");
    assert!(text.err().contains("2 tables can't be read"), "{text}");
}

#[test]
fn tables_of_records_are_exported_for_others() {
    let sandbox = sweep();
    sandbox.prov(["export", "tables", "--to", "tables"]).ok();
    assert!(read(&sandbox, "tables/runs.csv").starts_with("run,id,object,"));
    let preview = ask(&sandbox, "preview", &["preview", "tables/runs.parquet"]);
    let names = preview["tables"][0]["columns"].as_array().unwrap();
    let at = names.iter().position(|name| name == "step").unwrap();
    assert_eq!(preview["tables"][0]["rows"].as_array().unwrap().len(), 4);
    assert_eq!(preview["tables"][0]["rows"][3][at], "copy");
    let shown = ask(&sandbox, "schema", &["schema", "show", "tables/metrics.parquet"]);
    let kinds: Vec<&str> =
        shown["tables"][0]["columns"].as_array().unwrap().iter().map(|c| c["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["string", "string", "string", "double", "string"]);
    // pyarrow, where it is there, reads the same.
    let script = "import pyarrow.parquet as p, sys\nt = p.read_table(sys.argv[1])\nprint(t.num_rows, t.schema.field('started_at').type, t.schema.field('sealed').type, t['sealed'].to_pylist())";
    let out = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(sandbox.path("tables/runs.parquet"))
        .output()
        .unwrap();
    if out.status.success() {
        let text = String::from_utf8(out.stdout).unwrap();
        assert_eq!(text.trim(), "4 timestamp[us, tz=UTC] bool [True, True, True, True]");
    }
}

#[test]
fn what_came_of_something_is_told_with_the_cheapest_repair() {
    let sandbox = project();
    sandbox.file("raw.txt", "1\n");
    let step = |name: &str, from: &str, to: &str| {
        let words =
            ["-i", from, "-o", to, "--name", name, "--", "sh", "-c", "cat \"$1\" \"$1\" > \"$2\"", "x", from, to];
        run(&sandbox, words)
    };
    step("a", "raw.txt", "a.txt").misses();
    step("b", "a.txt", "b.txt").misses();
    step("c", "a.txt", "c.txt").misses();
    step("d", "b.txt", "d.txt").misses();
    step("d", "b.txt", "d.txt").hits();
    run(&sandbox, ["-o", "z.txt", "--name", "other", "--", "sh", "-c", "echo z > z.txt"]).misses();
    let impact = ask(&sandbox, "impact", &["impact", "raw.txt"]);
    let again: Vec<(&str, u64)> = impact["runs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|run| run["repair"] == "run")
        .map(|run| (run["step"].as_str().unwrap(), run["round"].as_u64().unwrap()))
        .collect();
    assert_eq!(again, [("a", 1), ("b", 2), ("c", 2), ("d", 3)]);
    assert_eq!(impact["runs"].as_array().unwrap().len(), 5);
    let of_b = ask(&sandbox, "impact", &["impact", "b"]);
    let steps: Vec<&str> = of_b["runs"].as_array().unwrap().iter().map(|run| run["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["b", "d", "d"]);
    // Made anew of another input: the old ones are nobody's business any more.
    sandbox.file("raw2.txt", "2\n");
    step("a", "raw2.txt", "a.txt").misses();
    let impact = ask(&sandbox, "impact", &["impact", "raw.txt"]);
    let old: Vec<&str> = impact["runs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|run| run["repair"] == "superseded")
        .map(|run| run["step"].as_str().unwrap())
        .collect();
    // The run of `d` that was executed gave way to the hit that followed it.
    assert_eq!(old, ["a", "d"]);
    assert_eq!(ask(&sandbox, "impact", &["impact", "z.txt"])["again"], 0);
    sandbox.prov(["impact", "raw.txt"]).ok();

    let svg = sandbox.prov(["lineage", "d.txt", "--format", "svg"]).ok().out();
    assert!(svg.starts_with("<svg ") && svg.contains("raw.txt"), "{svg}");
}

#[test]
fn many_alike_are_counted_in_a_lineage() {
    let sandbox = project();
    let mut words =
        vec!["run".to_owned(), "--name".to_owned(), "join".to_owned(), "-o".to_owned(), "all.txt".to_owned()];
    for n in 0..40 {
        sandbox.file(format!("f{n}.txt"), format!("{n}\n"));
        words.extend(["-i".to_owned(), format!("f{n}.txt")]);
    }
    words.extend(["--", "sh", "-c", "cat f*.txt > all.txt"].map(ToOwned::to_owned));
    sandbox.prov(words).ok();
    let short = sandbox.prov(["lineage", "all.txt"]).ok().out();
    assert!(short.contains("... and 28 more files") && short.lines().count() == 15, "{short}");
    assert_eq!(sandbox.prov(["lineage", "all.txt", "--all"]).ok().out().lines().count(), 42);
    let nodes = ask(&sandbox, "lineage", &["lineage", "all.txt"])["nodes"].as_array().unwrap().len();
    assert_eq!(nodes, 42);
    let _ = column;
}

#[test]
fn recorded_files_are_found_by_their_sha_256_and_it_is_kept() {
    let sandbox = project();
    table(&sandbox, QUAKES, &[]).misses();
    let known = ask(&sandbox, "id", &["id", "--sha256", "out.csv"]);
    let sum = known["items"][0]["sha256"].as_str().unwrap().to_owned();
    assert_eq!(sum.len(), 64);
    remove(&sandbox, "out.csv");
    let entries = || std::fs::read_dir(sandbox.path(".prov/store/log")).unwrap().count();
    let before = entries();
    let found = ask(&sandbox, "id", &["id", "--sha256", &sum.to_uppercase()]);
    assert_eq!(found["items"][0]["id"], known["items"][0]["id"]);
    assert!(entries() > before, "it is kept");
    let before = entries();
    ask(&sandbox, "id", &["id", "--sha256", &sum]);
    assert_eq!(entries(), before, "and not computed again");
    let none = "0".repeat(64);
    sandbox.prov(["id", "--sha256", &none]).ends(4);
    sandbox.prov(["fsck"]).ok();
    // It is no remark that people made.
    assert!(!sandbox.prov(["show", "clean"]).ok().out().contains("sha256:"));
}

#[test]
fn the_log_can_be_narrowed_by_facets() {
    let sandbox = sweep();
    let listed = |words: &[&str]| {
        let document = sandbox.prov(["--json", "log"].iter().chain(words)).ok().json();
        document["runs"].as_array().unwrap().len()
    };
    assert_eq!(listed(&["--facet", "alpha=0.5"]), 1);
    assert_eq!(listed(&["--facet", "kind=lin"]), 3);
    assert_eq!(listed(&["--facet", "kind=lin", "--facet", "sweep:n=2.0"]), 1);
    assert_eq!(listed(&["--facet", "kind=other"]), 0);
}
