//! Races, lies, frozen writers: an operation counts exactly once, and content that is relied on is there.

use std::collections::HashSet;

use super::*;
use crate::object::AccessError;

const LIES: [Lie; 4] = [Lie::LandedButLost, Lie::LandedButUnknown, Lie::NotLandedUnknown, Lie::Refused];

#[test]
fn who_loses_a_race_tries_again_on_what_landed() {
    let (place, _) = memory();
    let lying = Lying::new(&place);
    let other = again(&place);
    lying.before(0, move || {
        count(&other, op()).unwrap();
    });
    count(&lying.store(), op()).unwrap();
    assert_eq!(counted(&again(&place).snapshot().unwrap()), 2);
    assert_sound(&again(&place), "");
}

#[test]
fn an_operation_counts_once_whatever_the_place_says() {
    for lie in LIES {
        let (place, _) = memory();
        let lying = Lying::new(&place);
        lying.lie_at(0, lie);
        let store = lying.store();
        let op = op();
        let first = count(&store, op);
        if lie == Lie::Refused {
            assert!(first.is_err());
        } else {
            assert_eq!(first.unwrap(), Published::Done { number: 1 }, "{lie:?}");
        }
        let second = count(&store, OpId::from_bytes(op.to_bytes())).unwrap();
        let expected =
            if lie == Lie::Refused { Published::Done { number: 1 } } else { Published::Already { number: 1 } };
        assert_eq!(second, expected, "{lie:?}");
        assert_eq!(counted(&store.snapshot().unwrap()), 1, "{lie:?}");
    }
}

#[test]
fn lies_at_every_attempt_change_nothing_folds_included() {
    for lie in LIES {
        for gap in [2, 3, 7] {
            let (place, _) = memory();
            let lying = Lying::new(&place);
            let store = lying.store();
            for i in 0..120 {
                let op = op();
                let next = lying.attempts();
                if i % gap == 0 {
                    lying.lie_at(next, lie);
                }
                let mut done = count(&store, op);
                for _ in 0..3 {
                    if done.is_err() {
                        done = count(&store, OpId::from_bytes(op.to_bytes()));
                    }
                }
                done.unwrap();
            }
            let fresh = again(&place);
            assert_eq!(counted(&fresh.snapshot().unwrap()), 120, "{lie:?}");
            assert_sound(&fresh, format!("{lie:?}"));
        }
    }
}

#[test]
fn a_replayed_operation_is_known_long_after_it_was_folded_away() {
    let (place, store) = memory();
    let first = op();
    record_as(&store, first, "first").unwrap();
    for i in 0..600 {
        if i % 97 == 0 {
            let again = OpId::from_bytes(first.to_bytes());
            assert_eq!(record_as(&store, again, "first").unwrap(), Published::Already { number: 1 }, "after {i}");
        }
        record(&store, &format!("n{i}"));
    }
    assert_eq!(again(&place).snapshot().unwrap().find_op(first).unwrap(), Some(1));
    assert_eq!(again(&place).snapshot().unwrap().find_op(op()).unwrap(), None);
}

#[test]
fn a_file_that_can_not_be_opened_for_now_is_an_error_and_nothing_is_published_without_it() {
    let (place, store) = memory();
    let (first, name) = (op(), "first");
    record_as(&store, first, name).unwrap();
    many(&store, "n", 40);
    for folder in [Folder::Log, Folder::Tables, Folder::History] {
        let lying = Lying::new(&place);
        let store = lying.store();
        lying.deny(folder);
        // In history lies that this landed before, in a table that the ref is there.
        let op = if folder == Folder::Tables { op() } else { OpId::from_bytes(first.to_bytes()) };
        let edit = RefEdit::create(key("run/first"), blob(name).to_bytes().to_vec());
        let result = store.publish(op, "again", &mut |_| {
            Ok::<_, Error>(Some(Draft { edits: vec![edit.clone()], ..Draft::default() }))
        });
        assert!(matches!(result, Err(Error::Backend(_))), "{folder}: {result:?}");
        assert!(!lying.is_denying());
        lying.deny(folder);
        let read = store.snapshot().and_then(|snapshot| Ok((snapshot.get_ref(b"run/first")?, snapshot.damage())));
        assert!(read.is_err() || folder == Folder::History, "{folder}: {read:?}");
    }
    lying_packs(&place);
    assert_eq!(again(&place).snapshot().unwrap().tip(), 42);
    assert_sound(&again(&place), "");
}

/// Content in a pack that can't be opened is not missing.
fn lying_packs(place: &MemoryBackend) {
    let lying = Lying::new(place);
    let snapshot = lying.store().snapshot().unwrap();
    lying.deny(Folder::Packs);
    assert!(snapshot.read(&blob("first")).is_err());
    assert_eq!(snapshot.read(&blob("first")).unwrap().unwrap().1, b"first");
    assert_eq!(snapshot.damage(), vec![]);
}

#[test]
fn expectations_are_checked_and_told_apart() {
    let (_, store) = memory();
    let edit = |edit: RefEdit| {
        store.publish(op(), "edit", &mut |_| {
            Ok::<_, Error>(Some(Draft { edits: vec![edit.clone()], ..Draft::default() }))
        })
    };
    let prefix = |new: &str| RefEdit { key: key("p/"), expect: Expect::PrefixEmpty, new: Some(key(new)) };
    let fails = |result: Result<Published, Error>, wanted: &str| {
        assert!(matches!(&result, Err(Error::Expectation { key }) if key == wanted.as_bytes()), "{result:?}");
    };
    edit(RefEdit::create(key("a"), key("1"))).unwrap();
    fails(edit(RefEdit::create(key("a"), key("2"))), "a");
    fails(edit(RefEdit::moved(key("a"), key("x"), key("2"))), "a");
    fails(edit(RefEdit::moved(key("b"), key("x"), key("2"))), "b");
    edit(RefEdit::moved(key("a"), key("1"), key("2"))).unwrap();
    fails(edit(RefEdit::delete(key("a"), key("1"))), "a");
    edit(RefEdit::delete(key("a"), key("2"))).unwrap();
    edit(RefEdit::create(key("a"), key("3"))).unwrap();
    edit(prefix("1")).unwrap();
    fails(edit(prefix("2")), "p/");
    let twice = vec![RefEdit::set(key("z"), key("1")), RefEdit::set(key("z"), key("2"))];
    let result =
        store.publish(op(), "edit", &mut |_| Ok::<_, Error>(Some(Draft { edits: twice.clone(), ..Draft::default() })));
    assert!(matches!(result, Err(Error::Draft { .. })));
    let nothing = store.publish(op(), "edit", &mut |_| Ok::<_, Error>(None)).unwrap();
    assert_eq!(nothing, Published::Nothing);
}

#[test]
fn of_two_who_create_one_ref_exactly_one_succeeds() {
    let (place, _) = memory();
    let lying = Lying::new(&place);
    let other = again(&place);
    lying.before(0, move || {
        record(&other, "same");
    });
    let result = record_as(&lying.store(), op(), "same");
    assert!(matches!(result, Err(Error::Expectation { .. })));
    let report = checked(&again(&place));
    assert!(report.is_sound() && report.checked.refs == 1);
}

/// Enough transactions for folds and merges.
fn many(store: &Store, tag: &str, n: usize) {
    for i in 0..n {
        record(store, &format!("{tag}{i}"));
    }
}

#[test]
fn a_writer_frozen_before_its_link_finds_that_its_number_went_void() {
    for others in [1, 31, 33, 70, 300] {
        for before in [0, 5, 31] {
            let (place, store) = memory();
            many(&store, "before", before);
            let lying = Lying::new(&place);
            let other = again(&place);
            lying.before(0, move || many(&other, "other", others));
            count(&lying.store(), op()).unwrap();
            let fresh = again(&place);
            let snapshot = fresh.snapshot().unwrap();
            assert_eq!(counted(&snapshot), 1, "{others} others");
            assert_eq!(names(&snapshot).len(), before + others);
            many(&fresh, "after", 70);
            assert_eq!(counted(&fresh.snapshot().unwrap()), 1);
            assert_sound(&fresh, format!("{others} others"));
        }
    }
}

#[test]
fn a_writer_frozen_inside_a_fold_does_no_harm() {
    for others in [1, 33, 70, 300] {
        let (place, store) = memory();
        many(&store, "before", 32);
        let lying = Lying::new(&place);
        let other = again(&place);
        // The next attempt of a writer is the fold.
        lying.before(0, move || many(&other, "other", others));
        count(&lying.store(), op()).unwrap();
        assert!(lying.attempts() >= 2);
        let fresh = again(&place);
        let snapshot = fresh.snapshot().unwrap();
        assert_eq!((counted(&snapshot), names(&snapshot).len()), (1, 32 + others));
        many(&fresh, "after", 70);
        let snapshot = fresh.snapshot().unwrap();
        assert_eq!((counted(&snapshot), names(&snapshot).len()), (1, 32 + others + 70));
        assert_sound(&fresh, format!("{others} others"));
    }
}

#[test]
fn void_entries_left_behind_are_never_seen_and_are_unlinked_by_the_next_fold() {
    let (place, store) = memory();
    record(&store, "keep");
    let entry = place.read(Folder::Log, &entry::name(1)).unwrap();
    many(&store, "n", 40);
    place.overwrite(Folder::Log, &entry::name(1), entry);
    place.overwrite(Folder::Log, &entry::name(2), Some(vec![0; 100]));
    let report = checked(&again(&place));
    assert!(report.is_sound(), "{report:?}");
    assert!(report.findings.iter().any(|finding| finding.code == "log-entry-void"));
    many(&store, "m", 40);
    assert!(!place.names(Folder::Log).unwrap().contains(&entry::name(1)));
    assert!(holds(&store.snapshot().unwrap(), "keep"));
    assert_sound(&store, "");
}

#[test]
fn a_listing_that_shows_covered_entries_and_not_the_fold_is_made_again() {
    let (place, store) = memory();
    many(&store, "n", 31);
    let kept: Vec<_> = [30, 31].map(|n| (n, place.read(Folder::Log, &entry::name(n)).unwrap())).into();
    many(&store, "m", 2);
    for shown in [vec![30], vec![31], vec![30, 31], vec![]] {
        // Read before they are unlinked.
        for (number, bytes) in &kept {
            place.overwrite(Folder::Log, &entry::name(*number), bytes.clone());
        }
        let lying = Lying::new(&place);
        lying.show(&shown);
        let snapshot = lying.store().snapshot().unwrap();
        assert_eq!((snapshot.tip(), names(&snapshot).len()), (34, 33), "{shown:?}");
        assert_eq!(snapshot.damage(), vec![], "{shown:?}");
    }
}

#[test]
fn a_gap_that_two_listings_show_for_two_reasons_is_no_damage() {
    let (place, store) = memory();
    many(&store, "n", 3);
    let kept = [0, 1, 2, 3].map(|n| (n, place.read(Folder::Log, &entry::name(n)).unwrap()));
    many(&store, "m", 31);
    // Entry 1 is made while the first listing goes on, and read before all are unlinked; the second is made while a fold unlinks it.
    for (number, bytes) in kept {
        place.overwrite(Folder::Log, &entry::name(number), bytes);
    }
    let lying = Lying::new(&place);
    lying.show(&[0, 2, 3]);
    lying.show(&[0, 2]);
    let snapshot = lying.store().snapshot().unwrap();
    assert_eq!(snapshot.damage(), vec![]);
    assert_eq!(names(&snapshot).len(), 34);
}

#[test]
fn a_snapshot_outlives_the_files_it_was_made_of() {
    let (place, store) = memory();
    many(&store, "n", 100);
    let old = again(&place).snapshot().unwrap();
    let scan = old.scan(b"run/", Direction::Forward);
    many(&store, "m", 400);
    assert!((0..100).all(|i| holds(&old, &format!("n{i}"))));
    assert!(scan.count() >= 100);
    assert_eq!(old.get_ref(b"run/absent").unwrap(), None);
    assert_eq!(old.damage(), vec![]);
    assert!(old.find_op(op()).unwrap().is_none());
}

#[test]
fn many_threads_lose_nothing() {
    let dir = tempfile::tempdir_in(super::growth::fast_folder()).unwrap();
    let local: Arc<dyn Backend> = Arc::new(LocalBackend::new(crate::fs::Fs::real(), dir.path()));
    for place in [Arc::new(MemoryBackend::new()) as Arc<dyn Backend>, local] {
        let store = Store::create(Arc::clone(&place), &world()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let place = Arc::clone(&place);
                scope.spawn(move || {
                    let store = Store::open(place, &world()).unwrap();
                    for i in 0..25 {
                        count(&store, op()).unwrap();
                        record(&store, &format!("t{thread}-{i}"));
                    }
                });
            }
        });
        let snapshot = store.snapshot().unwrap();
        assert_eq!(counted(&snapshot), 150);
        assert_eq!(names(&snapshot).len(), 150);
        assert!(names(&snapshot).iter().all(|name| holds(&snapshot, name)));
        assert_sound(&store, "");
    }
}

// Reliance -----------------------------------------------------------------------------------------------------------

fn large(seed: u8) -> Vec<u8> {
    pattern(seed, 300_000)
}

fn put(store: &Store, all: &[Vec<u8>], streamed: bool) -> Arc<Collected> {
    let snapshot = store.snapshot().unwrap();
    let intake = store.intake(&snapshot);
    for bytes in all {
        let id = id_of(&Kind::BLOB, bytes);
        if streamed {
            intake.put_blob(&id, bytes.len() as u64, &mut &**bytes).unwrap();
        } else {
            intake.put(&Kind::BLOB, &id, bytes).unwrap();
        }
    }
    Arc::new(intake.finish().unwrap())
}

fn publish(store: &Store, draft: &Draft) -> Result<Published, Error> {
    store.publish(op(), "put", &mut |_| Ok(Some(draft.clone())))
}

fn add(store: &Store, collected: &Arc<Collected>) -> Published {
    publish(store, &Draft { collected: Some(Arc::clone(collected)), ..Draft::default() }).unwrap()
}

/// Condemns every pack, as gc does with packs in which nothing is alive.
fn condemn_all(store: &Store) -> Vec<Id> {
    let packs: Vec<Id> = store.snapshot().unwrap().state().packs.iter().map(PackRow::name).collect();
    publish(store, &Draft { condemn: packs.clone(), ..Draft::default() }).unwrap();
    packs
}

#[derive(Debug)]
struct Keeper(Vec<Vec<u8>>);

impl Restore for Keeper {
    fn restore(&self, id: &Id, sink: &dyn Sink) -> Result<bool, AccessError> {
        for bytes in &self.0 {
            if id_of(&Kind::BLOB, bytes) == *id {
                sink.put_blob(id, bytes.len() as u64, &mut &**bytes)?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn is_safe(place: &MemoryBackend, data: &[Vec<u8>]) {
    // Folds remove what was condemned and unlink it.
    let fresh = again(place);
    many(&fresh, "later", 140);
    let snapshot = fresh.snapshot().unwrap();
    for bytes in data {
        assert_eq!(snapshot.read(&id_of(&Kind::BLOB, bytes)).unwrap().unwrap().1, *bytes);
    }
    assert_sound(&fresh, "");
}

#[test]
fn what_was_relied_on_and_condemned_is_stored_again() {
    let data = vec![large(1), large(2)];
    for frozen in [false, true] {
        for (streamed, keeper) in [(false, false), (true, true)] {
            let (place, store) = memory();
            add(&store, &put(&store, &data, false));
            let relying = put(&store, &data, streamed);
            assert_eq!(relying.relied().count(), 2);
            let lying = Lying::new(&place);
            if frozen {
                let other = again(&place);
                lying.before(0, move || {
                    condemn_all(&other);
                    many(&other, "other", 100);
                });
            } else {
                condemn_all(&store);
            }
            let restore = keeper.then(|| Arc::new(Keeper(data.clone())) as Arc<dyn Restore>);
            publish(&lying.store(), &Draft { collected: Some(relying), restore, ..Draft::default() }).unwrap();
            is_safe(&place, &data);
        }
    }
}

#[test]
fn what_is_gone_and_can_not_be_had_again_is_named() {
    let data = vec![large(1), large(2)];
    let (place, store) = memory();
    add(&store, &put(&store, &data, false));
    let relying = put(&store, &data, true);
    let condemned = condemn_all(&store);
    publish(&store, &Draft { remove: condemned.clone(), ..Draft::default() }).unwrap();
    for name in &condemned {
        place.remove(Folder::Packs, &Folder::Packs.file(name)).unwrap();
    }
    let ids: HashSet<Id> = data.iter().map(|bytes| id_of(&Kind::BLOB, bytes)).collect();
    for draft in [
        Draft { collected: Some(relying), ..Draft::default() },
        Draft { relies_on: ids.iter().copied().collect(), ..Draft::default() },
    ] {
        match publish(&store, &draft) {
            Err(Error::ReliedGone { ids: gone }) => assert_eq!(gone.into_iter().collect::<HashSet<_>>(), ids),
            other => panic!("{other:?}"),
        }
    }
    let half = Arc::new(Keeper(data[..1].to_vec()));
    let draft = Draft { relies_on: ids.iter().copied().collect(), restore: Some(half), ..Draft::default() };
    assert!(matches!(publish(&store, &draft), Err(Error::ReliedGone { ids }) if ids.len() == 1));
    assert_sound(&again(&place), "");
}

#[test]
fn reliance_survives_folds_and_merges() {
    let (place, store) = memory();
    let small: Vec<Vec<u8>> = (0..5u8).map(|i| vec![i; 100]).collect();
    add(&store, &put(&store, &small, false));
    let relying = put(&store, &small, true);
    assert_eq!(relying.relied().count(), 5);
    let lying = Lying::new(&place);
    let other = again(&place);
    lying.before(0, move || many(&other, "other", 300));
    publish(&lying.store(), &Draft { collected: Some(relying), ..Draft::default() }).unwrap();
    is_safe(&place, &small);
}

/// As gc does with a pack that no entry names: names it only to condemn it.
fn condemn_orphan(store: &Store, row: PackRow) {
    let snapshot = store.snapshot().unwrap();
    let entry = Entry {
        n: snapshot.tip() + 1,
        prev: snapshot.inner.log.tip_digest,
        op: op(),
        at: Micros(0),
        by: String::new(),
        host: String::new(),
        cmd: "gc".into(),
        objects: vec![],
        packs: vec![row],
        rely: vec![],
        condemn: vec![row.name()],
        remove: vec![],
        refs: vec![],
        features: vec![],
        checkpoint: None,
    };
    store.create_entry(&entry).unwrap();
}

#[test]
fn what_was_swept_and_stored_by_somebody_else_meanwhile_is_relied_on() {
    let data = vec![large(1), large(2)];
    for folds in [0, 140] {
        for streamed in [false, true] {
            let (place, store) = memory();
            let mine = put(&store, &data, streamed);
            let row = mine.packs[0].row;
            condemn_orphan(&store, row);
            // One that did not see the condemned pack stores the same again; the other's is of no use, though its file is there.
            add(&store, &put(&store, &data, false));
            many(&store, "n", folds);
            publish(&store, &Draft { collected: Some(mine), ..Draft::default() }).unwrap();
            is_safe(&place, &data);
        }
    }
}

#[test]
fn an_orphan_that_its_writer_removes_after_it_was_condemned_is_no_damage() {
    let (place, store) = memory();
    let snapshot = store.snapshot().unwrap();
    let intake = store.intake(&snapshot);
    intake.put(&Kind::BLOB, &id_of(&Kind::BLOB, &large(1)), &large(1)).unwrap();
    let row = intake.finish().unwrap().packs[0].row;
    condemn_orphan(&store, row);
    // The fold that made it was lost to another.
    place.overwrite(Folder::Packs, &Folder::Packs.file(&row.name()), None);
    let snapshot = again(&place).snapshot().unwrap();
    assert_eq!(snapshot.read(&blob("absent")).unwrap(), None);
    assert_eq!(snapshot.damage(), vec![]);
    assert_sound(&store, "");
    many(&store, "n", 70);
    assert!(!store.snapshot().unwrap().state().has_pack(&row.name()));
    assert_sound(&store, "");
}

#[test]
fn an_orphan_pack_swept_before_it_was_named_is_written_again() {
    let data = vec![large(1), large(2)];
    for folds in [0, 140] {
        let (place, store) = memory();
        let mine = put(&store, &data, true);
        let row = mine.packs[0].row;
        let lying = Lying::new(&place);
        let other = again(&place);
        lying.before(0, move || {
            condemn_orphan(&other, row);
            many(&other, "other", folds);
        });
        let restore = (folds > 0).then(|| Arc::new(Keeper(data.clone())) as Arc<dyn Restore>);
        publish(&lying.store(), &Draft { collected: Some(mine), restore, ..Draft::default() }).unwrap();
        is_safe(&place, &data);
    }
}

#[test]
fn a_pack_that_vanished_before_it_was_named_is_written_again_or_missed() {
    let data = vec![large(1)];
    let (place, store) = memory();
    let mine = put(&store, &data, true);
    place.overwrite(Folder::Packs, &Folder::Packs.file(&mine.packs[0].row.name()), None);
    let draft = Draft { collected: Some(mine), ..Draft::default() };
    assert!(matches!(publish(&store, &draft), Err(Error::ReliedGone { .. })));
    let keeper = Arc::new(Keeper(data.clone()));
    publish(&store, &Draft { restore: Some(keeper), ..draft }).unwrap();
    is_safe(&place, &data);
}

#[test]
fn condemned_packs_leave_the_state_and_then_the_folder() {
    let (place, store) = memory();
    add(&store, &put(&store, &[large(1)], true));
    let name = store.snapshot().unwrap().state().packs[0].name();
    let file = Folder::Packs.file(&name);
    let remove = Draft { remove: vec![name], ..Draft::default() };
    assert!(matches!(publish(&store, &remove), Err(Error::Draft { .. })), "only what was condemned is removed");
    condemn_all(&store);
    assert!(place.names(Folder::Packs).unwrap().contains(&file));
    publish(&store, &remove).unwrap();
    assert!(store.snapshot().unwrap().state().is_gone(Folder::Packs, &name));
    assert!(place.names(Folder::Packs).unwrap().contains(&file), "readers may still hold it");
    many(&store, "n", 40);
    assert!(!place.names(Folder::Packs).unwrap().contains(&file));
    assert!(!store.snapshot().unwrap().state().is_gone(Folder::Packs, &name));
}

#[test]
fn a_store_with_an_unknown_feature_is_read_and_not_written() {
    let (_, store) = memory();
    record(&store, "a");
    let snapshot = store.snapshot().unwrap();
    let mut entry = Entry::clone(&snapshot.inner.log.entries[0].entry);
    entry = Entry {
        n: 2,
        prev: snapshot.inner.log.tip_digest,
        op: op(),
        objects: vec![],
        refs: vec![],
        features: vec!["sharding".into()],
        ..entry
    };
    store.create_entry(&entry).unwrap();
    assert!(holds(&store.snapshot().unwrap(), "a"));
    assert!(matches!(record_as(&store, op(), "b"), Err(Error::UnknownFeature { name }) if name == "sharding"));
    let draft = Draft { features: vec!["x".into()], ..Draft::default() };
    assert!(matches!(publish(&memory().1, &draft), Err(Error::UnknownFeature { .. })));
}

#[test]
fn a_state_that_goes_on_from_a_known_one_is_what_reading_everything_gives() {
    let (_, store) = memory();
    let mut known = store.snapshot().unwrap();
    // Some are looked at one by one, some after many, over several folds.
    for (at, steps) in [1, 1, 2, 5, 1, 30, 1, 1, 40, 3, 1, 100, 1].into_iter().enumerate() {
        many(&store, &format!("{at}-"), steps);
        let after = store.snapshot_since(&known).unwrap();
        let whole = store.snapshot().unwrap();
        assert_eq!((after.tip(), after.base(), after.state()), (whole.tip(), whole.base(), whole.state()));
        let digests = |snapshot: &Snapshot| {
            let log = &snapshot.inner.log;
            let entries = log.entries.iter().map(|loaded| (loaded.number, loaded.digest)).collect::<Vec<_>>();
            (entries, log.tip_digest)
        };
        assert_eq!(digests(&after), digests(&whole));
        assert_eq!(after.inline(), whole.inline());
        for n in 0..steps {
            assert!(holds(&after, &format!("{at}-{n}")));
        }
        known = after;
    }
}

#[test]
fn an_entry_that_was_known_is_not_taken_for_another_under_its_number() {
    let (place, store) = memory();
    many(&store, "a", 3);
    let known = store.snapshot().unwrap();
    // Somebody put another log in this one's place.
    let other = memory();
    many(&other.1, "b", 6);
    for name in place.names(Folder::Log).unwrap() {
        place.overwrite(Folder::Log, &name, None);
    }
    for name in other.0.names(Folder::Log).unwrap() {
        let bytes = other.0.read(Folder::Log, &name).unwrap().unwrap();
        place.overwrite(Folder::Log, &name, Some(bytes));
    }
    let after = store.snapshot_since(&known).unwrap();
    assert!(!holds(&after, "a0") && !holds(&after, "a2"));
    assert!(holds(&after, "b0") && holds(&after, "b5"));
}
