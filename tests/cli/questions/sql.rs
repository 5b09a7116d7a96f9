use serde_json::json;

use super::{ask, column, sweep};

#[test]
fn sql_reads_the_tables() {
    let sandbox = sweep();
    let document = ask(&sandbox, "sql", &["sql", "select step, count(*) as n from runs group by step order by n desc"]);
    assert_eq!(document["rows"], json!([["fit", 3], ["copy", 1]]));
    let document = ask(
        &sandbox,
        "sql",
        &["sql", "select m.value, p.value from metrics m join params p using (run) where m.key = 'loss' order by 1"],
    );
    assert_eq!(document["rows"][0], json!([0.1, 0.1]));
    let at = ask(&sandbox, "sql", &["sql", "select started_at, duration_ms from runs limit 1"]);
    let text = column(&at, "started_at")[0].as_str().unwrap().to_owned();
    assert!(text.len() == 27 && text.ends_with('Z'), "{text}");
    let csv = sandbox.prov(["sql", "select role, key from artifacts where key = 'in'", "--format", "csv"]).ok();
    assert_eq!(csv.out(), "role,key\ninput,in\n");
    let tables = ask(&sandbox, "sql-tables", &["sql", "--tables"]);
    for table in tables["tables"].as_array().unwrap() {
        let query = format!("select * from {}", table["name"].as_str().unwrap());
        let names: Vec<_> = table["columns"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
        assert_eq!(ask(&sandbox, "sql", &["sql", &query])["columns"], json!(names));
    }
}

#[test]
fn sql_changes_nothing_and_opens_no_other_file() {
    let sandbox = sweep();
    sandbox.prov(["sql", "select 1"]).ok();
    for query in [
        "delete from t_runs",
        "insert into t_tags values (1, 'x')",
        "update t_runs set step = 'x'",
        "drop view runs",
        "create table x (n)",
        "create temp table x (n)",
        "attach database 'x.db' as x",
        "vacuum into 'x.db'",
        "pragma journal_mode = delete",
        "pragma user_version = 7",
        "select load_extension('x')",
        "select 1; delete from t_runs",
        "select 1; select 2",
        "begin",
        "explain delete from t_runs",
    ] {
        let refused = sandbox.prov(["sql", query]);
        assert_eq!(refused.code, 2, "{query}: {refused}");
    }
    assert_eq!(ask(&sandbox, "sql", &["sql", "select count(*) from runs"])["rows"], json!([[4]]));
    assert!(!sandbox.path("x.db").exists());
}

#[test]
fn mistakes_are_told_with_their_place() {
    let sandbox = sweep();
    let failed = sandbox.prov(["sql", "select step,\n  stats from runs"]).ends(2);
    let text = failed.err();
    assert!(
        text.contains("no such column: stats") && text.contains("line 2, column 3") && text.contains("status"),
        "{failed}"
    );
    let failed = sandbox.prov(["sql", "select * from run"]).ends(2);
    assert!(failed.err().contains("runs"), "{failed}");
    let failed = sandbox.prov(["sql", "selct 1"]).ends(2);
    assert!(failed.err().contains("line 1, column 1"), "{failed}");
    sandbox.prov(["sql", ""]).ends(2);
    let failed = sandbox.prov(["sql", "select * from runs", "--max-rows", "2"]).ends(1);
    assert!(failed.err().contains("more than 2 rows"), "{failed}");
}
