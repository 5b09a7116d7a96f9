//! Taking objects in.

use std::io::Read;

use super::*;

pub(super) fn publish(store: &Store, collected: Collected) -> Published {
    let collected = Arc::new(collected);
    store
        .publish(op(), "put", &mut |_| {
            Ok::<_, Error>(Some(Draft { collected: Some(Arc::clone(&collected)), ..Draft::default() }))
        })
        .unwrap()
}

fn put_all(store: &Store, all: &[Vec<u8>]) -> Collected {
    let snapshot = store.snapshot().unwrap();
    let intake = store.intake(&snapshot);
    for bytes in all {
        intake.put(&Kind::BLOB, &id_of(&Kind::BLOB, bytes), bytes).unwrap();
    }
    intake.finish().unwrap()
}

#[test]
fn little_goes_into_the_entry_and_much_into_packs() {
    let (place, store) = memory();
    let small: Vec<_> = (1..10).map(|i| pattern(i, 1000)).collect();
    let collected = put_all(&store, &small);
    assert_eq!((collected.inline.len(), collected.packs.len()), (9, 0));
    publish(&store, collected);
    assert_eq!(place.names(Folder::Packs).unwrap().len(), 0);

    let large: Vec<_> = (10..20).map(|i| pattern(i, 100_000)).collect();
    let collected = put_all(&store, &large);
    assert_eq!((collected.inline.len(), collected.packs.len()), (0, 1));
    publish(&store, collected);
    let snapshot = store.snapshot().unwrap();
    for bytes in small.iter().chain(&large) {
        let id = id_of(&Kind::BLOB, bytes);
        assert_eq!(snapshot.read(&id).unwrap().unwrap().1, *bytes);
        assert_eq!(snapshot.header(&id).unwrap(), Some((Kind::BLOB, bytes.len() as u64)));
        let mut out = Vec::new();
        assert_eq!(snapshot.copy(&id, &mut out).unwrap(), Some(bytes.len() as u64));
        assert_eq!(out, *bytes);
    }
    assert_sound(&store, "");
}

#[test]
fn records_stay_in_the_entry_when_content_does_not_fit() {
    use crate::object::Record;
    use crate::object::config::Config;
    let (_, store) = memory();
    let snapshot = store.snapshot().unwrap();
    let intake = store.intake(&snapshot);
    let record = Config(crate::codec::Value::Int(7)).encode().unwrap();
    intake.put(&Kind::CONFIG, &id_of(&Kind::CONFIG, &record), &record).unwrap();
    for i in 0..4 {
        let bytes = pattern(i + 1, 100_000);
        intake.put(&Kind::BLOB, &id_of(&Kind::BLOB, &bytes), &bytes).unwrap();
    }
    let collected = intake.finish().unwrap();
    assert_eq!(collected.inline.len(), 1);
    assert_eq!(collected.packs.len(), 1);
    assert_eq!(collected.packs[0].row.class(), Class::Content);
    publish(&store, collected);
    assert_sound(&store, "");
}

#[test]
fn what_the_store_has_is_relied_on_and_not_stored_again() {
    let (place, store) = memory();
    let data: Vec<_> = (1..5).map(|i| pattern(i, 100_000)).collect();
    publish(&store, put_all(&store, &data));
    let packs = place.names(Folder::Packs).unwrap();
    let collected = put_all(&store, &data);
    assert_eq!((collected.inline.len(), collected.packs.len(), collected.relied.len()), (0, 0, 4));
    publish(&store, collected);
    assert_eq!(place.names(Folder::Packs).unwrap(), packs);
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.inner.log.entries.last().unwrap().entry.rely.len(), 1);
}

#[test]
fn a_streamed_blob_that_is_not_what_was_announced_leaves_nothing() {
    let (_, store) = memory();
    for len in [1_000usize, 400_000] {
        let snapshot = store.snapshot().unwrap();
        let intake = store.intake(&snapshot);
        let (good, other) = (pattern(3, len), pattern(5, len));
        let id = id_of(&Kind::BLOB, &good);
        let announced = len as u64;
        for (what, bytes) in
            [("other", &other[..]), ("short", &good[..len - 1]), ("long", &[&good[..], b"x"].concat()[..])]
        {
            let err = intake.put_blob(&id, announced, &mut &*bytes).unwrap_err();
            assert!(matches!(err, crate::object::AccessError::Changed), "{what}: {err}");
            assert!(!intake.has(&id).unwrap());
        }
        let failing = &mut good[..10].chain(Failing);
        assert!(matches!(intake.put_blob(&id, announced, failing), Err(crate::object::AccessError::Io(_))));
        intake.put_blob(&id, announced, &mut &*good).unwrap();
        intake.put_blob(&id, announced, &mut &*good).unwrap();
        publish(&store, intake.finish().unwrap());
        assert_eq!(store.snapshot().unwrap().read(&id).unwrap().unwrap().1, good);
        assert_sound(&store, len);
    }
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

/// Gives bytes a few at a time, never the same number.
struct Dribble<'a>(&'a [u8], usize);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = (self.1 * 7 + 1_000_003) % (3 << 20) + 1;
        let n = self.1.min(buffer.len());
        self.0.read(&mut buffer[..n])
    }
}

#[test]
fn large_content_is_cut_at_the_same_places_however_it_comes_and_by_however_many_threads() {
    let bytes = noise(77, (24 << 20) + 3);
    for len in [(2 << 20) - 1, 2 << 20, (2 << 20) + 1, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, 16 << 20, (24 << 20) + 3]
    {
        let bytes = &bytes[..len];
        let mut expected: Vec<Id> =
            super::cut::pieces(bytes, true).into_iter().map(|at| crate::hash::blob(&bytes[at])).collect();
        expected.push(crate::hash::blob(bytes));
        expected.sort_unstable();
        for is_alone in [true, false] {
            let (_, store) = memory();
            let intake = store.intake(&store.snapshot().unwrap());
            let put = || intake.put_new_blob(len as u64, &mut Dribble(bytes, len)).unwrap().unwrap();
            // Whoever is a thread of the pool leaves the others alone.
            let id = if is_alone { put() } else { rayon::ThreadPoolBuilder::new().build().unwrap().install(put) };
            assert_eq!(id, crate::hash::blob(bytes));
            let collected = intake.finish().unwrap();
            let blobs: Vec<Id> =
                expected.iter().filter(|id| collected.stored().any(|stored| stored == *id)).copied().collect();
            assert_eq!(blobs, expected, "{len} bytes, alone: {is_alone}");
            assert_eq!(collected.stored().count(), expected.len() + 1, "{len} bytes: and one list");
            publish(&store, collected);
            let mut back = Vec::new();
            store.snapshot().unwrap().copy(&id, &mut back).unwrap().unwrap();
            assert!(back == bytes);
        }
    }
}

#[test]
fn large_content_that_changes_while_it_is_read_is_told_whichever_batch_it_shows_in() {
    let bytes = noise(78, 25 << 20);
    let (_, store) = memory();
    for (len, end) in
        [(9 << 20, 25 << 20), (24 << 20, 25 << 20), (25 << 20, 24 << 20), (25 << 20, 8 << 20), (25 << 20, 0)]
    {
        for is_alone in [true, false] {
            let intake = store.intake(&store.snapshot().unwrap());
            let put = || intake.put_new_blob(len, &mut &bytes[..end]);
            let err = if is_alone { put() } else { rayon::ThreadPoolBuilder::new().build().unwrap().install(put) }
                .unwrap_err();
            assert!(matches!(err, crate::object::AccessError::Changed), "{len} {end}: {err}");
        }
    }
    let intake = store.intake(&store.snapshot().unwrap());
    let failing = &mut bytes[..20 << 20].chain(Failing);
    let err = intake.put_new_blob(25 << 20, failing).unwrap_err();
    assert!(matches!(err, crate::object::AccessError::Io(_)), "{err}");
}

#[test]
fn bytes_that_do_not_have_their_id_are_refused() {
    let (_, store) = memory();
    let intake = store.intake(&store.snapshot().unwrap());
    assert!(intake.put(&Kind::BLOB, &blob("a"), b"b").is_err());
}

#[test]
fn many_threads_put_into_one_intake() {
    let (_, store) = memory();
    let snapshot = store.snapshot().unwrap();
    let intake = store.intake(&snapshot);
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let intake = &intake;
            scope.spawn(move || {
                for i in 0..50u8 {
                    // Half of them are the same in all threads.
                    let bytes = if i % 2 == 0 {
                        pattern(i, 3_000 + usize::from(i))
                    } else {
                        pattern(i, 4_000 + usize::from(i) * 7 + usize::from(thread))
                    };
                    let id = id_of(&Kind::BLOB, &bytes);
                    if i % 3 == 0 {
                        intake.put_blob(&id, bytes.len() as u64, &mut &*bytes).unwrap();
                    } else {
                        intake.put(&Kind::BLOB, &id, &bytes).unwrap();
                    }
                }
            });
        }
    });
    let collected = intake.finish().unwrap();
    let stored: Vec<Id> = collected.stored().copied().collect();
    let distinct: std::collections::HashSet<Id> = stored.iter().copied().collect();
    assert_eq!(stored.len(), distinct.len());
    publish(&store, collected);
    assert_sound(&store, "");
    let snapshot = store.snapshot().unwrap();
    assert!(stored.iter().all(|id| snapshot.read(id).unwrap().is_some()));
}

#[test]
fn an_intake_that_is_dropped_removes_its_packs() {
    let (place, store) = memory();
    let snapshot = store.snapshot().unwrap();
    let intake = store.intake(&snapshot);
    for i in 0..2 {
        let bytes = noise(i, 40 << 20);
        intake.put_blob(&id_of(&Kind::BLOB, &bytes), bytes.len() as u64, &mut &*bytes).unwrap();
    }
    // One is being made durable, or is already, while the other is filled.
    intake.complete_content().unwrap();
    assert_eq!(place.names(Folder::Packs).unwrap().len(), 2, "packs are closed as they get full");
    let bytes = noise(3, 40 << 20);
    intake.put_blob(&id_of(&Kind::BLOB, &bytes), bytes.len() as u64, &mut &*bytes).unwrap();
    drop(intake);
    assert_eq!(place.names(Folder::Packs).unwrap().len(), 0);
}
