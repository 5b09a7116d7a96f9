//! `prov config`.

use serde_json::json;

use crate::sandbox::Sandbox;
use crate::schema;

#[test]
fn settings_are_listed_with_their_origins() {
    let sandbox = Sandbox::new().with("PROV_CACHE", "off");
    sandbox.prov(["init"]).ok();
    sandbox.file("prov.toml", "[code]\ninclude = [\"a.py\"]\n");
    let document = sandbox.prov(["--json", "config", "list"]).ok().json();
    schema::assert_valid("config", &document);
    let item =
        |key: &str| document["items"].as_array().unwrap().iter().find(|item| item["key"] == key).cloned().unwrap();
    assert_eq!(item("cache.mode")["origin"], "$PROV_CACHE");
    assert_eq!(item("code.include")["value"], json!(["a.py"]));
    let text = sandbox.prov(["config", "list", "--show-origin"]).ok().out();
    assert!(text.contains("prov.toml:2\tcode.include = [\"a.py\"]\n"), "{text}");
    sandbox.file("prov.toml", "[code]\ninlcude = 1\n");
    let outcome = sandbox.prov(["config", "list"]).ends(2);
    assert!(outcome.err().contains("hint: did you mean `include`?"), "{outcome}");
}
