//! Every file of a store damaged in turn, then repaired: with a copy of the store at hand all is as it was; without one what was in the
//! damaged place is lost, said to be, and nothing else.

use super::damage::{RECORDS, all_files, duplicate, readable, whole, whole_with};
use super::*;
use crate::progress::Cancel;
use crate::store::repair::{self, Done, Records};

#[derive(Debug)]
struct Meaning;

impl Records for Meaning {
    fn targets(&self, key: &[u8], value: &[u8]) -> Result<Vec<Id>, String> {
        target(key, value)
    }

    fn refs_of(&self, id: &Id, kind: &Kind, bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        if *kind != Kind::RUN {
            return Vec::new();
        }
        let envelope = crate::object::envelope::Envelope::parse(bytes).unwrap();
        let number: usize = crate::codec::decode(envelope.body, &crate::codec::Limits::RECORD).unwrap();
        let name = format!("n{number:03}");
        vec![
            (format!("object/{name}").into_bytes(), id.to_bytes().to_vec()),
            (format!("run/{name}").into_bytes(), blob(&name).to_bytes().to_vec()),
        ]
    }

    fn unranked(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn is_newer(&self, _key: &[u8], _old: &[u8], _new: &[u8]) -> bool {
        false
    }

    fn is_in_history(&self, key: &[u8]) -> bool {
        key == b"counter" || key == b"large"
    }
}

fn repaired(store: &Store, others: &[Store]) -> (Vec<Done>, Report) {
    let mut all = Vec::new();
    let mut report = checked(store);
    for _ in 0..3 {
        let cancel = Cancel::new();
        let options = repair::Options { records: &Meaning, others, restore: None, command: "repair", cancel: &cancel };
        all.extend(repair::repair(store, &report, &options).unwrap());
        report = checked(store);
    }
    (all, report)
}

fn errors(report: &Report) -> Vec<&crate::store::check::Finding> {
    report.findings.iter().filter(|finding| finding.severity == Severity::Error).collect()
}

fn spoiled(bytes: &[u8]) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let mut flipped = bytes.to_vec();
    flipped[bytes.len() / 2] ^= 0x20;
    let mut late = bytes.to_vec();
    late[bytes.len() - 40] ^= 1;
    vec![
        ("missing", None),
        ("empty", Some(Vec::new())),
        ("cut in half", Some(bytes[..bytes.len() / 2].to_vec())),
        ("a middle byte flipped", Some(flipped)),
        ("a late byte flipped", Some(late)),
    ]
}

#[test]
fn with_a_copy_of_the_store_any_damaged_file_comes_back() {
    let original = whole();
    let files = all_files(&original);
    let copy = again(&duplicate(&files, &original));
    let tip = again(&original).snapshot().unwrap().tip();
    for (folder, name, bytes) in &files {
        for (how, bad) in spoiled(bytes) {
            let what = format!("{folder}/{name} {how}");
            if *folder == Folder::Log && entry::parse_name(name) == Some(tip) {
                continue;
            }
            let place = duplicate(&files, &original);
            place.overwrite(*folder, name, bad.clone());
            let store = again(&place);
            let was_damaged = !checked(&store).is_sound();
            let (done, left) = repaired(&store, std::slice::from_ref(&copy));
            assert_eq!(errors(&left), Vec::<&crate::store::check::Finding>::new(), "{what}: {done:#?}");
            assert!(done.iter().all(|one| !one.is_loss), "{what}: {done:#?}");
            let snapshot = again(&place).snapshot().unwrap();
            assert_eq!(readable(&snapshot), (RECORDS, RECORDS), "{what}");
            assert_eq!(snapshot.damage(), vec![], "{what}");
            // What was damaged is kept.
            let aside = place.names(Folder::Quarantine).unwrap();
            let kept = aside.iter().any(|aside| place.read(Folder::Quarantine, aside).unwrap() == bad);
            assert!(!was_damaged || bad.is_none() || kept, "{what}: {aside:?}");
        }
    }
}

#[test]
fn without_any_copy_only_what_was_in_the_damaged_place_is_lost() {
    let original = whole();
    let files = all_files(&original);
    let pristine = again(&original).snapshot().unwrap();
    for (folder, name, bytes) in &files {
        for (how, bad) in spoiled(bytes) {
            let what = format!("{folder}/{name} {how}");
            let place = duplicate(&files, &original);
            place.overwrite(*folder, name, bad.clone());
            let store = again(&place);
            let before = store.snapshot().unwrap();
            let (listed, read) = readable(&before);
            let (done, left) = repaired(&store, &[]);
            let snapshot = again(&place).snapshot().unwrap();
            assert_eq!(snapshot.damage(), vec![], "{what}: {done:#?}");
            let (listed_now, read_now) = readable(&snapshot);
            assert!(listed_now >= listed && read_now >= read, "{what}: {listed_now} {read_now} of {listed} {read}");
            match folder {
                // Refs are a function of records; the records are all there.
                Folder::Tables => {
                    assert_eq!((listed_now, read_now), (RECORDS, RECORDS), "{what}: {done:#?}");
                    assert_eq!(snapshot.get_ref(b"large").unwrap(), pristine.get_ref(b"large").unwrap(), "{what}");
                }
                Folder::History => assert_eq!((listed_now, read_now), (RECORDS, RECORDS), "{what}"),
                // Of an entry, a record may be whole and what it names not.
                Folder::Packs | Folder::Log => {
                    let lost = errors(&left);
                    let only_objects = ["ref-target-missing", "link-missing", "object-damaged"];
                    assert!(lost.iter().all(|one| only_objects.contains(&one.code)), "{what}: {lost:#?}");
                    for one in &lost {
                        assert!(done.iter().any(|done| done.is_loss && done.object == one.object), "{what}: {one:?}");
                    }
                }
                _ => assert!(errors(&left).is_empty(), "{what}: {left:#?} {done:#?}"),
            }
            // The log folds again, whatever it was.
            if how != "missing" {
                continue;
            }
            for i in 0..40 {
                record(&store, &format!("after{i}"));
            }
            let later = again(&place).snapshot().unwrap();
            assert!(later.base() > snapshot.base() && later.damage().is_empty(), "{what}");
            assert!((0..40).all(|i| holds(&later, &format!("after{i}"))), "{what}");
        }
    }
}

#[test]
fn a_damaged_pack_on_its_way_out_is_no_damage_after_a_repair() {
    let original = whole_with(crate::store::merge::SMALL);
    let files = all_files(&original);
    let state = again(&original).snapshot().unwrap().state().clone();
    assert!(!state.condemned.is_empty());
    for (folder, name, bytes) in &files {
        if folder.parse(name).is_none_or(|id| !state.condemned.contains_key(&id)) {
            continue;
        }
        for (how, bad) in spoiled(bytes) {
            let place = duplicate(&files, &original);
            place.overwrite(*folder, name, bad);
            let (done, left) = repaired(&again(&place), &[]);
            assert!(errors(&left).is_empty(), "{name} {how}: {left:#?} {done:#?}");
            assert!(done.iter().all(|one| !one.is_loss), "{name} {how}: {done:#?}");
            assert_eq!(readable(&again(&place).snapshot().unwrap()), (RECORDS, RECORDS), "{name} {how}");
        }
    }
}

#[test]
fn files_that_were_swapped_are_put_back() {
    let original = whole();
    let files = all_files(&original);
    let tip = again(&original).snapshot().unwrap().tip();
    for folder in [Folder::Packs, Folder::Tables, Folder::History, Folder::Log] {
        let mut here: Vec<_> = files.iter().filter(|(found, ..)| *found == folder).collect();
        here.retain(|(_, name, _)| entry::parse_name(name) != Some(tip));
        for pair in here.windows(2) {
            let place = duplicate(&files, &original);
            place.overwrite(folder, &pair[0].1, Some(pair[1].2.clone()));
            place.overwrite(folder, &pair[1].1, Some(pair[0].2.clone()));
            let store = again(&place);
            let what = format!("{folder}/{} and {}", pair[0].1, pair[1].1);
            let (done, left) = repaired(&store, &[]);
            assert!(errors(&left).is_empty(), "{what}: {left:#?} {done:#?}");
            assert!(done.iter().all(|one| !one.is_loss), "{what}: {done:#?}");
            assert_eq!(readable(&again(&place).snapshot().unwrap()), (RECORDS, RECORDS), "{what}");
        }
    }
}

#[test]
fn a_flipped_bit_in_an_entry_costs_at_most_what_it_hit() {
    let original = whole();
    let files = all_files(&original);
    let pristine = again(&original).snapshot().unwrap();
    let number = pristine.tip() - 2;
    let bytes = original.read(Folder::Log, &entry::name(number)).unwrap().unwrap();
    let mut whole_again = 0;
    for at in (8..bytes.len()).step_by(11) {
        let place = duplicate(&files, &original);
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        place.overwrite(Folder::Log, &entry::name(number), Some(bad));
        let store = again(&place);
        let (done, left) = repaired(&store, &[]);
        for one in errors(&left) {
            assert!(done.iter().any(|done| done.is_loss && done.object == one.object), "byte {at}: {one:?}");
        }
        let snapshot = store.snapshot().unwrap();
        assert_eq!(snapshot.damage(), vec![]);
        let (listed, read) = readable(&snapshot);
        assert!(listed >= RECORDS - 1 && read >= RECORDS - 1, "byte {at}: {listed} {read}");
        let is_lost = done.iter().any(|one| one.code == "entry-lost");
        assert!(is_lost || (listed, read) == (RECORDS, RECORDS), "byte {at}: {done:#?}");
        whole_again += usize::from(read == RECORDS);
        // What is there is what was there: nothing is invented.
        for item in snapshot.scan(b"", Direction::Forward) {
            let (key, value) = item.unwrap();
            assert_eq!(pristine.get_ref(&key).unwrap(), Some(value), "byte {at}");
        }
    }
    assert!(whole_again > 0);
}

#[test]
fn a_checkpoint_without_a_copy_comes_from_a_copy_of_the_store_and_from_no_other() {
    let original = whole();
    let files = all_files(&original);
    let base = again(&original).snapshot().unwrap().base();
    // The entries above it say that it was this store's; they may be damaged as well.
    for above in 0..3 {
        let (stranger, copy) = (again(&whole()), again(&duplicate(&files, &original)));
        let place = duplicate(&files, &original);
        place.overwrite(Folder::Log, &entry::name(base), None);
        for n in 1..=above {
            place.overwrite(Folder::Log, &entry::name(base + n), Some(vec![0; 30]));
        }
        for name in place.names(Folder::History).unwrap() {
            place.overwrite(Folder::History, &name, Some(vec![0; 30]));
        }
        let store = again(&place);
        let (done, left) = repaired(&store, &[stranger]);
        assert!(done.iter().any(|one| one.code == "checkpoint-lost"), "{done:#?}");
        assert!(!left.is_sound());
        let (done, left) = repaired(&store, &[copy]);
        assert!(errors(&left).is_empty(), "{left:#?} {done:#?}");
        assert_eq!(readable(&again(&place).snapshot().unwrap()), (RECORDS, RECORDS));
    }
}

#[test]
fn content_in_pieces_comes_back_piece_by_piece_or_whole() {
    let (place, store) = memory();
    let bytes = noise(3, 3 << 20);
    let id = id_of(&Kind::BLOB, &bytes);
    let intake = store.intake(&store.snapshot().unwrap());
    intake.put_blob(&id, bytes.len() as u64, &mut &*bytes).unwrap();
    let collected = Arc::new(intake.finish().unwrap());
    let edit = RefEdit::create(key("large"), id.to_bytes().to_vec());
    let draft = Draft { collected: Some(collected), edits: vec![edit], ..Draft::default() };
    store.publish(op(), "put", &mut |_| Ok::<_, Error>(Some(draft.clone()))).unwrap();
    // Another store has the same content, cut as well, under other names.
    let (_, other) = memory();
    let intake = other.intake(&other.snapshot().unwrap());
    intake.put_blob(&id, bytes.len() as u64, &mut &*bytes).unwrap();
    let draft = Draft { collected: Some(Arc::new(intake.finish().unwrap())), ..Draft::default() };
    other.publish(op(), "put", &mut |_| Ok::<_, Error>(Some(draft.clone()))).unwrap();
    let files = all_files(&place);
    for (folder, name, whole) in files.iter().filter(|(folder, ..)| *folder == Folder::Packs) {
        for (how, bad) in spoiled(whole) {
            let damaged = duplicate(&files, &place);
            damaged.overwrite(*folder, name, bad);
            let store = again(&damaged);
            let (done, left) = repaired(&store, std::slice::from_ref(&other));
            assert!(errors(&left).is_empty(), "{how}: {left:#?} {done:#?}");
            let mut out = Vec::new();
            store.snapshot().unwrap().copy(&id, &mut out).unwrap();
            assert!(out == bytes, "{how}");
        }
    }
}

#[test]
fn a_format_file_is_written_anew_over_a_log_and_nowhere_else() {
    let original = whole();
    let files = all_files(&original);
    let id = again(&original).id().to_owned();
    let good = original.read_format().unwrap().unwrap();
    let mut flipped = good.clone();
    let last = flipped.len() - 5;
    flipped[last] ^= 1;
    for (bad, keeps_id) in [(Some(flipped), true), (Some(Vec::new()), false), (None, false)] {
        let place = MemoryBackend::new();
        for (folder, name, bytes) in &files {
            place.overwrite(*folder, name, Some(bytes.clone()));
        }
        if let Some(bad) = &bad {
            place.create_format(bad).unwrap();
        }
        assert!(Store::open(Arc::new(place.clone()), &world()).is_err());
        let done = repair::repair_format(&place, &[], [9; 16]).unwrap().unwrap();
        assert_eq!(done.is_loss, !keeps_id);
        let store = again(&place);
        assert_eq!(store.id() == id, keeps_id);
        assert_eq!(readable(&store.snapshot().unwrap()), (RECORDS, RECORDS));
        let aside = place.read(Folder::Quarantine, "format").unwrap();
        assert_eq!(aside, bad);
    }
    let newer = MemoryBackend::new();
    newer.create_format(b"prov-store 2\nanything").unwrap();
    assert_eq!(repair::repair_format(&newer, &[], [9; 16]).unwrap(), None);
    assert_eq!(repair::repair_format(&MemoryBackend::new(), &[], [9; 16]).unwrap(), None);
}

/// A log whose newest fold was made twice: by the writer whose fold landed, and by one that was killed before it could take its files back.
/// Returns the place and the number of the fold.
fn folded_twice() -> (MemoryBackend, u64) {
    let place = whole();
    let before = all_files(&place);
    let folds = |store: &Store| {
        let base = store.snapshot().unwrap().base();
        for n in 0..100 {
            record(store, &format!("more{n}"));
            if store.snapshot().unwrap().base() != base {
                break;
            }
        }
        store.snapshot().unwrap().base()
    };
    // The same history up to the fold, so of both folds the state is the same.
    let base = again(&place).snapshot().unwrap().base();
    let last = {
        let probe = duplicate(&before, &place);
        folds(&again(&probe)) - 1
    };
    let store = again(&place);
    while store.snapshot().unwrap().tip() < last {
        let tip = store.snapshot().unwrap().tip();
        record(&store, &format!("more{tip}"));
    }
    assert_eq!(store.snapshot().unwrap().base(), base);
    let unfolded = all_files(&place);
    let other = duplicate(&unfolded, &place);
    let number = folds(&again(&place));
    assert_eq!(folds(&again(&other)), number);
    for (folder, name, bytes) in all_files(&other) {
        if folder != Folder::Log && !unfolded.iter().any(|file| (file.0, &file.1) == (folder, &name)) {
            place.overwrite(folder, &name, Some(bytes));
        }
    }
    let store = again(&place);
    for n in 0..4 {
        record(&store, &format!("after{n}"));
    }
    (place, number)
}

#[test]
fn a_checkpoint_and_its_copy_and_the_entry_above_come_back_although_another_fold_of_that_number_was_left_behind() {
    let (place, number) = folded_twice();
    let files = all_files(&place);
    let copy = again(&duplicate(&files, &place));
    let made = again(&place).snapshot().unwrap().state().history[0].name();
    for above in [false, true] {
        let place = duplicate(&files, &place);
        place.overwrite(Folder::Log, &entry::name(number), None);
        place.overwrite(Folder::History, &Folder::History.file(&made), None);
        if above {
            place.overwrite(Folder::Log, &entry::name(number + 1), Some(vec![1, 2, 3]));
        }
        let store = again(&place);
        assert!(!checked(&store).is_sound());
        let (done, left) = repaired(&store, std::slice::from_ref(&copy));
        assert_eq!(errors(&left), Vec::<&crate::store::check::Finding>::new(), "{done:#?}");
        assert!(done.iter().all(|one| !one.is_loss), "{done:#?}");
        let snapshot = again(&place).snapshot().unwrap();
        assert_eq!(readable(&snapshot), (RECORDS, RECORDS));
        assert!((0..4).all(|n| holds(&snapshot, &format!("after{n}"))));
        assert_eq!(snapshot.damage(), vec![]);
    }
}
