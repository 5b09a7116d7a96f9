//! Every file of a store damaged in turn: it is named, all else is readable, new transactions are recorded.

use std::collections::BTreeSet;

use super::merge::Manner;
use super::rules::Changed;
use super::*;

pub(super) const RECORDS: usize = 180;

pub(super) fn large() -> Vec<u8> {
    pattern(7, 300_000)
}

/// A store with everything in it: packs of both classes, tables, history, a checkpoint and entries above it. Small files are not merged
/// early, so that there are several of each.
pub(super) fn whole() -> MemoryBackend {
    whole_with(0)
}

/// The same, where files up to so many bytes are merged early.
pub(super) fn whole_with(small: u64) -> MemoryBackend {
    let place = memory().0;
    let rules = Rules::changed(Changed {
        fold_every: fold::FOLD_EVERY,
        manner: Manner { ratio: merge::RATIO, small },
        inline_max: entry::INLINE_MAX,
        whole_max: crate::store::intake::WHOLE_MAX,
        without: BTreeSet::new(),
    });
    let store = Store::open_under(rules, Arc::new(place.clone()), &world()).unwrap();
    for i in 0..RECORDS {
        let snapshot = store.snapshot().unwrap();
        let intake = store.intake(&snapshot);
        let record = crate::object::envelope::encode(Kind::RUN, 1, vec![], &crate::codec::encode(&i).unwrap()).unwrap();
        let (run, name) = (id_of(&Kind::RUN, &record), format!("n{i:03}"));
        let log = blob(&name);
        intake.put(&Kind::RUN, &run, &record).unwrap();
        intake.put(&Kind::BLOB, &log, name.as_bytes()).unwrap();
        let mut edits = vec![
            RefEdit::create(format!("run/{name}").into_bytes(), log.to_bytes().to_vec()),
            RefEdit::create(format!("object/{name}").into_bytes(), run.to_bytes().to_vec()),
        ];
        if i == 90 {
            let id = id_of(&Kind::BLOB, &large());
            intake.put(&Kind::BLOB, &id, &large()).unwrap();
            edits.push(RefEdit::create(key("large"), id.to_bytes().to_vec()));
        }
        let collected = Arc::new(intake.finish().unwrap());
        let draft = Draft { collected: Some(collected), edits, ..Draft::default() };
        store.publish(op(), "record", &mut |_| Ok::<_, Error>(Some(draft.clone()))).unwrap();
    }
    place
}

pub(super) fn all_files(place: &MemoryBackend) -> Vec<(Folder, String, Vec<u8>)> {
    let mut found = Vec::new();
    for folder in Folder::ALL {
        for name in place.names(folder).unwrap() {
            let bytes = place.read(folder, &name).unwrap().unwrap();
            found.push((folder, name, bytes));
        }
    }
    found
}

pub(super) fn duplicate(files: &[(Folder, String, Vec<u8>)], original: &MemoryBackend) -> MemoryBackend {
    let place = MemoryBackend::new();
    for (folder, name, bytes) in files {
        place.overwrite(*folder, name, Some(bytes.clone()));
    }
    place.create_format(&original.read_format().unwrap().unwrap()).unwrap();
    place
}

/// Ways to damage a file; `None` takes it away.
fn mutilated(bytes: &[u8]) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let flipped = |at: usize| {
        let mut bad = bytes.to_vec();
        bad[at] ^= 0x20;
        Some(bad)
    };
    vec![
        ("missing", None),
        ("empty", Some(Vec::new())),
        ("cut in half", Some(bytes[..bytes.len() / 2].to_vec())),
        ("cut by a byte", Some(bytes[..bytes.len() - 1].to_vec())),
        ("longer by a byte", Some([bytes, &[0]].concat())),
        ("all zero", Some(vec![0; bytes.len()])),
        ("first byte flipped", flipped(0)),
        ("an early byte flipped", flipped(20)),
        ("a middle byte flipped", flipped(bytes.len() / 2)),
        ("a late byte flipped", flipped(bytes.len() - 40)),
        ("last byte flipped", flipped(bytes.len() - 1)),
    ]
}

/// How many records can be listed, and how many of those can be read. What is read must be right.
pub(super) fn readable(snapshot: &Snapshot) -> (usize, usize) {
    let (mut listed, mut read) = (0, 0);
    for name in names(snapshot).iter().filter(|name| name.starts_with('n')) {
        listed += 1;
        match snapshot.read(&blob(name)) {
            Ok(Some((_, bytes))) => {
                assert_eq!(bytes, name.as_bytes());
                read += 1;
            }
            Ok(None) | Err(crate::object::AccessError::Damaged { .. }) => {}
            Err(err) => panic!("{err}"),
        }
    }
    (listed, read)
}

#[test]
fn any_damaged_file_is_named_and_costs_only_what_was_in_it() {
    let original = whole();
    let files = all_files(&original);
    let pristine = again(&original).snapshot().unwrap();
    let (base, tip) = (pristine.base(), pristine.tip());
    assert!(base > 0 && tip > base + 3);
    let rows = pristine.state();
    assert!(rows.packs.len() >= 3 && rows.tables.len() >= 2 && rows.history.len() >= 2);
    for (folder, name, bytes) in &files {
        let number = entry::parse_name(name).filter(|_| *folder == Folder::Log);
        let id = folder.parse(name);
        let in_state = number.is_some() || id.is_some_and(|id| rows.has_file(*folder, &id));
        for (how, bad) in mutilated(bytes) {
            let what = format!("{folder}/{name} {how}");
            let is_missing = bad.is_none();
            let place = duplicate(&files, &original);
            place.overwrite(*folder, name, bad);
            let store = again(&place);
            let snapshot = store.snapshot().unwrap_or_else(|err| panic!("{what}: {err}"));

            // Named, unless nothing can know of it: the newest entry taken away, or a file that left the state.
            let report = checked(&store);
            let named = report.findings.iter().any(|finding| {
                finding.severity == Severity::Error && finding.file.as_deref() == Some(&format!("{folder}/{name}"))
            });
            let is_newest_gone = number == Some(tip) && is_missing;
            assert_eq!(named, in_state && !is_newest_gone, "{what}: {report:#?}");

            // All else is readable.
            let (listed, read) = readable(&snapshot);
            let (lost_refs, lost_objects) = match (folder, number) {
                (Folder::Log, Some(number)) if number != base => (1, 1),
                (Folder::Tables, _) => (
                    rows.tables
                        .iter()
                        .find(|row| Some(row.name()) == id)
                        .map_or(0, |row| usize::try_from(row.3).unwrap()),
                    0,
                ),
                (Folder::Packs, _) => (
                    0,
                    rows.packs
                        .iter()
                        .find(|row| Some(row.name()) == id)
                        .map_or(0, |row| usize::try_from(row.4).unwrap()),
                ),
                _ => (0, 0),
            };
            assert!(listed + lost_refs >= RECORDS, "{what}: {listed} listed");
            assert!(read + lost_refs + lost_objects >= RECORDS, "{what}: {read} read");

            // New transactions are recorded, and stay readable, however many.
            let is_hole = number.is_some_and(|number| number != base) && !is_newest_gone;
            let enough_to_fold = matches!(how, "missing" | "a middle byte flipped");
            let more = if enough_to_fold { 40 } else { 2 };
            for i in 0..more {
                record(&store, &format!("after{i}"));
            }
            let later = again(&place).snapshot().unwrap();
            assert!((0..more).all(|i| holds(&later, &format!("after{i}"))), "{what}");
            assert_eq!(later.damaged_entry().is_some(), is_hole, "{what}");
            // Nothing is folded over a hole; everything else is folded on.
            assert_eq!(later.base() > base, enough_to_fold && !is_hole, "{what}");
            let (listed_later, read_later) = readable(&later);
            assert!(listed_later >= listed && read_later >= read, "{what}: {listed_later} {read_later}");

            let delete = store.publish(op(), "delete", &mut |snapshot| {
                let old = snapshot.get_ref(b"run/after1")?.unwrap_or_default();
                let draft = Draft { edits: vec![RefEdit::delete(key("run/after1"), old)], ..Draft::default() };
                Ok::<_, Error>(Some(draft))
            });
            if is_hole {
                assert!(matches!(delete, Err(Error::DamagedLog { .. })), "{what}: {delete:?}");
            } else {
                delete.unwrap();
            }
        }
    }
}

#[test]
fn a_damaged_checkpoint_is_healed_by_the_next_fold() {
    let original = whole();
    let base = again(&original).snapshot().unwrap().base();
    original.overwrite(Folder::Log, &entry::name(base), None);
    let store = again(&original);
    assert_eq!(store.snapshot().unwrap().base(), base);
    for i in 0..80 {
        record(&store, &format!("after{i}"));
    }
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.damage(), vec![]);
    assert_eq!(readable(&snapshot), (RECORDS, RECORDS));
    assert_sound(&store, "");
}

#[test]
fn a_checkpoint_that_was_the_only_entry_comes_back_from_its_copy() {
    let (place, store) = memory();
    for i in 0..32 {
        record(&store, &format!("n{i:03}"));
    }
    fold::fold(&store.snapshot().unwrap(), "fold").unwrap();
    assert_eq!(place.names(Folder::Log).unwrap(), [entry::name(33)]);
    for bad in [None, Some(vec![1, 2, 3])] {
        let files = all_files(&place);
        let copy = duplicate(&files, &place);
        copy.overwrite(Folder::Log, &entry::name(33), bad);
        let store = again(&copy);
        assert_eq!(readable(&store.snapshot().unwrap()), (32, 32));
        assert_eq!(record(&store, "n099"), 34);
        assert_eq!(readable(&again(&copy).snapshot().unwrap()), (33, 33));
    }
}

#[test]
fn copies_of_a_fold_that_never_landed_are_told_apart_from_the_one_that_did() {
    let (place, store) = memory();
    for i in 0..32 {
        record(&store, &format!("n{i:03}"));
    }
    // A folder is killed before its fold lands: its files lie around, a copy of the checkpoint among them.
    let lying = Lying::new(&place);
    lying.lie_at(0, Lie::NotLandedUnknown);
    let _ = fold::fold(&lying.store().snapshot().unwrap(), "killed");
    assert_eq!(place.names(Folder::History).unwrap().len(), 1);
    for i in 32..35 {
        record(&store, &format!("n{i:03}"));
    }
    assert_eq!(place.names(Folder::History).unwrap().len(), 2);
    let base = store.snapshot().unwrap().base();
    place.overwrite(Folder::Log, &entry::name(base), None);
    let snapshot = again(&place).snapshot().unwrap();
    assert_eq!(snapshot.base(), base);
    assert_eq!(readable(&snapshot), (35, 35));
    assert_eq!(snapshot.damaged_entry(), None);
}

#[test]
fn without_a_checkpoint_and_its_copy_the_log_is_named() {
    let place = whole();
    let base = again(&place).snapshot().unwrap().base();
    place.overwrite(Folder::Log, &entry::name(base), None);
    for name in place.names(Folder::History).unwrap() {
        place.overwrite(Folder::History, &name, None);
    }
    let err = again(&place).snapshot().unwrap_err();
    assert!(matches!(&err, Error::Damaged { file, .. } if file == "log"), "{err}");
    assert!(!checked(&again(&place)).is_sound());
    assert!(record_as(&again(&place), op(), "x").is_err());
}

#[test]
fn an_entry_swapped_for_another_is_noticed() {
    let (place, store) = memory();
    for i in 0..5 {
        record(&store, &format!("n{i:03}"));
    }
    let (other, store) = memory();
    for i in 0..5 {
        record(&store, &format!("n{i:03}"));
    }
    place.overwrite(Folder::Log, &entry::name(3), other.read(Folder::Log, &entry::name(3)).unwrap());
    let snapshot = again(&place).snapshot().unwrap();
    assert_eq!(snapshot.damage()[0].file, format!("log/{}", entry::name(3)));
    assert_eq!(readable(&snapshot), (4, 4));
}

#[test]
fn a_format_that_is_lost_or_damaged_is_named() {
    let original = whole();
    let files = all_files(&original);
    let place = MemoryBackend::new();
    for (folder, name, bytes) in &files {
        place.overwrite(*folder, name, Some(bytes.clone()));
    }
    let missing = Store::open(Arc::new(place.clone()), &world()).unwrap_err();
    assert!(matches!(&missing, Error::Damaged { file, .. } if file == "format"), "{missing}");
    let overwritten = Store::create(Arc::new(place.clone()), &world()).unwrap_err();
    assert!(matches!(&overwritten, Error::Damaged { file, .. } if file == "format"), "{overwritten}");
    place.create_format(b"").unwrap();
    assert!(matches!(Store::open(Arc::new(place), &world()), Err(Error::Damaged { .. })));
}

#[test]
fn another_copy_takes_the_place_of_damaged_bytes() {
    let (place, store) = memory();
    let bytes = noise(7, 300_000);
    let id = id_of(&Kind::BLOB, &bytes);
    for _ in 0..2 {
        // Two writers that did not know of each other store the same content.
        let intake = Intake::new(&memory().1.snapshot().unwrap());
        drop(intake);
        let staged = place.stage().unwrap();
        let mut pack = pack::PackWriter::new(staged, Class::Content).unwrap();
        pack.put(&id, &Kind::BLOB, &bytes).unwrap();
        let added = super::super::intake::publish_pack(&store, pack, 0).unwrap();
        let collected = Arc::new(Collected { packs: vec![added], ..Collected::default() });
        let draft = Draft { collected: Some(collected), ..Draft::default() };
        store.publish(op(), "put", &mut |_| Ok::<_, Error>(Some(draft.clone()))).unwrap();
    }
    let newest = store.snapshot().unwrap().state().packs[1].name();
    let file = Folder::Packs.file(&newest);
    let mut bad = place.read(Folder::Packs, &file).unwrap().unwrap();
    bad[1000] ^= 1;
    place.overwrite(Folder::Packs, &file, Some(bad));
    let snapshot = again(&place).snapshot().unwrap();
    assert_eq!(snapshot.read(&id).unwrap().unwrap().1, bytes);
    let mut out = Vec::new();
    snapshot.copy(&id, &mut out).unwrap();
    assert_eq!(out, bytes);
    assert_eq!(snapshot.damage()[0].code, "object-damaged");
}
