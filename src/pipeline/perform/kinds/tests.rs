//! The kinds on a real folder.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::codec::Value;
use crate::fs::Fs;
use crate::pipeline::perform::testing::{Bench, artifacts};
use crate::pipeline::perform::*;

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

#[test]
fn packing_gives_the_same_bytes_every_time() {
    use std::io::Read as _;
    let bench = Bench::new();
    bench.file("work/a.txt", b"hello\n", 1);
    let said = bench.run("{name: gzip a, source: a.txt, destination: x/a.txt.gz}");
    let first = bench.read("work/x/a.txt.gz").unwrap();
    assert_eq!(artifacts(&said)[0].source.all()[0], bench.path("work/a.txt").to_str().unwrap());
    bench.file("work/a.txt", b"hello\n", 99);
    bench.run("{name: gzip a, source: a.txt, destination: x/a.txt.gz}");
    assert_eq!(bench.read("work/x/a.txt.gz").unwrap(), first);
    let mut text = String::new();
    crate::deflate::gunzip(&first[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello\n");
    assert!(bench.refused(Phase::Run, "{name: gzip a, source: a.txt, destination: a.txt}").contains("into itself"));
    assert_eq!(bench.read("work/a.txt").unwrap(), b"hello\n");
}

#[test]
fn one_file_of_an_archive_is_unpacked_and_verified() {
    let bench = Bench::new();
    let archive = zipped(&[("a.csv", b"x,y\n1\n", 0), ("d/b.csv", b"xyxyxyxyxyxyxyxyxyxyxyxyx\n", 8)]);
    bench.file("work/a.csv.zip", &archive, 1);
    bench.run("{name: unzip a, source: a.csv.zip, destination: out/a.csv}");
    assert_eq!(bench.read("work/out/a.csv").unwrap(), b"x,y\n1\n");
    bench.run("{name: unzip a, source: a.csv.zip, inner_file: d/b.csv, destination: out/b.csv}");
    assert_eq!(bench.read("work/out/b.csv").unwrap(), b"xyxyxyxyxyxyxyxyxyxyxyxyx\n");
    let why = bench.refused(Phase::Run, "{name: unzip a, source: a.csv.zip, inner_file: b.csv, destination: out/c}");
    assert!(why.starts_with("`b.csv` not found in"), "{why}");
    for at in 0..archive.len() {
        let mut damaged = archive.clone();
        damaged[at] ^= 0x55;
        bench.file("work/bad.zip", &damaged, 1);
        let spec = "{name: unzip a, source: bad.zip, inner_file: a.csv, destination: out/bad}";
        if bench.perform(Phase::Run, spec).0.is_ok() {
            assert_eq!(bench.read("work/out/bad").unwrap(), b"x,y\n1\n", "byte {at}");
        }
    }
    for n in 0..archive.len() {
        bench.file("work/bad.zip", &archive[..n], 1);
        bench.refused(Phase::Run, "{name: unzip a, source: bad.zip, inner_file: a.csv, destination: out/cut}");
    }
    assert!(bench.read("work/out/cut").is_none() && bench.read("work/out/c").is_none());
}

/// A zip archive of these files: name, bytes, method.
fn zipped(files: &[(&str, &[u8], u16)]) -> Vec<u8> {
    use std::io::Write as _;
    let (mut out, mut list) = (Vec::new(), Vec::new());
    let put16 = |to: &mut Vec<u8>, n: usize| to.extend_from_slice(&u16::try_from(n).unwrap().to_le_bytes());
    let put32 = |to: &mut Vec<u8>, n: usize| to.extend_from_slice(&u32::try_from(n).unwrap().to_le_bytes());
    for (name, bytes, method) in files {
        let mut packed = crate::deflate::DeflateEncoder::new(Vec::new(), crate::deflate::Compression::default());
        packed.write_all(bytes).unwrap();
        let packed = if *method == 8 { packed.finish().unwrap() } else { bytes.to_vec() };
        let mut sum = crate::deflate::Crc::new();
        sum.update(bytes);
        let mut shared = Vec::new();
        put16(&mut shared, 20);
        put16(&mut shared, 0);
        put16(&mut shared, usize::from(*method));
        put32(&mut shared, 0);
        put32(&mut shared, usize::try_from(sum.sum()).unwrap());
        put32(&mut shared, packed.len());
        put32(&mut shared, bytes.len());
        put16(&mut shared, name.len());
        put16(&mut shared, 0);
        list.extend_from_slice(b"PK\x01\x02\x14\x00");
        list.extend_from_slice(&shared);
        list.extend_from_slice(&[0; 10]);
        put32(&mut list, out.len());
        list.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&shared);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&packed);
    }
    let from = out.len();
    out.extend_from_slice(&list);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    put16(&mut out, files.len());
    put16(&mut out, files.len());
    put32(&mut out, list.len());
    put32(&mut out, from);
    put16(&mut out, 0);
    out
}
