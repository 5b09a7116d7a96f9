//! Checks of real files.

use super::*;
use crate::pipeline::perform::Phase;
use crate::pipeline::perform::testing::Bench;
use crate::pipeline::task::settings;

/// The checks as a file says them.
fn validators(text: &str) -> Vec<Validator> {
    let text =
        format!("steps:\n  s:\n    - name: x\n      run: [x]\n      outputs: {{a: a}}\n      validate: {text}\n");
    let path = std::path::Path::new("prov.yaml");
    let (pipeline, findings) = crate::pipeline::file::parse(path, None, text.as_bytes()).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    let mut findings = Vec::new();
    let read = settings::read(&pipeline.steps[0].specs[0], &mut findings).validate;
    assert!(findings.is_empty(), "{findings:?}");
    read
}

fn all(bench: &Bench, checks: &str, outputs: &[&str]) -> Vec<Checked> {
    let mut job = bench.job(Phase::Validate, "{name: command x}");
    job.sources = vec![Location::of("source.txt", &job.roots)];
    let subject = |path: &&str| Subject {
        key: path.split('.').next().map(str::to_owned),
        location: Location::of(path, &job.roots),
    };
    let subjects: Vec<Subject> = outputs.iter().map(subject).collect();
    let mut world = World::local();
    world.search_path = Some("/usr/local/bin:/usr/bin:/bin".into());
    validate(&world, &job, &validators(checks), &subjects, &|_| (), &bench.abort).unwrap()
}

fn verdict(bench: &Bench, check: &str, output: &str) -> (Verdict, String) {
    let checked = all(bench, &format!("[{check}]"), &[output]);
    assert_eq!(checked.len(), 1, "{check}");
    (checked[0].verdict, checked[0].saw.clone())
}

#[test]
fn each_check_says_what_it_saw() {
    let bench = Bench::new();
    bench.file("work/source.txt", b"12345", 1);
    bench.file("work/same.txt", b"abcd\n", 1);
    bench.file("work/empty.txt", b"", 1);
    bench.file("work/t.csv", b"id,name\n1,a\n2,b\n", 1);
    bench.file("work/bad.csv", b"id,name\n1\n", 1);
    bench.file("work/r.jsonl", b"{\"id\": 1, \"name\": \"x\", \"w\": 1.5}\n{}\n", 1);
    bench.file("work/l.json", b"[{\"id\": 1}, 2, 3]", 1);
    bench.file("work/schema.yaml", b"columns: [{name: id, type: int}, {name: name}]\n", 1);
    let sha = "fc4b5fd6816f75a7c81fc8eaa9499d6a299bd803397166e8c4cf9280b801d62c";
    let blake = crate::hash::blob(b"abcd\n").to_string();
    for (check, output, is_good, expected) in [
        ("exists", "same.txt", true, "5 bytes"),
        ("exists", "none.txt", false, "it is not there"),
        ("nonempty", "empty.txt", false, "0 bytes"),
        ("nonempty", "same.txt", true, "5 bytes"),
        ("size_equal", "same.txt", true, "5 bytes, its source 5"),
        ("size_equal", "empty.txt", false, "0 bytes, its source 5"),
        ("{min_bytes: 5}", "same.txt", true, "5 bytes"),
        ("{min_bytes: 1KiB}", "same.txt", false, "5 bytes"),
        ("{max_bytes: 4}", "same.txt", false, "5 bytes"),
        ("{min_rows: 2}", "t.csv", true, "2 rows"),
        ("{min_rows: 3}", "t.csv", false, "2 rows"),
        ("{max_rows: 1}", "t.csv", false, "2 rows"),
        ("{min_rows: 3}", "l.json", true, "3 rows"),
        ("{min_rows: 2}", "same.txt", false, "1 lines"),
        ("{min_rows: 1}", "bad.csv", false, "line 2 has 1 fields, the header 2"),
        ("{min_lines: 3}", "t.csv", true, "3 lines"),
        (&format!("{{blake3: {blake}}}"), "same.txt", true, &blake),
        (&format!("{{sha256: {sha}}}"), "same.txt", true, sha),
        (&format!("{{sha256: {sha}}}"), "t.csv", false, ""),
        ("{readable: csv}", "t.csv", true, "2 rows"),
        ("{readable: csv}", "bad.csv", false, "line 2"),
        ("{readable: json}", "t.csv", false, "expected value"),
        ("{readable: jsonl}", "r.jsonl", true, "2 rows"),
        ("{readable: parquet}", "t.csv", false, "doesn't begin with PAR1"),
        ("{schema: [id, name]}", "t.csv", true, "id, name"),
        ("{schema: [id, nome]}", "t.csv", false, "`nome` missing, `name` not asked for"),
        ("{schema: [name, id]}", "t.csv", false, "another order"),
        ("{schema: {id: int, name: utf8, w: double}}", "r.jsonl", true, "id int64, name string, w double"),
        ("{schema: {id: string, name: any, w: any}}", "r.jsonl", false, "`id` is int64, not string"),
        ("{schema: {id: int64}}", "l.json", true, "id int64"),
        ("{schema: schema.yaml}", "t.csv", true, "id, name"),
        ("{schema: none.yaml}", "t.csv", false, "none.yaml"),
        ("{schema: [id]}", "same.txt", false, "doesn't tell a format"),
        (
            "{command: 'test -s \"$PROV_OUTPUT\" && echo \"$PROV_OUTPUT_SAME\" | grep -q same.txt'}",
            "same.txt",
            true,
            "code 0",
        ),
        ("{command: [sh, -c, 'echo too few; exit 4']}", "same.txt", false, "it ended with code 4: too few"),
        ("{command: [no-such-program-of-anybody]}", "same.txt", false, "command not found"),
    ] {
        let (found, saw) = verdict(&bench, check, output);
        let wanted = if is_good { Verdict::Pass } else { Verdict::Fail };
        assert_eq!(found, wanted, "{check} of {output}: {saw}");
        assert!(saw.contains(expected), "{check} of {output}: {saw}");
    }
}

#[test]
fn packed_files_and_folders_of_parts_are_looked_into() {
    use std::io::Write as _;
    let bench = Bench::new();
    let mut packed = crate::deflate::GzEncoder::new(Vec::new(), crate::deflate::Compression::default());
    packed.write_all(b"a,b\n1,2\n3,4\n").unwrap();
    let packed = packed.finish().unwrap();
    bench.file("work/d/part-0.csv.gz", &packed, 1);
    bench.file("work/d/part-1.csv", b"a,b\n5,6\n", 1);
    bench.file("work/d/_SUCCESS", b"", 1);
    bench.file("work/d/.part-1.csv.crc", b"\xff", 1);
    assert_eq!(verdict(&bench, "{min_rows: 3}", "d"), (Verdict::Pass, "3 rows".to_owned()));
    assert_eq!(verdict(&bench, "{schema: [a, b]}", "d").0, Verdict::Pass);
    assert_eq!(verdict(&bench, "{readable: csv}", "d"), (Verdict::Pass, "3 rows".to_owned()));
    let (found, saw) = verdict(&bench, &format!("{{sha256: '{}'}}", "0".repeat(64)), "d");
    assert_eq!((found, saw.contains("is a folder")), (Verdict::Fail, true));
    bench.file("work/d/part-2.csv", b"a\n", 1);
    let (found, saw) = verdict(&bench, "{schema: [a, b]}", "d");
    assert_eq!(found, Verdict::Fail);
    assert!(saw.contains("part-2.csv`: `b` missing"), "{saw}");
    bench.file("work/d/part-0.csv.gz", &packed[..packed.len() - 9], 1);
    assert_eq!(verdict(&bench, "{readable: csv}", "d").0, Verdict::Fail);
    bench.file("work/nothing/_SUCCESS", b"", 1);
    assert_eq!(verdict(&bench, "{readable: csv}", "nothing").0, Verdict::Fail);
}

#[test]
fn an_unknown_size_lets_through() {
    let bench = Bench::new();
    bench.file("work/a.txt", b"x", 1);
    let (found, saw) = verdict(&bench, "size_equal", "a.txt");
    assert_eq!(found, Verdict::Unknown, "{saw}");
}

#[test]
fn all_outputs_are_looked_at_unless_one_is_named_and_nothing_more_of_what_is_not_there() {
    let bench = Bench::new();
    bench.file("work/a.txt", b"x\n", 1);
    let checked = all(&bench, "[exists, {min_lines: 1}, {command: 'exit 0'}]", &["a.txt", "b.txt"]);
    let told: Vec<String> = checked.iter().map(|one| format!("{} {}", one.check, one.verdict.as_str())).collect();
    // A command is not executed once something is wrong.
    assert_eq!(told, ["exists pass", "exists fail", "min_lines pass"]);
    let reason = reason(&checked).unwrap();
    assert!(reason.starts_with("exists of `/") && reason.ends_with("b.txt` failed: it is not there"), "{reason}");
    assert!(checked.iter().all(|one| one.started_at <= one.finished_at));
}

#[test]
fn a_list_of_checks_is_known_by_what_it_says() {
    let ids: Vec<Id> = ["[exists]", "[nonempty]", "[exists, nonempty]", "[{min_rows: 1}]", "[{min_rows: 2}]"]
        .map(|text| id(&validators(text)))
        .into();
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len());
    assert_eq!(ids[0], id(&validators("exists")));
    assert_ne!(ids[0], id(&validators("[{exists: true, of: a}]")));
}

#[test]
fn an_abort_ends_a_command() {
    let bench = Bench::new();
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while bench.read("work/ready").is_none() && began.elapsed().as_secs() < 60 {
                std::thread::yield_now();
            }
            bench.abort.raise("stop");
        });
        let job = bench.job(Phase::Validate, "{name: command x}");
        let list = validators("[{command: ': > ready; exec sleep 3600'}]");
        let mut world = World::local();
        world.search_path = Some("/usr/bin:/bin".into());
        assert!(validate(&world, &job, &list, &[], &|_| (), &bench.abort).unwrap_err().is_abort());
    });
    assert!(began.elapsed().as_secs() < 60);
}
