//! Output sets: some files of a folder as one output.

use serde_json::{Value, json};

use crate::project::{exists, project, read, remove, run};
use crate::sandbox::Sandbox;
use crate::schema;

/// Writes one file for each year that its words name, into the folder that the first one names.
const YEARS: &str = "d=$1\nshift\nmkdir -p \"$d\"\nfor y; do echo \"year $y\" > \"$d/annual_$y.csv\"; done\necho log > \"$d/run.log\"\n";

fn years() -> Sandbox {
    let sandbox = project();
    sandbox.file("years.sh", YEARS);
    sandbox
}

const SET: &str = "annual=out:annual_{year:int}.csv";

fn make<'a>(years: &[&'a str]) -> Vec<&'a str> {
    ["--output-set", SET, "--", "sh", "years.sh", "out"].iter().chain(years).copied().collect()
}

fn members(json: &Value, key: &str) -> Vec<String> {
    let all = json["outputs"][key]["members"].as_array().unwrap();
    all.iter().map(|member| member["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn members_are_found_by_pattern_and_say_what_their_names_say() {
    let sandbox = years();
    sandbox.file("out/notes.txt", "mine").file("out/annual_final.csv", "mine");
    let made = run(&sandbox, make(&["2030", "2020"])).misses();
    assert_eq!(members(&made.json, "annual"), ["annual_2020.csv", "annual_2030.csv"]);
    let first = &made.json["outputs"]["annual"]["members"][0];
    assert_eq!(first["facets"], json!({"year": 2020}));
    assert_eq!(made.json["outputs"]["annual"]["set"]["include"], json!(["annual_{year:int}.csv"]));
    assert_eq!(read(&sandbox, "out/notes.txt"), "mine");
    assert_eq!(read(&sandbox, "out/annual_final.csv"), "mine", "no member: `final` is no number");

    let shown = sandbox.prov(["show", "@last"]).ok().out();
    assert!(shown.contains("set of annual_{year:int}.csv: 2 files"), "{shown}");
    assert!(shown.contains("year: 2020"), "{shown}");
    let document = sandbox.prov(["--json", "show", "@last"]).ok().json();
    schema::assert_valid("show", &document);
    assert_eq!(members(&document["run"], "annual").len(), 2);
    // A member is known by its content and its place.
    let id = sandbox.prov(["id", "out/annual_2020.csv"]).ok().out();
    assert!(id.contains("annual"), "{id}");
    sandbox.prov(["status", "--exit-code"]).ok();
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn what_the_command_did_not_write_is_no_member() {
    let sandbox = years();
    sandbox.file("out/annual_1999.csv", "stale").file("out/sub/annual_1998.csv", "deeper");
    let made = run(&sandbox, make(&["2020"])).misses();
    assert_eq!(members(&made.json, "annual"), ["annual_2020.csv"]);
    assert!(!exists(&sandbox, "out/annual_1999.csv"));
    assert!(exists(&sandbox, "out/sub/annual_1998.csv"));
    // It was stored before it was removed.
    let displaced = &made.json["displaced"][0];
    assert!(displaced["path"].as_str().unwrap().ends_with("/out"));
    let id = displaced["id"].as_str().unwrap();
    sandbox.prov(["restore", id, "--to", "back"]).ok();
    assert_eq!(read(&sandbox, format!("back/{id}/annual_1999.csv")), "stale");
}

#[test]
fn a_hit_makes_the_set_what_it_was_and_leaves_the_rest_alone() {
    let sandbox = years();
    run(&sandbox, make(&["2020", "2021"])).misses();
    run(&sandbox, make(&["2020", "2022"])).misses();
    sandbox.file("out/notes.txt", "mine").file("out/annual_2021.csv", "edited");
    remove(&sandbox, "out/annual_2020.csv");
    let hit = run(&sandbox, make(&["2020", "2021"])).hits();
    assert_eq!(hit.action("annual"), "restored");
    assert_eq!(read(&sandbox, "out/annual_2020.csv"), "year 2020\n");
    assert_eq!(read(&sandbox, "out/annual_2021.csv"), "year 2021\n");
    assert!(!exists(&sandbox, "out/annual_2022.csv"), "what is no member of this result goes");
    assert_eq!(read(&sandbox, "out/notes.txt"), "mine");
    assert_eq!(hit.json["displaced"].as_array().unwrap().len(), 1, "the edited file alone was unknown");
    let again = run(&sandbox, make(&["2020", "2021"])).hits();
    assert_eq!(again.action("annual"), "kept");
}

#[test]
fn the_patterns_are_part_of_the_recipe_and_their_order_is_not() {
    let sandbox = years();
    let with = |sets: &[&str]| {
        let words = sets.iter().flat_map(|set| ["--output-set", set]);
        run(&sandbox, words.chain(["--", "sh", "years.sh", "out", "2020"]))
    };
    with(&["a=out:annual_*.csv", "a=out:*.log"]).misses();
    with(&["a=out:*.log", "a=out:annual_*.csv"]).hits();
    let other = with(&["a=out:*", "a=out:!*.log"]).misses();
    assert_eq!(other.parts(), ["outputs.a.files"]);
    assert_eq!(members(&other.json, "a"), ["annual_2020.csv"]);
}

#[test]
fn other_files_of_the_folder_stay_code_and_inputs() {
    let sandbox = project();
    sandbox
        .file("work/params.toml", "a = 0")
        .file("work/raw.csv", "r")
        .file("go.sh", "cat work/params.toml > work/o_1.toml");
    let words = ["--output-set", "o=work:o_{n:int}.toml", "-i", "work/raw.csv", "--", "sh", "go.sh"];
    run(&sandbox, words).misses();
    run(&sandbox, words).hits();
    // The members are no code, their neighbour is.
    sandbox.file("work/params.toml", "a = 1");
    assert_eq!(run(&sandbox, words).misses().parts(), ["code.work/params.toml"]);
    sandbox.file("work/raw.csv", "s");
    assert_eq!(run(&sandbox, words).misses().parts(), ["inputs.raw"]);
    sandbox.file("other.sh", "echo > x");
    run(&sandbox, ["-o", "x", "--", "sh", "other.sh"]).misses();
    sandbox.file("work/o_1.toml", "edited = 1");
    run(&sandbox, ["-o", "x", "--", "sh", "other.sh"]).hits();
}

#[test]
fn what_is_read_can_be_no_member() {
    let sandbox = project();
    sandbox.file("d/a.csv", "a").file("d/go.sh", "true");
    for words in [
        vec!["-i", "d/a.csv", "--output-set", "o=d:*.csv"],
        vec!["-i", "d", "--output-set", "o=d:x*"],
        vec!["--stdin", "d/a.csv", "--output-set", "o=d:*.csv"],
        vec!["--output-set", "o=d:*.sh"],
        vec!["--output-set", "o=d"],
        vec!["--output-set", "o=d:!*.csv"],
        vec!["--output-set", "o=d:{x:what}.csv"],
        vec!["--output-set", "o=.git:*"],
        vec!["--output-set", "o=d:x", "--in-place", "o"],
    ] {
        let all = ["run"].into_iter().chain(words.clone()).chain(["--", "sh", "d/go.sh"]);
        sandbox.prov(all).ends(125);
        assert_eq!(read(&sandbox, "d/a.csv"), "a", "{words:?}");
    }
    // The same with the member left out.
    sandbox.file("d/go.sh", "echo > d/b.csv");
    run(&sandbox, ["-i", "d/a.csv", "--output-set", "o=d:*.csv", "--output-set", "o=d:!a.csv", "--", "sh", "d/go.sh"])
        .misses();
}

#[test]
fn links_contradictions_and_an_empty_set_fail_the_run() {
    let sandbox = project();
    sandbox.file("link.sh", "mkdir -p o; echo > o/x; ln -s x o/y");
    let failed = run(&sandbox, ["--output-set", "o=o:*", "--", "sh", "link.sh"]);
    assert_eq!((failed.status(), failed.outcome.code), ("failure", 1));
    assert!(failed.json["error"]["message"].as_str().unwrap().contains("symbolic link"), "{}", failed.json["error"]);

    sandbox.file("empty.sh", "true");
    let failed = run(&sandbox, ["--output-set", "o=o2:*", "--", "sh", "empty.sh"]);
    assert_eq!(failed.json["error"]["type"], "output_missing");
}

#[test]
fn a_set_of_the_project_itself_works_from_toml() {
    let sandbox = project();
    sandbox.file("fig.sh", "mkdir -p a/b; echo 1 > a/b/f1.png; echo 2 > f2.png").file(
        "prov.toml",
        "[steps.fig]\ncommand = [\"sh\", \"fig.sh\"]\noutput_set = { figs = [\".:**/f{n:int}.png\", \".:!tmp/**\"] }\n",
    );
    let made = run(&sandbox, ["fig"]).misses();
    assert_eq!(members(&made.json, "figs"), ["a/b/f1.png", "f2.png"]);
    remove(&sandbox, "a");
    run(&sandbox, ["fig"]).hits();
    assert_eq!(read(&sandbox, "a/b/f1.png"), "1\n");
}

#[test]
fn a_set_is_restored_at_its_place_below_a_folder_and_under_a_name() {
    let sandbox = years();
    run(&sandbox, make(&["2020", "2021"])).misses();
    remove(&sandbox, "out");
    sandbox.file("out/notes.txt", "mine").file("out/annual_1990.csv", "unknown");
    // What would be lost is refused, and then nothing is restored.
    let refused = sandbox.prov(["--json", "restore", "@last"]).ends(7).json();
    schema::assert_valid("restore", &refused);
    assert_eq!(refused["items"][0]["result"], "refused");
    assert!(refused["items"][0]["why"].as_str().unwrap().contains("no members"), "{refused}");
    assert!(!exists(&sandbox, "out/annual_2020.csv"));
    let done = sandbox.prov(["--json", "restore", "-f", "@last"]).ok().json();
    assert_eq!((&done["items"][0]["result"], &done["items"][0]["members"]), (&json!("restored"), &json!(2)));
    assert!(exists(&sandbox, "out/annual_2020.csv") && exists(&sandbox, "out/notes.txt"));
    assert!(!exists(&sandbox, "out/annual_1990.csv"));
    sandbox.prov(["restore", "@last", "--to", "elsewhere"]).ok();
    assert_eq!(read(&sandbox, "elsewhere/out/annual_2021.csv"), "year 2021\n");
    sandbox.prov(["restore", "@last:annual", "--to", "named"]).ok();
    assert_eq!(read(&sandbox, "named/annual_2021.csv"), "year 2021\n");
}

#[test]
fn runs_that_write_different_files_of_one_folder_do_not_wait_for_each_other() {
    let sandbox = project();

    // The outer run holds job_1_*, the inner one wants job_2_* and then job_1_*.
    sandbox.file(
        "outer.sh",
        "unset PROV_RUN_ID\n\"$PROV\" run --output-set b=out:job_2_*.csv -- sh -c 'mkdir -p out; echo 2 > out/job_2_x.csv' || exit 9\n\
         \"$PROV\" run --output-set b=out:job_1*.csv -- sh -c 'true' && exit 8\nmkdir -p out; echo 1 > out/job_1_x.csv\n",
    );
    let prov = env!("CARGO_BIN_EXE_prov");
    let env = format!("PROV={prov}");
    run(&sandbox, ["--env", &env, "--output-set", "a=out:job_1_*.csv", "--", "sh", "outer.sh"]).misses();
    assert!(exists(&sandbox, "out/job_1_x.csv") && exists(&sandbox, "out/job_2_x.csv"));
}
