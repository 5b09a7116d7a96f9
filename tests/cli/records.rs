//! Projects, records made by hand, restore, scenarios, steps of prov.toml.

use std::os::unix::fs::PermissionsExt;

use crate::project::{self, exists, project, read, run};
use crate::sandbox::Sandbox;
use crate::schema;

fn items(document: &serde_json::Value, key: &str) -> Vec<String> {
    document["items"].as_array().unwrap().iter().map(|item| item[key].as_str().unwrap_or("-").to_owned()).collect()
}

#[test]
fn a_project_is_made_once_and_git_does_not_see_its_store() {
    let sandbox = Sandbox::new();
    let dry = sandbox.prov(["--json", "init", "-n"]).ok().json();
    schema::assert_valid("init", &dry);
    assert!(!exists(&sandbox, ".prov"));
    let made = sandbox.prov(["--json", "init"]).ok().json();
    schema::assert_valid("init", &made);
    assert_eq!((&dry["created"], &made["created"]), (&true.into(), &true.into()));
    assert_eq!(sandbox.prov(["--json", "init"]).ok().json()["created"], false);
    assert!(read(&sandbox, ".prov/.gitignore").lines().any(|line| line == "*"));
    sandbox.prov(["init", "--store", "ssh://host/x"]).ends(2);
}

#[test]
fn two_projects_share_a_store() {
    let sandbox = Sandbox::new();
    let shared = sandbox.project().with_file_name("shared");
    for name in ["project", "other"] {
        let folder = sandbox.project().with_file_name(name);
        prov::fs::Fs::real().make_dirs(&folder).unwrap();
        let mut command = sandbox.command(["init", "--store"]);
        command.arg(&shared).current_dir(&folder);
        sandbox.outcome(command).ok();
        let mut command =
            sandbox.command(["--json", "run", "-o", "out", "--code", "none", "--", "sh", "-c", "echo 1 > out"]);
        command.current_dir(&folder);
        let ran = project::Ran::of(sandbox.outcome(command));
        assert_eq!(ran.cache(), if name == "project" { "miss" } else { "hit" }, "{}", ran.outcome);
    }
    assert!(shared.join("format").is_file());
}

#[test]
fn what_is_added_is_committed_and_linked_to() {
    let sandbox = project();
    sandbox.file("data/raw.csv", "1,2\n").file("more/x", "x");
    let added = sandbox.prov(["--json", "add", "data/raw.csv", "more"]).ok().json();
    schema::assert_valid("add", &added);
    assert_eq!(items(&added, "action"), ["stored", "stored"]);
    assert_eq!(items(&sandbox.prov(["--json", "add", "data/raw.csv"]).ok().json(), "action"), ["kept"]);
    let dry = sandbox.prov(["--json", "commit", "-n", "-m", "m"]).ok().json();
    schema::assert_valid("commit", &dry);
    assert!(dry["run"].is_null());
    let committed = sandbox.prov(["--json", "commit", "-m", "survey"]).ok().json();
    schema::assert_valid("commit", &committed);
    assert_eq!(items(&committed, "path"), ["data/raw.csv", "more"]);
    let nothing = sandbox.prov(["commit", "-m", "again"]).ends(2);
    assert!(nothing.err().contains("hint:"), "{nothing}");
    let ran = run(&sandbox, ["-i", "data/raw.csv", "-o", "out", "--", "cp", "data/raw.csv", "out"]).misses();
    let input = &ran.json["inputs"]["raw"];
    assert_eq!((&input["producer"]["run"], input["linked_by"].as_str()), (&committed["run"], Some("path")));
}

#[test]
fn restore_brings_back_and_refuses_to_overwrite_what_is_unknown() {
    let sandbox = project();
    let words = |text: &str| {
        ["--name", "m", "-o", "a.txt", "-o", "d", "--", "sh", "-c"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("echo {text} > a.txt; mkdir d; echo {text} > d/x")])
    };
    run(&sandbox, words("one")).misses();
    run(&sandbox, words("two")).misses();
    let restored = sandbox.prov(["--json", "restore", "m~1"]).ok().json();
    schema::assert_valid("restore", &restored);
    assert_eq!(items(&restored, "result"), ["restored", "restored"], "what is known may be replaced");
    assert_eq!((read(&sandbox, "a.txt").as_str(), read(&sandbox, "d/x").as_str()), ("one\n", "one\n"));
    assert_eq!(items(&sandbox.prov(["--json", "restore", "m~1"]).ok().json(), "result"), ["kept", "kept"]);
    sandbox.file("a.txt", "mine\n");
    let refused = sandbox.prov(["--json", "restore", "m:a"]).ends(7);
    assert_eq!(items(&refused.json(), "result"), ["refused"]);
    assert_eq!(read(&sandbox, "a.txt"), "mine\n");
    let dry = sandbox.prov(["--json", "restore", "-n", "-f", "m:a"]).ok().json();
    assert_eq!((items(&dry, "result"), read(&sandbox, "a.txt").as_str()), (vec!["restored".to_owned()], "mine\n"));
    let forced = sandbox.prov(["restore", "-f", "m:a"]).ok();
    assert!(forced.err().contains("kept in the store"), "{forced}");
    assert_eq!(read(&sandbox, "a.txt"), "two\n");
    sandbox.prov(["restore", "m~1", "--to", "old"]).ok();
    assert_eq!(read(&sandbox, "old/d/x"), "one\n");
    sandbox.prov(["restore", "m:nothing"]).ends(4);
    sandbox.prov(["restore", "nothing"]).ends(4);
}

#[test]
fn a_deleted_file_is_named_by_its_path() {
    let sandbox = project();
    let within = |scenario: &str, words: &[&str]| {
        let mut command = sandbox.command(words);
        command.env("PROV_SCENARIO", scenario);
        sandbox.outcome(command).ok()
    };
    let made = |text: &str| {
        let script = "mkdir -p d/e s; echo V > a.txt; echo V > d/e/x; echo 1 > s/m-1; echo V > s/m-2; chmod +x d/e/x";
        let script = script.replace('V', text);
        let outputs = ["-o", "a.txt", "-o", "d", "--output-set", "s=s:m-*"];
        let words = [&["run", "--name", "m"], &outputs[..], &["--", "sh", "-c", &script]].concat();
        within(text, &words);
    };
    made("main");
    let delete = |paths: &[&str]| paths.iter().for_each(|path| project::remove(&sandbox, path));
    delete(&["a.txt", "d/e/x", "s/m-2"]);
    let restored = sandbox.prov(["--json", "restore", "a.txt"]).ok().json();
    schema::assert_valid("restore", &restored);
    assert_eq!(items(&restored, "key"), ["a"]);
    sandbox.prov(["restore", "d/e/x"]).ok();
    sandbox.prov(["restore", "s/m-2"]).ok();
    for path in ["a.txt", "d/e/x", "s/m-2"] {
        assert_eq!(read(&sandbox, path), "main\n", "{path}");
    }
    let mode = sandbox.path("d/e/x").metadata().unwrap().permissions().mode();
    assert!(mode & 0o100 != 0, "{mode:o}");
    // Only that file comes back, and elsewhere if so wanted.
    delete(&["d/e/x", "s/m-1", "s/m-2"]);
    sandbox.prov(["restore", "s/m-2", "--to", "kept"]).ok();
    assert_eq!(read(&sandbox, "kept"), "main\n");
    assert!(!sandbox.path("s/m-1").exists() && !sandbox.path("s/m-2").exists() && !sandbox.path("d/e/x").exists());
    // Looking does without the file; an input that is gone is missing all the same.
    assert!(sandbox.prov(["lineage", "d/e/x"]).ok().out().contains("m ["));
    assert!(sandbox.prov(["show", "s/m-2"]).ok().out().contains("s/m-2"));
    assert_eq!(sandbox.prov(["cat", "d/e/x"]).ok().out(), "main\n");
    sandbox.prov(["scrub", "-n", "d/e/x"]).ends(4);
    sandbox.prov(["run", "-i", "s/m-2", "-o", "b", "--", "cp", "s/m-2", "b"]).ends(125);
    // A scenario's own comes before what another made later.
    sandbox.prov(["scenario", "new", "other"]).ok();
    made("other");
    delete(&["a.txt"]);
    within("main", &["restore", "a.txt"]);
    assert_eq!(read(&sandbox, "a.txt"), "main\n");
    delete(&["a.txt"]);
    within("other", &["restore", "a.txt"]);
    assert_eq!(read(&sandbox, "a.txt"), "other\n");
    // What was changed comes back as it was made, but not over what nobody else has.
    sandbox.file("a.txt", "edited\n");
    sandbox.prov(["restore", "a.txt"]).ends(7);
    within("main", &["restore", "-f", "a.txt"]);
    assert_eq!(read(&sandbox, "a.txt"), "main\n");
    sandbox.file("mine", "mine\n");
    assert_eq!(items(&sandbox.prov(["--json", "restore", "mine"]).ok().json(), "result"), ["kept"]);
    sandbox.prov(["restore", "d/e/nothing"]).ends(4);
}

#[test]
fn a_path_means_what_was_made_there_last_and_was_not_taken_back() {
    let sandbox = project();
    let run = |words: &[&str]| sandbox.prov([&["run"], words].concat()).ok();
    let back = |path: &str| {
        project::remove(&sandbox, path);
        sandbox.prov(["restore", path]).ok();
        read(&sandbox, path)
    };
    // A file by itself, then one of a folder, then by itself again.
    run(&["--name", "file", "-o", "d/x", "--", "sh", "-c", "mkdir -p d; echo one > d/x"]);
    run(&["--name", "folder", "-o", "d", "--", "sh", "-c", "mkdir -p d; echo two > d/x; echo two > d/y"]);
    assert_eq!((back("d/x").as_str(), back("d/y").as_str()), ("two\n", "two\n"));
    run(&["--name", "later", "-o", "d/x", "--", "sh", "-c", "echo three > d/x"]);
    assert_eq!((back("d/x").as_str(), back("d/y").as_str()), ("three\n", "two\n"));
    // One file is shown as itself in every form.
    project::remove(&sandbox, "d/y");
    let shown = sandbox.prov(["--json", "show", "d/y"]).ok().json();
    assert_eq!((&shown["object"]["path"], &shown["object"]["type"]), (&"d/y".into(), &"blob".into()));
    assert_eq!(shown["object"]["size"], 4);
    run(&["--name", "table", "-o", "t", "--", "sh", "-c", "mkdir -p t; echo a,b > t/one.csv; echo 1,2 >> t/one.csv"]);
    project::remove(&sandbox, "t/one.csv");
    for words in [&["preview", "t/one.csv"][..], &["schema", "show", "t/one.csv"]] {
        assert!(sandbox.prov(words).ok().out().contains('2'), "{words:?}");
    }
    // What was taken back is not given out by its path either.
    sandbox.prov(["retract", "later", "-m", "wrong"]).ok();
    assert_eq!(back("d/x"), "two\n");
    for (n, take_back) in ["retract", "hide"].into_iter().enumerate() {
        let (name, path) = (format!("only{n}"), format!("only{n}.txt"));
        run(&["--name", &name, "-o", &path, "--", "sh", "-c", &format!("echo wrong > {path}")]);
        sandbox.prov([take_back, &name]).ok();
        project::remove(&sandbox, &path);
        for words in [["restore", path.as_str()], ["cat", &path], ["show", &path]] {
            sandbox.prov(words).ends(4);
        }
    }
}

#[test]
fn config_and_code_are_restored_below_a_folder() {
    let sandbox = project();
    sandbox.file("s.sh", "echo 1 > out\n");
    run(&sandbox, ["--name", "c", "-S", "a.b=1", "-o", "out", "--", "sh", "s.sh"]).misses();
    sandbox.file("s.sh", "other\n");
    sandbox.prov(["restore", "c:@code"]).ends(2);
    sandbox.prov(["restore", "c:@code", "--to", "back"]).ok();
    sandbox.prov(["restore", "c:@config", "--to", "back"]).ok();
    assert_eq!(read(&sandbox, "back/code/s.sh"), "echo 1 > out\n");
    let config: serde_json::Value = serde_json::from_str(&read(&sandbox, "back/config.json")).unwrap();
    assert_eq!(config, serde_json::json!({"a": {"b": 1}}));
    sandbox.prov(["restore", "c:@config", "--to", "back"]).ok();
    sandbox.file("back/config.json", "{}");
    sandbox.prov(["restore", "c:@config", "--to", "back"]).ends(7);
}

#[test]
fn scenarios_are_made_listed_switched_and_give_their_settings() {
    let sandbox = project();
    let made = sandbox.prov(["--json", "scenario", "new", "policy", "-m", "higher fares", "-S", "fare=2"]).ok().json();
    schema::assert_valid("scenario", &made);
    let listed = sandbox.prov(["--json", "scenario", "list"]).ok().json();
    schema::assert_valid("scenario", &listed);
    assert_eq!(items(&listed, "name"), ["main", "policy"]);
    assert_eq!(listed["items"][1]["current"], true);
    let words = ["--config", "@scenario", "--name", "f", "-o", "out", "--", "sh", "-c", "cp $PROV_CONFIG out"];
    let ran = run(&sandbox, words).misses();
    assert_eq!((ran.json["scenario"].as_str(), read(&sandbox, "out").as_str()), (Some("policy"), "{\"fare\": 2}"));
    let over = run(&sandbox, ["-S", "fare=3"].into_iter().chain(words)).misses();
    assert_eq!(over.parts(), ["config.fare"]);
    sandbox.prov(["scenario", "switch", "main"]).ok();
    let shown = sandbox.prov(["--json", "scenario", "show", "policy"]).ok().json();
    schema::assert_valid("scenario", &shown);
    assert_eq!((&shown["items"][0]["runs"], &shown["items"][0]["config"]["fare"]), (&2.into(), &2.into()));
    sandbox.prov(["scenario", "new", "policy"]).ends(7);
    sandbox.prov(["scenario", "new", "bad/name"]).ends(2);
    let unknown = sandbox.prov(["scenario", "switch", "nope"]).ends(4);
    assert!(unknown.err().contains("policy"), "those that exist are listed: {unknown}");
    sandbox.prov(["scenario", "show", "nope"]).ends(4);
}

#[test]
fn a_step_of_prov_toml_needs_no_options() {
    let sandbox = project();
    sandbox.file("in.csv", "1\n").file("sub/x", "");
    sandbox.file(
        "prov.toml",
        "[steps.copy]\ncommand = ['cp', '{input.in}', '{output.out}']\ninput = 'in.csv'\noutput = 'res/out.csv'\n\
         [steps.copy.set]\na = 1\n[steps.below]\ncwd = 'sub'\ncommand = 'cp ../in.csv here'\noutput = 'here'\n",
    );
    run(&sandbox, ["copy"]).misses();
    assert_eq!(read(&sandbox, "res/out.csv"), "1\n");
    let mut command = sandbox.command(["--json", "run", "copy"]);
    command.current_dir(sandbox.path("sub"));
    project::Ran::of(sandbox.outcome(command)).hits();
    assert_eq!(run(&sandbox, ["copy", "-S", "a=2"]).misses().parts(), ["config.a"]);
    let below = run(&sandbox, ["below"]).misses();
    assert_eq!(
        (below.json["outputs"]["here"]["path"].as_str(), read(&sandbox, "sub/here").as_str()),
        (Some("sub/here"), "1\n")
    );
    sandbox.prov(["run", "nothing"]).ends(125);
}

#[test]
fn plan_why_and_a_dry_run_say_what_would_happen_and_change_nothing() {
    let sandbox = project();
    let words = ["--name", "p", "-S", "a=1", "-o", "out", "--", "sh", "-c", "echo 1 > out"];
    let with = |before: &[&str]| before.iter().chain(&words).map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let plan = sandbox.prov(with(&["--json", "plan", "--", "run"])).ok().json();
    schema::assert_valid("plan", &plan);
    assert_eq!((plan["outcome"].as_str(), plan["reasons"][0]["kind"].as_str()), (Some("miss"), Some("first_run")));
    let dry = sandbox.prov(with(&["--json", "run", "-n"])).ok().json();
    schema::assert_valid("plan", &dry);
    assert_eq!(dry["recipe"], plan["recipe"]);
    assert!(!exists(&sandbox, "out"));
    let ran = run(&sandbox, words).misses();
    assert_eq!(ran.json["recipe"], plan["recipe"]);
    let plan = sandbox.prov(with(&["--json", "plan", "--", "run"])).ok().json();
    assert_eq!((plan["outcome"].as_str(), &plan["source"]), (Some("hit"), &ran.json["run"]));
    let why = sandbox
        .prov(["--json", "why", "--", "run", "--name", "p", "-S", "a=2", "-o", "out", "--", "sh", "-c", "echo 1 > out"])
        .ok()
        .json();
    schema::assert_valid("why", &why);
    assert_eq!(
        (why["nearest"].as_str(), why["reasons"][0]["part"].as_str()),
        (ran.json["run"].as_str(), Some("config.a"))
    );
    assert_eq!((why["reasons"][0]["before"].as_str(), why["reasons"][0]["after"].as_str()), (Some("1"), Some("2")));
    sandbox.prov(["why", "--", "log"]).ends(2);
    sandbox.prov(["plan", "--", "run", "--no-such"]).ends(2);
}
