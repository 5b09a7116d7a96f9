//! A lineage by the index is the lineage by the store, for any history.

use std::sync::Arc;

use bstr::BString;
use prov::clock::{Micros, Random, SeededRandom};
use prov::codec::Value;
use prov::hash::Id;
use prov::lineage::facts::{Lines, Shortcut, Way};
use prov::lineage::{Start, TraceOptions, trace, trace_by};
use prov::object::recipe::Content;
use prov::object::run::{Cache, Input, LinkedBy, Output, Producer, Run, RunKind, Status};
use prov::object::{Kind, Record, Sink, id_of};
use prov::progress::Silent;
use prov::query::tables::{self, ByIndex};
use prov::repo::Repo;
use prov::store::Draft;

use super::Project;

/// More than are read one by one before a quicker way is looked for.
const RUNS: usize = 900;

/// Whether the quicker way was taken.
struct Watched<'a>(ByIndex<'a>, usize);

impl Shortcut for Watched<'_> {
    fn lines(&mut self, from: &[Id], way: Way, project: &str) -> Option<Lines> {
        let found = self.0.lines(from, way, project);
        self.1 += found.as_ref().map_or(0, |lines| lines.runs.len());
        found
    }
}

struct Made {
    run: String,
    object: Id,
    content: Content,
    path: BString,
}

fn below(random: &mut SeededRandom, most: usize) -> usize {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    usize::try_from(u64::from_le_bytes(bytes) % u64::try_from(most).unwrap()).unwrap()
}

/// A history in which everything occurs: several makers and takers of one content, at one path and at others, other projects, hits, paths that
/// are no text, makers that nobody has on record.
fn history(repo: &Repo, random: &mut SeededRandom) -> Vec<Made> {
    let mut all: Vec<Made> = Vec::new();
    let mut runs: Vec<(Run, Id)> = Vec::new();
    for n in 0..RUNS {
        let step = ["fit", "score", "clean"][below(random, 3)];
        let at = Micros(1_760_000_000_000_000 + i64::try_from(n / 2).unwrap() * 1_000_000);
        let id = format!("{}-{step}-{n:0>16}", at.compact());
        let project = if below(random, 20) == 0 { "other" } else { repo.project() };
        let mut run = Run::begun(&id, project, ["main", "policy"][below(random, 2)], RunKind::Command, step, at);
        for k in 0..=1 + below(random, 3) {
            // Mostly what was made lately, so that chains get long.
            let Some(back) = all.len().checked_sub(1 + below(random, 1 + all.len().min(6))) else { continue };
            let made = &all[back];
            let mut producer = Producer {
                key: "out".to_owned(),
                run: made.run.clone(),
                object: Some(made.object),
                linked_by: [LinkedBy::Path, LinkedBy::Declared, LinkedBy::Content][below(random, 3)],
                candidates: Vec::new(),
            };
            match below(random, 40) {
                0 => producer.object = None,
                1 => producer.object = Some(prov::hash::blob(format!("lost {n}").as_bytes())),
                _ => {}
            }
            let mut path = made.path.clone();
            if below(random, 10) == 0 {
                path = format!("elsewhere/{n}").into();
            }
            let content = made.content.clone();
            let producer = (below(random, 16) > 0).then_some(producer);
            let input = Input { path, size: 10, stored: false, content, producer };
            run.inputs.insert(format!("in{k}"), input);
        }
        // Some take so much that it stands in a list, some the same as others before.
        match below(random, 40) {
            0 => run.inputs.extend((0..prov::object::inputs::MANY).map(|k| {
                let made = all.get(below(random, all.len().max(1)));
                let content = made.map_or_else(|| Content::Blob(prov::hash::blob(b"raw")), |made| made.content.clone());
                let path = made.map_or_else(|| "raw".into(), |made| made.path.clone());
                (format!("many{k}"), Input { path, size: 10, stored: false, content, producer: None })
            })),
            1 => {
                let known = runs.iter().rev().find(|(run, _)| run.inputs.list().is_some());
                run.inputs.extend(known.into_iter().flat_map(|(run, _)| run.inputs.clone()));
            }
            _ => {}
        }
        run.inputs.insert(
            "maybe".to_owned(),
            Input { path: "maybe".into(), size: 0, stored: false, content: Content::absent(), producer: None },
        );
        let path: BString = match below(random, 30) {
            0 => BString::from(&b"out/\xff"[..]),
            _ => format!("out/{}.csv", n % 50).into(),
        };
        // Some make what was made before.
        let content = match below(random, 10) {
            0 if !all.is_empty() => all[below(random, all.len())].content.clone(),
            _ => Content::Blob(prov::hash::blob(n.to_string().as_bytes())),
        };
        let output = Output {
            set: None,
            exec: false,
            meta: std::collections::BTreeMap::default(),
            path: path.clone(),
            size: 10,
            facets: std::collections::BTreeMap::default(),
            format: None,
            schema: None,
            stored: false,
            content: content.clone(),
            members: std::collections::BTreeMap::default(),
        };
        run.outputs.insert("out".to_owned(), output);
        run.facets.insert("n".to_owned(), Value::Int(i128::try_from(n).unwrap()));
        run.argv = vec!["true".into()];
        run.status = if below(random, 9) == 0 { Status::Failure } else { Status::Success };
        run.cache = match all.last() {
            Some(made) if below(random, 10) == 0 => {
                Cache::Hit { object: made.object, source: made.run.clone(), source_duration_us: 1 }
            }
            _ => Cache::Miss { reasons: Vec::new() },
        };
        run.sealed = run.status == Status::Success;
        run.finished_at = Micros(at.0 + 500_000);
        run.inputs.put_in_list().unwrap();
        let object = id_of(&Kind::RUN, &run.encode().unwrap());
        all.push(Made { run: id, object, content, path });
        runs.push((run, object));
    }
    for batch in runs.chunks(100) {
        publish(repo, batch);
    }
    all
}

fn publish(repo: &Repo, runs: &[(Run, Id)]) {
    repo.store()
        .publish(repo.new_op(), "test", &mut |snapshot| -> Result<Option<Draft>, prov::run::Error> {
            let intake = repo.store().intake(snapshot);
            // Of one path, the last that wrote it counts.
            let mut edits = std::collections::BTreeMap::new();
            for (run, object) in runs {
                intake.put(&Kind::RUN, object, &run.encode().unwrap())?;
                let mut all = prov::run::record::edits_by_itself(run, *object)?;
                if let Some((list, id)) = run.inputs.as_list() {
                    intake.put(&Kind::INPUTS, &id, &list.encode().unwrap())?;
                    all.extend(prov::run::record::edits_of_list(&list, id)?);
                }
                edits.extend(all.into_iter().map(|edit| (edit.key.clone(), edit)));
            }
            let edits = edits.into_values().collect();
            Ok(Some(Draft { collected: Some(Arc::new(intake.finish()?)), edits, ..Draft::default() }))
        })
        .unwrap();
}

#[test]
fn a_lineage_by_the_index_is_that_by_the_store() {
    for seed in [0, 1] {
        let project = Project::new();
        let repo = project.open();
        let mut random = SeededRandom::new(seed);
        let all = history(&repo, &mut random);
        let snapshot = repo.store().snapshot().unwrap();
        drop(tables::open(&repo, &snapshot, None, &Silent).unwrap());
        let mut by_index = 0;
        for (up, at) in [(true, RUNS - 1), (false, 0)] {
            let made = &all[at];
            let starts = [
                Start::Run { run: made.run.clone(), object: made.object },
                Start::Artifact { content: made.content.clone(), path: made.path.clone(), size: 10, made_by: None },
            ];
            for start in starts {
                for both in [false, true] {
                    let options = TraceOptions { up: up || both, down: !up || both, depth: None };
                    let project = repo.project();
                    let expected = trace(&snapshot, project, "main", &start, options).unwrap();
                    let mut shortcut = Watched(ByIndex::new(&repo, &snapshot, None), 0);
                    let found = trace_by(&snapshot, project, "main", &start, options, &mut shortcut).unwrap();
                    assert_eq!(found, expected, "seed {seed}, {start:?}, {options:?}");
                    by_index += shortcut.1;
                }
            }
        }
        assert!(by_index > RUNS, "the index was hardly asked: {by_index}");
    }
}

/// Shapes that a file can be left in.
fn harmed(way: usize, bytes: &mut Vec<u8>) {
    let len = bytes.len();
    match way {
        0 => bytes.clear(),
        1 => bytes.truncate(1000),
        2 => bytes.truncate(len / 2),
        3 => bytes.truncate(len - 1),
        4 => bytes[..100].fill(0),
        // The heads of all pages behind the first one.
        5 => bytes.chunks_mut(4096).skip(1).for_each(|page| page[..12].fill(0xff)),
        6 => bytes[4096..].fill(0),
        // The same of the second half: it can be opened.
        _ => bytes.chunks_mut(4096).skip(len / 8192).for_each(|page| page[..12].fill(0xff)),
    }
}

#[test]
fn a_lineage_by_a_damaged_index_is_that_by_the_store() {
    let project = Project::new();
    let repo = project.open();
    let mut random = SeededRandom::new(4);
    let all = history(&repo, &mut random);
    let snapshot = repo.store().snapshot().unwrap();
    let index = project.root.join(".prov/cache/index");
    for way in 0..8 {
        for (up, at) in [(true, RUNS - 1), (false, 0)] {
            let start = Start::Run { run: all[at].run.clone(), object: all[at].object };
            let options = TraceOptions { up, down: !up, depth: None };
            let expected = trace(&snapshot, repo.project(), "main", &start, options).unwrap();
            assert!(expected.nodes.len() > 100);
            drop(tables::open(&repo, &snapshot, None, &Silent).unwrap());
            let name = std::fs::read_to_string(index.join("current")).unwrap();
            let file = index.join(name.trim_end());
            let mut bytes = std::fs::read(&file).unwrap();
            harmed(way, &mut bytes);
            std::fs::write(&file, &bytes).unwrap();
            let mut shortcut = ByIndex::new(&repo, &snapshot, None);
            let found = trace_by(&snapshot, repo.project(), "main", &start, options, &mut shortcut).unwrap();
            assert_eq!(found, expected, "way {way}, up {up}");
            // And whoever needs an index next has one that can be asked the same.
            drop(tables::open(&repo, &snapshot, None, &Silent).unwrap());
            let direction = if up { Way::Up } else { Way::Down };
            assert!(shortcut.lines(&[all[at].object], direction, repo.project()).is_some(), "way {way}, up {up}");
        }
    }
}

#[test]
fn many_new_runs_are_read_as_if_the_index_were_new() {
    let project = Project::new();
    let repo = project.open();
    let mut random = SeededRandom::new(9);
    let count = |tables: &tables::Tables| tables.index().summary(repo.project(), None).unwrap();
    publish(&repo, &[]);
    let snapshot = repo.store().snapshot().unwrap();
    drop(tables::open(&repo, &snapshot, None, &Silent).unwrap());
    history(&repo, &mut random);
    let snapshot = repo.store().snapshot().unwrap();
    let refreshed = count(&tables::open(&repo, &snapshot, None, &Silent).unwrap());
    std::fs::remove_dir_all(project.root.join(".prov/cache/index")).unwrap();
    let anew = count(&tables::open(&repo, &snapshot, None, &Silent).unwrap());
    assert_eq!(refreshed, anew);
    assert!(refreshed.iter().map(|sum| sum.runs).sum::<i64>() > 800);
}
