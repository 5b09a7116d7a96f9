//! A fault at every effect of every writing operation: whatever was acknowledged before is still there, and the next command goes on.

use std::sync::Arc;

use prov::fs::{Fs, NthEffect, Verdict};
use prov::host::Process;
use prov::object::run::{Run, RunKind, Status};
use prov::repo::{Repo, World};
use prov::run::observer::Unheard;
use prov::run::{Batch, CommitOptions, Publication, Request, Session, Surroundings, add, commit, perform, settle};

use super::{Project, assert_sound, environment, run_in};

/// One operation on a project; whether it was acknowledged.
type Operation = fn(&Project, &Repo, u64) -> bool;

fn step(n: u64) -> Request {
    Request::command(["sh".to_owned(), "make.sh".to_owned(), format!("{n}")])
        .input("in.txt")
        .output("a.txt")
        .output("d")
        .step("make")
}

fn project() -> Project {
    let project = Project::new();
    project.write("in.txt", "input\n");
    project.write("make.sh", "echo \"$1\" > a.txt; mkdir -p d/e; echo \"$1\" > d/e/f; echo log\n");
    project
}

/// A miss: executed, recorded.
fn miss(project: &Project, repo: &Repo, n: u64) -> bool {
    run_in(repo, &project.root, &step(n))
        .is_ok_and(|done| done.exit_code == 0 && matches!(done.publication, Publication::Done))
}

/// A hit whose outputs have to be brought back over something else.
fn hit(project: &Project, repo: &Repo, n: u64) -> bool {
    project.write("a.txt", &format!("in the way {n}"));
    let done = run_in(repo, &project.root, &step(0));
    done.is_ok_and(|done| {
        done.run.is_hit() && matches!(done.publication, Publication::Done) && project.read("a.txt") == "0\n"
    })
}

fn stage(project: &Project, repo: &Repo, n: u64) -> bool {
    project.write("extra.txt", &format!("extra {n}"));
    add(&Session::new(repo, project.root.clone()), &["extra.txt".into()], false).is_ok()
}

fn record(project: &Project, repo: &Repo, n: u64) -> bool {
    project.write("more.txt", &format!("more {n}"));
    commit(&Session::new(repo, project.root.clone()), &["more.txt".into()], &CommitOptions::default()).is_ok()
}

fn runs(repo: &Repo) -> Vec<String> {
    let snapshot = repo.store().snapshot().unwrap();
    let options = prov::query::LogOptions { hits: true, ..Default::default() };
    super::listed(repo, &snapshot, &options)
}

/// The world of a process that is going to die: another than this one, and gone by the time anybody looks.
fn world(fault: &Arc<NthEffect>) -> World {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let mut world = World { fs: Fs::with_fault(fault.clone()), ..World::real(None) };
    world.process = Process { pid: child.id(), start: 1, ..world.process.process().clone() }.into();
    child.wait().unwrap();
    world
}

/// Strikes at every effect in turn, each time on what the last one left.
fn strike(operation: Operation, fault: fn(u64) -> NthEffect) {
    let project = project();
    assert!(miss(&project, &project.open(), 0));
    let mut struck = 0;
    for n in 0.. {
        let before = runs(&project.open());
        let fault = Arc::new(fault(n));
        let acknowledged = {
            let repo = project.open_in(world(&fault));
            operation(&project, &repo, n + 1)
        };
        let repo = project.open();
        settle(&repo).unwrap();
        let after = runs(&repo);
        assert!(before.iter().all(|run| after.contains(run)), "effect {n}: a run is lost");
        assert_sound(&repo);
        assert!(operation(&project, &repo, n + 1), "effect {n}: it does not work afterwards");
        if !fault.has_struck() {
            assert!(acknowledged);
            break;
        }
        struck += 1;
    }
    assert!(struck > 3, "only {struck} effects");
}

fn crash(n: u64) -> NthEffect {
    NthEffect::crash(n)
}

fn full(n: u64) -> NthEffect {
    NthEffect::once(n, Verdict::Fail(28))
}

fn done_but_failed(n: u64) -> NthEffect {
    NthEffect::once(n, Verdict::DoneButFail(5))
}

#[test]
fn a_miss_survives_a_crash_at_every_effect() {
    strike(miss, crash);
}

#[test]
fn a_miss_survives_a_full_disk_at_every_effect() {
    strike(miss, full);
}

#[test]
fn a_miss_survives_an_effect_that_lies() {
    strike(miss, done_but_failed);
}

#[test]
fn a_hit_survives_a_crash_at_every_effect() {
    strike(hit, crash);
}

#[test]
fn a_hit_survives_a_full_disk_at_every_effect() {
    strike(hit, full);
}

#[test]
fn add_and_commit_survive_a_crash_at_every_effect() {
    strike(stage, crash);
    strike(record, crash);
}

#[test]
fn add_and_commit_survive_a_full_disk_at_every_effect() {
    strike(stage, full);
    strike(record, full);
}

/// Runs that are closed together; those that were closed before the crash.
fn together(project: &Project, repo: &Repo, n: u64, fault: &NthEffect) -> Result<Vec<String>, prov::run::Error> {
    let id = format!("20260101T000000.{n:06}Z-many-0123456789abcdef");
    let mut around =
        Run::begun(&id, repo.project(), repo.scenario(), RunKind::Pipeline, "many", prov::clock::Micros(1_800_000_000));
    let batch = Batch::new(repo, Some(Batch::begin(repo, &around)?))?;
    let session = Session::new(repo, project.root.clone()).in_batch(&batch);
    let environment = environment();
    let mut closed = Vec::new();
    // Two that say nothing, which leave no folder, one that does, and one more after some became history.
    for (at, script) in [":", "echo \"$0\" > made.txt", "echo said", "echo \"$0\" > more.txt"].iter().enumerate() {
        let request = Request::command(["sh".to_owned(), "-c".to_owned(), (*script).to_owned(), format!("{n}.{at}")])
            .step(format!("part-{at}"));
        let request = match at {
            1 => request.output("made.txt"),
            3 => request.output("more.txt"),
            _ => request,
        };
        let around = Surroundings { environment: &environment, observer: &mut Unheard, interrupts: None };
        let done = perform(&session, &request, around);
        match done {
            Ok(done) if matches!(done.publication, Publication::Batched) && !fault.has_struck() => {
                closed.push(done.run.run);
            }
            _ => return Ok(closed),
        }
        if at == 2 && !batch.flush().failed.is_empty() {
            return Ok(closed);
        }
    }
    around.status = Status::Success;
    around.finished_at = repo.now();
    if batch.add_light(&mut around).is_ok() {
        batch.flush();
    }
    let _ = batch.end();
    Ok(closed)
}

#[test]
fn what_was_closed_together_with_others_survives_a_crash_at_every_effect() {
    let project = project();
    let mut struck = 0;
    for n in 0.. {
        let fault = Arc::new(crash(n));
        let closed = together(&project, &project.open_in(world(&fault)), n, &fault).unwrap_or_default();
        let repo = project.open();
        settle(&repo).unwrap();
        let snapshot = repo.store().snapshot().unwrap();
        for run in &closed {
            assert_eq!(
                run_of(&snapshot, run).map(|run| run.status),
                Some(Status::Success),
                "effect {n}: {run} was closed"
            );
        }
        assert_sound(&repo);
        let again = settle(&repo).unwrap();
        let left: Vec<_> = Fs::real().names(&project.root.join(".prov/live")).unwrap();
        assert!(again.is_empty() && left.iter().all(|name| name == ".spare"), "effect {n}: {again:?} {left:?}");
        if !fault.has_struck() {
            assert_eq!(closed.len(), 4);
            break;
        }
        struck += 1;
    }
    assert!(struck > 40, "only {struck} effects");
}

fn run_of(snapshot: &prov::store::Snapshot, run: &str) -> Option<Run> {
    let value = snapshot.get_ref(&prov::refs::key::id(run)).unwrap()?;
    let place: prov::repo::entry::RunPlace = prov::repo::entry::decode(&value).unwrap();
    Some(prov::revspec::read_run(snapshot, run, &place.object).unwrap())
}

#[test]
fn a_task_that_was_killed_before_anything_was_written_of_it_is_on_record_as_a_task_of_its_step() {
    let project = project();
    let (step, task) = ("20260101T000000.000000Z-s-0123456789abcdef", "20260101T000001.000000Z-s_t-0123456789abcdeg");
    {
        let repo = project.open_in(world(&Arc::new(crash(u64::MAX))));
        let at = prov::clock::Micros(1_767_225_600_000_000);
        let around = Run::begun(step, repo.project(), repo.scenario(), RunKind::Step, "s", at);
        let running = Batch::begin(&repo, &around).unwrap();
        let intent = prov::run::live::Intent {
            run: task.to_owned(),
            step: "s/t".to_owned(),
            parent: Some(step.to_owned()),
            argv: vec!["true".into()],
            op: *b"0123456789abcdef",
            ..running.intent().clone()
        };
        prov::run::live_folder(&repo).begin(intent).unwrap();
    }
    let repo = project.open();
    assert_eq!(settle(&repo).unwrap().len(), 2);
    let snapshot = repo.store().snapshot().unwrap();
    let found = run_of(&snapshot, task).unwrap();
    assert_eq!((found.kind, found.status, found.parent.as_deref()), (RunKind::Task, Status::Aborted, Some(step)));
    assert!(run_of(&snapshot, step).unwrap().children.contains_key(task));
}
