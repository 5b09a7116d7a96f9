//! Stores that meet, through the library: faults at every effect, and remotes that lie.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use prov::fs::{Fs, NthEffect, Verdict};
use prov::hash::Id;
use prov::object::mark::MarkKind;
use prov::object::tree::{Entry, EntryKind};
use prov::object::{Kind, Record, Sink, Source, id_of};
use prov::progress::{Cancel, Silent};
use prov::refs::key;
use prov::repo::entry::{self, Outcome};
use prov::repo::{InitOptions, Places, Repo, World};
use prov::run::{Publication, Request};
use prov::store::{Direction, Draft, LocalBackend, OpId, RefEdit, Store};
use prov::sync::{self, Depth, Error, Means, Options, Report, Selection};

use super::{Project, assert_sound, run_in};

fn options(cancel: &Cancel) -> Options<'_> {
    Options {
        selection: Selection::default(),
        depth: Depth::Content,
        is_thorough: false,
        is_complete: false,
        is_dry: false,
        takes_scrubs: false,
        at_once: sync::AT_ONCE,
        progress: &Silent,
        cancel,
    }
}

fn push(repo: &Repo, remote: &Path) -> Result<Report, Error> {
    push_in_parts(repo, remote, sync::AT_ONCE)
}

fn push_in_parts(repo: &Repo, remote: &Path, at_once: usize) -> Result<Report, Error> {
    let remote = sync::choose(repo, remote.to_str(), repo.root()).unwrap();
    sync::push(repo, &remote, &Means::default(), &Options { at_once, ..options(&Cancel::new()) })
}

fn fetch(repo: &Repo, remote: &Path) -> Result<Report, Error> {
    fetch_in_parts(repo, remote, sync::AT_ONCE)
}

fn fetch_in_parts(repo: &Repo, remote: &Path, at_once: usize) -> Result<Report, Error> {
    let remote = sync::choose(repo, remote.to_str(), repo.root()).unwrap();
    sync::fetch(repo, &remote, &Means::default(), &Options { at_once, ..options(&Cancel::new()) })
}

fn runs(repo: &Repo) -> Vec<String> {
    let snapshot = repo.store().snapshot().unwrap();
    let options = prov::query::LogOptions { hits: true, ..Default::default() };
    super::listed(repo, &snapshot, &options)
}

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
    project
        .write("make.sh", "echo \"$1\" > a.txt; mkdir -p d/e; echo \"$1\" > d/e/f; seq 1 60000 > d/large; echo log\n");
    project
}

fn record(project: &Project, n: u64) {
    let done = run_in(&project.open(), &project.root, &step(n)).unwrap();
    assert!(matches!(done.publication, Publication::Done));
}

/// A store at `path`, checked by a project of its own.
fn assert_sound_at(path: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let options = InitOptions { name: None, store: Some(path.to_owned()) };
    let root = dir.path().canonicalize().unwrap();
    let (repo, _) = Repo::init(&root, &options, &Places::default(), World::real(None)).unwrap();
    assert_sound(&repo);
}

fn faulty(project: &Project, fault: &Arc<NthEffect>) -> Repo {
    project.open_in(World { fs: Fs::with_fault(fault.clone()), ..World::real(None) })
}

/// Strikes at every effect of a push and of a fetch: nothing on record is lost on either side, no ref names what is not there, and the next
/// transfer completes what was cut off.
fn strike(fault: fn(u64) -> NthEffect) {
    strike_parts(fault, sync::AT_ONCE, 1);
}

/// As [`strike`], with so many runs a time and so many of them carried together: one part is made visible while the next one is carried.
fn strike_parts(fault: fn(u64) -> NthEffect, at_once: usize, runs_each: u64) {
    let (a, b) = (project(), Project::new());
    // Two checkouts of one project.
    b.write("prov.toml", "[project]\nname = \"project\"\n");
    let dir = tempfile::tempdir().unwrap();
    let remote = dir.path().join("remote");
    record(&a, 0);
    let mut struck = 0;
    for n in 0.. {
        (0..runs_each).for_each(|i| record(&a, n * runs_each + i + 1));
        let fault_of_push = Arc::new(fault(n));
        let _ = push_in_parts(&faulty(&a, &fault_of_push), &remote, at_once);
        if remote.join("format").exists() {
            assert_sound_at(&remote);
        }
        push(&a.open(), &remote).unwrap_or_else(|err| panic!("effect {n}: {err:?}"));
        assert_sound_at(&remote);
        let fault_of_fetch = Arc::new(fault(n));
        let _ = fetch_in_parts(&faulty(&b, &fault_of_fetch), &remote, at_once);
        assert_sound(&b.open());
        fetch(&b.open(), &remote).unwrap_or_else(|err| panic!("effect {n}: {err:?}"));
        assert_sound(&b.open());
        assert_eq!(runs(&a.open()), runs(&b.open()), "effect {n}");
        struck += u64::from(fault_of_push.has_struck()) + u64::from(fault_of_fetch.has_struck());
        if !fault_of_push.has_struck() && !fault_of_fetch.has_struck() {
            break;
        }
    }
    assert!(struck > 10, "only {struck} effects");
}

#[test]
fn transfers_survive_a_crash_at_every_effect() {
    strike(NthEffect::crash);
}

#[test]
fn transfers_survive_a_full_disk_at_every_effect() {
    strike(|n| NthEffect::once(n, Verdict::Fail(28)));
}

#[test]
fn transfers_survive_effects_that_lie() {
    strike(|n| NthEffect::once(n, Verdict::DoneButFail(5)));
}

#[test]
fn transfers_in_parts_survive_a_crash_at_every_effect() {
    strike_parts(NthEffect::crash, 1, 2);
}

/// The run that the refs say wrote a path last.
fn writer_of(repo: &Repo, path: &str) -> String {
    let key = key::outpath(repo.project(), path.into());
    entry::decode(&repo.store().snapshot().unwrap().get_ref(&key).unwrap().unwrap()).unwrap()
}

#[test]
fn parts_share_what_they_have_in_common_and_leave_the_newest_run_at_each_path() {
    let (a, b) = (project(), Project::new());
    b.write("prov.toml", "[project]\nname = \"project\"\n");
    let dir = tempfile::tempdir().unwrap();
    let (whole, remote) = (dir.path().join("whole"), dir.path().join("remote"));
    // Scenarios are carried in the order of their names, so that older runs follow newer ones.
    for (n, scenario) in (0..).zip(["z", "y", "main", "b", "a"]) {
        if scenario != "main" {
            prov::scenario::new(&a.open(), scenario, &prov::scenario::NewOptions::default(), false).unwrap();
        }
        let made = run_in(&a.open(), &a.root, &Request { scenario: Some(scenario.to_owned()), ..step(n) }).unwrap();
        assert!(matches!(made.publication, Publication::Done));
    }
    let newest = writer_of(&a.open(), "a.txt");
    let at_once = push(&a.open(), &whole).unwrap().moved;
    let in_parts = push_in_parts(&a.open(), &remote, 1).unwrap().moved;
    assert_eq!((in_parts.runs, in_parts.objects, in_parts.bytes), (at_once.runs, at_once.objects, at_once.bytes));
    assert_sound_at(&remote);
    let fetched = fetch_in_parts(&b.open(), &remote, 2).unwrap().moved;
    assert_eq!((fetched.runs, fetched.objects), (5, at_once.objects));
    assert_sound(&b.open());
    assert_eq!(runs(&a.open()), runs(&b.open()));
    assert_eq!(writer_of(&b.open(), "a.txt"), newest);
}

#[test]
fn content_follows_records_that_lie_in_several_files_of_the_target() {
    let a = project();
    a.write("small.sh", "echo \"$1\" > a.txt\n");
    let dir = tempfile::tempdir().unwrap();
    let remote = dir.path().join("remote");
    for n in 0..40 {
        let words = ["sh".to_owned(), "small.sh".to_owned(), format!("{n}")];
        run_in(&a.open(), &a.root, &Request::command(words).output("a.txt").step("small")).unwrap();
    }
    // One entry each, so that some are in a pack and some are not.
    let to = sync::choose(&a.open(), remote.to_str(), &a.root).unwrap();
    let cancel = Cancel::new();
    let records = Options { depth: Depth::Records, at_once: 1, ..options(&cancel) };
    assert_eq!(sync::push(&a.open(), &to, &Means::default(), &records).unwrap().moved.runs, 40);
    let content = push(&a.open(), &remote).unwrap().moved;
    assert_eq!((content.runs, content.absent), (0, 0));
    assert!(content.objects >= 40, "{content:?}");
    assert_sound_at(&remote);
    assert!(push(&a.open(), &remote).unwrap().moved.is_nothing());
}

#[test]
fn an_older_run_does_not_take_a_path_from_a_newer_one() {
    let (a, b) = (project(), project());
    b.write("prov.toml", "[project]\nname = \"project\"\n");
    let dir = tempfile::tempdir().unwrap();
    let remote = dir.path().join("remote");
    record(&a, 1);
    record(&b, 2);
    let newest = writer_of(&b.open(), "a.txt");
    // The newer one is there before the older one comes, and the other way round.
    push(&b.open(), &remote).unwrap();
    push(&a.open(), &remote).unwrap();
    fetch(&b.open(), &remote).unwrap();
    assert_eq!(writer_of(&b.open(), "a.txt"), newest);
    assert_ne!(writer_of(&a.open(), "a.txt"), newest);
    fetch(&a.open(), &remote).unwrap();
    assert_eq!(writer_of(&a.open(), "a.txt"), newest);
}

/// Runs of a repository that were retracted at another one, and are not retracted here.
fn hits_that_must_not_be(here: &Repo, retracted: &[Id]) -> Vec<Id> {
    let snapshot = here.store().snapshot().unwrap();
    let listed: Vec<Id> = snapshot
        .scan(&key::all_runs(), Direction::Forward)
        .map(|item| entry::decode::<entry::RunLine>(&item.unwrap().1).unwrap().object)
        .collect();
    let marks = prov::mark::Marks::open(&snapshot).unwrap();
    retracted.iter().filter(|run| listed.contains(run) && marks.retracted(run).unwrap().is_none()).copied().collect()
}

#[test]
fn what_was_retracted_at_the_remote_is_at_no_time_a_hit_here() {
    let (a, b) = (project(), Project::new());
    b.write("prov.toml", "[project]\nname = \"project\"\n");
    let dir = tempfile::tempdir().unwrap();
    let remote = dir.path().join("remote");
    let (mut retracted, mut struck) = (Vec::new(), 0);
    for n in 0.. {
        let done = run_in(&a.open(), &a.root, &step(n)).unwrap();
        retracted.push(done.object);
        prov::mark::say(&a.open(), &retracted[retracted.len() - 1..], MarkKind::Retract, true, "wrong").unwrap();
        push(&a.open(), &remote).unwrap();
        let fault = Arc::new(NthEffect::crash(n));
        let _ = fetch(&faulty(&b, &fault), &remote);
        assert_sound(&b.open());
        assert_eq!(hits_that_must_not_be(&b.open(), &retracted), [], "effect {n}");
        if !fault.has_struck() {
            break;
        }
        struck += 1;
        fetch(&b.open(), &remote).unwrap();
        assert_eq!(runs(&a.open()), runs(&b.open()), "effect {n}");
    }
    assert!(struck > 10, "only {struck} effects");
}

#[test]
fn what_was_retracted_is_no_hit_where_it_came_along_with_what_was_made_of_it() {
    let (a, b) = (project(), Project::new());
    b.write("prov.toml", "[project]\nname = \"project\"\n");
    let dir = tempfile::tempdir().unwrap();
    let remote = dir.path().join("remote");
    let made = run_in(&a.open(), &a.root, &step(1)).unwrap();
    let copy =
        Request::command(["cp", "a.txt", "b.txt"].map(str::to_owned)).input("a.txt").output("b.txt").step("copy");
    let copied = run_in(&a.open(), &a.root, &copy).unwrap();
    prov::mark::say(&a.open(), &[made.object], MarkKind::Retract, true, "wrong").unwrap();
    push(&a.open(), &remote).unwrap();
    for n in 0.. {
        let fault = Arc::new(NthEffect::crash(n));
        let cancel = Cancel::new();
        let selection = Selection { runs: vec![copied.run.run.clone()], ..Selection::default() };
        let options = Options { selection, ..options(&cancel) };
        let at = faulty(&b, &fault);
        let chosen = sync::choose(&at, remote.to_str(), at.root()).unwrap();
        let _ = sync::fetch(&at, &chosen, &Means::default(), &options);
        assert_sound(&b.open());
        assert_eq!(hits_that_must_not_be(&b.open(), &[made.object]), [], "effect {n}");
        if !fault.has_struck() {
            break;
        }
    }
    assert_eq!(runs(&b.open()).len(), 2);
}

/// A remote with one run, and who made it.
struct Remote {
    a: Project,
    dir: tempfile::TempDir,
}

impl Remote {
    fn new() -> Self {
        let a = project();
        record(&a, 1);
        let dir = tempfile::tempdir().unwrap();
        push(&a.open(), &dir.path().join("remote")).unwrap();
        Self { a, dir }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("remote")
    }

    fn store(&self) -> Store {
        let backend = LocalBackend::new(Fs::real(), self.path());
        Store::open(Arc::new(backend), &World::real(None).for_store()).unwrap()
    }

    /// Adds objects and refs, whatever they are.
    fn forge(&self, objects: &[(Kind, Vec<u8>)], edits: Vec<RefEdit>) {
        let store = self.store();
        let intake = store.intake(&store.snapshot().unwrap());
        for (kind, bytes) in objects {
            intake.put(kind, &id_of(kind, bytes), bytes).unwrap();
        }
        let collected = Some(Arc::new(intake.finish().unwrap()));
        let draft = Draft { collected, edits, ..Draft::default() };
        let op = OpId::new(&*store.world().random);
        store.publish(op, "forge", &mut |_| Ok::<_, prov::store::Error>(Some(draft.clone()))).unwrap();
    }

    fn run(&self) -> (Id, prov::object::run::Run) {
        let snapshot = self.store().snapshot().unwrap();
        let (key, _) = snapshot.scan(&key::runs_of_project("project"), Direction::Forward).next().unwrap().unwrap();
        let (_, object) = key::run_and_object(&key).unwrap();
        let (_, bytes) = snapshot.read(&object).unwrap().unwrap();
        (object, prov::object::RunRecord::decode(&bytes).unwrap().into_head())
    }
}

/// Another checkout, with nothing on record.
fn other() -> Project {
    let b = project();
    b.write("prov.toml", "[project]\nname = \"project\"\n");
    b
}

/// A fetch that must fail, and change nothing.
#[track_caller]
fn refused(remote: &Remote) -> String {
    let b = other();
    let before = b.open().store().snapshot().unwrap().tip();
    let err = fetch(&b.open(), &remote.path()).expect_err("it is refused");
    let repo = b.open();
    assert_eq!(repo.store().snapshot().unwrap().tip(), before, "{err:?}");
    assert_eq!(runs(&repo), Vec::<String>::new());
    assert_sound(&repo);
    let names = repo.fs().names(&b.root.join(".prov/store/packs")).unwrap();
    assert!(names.is_empty(), "{names:?}");
    prov::run::chain(&err)
}

#[test]
fn a_forged_result_never_becomes_a_hit() {
    let remote = Remote::new();
    let (object, run) = remote.run();
    // What step 2 would look for leads to the outcome of step 1.
    record(&remote.a, 2);
    let repo = remote.a.open();
    let snapshot = repo.store().snapshot().unwrap();
    let mut recipes = Vec::new();
    for item in snapshot.scan(&key::runs_of_project("project"), Direction::Forward) {
        let (_, id) = key::run_and_object(&item.unwrap().0).unwrap();
        let run = prov::object::RunRecord::decode(&snapshot.read(&id).unwrap().unwrap().1).unwrap().into_head();
        recipes.extend(run.recipe);
    }
    let edits = recipes
        .iter()
        .filter(|recipe| Some(**recipe) != run.recipe)
        .map(|recipe| {
            let value = entry::encode(&Outcome { object, sealed: true, status: run.status }).unwrap();
            RefEdit::set(key::result(recipe, 99, &run.run), value)
        })
        .collect::<Vec<_>>();
    assert!(!edits.is_empty());
    remote.forge(&[], edits);
    let b = other();
    fetch(&b.open(), &remote.path()).unwrap();
    assert_eq!(runs(&b.open()).len(), 1);
    let done = run_in(&b.open(), &b.root, &step(2)).unwrap();
    assert!(!done.run.is_hit());
    assert_eq!(b.read("a.txt"), "2\n");
    assert_sound(&b.open());
}

#[test]
fn a_ref_that_names_something_else_than_a_run_is_refused() {
    let remote = Remote::new();
    let blob = prov::hash::blob(b"no run");
    let key = key::run("project", "main", "20261122T102030.123456Z-a-0123456789abcdef", &blob);
    remote.forge(&[(Kind::BLOB, b"no run".to_vec())], vec![RefEdit::set(key, b"x".to_vec())]);
    let err = refused(&remote);
    assert!(err.contains("damaged or forged"), "{err}");
}

#[test]
fn a_ref_to_nothing_is_refused() {
    let remote = Remote::new();
    let key = key::run("project", "main", "20261122T102030.123456Z-a-0123456789abcdef", &prov::hash::blob(b"nothing"));
    remote.forge(&[], vec![RefEdit::set(key, b"x".to_vec())]);
    let err = refused(&remote);
    assert!(err.contains("lacks the run"), "{err}");
}

#[test]
fn a_record_that_needs_what_nobody_has_is_refused() {
    let remote = Remote::new();
    let (_, mut run) = remote.run();
    run.run = "20261122T102030.123456Z-a-0123456789abcdef".to_owned();
    run.recipe = Some(prov::hash::blob(b"no recipe"));
    let bytes = run.encode().unwrap();
    let object = id_of(&Kind::RUN, &bytes);
    let key = key::run("project", "main", &run.run, &object);
    remote.forge(&[(Kind::RUN, bytes)], vec![RefEdit::set(key, b"x".to_vec())]);
    let err = refused(&remote);
    assert!(err.contains("lacks the recipe"), "{err}");
}

#[test]
fn names_that_could_lead_elsewhere_are_refused() {
    for (id, scenario) in
        [("../../../etc/passwd-0123456789abcdef", "main"), ("20261122T102030.123456Z-a-0123456789abcdef", "../x")]
    {
        let remote = Remote::new();
        let (_, mut run) = remote.run();
        run.run = id.to_owned();
        run.scenario = scenario.to_owned();
        let bytes = run.encode().unwrap();
        let object = id_of(&Kind::RUN, &bytes);
        let key = key::run("project", scenario, id, &object);
        remote.forge(&[(Kind::RUN, bytes)], vec![RefEdit::set(key, b"x".to_vec())]);
        let err = refused(&remote);
        assert!(err.contains("breaks the rules"), "{err}");
    }
}

#[test]
fn a_folder_with_a_name_that_leads_out_of_it_is_refused() {
    let remote = Remote::new();
    let (_, mut run) = remote.run();
    let blob = prov::hash::blob(b"payload");
    let entry = Entry { name: "aa".into(), kind: EntryKind::File, id: blob, size: 7 };
    let built = prov::object::tree::build(vec![entry]).unwrap();
    let (_, mut bytes) = built.objects.into_iter().next().unwrap();
    let at = bytes.windows(2).rposition(|two| two == b"aa").unwrap();
    bytes[at..at + 2].copy_from_slice(b"..");
    let tree = id_of(&Kind::TREE, &bytes);
    run.run = "20261122T102030.123456Z-a-0123456789abcdef".to_owned();
    for output in run.outputs.values_mut() {
        output.content = prov::object::recipe::Content::Tree(tree);
    }
    let record = run.encode().unwrap();
    let key = key::run("project", "main", &run.run, &id_of(&Kind::RUN, &record));
    remote.forge(
        &[(Kind::TREE, bytes), (Kind::BLOB, b"payload".to_vec()), (Kind::RUN, record)],
        vec![RefEdit::set(key, b"x".to_vec())],
    );
    let err = refused(&remote);
    assert!(err.contains("breaks the rules"), "{err}");
}

#[test]
fn pieces_that_make_up_other_content_are_refused() {
    let remote = Remote::new();
    let (_, mut run) = remote.run();
    let pieces: Vec<Vec<u8>> = vec![vec![1; 5000], vec![2; 5000]];
    let list = prov::object::chunks::build(
        pieces
            .iter()
            .map(|piece| prov::object::chunks::Piece { id: prov::hash::blob(piece), len: piece.len() as u64 })
            .collect(),
    )
    .unwrap();
    let claimed = prov::hash::blob(b"something else altogether");
    run.run = "20261122T102030.123456Z-a-0123456789abcdef".to_owned();
    for output in run.outputs.values_mut() {
        output.content = prov::object::recipe::Content::Blob(claimed);
    }
    let record = run.encode().unwrap();
    let object = id_of(&Kind::RUN, &record);
    let store = remote.store();
    let intake = store.intake(&store.snapshot().unwrap());
    for piece in &pieces {
        intake.put(&Kind::BLOB, &prov::hash::blob(piece), piece).unwrap();
    }
    for (id, bytes) in &list.objects {
        intake.put(&Kind::CHUNKS, id, bytes).unwrap();
    }
    intake.put_pieces(&claimed, 10_000, &list.root).unwrap();
    intake.put(&Kind::RUN, &object, &record).unwrap();
    let edits = vec![RefEdit::set(key::run("project", "main", &run.run, &object), b"x".to_vec())];
    let draft = Draft { collected: Some(Arc::new(intake.finish().unwrap())), edits, ..Draft::default() };
    let op = OpId::new(&*store.world().random);
    store.publish(op, "forge", &mut |_| Ok::<_, prov::store::Error>(Some(draft.clone()))).unwrap();
    let err = refused(&remote);
    assert!(err.contains("make up other content"), "{err}");
}

#[test]
fn a_run_with_the_id_of_another_one_takes_nothing_from_it() {
    let remote = Remote::new();
    let (object, run) = remote.run();
    let b = other();
    fetch(&b.open(), &remote.path()).unwrap();
    let mut twin = run.clone();
    twin.description = "a twin".to_owned();
    let bytes = twin.encode().unwrap();
    let other = id_of(&Kind::RUN, &bytes);
    let key = key::run("project", "main", &twin.run, &other);
    remote.forge(&[(Kind::RUN, bytes)], vec![RefEdit::set(key.clone(), b"x".to_vec())]);
    fetch(&b.open(), &remote.path()).unwrap();
    let snapshot = b.open().store().snapshot().unwrap();
    assert!(snapshot.get_ref(&key).unwrap().is_some(), "both are listed");
    let place: entry::RunPlace = entry::decode(&snapshot.get_ref(&key::id(&run.run)).unwrap().unwrap()).unwrap();
    assert_eq!(place.object, object, "the name leads to the one that came first");
    assert_sound(&b.open());
}

/// Damages every file of a remote in several places, each time another one: what arrives is whole, or nothing arrives and it is said why.
fn damaged(harm: &dyn Fn(&mut Vec<u8>, usize)) {
    let remote = Remote::new();
    record(&remote.a, 2);
    push(&remote.a.open(), &remote.path()).unwrap();
    let files: Vec<std::path::PathBuf> = Fs::real()
        .walk(&remote.path())
        .filter_map(|item| item.ok().filter(|(_, stat)| stat.is_file()).map(|(path, _)| path))
        .filter(|path| !path.ends_with("queue"))
        .collect();
    let (mut failed, mut tried) = (0, 0);
    for file in &files {
        let whole = std::fs::read(file).unwrap();
        for part in 0..7 {
            let mut bytes = whole.clone();
            harm(&mut bytes, whole.len() * part / 7);
            overwrite(file, &bytes);
            let b = other();
            tried += 1;
            match fetch(&b.open(), &remote.path()) {
                Ok(_) => {
                    // What was harmed was not needed, or there was another copy of it.
                    let repo = b.open();
                    assert!(runs(&repo).len() <= 2);
                }
                Err(err) => {
                    failed += 1;
                    assert_eq!(runs(&b.open()), Vec::<String>::new(), "{err:?}");
                }
            }
            assert_sound(&b.open());
        }
        overwrite(file, &whole);
    }
    assert!(failed > tried / 4, "{failed} of {tried}");
    let b = other();
    fetch(&b.open(), &remote.path()).unwrap();
    assert_eq!(runs(&b.open()).len(), 2);
}

fn overwrite(path: &Path, bytes: &[u8]) {
    let fs = Fs::real();
    fs.remove_file(path).unwrap();
    fs.create(path, 0o644).unwrap().write_all(bytes).unwrap();
}

#[test]
fn flipped_bits_at_a_remote_change_nothing_here() {
    damaged(&|bytes, at| {
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 0x20;
        }
    });
}

#[test]
fn truncated_files_at_a_remote_change_nothing_here() {
    damaged(&|bytes, at| bytes.truncate(at));
}

#[test]
fn files_of_zeros_at_a_remote_change_nothing_here() {
    damaged(&|bytes, at| bytes[at..].fill(0));
}
