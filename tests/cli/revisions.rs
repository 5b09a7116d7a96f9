//! Every form of a revision.

use crate::chain::{chain, clean, document, line};
use crate::sandbox::Sandbox;
use crate::schema;

fn id(sandbox: &Sandbox, rev: &str) -> String {
    line(sandbox, ["rev-parse", rev])
}

#[test]
fn every_form_of_a_revision_has_a_meaning() {
    let sandbox = chain();
    clean(&sandbox, "0.7");
    sandbox.prov(["run", "--run-name", "golden", "--name", "note", "-o", "n", "--", "sh", "-c", "echo n > n"]).ok();
    let last = id(&sandbox, "@last");
    assert!(last.contains("-note-"), "{last}");
    let tail = last.rsplit('-').next().unwrap();
    for rev in [&last, tail, &tail[..8], &tail[..4], "golden", "note", "main", "main@{0}", "main@{2100-01-01}"] {
        assert_eq!(id(&sandbox, rev), last, "{rev}");
    }
    assert!(id(&sandbox, "main@{1}").contains("-clean-"));
    assert!(id(&sandbox, "main@{4}").contains("-clean-"));
    let (newer, older) = (id(&sandbox, "clean"), id(&sandbox, "clean~1"));
    assert!(newer > older && older.contains("-clean-"));
    assert_eq!(id(&sandbox, "clean~"), older);
    assert_eq!(id(&sandbox, &format!("{newer}~1")), older);
    let content = id(&sandbox, "clean:clean");
    assert_eq!(content.len(), 64);
    for rev in ["clean~1:clean", "@main:clean", "./clean.csv", &content, &content[..8], "clean:*"] {
        assert_eq!(id(&sandbox, rev), content, "{rev}");
    }
    assert_eq!(id(&sandbox, "clean.csv"), content, "a path is what it holds");
    assert_eq!(id(&sandbox, "models"), id(&sandbox, "fit:models"), "a key is the newest success that has it");
    assert_ne!(id(&sandbox, "clean:@config"), id(&sandbox, "clean~1:@config"));
    let document = document(&sandbox, "rev-parse", ["rev-parse", "@last", "clean:raw", "clean:@config", "raw.csv"]);
    let types: Vec<&str> = document["items"].as_array().unwrap().iter().map(|i| i["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["run", "artifact", "config", "blob"]);
    for rev in ["nothing", "clean:nothing", "clean~9", "main@{99}", "@nowhere:x", "zzzz", "@last:@code", "main@{soon}"]
    {
        sandbox.prov(["rev-parse", rev]).ends(4);
    }
}

#[test]
fn code_is_a_tree() {
    let sandbox = Sandbox::new();
    sandbox.prov(["init"]).ok();
    sandbox.file("make.sh", "echo 1 > o\n");
    sandbox.prov(["run", "-o", "o", "--", "sh", "make.sh"]).ok();
    let listed = sandbox.prov(["ls-tree", "-r", "make:@code"]).ok().out();
    assert!(listed.ends_with("\tmake.sh\n"), "{listed}");
}

#[test]
fn an_ambiguous_prefix_lists_what_it_could_be() {
    let sandbox = Sandbox::new();
    sandbox.prov(["init"]).ok();
    let (prefix, twins) = crate::sandbox::twins();
    for (n, twin) in twins.iter().enumerate() {
        sandbox.file(format!("f{n}"), twin);
    }
    sandbox.prov(["commit", "f0", "f1", "-m", "twins"]).ok();
    let outcome = sandbox.prov(["show", &prefix]).ends(4);
    for twin in &twins {
        assert!(outcome.err().contains(&prov::hash::blob(twin.as_bytes()).to_string()), "{outcome}");
    }
    let failure: serde_json::Value =
        serde_json::from_slice(&sandbox.prov(["--json", "show", &prefix]).ends(4).stderr).unwrap();
    schema::assert_valid("error", &failure);
    assert_eq!(failure["error"]["code"], "ambiguous");
    assert_eq!(failure["error"]["candidates"].as_array().unwrap().len(), 2);
}

#[test]
fn a_mistyped_name_gets_a_suggestion() {
    let sandbox = chain();
    let outcome = sandbox.prov(["show", "claen"]).ends(4);
    assert!(outcome.err().contains("  clean\n"), "{outcome}");
}
