//! Scrubbed bytes are in no file of the store any more, never come back, and nothing else is lost.

use std::path::Path;

use crate::project::{RUN_COPY, noise, project, remove, run, with_copy};
use crate::sandbox::Sandbox;
use crate::schema;

/// Files below a folder that hold `needle`.
fn holding(folder: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for item in prov::fs::Fs::real().walk(folder) {
        let (path, stat) = item.unwrap();
        if stat.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            if bstr::ByteSlice::contains_str(bytes.as_slice(), needle) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

fn scrub(sandbox: &Sandbox, what: &str) -> serde_json::Value {
    let document = sandbox.prov(["--json", "scrub", "-y", what, "-m", "private"]).ok().json();
    schema::assert_valid("scrub", &document);
    document
}

/// Text that is not compressed: a secret among noise.
fn secret(len: usize) -> (String, Vec<u8>) {
    let text = noise(len);
    let needle = text.as_bytes()[len / 2..len / 2 + 24].to_vec();
    (text, needle)
}

#[test]
fn small_and_large_content_goes_from_every_file_and_the_rest_stays() {
    for len in [100, 300_000, 1_300_000] {
        let sandbox = with_copy();
        let (text, _) = secret(len);
        // Random bytes, so that nothing is compressed and the needle can be looked for.
        let bytes: Vec<u8> = blake(&text, len);
        let needle = bytes[len / 2..len / 2 + 24].to_vec();
        sandbox.file("d/private", &bytes).file("d/public", "public\n");
        sandbox.prov(["commit", "d", "-m", "d"]).ok();
        let other = run(&sandbox, RUN_COPY[1..].iter().copied().chain(["out.txt"])).misses();
        assert!(!holding(&sandbox.path(".prov"), &needle).is_empty(), "{len}");
        sandbox.prov(["scrub", "d/private"]).ends(7);
        assert!(!holding(&sandbox.path(".prov"), &needle).is_empty(), "{len}: it was not confirmed");
        let dry = sandbox.prov(["--json", "scrub", "-n", "d/private"]).ok().json();
        assert_eq!(dry["items"].as_array().unwrap().len(), 1);
        scrub(&sandbox, "d/private");
        assert_eq!(holding(&sandbox.path(".prov"), &needle), Vec::<String>::new(), "{len}");
        sandbox.prov(["fsck"]).ok();
        // Everything else is there.
        assert_eq!(sandbox.prov(["cat", &format!("{}:out", other.id())]).ok().out(), "hello\n");
        sandbox.prov(["ls-tree", "main@{1}:d"]).ok();
        // It never comes back.
        sandbox.prov(["add", "d"]).ok();
        sandbox.file("copy", &bytes);
        sandbox.prov(["commit", "copy", "-m", "once more"]).ends(7);
        assert_eq!(holding(&sandbox.path(".prov"), &needle), Vec::<String>::new(), "{len}: it came back");
        sandbox.prov(["fsck"]).ok();
        // Again is fine, and gc is not in its way.
        scrub(&sandbox, "d/private");
        sandbox.prov(["gc"]).ok();
        remove(&sandbox, "d");
        sandbox.prov(["restore", "main@{1}:d"]).ends(5);
    }
}

/// Bytes that look random.
fn blake(seed: &str, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 32);
    let mut n = 0_u64;
    while bytes.len() < len {
        bytes.extend_from_slice(prov::hash::blob(format!("{seed}{n}").as_bytes()).digest());
        n += 1;
    }
    bytes.truncate(len);
    bytes
}

#[test]
fn pieces_that_other_content_has_stay_with_it() {
    let sandbox = project();
    let shared = blake("shared", 4_000_000);
    let own = blake("own", 2_000_000);
    let needle = own[1_000_000..1_000_024].to_vec();
    sandbox.file("keep", &shared).file("private", [shared.as_slice(), &own].concat());
    sandbox.prov(["commit", "keep", "private", "-m", "both"]).ok();
    let done = scrub(&sandbox, "private");
    assert!(done["shared_pieces"].as_u64() > Some(0), "{done:#}");
    assert_eq!(holding(&sandbox.path(".prov"), &needle), Vec::<String>::new());
    assert!(sandbox.prov(["cat", "@last:keep"]).ok().stdout == shared);
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn quarantine_and_stray_packs_are_scrubbed_too() {
    let sandbox = project();
    let bytes = blake("private", 400_000);
    let needle = bytes[200_000..200_024].to_vec();
    sandbox.file("private", &bytes).file("public", "x");
    sandbox.prov(["commit", "private", "public", "-m", "both"]).ok();
    let packs = sandbox.path(".prov/store/packs");
    let pack = std::fs::read_dir(&packs).unwrap().next().unwrap().unwrap().path();
    let copy = std::fs::read(&pack).unwrap();
    let name = pack.file_name().unwrap().to_str().unwrap().to_owned();
    sandbox.file(format!(".prov/store/quarantine/packs-{name}"), &copy);
    sandbox.file(".prov/store/quarantine/what", &copy[..copy.len() / 2 + 1000]);
    let done = scrub(&sandbox, "private");
    assert_eq!(done["quarantined"], 2);
    assert_eq!(holding(&sandbox.path(".prov"), &needle), Vec::<String>::new());
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn records_are_not_scrubbed_and_an_unfinished_scrub_is_told() {
    let sandbox = with_copy();
    let first = run(&sandbox, RUN_COPY[1..].iter().copied().chain(["out.txt"])).misses();
    sandbox.prov(["scrub", "-y", first.id()]).ends(2);
    let whole = format!("{}:*", first.id());
    scrub(&sandbox, &whole);
    // Input and output are the same bytes here, so neither can be had.
    sandbox.prov(["cat", &format!("{}:out", first.id())]).ends(5);
    sandbox.prov(["show", first.id()]).ok();
    run(&sandbox, RUN_COPY[1..].iter().copied().chain(["out.txt"]));
    sandbox.prov(["undo", "-n"]);
    let ops = sandbox.prov(["--json", "ops"]).ok().json();
    let told = ops["operations"].as_array().unwrap().iter().find(|one| one["command"] == "scrub").unwrap();
    assert_eq!(told["undoable"], false);
}
