//! A crash, a full disk, a failing disk at every single effect: what was acknowledged is there, nothing is damaged,
//! and the operation can be finished by whoever comes next.

use std::path::Path;

use super::*;
use crate::fs::{Fs, NthEffect, Verdict};

fn copy_tree(from: &Path, to: &Path) {
    let fs = Fs::real();
    fs.make_dirs(to).unwrap();
    for item in fs.walk(from) {
        let (path, stat) = item.unwrap();
        let target = to.join(path.strip_prefix(from).unwrap());
        if stat.is_folder() {
            fs.make_dirs(&target).unwrap();
        } else {
            let mut out = fs.create(&target, 0o600).unwrap();
            out.write_all(&fs.read(&path).unwrap().unwrap()).unwrap();
        }
    }
}

fn open(fs: Fs, dir: &Path) -> Result<Store, Error> {
    Store::open(Arc::new(LocalBackend::new(fs, dir)), &world())
}

/// One operation: content that needs a pack, content that does not, a new ref, a move of a ref.
fn work(store: &Store, op: OpId, large: bool) -> Result<Published, Error> {
    let snapshot = store.snapshot()?;
    let intake = store.intake(&snapshot);
    let small = blob("new");
    intake.put(&Kind::BLOB, &small, b"new")?;
    let mut edits = vec![RefEdit::create(key("run/new"), small.to_bytes().to_vec())];
    if large {
        let bytes = large_bytes();
        let id = id_of(&Kind::BLOB, &bytes);
        intake.put_blob(&id, bytes.len() as u64, &mut &*bytes)?;
        edits.push(RefEdit::create(key("large"), id.to_bytes().to_vec()));
    }
    let collected = Arc::new(intake.finish()?);
    store.publish(op, "work", &mut |snapshot| {
        let old = snapshot.get_ref(b"counter")?;
        let new = (counted(snapshot) + 1).to_string().into_bytes();
        let mut edits = edits.clone();
        edits.push(match old {
            None => RefEdit::create(key("counter"), new),
            Some(old) => RefEdit::moved(key("counter"), old, new),
        });
        Ok(Some(Draft { collected: Some(Arc::clone(&collected)), edits, ..Draft::default() }))
    })
}

fn large_bytes() -> Vec<u8> {
    pattern(9, 300_000)
}

/// Whether the whole operation shows; it must never show in part.
fn is_done(snapshot: &Snapshot, before: u64, large: bool) -> bool {
    let done = holds(snapshot, "new");
    assert_eq!(counted(snapshot), before + u64::from(done), "half an operation");
    if large {
        let id = id_of(&Kind::BLOB, &large_bytes());
        assert_eq!(snapshot.get_ref(b"large").unwrap().is_some(), done, "half an operation");
        if done {
            assert_eq!(snapshot.read(&id).unwrap().unwrap().1, large_bytes());
        }
    }
    done
}

/// Runs the operation on a store of `before` transactions with a fault at every effect in turn.
fn at_every_effect(before: u64, large: bool, fault: &dyn Fn(u64) -> NthEffect) -> u64 {
    let root = tempfile::tempdir_in(super::growth::fast_folder()).unwrap();
    let pristine = root.path().join("pristine");
    let store = Store::create(Arc::new(LocalBackend::new(Fs::real(), &pristine)), &world()).unwrap();
    for i in 0..before {
        if i % 2 == 0 {
            record(&store, &format!("n{i}"));
        } else {
            count(&store, op()).unwrap();
        }
    }
    let counter = counted(&store.snapshot().unwrap());
    let recorded = names(&store.snapshot().unwrap());
    for nth in 0.. {
        let dir = root.path().join("copy");
        copy_tree(&pristine, &dir);
        let fault = Arc::new(fault(nth));
        let op = op();
        let result = open(Fs::with_fault(fault.clone()), &dir).and_then(|store| work(&store, op, large));
        let what = format!("{before} before, fault at effect {nth}: {result:?}");

        let store = open(Fs::real(), &dir).unwrap();
        let snapshot = store.snapshot().unwrap();
        assert!(recorded.iter().all(|name| holds(&snapshot, name)), "{what}");
        assert_eq!(snapshot.damage(), vec![], "{what}");
        let done = is_done(&snapshot, counter, large);
        assert!(done || result.is_err(), "acknowledged and lost: {what}");
        assert_sound(&store, &what);

        work(&store, OpId::from_bytes(op.to_bytes()), large).unwrap();
        // Enough for a fold, now and then.
        let later = if nth % 5 == 0 { 33 } else { 1 };
        for i in 0..later {
            record(&store, &format!("later{i}"));
        }
        let snapshot = store.snapshot().unwrap();
        assert!(is_done(&snapshot, counter, large), "{what}");
        assert_eq!(names(&snapshot).len(), recorded.len() + 1 + later, "{what}");
        assert_sound(&store, &what);
        Fs::real().remove_tree(&dir).unwrap();
        if !fault.has_struck() {
            result.unwrap();
            return nth;
        }
    }
    unreachable!("every operation has an end")
}

/// A store before its first fold, one about to fold, one about to fold and merge.
const STORES: [u64; 3] = [3, 32, 128];

fn errno(errno: rustix::io::Errno) -> i32 {
    errno.raw_os_error()
}

#[test]
fn a_crash_at_any_effect_loses_nothing_acknowledged() {
    for before in STORES {
        for large in [false, true] {
            let effects = at_every_effect(before, large, &NthEffect::crash);
            assert!(effects >= if before > 3 { 20 } else { 5 }, "{effects} effects");
        }
    }
}

#[test]
fn a_full_disk_at_any_effect_loses_nothing_acknowledged() {
    for before in STORES {
        at_every_effect(before, true, &|nth| NthEffect::once(nth, Verdict::Fail(errno(rustix::io::Errno::NOSPC))));
        at_every_effect(before, true, &|nth| NthEffect::from_then_on(nth, errno(rustix::io::Errno::NOSPC)));
    }
}

#[test]
fn a_failing_disk_at_any_effect_loses_nothing_acknowledged() {
    for before in STORES {
        at_every_effect(before, true, &|nth| NthEffect::once(nth, Verdict::Fail(errno(rustix::io::Errno::IO))));
        at_every_effect(before, true, &|nth| NthEffect::once(nth, Verdict::DoneButFail(errno(rustix::io::Errno::IO))));
    }
}

#[test]
fn short_writes_are_completed() {
    for before in STORES {
        at_every_effect(before, true, &|nth| NthEffect::once(nth, Verdict::Short(1)));
    }
}

#[test]
fn a_creation_cut_off_anywhere_is_completed_by_the_next() {
    for verdict in [None, Some(Verdict::Fail(5)), Some(Verdict::DoneButFail(5))] {
        for nth in 0.. {
            let dir = tempfile::tempdir_in(super::growth::fast_folder()).unwrap();
            let root = dir.path().join("a/store");
            let fault =
                Arc::new(verdict.map_or_else(|| NthEffect::crash(nth), |verdict| NthEffect::once(nth, verdict)));
            let place = LocalBackend::new(Fs::with_fault(fault.clone()), &root);
            let made = Store::create(Arc::new(place), &world());
            let opened = open(Fs::real(), &root);
            match (&made, &opened) {
                (Ok(made), Ok(opened)) => assert_eq!(made.id(), opened.id()),
                (Ok(_), Err(err)) => panic!("acknowledged and not there: {err}"),
                (Err(_), _) => {}
            }
            let store = match opened {
                Ok(store) => store,
                Err(_) => Store::create(Arc::new(LocalBackend::new(Fs::real(), &root)), &world()).unwrap(),
            };
            record(&store, "first");
            assert_sound(&store, format!("effect {nth}"));
            if !fault.has_struck() {
                made.unwrap();
                break;
            }
        }
    }
}

/// Every link fails, with nothing done.
#[derive(Debug)]
struct NoLinks(i32);

impl crate::fs::Fault for NoLinks {
    fn before(&self, effect: crate::fs::Op, _: &Path) -> Verdict {
        if effect == crate::fs::Op::Link { Verdict::Fail(self.0) } else { Verdict::Go }
    }
}

#[test]
fn where_no_name_can_be_made_it_ends_with_an_error_and_nothing_is_lost() {
    use rustix::io::Errno;
    for (before, failure) in
        [3, 40].into_iter().zip([Errno::NOSPC, Errno::DQUOT]).chain([(3, Errno::IO), (40, Errno::IO)])
    {
        let root = tempfile::tempdir_in(super::growth::fast_folder()).unwrap();
        let dir = root.path().join("store");
        let store = Store::create(Arc::new(LocalBackend::new(Fs::real(), &dir)), &world()).unwrap();
        for i in 0..before {
            record(&store, &format!("n{i}"));
        }
        let tip = store.snapshot().unwrap().tip();
        let failing = open(Fs::with_fault(Arc::new(NoLinks(errno(failure)))), &dir).unwrap();
        assert!(record_as(&failing, op(), "never").is_err(), "{failure}");
        let snapshot = open(Fs::real(), &dir).unwrap().snapshot().unwrap();
        assert_eq!((snapshot.tip(), holds(&snapshot, "never")), (tip, false), "{failure}");
        record(&store, "later");
    }
}

#[test]
fn a_store_that_is_made_and_written_to_between_two_looks_is_no_damaged_one() {
    let (place, store) = memory();
    count(&store, op()).unwrap();
    let late = Lying::new(&place);
    late.script.lock().unwrap().is_early = true;
    assert_eq!(Store::open(Arc::new(late.clone()), &world()).unwrap().id(), store.id());
    late.script.lock().unwrap().is_early = true;
    assert!(matches!(Store::create(Arc::new(late), &world()), Err(Error::Exists { .. })));
}
