//! Content that is stored in pieces.

use super::intake::publish;
use super::*;
use crate::hash;
use crate::object::AccessError;
use crate::store::pack;

/// Rows of numbers, as in a table.
fn table(rows: std::ops::Range<u32>) -> Vec<u8> {
    rows.flat_map(|row| format!("{row},{},{}\n", row.wrapping_mul(2_654_435_761) % 1000, row / 7).into_bytes())
        .collect()
}

fn put(store: &Store, bytes: &[u8]) -> (Id, Collected) {
    let snapshot = store.snapshot().unwrap();
    let intake = store.intake(&snapshot);
    let id = hash::blob(bytes);
    intake.put_blob(&id, bytes.len() as u64, &mut &*bytes).unwrap();
    (id, intake.finish().unwrap())
}

fn stored_bytes(place: &MemoryBackend) -> u64 {
    place.list(Folder::Packs).unwrap().into_iter().map(|(_, len)| len).sum()
}

fn read_back(store: &Store, id: &Id, bytes: &[u8]) {
    let snapshot = store.snapshot().unwrap();
    let mut out = Vec::new();
    assert_eq!(snapshot.copy(id, &mut out).unwrap(), Some(bytes.len() as u64));
    assert!(out == bytes, "other bytes came back");
    assert!(snapshot.read(id).unwrap().unwrap().1 == bytes);
    assert_eq!(snapshot.header(id).unwrap(), Some((Kind::BLOB, bytes.len() as u64)));
}

#[test]
fn large_content_comes_back_whatever_its_size() {
    let (_, store) = memory();
    for len in [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, (20 << 20) + 12_345] {
        let bytes = noise(len as u64, len);
        let (id, collected) = put(&store, &bytes);
        publish(&store, collected);
        read_back(&store, &id, &bytes);
    }
    assert_sound(&store, "");
}

#[test]
fn an_edited_version_costs_little_and_comes_back() {
    let (place, store) = memory();
    let before = noise(1, 24 << 20);
    let (id, collected) = put(&store, &before);
    publish(&store, collected);
    let first = stored_bytes(&place);
    let mut after = before.clone();
    let middle = 12 << 20;
    after.splice(middle..middle, noise(2, 1 << 20));
    let (edited, collected) = put(&store, &after);
    assert!(!collected.relied.is_empty());
    publish(&store, collected);
    assert!(stored_bytes(&place) - first < 4 << 20, "{}", stored_bytes(&place) - first);
    read_back(&store, &id, &before);
    read_back(&store, &edited, &after);
    assert_sound(&store, "");
}

#[test]
fn tables_take_less_room_than_they_have_bytes() {
    let (place, store) = memory();
    let bytes = table(0..200_000);
    let (id, collected) = put(&store, &bytes);
    publish(&store, collected);
    assert!(stored_bytes(&place) * 2 < bytes.len() as u64, "{} of {}", stored_bytes(&place), bytes.len());
    read_back(&store, &id, &bytes);
    assert_sound(&store, "");
}

#[test]
fn a_range_is_read_without_the_rest() {
    let (place, store) = memory();
    let bytes = noise(7, 10 << 20);
    let (id, collected) = put(&store, &bytes);
    publish(&store, collected);
    let small = noise(8, 500_000);
    let (whole, collected) = put(&store, &small);
    publish(&store, collected);
    let snapshot = store.snapshot().unwrap();
    let len = bytes.len() as u64;
    for range in [0..0, 0..1, 5_000_000..5_000_001, 1_000_000..9_000_000, len - 1..len, 0..u64::MAX, len..len + 5] {
        let mut out = Vec::new();
        let told = snapshot.copy_range(&id, range.clone(), &mut out).unwrap().unwrap();
        let bound = |at: u64| usize::try_from(at.min(len)).unwrap();
        let expected = &bytes[bound(range.start)..bound(range.end)];
        assert!(out == expected && told == expected.len() as u64, "{range:?}");
    }
    let mut out = Vec::new();
    assert_eq!(snapshot.copy_range(&whole, 400_000..499_999, &mut out).unwrap(), Some(99_999));
    assert!(out == small[400_000..499_999]);
    assert_eq!(snapshot.copy_range(&hash::blob(b"other"), 0..1, &mut out).unwrap(), None);
    // What the range does not touch may be damaged.
    damage_pieces(&place, |at| at > 6 << 20);
    let store = again(&place);
    let mut out = Vec::new();
    store.snapshot().unwrap().copy_range(&id, 0..1_000_000, &mut out).unwrap();
    assert!(out == bytes[..1_000_000]);
}

/// Flips a bit of every entry that begins where `picks` says.
fn damage_pieces(place: &MemoryBackend, picks: impl Fn(u64) -> bool) {
    let snapshot = again(place).snapshot().unwrap();
    for row in &snapshot.state().packs {
        let file = snapshot.store().files().fresh(Folder::Packs, &row.name()).unwrap();
        let mut offsets = Vec::new();
        pack::for_each::<String>(
            &file,
            &mut |_, record| {
                offsets.extend(
                    (record.kind == Kind::BLOB && !record.is_in_pieces() && picks(record.offset))
                        .then_some(record.offset),
                );
                Ok(())
            },
            &|what| what,
        )
        .unwrap();
        let name = Folder::Packs.file(&row.name());
        let mut bytes = place.read(Folder::Packs, &name).unwrap().unwrap();
        for offset in offsets {
            bytes[usize::try_from(offset).unwrap()] ^= 1;
        }
        place.overwrite(Folder::Packs, &name, Some(bytes));
    }
}

#[test]
fn a_damaged_piece_is_named_and_nothing_wrong_is_handed_on_as_right() {
    let (place, store) = memory();
    let bytes = noise(7, 5 << 20);
    let (id, collected) = put(&store, &bytes);
    publish(&store, collected);
    damage_pieces(&place, |at| at > 2 << 20);
    let store = again(&place);
    let snapshot = store.snapshot().unwrap();
    assert!(matches!(snapshot.read(&id), Err(AccessError::Damaged { .. })));
    let mut out = Vec::new();
    let err = snapshot.copy(&id, &mut out).unwrap_err();
    assert!(matches!(&err, AccessError::Damaged { id: named, .. } if *named == id), "{err}");
    assert!(bytes.starts_with(&out), "wrong bytes were handed on");
    let report = check(&store, &Silent, &Options::default());
    assert!(report.findings.iter().any(|finding| finding.code == "object-damaged"), "{:?}", report.findings);
}

#[test]
fn content_that_changes_while_it_is_read_is_refused() {
    let (place, store) = memory();
    let snapshot = store.snapshot().unwrap();
    let bytes = noise(7, 3 << 20);
    let intake = store.intake(&snapshot);
    let len = bytes.len() as u64;
    for (id, len) in [(hash::blob(b"other"), len), (hash::blob(&bytes), len - 1), (hash::blob(&bytes), len + 1)] {
        assert!(matches!(intake.put_blob(&id, len, &mut &*bytes), Err(AccessError::Changed)));
        assert!(!intake.has(&id).unwrap());
    }
    intake.put_blob(&hash::blob(&bytes), len, &mut &*bytes).unwrap();
    publish(&store, intake.finish().unwrap());
    read_back(&again(&place), &hash::blob(&bytes), &bytes);
    assert_sound(&again(&place), "");
}

#[test]
fn what_lies_in_condemned_packs_is_stored_again_when_it_is_relied_on() {
    let (place, store) = memory();
    let before = noise(1, 6 << 20);
    let (old, collected) = put(&store, &before);
    publish(&store, collected);
    let mut after = before.clone();
    after.truncate(5 << 20);
    after.extend(noise(2, 1 << 20));
    // One transaction relies on pieces, another on the whole; meanwhile all packs are condemned.
    let (new, pieces) = put(&store, &after);
    let (_, whole) = put(&store, &before);
    assert!(whole.packs.is_empty());
    let condemn: Vec<Id> = store.snapshot().unwrap().state().packs.iter().map(PackRow::name).collect();
    store
        .publish(op(), "condemn", &mut |_| Ok::<_, Error>(Some(Draft { condemn: condemn.clone(), ..Draft::default() })))
        .unwrap();
    publish(&store, pieces);
    publish(&store, whole);
    store
        .publish(op(), "remove", &mut |_| Ok::<_, Error>(Some(Draft { remove: condemn.clone(), ..Draft::default() })))
        .unwrap();
    for name in &condemn {
        place.remove(Folder::Packs, &Folder::Packs.file(name)).unwrap();
    }
    let store = again(&place);
    read_back(&store, &new, &after);
    read_back(&store, &old, &before);
    assert_sound(&store, "");
}

#[test]
fn merging_keeps_what_is_in_pieces() {
    let (place, store) = memory();
    let all: Vec<Vec<u8>> = (0..6).map(|seed| noise(seed, (1 << 20) + 4096)).collect();
    for bytes in &all {
        publish(&store, put(&store, bytes).1);
    }
    for i in 0..200 {
        record(&store, &format!("r{i}"));
    }
    assert!(place.names(Folder::Packs).unwrap().len() < 12);
    for bytes in &all {
        read_back(&again(&place), &hash::blob(bytes), bytes);
    }
    assert_sound(&store, "");
}
