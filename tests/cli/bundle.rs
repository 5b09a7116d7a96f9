//! One file with a run or a scenario and everything that it needs.

#![expect(clippy::disallowed_methods, reason = "tests make and break the files they work on")]

use crate::project::{read, run};
use crate::sandbox::{Outcome, Sandbox};
use crate::schema;
use crate::sync::{history, large, machine, said, twice};

fn made() -> Sandbox {
    let a = machine();
    a.prov(["init", "-q"]).ok();
    let large = large(200_000);
    a.file("in.txt", &large);
    twice(&a, "in.txt", "mid.txt");
    twice(&a, "mid.txt", "out.txt");
    run(&a, ["--name", "apart", "--", "true"]);
    a
}

fn new() -> Sandbox {
    let b = machine();
    b.prov(["init", "-q"]).ok();
    b
}

fn sound(sandbox: &Sandbox) {
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn a_run_travels_in_a_file_with_all_that_it_comes_from() {
    let a = made();
    let created = said("bundle", a.prov(["--json", "bundle", "create", "x.prov", &history(&a)[1]]));
    assert_eq!(created["runs"], 2, "the run and the one that made its input: {created}");
    let bytes = std::fs::read(a.path("x.prov")).unwrap();
    assert_eq!(created["size"], bytes.len());
    assert_eq!(said("bundle", a.prov(["--json", "bundle", "verify", "x.prov"]))["runs"], 2);

    let b = new();
    b.file("got.prov", &bytes).file("in.txt", read(&a, "in.txt"));
    let dry = said("bundle", b.prov(["--json", "bundle", "import", "-n", "got.prov"]));
    assert_eq!((&dry["runs"], history(&b).len()), (&2.into(), 0));
    assert_eq!(said("bundle", b.prov(["--json", "bundle", "import", "got.prov"]))["runs"], 2);
    assert_eq!(twice(&b, "in.txt", "mid.txt").cache(), "hit");
    assert_eq!(twice(&b, "mid.txt", "out.txt").cache(), "hit");
    assert_eq!(read(&b, "out.txt"), read(&a, "out.txt"));
    sound(&b);
    assert_eq!(said("bundle", b.prov(["--json", "bundle", "import", "got.prov"]))["objects"], 0);
    let taken = a.prov(["--json", "bundle", "create", "x.prov"]).fails();
    assert!(taken.err().contains("x.prov"), "{taken}");
    assert_eq!(std::fs::read(a.path("x.prov")).unwrap(), bytes, "what lies there stays");
    // Nothing is left of the making.
    let left: Vec<_> =
        std::fs::read_dir(a.path(".prov/cache")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_str().unwrap().starts_with("bundle-")), "{left:?}");
}

#[test]
fn a_bundle_can_be_cloned_and_unpacked() {
    let a = made();
    a.prov(["bundle", "create", "all.prov"]).ok();
    let b = machine();
    b.file("all.prov", std::fs::read(a.path("all.prov")).unwrap());
    said("clone", b.prov(["--json", "clone", "all.prov", "."]));
    assert_eq!(history(&b), history(&a));
    run(&b, ["--name", "more", "--", "true"]);
    let refused = b.prov(["push"]).fails();
    assert!(refused.err().contains("read-only"), "{refused}");
    let unpacked =
        std::process::Command::new("tar").args(["xf", "all.prov"]).current_dir(a.project()).status().unwrap();
    assert!(unpacked.success());
    let c = new();
    said("fetch", c.prov(["--json", "fetch", a.path("prov-bundle").to_str().unwrap()]));
    assert_eq!(history(&c), history(&a));
    sound(&c);
}

#[test]
fn scenarios_and_records_alone() {
    let a = made();
    a.prov(["scenario", "new", "other"]).ok();
    run(&a, ["--name", "there", "--", "true"]);
    let one = said("bundle", a.prov(["--json", "bundle", "create", "s.prov", "--scenario", "other"]));
    assert_eq!(one["runs"], 1, "{one}");
    let records = said("bundle", a.prov(["--json", "bundle", "create", "r.prov", "--records"]));
    assert_eq!(records["runs"], 4, "{records}");
    let size = |name: &str| std::fs::metadata(a.path(name)).unwrap().len();
    assert!(size("r.prov") < 200_000, "{}", size("r.prov"));
    said("bundle", a.prov(["--json", "bundle", "verify", "r.prov"]));
    let b = new();
    b.file("r.prov", std::fs::read(a.path("r.prov")).unwrap());
    said("bundle", b.prov(["--json", "bundle", "import", "r.prov"]));
    assert_eq!(history(&b), history(&a));
    sound(&b);
    let missing = a.prov(["--json", "bundle", "create", "n.prov", "--scenario", "nobody"]).fails();
    assert!(missing.err().contains("nobody") && !a.path("n.prov").exists(), "{missing}");
    let c = Sandbox::new();
    c.file("s.prov", std::fs::read(a.path("s.prov")).unwrap());
    std::fs::create_dir(c.path("elsewhere")).unwrap();
    c.prov(["-C", "elsewhere", "init", "-q"]).ok();
    let apart = c.prov(["-C", "elsewhere", "--json", "bundle", "import", "s.prov"]);
    assert!(apart.err().contains("not_found"), "seen from there: {apart}");
    let apart = c.prov(["-C", "elsewhere", "--json", "bundle", "import", "../s.prov"]).fails();
    assert!(apart.err().contains("other_project"), "{apart}");
}

fn refused(bytes: &[u8]) -> Outcome {
    let b = new();
    b.file("bad.prov", bytes);
    let verified = b.prov(["--json", "bundle", "verify", "bad.prov"]).fails();
    let imported = b.prov(["--json", "bundle", "import", "bad.prov"]).fails();
    assert_eq!(history(&b), Vec::<String>::new());
    sound(&b);
    let error = verified.err();
    assert!(!error.is_empty());
    imported
}

#[test]
fn damage_and_tricks_change_nothing_here() {
    let a = made();
    a.prov(["bundle", "create", "all.prov"]).ok();
    let bytes = std::fs::read(a.path("all.prov")).unwrap();
    // Each byte counts, but those of the words to people and what fills up blocks.
    let step = bytes.len() / 23;
    for at in (0..23).map(|n| 2048 + n * step).filter(|&at| at < bytes.len() - 2048) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        let b = new();
        b.file("bad.prov", &flipped);
        let imported = b.prov(["--json", "bundle", "import", "bad.prov"]);
        // What fills up a block does not count; else nothing may come of it.
        assert!(imported.code == 0 || history(&b).is_empty(), "byte {at}: {imported}");
        if imported.code == 0 {
            assert_eq!(history(&b), history(&a));
        }
        sound(&b);
    }
    for len in [0, 100, 512, 1024, 5000, bytes.len() / 2, bytes.len() - 1024] {
        refused(&bytes[..len]);
    }
    refused(b"not a bundle at all");
    refused(&vec![0; 4096]);
    // A name that leads elsewhere, and a file that is there twice.
    let header = |name: &str| {
        let mut block = bytes[..512].to_vec();
        block[..100].fill(0);
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..136].copy_from_slice(b"00000000000\0");
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    };
    for name in [
        "prov-bundle/packs/../../x",
        "/etc/passwd",
        "prov-bundle/other/x",
        "prov-bundle/format",
        "prov-bundle/packs/.x",
    ] {
        let mut tricked = header(name);
        tricked.extend_from_slice(&bytes);
        refused(&tricked);
    }
    let _ = schema::faults("bundle", &serde_json::json!({}));
}
