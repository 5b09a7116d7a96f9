use std::path::PathBuf;

use serde_json::{Value, json};

use super::{ask, column, fit, found, sweep};
use crate::project::{project, remove, run, spoil_content};
use crate::sandbox::Sandbox;

fn runs(sandbox: &Sandbox) -> usize {
    found(sandbox, &[])["rows"].as_array().unwrap().len()
}

fn folder(sandbox: &Sandbox) -> PathBuf {
    sandbox.path(".prov/cache/index")
}

/// The database that counts.
fn database(sandbox: &Sandbox) -> PathBuf {
    let name = std::fs::read_to_string(folder(sandbox).join("current")).unwrap();
    folder(sandbox).join(name.trim_end())
}

#[test]
fn the_index_follows_the_log_over_folds_and_is_made_once() {
    let sandbox = sweep();
    assert_eq!(runs(&sandbox), 4);
    let before = database(&sandbox);
    // Two folds and more.
    for n in 0..70 {
        let set = format!("n={n}");
        run(&sandbox, ["-S", &set, "--name", "many", "--", "true"]);
        if n % 23 == 0 {
            assert_eq!(runs(&sandbox), 5 + n);
        }
    }
    assert_eq!(runs(&sandbox), 74);
    assert_eq!(database(&sandbox), before, "it was made anew");
    let listed = ask(&sandbox, "sql", &["sql", "select count(*), count(distinct run) from runs"]);
    assert_eq!(listed["rows"], json!([[74, 74]]));
}

#[test]
fn a_damaged_old_or_foreign_index_is_made_anew_in_silence() {
    let sandbox = sweep();
    assert_eq!(runs(&sandbox), 4);
    let fs = prov::fs::Fs::real();
    let spoil = |bytes: &[u8]| {
        let path = database(&sandbox);
        for ending in ["-wal", "-shm"] {
            let _ = fs.remove_file(&PathBuf::from(format!("{}{ending}", path.display())));
        }
        fs.replace(&path, bytes, false).unwrap();
    };
    let whole = std::fs::read(database(&sandbox)).unwrap();
    let mut torn = whole.clone();
    for byte in torn.iter_mut().skip(4096) {
        *byte = 0x5a;
    }
    let half = whole[..whole.len() / 2].to_vec();
    for bytes in [b"".as_slice(), b"not a database", &torn, &half] {
        spoil(bytes);
        let asked = sandbox.prov(["--json", "find", "runs", "--where", "facet.alpha > 0"]).ok();
        assert_eq!((asked.json()["rows"].as_array().unwrap().len(), asked.err()), (3, String::new()), "{asked}");
    }
    // Another layout.
    let old = database(&sandbox);
    let mut bytes = std::fs::read(&old).unwrap();
    bytes[60..64].copy_from_slice(&99u32.to_be_bytes());
    spoil(&bytes);
    assert_eq!(runs(&sandbox), 4);
    assert_ne!(database(&sandbox), old);
    // Gone.
    remove(&sandbox, ".prov/cache");
    assert_eq!(runs(&sandbox), 4);
    fs.replace(&folder(&sandbox).join("current"), b"../../../etc/passwd\n", false).unwrap();
    assert_eq!(runs(&sandbox), 4);
}

#[test]
fn the_index_of_another_store_is_not_believed() {
    let (here, there) = (sweep(), project());
    assert_eq!(runs(&here), 4);
    run(&there, ["--name", "own", "--", "true"]);
    let fs = prov::fs::Fs::real();
    fs.make_dirs(&folder(&there)).unwrap();
    for entry in std::fs::read_dir(folder(&here)).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        fs.replace(&folder(&there).join(path.file_name().unwrap()), &bytes, false).unwrap();
    }
    assert_eq!(column(&found(&there, &[]), "step"), [json!("own")]);
}

#[test]
fn a_store_that_was_brought_back_from_a_copy_is_read_anew() {
    let sandbox = sweep();
    let copy = sandbox.path("../copy");
    let cp = |from: &std::path::Path, to: &std::path::Path| {
        assert!(std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    };
    cp(&sandbox.path(".prov/store"), &copy);
    fit(&sandbox, 7, "0.7");
    assert_eq!(runs(&sandbox), 5);
    remove(&sandbox, ".prov/store");
    cp(&copy, &sandbox.path(".prov/store"));
    assert_eq!(runs(&sandbox), 4);
    run(&sandbox, ["--name", "other", "--", "true"]);
    assert_eq!(column(&found(&sandbox, &["-n", "1"]), "step"), [json!("other")]);
}

#[test]
fn marks_and_notes_reach_the_index_and_the_hits() {
    let sandbox = sweep();
    run(&sandbox, ["-i", "in.txt", "-o", "out.txt", "--name", "copy", "--", "cp", "in.txt", "out.txt"]).hits();
    assert_eq!(runs(&sandbox), 5);
    let retracted = |sandbox: &Sandbox| found(sandbox, &["--where", "retracted"])["rows"].as_array().unwrap().len();
    let executed = found(&sandbox, &["--where", "step = copy and cache = miss", "--columns", "run"]);
    let executed = column(&executed, "run")[0].as_str().unwrap().to_owned();
    sandbox.prov(["retract", &executed]).ok();
    assert_eq!(retracted(&sandbox), 2, "the run and the hit that took its outcome");
    sandbox.prov(["retract", &executed, "--undo"]).ok();
    assert_eq!(retracted(&sandbox), 0);
    sandbox.prov(["hide", "fit"]).ok();
    assert_eq!(runs(&sandbox), 4);
    assert_eq!(found(&sandbox, &["--all"])["rows"].as_array().unwrap().len(), 5);
    sandbox.prov(["note", "fit", "-m", "a strange loss"]).ok();
    assert_eq!(found(&sandbox, &["--text", "strange"])["rows"].as_array().unwrap().len(), 1);
    // The same when all is read anew.
    remove(&sandbox, ".prov/cache/index");
    assert_eq!((runs(&sandbox), retracted(&sandbox)), (4, 0));
    assert_eq!(found(&sandbox, &["--text", "strange"])["rows"].as_array().unwrap().len(), 1);
}

#[test]
fn many_processes_at_once_get_the_same_answer() {
    let sandbox = sweep();
    std::thread::scope(|scope| {
        for n in 0..6 {
            let sandbox = &sandbox;
            scope.spawn(move || {
                if n % 2 == 0 {
                    run(sandbox, ["-S", &format!("n={n}"), "--name", "more", "--", "true"]);
                }
                for _ in 0..3 {
                    let document: Value = found(sandbox, &["--where", "step = fit"]);
                    assert_eq!(document["rows"].as_array().unwrap().len(), 3);
                }
            });
        }
    });
    assert_eq!(runs(&sandbox), 7);
}

#[test]
fn where_nothing_can_be_written_it_is_answered_all_the_same() {
    let sandbox = sweep();
    remove(&sandbox, ".prov/cache");
    // A file where the folder should be keeps even root from it.
    sandbox.file(".prov/cache", "");
    assert_eq!(runs(&sandbox), 4);
}

#[test]
fn what_can_not_be_read_is_named_and_the_rest_is_answered() {
    let sandbox = project();
    for n in 0..40 {
        let set = format!("n={n}");
        run(&sandbox, ["-S", &set, "--name", "many", "--", "true"]);
    }
    spoil_content(&sandbox);
    let asked = sandbox.prov(["--json", "find", "runs"]);
    let listed = asked.json()["rows"].as_array().unwrap().len();
    assert!(asked.code == 5 && listed < 40 && listed > 0, "{asked}");
    sandbox.prov(["run", "--name", "after", "--", "true"]).ok();
    assert_eq!(sandbox.prov(["--json", "find", "runs"]).json()["rows"].as_array().unwrap().len(), listed + 1);
}
