//! Many objects at once, and content that is read once.

use super::intake::publish;
use super::*;
use crate::hash;
use crate::object::AccessError;

/// More objects than are looked up one by one, of all sizes that lie whole in a pack.
fn many(first: u64, count: u64) -> Vec<Vec<u8>> {
    (first..first + count).map(|i| noise(i, 900 + usize::try_from(i).unwrap() * 7)).collect()
}

fn store_all(store: &Store, all: &[Vec<u8>]) {
    let intake = store.intake(&store.snapshot().unwrap());
    for bytes in all {
        assert_eq!(intake.put_new(&Kind::BLOB, bytes).unwrap(), hash::blob(bytes));
    }
    publish(store, intake.finish().unwrap());
}

#[test]
fn an_intake_that_is_asked_much_answers_as_one_that_is_asked_little() {
    let (_, store) = memory();
    let (old, new) = (many(1, 300), many(1_000, 150));
    store_all(&store, &old);
    store_all(&store, &new);
    store_all(&store, &[b"inline".to_vec()]);
    let known: Vec<Vec<u8>> = old.iter().chain(&new).cloned().chain([b"inline".to_vec()]).collect();
    let snapshot = store.snapshot().unwrap();
    let much = store.intake(&snapshot);
    for bytes in known.iter().chain(&known) {
        let id = hash::blob(bytes);
        assert!(much.has(&id).unwrap());
        assert!(!much.has(&hash::blob(&bytes[1..])).unwrap());
    }
    let little = store.intake(&snapshot);
    let (much, little) = (much.finish().unwrap(), little);
    for bytes in &known[..100] {
        assert!(little.has(&hash::blob(bytes)).unwrap());
    }
    let little = little.finish().unwrap();
    assert_eq!(much.relied.len(), known.len());
    assert!(little.relied.iter().all(|(id, place)| much.relied.get(id) == Some(place)));
    publish(&store, much);
    assert_sound(&store, "");
}

#[test]
fn an_intake_that_is_asked_much_relies_on_nothing_condemned() {
    let (place, store) = memory();
    let (old, new) = (many(1, 300), many(1_000, 300));
    store_all(&store, &old);
    let condemn: Vec<Id> = store.snapshot().unwrap().state().packs.iter().map(PackRow::name).collect();
    store_all(&store, &new);
    store
        .publish(op(), "condemn", &mut |_| Ok::<_, Error>(Some(Draft { condemn: condemn.clone(), ..Draft::default() })))
        .unwrap();
    let intake = store.intake(&store.snapshot().unwrap());
    for (bytes, other) in old.iter().zip(&new) {
        assert!(intake.has(&hash::blob(other)).unwrap());
        assert!(!intake.has(&hash::blob(bytes)).unwrap());
    }
    // A pack that is damaged is relied on by nobody either.
    let left = store.snapshot().unwrap().state().packs.iter().map(PackRow::name).find(|name| !condemn.contains(name));
    let name = Folder::Packs.file(&left.unwrap());
    let mut bytes = place.read(Folder::Packs, &name).unwrap().unwrap();
    let end = bytes.len();
    bytes[end - 40] ^= 1;
    place.overwrite(Folder::Packs, &name, Some(bytes));
    let intake = again(&place).snapshot().unwrap();
    let intake = intake.store().intake(&intake);
    assert!(new.iter().all(|bytes| !intake.has(&hash::blob(bytes)).unwrap()));
}

#[test]
fn objects_found_all_at_once_are_those_found_one_by_one() {
    let (place, store) = memory();
    let (old, new) = (many(1, 300), many(1_000, 20));
    store_all(&store, &old);
    store_all(&store, &new);
    store_all(&store, &[b"inline".to_vec()]);
    let large = noise(7, 3 << 20);
    let intake = store.intake(&store.snapshot().unwrap());
    let whole = intake.put_new_blob(large.len() as u64, &mut large.as_slice()).unwrap().unwrap();
    publish(&store, intake.finish().unwrap());
    let mut ids: Vec<Id> = old.iter().chain(&new).map(|bytes| hash::blob(bytes)).collect();
    ids.extend([whole, blob("inline"), blob("nowhere")]);
    let snapshot = store.snapshot().unwrap();
    assert!(snapshot.located(&mut ids[..20].iter().copied()).unwrap().is_none(), "not worth it for a few");
    let located = snapshot.located(&mut ids.iter().copied()).unwrap().unwrap();
    for id in &ids {
        assert_eq!(located.header(id).unwrap(), snapshot.header(id).unwrap());
        assert!(located.read(id).unwrap() == snapshot.read(id).unwrap());
        let (mut one, mut other) = (Vec::new(), Vec::new());
        assert_eq!(located.copy(id, &mut one).unwrap(), snapshot.copy(id, &mut other).unwrap());
        assert!(one == other);
    }
    // Of what is damaged in one pack and sound in another, the sound copy is given; without one it is an error.
    let name = place.names(Folder::Packs).unwrap().into_iter().find(|name| {
        let bytes = place.read(Folder::Packs, name).unwrap().unwrap();
        bytes.windows(old[5].len()).any(|part| part == old[5])
    });
    let name = name.unwrap();
    let mut bytes = place.read(Folder::Packs, &name).unwrap().unwrap();
    let at = bytes.windows(old[5].len()).position(|part| part == old[5]).unwrap();
    bytes[at] ^= 1;
    place.overwrite(Folder::Packs, &name, Some(bytes));
    let snapshot = again(&place).snapshot().unwrap();
    let located = snapshot.located(&mut ids.iter().copied()).unwrap().unwrap();
    let mut out = Vec::new();
    let err = located.copy(&hash::blob(&old[5]), &mut out).unwrap_err();
    assert!(matches!(err, AccessError::Damaged { .. }), "{err}");
    assert!(out.is_empty());
    located.copy(&hash::blob(&old[6]), &mut out).unwrap();
    assert!(out == old[6]);
}

#[test]
fn content_that_is_read_once_is_stored_as_content_that_was_announced() {
    let (_, store) = memory();
    for len in [(1usize << 20) + 1, 9 << 20, (16 << 20) + 12_345] {
        let bytes = noise(len as u64, len);
        let length = len as u64;
        let intake = store.intake(&store.snapshot().unwrap());
        for wrong in [&bytes[..len - 1], &[&bytes[..], b"x"].concat()[..]] {
            let err = intake.put_new_blob(length, &mut &*wrong).unwrap_err();
            assert!(matches!(err, AccessError::Changed), "{err}");
        }
        assert_eq!(intake.put_new_blob(length, &mut &*bytes).unwrap(), Some(hash::blob(&bytes)));
        let once = intake.finish().unwrap();
        publish(&store, once);
        let intake = store.intake(&store.snapshot().unwrap());
        intake.put_blob(&hash::blob(&bytes), length, &mut &*bytes).unwrap();
        assert_eq!(intake.put_new_blob(length, &mut &*bytes).unwrap(), Some(hash::blob(&bytes)));
        let again = intake.finish().unwrap();
        assert!(again.packs.is_empty() && again.inline.is_empty());
        let mut out = Vec::new();
        store.snapshot().unwrap().copy(&hash::blob(&bytes), &mut out).unwrap();
        assert!(out == bytes);
    }
    // Small content is left to be put by its id, and everything where something was scrubbed: it must not be stored in parts before it is known.
    let intake = store.intake(&store.snapshot().unwrap());
    assert_eq!(intake.put_new_blob(5, &mut &b"small"[..]).unwrap(), None);
    let draft = Draft { features: vec!["scrub".to_owned()], ..Draft::default() };
    store.publish(op(), "scrub", &mut |_| Ok::<_, Error>(Some(draft.clone()))).unwrap();
    let intake = store.intake(&store.snapshot().unwrap());
    let bytes = noise(9, 2 << 20);
    assert_eq!(intake.put_new_blob(bytes.len() as u64, &mut &*bytes).unwrap(), None);
    assert!(intake.finish().unwrap().is_empty());
    assert_sound(&store, "");
}

#[test]
fn who_reads_many_objects_gets_each_whichever_pack_it_lies_in() {
    let (place, store) = memory();
    let groups: Vec<Vec<Vec<u8>>> = (0..5).map(|group| many(1_000 + 100 * group, 40)).collect();
    for group in &groups {
        store_all(&store, group);
    }
    let nowhere = many(900, 40);
    let packed = |snapshot: &Snapshot, bytes: &[u8]| snapshot.read(&hash::blob(bytes)).unwrap().map(|(_, found)| found);
    let snapshot = store.snapshot().unwrap();
    assert!(snapshot.state().packs.len() >= 5);
    for at in 0..40 {
        for group in &groups {
            assert_eq!(packed(&snapshot, &group[at]).as_ref(), Some(&group[at]));
        }
        assert_eq!(packed(&snapshot, &nowhere[at]), None);
    }
    // The pack in which the last one was found goes: what lay there is damaged, everything else is found.
    let last = snapshot.state().packs.last().unwrap().name();
    assert!(groups[4].iter().all(|bytes| packed(&snapshot, bytes).is_some()));
    place.remove(Folder::Packs, &Folder::Packs.file(&last)).unwrap();
    let store = Store::open(Arc::new(place), &world()).unwrap();
    let snapshot = store.snapshot().unwrap();
    for at in 0..40 {
        for (group, lies_elsewhere) in groups.iter().zip([true, true, true, true, false]) {
            let read = snapshot.read(&hash::blob(&group[at]));
            assert_eq!(read.is_ok_and(|found| found.is_some()), lies_elsewhere);
        }
    }
}
