//! What every place must do.

use super::*;
use crate::fs::Fs;

/// Makes an empty place.
type Make = fn() -> Arc<dyn Backend>;

thread_local! {
    /// The only implementation that is tested, if there is one.
    static ONLY: std::cell::Cell<Option<Make>> = const { std::cell::Cell::new(None) };
}

/// Runs the whole suite over an implementation of a higher layer.
#[cfg(feature = "cloud")]
pub(crate) fn over(make: Make) {
    ONLY.set(Some(make));
    an_absent_place_is_empty_and_not_an_error();
    a_file_is_created_once_and_never_changes();
    staged_files_are_seen_only_once_they_are_published();
    a_staged_file_can_be_cut_back();
    files_are_read_at_any_position();
    removing_is_fine_twice_and_frees_the_name();
    the_format_is_created_once();
    of_many_who_want_a_name_exactly_one_gets_it();
    a_store_works_in_every_place();
    ONLY.set(None);
}

/// Runs `test` over every implementation.
fn each(test: impl Fn(Arc<dyn Backend>)) {
    if let Some(make) = ONLY.get() {
        return test(make());
    }
    test(Arc::new(MemoryBackend::new()));
    let dir = tempfile::tempdir().unwrap();
    test(Arc::new(LocalBackend::new(Fs::real(), dir.path().join("store"))));
    test(Arc::new(over_a_pipe(Arc::new(LocalBackend::new(Fs::real(), dir.path().join("far"))), Mode::Full)));
    test(Arc::new(over_a_pipe(Arc::new(MemoryBackend::new()), Mode::Full)));
}

/// One end of a pair of sockets; the other end hears of it when it goes.
struct End(std::os::unix::net::UnixStream);

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

/// A place as it looks from the other end of a pipe.
pub(super) fn over_a_pipe(place: Arc<dyn Backend>, mode: Mode) -> WireBackend {
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        let (mut input, mut output) = (far.try_clone().unwrap(), far);
        let _ = serve(&place, &world(), mode, &mut input, &mut output);
    });
    let input = near.try_clone().unwrap();
    WireBackend::connect(Box::new(input), Box::new(End(near)), "pipe".to_owned(), Duration::from_secs(600)).unwrap()
}

fn put(place: &dyn Backend, folder: Folder, name: &str, bytes: &[u8]) -> Outcome {
    let mut staged = place.stage().unwrap();
    staged.write_all(bytes).unwrap();
    staged.publish(folder, name).unwrap()
}

#[test]
fn an_absent_place_is_empty_and_not_an_error() {
    each(|place| {
        for folder in Folder::ALL {
            assert_eq!(place.list(folder).unwrap(), vec![]);
            assert_eq!(place.names(folder).unwrap(), Vec::<String>::new());
        }
        assert_eq!(place.read(Folder::Log, "x").unwrap(), None);
        assert!(place.open(Folder::Packs, "x").unwrap().is_none());
        assert_eq!(place.read_format().unwrap(), None);
    });
}

#[test]
fn a_file_is_created_once_and_never_changes() {
    each(|place| {
        place.prepare().unwrap();
        place.prepare().unwrap();
        assert_eq!(put(&*place, Folder::Log, "1", b"one"), Outcome::Won);
        assert_eq!(put(&*place, Folder::Log, "1", b"two"), Outcome::Lost);
        place.sync(Folder::Log).unwrap();
        assert_eq!(place.read(Folder::Log, "1").unwrap().unwrap(), b"one");
        assert_eq!(place.list(Folder::Log).unwrap(), vec![("1".to_owned(), 3)]);
        assert_eq!(place.read(Folder::Packs, "1").unwrap(), None);
        assert_eq!(place.list(Folder::Tmp).unwrap(), vec![], "nothing is left behind");
    });
}

#[test]
fn staged_files_are_seen_only_once_they_are_published() {
    each(|place| {
        place.prepare().unwrap();
        let mut staged = place.stage().unwrap();
        staged.write_all(&vec![1; 300_000]).unwrap();
        assert_eq!(staged.position(), 300_000);
        drop(staged);
        assert_eq!(place.list(Folder::Tmp).unwrap(), vec![]);
        let mut first = place.stage().unwrap();
        let mut second = place.stage().unwrap();
        first.write_all(b"first").unwrap();
        second.write_all(b"second").unwrap();
        assert_eq!(first.publish(Folder::Packs, "a").unwrap(), Outcome::Won);
        assert_eq!(second.publish(Folder::Packs, "b").unwrap(), Outcome::Won);
        assert_eq!(place.read(Folder::Packs, "a").unwrap().unwrap(), b"first");
        assert_eq!(place.read(Folder::Packs, "b").unwrap().unwrap(), b"second");
    });
}

#[test]
fn a_staged_file_can_be_cut_back() {
    each(|place| {
        place.prepare().unwrap();
        for len in [0usize, 5, 100_000, 300_000] {
            let mut staged = place.stage().unwrap();
            staged.write_all(&vec![1; 300_000]).unwrap();
            staged.truncate(len as u64).unwrap();
            assert_eq!(staged.position(), len as u64);
            staged.write_all(b"end").unwrap();
            staged.publish(Folder::Packs, &format!("{len}")).unwrap();
            let bytes = place.read(Folder::Packs, &format!("{len}")).unwrap().unwrap();
            assert_eq!(bytes.len(), len + 3);
            assert_eq!(&bytes[len..], b"end");
        }
    });
}

#[test]
fn files_are_read_at_any_position() {
    each(|place| {
        place.prepare().unwrap();
        put(&*place, Folder::Packs, "a", b"0123456789");
        let file = place.open(Folder::Packs, "a").unwrap().unwrap();
        assert_eq!(file.size().unwrap(), 10);
        let mut buffer = [0; 4];
        file.read_exact_at(3, &mut buffer).unwrap();
        assert_eq!(&buffer, b"3456");
        assert_eq!(file.read_exact_at(7, &mut buffer).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(file.read_exact_at(u64::MAX, &mut buffer).is_err());
    });
}

#[test]
fn removing_is_fine_twice_and_frees_the_name() {
    each(|place| {
        place.prepare().unwrap();
        put(&*place, Folder::Log, "1", b"one");
        let file = place.open(Folder::Log, "1").unwrap().unwrap();
        place.remove(Folder::Log, "1").unwrap();
        place.remove(Folder::Log, "1").unwrap();
        let mut buffer = [0; 3];
        file.read_exact_at(0, &mut buffer).unwrap();
        assert_eq!(&buffer, b"one", "what is open stays readable");
        assert_eq!(put(&*place, Folder::Log, "1", b"two"), Outcome::Won);
    });
}

#[test]
fn the_format_is_created_once() {
    each(|place| {
        place.prepare().unwrap();
        assert_eq!(place.create_format(b"a").unwrap(), Outcome::Won);
        assert_eq!(place.create_format(b"b").unwrap(), Outcome::Lost);
        assert_eq!(place.read_format().unwrap().unwrap(), b"a");
    });
}

#[test]
fn of_many_who_want_a_name_exactly_one_gets_it() {
    each(|place| {
        place.prepare().unwrap();
        for name in ["1", "2", "3"] {
            let wins = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for thread in 0..8u8 {
                    let (place, wins) = (&place, &wins);
                    scope.spawn(move || {
                        if put(&**place, Folder::Log, name, &[thread]) == Outcome::Won {
                            wins.fetch_add(1, Ordering::SeqCst);
                        }
                    });
                }
            });
            assert_eq!(wins.load(Ordering::SeqCst), 1);
        }
    });
}

#[test]
fn a_store_works_in_every_place() {
    each(|place| {
        assert!(matches!(Store::open(place.clone(), &world()), Err(Error::NotAStore { .. })));
        let store = Store::create(place.clone(), &world()).unwrap();
        assert!(matches!(Store::create(place.clone(), &world()), Err(Error::Exists { .. })));
        for i in 0..40 {
            record(&store, &format!("n{i}"));
        }
        let other = Store::open(place.clone(), &world()).unwrap();
        assert_eq!(other.id(), store.id());
        let snapshot = other.snapshot().unwrap();
        assert!(snapshot.base() > 0, "it was folded");
        assert!((0..40).all(|i| holds(&snapshot, &format!("n{i}"))));
        assert_sound(&other, "");
    });
}

#[test]
fn local_folders_that_are_missing_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let place: Arc<dyn Backend> = Arc::new(LocalBackend::new(Fs::real(), dir.path()));
    let store = Store::create(place, &world()).unwrap();
    for folder in ["tmp", "packs", "tables", "history", "quarantine"] {
        Fs::real().remove_tree(&dir.path().join(folder)).unwrap();
    }
    for i in 0..40 {
        record(&store, &format!("n{i}"));
    }
    assert_sound(&store, "");
}

#[test]
fn a_read_only_folder_is_read_and_says_so_when_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let place: Arc<dyn Backend> = Arc::new(LocalBackend::new(Fs::real(), dir.path()));
    let store = Store::create(place, &world()).unwrap();
    for i in 0..40 {
        record(&store, &format!("n{i}"));
    }
    for errno in [libc_errno("EROFS"), libc_errno("EACCES")] {
        let fault = Arc::new(crate::fs::NthEffect::from_then_on(0, errno));
        let frozen = LocalBackend::new(Fs::with_fault(fault), dir.path());
        let store = Store::open(Arc::new(frozen), &world()).unwrap();
        let snapshot = store.snapshot().unwrap();
        assert!((0..40).all(|i| holds(&snapshot, &format!("n{i}"))));
        assert_sound(&store, "");
        let err = record_as(&store, op(), "more").unwrap_err();
        assert!(matches!(err, Error::Backend(BackendError::ReadOnly { .. })), "{err:?}");
    }
}

fn libc_errno(name: &str) -> i32 {
    use rustix::io::Errno;
    match name {
        "EROFS" => Errno::ROFS,
        "EACCES" => Errno::ACCESS,
        "EPERM" => Errno::PERM,
        "ENOTSUP" => Errno::OPNOTSUPP,
        _ => Errno::IO,
    }
    .raw_os_error()
}

/// Links, or links and renames, are refused, as some file systems do.
#[derive(Debug)]
struct Refusing {
    ops: Vec<crate::fs::Op>,
    errno: i32,
}

impl crate::fs::Fault for Refusing {
    fn before(&self, op: crate::fs::Op, _path: &std::path::Path) -> crate::fs::Verdict {
        if self.ops.contains(&op) { crate::fs::Verdict::Fail(self.errno) } else { crate::fs::Verdict::Go }
    }
}

#[test]
fn where_links_are_not_supported_a_rename_does() {
    use crate::fs::Op;
    for errno in [libc_errno("EPERM"), libc_errno("ENOTSUP")] {
        let dir = tempfile::tempdir().unwrap();
        let fault = Arc::new(Refusing { ops: vec![Op::Link], errno });
        let place: Arc<dyn Backend> = Arc::new(LocalBackend::new(Fs::with_fault(fault), dir.path()));
        let store = Store::create(place.clone(), &world()).unwrap();
        for i in 0..40 {
            record(&store, &format!("n{i}"));
        }
        assert_eq!(put(&*place, Folder::Log, &entry::name(33), b"x"), Outcome::Lost);
        assert_eq!(place.names(Folder::Tmp).unwrap(), ["queue"]);
        assert_sound(&store, "");

        let fault = Arc::new(Refusing { ops: vec![Op::Link, Op::Rename], errno });
        let place = LocalBackend::new(Fs::with_fault(fault), dir.path());
        let store = Store::open(Arc::new(place), &world()).unwrap();
        let err = record_as(&store, op(), "more").unwrap_err();
        assert!(matches!(err, Error::Backend(BackendError::NoAtomicCreate { .. })), "{err:?}");
        assert!(holds(&store.snapshot().unwrap(), "n1"));
    }
}
