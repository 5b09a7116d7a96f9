//! The kinds on a real folder.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::TempDir;

use crate::codec::Value;
use crate::config::located::{Dialect, Node};
use crate::fs::Fs;
use crate::pipeline::file::Flavour;
use crate::pipeline::perform::*;
use crate::pipeline::plan::{Kind, Roots};
use crate::pipeline::task::Builtin;
use crate::pipeline::template::Scratchpad;

pub(crate) struct Bench {
    root: TempDir,
    pub(crate) release: Option<String>,
    pub(crate) flavour: Flavour,
    pub(crate) frozen: Option<Choice>,
    pub(crate) abort: Abort,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Fs::real().make_dirs(&root.path().join("work")).unwrap();
        Self { root, release: None, flavour: Flavour::Otter, frozen: None, abort: Abort::new() }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn file(&self, path: &str, bytes: &[u8], seconds: i64) -> String {
        let path = self.path(path);
        let fs = Fs::real();
        fs.make_dirs(path.parent().unwrap()).unwrap();
        let mut out = fs.create(&path, 0o644).unwrap();
        std::io::Write::write_all(&mut out, bytes).unwrap();
        out.set_modified(seconds * 1_000_000_000).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn read(&self, path: &str) -> Option<Vec<u8>> {
        Fs::real().read(&self.path(path)).unwrap()
    }

    pub(crate) fn job(&self, phase: Phase, spec: &str) -> Job {
        let spec = spec.replace("ROOT", self.root.path().to_str().unwrap());
        let located = crate::config::locate(Path::new("x.yaml"), Dialect::Core, spec.as_bytes()).unwrap();
        let spec = located.root.unwrap();
        let name = spec.get("name").and_then(Node::as_text).unwrap().to_owned();
        Job {
            phase,
            step: "s".to_owned(),
            task_type: name.split(' ').next().unwrap().to_owned(),
            name,
            flavour: self.flavour,
            spec,
            scratchpad: Scratchpad::default(),
            config: Value::Map(vec![("pool_size".to_owned(), Value::Int(5))]),
            roots: Roots {
                release_uri: self.release.clone(),
                work_path: self.path("work").to_str().unwrap().to_owned(),
            },
            sources: Vec::new(),
            destinations: Vec::new(),
            fetched: BTreeMap::new(),
            frozen: self.frozen.clone(),
            folder: self.path("own"),
        }
    }

    pub(crate) fn perform(&self, phase: Phase, spec: &str) -> (Result<Done, Failure>, Vec<Said>) {
        let job = self.job(phase, spec);
        let kind = Kind::Builtin(Builtin::of(&job.task_type).unwrap());
        let kind = Registry::new(World::local()).kind(&kind).unwrap();
        let said = Mutex::new(Vec::new());
        let ended = kind.perform(&job, &|one| said.lock().unwrap().push(one), &self.abort);
        (ended, said.into_inner().unwrap())
    }

    pub(crate) fn run(&self, spec: &str) -> Vec<Said> {
        let (ended, said) = self.perform(Phase::Run, spec);
        ended.unwrap();
        said
    }

    pub(crate) fn refused(&self, phase: Phase, spec: &str) -> String {
        self.perform(phase, spec).0.unwrap_err().reason()
    }
}

pub(crate) fn artifacts(said: &[Said]) -> Vec<Artifact> {
    said.iter().filter_map(|one| if let Said::Artifact(one) = one { Some(one.clone()) } else { None }).collect()
}

fn chosen(said: &[Said]) -> Choice {
    said.iter().find_map(|one| if let Said::Chose(one) = one { Some(one.clone()) } else { None }).unwrap()
}

fn made(said: &[Said]) -> Vec<String> {
    let specs = said.iter().find_map(|one| if let Said::AddSpecs(specs) = one { Some(specs) } else { None }).unwrap();
    specs.iter().map(|spec| crate::config::to_json(&spec.body.to_value())).collect()
}

#[test]
fn a_copy_is_a_file_of_its_own_and_looks_like_its_source() {
    let bench = Bench::new();
    let source = bench.file("in/a.txt", b"hello", 1_000_000);
    let spec = "{name: copy a, source: ROOT/in/a.txt, destination: x/y/a.txt}";
    let said = bench.run(spec);
    let destination = bench.path("work/x/y/a.txt");
    assert_eq!(artifacts(&said), [Artifact::new(source.as_str(), destination.to_str().unwrap())]);
    assert_eq!(bench.read("work/x/y/a.txt").unwrap(), b"hello");
    let (from, to) = (std::fs::metadata(&source).unwrap(), std::fs::metadata(&destination).unwrap());
    assert_ne!(from.ino(), to.ino());
    assert_eq!((from.mtime(), from.mode()), (to.mtime(), to.mode()));
    bench.perform(Phase::Validate, spec).0.unwrap();
    assert_eq!(std::fs::read_dir(destination.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_copy_takes_the_place_of_a_second_name_of_its_source() {
    let bench = Bench::new();
    let source = bench.file("in/a.txt", b"hello", 1);
    Fs::real().link(Path::new(&source), &bench.path("work/a.txt")).unwrap();
    bench.run("{name: copy a, source: ROOT/in/a.txt, destination: a.txt}");
    let ino = |path: &str| std::fs::metadata(bench.path(path)).unwrap().ino();
    assert_ne!(ino("in/a.txt"), ino("work/a.txt"));
    assert_eq!(bench.read("in/a.txt"), bench.read("work/a.txt"));
}

#[test]
fn a_copy_onto_itself_changes_nothing() {
    let bench = Bench::new();
    bench.file("work/a.txt", b"hello", 1);
    bench.run("{name: copy a, source: ROOT/work/a.txt, destination: a.txt}");
    assert_eq!(bench.read("work/a.txt").unwrap(), b"hello");
}

#[test]
fn a_copy_that_can_not_be_made_leaves_nothing() {
    let bench = Bench::new();
    for (source, expected) in [
        ("ROOT/in/none.txt", "can't read"),
        ("in/relative.txt", "is relative"),
        ("gs://b/x", "nothing here can read `gs://`"),
        ("https://example.org/x", "nothing here can read `https://`"),
        ("ROOT/work", "not a regular file"),
    ] {
        let spec = format!("{{name: copy a, source: '{source}', destination: out/a.txt}}");
        let why = bench.refused(Phase::Run, &spec);
        assert!(why.contains(expected), "{source}: {why}");
        let left = std::fs::read_dir(bench.path("work/out")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{source}");
    }
    let why = bench.refused(Phase::Validate, "{name: copy a, source: /x, destination: out/a.txt}");
    assert!(why.ends_with("out/a.txt` is not there"), "{why}");
    bench.file("in/a", b"12", 1);
    bench.file("work/a", b"123", 1);
    let why = bench.refused(Phase::Validate, "{name: copy a, source: ROOT/in/a, destination: a}");
    assert!(why.contains("has 3 bytes, its source"), "{why}");
}

#[test]
fn what_a_killed_copy_left_is_taken_over() {
    let bench = Bench::new();
    bench.file("in/a.txt", b"hello", 1);
    bench.file("work/.a.txt.prov-part", b"half of a much longer te", 1);
    bench.run("{name: copy a, source: ROOT/in/a.txt, destination: a.txt}");
    assert_eq!(bench.read("work/a.txt").unwrap(), b"hello");
    assert!(bench.read("work/.a.txt.prov-part").is_none());
}

#[test]
fn a_part_that_somebody_writes_is_left_alone() {
    let bench = Bench::new();
    bench.file("in/a.txt", b"hello", 1);
    let part = bench.path("work/.a.txt.prov-part");
    let held = Fs::real().lock(&part, std::time::Duration::ZERO).unwrap();
    bench.run("{name: copy a, source: ROOT/in/a.txt, destination: a.txt}");
    assert!(part.exists());
    drop(held);
    assert_eq!(bench.read("work/a.txt").unwrap(), b"hello");
}

#[test]
fn a_download_without_a_release_keeps_the_file_it_was_asked_for() {
    let bench = Bench::new();
    bench.file("work/in/a.txt", b"precious", 1);
    let spec = "{name: download a, source: in/a.txt}";
    bench.run(spec);
    bench.perform(Phase::Validate, spec).0.unwrap();
    assert_eq!(bench.read("work/in/a.txt").unwrap(), b"precious");
    let why = bench.refused(Phase::Run, "{name: download a, source: in/none.txt}");
    assert!(why.contains("in/none.txt"), "{why}");
}

#[test]
fn a_download_brings_a_file_of_the_release() {
    let mut bench = Bench::new();
    bench.file("release/in/a.txt", b"x", 1);
    bench.release = Some(format!("file://{}", bench.path("release").display()));
    bench.run("{name: download a, source: in/a.txt}");
    assert_eq!(bench.read("work/in/a.txt").unwrap(), b"x");
}

#[test]
fn many_are_copied_under_their_names() {
    let bench = Bench::new();
    for n in 0..20 {
        bench.file(&format!("in/{n}/file{n}.txt"), n.to_string().as_bytes(), 1);
    }
    let said = bench.run("{name: copy_many x, sources: 'ROOT/in/**/f*.txt', destination: out/, max_concurrency: 3}");
    assert_eq!(artifacts(&said).len(), 20);
    assert_eq!(bench.read("work/out/file13.txt").unwrap(), b"13");
    bench.file("work/list", format!("{}\n\n", bench.path("in/7/file7.txt").display()).as_bytes(), 1);
    let said = bench.run("{name: copy_many x, source_list_file: list, destination: one}");
    assert_eq!(artifacts(&said).len(), 1);
    assert_eq!(bench.read("work/one/file7.txt").unwrap(), b"7");
    bench.file("in/z/file1.txt", b"another", 1);
    let why = bench.refused(Phase::Run, "{name: copy_many x, sources: 'ROOT/in/**/f*.txt', destination: two}");
    assert!(why.contains("would both be `file1.txt`"), "{why}");
    assert!(!bench.path("work/two").exists());
}

#[test]
fn the_first_of_many_that_fails_counts() {
    let bench = Bench::new();
    bench.file("in/a", b"a", 1);
    let spec = "{name: copy_many x, sources: [ROOT/in/a, ROOT/in/gone], destination: out}";
    let why = bench.refused(Phase::Run, spec);
    assert!(why.contains("in/gone"), "{why}");
}

#[test]
fn the_newest_file_is_found_and_told_among_what() {
    let bench = Bench::new();
    bench.file("in/a.csv", b"", 100);
    bench.file("in/c.csv", b"", 300);
    bench.file("in/b.csv", b"", 300);
    bench.file("in/z.txt", b"", 900);
    let newest = bench.path("in/b.csv").to_str().unwrap().to_owned();
    let spec = "{name: find_latest x, source: 'ROOT/in/*.csv', scratchpad_key: latest}";
    let said = bench.run(spec);
    let choice = chosen(&said);
    assert_eq!((choice.key.as_str(), choice.chosen.as_str(), choice.among.len()), ("latest", newest.as_str(), 3));
    assert!(said.contains(&Said::Scratchpad { key: "latest".to_owned(), value: Value::Text(newest) }));
    // Without a star all that lies in the folder is meant; without a key the name of the task is the key.
    for source in ["ROOT/in", "ROOT/in/"] {
        let choice = chosen(&bench.run(&format!("{{name: find_latest x, source: '{source}'}}")));
        assert_eq!((choice.key.as_str(), choice.chosen.rsplit('/').next()), ("find_latest x", Some("z.txt")));
    }
    let choice = chosen(&bench.run("{name: find_latest x, source: 'ROOT/in/a*.csv'}"));
    assert!(choice.chosen.ends_with("a.csv"));
    assert!(bench.refused(Phase::Run, "{name: find_latest x, source: 'ROOT/none/*'}").contains("no files found"));
}

#[test]
fn a_recorded_choice_is_taken_again_as_long_as_it_is_there() {
    let mut bench = Bench::new();
    bench.file("in/a.csv", b"", 100);
    let spec = "{name: find_latest x, source: 'ROOT/in/*', scratchpad_key: k}";
    let first = chosen(&bench.run(spec));
    bench.file("in/b.csv", b"", 200);
    bench.frozen = Some(first.clone());
    let again = chosen(&bench.run(spec));
    assert_eq!(again, Choice { is_frozen: true, ..first });
    let other = "{name: find_latest x, source: 'ROOT/in/*.csv', scratchpad_key: k}";
    assert!(bench.refused(Phase::Run, other).contains("the recorded choice is for `k`"));
    Fs::real().remove_file(&bench.path("in/a.csv")).unwrap();
    assert!(bench.refused(Phase::Run, spec).ends_with("a.csv`, the recorded choice, is gone"));
}

#[test]
fn a_glob_makes_tasks_of_what_is_there_now() {
    let bench = Bench::new();
    bench.file("work/in/a.csv", b"", 1);
    bench.file("work/in/deep/b.v2.csv", b"", 1);
    bench.file("work/in/.c.csv.prov-part", b"", 1);
    let spec = "{name: explode_glob x, glob: 'in/**/*.csv', do: [{name: 'copy ${match_stem}', source: '${uri}', destination: \
                'o/${match_path}/${match_stem}.${match_ext}'}]}";
    let first = made(&bench.run(spec));
    assert_eq!(first.len(), 2, "{first:?}");
    assert!(first[0].contains(r#""destination": "o/a.csv", "name": "copy a", "source": "in/a.csv""#), "{first:?}");
    assert!(first[1].contains(r#""destination": "o/deep/b.v2.csv", "name": "copy b.v2""#), "{first:?}");
    assert_eq!(first, made(&bench.run(spec)));
    assert!(made(&bench.run("{name: explode_glob x, glob: 'none/*', do: [{name: 'copy ${uri}'}]}")).is_empty());
}

#[test]
fn nothing_is_begun_after_an_abort() {
    let bench = Bench::new();
    bench.file("in/a", b"a", 1);
    bench.abort.raise("s/other failed");
    for spec in [
        "{name: noop x}",
        "{name: hello_world x}",
        "{name: copy a, source: ROOT/in/a, destination: a}",
        "{name: copy_many a, sources: [ROOT/in/a], destination: a}",
        "{name: find_latest a, source: ROOT/in}",
    ] {
        let failure = bench.perform(Phase::Run, spec).0.unwrap_err();
        assert!(failure.is_abort() && !failure.may_pass());
        assert_eq!(failure.reason(), "aborted: s/other failed");
    }
    assert_eq!(std::fs::read_dir(bench.path("work")).unwrap().count(), 0);
}
