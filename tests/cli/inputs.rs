//! What can be an input, and when a change of it is a miss.

use serde_json::{Value, json};

use crate::project::{self, Ran, exists, project, read, remove, rename, run, why};
use crate::sandbox::Sandbox;
use crate::schema;

/// Three tables and a file that is none.
fn tables() -> Sandbox {
    let sandbox = project();
    sandbox.file("data/a.csv", "1\n").file("data/b.csv", "2\n").file("data/c.csv", "3\n").file("data/notes.txt", "x");
    sandbox
}

const CAT: [&str; 5] = ["-o", "out", "--code", "none", "--"];

fn sum(sandbox: &Sandbox, input: &[&str]) -> Ran {
    run(sandbox, input.iter().chain(&CAT).chain(&["sh", "-c", "cat data/*.csv > out"]))
}

/// The parts that a miss names, without those of the command's code.
fn parts(ran: &Ran) -> Vec<String> {
    ran.parts().into_iter().map(ToOwned::to_owned).collect()
}

#[test]
fn a_glob_is_one_input_for_each_file_and_every_change_names_the_file() {
    let sandbox = tables();
    let glob = ["-i", "data/*.csv"];
    let first = sum(&sandbox, &glob).misses();
    let keys: Vec<&String> = first.json["inputs"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["a", "b", "c"]);
    assert_eq!(first.json["inputs"]["b"]["path"], "data/b.csv");
    sum(&sandbox, &glob).hits();
    sandbox.file("data/notes.txt", "y");
    sum(&sandbox, &glob).hits();
    sandbox.file("data/d.csv", "4\n");
    assert_eq!(parts(&sum(&sandbox, &glob).misses()), ["inputs.d"]);
    rename(&sandbox, "data/d.csv", "data/e.csv");
    // The nearest recipe is the one with a, b and c alone.
    assert_eq!(parts(&sum(&sandbox, &glob).misses()), ["inputs.e"]);
    remove(&sandbox, "data/e.csv");
    sum(&sandbox, &glob).hits();
    sandbox.file("data/b.csv", "changed\n");
    assert_eq!(parts(&sum(&sandbox, &glob).misses()), ["inputs.b"]);
}

#[test]
fn a_glob_with_a_key_is_one_set_whose_files_are_named() {
    let sandbox = tables();
    let cat = |more: &[&str]| {
        run(
            &sandbox,
            more.iter().chain(&[
                "-i",
                "all=data/*.csv",
                "-o",
                "out",
                "--code",
                "none",
                "--",
                "sh",
                "-c",
                "cat \"$@\" > out",
                "sh",
                "{input.all}",
            ]),
        )
    };
    let first = cat(&[]).misses();
    assert_eq!(read(&sandbox, "out"), "1\n2\n3\n", "the placeholder becomes one word for each file");
    assert_eq!(first.json["inputs"].as_object().unwrap().len(), 1);
    assert_eq!(first.json["inputs"]["all"]["path"], "data/*.csv");
    cat(&[]).hits();
    sandbox.file("data/b.csv", "9\n");
    let changed = cat(&[]).misses();
    assert_eq!(parts(&changed), ["inputs.all/b.csv"]);
    assert!(changed.json["cache"]["reasons"][0]["before"].as_str().unwrap().starts_with("file "));
    rename(&sandbox, "data/b.csv", "data/bb.csv");
    assert_eq!(parts(&cat(&[]).misses()), ["inputs.all/b.csv", "inputs.all/bb.csv"]);
    let swapped = tables();
    let plan = |sandbox: &Sandbox| {
        let words = ["--json", "plan", "run", "-i", "all=data/*.csv", "-o", "out", "--code", "none", "--", "true"];
        sandbox.prov(words).ok().json()["recipe"].clone()
    };
    let before = plan(&swapped);
    rename(&swapped, "data/a.csv", "data/x");
    rename(&swapped, "data/b.csv", "data/a.csv");
    rename(&swapped, "data/x", "data/b.csv");
    assert_ne!(plan(&swapped), before, "swapped files are another set");
    // The files are kept, and can be had back below a folder.
    sandbox.prov(["restore", "@last:all"]).ends(7);
    sandbox.prov(["restore", "@last:all", "--to", "back"]).ok();
    assert_eq!(read(&sandbox, "back/bb.csv"), "9\n");
    sandbox.prov(["fsck"]).ok();
}

#[test]
fn a_set_is_no_part_of_a_word_and_does_not_hide_the_code_beside_it() {
    let sandbox = project();
    sandbox.file("a.csv", "1\n").file("sum.sh", "cat a.csv > out\n");
    let go = || run(&sandbox, ["-i", "all=*.csv", "-o", "out", "--", "sh", "sum.sh"]);
    go().misses();
    go().hits();
    sandbox.file("sum.sh", "cat a.csv a.csv > out\n");
    assert_eq!(parts(&go().misses()), ["code.sum.sh"]);
    let bad = sandbox.prov(["run", "-i", "all=*.csv", "-o", "out", "--", "cat", "--in={input.all}"]).ends(125);
    assert!(bad.err().contains("set of files"), "{bad}");
}

#[test]
fn what_outputs_are_is_no_input_of_a_glob_and_what_appears_meanwhile_unseals() {
    let sandbox = tables();
    let words = ["-i", "data/*.csv", "-o", "data/sum.csv", "--code", "none", "--"];
    let go = || run(&sandbox, words.iter().chain(&["sh", "-c", "cat data/[a-c].csv > data/sum.csv"]));
    go().misses();
    assert!(!go().hits().json["inputs"].as_object().unwrap().contains_key("sum"));
    let loud = run(
        &sandbox,
        ["-i", "data/*.csv", "-o", "out", "--code", "none", "--", "sh", "-c", "echo > data/z.csv; echo > out"],
    );
    assert_eq!((&loud.json["sealed"], loud.status()), (&json!(false), "success"));
    assert!(loud.json["unsealed"][0].as_str().unwrap().contains("data/z.csv"), "{:#}", loud.json["unsealed"]);
}

#[test]
fn a_glob_without_files_and_two_files_with_one_key_are_told() {
    let sandbox = tables();
    let none = sandbox.prov(["run", "-i", "data/*.parquet", "-o", "out", "--", "true"]).ends(125);
    assert!(none.err().contains("no file matches"), "{none}");
    sandbox.file("more/a.csv", "x");
    let two = sandbox.prov(["run", "-i", "*/*.csv", "-o", "out", "--", "true"]).ends(125);
    assert!(two.err().contains("-i KEY='*/*.csv'"), "{two}");
    // A file of that very name is that file.
    sandbox.file("odd[1].csv", "x");
    let odd =
        run(&sandbox, ["-i", "odd[1].csv", "-o", "out", "--code", "none", "--", "sh", "-c", "echo > out"]).misses();
    assert_eq!(odd.json["inputs"]["odd_1_"]["path"], "odd[1].csv");
}

#[test]
fn that_an_optional_input_is_absent_is_a_fact() {
    let sandbox = project();
    let go = |more: &[&str]| {
        run(
            &sandbox,
            more.iter().chain(&[
                "-o",
                "out",
                "--code",
                "none",
                "--",
                "sh",
                "-c",
                "cat extra > out 2> /dev/null || echo none > out",
            ]),
        )
    };
    let optional = ["--input-optional", "extra"];
    go(&[]).misses();
    let absent = go(&optional).misses();
    assert_eq!(parts(&absent), ["inputs.extra"], "it is not the recipe that declares nothing");
    assert_eq!(
        (&absent.json["inputs"]["extra"]["path"], &absent.json["inputs"]["extra"]["size"]),
        (&json!("extra"), &json!(0))
    );
    go(&optional).hits();
    sandbox.file("extra", "here\n");
    let there = go(&optional).misses();
    let reason = &there.json["cache"]["reasons"][0];
    assert_eq!(
        (&reason["part"], &reason["kind"], &reason["before"]),
        (&json!("inputs.extra"), &json!("added"), &json!("absent"))
    );
    assert_eq!(read(&sandbox, "out"), "here\n");
    remove(&sandbox, "extra");
    go(&optional).hits();
    assert_eq!(read(&sandbox, "out"), "none\n");
    let appears = run(
        &sandbox,
        ["--input-optional", "late", "-o", "out", "--code", "none", "--", "sh", "-c", "echo > late; echo > out"],
    );
    assert_eq!(appears.json["sealed"], false);
    sandbox.prov(["run", "-i", "late.csv", "-o", "out", "--", "true"]).ends(125);
}

#[test]
fn all_outputs_of_a_run_are_inputs_by_key() {
    let sandbox = project();
    run(
        &sandbox,
        [
            "--name",
            "make",
            "-o",
            "m/a.txt",
            "-o",
            "m/b.txt",
            "--code",
            "none",
            "--",
            "sh",
            "-c",
            "mkdir -p m; echo 1 > m/a.txt; echo 2 > m/b.txt",
        ],
    )
    .misses();
    let use_it = |more: &[&str]| {
        run(
            &sandbox,
            more.iter().chain(&["-o", "out", "--code", "none", "--", "sh", "-c", "cat m/a.txt m/b.txt > out"]),
        )
    };
    let used = use_it(&["-i", "make:*"]).misses();
    let inputs = used.json["inputs"].as_object().unwrap();
    assert_eq!(inputs.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((&inputs["a"]["path"], &inputs["a"]["linked_by"]), (&json!("m/a.txt"), &json!("declared")));
    remove(&sandbox, "m");
    use_it(&["-i", "make:*"]).hits();
    let again = use_it(&["-f", "-i", "make:*"]).misses();
    assert_eq!(
        (read(&sandbox, "out").as_str(), again.status()),
        ("1\n2\n", "success"),
        "they were put where they were recorded"
    );
    let keys = use_it(&["-i", "x=make:*"]).misses();
    assert_eq!(keys.json["inputs"].as_object().unwrap().keys().collect::<Vec<_>>(), ["x_a", "x_b"]);
}

#[test]
fn two_results_of_one_path_are_given_side_by_side_and_nothing_is_overwritten() {
    let sandbox = project();
    let make = |value: &str| {
        run(
            &sandbox,
            [
                "--name",
                "fit",
                "-o",
                "model",
                "--code",
                "none",
                "-S",
                &format!("v={value}"),
                "--",
                "sh",
                "-c",
                "echo $1 > model",
                "sh",
                "{set.v}",
            ],
        )
        .misses()
    };
    let (first, second) = (make("1"), make("2"));
    sandbox.file("model", "mine\n");
    let (old, new) = (format!("old={}:model", first.id()), format!("new={}:model", second.id()));
    let diff = ["-i", &old, "-i", &new, "-o", "out", "--code", "none", "--"];
    let go = |command: &[&str]| run(&sandbox, diff.iter().chain(command));
    let compared = go(&["sh", "-c", "cat \"$1\" \"$PROV_INPUT_NEW\" > out", "sh", "{input.old}"]).misses();
    assert_eq!((read(&sandbox, "out").as_str(), read(&sandbox, "model").as_str()), ("1\n2\n", "mine\n"));
    assert_eq!(compared.json["inputs"]["old"]["path"], "model");
    assert_eq!(compared.json["inputs"]["old"]["producer"]["run"], first.json["run"]);
    go(&["sh", "-c", "cat \"$1\" \"$PROV_INPUT_NEW\" > out", "sh", "{input.old}"]).hits();
    // A command that is not given them by key would read what lies there: that is refused.
    let by_heart = sandbox.prov(["run"].iter().chain(&diff).chain(&["sh", "-c", "cat model > out"])).ends(125);
    assert!(by_heart.err().contains("{input.old}"), "{by_heart}");
    // A copy that was changed is no longer the content, and is made again.
    let own = sandbox.path(".prov/cache/inputs");
    let fs = prov::fs::Fs::real();
    for (path, stat) in fs.walk(&own).map(Result::unwrap) {
        if stat.is_file() {
            fs.replace(&path, b"spoilt\n", false).unwrap();
        }
    }
    remove(&sandbox, "out");
    run(
        &sandbox,
        ["-f"].iter().chain(&diff).chain(&["sh", "-c", "cat \"$1\" \"$PROV_INPUT_NEW\" > out", "sh", "{input.old}"]),
    )
    .misses();
    assert_eq!(read(&sandbox, "out"), "1\n2\n");
}

#[test]
fn an_earlier_version_of_an_output_can_be_its_input() {
    let sandbox = project();
    let make = ["--name", "fit", "-o", "model", "--code", "none", "--"];
    let first = run(&sandbox, make.iter().chain(&["sh", "-c", "echo 1 > model"])).misses();
    let before = format!("before={}:model", first.id());
    let more = [
        "-i",
        &before,
        "--name",
        "fit",
        "-o",
        "model",
        "--code",
        "none",
        "--",
        "sh",
        "-c",
        "cat \"$1\" > model; echo 2 >> model",
        "sh",
        "{input.before}",
    ];
    run(&sandbox, more).misses();
    assert_eq!(read(&sandbox, "model"), "1\n2\n");
    run(&sandbox, more).hits();
}

#[test]
fn content_of_the_store_is_an_input_by_its_id() {
    let sandbox = project();
    sandbox.file("a.txt", "hello\n");
    sandbox.prov(["commit", "a.txt", "-m", "x"]).ok();
    let id = sandbox.prov(["--json", "id", "a.txt"]).ok().json()["id"].as_str().unwrap().to_owned();
    remove(&sandbox, "a.txt");
    let go = |input: &str| run(&sandbox, ["-i", input, "-o", "out", "--code", "none", "--", "cp", "{input.x}", "out"]);
    go(&format!("x={id}")).misses();
    assert_eq!(read(&sandbox, "out"), "hello\n");
    sandbox.file("b.txt", "hello\n");
    go("x=b.txt").hits();
}

#[test]
fn mounts_name_places_and_identify_nothing() {
    let sandbox = project();
    let (here, there) = (sandbox.path("../here"), sandbox.path("../there"));
    let fs = prov::fs::Fs::real();
    for folder in [&here, &there] {
        fs.make_dirs(&folder.join("in")).unwrap();
        fs.replace(&folder.join("in/raw.csv"), b"1\n", false).unwrap();
    }
    let mount = |folder: &std::path::Path| {
        sandbox.file("prov.toml", format!("[mounts]\nsurvey = {:?}\n", folder.to_str().unwrap()));
    };
    mount(&here);
    let go =
        |input: &str| run(&sandbox, ["-i", input, "-o", "out", "--code", "none", "--", "cp", "{input.raw}", "out"]);
    let first = go(&format!("{}/in/raw.csv", here.canonicalize().unwrap().display())).misses();
    assert_eq!(first.json["inputs"]["raw"]["path"], "survey://in/raw.csv");
    go("survey://in/raw.csv").hits();
    mount(&there);
    let other = go("survey://in/raw.csv").hits();
    assert_eq!(other.json["inputs"]["raw"]["path"], "survey://in/raw.csv", "found on another machine by its name");
    let globbed = go("survey://in/*.csv").hits();
    assert_eq!(globbed.json["inputs"]["raw"]["path"], "survey://in/raw.csv");
    fs.replace(&there.join("in/raw.csv"), b"2\n", false).unwrap();
    assert_eq!(parts(&go("survey://in/raw.csv").misses()), ["inputs.raw"]);
    let unknown = sandbox.prov(["run", "-i", "surveys://in/raw.csv", "-o", "out", "--", "true"]).ends(125);
    assert!(unknown.err().contains("no mount `surveys`") && unknown.err().contains("survey"), "{unknown}");
    let out = sandbox.prov(["run", "-i", "survey://../x", "-o", "out", "--", "true"]).ends(125);
    assert!(out.err().contains("out of its mount"), "{out}");
}

#[test]
fn inputs_can_be_listed_in_a_file() {
    let sandbox = tables();
    sandbox.file("list", "data/a.csv\n\nsecond=data/b.csv\n");
    let listed = sum(&sandbox, &["--inputs-from", "list", "-i", "data/c.csv"]).misses();
    assert_eq!(listed.json["inputs"].as_object().unwrap().keys().collect::<Vec<_>>(), ["a", "c", "second"]);
    sandbox.prov(["run", "--inputs-from", "none", "-o", "out", "--", "true"]).ends(125);
}

#[test]
fn each_of_many_inputs_counts_whether_it_is_known_or_new() {
    let sandbox = project();
    let mut list = String::new();
    for n in 100..200 {
        sandbox.file(format!("data/f{n}.csv"), format!("{n}\n"));
        list += &format!("data/f{n}.csv\n");
    }
    sandbox.file("many", list).file("step.sh", "cat data/*.csv | wc -c >out\n");
    let go = || run(&sandbox, ["--inputs-from", "many", "-o", "out", "--", "sh", "step.sh"]);
    go().misses();
    for key in ["f100", "f163", "f199"] {
        go().hits();
        // As long as it was.
        sandbox.file(format!("data/{key}.csv"), "new\n");
        assert_eq!(parts(&go().misses()), [format!("inputs.{key}")]);
    }
    go().hits();
    // What they are counted with is listed beside them.
    sandbox.file("step.sh", "cat data/*.csv | wc -l >out\n");
    assert_eq!(parts(&go().misses()), ["code.step.sh"]);
    remove(&sandbox, "data/f170.csv");
    let words = ["run", "--inputs-from", "many", "-o", "out", "--", "sh", "step.sh"];
    assert!(sandbox.prov(words).ends(125).err().contains("data/f170.csv"));
    sandbox.file("data/f170.csv/in", "a folder\n");
    assert_eq!(parts(&go()), ["inputs.f170"]);
}

#[test]
fn what_changed_in_an_input_folder_is_named_though_the_command_removes_it() {
    let sandbox = tables();
    let run = || {
        let out = sandbox.prov([
            "--json",
            "run",
            "--name",
            "eat",
            "-i",
            "data",
            "-o",
            "out",
            "--",
            "sh",
            "-c",
            "rm -r data; echo x >out",
        ]);
        out.ends(0).json()
    };
    run();
    for (name, text) in [("a", "1\n"), ("b", "20\n"), ("c", "3\n")] {
        sandbox.file(format!("data/{name}.csv"), text);
    }
    let first = run();
    for (name, text) in [("a", "1\n"), ("b", "21\n"), ("c", "3\n")] {
        sandbox.file(format!("data/{name}.csv"), text);
    }
    let changed = run();
    let parts = |run: &serde_json::Value| -> Vec<String> {
        let reasons = run["cache"]["reasons"].as_array().unwrap();
        reasons.iter().map(|reason| reason["part"].as_str().unwrap().to_owned()).collect()
    };
    assert!(parts(&first).contains(&"inputs.data/b.csv".to_owned()), "{first}");
    assert_eq!(parts(&changed), ["inputs.data/b.csv"]);
}

#[test]
fn files_of_an_input_folder_are_named_when_they_change_swap_or_move() {
    let sandbox = tables();
    let folder = ["-i", "data"];
    sum(&sandbox, &folder).misses();
    sandbox.file("data/b.csv", "20\n");
    assert_eq!(parts(&sum(&sandbox, &folder).misses()), ["inputs.data/b.csv"]);
    rename(&sandbox, "data/c.csv", "data/d.csv");
    let renamed = sum(&sandbox, &folder).misses();
    assert_eq!(parts(&renamed), ["inputs.data/c.csv", "inputs.data/d.csv"]);
    let plan = sandbox
        .prov([
            "--json",
            "plan",
            "run",
            "-i",
            "data",
            "-o",
            "out",
            "--code",
            "none",
            "--",
            "sh",
            "-c",
            "cat data/*.csv > out",
        ])
        .ok()
        .json();
    assert_eq!(plan["outcome"], "hit");
    rename(&sandbox, "data/a.csv", "data/x");
    rename(&sandbox, "data/b.csv", "data/a.csv");
    rename(&sandbox, "data/x", "data/b.csv");
    // Before the fact, without anything stored.
    let words = [
        "why",
        "--candidates",
        "2",
        "--",
        "run",
        "-i",
        "data",
        "-o",
        "out",
        "--code",
        "none",
        "--",
        "sh",
        "-c",
        "cat data/*.csv > out",
    ];
    let before = sandbox.prov(["--json"].iter().chain(&words)).ok().json();
    schema::assert_valid("why", &before);
    let named: Vec<&Value> = before["reasons"].as_array().unwrap().iter().map(|one| &one["part"]).collect();
    assert_eq!(named, ["inputs.data/a.csv", "inputs.data/b.csv"]);
    assert_eq!(before["candidates"].as_array().unwrap().len(), 2);
    let swapped = sum(&sandbox, &folder).misses();
    assert_eq!(parts(&swapped), ["inputs.data/a.csv", "inputs.data/b.csv"]);
    assert_eq!(why(&sandbox, swapped.id())["reasons"], swapped.json["cache"]["reasons"]);
}

#[test]
fn a_mode_that_forbids_to_look_up_is_told_with_what_it_would_have_saved() {
    let sandbox = tables();
    sum(&sandbox, &["-i", "data/a.csv"]).misses();
    let words = [
        "--json",
        "why",
        "--",
        "run",
        "-f",
        "-i",
        "data/a.csv",
        "-o",
        "out",
        "--code",
        "none",
        "--",
        "sh",
        "-c",
        "cat data/*.csv > out",
    ];
    let document = sandbox.prov(words).ok().json();
    schema::assert_valid("why", &document);
    assert_eq!((&document["outcome"], &document["reasons"][0]["kind"]), (&json!("off"), &json!("policy")));
    assert!(document["forbidden"].is_string() && document["estimate_ms"].is_u64(), "{document:#}");
}

#[test]
fn a_changed_parameter_whose_middle_file_comes_out_equal_leaves_the_rest_a_hit() {
    let sandbox = project();
    sandbox.file("raw", "5\n7\n");
    let middle = |limit: &str| {
        run(
            &sandbox,
            [
                "-i",
                "raw",
                "-o",
                "mid",
                "--code",
                "none",
                "-S",
                &format!("limit={limit}"),
                "--",
                "awk",
                "-v",
                "limit={set.limit}",
                "$1 < limit { print > \"mid\" }",
                "raw",
            ],
        )
    };
    let last = || run(&sandbox, ["-i", "mid", "-o", "end", "--code", "none", "--", "sh", "-c", "wc -l < mid > end"]);
    middle("10").misses();
    last().misses();
    assert_eq!(parts(&middle("20").misses()), ["config.limit"]);
    let hit = last().hits();
    assert_eq!(hit.json["inputs"]["mid"]["producer"]["candidates"].as_array().unwrap().len(), 1, "both runs made it");
    middle("6").misses();
    assert_eq!(parts(&last().misses()), ["inputs.mid"]);
}

#[test]
fn damaged_content_is_a_miss_with_the_reason_and_is_made_again() {
    let sandbox = project();
    let text = project::noise(400_000);
    sandbox.file("in.txt", &text);
    let go =
        || run(&sandbox, ["-i", "in.txt", "-o", "out", "--code", "none", "--", "sh", "-c", "tr y z < in.txt > out"]);
    go().misses();
    // The input and the output are of one size: both are spoilt.
    for pack in std::fs::read_dir(sandbox.path(".prov/store/packs")).unwrap() {
        let pack = pack.unwrap().path();
        let mut bytes = std::fs::read(&pack).unwrap();
        let quarter = bytes.len() / 4;
        for at in [quarter, quarter * 3] {
            bytes[at] ^= 1;
        }
        prov::fs::Fs::real().replace(&pack, &bytes, false).unwrap();
    }
    go().hits();
    remove(&sandbox, "out");
    let made = go().misses();
    assert_eq!(
        (&made.json["cache"]["reasons"][0]["part"], &made.json["cache"]["reasons"][0]["kind"]),
        (&json!("outputs.out"), &json!("outputs_lost"))
    );
    assert_eq!(read(&sandbox, "out"), text.replace('y', "z"));
}

#[test]
fn fifty_jobs_with_one_command_in_fifty_folders_are_all_recorded() {
    let sandbox = project();
    let jobs: Vec<String> = (0..50).map(|n| format!("job{n:02}")).collect();
    for job in &jobs {
        sandbox.file(format!("{job}/in"), "same\n");
    }
    let command = |job: &str| {
        let mut command = sandbox.command([
            "-q", "run", "--name", "job", "-i", "in", "-o", "out", "--code", "none", "--", "cp", "in", "out",
        ]);
        command.current_dir(sandbox.path(job));
        command
    };
    for expected in ["miss", "hit"] {
        let children: Vec<_> = jobs.iter().map(|job| command(job).spawn().unwrap()).collect();
        for child in children {
            sandbox.finished(child).ok();
        }
        let log = sandbox.prov(["--json", "log", "--all", "--step", "job"]).ok().json();
        let runs = log["runs"].as_array().unwrap();
        let found = runs.iter().filter(|run| run["cache"] == expected).count();
        assert_eq!(found, 50, "{expected}");
        for job in &jobs {
            assert_eq!(read(&sandbox, format!("{job}/out")), "same\n");
            if expected == "miss" {
                remove(&sandbox, format!("{job}/out"));
            }
        }
    }
    assert!(!exists(&sandbox, "out"));
    let _ = project::why(&sandbox, "@last");
}

#[test]
fn a_set_that_a_run_made_is_an_input_that_leaves_the_code_beside_it_code() {
    let sandbox = project();
    sandbox.file("parts/sum.sh", "cat parts/*.txt > out\n");
    let made = ["--name", "make", "--output-set", "parts=parts:*.txt", "--code", "none", "--"];
    run(&sandbox, made.iter().chain(&["sh", "-c", "echo 1 > parts/a.txt; echo 2 > parts/b.txt"])).misses();
    let go = || run(&sandbox, ["-i", "make:parts", "-o", "out", "--", "sh", "parts/sum.sh"]);
    go().misses();
    assert_eq!(read(&sandbox, "out"), "1\n2\n");
    go().hits();
    sandbox.file("parts/sum.sh", "cat parts/a.txt > out\n");
    assert_eq!(parts(&go().misses()), ["code.parts/sum.sh"]);
    sandbox.file("parts/a.txt", "mine\n");
    sandbox.prov(["run", "-i", "make:parts", "-o", "out", "--", "sh", "parts/sum.sh"]).ends(125);
    let words = ["-i", "p=make:parts", "-o", "out", "--code", "none", "--", "sh", "-c", "cat \"$@\" > out", "sh"];
    run(&sandbox, words.iter().chain(&["{input.p}"])).misses();
    assert_eq!((read(&sandbox, "out").as_str(), read(&sandbox, "parts/a.txt").as_str()), ("1\n2\n", "mine\n"));
}
