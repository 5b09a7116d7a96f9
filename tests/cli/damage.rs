//! Stores that are damaged, newer, or not there.

use std::path::{Path, PathBuf};
use std::process::Command;

use prov::fs::Fs;

use crate::sandbox::Sandbox;
use crate::schema;

/// A store that was folded: entries, a fold entry, packs, a table, history.
fn folded() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.prov(["init"]).ok();
    for n in 0..36 {
        let command = format!("echo {n} > o");
        sandbox.prov(["run", "-q", "--name", "gen", "-o", "o", "--code", "none", "--", "sh", "-c", &command]).ok();
    }
    assert!(!files(&sandbox, "packs").is_empty() && !files(&sandbox, "tables").is_empty(), "it was folded");
    sandbox
}

fn files(sandbox: &Sandbox, folder: &str) -> Vec<PathBuf> {
    let folder = sandbox.path(".prov/store").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn copied(from: &Path, to: &Path) {
    let status =
        Command::new("sh").args(["-c", "rm -rf \"$2\" && cp -a \"$1\" \"$2\"", "-"]).arg(from).arg(to).status();
    assert!(status.unwrap().success());
}

const WAYS: &[&str] = &["truncated", "flipped", "empty", "missing"];

fn damage(file: &Path, way: &str) {
    let fs = Fs::real();
    let mut bytes = fs.read(file).unwrap().unwrap();
    let middle = bytes.len() / 2;
    match way {
        "truncated" => bytes.truncate(middle),
        "flipped" => bytes[middle] ^= 4,
        "empty" => bytes.clear(),
        _ => return fs.remove_file(file).unwrap(),
    }
    fs.replace(file, &bytes, false).unwrap();
}

#[test]
fn damage_is_named_the_rest_is_readable_and_runs_go_on() {
    let sandbox = folded();
    let good = sandbox.path("../good");
    copied(&sandbox.path(".prov"), &good);
    let whole = sandbox.prov(["--json", "log"]).ok().json()["runs"].as_array().unwrap().len();
    let log = files(&sandbox, "log");
    let packs = files(&sandbox, "packs");
    let records = packs.iter().max_by_key(|file| file.metadata().unwrap().len()).unwrap().clone();
    let cases = [
        ("log entry", log[log.len() - 2].clone()),
        ("fold entry", log[0].clone()),
        ("table", files(&sandbox, "tables")[0].clone()),
        ("pack", records),
    ];
    for (what, file) in &cases {
        for way in WAYS {
            let case = format!("{what} {way}");
            copied(&good, &sandbox.path(".prov"));
            damage(file, way);
            let name = file.file_name().unwrap().to_str().unwrap();
            let fsck = sandbox.prov(["--json", "fsck"]).ends(5);
            let document = fsck.json();
            schema::assert_valid("fsck", &document);
            let named = |finding: &serde_json::Value| finding["file"].as_str().is_some_and(|file| file.contains(name));
            assert!(document["findings"].as_array().unwrap().iter().any(named), "{case}: {fsck}");
            let log = sandbox.prov(["--json", "log"]);
            let listed = log.json()["runs"].as_array().unwrap().len();
            match *what {
                // What is read of it tells; what is not read is not looked at.
                "pack" => assert_eq!((log.code, listed), (0, whole), "{case}"),
                "table" if log.code == 0 => assert_eq!(listed, whole, "{case}"),
                // The damaged block may have told that some of them are hidden.
                "table" if listed == whole => assert!(log.code == 5 && log.err().contains(name), "{case}: {log}"),
                "fold entry" => assert_eq!((log.code, listed), (5, whole), "{case}"),
                _ => assert!(log.code == 5 && listed < whole && log.err().contains(name), "{case}: {log}"),
            }
            if *what == "pack" {
                let oldest = sandbox.prov(["show", "main@{30}"]);
                assert!(oldest.code == 0 || oldest.code == 5 && oldest.err().contains(name), "{case}: {oldest}");
            }
            let command = format!("echo {way} > new");
            sandbox.prov(["run", "--name", "new", "-o", "new", "--code", "none", "--", "sh", "-c", &command]).ok();
            let newest = sandbox.prov(["--json", "log", "-n", "1"]).json();
            assert_eq!(newest["runs"][0]["step"], "new", "{case}");
            let cat = sandbox.prov(["cat", "@last:new"]);
            assert_eq!(cat.out(), format!("{way}\n"), "{case}: {cat}");
        }
    }
}

fn repaired(sandbox: &Sandbox, more: &[&str]) -> (i32, serde_json::Value) {
    let outcome = sandbox.prov(["--json", "fsck", "--repair"].iter().chain(more));
    let document = outcome.json();
    schema::assert_valid("fsck", &document);
    (outcome.code, document)
}

fn errors(findings: &serde_json::Value) -> usize {
    findings.as_array().unwrap().iter().filter(|one| one["severity"] == "error").count()
}

#[test]
fn what_is_damaged_is_repaired_from_records_from_a_copy_and_from_the_work_tree() {
    let sandbox = folded();
    sandbox.file("big", crate::project::noise(700_000));
    sandbox.prov(["commit", "big", "-m", "big"]).ok();
    let good = sandbox.path("../good");
    copied(&sandbox.path(".prov"), &good);
    let listed = || sandbox.prov(["--json", "log"]).ok().json()["runs"].as_array().unwrap().len();
    let whole = listed();
    let largest = |folder: &str| files(&sandbox, folder).into_iter().max_by_key(|file| file.metadata().unwrap().len());
    let log = files(&sandbox, "log");
    let cases = [
        ("log entry", log[1].clone(), false),
        ("fold entry", log[0].clone(), true),
        ("table", files(&sandbox, "tables")[0].clone(), true),
        ("history", files(&sandbox, "history")[0].clone(), true),
        ("content pack", largest("packs").unwrap(), true),
        ("format", sandbox.path(".prov/store/format"), true),
    ];
    for (what, file, comes_back_alone) in &cases {
        for way in WAYS {
            let case = format!("{what} {way}");
            copied(&good, &sandbox.path(".prov"));
            damage(file, way);
            if *comes_back_alone {
                let (code, document) = repaired(&sandbox, &[]);
                assert_eq!((code, errors(&document["left"])), (0, 0), "{case}: {document:#}");
                assert!(errors(&document["findings"]) > 0, "{case}");
                assert_eq!(listed(), whole, "{case}");
                sandbox.prov(["fsck"]).ok();
            }
            copied(&good, &sandbox.path(".prov"));
            damage(file, way);
            let (code, document) = repaired(&sandbox, &["--from", good.join("store").to_str().unwrap()]);
            assert_eq!((code, errors(&document["left"])), (0, 0), "{case}: {document:#}");
            assert!(
                document["repairs"].as_array().unwrap().iter().all(|one| one["lost"] == false),
                "{case}: {document:#}"
            );
            assert_eq!(listed(), whole, "{case}");
            sandbox.prov(["cat", "main@{0}:big"]).ok();
            sandbox
                .prov(["run", "--name", "new", "-o", "new", "--code", "none", "--", "sh", "-c", "echo x > new"])
                .ok();
        }
    }
}

#[test]
fn a_damaged_table_never_brings_a_retracted_run_back() {
    let sandbox = crate::project::with_copy();
    let words = || crate::project::RUN_COPY[1..].iter().copied().chain(["out.txt"]);
    let first = crate::project::run(&sandbox, words()).misses();
    sandbox.prov(["retract", first.id(), "-m", "wrong"]).ok();
    for n in 0..36 {
        let command = format!("echo {n} > o");
        sandbox.prov(["run", "-q", "--name", "gen", "-o", "o", "--code", "none", "--", "sh", "-c", &command]).ok();
    }
    for table in files(&sandbox, "tables") {
        damage(&table, "empty");
    }
    let (code, document) = repaired(&sandbox, &[]);
    assert_eq!(code, 0, "{document:#}");
    crate::project::run(&sandbox, words()).misses();
}

#[test]
fn a_sample_finds_what_lies_in_it_and_a_damaged_cache_is_no_damage() {
    let sandbox = folded();
    for n in 0..40 {
        sandbox.file(format!("d/{n}"), crate::project::noise(20_000 + n));
    }
    sandbox.prov(["commit", "d", "-m", "d"]).ok();
    let all = sandbox.prov(["--json", "fsck"]).ok().json();
    let part = sandbox.prov(["--json", "fsck", "--sample", "10%"]).ok().json();
    assert!(part["checked"]["bytes"].as_u64() < all["checked"]["bytes"].as_u64(), "{part:#}");
    sandbox.prov(["fsck", "--sample", "0%"]).ends(2);
    for cache in std::fs::read_dir(sandbox.path(".prov/cache")).unwrap() {
        let cache = cache.unwrap().path();
        for way in WAYS.iter().filter(|way| **way != "missing") {
            if cache.is_file() && cache.metadata().unwrap().len() > 0 {
                damage(&cache, way);
                let status = sandbox.prov(["status"]).ok();
                assert!(!status.err().contains("damaged"), "{status}");
                sandbox.prov(["fsck"]).ok();
                sandbox.prov(["add", "d"]).ok();
            }
        }
    }
}

#[test]
fn warnings_of_fsck_do_not_fail() {
    let sandbox = Sandbox::new();
    sandbox.prov(["init"]).ok();
    sandbox.file(".prov/store/packs/stranger.txt", "x");
    let outcome = sandbox.prov(["--json", "fsck"]).ok();
    assert!(!outcome.json()["findings"].as_array().unwrap().is_empty(), "{outcome}");
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.prov(["init"]).ok();
    let format = sandbox.path(".prov/store/format");
    let text = String::from_utf8(Fs::real().read(&format).unwrap().unwrap()).unwrap();
    let newer = text.replacen("prov-store 1", "prov-store 9", 1);
    assert_ne!(newer, text, "{text}");
    Fs::real().replace(&format, newer.as_bytes(), false).unwrap();
    for words in [&["log"][..], &["status"], &["show"], &["fsck"], &["id", "/dev/null"]] {
        let outcome = sandbox.prov(words);
        assert!(outcome.code == 7 || words[0] == "id", "{words:?} {outcome}");
    }
    assert_eq!(Fs::real().read(&format).unwrap().unwrap(), newer.as_bytes());
}

#[test]
fn without_a_store_commands_say_so() {
    let sandbox = Sandbox::new();
    for words in [
        &["log"][..],
        &["show"],
        &["status"],
        &["diff", "a", "b"],
        &["lineage", "x"],
        &["cat", "x"],
        &["cat-object", "abcd"],
        &["ls-tree", "x"],
        &["rev-parse", "x"],
        &["fsck"],
    ] {
        let outcome = sandbox.prov(words).ends(3);
        assert!(outcome.err().contains("hint: create one with `prov init`"), "{outcome}");
    }
    sandbox.prov(["config", "list"]).ok();
    sandbox.prov(["doctor"]).ok();
}

#[test]
fn a_damaged_format_is_a_finding() {
    let sandbox = Sandbox::new();
    sandbox.prov(["init"]).ok();
    damage(&sandbox.path(".prov/store/format"), "flipped");
    let outcome = sandbox.prov(["--json", "fsck"]).ends(5);
    assert_eq!(outcome.json()["findings"][0]["code"], "format-damaged", "{outcome}");
    sandbox.prov(["log"]).ends(5);
}
