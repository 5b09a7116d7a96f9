//! Garbage: said, then taken away.

use crate::project::{project, read};
use crate::schema;

/// Bytes that no compression makes short.
fn noise(mut state: u64, len: usize) -> Vec<u8> {
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .collect()
}

#[test]
fn what_nothing_leads_to_goes_and_recorded_content_stays() {
    let sandbox = project();
    sandbox.file("kept.bin", noise(1, 600_000)).file("staged.bin", noise(2, 600_000));
    sandbox.prov(["commit", "kept.bin", "-m", "kept"]).ok();
    sandbox.prov(["add", "staged.bin"]).ok();
    // Staged again with other bytes: nothing leads to the first ones any more.
    sandbox.file("staged.bin", noise(3, 600_000));
    sandbox.prov(["add", "staged.bin"]).ok();

    let plan = sandbox.prov(["--json", "gc", "-n"]).ok().json();
    schema::assert_valid("gc", &plan);
    assert_eq!(plan["dry_run"], true);
    assert_eq!(plan["items"].as_array().unwrap().len(), 1, "{plan}");
    assert!(plan["items"][0]["reason"].as_str().unwrap().contains("leads to"), "{plan}");

    let done = sandbox.prov(["--json", "gc"]).ok().json();
    schema::assert_valid("gc", &done);
    assert!(done["bytes"].as_i64().unwrap() >= 600_000, "{done}");
    sandbox.prov(["fsck"]).ok();
    prov::fs::Fs::real().remove_file(&sandbox.path("kept.bin")).unwrap();
    sandbox.prov(["restore", "kept"]).ok();
    assert_eq!(std::fs::read(sandbox.path("kept.bin")).unwrap(), noise(1, 600_000));
    sandbox.prov(["commit", "-m", "staged"]).ok();
    sandbox.prov(["fsck"]).ok();
    let nothing = sandbox.prov(["--json", "gc"]).ok().json();
    assert_eq!(nothing["items"].as_array().unwrap().len(), 0, "{nothing}");
}

#[test]
fn results_and_logs_and_marks_survive_a_collection() {
    let sandbox = project();
    for n in 0..40 {
        let line = format!("echo {n} > out; echo said {n}");
        sandbox.prov(["run", "--name", "gen", "-o", "out", "--code", "none", "--", "sh", "-c", &line]).ok();
    }
    sandbox.prov(["hide", "@last"]).ok();
    sandbox.prov(["gc", "--orphans"]).ok();
    sandbox.prov(["fsck"]).ok();
    let again = ["--json", "run", "--name", "gen", "-o", "out", "--code", "none", "--", "sh", "-c"];
    let hit = sandbox.prov(again.iter().copied().chain(["echo 3 > out; echo said 3"])).ok();
    assert_eq!(hit.json()["cache"]["outcome"], "hit");
    assert_eq!(read(&sandbox, "out"), "3\n");
    assert!(hit.err().contains("said 3"));
}

#[test]
fn what_a_command_read_from_standard_input_survives_a_collection() {
    let sandbox = project();
    sandbox.file("words.bin", noise(5, 600_000));
    sandbox.prov(["run", "--stdin", "words.bin", "--", "wc", "-c"]).ok();
    let id = sandbox.prov(["--json", "id", "words.bin"]).ok().json()["id"].as_str().unwrap().to_owned();
    sandbox.prov(["gc"]).ok();
    assert_eq!(sandbox.prov(["cat", &id]).ok().stdout, noise(5, 600_000));
}
