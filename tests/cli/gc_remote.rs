//! `prov gc --remote`: garbage in stores that no project has as its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prov::fs::Fs;
use prov::object::{Kind, Sink, Source};
use prov::store::{Draft, FromStore, OpId};
use serde_json::Value;

use crate::elsewhere;
use crate::project::noise;
use crate::sandbox::Sandbox;
use crate::schema;
use crate::sync::{fetch, four_pushers, history, machine, push, rounds, shared, text, twice};

fn with_remote(remote: &Path) -> Sandbox {
    let sandbox = machine();
    sandbox.prov(["init", "-q"]).ok();
    sandbox.prov(["remote", "add", "origin", &text(remote)]).ok();
    sandbox
}

/// A project whose store is the remote's.
fn owner(remote: &Path) -> Sandbox {
    let sandbox = machine();
    sandbox.prov(["init", "-q", "--store", &text(remote)]).ok();
    sandbox
}

fn sound(remote: &Path) {
    owner(remote).prov(["fsck"]).ok();
}

#[track_caller]
fn collect(sandbox: &Sandbox, words: &[&str]) -> Value {
    let json = sandbox.prov([&["--json", "gc", "--remote", "origin"], words].concat()).ok().json();
    schema::assert_valid("gc", &json);
    assert_eq!(json["remote"], "origin");
    json
}

fn packs(store: &Path) -> Vec<PathBuf> {
    let names = Fs::real().names(&store.join("packs")).unwrap();
    names.into_iter().map(|name| store.join("packs").join(name)).collect()
}

/// Leaves a pack in the store that no entry names, as a killed writer does.
fn leave_orphan(sandbox: &Sandbox, remote: &Path) -> PathBuf {
    let own = packs(&sandbox.path(".prov/store"));
    let pack = own.iter().find(|pack| !remote.join("packs").join(pack.file_name().unwrap()).exists()).unwrap();
    let to = remote.join("packs").join(pack.file_name().unwrap());
    Fs::real().replace(&to, &std::fs::read(pack).unwrap(), false).unwrap();
    to
}

#[test]
fn what_nothing_leads_to_in_a_remote_goes_and_nothing_else() {
    let dir = shared();
    let remote = dir.path().join("s");
    let a = with_remote(&remote);
    a.file("in.txt", noise(300_000));
    twice(&a, "in.txt", "out.txt").misses();
    push(&a);
    let orphan = leave_orphan(&a, &remote);
    // Staged there, and staged again with other bytes.
    let other = owner(&remote);
    for seed in ["x", "y"] {
        other.file("staged.bin", noise(400_000) + seed);
        other.prov(["add", "staged.bin"]).ok();
    }
    let before = packs(&remote);
    let plan = collect(&a, &["-n"]);
    assert_eq!((&plan["dry_run"], packs(&remote).len()), (&true.into(), before.len()));
    assert!(plan["items"].as_array().unwrap().iter().all(|item| item["action"] != "orphan"), "{plan}");
    assert_eq!(
        collect(&a, &["-n", "--orphans"])["items"].as_array().unwrap().len(),
        1 + plan["items"].as_array().unwrap().len()
    );
    let done = collect(&a, &["--orphans"]);
    assert!(done["bytes"].as_i64().unwrap() > 0 && !orphan.exists(), "{done}");
    assert_eq!(collect(&a, &["--orphans"])["items"].as_array().unwrap().len(), 0);
    sound(&remote);
    // What is recorded and what is staged are all there.
    let b = machine();
    b.prov(["clone", "-q", &text(&remote), "."]).ok();
    b.prov(["restore", "@last"]).ok();
    b.prov(["fsck"]).ok();
    other.prov(["commit", "-m", "staged"]).ok();
    other.prov(["fsck"]).ok();
    // This store was not touched, and both go on.
    a.prov(["fsck"]).ok();
    a.file("in.txt", "more\n");
    twice(&a, "in.txt", "out.txt").misses();
    push(&a);
    fetch(&a);
    fetch(&b);
    assert_eq!(history(&b), history(&a));
    a.prov(["gc", "--remote", "nobody"]).ends(4);
}

#[test]
fn a_writer_whose_packs_go_before_they_are_named_writes_them_again() {
    let dir = shared();
    let remote = dir.path().join("s");
    let a = with_remote(&remote);
    a.file("in.txt", noise(300_000));
    twice(&a, "in.txt", "out.txt").misses();
    push(&a);
    // What it writes is in its own store, as with every push.
    let bytes = noise(600_000).into_bytes();
    a.file("other.bin", &bytes);
    a.prov(["commit", "other.bin", "-m", "other"]).ok();
    let near = elsewhere::open(&a.path(".prov/store")).snapshot().unwrap();

    let far = elsewhere::open(&remote);
    let intake = far.intake(&far.snapshot().unwrap());
    let id = prov::hash::blob(&bytes);
    intake.put(&Kind::BLOB, &id, &bytes).unwrap();
    let collected = Arc::new(intake.finish().unwrap());
    assert_eq!(collect(&a, &["--orphans"])["items"][0]["action"], "orphan");
    let op = OpId::new(&*prov::repo::World::real(None).random);
    far.publish(op, "push", &mut |_| -> Result<Option<Draft>, prov::store::Error> {
        let restore = Some(Arc::new(FromStore(near.clone())) as _);
        Ok(Some(Draft { collected: Some(Arc::clone(&collected)), restore, ..Draft::default() }))
    })
    .unwrap();
    assert_eq!(far.snapshot().unwrap().read(&id).unwrap().unwrap().1, bytes);
    sound(&remote);
}

/// Tells another thread to stop, also when this one fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn collecting_while_others_push_takes_nothing_of_theirs() {
    let dir = shared();
    let remote = dir.path().join("s");
    let machines: Vec<Sandbox> = (0..4).map(|_| with_remote(&remote)).collect();
    let collector = with_remote(&remote);
    machines[0].prov(["push"]).ok();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // Where others write faster than it can look, it gives up, and nothing is lost.
                let outcome = collector.prov(["gc", "--remote", "origin", "--orphans"]);
                assert!(outcome.code == 0 || outcome.err().contains("others record much"), "{outcome}");
            }
        });
        let _over = Over(&is_over);
        four_pushers(&machines, rounds(4), || {
            let all = machine();
            all.prov(["clone", "-q", &text(&remote), "."]).ok();
            all
        });
    });
    sound(&remote);
}
