//! Recorded runs executed once more, and files compared with records.

use serde_json::Value;

use crate::project::{exists, project, read, remove, run};
use crate::sandbox::Sandbox;
use crate::schema;

#[track_caller]
fn verify(sandbox: &Sandbox, words: &[&str], code: i32) -> Value {
    let document = sandbox.prov(["--json", "verify"].iter().chain(words)).ends(code).json();
    schema::assert_valid("verify", &document);
    document
}

/// A project with a script, an input, a config file and a run of them all.
fn with_run() -> (Sandbox, String) {
    let sandbox = project();
    sandbox
        .file("fit.awk", "{ sum += $1 } END { print sum * rate }\n")
        .file("data/raw.txt", "1\n2\n")
        .file("conf.yaml", "rate: 3\n");
    sandbox.file("fit.sh", "awk -v rate=\"$(sed 's/[^0-9]//g' \"$PROV_CONFIG\")$SUFFIX\" -f fit.awk \"$1\" > \"$2\"\n");
    let ran = run(
        &sandbox,
        [
            "--name",
            "fit",
            "-i",
            "data/raw.txt",
            "--config",
            "conf.yaml",
            "--env",
            "SUFFIX=0",
            "-o",
            "out/sum.txt",
            "--",
            "sh",
            "fit.sh",
            "data/raw.txt",
            "out/sum.txt",
        ],
    )
    .misses();
    assert_eq!(read(&sandbox, "out/sum.txt"), "90\n");
    (sandbox, ran.id().to_owned())
}

#[test]
fn a_run_is_reproduced_in_a_fresh_folder_from_what_is_on_record() {
    let (sandbox, id) = with_run();
    // What lies there now is something else: only the record counts.
    sandbox.file("fit.awk", "{ print \"broken\" }\n").file("data/raw.txt", "9\n").file("conf.yaml", "rate: 7\n");
    remove(&sandbox, "out");
    let done = verify(&sandbox, &[&id], 0);
    assert_eq!(done["items"][0]["finding"], "reproduced", "{done:#}");
    assert_eq!(done["items"][0]["outputs"], serde_json::json!({"sum": "same"}));
    assert_eq!(done["items"][0]["parts"], serde_json::json!([]), "the recipe is the recorded one, to the byte");
    assert!(!exists(&sandbox, "out"), "nothing of it reaches the project");
    assert_eq!(sandbox.prov(["--json", "log", "--all"]).ok().json()["runs"].as_array().unwrap().len(), 1);
    let summary = sandbox.prov(["--json", "verify", "--scenario", "main", "--summary"]).ok().json();
    schema::assert_valid("verify-summary", &summary);
    assert_eq!(
        (summary["steps"]["fit"]["reproduced"].as_u64(), summary["total"]["score"].as_f64()),
        (Some(1), Some(1.0))
    );
    assert_eq!(verify(&sandbox, &["--scenario", "main", "--new"], 0)["items"], serde_json::json!([]));
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn the_dirty_code_of_a_git_tree_is_what_is_executed() {
    let sandbox = project();
    let git = |words: &[&str]| {
        let mut command = std::process::Command::new("git");
        command
            .current_dir(sandbox.project())
            .args(["-c", "user.name=A", "-c", "user.email=a@example.org"])
            .args(words);
        assert!(command.output().unwrap().status.success(), "{words:?}");
    };
    git(&["init", "-q"]);
    sandbox.file("make.sh", "echo committed > \"$1\"\n");
    git(&["add", "make.sh"]);
    git(&["commit", "-qm", "x"]);
    sandbox.file("make.sh", "echo dirty > \"$1\"\n");
    run(&sandbox, ["--name", "make", "-o", "out", "--", "sh", "make.sh", "out"]).misses();
    git(&["checkout", "-q", "make.sh"]);
    assert_eq!(verify(&sandbox, &["make"], 0)["items"][0]["finding"], "reproduced");
}

#[test]
fn a_random_step_is_found_out() {
    let sandbox = project();
    let words = [
        "--name",
        "draw",
        "-o",
        "out",
        "-o",
        "fixed",
        "--",
        "sh",
        "-c",
        "od -An -N16 -tx1 /dev/urandom > out; echo 1 > fixed",
    ];
    let first = run(&sandbox, words).misses();
    let done = verify(&sandbox, &["draw"], 1);
    assert_eq!(done["items"][0]["finding"], "differs");
    assert_eq!(done["items"][0]["outputs"], serde_json::json!({"fixed": "same", "out": "differs"}));
    // What was made elsewhere is no hit here, and what was recorded stays one.
    assert_eq!(run(&sandbox, words).hits().json["cache"]["source"], first.id());
    run(&sandbox, ["--name", "steady", "-o", "s", "--", "touch", "s"]).misses();
    let all = verify(&sandbox, &["--scenario", "main", "--new"], 0);
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
    let summary = sandbox.prov(["--json", "verify", "--scenario", "main", "--summary"]).ok().json();
    assert_eq!(
        (summary["steps"]["draw"]["score"].as_f64(), summary["steps"]["steady"]["score"].as_f64()),
        (Some(0.0), Some(1.0))
    );
    assert_eq!(summary["total"]["score"], 0.5);
    let text = sandbox.prov(["verify", "--scenario", "main", "--summary"]).ok().out();
    assert!(text.contains("draw") && text.contains("0 %") && text.contains("50 %"), "{text}");
}

#[test]
fn what_would_be_executed_is_shown_before_it_is() {
    let (sandbox, id) = with_run();
    let shown = verify(&sandbox, &["-n", &id], 0);
    assert_eq!(shown["items"][0]["argv"], serde_json::json!(["sh", "fit.sh", "{input.raw}", "{output.sum}"]));
    let outcome = sandbox.prov(["verify", &id]).ok();
    assert!(outcome.err().contains("executes in") && outcome.err().contains("sh fit.sh"), "{outcome}");
    let text = sandbox.prov(["rerun", "-n", &id]).ok().out();
    assert!(text.contains("sh fit.sh") && text.contains("SUFFIX: 0"), "{text}");
}

#[test]
fn settings_that_recorded_code_brings_along_are_not_heeded() {
    let sandbox = project();
    let trap = sandbox.path("trap");
    sandbox.file(
        "prov.toml",
        format!("[steps.x]\nset = {{ a = 1 }}\n[adapters.bad]\ncommand = \"touch {}\"\n", trap.display()),
    );
    sandbox.file("x.sh", "echo 1 > out\n");
    run(&sandbox, ["--name", "make", "-o", "out", "--", "sh", "x.sh"]).misses();
    verify(&sandbox, &["make"], 0);
    assert!(!trap.exists());
}

#[test]
fn a_rerun_leaves_its_folder_and_ends_as_the_command_does() {
    let (sandbox, id) = with_run();
    let folder = sandbox.project().with_file_name("again");
    let outcome = sandbox.prov(["rerun", &id, "--to", folder.to_str().unwrap()]).ok();
    assert!(outcome.err().contains("reproduced"), "{outcome}");
    assert_eq!(std::fs::read_to_string(folder.join("out/sum.txt")).unwrap(), "90\n");
    let outcome = sandbox.prov(["rerun", &id, "--to", folder.to_str().unwrap()]).ends(2);
    assert!(outcome.err().contains("is not empty"), "{outcome}");
    sandbox.prov(["commit", "data/raw.txt", "-m", "x"]).ok();
    let outcome = sandbox.prov(["rerun", "@last"]).ends(2);
    assert!(outcome.err().contains("it is no command"), "{outcome}");
    let bad = run(&sandbox, ["--name", "bad", "-o", "x", "--", "sh", "-c", "exit 3"]);
    sandbox.prov(["rerun", bad.id()]).ends(3);
}

#[test]
fn inputs_of_all_kinds_are_laid_out() {
    let sandbox = project();
    let outside = sandbox.project().with_file_name("outside.txt");
    prov::fs::Fs::real().replace(&outside, b"o\n", false).unwrap();
    sandbox
        .file("d/a.csv", "a\n")
        .file("d/b.csv", "b\n")
        .file("d/c.txt", "c\n")
        .file("folder/x/y", "y\n")
        .file("in.txt", "i\n")
        .file("sub/run.sh", "cat > ../all; cat \"$@\" >> ../all; cat ../folder/x/y >> ../all\n");
    run(&sandbox, ["--name", "first", "-o", "mid/first.txt", "--", "sh", "-c", "echo first > mid/first.txt"]).misses();
    let mut command = sandbox.command([
        "--json",
        "run",
        "--name",
        "all",
        "-i",
        "set=../d/*.csv",
        "-i",
        "../folder",
        "-i",
        "first:first",
        "-i",
        outside.to_str().unwrap(),
        "--stdin",
        "../in.txt",
        "-o",
        "../all",
        "--code",
        "run.sh",
        "--",
        "sh",
        "run.sh",
        "{input.set}",
        "{input.first}",
        outside.to_str().unwrap(),
    ]);
    command.current_dir(sandbox.path("sub"));
    let ran = crate::project::Ran::of(sandbox.outcome(command)).misses();
    let wanted = "i\na\nb\nfirst\no\ny\n";
    assert_eq!(read(&sandbox, "all"), wanted);
    for path in ["d", "folder", "mid", "in.txt", "sub"] {
        remove(&sandbox, path);
    }
    let done = verify(&sandbox, &[ran.id()], 0);
    assert_eq!(
        (&done["items"][0]["finding"], &done["items"][0]["parts"]),
        (&"reproduced".into(), &serde_json::json!([])),
        "{done:#}"
    );
    // Bytes that the store never had, and that are others now.
    prov::fs::Fs::real().replace(&outside, b"other\n", false).unwrap();
    let outcome = sandbox.prov(["verify", ran.id()]).ends(2);
    assert!(outcome.err().contains("input `outside` is not in the store"), "{outcome}");
}

#[test]
fn from_a_number_back_to_raw_data_with_the_store_alone() {
    let sandbox = project();
    sandbox.file("raw.csv", "x\n1\n2\n3\n").file("sum.awk", "NR > 1 { s += $1 } END { print s }\n");
    sandbox.prov(["commit", "raw.csv", "-m", "survey"]).ok();
    run(
        &sandbox,
        ["--name", "clean", "-i", "raw.csv", "-o", "clean.csv", "--", "sh", "-c", "sort raw.csv > clean.csv"],
    )
    .misses();
    run(
        &sandbox,
        [
            "--name",
            "sum",
            "-i",
            "clean.csv",
            "-o",
            "number.txt",
            "--",
            "sh",
            "-c",
            "awk -f sum.awk clean.csv > number.txt",
        ],
    )
    .misses();
    let number = read(&sandbox, "number.txt");
    let other = Sandbox::new();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(sandbox.path(".prov"))
        .arg(other.path(".prov"))
        .status()
        .unwrap();
    assert!(copied.success());
    let lineage = other.prov(["--json", "lineage", "number"]).ok().json();
    let text = lineage.to_string();
    assert!(text.contains("raw.csv") && text.contains("-commit-"), "{lineage:#}");
    assert!(other.prov(["show", "sum"]).ok().out().contains("awk -f sum.awk"));
    other.prov(["restore", "sum:number", "--to", "back/"]).ok();
    other.prov(["restore", "clean:raw"]).ok();
    other.prov(["restore", "sum:@code", "--to", "code"]).ok();
    assert_eq!((read(&other, "back/number.txt"), read(&other, "raw.csv").as_str()), (number, "x\n1\n2\n3\n"));
    assert!(exists(&other, "code/code/sum.awk"));
    assert_eq!(verify(&other, &["sum", "clean"], 0)["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_file_is_verified_mismatched_unverified_or_unreadable() {
    let sandbox = project();
    run(&sandbox, ["--name", "make", "-o", "out", "--", "sh", "-c", "echo 1 > out"]).misses();
    sandbox.file("same", "1\n").file("other", "2\n");
    let check = |words: &[&str], code: i32| {
        let document = sandbox.prov(["--json", "check"].iter().chain(words)).ends(code).json();
        schema::assert_valid("check", &document);
        document["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(check(&["same", "--against", "make:out"], 0), "verified");
    assert_eq!(check(&["same", "--against", "make:out", "--require"], 0), "verified");
    assert_eq!(check(&["other", "--against", "make:out"], 1), "mismatched");
    assert_eq!(check(&["same", "--against", "make:nothing"], 4), "unverified");
    assert_eq!(check(&["same", "--against", "@nowhere:out"], 4), "unverified");
    assert_eq!(check(&["gone", "--against", "make:out"], 5), "unreadable");
    let id = sandbox.prov(["--json", "rev-parse", "make"]).ok().json()["items"][0]["run"].as_str().unwrap().to_owned();
    sandbox.prov(["retract", "make"]).ok();
    assert_eq!(check(&["same", "--against", &format!("{id}:out")], 0), "verified");
    assert_eq!(check(&["same", "--against", &format!("{id}:out"), "--require"], 4), "unverified");
    sandbox.prov(["check", "same", "--against", "same"]).ends(2);
}
