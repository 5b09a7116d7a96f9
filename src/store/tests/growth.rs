//! A store stays small in files, however long its history.

use super::*;

fn files(place: &dyn Backend) -> usize {
    1 + Folder::ALL.iter().map(|&folder| place.names(folder).unwrap().len()).sum::<usize>()
}

#[test]
fn ten_thousand_small_transactions_never_take_a_hundred_files() {
    let (place, store) = memory();
    let mut most = 0;
    for i in 0..10_000 {
        // A record and some content each, as a small run has.
        let snapshot = store.snapshot().unwrap();
        let intake = store.intake(&snapshot);
        let record = crate::object::envelope::encode(Kind::RUN, 1, vec![], &crate::codec::encode(&i).unwrap()).unwrap();
        let (id, log) = (id_of(&Kind::RUN, &record), format!("log of {i}"));
        intake.put(&Kind::RUN, &id, &record).unwrap();
        intake.put(&Kind::BLOB, &blob(&log), log.as_bytes()).unwrap();
        let collected = Arc::new(intake.finish().unwrap());
        store
            .publish(op(), "record", &mut |_| {
                let edits = vec![
                    RefEdit::create(format!("run/{i:05}").into_bytes(), id.to_bytes().to_vec()),
                    RefEdit::set(key("newest"), id.to_bytes().to_vec()),
                ];
                Ok::<_, Error>(Some(Draft { collected: Some(Arc::clone(&collected)), edits, ..Draft::default() }))
            })
            .unwrap();
        most = most.max(files(&place));
    }
    assert!(most < 100, "{most} files");
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.scan(b"run/", Direction::Forward).count(), 10_000);
    assert!(snapshot.read(&blob("log of 7")).unwrap().is_some());
    assert_sound(&store, "");
    let orphans = checked(&store).findings.iter().filter(|finding| finding.code == "orphan").count();
    assert_eq!(orphans, 0);
}

#[test]
fn a_local_store_is_folded_all_the_same() {
    let dir = tempfile::Builder::new().tempdir_in(fast_folder()).unwrap();
    let place: Arc<dyn Backend> = Arc::new(LocalBackend::new(crate::fs::Fs::real(), dir.path()));
    let store = Store::create(Arc::clone(&place), &world()).unwrap();
    for i in 0..600 {
        record(&store, &format!("n{i}"));
    }
    assert!(files(&*place) < 80, "{}", files(&*place));
    let snapshot = store.snapshot().unwrap();
    assert!((0..600).all(|i| holds(&snapshot, &format!("n{i}"))));
    assert_sound(&store, "");
}

/// A folder where flushing costs nothing, if the machine has one.
pub(super) fn fast_folder() -> std::path::PathBuf {
    let shm = std::path::Path::new("/dev/shm");
    if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() }
}
