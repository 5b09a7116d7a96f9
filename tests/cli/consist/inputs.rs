//! What a run reads: every byte of it counts under the name that it is given to, and nothing else of it does.

use std::time::{Duration, Instant, SystemTime};

use crate::project::{Ran, exists, project, read, remove, rename, run};
use crate::sandbox::Sandbox;

/// The difference of two inputs, of which one is given as `x` and the other as `y`.
fn difference(sandbox: &Sandbox, x: &str, y: &str) -> Ran {
    let (x, y) = (format!("x={x}"), format!("y={y}"));
    let script = "echo $(( $(cat $PROV_INPUT_X) - $(cat $PROV_INPUT_Y) )) > difference";
    run(sandbox, ["--name", "sub", "-i", &x, "-i", &y, "-o", "difference", "--", "sh", "-c", script])
}

#[test]
fn two_inputs_that_are_swapped_between_their_names_are_another_run() {
    let sandbox = project();
    sandbox.file("ten", "10\n").file("three", "3\n");
    difference(&sandbox, "ten", "three").misses();
    assert_eq!(read(&sandbox, "difference"), "7\n");
    let swapped = difference(&sandbox, "three", "ten").misses();
    assert_eq!((swapped.parts(), read(&sandbox, "difference").as_str()), (vec!["inputs.x", "inputs.y"], "-7\n"));
    difference(&sandbox, "ten", "three").hits();
    assert_eq!(read(&sandbox, "difference"), "7\n");
}

#[test]
fn two_results_of_earlier_runs_that_are_swapped_are_another_run() {
    let sandbox = project();
    for (step, number) in [("ten", "10"), ("three", "3")] {
        let script = format!("echo {number} > {step}");
        run(&sandbox, ["--name", step, "-o", step, "--", "sh", "-c", &script]).misses();
    }
    difference(&sandbox, "ten:ten", "three:three").misses();
    difference(&sandbox, "three:three", "ten:ten").misses();
    assert_eq!(read(&sandbox, "difference"), "-7\n");
}

#[test]
fn words_of_a_command_that_name_swapped_inputs_are_another_run() {
    let sandbox = project();
    sandbox.file("a", "1\n").file("b", "2\n");
    let join = |first: &str, second: &str| {
        run(
            &sandbox,
            ["-i", first, "-i", second, "-o", "out", "--", "sh", "-c", "cat $1 $2 > out", "sh", first, second],
        )
    };
    join("a", "b").misses();
    join("b", "a").misses();
    assert_eq!(read(&sandbox, "out"), "2\n1\n");
    // The bytes change places, the words stay.
    join("a", "b").hits();
    rename(&sandbox, "a", "c");
    rename(&sandbox, "b", "a");
    rename(&sandbox, "c", "b");
    join("a", "b").misses();
    assert_eq!(read(&sandbox, "out"), "2\n1\n");
}

#[test]
fn an_intermediate_file_that_was_edited_is_read_as_it_is_now() {
    let sandbox = project();
    let double = |input: &str| {
        let given = format!("mid={input}");
        run(
            &sandbox,
            ["--name", "b", "-i", &given, "-o", "end", "--", "sh", "-c", "cat $1 $1 > end", "sh", "{input.mid}"],
        )
    };
    run(&sandbox, ["--name", "a", "-o", "mid", "--", "sh", "-c", "echo A > mid"]).misses();
    double("mid").misses();
    let before = std::fs::metadata(sandbox.path("mid")).unwrap();
    // Of the same length, and with the times that the file had.
    sandbox.file("mid", "B\n");
    let file = std::fs::OpenOptions::new().write(true).open(sandbox.path("mid")).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    assert_eq!(double("mid").misses().parts(), ["inputs.mid"]);
    assert_eq!(read(&sandbox, "end"), "B\nB\n");
    // Named by the run that made it, it is what that run made, and the edited file stays.
    double("a:mid").hits();
    assert_eq!((read(&sandbox, "end").as_str(), read(&sandbox, "mid").as_str()), ("A\nA\n", "B\n"));
    sandbox.prov(["status", "--exit-code"]).ends(1);
}

/// Pairs of folders that a careless digest takes for equal.
fn alike() -> Vec<[Vec<(&'static str, &'static str)>; 2]> {
    vec![
        [vec![("a", "1"), ("b", "2")], vec![("a", "1"), ("c", "2")]],
        [vec![("a", "1"), ("b", "2")], vec![("a", "2"), ("b", "1")]],
        [vec![("a", "12"), ("b", "3")], vec![("a", "1"), ("b", "23")]],
        [vec![("a", "1b:2")], vec![("a", "1"), ("b", "2")]],
        [vec![("a", "1\nb:2")], vec![("a", "1\n"), ("b", "2")]],
        [vec![("x/a", "1"), ("y/b", "2")], vec![("y/a", "1"), ("x/b", "2")]],
        [vec![("ab", "1")], vec![("a", "b1")]],
        [vec![("x/y", "1")], vec![("xy", "1")]],
        [vec![("a", "1"), (".hidden", "1")], vec![("a", "1"), (".hidden", "2")]],
        [vec![("a", "1"), ("empty", "")], vec![("a", "1")]],
    ]
}

#[test]
fn folders_that_differ_in_names_borders_or_hidden_files_are_not_equal() {
    for how in ["-i", "--identity", "--config-dir"] {
        let sandbox = project();
        for [one, other] in alike() {
            let with = |files: &[(&str, &str)]| {
                if exists(&sandbox, "d") {
                    remove(&sandbox, "d");
                }
                for (path, text) in files {
                    sandbox.file(format!("d/{path}"), text);
                }
                let script = "for f in $(cd d; find . -type f | sort); do echo \"$f=$(cat d/$f)\"; done > out";
                run(
                    &sandbox,
                    ["-f", "--name", "list", how, "d", "-o", "out", "--code", "none", "--", "sh", "-c", script],
                )
            };
            let recipes = [with(&one), with(&other)].map(|ran| ran.json["recipe"].as_str().unwrap().to_owned());
            assert_ne!(recipes[0], recipes[1], "{how}: {one:?} {other:?}");
        }
    }
}

#[test]
fn a_link_in_a_folder_to_what_does_not_count_is_told() {
    let sandbox = project();
    sandbox.file("archive/big.csv", "1\n").file("data/own.csv", "2\n");
    std::os::unix::fs::symlink("../archive/big.csv", sandbox.path("data/big.csv")).unwrap();
    std::os::unix::fs::symlink("own.csv", sandbox.path("data/same.csv")).unwrap();
    for how in ["-i", "--identity"] {
        let go = |more: &[&str]| {
            let words = [how, "data", "-o", "out", "--code", "none", "--name", how.trim_matches('-')];
            run(&sandbox, [&words, more, &["--", "sh", "-c", "cat data/*.csv > out"]].concat())
        };
        for ran in [go(&[]).misses(), go(&[]).hits()] {
            let told = ran.json["warnings"][0].as_str().unwrap();
            assert!(told.contains("`big.csv`:") && told.contains("does not count"), "{told}");
            assert!(ran.outcome.err().contains("warning: "), "{}", ran.outcome);
        }
        // Declared, it counts, and there is nothing to tell.
        sandbox.file("archive/big.csv", "1\n");
        assert_eq!(go(&["-i", "archive"]).misses().json["warnings"], serde_json::json!([]));
        sandbox.file("archive/big.csv", "3\n");
        assert_eq!(go(&["-i", "archive"]).misses().parts(), ["inputs.archive/big.csv"]);
    }
}

#[test]
fn a_folder_that_a_run_made_is_its_names_and_its_empty_folders_too() {
    let sandbox = project();
    let make = |script: &str| {
        let script = format!("mkdir -p d && cd d && {script}");
        run(&sandbox, ["--name", "make", "-o", "d", "--", "sh", "-c", &script]).misses().json["outputs"]["d"]["id"]
            .clone()
    };
    let ids =
        ["echo 1 > a", "echo 1 > b", "echo 1 > a; mkdir none", "echo 1 > a; chmod +x a", "ln -s x a", "echo x > a"]
            .map(make);
    for (at, id) in ids.iter().enumerate() {
        assert!(!ids[..at].contains(id), "{at}");
    }
}

#[test]
fn equal_bytes_are_one_input_wherever_they_lie_and_whoever_made_them() {
    let sandbox = project();
    let make = |rate: &str| {
        run(
            &sandbox,
            ["--name", "make", "-S", &format!("rate={rate}"), "-o", "mid", "--", "sh", "-c", "echo same > mid"],
        )
    };
    let count = |path: &str| {
        let given = format!("text={path}");
        run(
            &sandbox,
            ["--name", "count", "-i", &given, "-o", "n", "--", "sh", "-c", "wc -c < $1 > n", "sh", "{input.text}"],
        )
    };
    make("1").misses();
    count("mid").misses();
    // Another upstream config with the same result: nothing after it is made again.
    make("2").misses();
    count("mid").hits();
    // Another path, below the project and outside, and a link to it.
    sandbox.file("other/place.txt", "same\n").file("../outside.txt", "same\n");
    std::os::unix::fs::symlink("other/place.txt", sandbox.path("link")).unwrap();
    for path in ["other/place.txt", "../outside.txt", "link", "make:mid", "make~1:mid"] {
        count(path).hits();
    }
    sandbox.file("other/place.txt", "other\n");
    assert_eq!(count("link").misses().parts(), ["inputs.text"]);
}

#[test]
fn an_input_that_is_not_there_is_an_error_before_anything_starts() {
    let sandbox = project();
    for words in [&["-i", "nothing"][..], &["-i", "d=no/*.csv"], &["--identity", "nothing"], &["--stdin", "nothing"]] {
        let outcome = sandbox.prov([&["run"], words, &["-o", "out", "--", "touch", "out"]].concat()).ends(125);
        assert!(outcome.err().contains("no"), "{outcome}");
    }
    assert!(!exists(&sandbox, "out"));
    assert_eq!(sandbox.prov(["log", "--all"]).ok().out(), "");
}

/// Bytes that prov and what it started read from files, pipes and the like.
#[cfg(target_os = "linux")]
fn bytes_read(sandbox: &Sandbox, words: &[&str]) -> (u64, String) {
    let prov = sandbox.command(words);
    let mut shell = std::process::Command::new("sh");
    // The counters of a process hold those of the children that it has waited for.
    shell.args(["-c", "\"$@\" > ../said || exit; cat /proc/$$/io", "sh"]).arg(prov.get_program()).args(prov.get_args());
    shell.env_clear().envs(prov.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(sandbox.project()).stdin(std::process::Stdio::null());
    shell.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let outcome = sandbox.outcome(shell).ok();
    let counters = outcome.out();
    let line = counters.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    (line.parse().unwrap(), read(sandbox, "../said"))
}

#[cfg(target_os = "linux")]
#[test]
fn an_unchanged_input_is_read_for_no_hit_and_for_no_other_miss() {
    const SIZE: u64 = 24 << 20;
    let sandbox = project();
    sandbox.file("big", vec![b'x'; usize::try_from(SIZE).unwrap()]);
    let file = std::fs::OpenOptions::new().write(true).open(sandbox.path("big")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_hours(400_000)).unwrap();
    let words = ["--json", "run", "-i", "big", "-o", "out", "--code", "none", "--", "touch", "out"];
    // The state of a file counts only once its times are older than the clock's grain.
    let until_known = |words: &[&str], what: &str| {
        let deadline = Instant::now() + Duration::from_mins(2);
        loop {
            let (bytes, said) = bytes_read(&sandbox, words);
            assert!(said.contains(what), "{said}");
            if bytes < SIZE / 4 {
                return;
            }
            assert!(Instant::now() < deadline, "{bytes} bytes were read by {words:?}");
        }
    };
    until_known(&["--json", "id", "big"], "big");
    let (miss, said) = bytes_read(&sandbox, &words);
    // Not hashed again, but read to be stored: by the thread that cuts it into pieces, and by those that keep them.
    assert!(said.contains("\"miss\"") && miss < SIZE * 9 / 4, "{miss} bytes were read: {said}");
    until_known(&words, "\"hit\"");
    let other = [&words[..2], &["-S", "n=2"], &words[2..]].concat();
    let (miss, said) = bytes_read(&sandbox, &other);
    assert!(said.contains("\"miss\"") && miss < SIZE / 4, "{miss} bytes were read: {said}");
}
