//! Packs that travel as they are.

use super::intake::publish;
use super::*;
use crate::hash;
use crate::object::AccessError;
use crate::progress::Cancel;
use crate::store::whole::{Layout, Waiting};

/// Objects that make up a pack which is large enough.
const MANY: u64 = 1200;

fn content(n: u64) -> Vec<u8> {
    // Some of it is compressed.
    if n.is_multiple_of(50) { format!("{n} and so on\n").repeat(600).into_bytes() } else { noise(n + 1, 8 << 10) }
}

fn ids(of: std::ops::Range<u64>) -> Vec<Id> {
    let mut ids: Vec<Id> = of.map(|n| hash::blob(&content(n))).collect();
    ids.sort_unstable();
    ids
}

/// A store with one large pack, and that pack's name.
fn source() -> (MemoryBackend, Store, Id) {
    let (place, store) = memory();
    let intake = store.intake(&store.snapshot().unwrap());
    for n in 0..MANY {
        intake.put(&Kind::BLOB, &hash::blob(&content(n)), &content(n)).unwrap();
    }
    publish(&store, intake.finish().unwrap());
    let name = only_pack(&place);
    (place, store, name)
}

fn only_pack(place: &MemoryBackend) -> Id {
    let names = place.names(Folder::Packs).unwrap();
    assert_eq!(names.len(), 1);
    Folder::Packs.parse(&names[0]).unwrap()
}

fn bytes(place: &MemoryBackend, pack: &Id) -> Vec<u8> {
    place.read(Folder::Packs, &Folder::Packs.file(pack)).unwrap().unwrap()
}

/// Carries these objects, together with the rest of their packs.
fn carry(from: &Store, to: &Store, ids: &[Id]) -> Result<Collected, AccessError> {
    let (from, intake) = (from.snapshot().unwrap(), to.intake(&to.snapshot().unwrap()));
    let known = intake.know(ids)?;
    let load =
        intake.carry(&from, &known.lacking, How::Together, &|_, _, _| Ok(()), &mut |_, _: Carried<()>| Ok(()))?;
    assert!(load.missing.is_empty());
    intake.take_waiting(&from, true, &Silent, &Cancel::new())?;
    Ok(intake.finish().unwrap())
}

fn assert_there(store: &Store, of: std::ops::Range<u64>) {
    let snapshot = store.snapshot().unwrap();
    for n in of {
        assert!(snapshot.read(&hash::blob(&content(n))).unwrap().unwrap().1 == content(n), "{n}");
    }
    assert_sound(store, "");
}

#[test]
fn a_pack_that_is_wanted_as_a_whole_comes_as_it_is_under_another_name() {
    let (place, store, pack) = source();
    let mut names = vec![pack];
    for _ in 0..2 {
        let (there, target) = memory();
        let collected = carry(&store, &target, &ids(0..MANY)).unwrap();
        assert!(collected.stored().eq(ids(0..MANY).iter()));
        publish(&target, collected);
        let name = only_pack(&there);
        let (before, after) = (bytes(&place, &pack), bytes(&there, &name));
        let (start, end) = (before.iter().zip(&after), before.iter().rev().zip(after.iter().rev()));
        let same = start.take_while(|(a, b)| a == b).count() + end.take_while(|(a, b)| a == b).count();
        assert_eq!(before.len(), after.len());
        assert!(before.len() - same <= 16, "only the nonce differs");
        assert!(!names.contains(&name), "no name recurs");
        names.push(name);
        assert_there(&target, 0..MANY);
    }
}

#[test]
fn a_pack_of_which_something_is_not_wanted_is_taken_apart() {
    let (place, store, pack) = source();
    let (there, target) = memory();
    publish(&target, carry(&store, &target, &ids(1..MANY)).unwrap());
    assert_there(&target, 1..MANY);
    assert!(target.snapshot().unwrap().read(&hash::blob(&content(0))).unwrap().is_none(), "it was not asked for");
    assert!(bytes(&there, &only_pack(&there)).len() < bytes(&place, &pack).len());
}

#[test]
fn a_pack_of_which_something_is_there_is_taken_apart() {
    let (_, store, _) = source();
    let (there, target) = memory();
    let intake = target.intake(&target.snapshot().unwrap());
    intake.put(&Kind::BLOB, &hash::blob(&content(7)), &content(7)).unwrap();
    publish(&target, intake.finish().unwrap());
    let collected = carry(&store, &target, &ids(0..MANY)).unwrap();
    assert_eq!(collected.stored().count() as u64, MANY - 1);
    publish(&target, collected);
    only_pack(&there);
    assert_there(&target, 0..MANY);
}

#[test]
fn a_pack_with_bytes_that_belong_to_nothing_is_taken_apart() {
    let (_, store, _) = source();
    // As another writer may leave one: an object in its data that its index does not name.
    let (odd_place, odd) = memory();
    let staged = odd_place.stage().unwrap();
    let mut pack = pack::PackWriter::new(staged, Class::Content).unwrap();
    for n in 0..MANY {
        pack.put(&hash::blob(&content(n)), &Kind::BLOB, &content(n)).unwrap();
        if n == 600 {
            pack.leave_bytes(b"a secret").unwrap();
        }
    }
    let added = crate::store::intake::publish_pack(&odd, pack, 0).unwrap();
    publish(&odd, Collected { packs: vec![added], ..Collected::default() });
    let (there, target) = memory();
    publish(&target, carry(&odd, &target, &ids(0..MANY)).unwrap());
    assert_there(&target, 0..MANY);
    let arrived = bytes(&there, &only_pack(&there));
    assert!(!arrived.windows(8).any(|window| window == b"a secret"));
    drop(store);
}

/// A store with so many large packs, and their names.
fn sources(packs: u64) -> (MemoryBackend, Store, Vec<Id>) {
    let (place, store) = memory();
    for pack in 0..packs {
        let intake = store.intake(&store.snapshot().unwrap());
        for n in pack * MANY..(pack + 1) * MANY {
            intake.put(&Kind::BLOB, &hash::blob(&content(n)), &content(n)).unwrap();
        }
        publish(&store, intake.finish().unwrap());
    }
    let names = place.names(Folder::Packs).unwrap();
    let packs = names.iter().map(|name| Folder::Packs.parse(name).unwrap()).collect();
    (place, store, packs)
}

/// With so many threads, whatever the machine has.
fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

#[test]
fn several_packs_come_at_once_by_any_number_of_threads() {
    let (_, store, packs) = sources(3);
    for threads in [1, 2, 5, 8] {
        let (there, target) = memory();
        with_threads(threads, || publish(&target, carry(&store, &target, &ids(0..3 * MANY)).unwrap()));
        assert_eq!(there.names(Folder::Packs).unwrap().len(), packs.len());
        assert_there(&target, 0..3 * MANY);
    }
}

#[test]
fn an_object_that_is_damaged_ends_the_work_of_all_threads() {
    let (place, _, packs) = sources(3);
    for (pack, threads) in packs.iter().zip([1, 4, 8]) {
        let whole = bytes(&place, pack);
        let mut harmed = whole.clone();
        harmed[whole.len() / 2] ^= 1;
        place.overwrite(Folder::Packs, &Folder::Packs.file(pack), Some(harmed));
        let (there, target) = memory();
        let from = again(&place);
        let refused = with_threads(threads, || carry(&from, &target, &ids(0..3 * MANY)).unwrap_err());
        assert!(matches!(&refused, AccessError::Damaged { place, .. } if place.contains(&pack.to_string())));
        assert_eq!(there.names(Folder::Packs).unwrap(), Vec::<String>::new(), "nothing is left of it");
        place.overwrite(Folder::Packs, &Folder::Packs.file(pack), Some(whole));
    }
}

#[test]
fn of_a_large_pack_every_stretch_is_remembered() {
    let (place, store, pack) = source();
    let file = store.files().get(Folder::Packs, &pack).unwrap();
    let layout = Layout::read(&mut waiting(&store, &pack)).unwrap();
    let digests = place.stretches().remove(&pack).unwrap();
    let portions = layout.portions(file.at_once());
    assert_eq!(portions.len(), digests.len());
    assert!(portions.len() > 10);
    let whole = bytes(&place, &pack);
    let mut at = 8;
    for (portion, digest) in portions.into_iter().zip(digests) {
        let len: u64 = layout.records[portion].iter().map(|(_, record)| record.stored_len()).sum();
        let end = at + usize::try_from(len).unwrap();
        assert_eq!(digest, Some(stretches::digest(&whole[at..end])));
        at = end;
    }
}

#[test]
fn a_stretch_with_a_large_object_has_no_digest() {
    let (place, store) = memory();
    let intake = store.intake(&store.snapshot().unwrap());
    for n in 0..MANY {
        let content = if n == 100 { noise(7, 100 << 10) } else { content(n) };
        intake.put(&Kind::BLOB, &hash::blob(&content), &content).unwrap();
    }
    publish(&store, intake.finish().unwrap());
    let remembered = place.stretches();
    let digests = remembered.values().next().unwrap();
    assert_eq!(digests.iter().filter(|digest| digest.is_none()).count(), 1);
    let (_, target) = memory();
    let mut all = ids(0..MANY);
    all.retain(|id| *id != hash::blob(&content(100)));
    all.push(hash::blob(&noise(7, 100 << 10)));
    all.sort_unstable();
    publish(&target, carry(&store, &target, &all).unwrap());
    assert_sound(&target, "");
}

#[test]
fn of_small_packs_and_records_nothing_is_remembered() {
    let (place, store) = memory();
    let intake = store.intake(&store.snapshot().unwrap());
    for n in 0..300 {
        intake.put(&Kind::BLOB, &hash::blob(&content(n)), &content(n)).unwrap();
    }
    publish(&store, intake.finish().unwrap());
    assert!(place.stretches().is_empty());
}

fn waiting(store: &Store, pack: &Id) -> Waiting {
    let file = store.files().get(Folder::Packs, pack).unwrap();
    Waiting { file, ids: ids(0..MANY), lists: crate::hash::IdMap::default() }
}

#[test]
fn a_pack_of_which_something_false_is_remembered_is_looked_at_object_by_object() {
    let (place, store, pack) = source();
    let remembered = place.stretches().remove(&pack).unwrap();
    let mut swapped = remembered.clone();
    swapped.swap(2, 5);
    for digests in [swapped, remembered[1..].to_vec(), Vec::new()] {
        place.remember_stretches(&[Stretches::new(pack, digests)]);
        let (there, target) = memory();
        publish(&target, carry(&store, &target, &ids(0..MANY)).unwrap());
        only_pack(&there);
        assert_there(&target, 0..MANY);
    }
}

/// Turns a bit at each of some places of the pack, while it is remembered what it was, and again while it is not: it never arrives.
fn turned(at: impl Fn(usize, usize) -> usize + Copy, times: usize) -> usize {
    let (place, _, pack) = source();
    let remembering = turned_in(&place, pack, at, times);
    place.remember_stretches(&[Stretches::new(pack, Vec::new())]);
    assert_eq!(remembering, turned_in(&place, pack, at, times));
    remembering
}

fn turned_in(place: &MemoryBackend, pack: Id, at: impl Fn(usize, usize) -> usize, times: usize) -> usize {
    let whole = bytes(place, &pack);
    let mut refused = 0;
    for time in 0..times {
        let mut harmed = whole.clone();
        harmed[at(whole.len(), time)] ^= 4;
        place.overwrite(Folder::Packs, &Folder::Packs.file(&pack), Some(harmed));
        let (there, target) = memory();
        // Without its index nothing is found in it.
        let from = again(place);
        if from.snapshot().unwrap().find_all(&ids(0..MANY)).unwrap().is_none() {
            refused += 1;
            continue;
        }
        match carry(&from, &target, &ids(0..MANY)) {
            Err(AccessError::Damaged { place, .. }) => {
                assert!(place.contains(&pack.to_string()), "{place}");
                refused += 1;
            }
            Err(err) => panic!("{err:?}"),
            Ok(collected) => {
                publish(&target, collected);
                assert_there(&target, 0..MANY);
                continue;
            }
        }
        assert_eq!(there.names(Folder::Packs).unwrap(), Vec::<String>::new(), "nothing is left of it");
    }
    place.overwrite(Folder::Packs, &Folder::Packs.file(&pack), Some(whole));
    refused
}

#[test]
fn a_bit_that_turned_in_an_object_does_not_travel() {
    assert_eq!(turned(|len, time| 8 + (len - (100 << 10)) * time / 12, 12), 12);
}

#[test]
fn a_bit_that_turned_in_an_index_does_not_travel() {
    turned(|len, time| len - 1 - (60 << 10) * time / 12, 12);
}

#[test]
fn what_waits_is_never_forgotten() {
    let (_, store, _) = source();
    let (_, target) = memory();
    let (from, intake) = (store.snapshot().unwrap(), target.intake(&target.snapshot().unwrap()));
    intake.carry(&from, &ids(0..9), How::Together, &|_, _, _| Ok(()), &mut |_, _: Carried<()>| Ok(())).unwrap();
    assert_eq!(intake.waiting_objects(), 9);
    assert!(intake.finish().is_err());
}

#[test]
fn a_transfer_that_is_stopped_leaves_nothing() {
    let (_, store, _) = source();
    let (there, target) = memory();
    let (from, intake) = (store.snapshot().unwrap(), target.intake(&target.snapshot().unwrap()));
    let took = &mut |_, _: Carried<()>| Ok(());
    intake.carry(&from, &ids(0..MANY), How::Together, &|_, _, _| Ok(()), took).unwrap();
    let cancel = Cancel::new();
    cancel.raise();
    assert!(intake.take_waiting(&from, true, &Silent, &cancel).is_err());
    drop(intake);
    assert_eq!(there.names(Folder::Packs).unwrap(), Vec::<String>::new());
    assert_eq!(there.names(Folder::Tmp).unwrap(), Vec::<String>::new());
}

#[test]
fn content_in_pieces_travels_with_its_pieces_and_only_then() {
    let large = noise(3, 10 << 20);
    let (place, store) = memory();
    let intake = store.intake(&store.snapshot().unwrap());
    let id = hash::blob(&large);
    intake.put_blob(&id, large.len() as u64, &mut large.as_slice()).unwrap();
    publish(&store, intake.finish().unwrap());
    let from = store.snapshot().unwrap();
    let mut all = Vec::new();
    let file = store.files().get(Folder::Packs, &only_pack(&place)).unwrap();
    pack::for_each(
        &file,
        &mut |id, _| {
            all.push(id);
            Ok::<_, String>(())
        },
        &|what| what,
    )
    .unwrap();
    // The list of pieces is small, and may lie in the entry.
    let claim = pack::find(&file, &id).unwrap().unwrap();
    all.push(pack::pieces(&file, &claim).unwrap());
    all.sort_unstable();
    all.dedup();
    for has_all_pieces in [true, false] {
        let (there, target) = memory();
        let intake = target.intake(&target.snapshot().unwrap());
        let took = &mut |_, _: Carried<()>| Ok(());
        intake.carry(&from, &all, How::Together, &|_, _, _| Ok(()), took).unwrap();
        intake.take_waiting(&from, has_all_pieces, &Silent, &Cancel::new()).unwrap();
        publish(&target, intake.finish().unwrap());
        only_pack(&there);
        let snapshot = target.snapshot().unwrap();
        assert_eq!(snapshot.find_all(&[id]).unwrap().is_some(), has_all_pieces);
        if has_all_pieces {
            let mut out = Vec::new();
            snapshot.copy(&id, &mut out).unwrap();
            assert!(out == large);
        }
        assert_sound(&target, "");
    }
}
