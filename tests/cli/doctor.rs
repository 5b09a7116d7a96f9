//! `prov doctor`.

use crate::sandbox::Sandbox;
use crate::schema;

#[test]
fn doctor_tells_facts_as_text_and_as_json() {
    let sandbox = Sandbox::new();
    let document = sandbox.prov(["doctor", "--json"]).json();
    schema::assert_valid("doctor", &document);
    let value = |name: &str| {
        let items = document["items"].as_array().unwrap();
        items.iter().find(|item| item["name"] == name).map(|item| item["value"].clone()).unwrap()
    };
    assert_eq!(value("folder"), sandbox.project().canonicalize().unwrap().to_str().unwrap());
    assert_eq!(value("writable"), true);
    let text = sandbox.prov(["doctor"]).out();
    assert!(text.lines().any(|line| line.starts_with("ok  writable") && line.ends_with("yes")), "{text}");
    assert!(std::fs::read_dir(sandbox.project()).unwrap().next().is_none(), "nothing is left behind");
}

#[test]
fn doctor_looks_where_the_store_is() {
    let sandbox = Sandbox::new();
    sandbox.prov(["init"]).ok();
    sandbox.file("deep/down/x", "");
    let document = sandbox.prov(["-C", "deep/down", "--json", "doctor"]).json();
    let folder = sandbox.path(".prov").canonicalize().unwrap();
    assert_eq!(document["items"][1]["value"], folder.to_str().unwrap());
}
