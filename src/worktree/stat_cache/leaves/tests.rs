//! A folder is what it was, or nothing is said of it.

use super::super::{Forget, StatCache};
use super::*;
use crate::fs::FileKind;
use crate::path::{Place, RelPath};

fn place(n: u64) -> Place {
    Place::Inside(RelPath::new(format!("data/{n}")).unwrap())
}

fn state(n: u64) -> Stat {
    let ns = 1_700_000_000_123_456_789;
    let kind = FileKind::Folder;
    Stat { kind, dev: 7, ino: n, size: 4096, mtime_ns: ns, ctime_ns: ns + 1, links: 2, mode: 0o40_755 }
}

fn leaf(n: u64) -> Leaf<Vec<u8>> {
    let id = |what: u64| hash::blob(&[n, what].map(u64::to_le_bytes).concat());
    let names: Vec<u8> = (0..=n % 7).flat_map(|name| format!("{name}-{n}\0").into_bytes()).collect();
    Leaf { names, states: id(1), tree: id(2), size: n * 10, files: n % 7 + 1 }
}

fn filled(file: &Path, folders: impl Iterator<Item = u64>) {
    let cache = StatCache::open(file);
    folders.for_each(|n| cache.put_leaf(&place(n), &state(n), &leaf(n)));
    cache.save(&Fs::real(), Forget::Nothing).unwrap();
}

fn got(cache: &StatCache, n: u64) -> Option<Leaf<Vec<u8>>> {
    let found = cache.leaf(&place(n), &state(n))?;
    assert_eq!(found.names().count() as u64, found.files);
    let Leaf { names, states, tree, size, files } = found;
    Some(Leaf { names: names.to_vec(), states, tree, size, files })
}

#[test]
fn a_folder_is_known_in_the_very_same_state_alone() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("cache/stat");
    filled(&file, 0..300);
    let cache = StatCache::open(&file);
    assert!((0..300).all(|n| got(&cache, n) == Some(leaf(n))));
    assert_eq!(got(&cache, 300), None);
    let changes: [fn(&mut Stat); 4] = [|s| s.dev += 1, |s| s.ino += 1, |s| s.mtime_ns += 1, |s| s.ctime_ns += 1];
    for change in changes {
        let mut other = state(7);
        change(&mut other);
        assert!(cache.leaf(&place(7), &other).is_none());
    }
    assert!(cache.leaf(&place(8), &state(7)).is_none());
}

#[test]
fn a_save_keeps_what_others_saved_and_gives_a_new_state_its_place() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("stat");
    let cache = StatCache::open(&file);
    cache.put_leaf(&place(1), &state(1), &leaf(1));
    filled(&file, 0..50);
    let newer = Stat { ctime_ns: state(1).ctime_ns + 5, ..state(1) };
    cache.put_leaf(&place(1), &newer, &leaf(99));
    cache.save(&Fs::real(), Forget::Nothing).unwrap();
    let cache = StatCache::open(&file);
    assert!((0..50).filter(|&n| n != 1).all(|n| got(&cache, n) == Some(leaf(n))));
    assert_eq!(got(&cache, 1), None);
    assert_eq!(cache.leaf(&place(1), &newer).unwrap().tree, leaf(99).tree);
    // A cache that nobody put anything into writes nothing.
    let before = Fs::real().lstat(&file.with_file_name("leaves")).unwrap();
    cache.save(&Fs::real(), Forget::Nothing).unwrap();
    assert_eq!(Fs::real().lstat(&file.with_file_name("leaves")).unwrap(), before);
}

#[test]
fn any_damage_costs_folders_and_never_gives_a_wrong_one() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("stat");
    let leaves = tmp.path().join("leaves");
    filled(&file, 0..20);
    let good = Fs::real().read(&leaves).unwrap().unwrap();
    let right = |bytes: &[u8]| {
        Fs::real().replace(&leaves, bytes, false).unwrap();
        let cache = StatCache::open(&file);
        (0..20).filter(|&n| got(&cache, n).inspect(|found| assert_eq!(*found, leaf(n))).is_some()).count()
    };
    assert_eq!(right(&good), 20);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert!(right(&bad) < 20, "byte {at}");
    }
    for cut in 0..good.len() {
        assert_eq!(right(&good[..cut]), 0, "{cut}");
    }
    assert_eq!(right(&[&good[..], b"x"].concat()), 0);
    // A save heals it.
    right(&good[..good.len() / 2]);
    filled(&file, 0..20);
    let cache = StatCache::open(&file);
    assert!((0..20).all(|n| got(&cache, n) == Some(leaf(n))));
}

#[test]
fn what_is_too_much_is_dropped_and_the_newest_stays() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("stat");
    filled(&file, 0..3);
    let cache = StatCache::open(&file);
    let names = b"n\0".repeat(MAX_BYTES / 2);
    cache.put_leaf(&place(9), &state(9), &Leaf { names, ..leaf(9) });
    cache.save(&Fs::real(), Forget::Nothing).unwrap();
    let cache = StatCache::open(&file);
    assert!((0..3).all(|n| got(&cache, n).is_none()));
    assert_eq!(cache.leaf(&place(9), &state(9)).unwrap().tree, leaf(9).tree);
}
