//! What differs between two runs: code as a patch, tables, text, values.

use serde_json::Value;

use crate::project::{project, run};
use crate::sandbox::Sandbox;
use crate::schema;

#[track_caller]
fn diff(sandbox: &Sandbox, words: &[&str]) -> Value {
    let document = sandbox.prov(["--json", "diff"].iter().chain(words)).ok().json();
    schema::assert_valid("diff", &document);
    document
}

/// Two runs of a step with another script, another rate and other numbers.
fn with_runs() -> Sandbox {
    let sandbox = project();
    let go = |rate: &str, script: &str| {
        sandbox.file("fit.sh", script);
        let facet = format!("kind={}", if rate == "1" { "old" } else { "new" });
        let set = format!("rate={rate}");
        let words = [
            "--name",
            "fit",
            "-S",
            &set,
            "--facet",
            &facet,
            "--facet",
            "region=north",
            "--metrics-from",
            "m",
            "-o",
            "t=t.csv",
            "-o",
            "n=n.txt",
            "-o",
            "m=m.json",
            "--",
            "sh",
            "fit.sh",
            rate,
        ];
        run(&sandbox, words).misses();
    };
    go(
        "1",
        "printf 'id,x,who\\n1,1.0,a\\n2,2.0,b\\n' > t.csv\nprintf 'one\\ntwo\\n' > n.txt\necho '{\"error\": 0.5}' > m.json\n",
    );
    go(
        "2",
        "printf 'id,x,who\\n1,1.0,a\\n2,2.5,b\\n3,9,c\\n' > t.csv\nprintf 'one\\n2\\n' > n.txt\necho '{\"error\": 0.25}' > m.json\n",
    );
    sandbox
}

#[test]
fn code_is_told_as_a_patch_tables_by_cell_and_text_by_line() {
    let sandbox = with_runs();
    let found = diff(&sandbox, &["fit~1", "fit", "--patch"]);
    assert_eq!(found["code"][0]["path"], "fit.sh");
    let patch = found["code"][0]["content"]["patch"].as_str().unwrap();
    assert!(
        patch.starts_with("--- a/fit.sh\n+++ b/fit.sh\n@@ ") && patch.contains("\n-printf 'one\\ntwo\\n' > n.txt\n"),
        "{patch}"
    );
    let output = |key: &str| {
        found["outputs"].as_array().unwrap().iter().find(|one| one["key"] == key).unwrap()["content"].clone()
    };
    let table = output("t");
    assert_eq!(
        (table["kind"].as_str(), &table["rows"]),
        (Some("table"), &serde_json::json!({"before": 2, "after": 3}))
    );
    assert_eq!((table["compared"].as_u64(), table["changed_rows"].as_u64()), (Some(2), Some(1)));
    let x = table["columns"].as_array().unwrap().iter().find(|column| column["name"] == "x").unwrap();
    assert_eq!(
        (x["changed"].as_u64(), x["largest"].as_f64(), x["first"]["row"].as_u64()),
        (Some(1), Some(0.5), Some(2))
    );
    assert_eq!(x["numbers"]["after"]["max"], 9.0);
    let text = output("n");
    assert_eq!(
        (text["kind"].as_str(), text["added"].as_u64(), text["removed"].as_u64()),
        (Some("text"), Some(1), Some(1))
    );
    let shown = sandbox.prov(["diff", "fit~1", "fit", "-p"]).ok().out();
    for line in [
        "+++ b/fit.sh",
        "rows: 2 -> 3; 1 of 2 changed",
        "x: 1 changed",
        "metric.error: 0.5 -> 0.25",
        "facet.kind: \"old\" -> \"new\"",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

#[test]
fn packed_tables_and_lines_of_json_are_tables_too() {
    let sandbox = project();
    for value in ["1", "2"] {
        let command = format!(
            "printf 'a,b\\n{value},x\\n' | gzip -n > t.csv.gz; echo '{{\"a\": {value}, \"b\": \"x\"}}' > t.jsonl"
        );
        run(&sandbox, ["--name", "make", "-o", "z=t.csv.gz", "-o", "j=t.jsonl", "--", "sh", "-c", &command]).misses();
    }
    let found = diff(&sandbox, &["make~1", "make", "-p"]);
    for output in found["outputs"].as_array().unwrap() {
        let content = &output["content"];
        assert_eq!(
            (content["kind"].as_str(), content["same_columns"].as_u64()),
            (Some("table"), Some(1)),
            "{output:#}"
        );
        assert_eq!(
            (content["columns"][0]["name"].as_str(), content["columns"][0]["largest"].as_f64()),
            (Some("a"), Some(1.0))
        );
    }
}

#[test]
fn values_are_chosen_by_name_and_equal_ones_told_on_request() {
    let sandbox = with_runs();
    let names = |words: &[&str]| -> Vec<String> {
        let found = diff(&sandbox, &[&["fit~1", "fit"], words].concat());
        found["values"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["--prefix", "facet."]), ["facet.kind"]);
    assert_eq!(names(&["--prefix", "facet.", "--equal"]), ["facet.kind", "facet.region"]);
    assert_eq!(names(&["--key", "metric.error"]), ["metric.error"]);
    assert!(diff(&sandbox, &["fit", "fit"])["equal"].as_bool().unwrap());
}

#[test]
fn rows_are_brought_together_by_a_key() {
    let sandbox = project();
    for (n, rows) in [(1, "1,10\\n2,20\\n3,30"), (2, "0,5\\n1,10\\n3,31")] {
        let command = format!("printf 'id,x\\n{rows}\\n' > t.csv; # {n}");
        run(&sandbox, ["--name", "make", "-o", "t.csv", "--", "sh", "-c", &command]).misses();
    }
    let diff = |more: &[&str]| {
        let words = ["--json", "diff", "make~1", "make", "-p"].into_iter().chain(more.iter().copied());
        let json = sandbox.prov(words).ok().json();
        schema::assert_valid("diff", &json);
        json["outputs"][0]["content"].clone()
    };
    let by_order = diff(&[]);
    assert_eq!((by_order["changed_rows"].as_u64(), by_order["by"].as_array().map(Vec::len)), (Some(3), Some(0)));
    let by_key = diff(&["--by", "id"]);
    let counts = ["compared", "changed_rows", "rows_removed", "rows_added"].map(|name| by_key[name].as_u64());
    assert_eq!(counts, [Some(2), Some(1), Some(1), Some(1)]);
    let text = sandbox.prov(["diff", "make~1", "make", "-p", "--by", "id"]).ok().out();
    assert!(text.contains("rows by id: 1 gone, 1 new, 1 of 2 changed"), "{text}");
    // Without tables there is nothing to bring together.
    sandbox.prov(["diff", "make~1", "make", "--by", "id"]).ends(2);
}

/// A Parquet file of one column of integers.
fn parquet(values: &[i64]) -> Vec<u8> {
    use prov::tabular::parquet::{Cell, Type, WriteColumn, file};
    let column = WriteColumn { name: "n".to_owned(), kind: Type::Int64, is_nullable: false };
    let rows: Vec<Vec<Cell>> = values.iter().map(|n| vec![Cell::Int(*n)]).collect();
    file(&[column], &rows)
}

#[test]
fn tables_of_parquet_are_compared_cell_by_cell() {
    let sandbox = project();
    for (name, values) in [("a", vec![1, 2, 3]), ("b", vec![1, 5, 3])] {
        sandbox.file(format!("{name}.parquet"), parquet(&values));
        let command = format!("cp {name}.parquet t.parquet");
        run(&sandbox, ["--name", "make", "-o", "t.parquet", "--", "sh", "-c", &command]).misses();
    }
    let json = sandbox.prov(["--json", "diff", "make~1", "make", "-p", "--by", "n"]).ok().json();
    let table = &json["outputs"][0]["content"];
    assert_eq!(
        (table["kind"].as_str(), &table["rows"]),
        (Some("table"), &serde_json::json!({"before": 3, "after": 3}))
    );
    assert_eq!((table["rows_removed"].as_u64(), table["rows_added"].as_u64()), (Some(1), Some(1)), "{table}");
    let json = sandbox.prov(["--json", "diff", "make~1", "make", "-p"]).ok().json();
    let column = &json["outputs"][0]["content"]["columns"][0];
    assert_eq!((column["name"].as_str(), column["changed"].as_u64()), (Some("n"), Some(1)));
    assert_eq!((&column["first"]["before"], &column["first"]["after"]), (&2.into(), &5.into()));
}
