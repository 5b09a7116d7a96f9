//! What is wrong with what people type is named, with what to do; odd names are not wrong.

use std::os::unix::fs::PermissionsExt;

use crate::project::{self, COPY, Ran, exists, project, read, run, with_copy, word};
use crate::schema;

/// The failure on standard error of a process that printed nothing else.
#[track_caller]
fn failure(outcome: &crate::sandbox::Outcome) -> serde_json::Value {
    let document = serde_json::from_slice(&outcome.stderr).unwrap_or_else(|err| panic!("{err}: {outcome}"));
    schema::assert_valid("error", &document);
    document["error"].clone()
}

#[test]
fn without_a_store_every_command_says_how_to_make_one() {
    let sandbox = crate::sandbox::Sandbox::new();
    for words in [&["add", "x"][..], &["commit", "x", "-m", "m"], &["why"], &["restore", "x"], &["scenario", "list"]] {
        let outcome = sandbox.prov([&["--json"], words].concat()).ends(3);
        let failure = failure(&outcome);
        assert_eq!((&failure["code"], &failure["hint"]), (&"no_store".into(), &"create one with `prov init`".into()));
    }
    sandbox.prov(["run", "--", "true"]).ends(125);
}

#[test]
fn odd_names_are_names() {
    let sandbox = project();
    sandbox.file("copy.sh", COPY);
    let long = [b"l".repeat(251), b".txt".to_vec()].concat();
    for (n, name) in [
        &b"with space"[..],
        b"new\nline",
        b"quote'\"\\s",
        b"not utf-8 \xff\xfe",
        b"-dash",
        b"{input.a}",
        b"$x;rm *",
        &long,
    ]
    .into_iter()
    .enumerate()
    {
        sandbox.file(word(name), format!("{n}\n"));
        let declared = [b"in=./", name].concat();
        let out = [b"out=./d/", name].concat();
        let (input, output) = ([b"./", name].concat(), [b"./d/", name].concat());
        let words = || {
            [word(b"-i"), word(&declared), word(b"-o"), word(&out), word(b"--"), word(b"sh"), word(b"copy.sh")]
                .into_iter()
                .chain([word(&input), word(&output)])
        };
        let shown = String::from_utf8_lossy(name).into_owned();
        if name == b"{input.a}" {
            // Braces that name nothing declared are a mistake in a command, not in a path.
            continue;
        }
        let ran = run(&sandbox, words()).misses();
        assert_eq!(std::fs::read(sandbox.path(word(&output))).unwrap(), format!("{n}\n").as_bytes(), "{shown}");
        let b64 = ran.json["inputs"]["in"].get("path_b64");
        assert_eq!(b64.is_some(), std::str::from_utf8(name).is_err(), "{shown}");
        project::remove(&sandbox, word(&output));
        run(&sandbox, words()).hits();
        assert!(exists(&sandbox, word(&output)), "{shown}");
    }
    let outcome = sandbox.prov([word(b"add"), word(b"--"), word(b"-dash"), word(b"new\nline")]).ok();
    assert!(outcome.out().contains("new\\nline"), "{outcome}");
}

#[test]
fn what_is_no_file_is_named() {
    let sandbox = with_copy();
    assert!(std::process::Command::new("mkfifo").arg(sandbox.path("pipe")).status().unwrap().success());
    let outcome = sandbox.prov(["--json", "run", "-i", "pipe", "-o", "o", "--", "true"]).ends(125);
    assert_eq!(failure(&outcome)["code"], "special_file");
    let outcome = sandbox.prov(["--json", "add", "pipe"]).ends(2);
    assert!(failure(&outcome)["message"].as_str().unwrap().contains("pipe"));
    let outcome = sandbox.prov(["--json", "run", "-i", "nowhere.csv", "-o", "o", "--", "true"]).ends(125);
    assert!(failure(&outcome)["message"].as_str().unwrap().contains("nowhere.csv"));
    sandbox.prov(["add", "nowhere.csv"]).ends(4);
    sandbox.file("dir/x", "");
    let outcome = sandbox.prov(["--json", "run", "--stdin", "dir", "-o", "o", "--", "true"]).ends(125);
    assert!(failure(&outcome)["message"].as_str().unwrap().contains("`dir`"));
    let outcome = sandbox.prov(["--json", "run", "--config", "dir", "-o", "o", "--", "true"]).ends(125);
    assert!(failure(&outcome)["message"].as_str().unwrap().contains("dir"));
    // A pipe where an output goes can't be kept, so it is not removed and nothing is started.
    let outcome = sandbox.prov(["--json", "run", "-o", "pipe", "--", "touch", "started"]).ends(125);
    assert!(failure(&outcome)["message"].as_str().unwrap().contains("pipe"));
    assert!(exists(&sandbox, "pipe") && !exists(&sandbox, "started"));
}

#[test]
fn empty_files_and_folders_are_content_too() {
    let sandbox = project();
    sandbox.file("empty", "");
    prov::fs::Fs::real().make_dir(&sandbox.path("hollow")).unwrap();
    let words = ["-i", "empty", "-i", "hollow", "-o", "e2", "-o", "h2", "--", "sh", "-c", ": > e2; mkdir h2"];
    let ran = run(&sandbox, words).misses();
    assert_eq!((&ran.json["inputs"]["empty"]["size"], &ran.json["outputs"]["e2"]["size"]), (&0.into(), &0.into()));
    project::remove(&sandbox, "e2");
    project::remove(&sandbox, "h2");
    run(&sandbox, words).hits();
    assert!(sandbox.path("h2").is_dir() && sandbox.path("e2").is_file());
}

#[test]
fn two_inputs_with_one_key_print_the_fix() {
    let sandbox = project();
    sandbox.file("a/x.csv", "1").file("b/x.csv", "2");
    let outcome = sandbox.prov(["--json", "run", "-i", "a/x.csv", "-i", "b/x.csv", "-o", "o", "--", "true"]).ends(125);
    let failure = failure(&outcome);
    assert_eq!(failure["hint"], "give one of them another key: -i x_2=b/x.csv");
    sandbox.prov(["commit", "a/x.csv", "b/x.csv", "-m", "both"]).ok();
}

#[test]
fn a_config_that_does_not_parse_is_named_with_line_and_column() {
    let sandbox = project();
    sandbox.file("c.yaml", "a: 1\nb: [1, 2\n").file("d.yaml", "a: 1\na: 2\n").file("e.json", "{\"a\": 1,\n \"b\" 2}\n");
    for (file, place) in [("c.yaml", "c.yaml:"), ("d.yaml", "d.yaml:2:1"), ("e.json", "e.json:2:")] {
        let outcome = sandbox.prov(["--json", "run", "--config", file, "-o", "o", "--", "true"]).ends(125);
        let failure = failure(&outcome);
        assert!(failure["message"].as_str().unwrap().contains(place), "{failure:#}");
    }
    sandbox.file("prov.toml", "[steps.x]\ncommnd = 'true'\n");
    let outcome = sandbox.prov(["--json", "run", "x"]).ends(125);
    let failure = failure(&outcome);
    assert!(failure["message"].as_str().unwrap().contains("prov.toml:2:1"), "{failure:#}");
    assert_eq!(failure["hint"], "did you mean `command`?");
}

#[test]
fn commands_that_can_not_be_started_end_as_in_a_shell_and_are_on_record() {
    let sandbox = project();
    sandbox.file("plain.txt", "no program\n").file("out.txt", "there\n");
    std::fs::set_permissions(sandbox.path("plain.txt"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let missing = run(&sandbox, ["-o", "out.txt", "--", "no-such-command"]);
    assert_eq!(
        (missing.outcome.code, missing.status(), missing.json["error"]["type"].as_str()),
        (127, "failure", Some("spawn"))
    );
    let plain = run(&sandbox, ["-o", "out.txt", "--", "./plain.txt"]);
    assert_eq!(plain.outcome.code, 126);
    assert_eq!(read(&sandbox, "out.txt"), "there\n", "a command that can't be started changes nothing");
    assert_eq!(project::why(&sandbox, "@last")["outcome"], "miss");
}

#[test]
fn what_lies_outside_of_the_project_is_allowed() {
    let sandbox = project();
    let outside = sandbox.project().with_file_name("outside");
    prov::fs::Fs::real().make_dir(&outside).unwrap();
    prov::fs::Fs::real().replace(&outside.join("in"), b"far\n", false).unwrap();
    let out = outside.join("out");
    let words = || {
        [word(b"-i"), outside.join("in").as_os_str(), word(b"-o"), out.as_os_str(), word(b"--"), word(b"cp")]
            .map(ToOwned::to_owned)
            .into_iter()
            .chain([outside.join("in").into_os_string(), out.clone().into_os_string()])
    };
    let ran = run(&sandbox, words()).misses();
    assert_eq!(ran.json["outputs"]["out"]["path"], out.to_str().unwrap());
    assert_eq!(ran.json["inputs"]["in"]["stored"], false, "what is not the project's is known by its hash");
    prov::fs::Fs::real().remove_file(&out).unwrap();
    run(&sandbox, words()).hits();
    assert_eq!(std::fs::read(&out).unwrap(), b"far\n");
    // On the word of a record alone nothing is written out there.
    prov::fs::Fs::real().remove_file(&out).unwrap();
    let outcome = sandbox.prov(["--json", "restore", "@last"]).ends(7);
    assert_eq!(outcome.json()["items"][0]["result"], "refused");
    sandbox.prov(["restore", "@last", "--to", "here"]).ok();
    assert!(sandbox.path("here").join(out.strip_prefix("/").unwrap()).is_file());
}

#[test]
fn places_that_no_output_may_have_are_refused() {
    let sandbox = project();
    for path in [".", "..", ".prov/x", ".git/hooks/x", ".prov"] {
        sandbox.prov(["run", "-o", path, "--", "touch", "started"]).ends(125);
    }
    assert!(!exists(&sandbox, "started") && exists(&sandbox, ".prov/HEAD"));
}

#[test]
fn ambiguous_and_unknown_revisions_list_what_there_is() {
    let sandbox = project();
    let (prefix, twins) = crate::sandbox::twins();
    for (n, twin) in twins.iter().enumerate() {
        sandbox.file(format!("f{n}"), twin);
    }
    sandbox.prov(["commit", "f0", "f1", "-m", "twins"]).ok();
    let outcome = sandbox.prov(["--json", "why", &prefix]).ends(4);
    let ambiguous = failure(&outcome);
    assert_eq!((&ambiguous["code"], ambiguous["candidates"].as_array().unwrap().len()), (&"ambiguous".into(), 2));
    assert_eq!(failure(&sandbox.prov(["--json", "why", "no-such"]).ends(4))["code"], "not_found");
    let outcome = sandbox.prov(["--json", "run", "--scenario", "nope", "-o", "x", "--", "touch", "x"]).ends(125);
    let unknown = failure(&outcome);
    assert_eq!((unknown["candidates"][0].as_str(), exists(&sandbox, "x")), (Some("main"), false));
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let sandbox = project();
    let path = sandbox.path(".prov/store/format");
    let format = std::fs::read_to_string(&path).unwrap();
    let newer: String = format.lines().map(|line| if line.contains("version") || line.starts_with("prov") { line.replace('1', "99") } else { line.to_owned() } + "\n").collect();
    prov::fs::Fs::real().replace(&path, newer.as_bytes(), false).unwrap();
    let outcome = sandbox.prov(["--json", "why"]);
    // Its checksum no longer fits either, which is damage; what counts is that nothing goes on.
    assert!([5, 7].contains(&outcome.code), "{outcome}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), newer);
}

#[test]
fn on_missing_says_what_a_missing_output_means() {
    let sandbox = project();
    let with =
        |what: &str| run(&sandbox, ["--name", what, "--on-missing", what, "-o", "a", "-o", "b", "--", "touch", "a"]);
    assert_eq!((with("error").outcome.code, with("error").status()), (1, "failure"));
    let warned = with("warn");
    assert_eq!((warned.outcome.code, warned.status()), (0, "success"));
    assert!(warned.json["warnings"].as_array().unwrap().iter().any(|w| w.as_str().unwrap().contains('b')));
    assert_eq!(with("ignore").outcome.code, 0);
    assert_eq!(with("ignore").cache(), "miss", "an outcome without all of its outputs is nothing to take");
}

#[test]
fn an_input_named_by_a_revision_is_fetched_or_named() {
    let sandbox = with_copy();
    sandbox
        .prov(["run", "--name", "first", "-i", "in.txt", "-o", "out.txt", "--", "sh", "copy.sh", "in.txt", "out.txt"])
        .ok();
    project::remove(&sandbox, "out.txt");
    let words = ["-i", "first:out", "-o", "end.txt", "--", "cp", "{input.out}", "end.txt"];
    let ran = run(&sandbox, words).misses();
    assert_eq!(ran.json["inputs"]["out"]["linked_by"], "declared");
    assert_eq!((read(&sandbox, "out.txt").as_str(), read(&sandbox, "end.txt").as_str()), ("hello\n", "hello\n"));
    project::remove(&sandbox, "out.txt");
    run(&sandbox, ["-i", "@main:out", "-o", "end.txt", "--", "cp", "{input.out}", "end.txt"]).hits();
    assert!(!exists(&sandbox, "out.txt"), "a hit needs no inputs");
    sandbox.file("out.txt", "other\n");
    run(&sandbox, words).hits();
    let by_heart = ["-i", "first:out", "-o", "end.txt", "--", "cp", "out.txt", "end.txt"];
    let outcome = sandbox.prov([&["--json", "run"][..], &by_heart].concat()).ends(125);
    let failure = failure(&outcome);
    assert!(failure["message"].as_str().unwrap().contains("out.txt"), "{failure:#}");
    assert_eq!(read(&sandbox, "out.txt"), "other\n");
}

#[test]
fn in_place_outputs_stay_and_count_as_inputs() {
    let sandbox = project();
    sandbox.file("log", "1\n");
    let words = ["-o", "log", "--in-place", "log", "--", "sh", "-c", "echo 2 >> log"];
    let ran = run(&sandbox, words).misses();
    assert_eq!(read(&sandbox, "log"), "1\n2\n");
    assert!(ran.json["inputs"]["log_before"].is_object(), "{:#}", ran.json["inputs"]);
    run(&sandbox, words).misses();
    assert_eq!(read(&sandbox, "log"), "1\n2\n2\n");
    sandbox.file("log", "1\n");
    run(&sandbox, words).hits();
    assert_eq!(read(&sandbox, "log"), "1\n2\n");
}

#[test]
fn no_store_keeps_the_hash_and_not_the_bytes() {
    let sandbox = project();
    let words = ["-o", "out", "--no-store", "out", "--", "sh", "-c", "echo bytes > out"];
    let ran = run(&sandbox, words).misses();
    assert_eq!((ran.action("out"), ran.json["outputs"]["out"]["stored"].as_bool()), ("hashed", Some(false)));
    run(&sandbox, words).hits();
    project::remove(&sandbox, "out");
    let again = run(&sandbox, words).misses();
    assert_eq!(again.json["cache"]["reasons"][0]["kind"], "outputs_lost");
    sandbox.prov(["run", "--no-store", "nothing", "-o", "x", "--", "true"]).ends(125);
}

#[test]
fn unknown_content_in_the_way_of_a_hit_is_kept_and_named() {
    let sandbox = with_copy();
    let words = ["-i", "in.txt", "-o", "out.txt", "--", "sh", "copy.sh", "in.txt", "out.txt"];
    run(&sandbox, words).misses();
    sandbox.file("out.txt", "mine\n");
    let hit: Ran = run(&sandbox, words).hits();
    assert_eq!(hit.json["displaced"].as_array().unwrap().len(), 1);
    let id = hit.json["displaced"][0]["id"].as_str().unwrap();
    let told = hit.outcome.err();
    assert!(told.contains("out.txt") && told.contains(&format!("prov cat {} > FILE", &id[..12])), "{told}");
    assert_eq!(sandbox.prov(["cat", &id[..12]]).ok().out(), "mine\n");
    assert_eq!(read(&sandbox, "out.txt"), "hello\n");
}
