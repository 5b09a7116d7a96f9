//! The stat cache believes only what it may believe.

use std::io::Write;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::fs::{FileKind, NthEffect, Verdict};
use crate::hash;
use crate::path::RelPath;

const NOW: Micros = Micros(1_800_000_000_000_000);

fn place(name: &str) -> Place {
    Place::Inside(RelPath::new(name).unwrap())
}

fn key(name: &str) -> Key {
    Key::of(&place(name))
}

fn stat(n: u64) -> Stat {
    let old = 1_700_000_000_123_456_789;
    Stat {
        kind: FileKind::File { exec: false },
        dev: 7,
        ino: n,
        size: n * 3,
        mtime_ns: old,
        ctime_ns: old + 1,
        links: 1,
        mode: 0o100_644,
    }
}

fn id(n: u64) -> Id {
    hash::blob(&n.to_le_bytes())
}

fn filled(file: &Path, names: impl Iterator<Item = u64>) {
    let cache = StatCache::open(file);
    for n in names {
        cache.put(key(&format!("dir{}/f{n}", n % 10)), &stat(n), id(n), NOW);
    }
    cache.save(&Fs::real(), Forget::Nothing).unwrap();
}

fn got(cache: &StatCache, n: u64) -> Option<Id> {
    let direct = cache.get(key(&format!("dir{}/f{n}", n % 10)), &stat(n));
    let view = cache.folder(&place(&format!("dir{}", n % 10)));
    assert_eq!(view.get(format!("f{n}").as_bytes(), &stat(n)), direct);
    direct
}

#[test]
fn entries_survive_a_save_and_count_only_for_the_very_same_state() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("cache/stat");
    filled(&file, 0..5000);
    let cache = StatCache::open(&file);
    for n in 0..5000 {
        assert_eq!(got(&cache, n), Some(id(n)));
    }
    assert_eq!(got(&cache, 5001), None);
    let same = stat(7);
    let changes: [fn(&mut Stat); 6] = [
        |s| s.dev += 1,
        |s| s.ino += 1,
        |s| s.size += 1,
        |s| s.mtime_ns += 1,
        |s| s.ctime_ns += 1,
        |s| s.mode ^= 0o100,
    ];
    for change in changes {
        let mut other = same;
        change(&mut other);
        assert_eq!(cache.get(key("dir7/f7"), &other), None);
    }
}

#[test]
fn few_new_entries_go_to_the_small_file_until_it_has_grown() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("stat");
    filled(&file, 0..3000);
    assert!(!small_file(&file).exists());
    let before = std::fs::read(&file).unwrap();
    filled(&file, 3000..3010);
    filled(&file, 3010..3020);
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let cache = StatCache::open(&file);
    assert!((0..3020).all(|n| got(&cache, n) == Some(id(n))));
    filled(&file, 3020..6000);
    assert!(!small_file(&file).exists());
    let cache = StatCache::open(&file);
    assert!((0..6000).all(|n| got(&cache, n) == Some(id(n))));
}

#[test]
fn a_newer_entry_takes_the_place_of_an_older_one() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("stat");
    filled(&file, 0..2000);
    let cache = StatCache::open(&file);
    let mut changed = stat(5);
    changed.ctime_ns += 5;
    cache.put(key("dir5/f5"), &changed, id(99), NOW);
    cache.save(&Fs::real(), Forget::Nothing).unwrap();
    let cache = StatCache::open(&file);
    assert_eq!(cache.get(key("dir5/f5"), &changed), Some(id(99)));
}

#[test]
fn nothing_new_writes_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("stat");
    filled(&file, 0..10);
    let fault = Arc::new(NthEffect::crash(0));
    let cache = StatCache::open(&file);
    assert_eq!(got(&cache, 3), Some(id(3)));
    cache.save(&Fs::with_fault(fault.clone()), Forget::Nothing).unwrap();
    assert_eq!(fault.count(), 0);
}

#[test]
fn only_settled_files_are_remembered() {
    let at = |ns: i64| Micros(ns / 1000);
    let mut s = stat(1);
    s.mtime_ns = 5_000_000_000_000_777;
    s.ctime_ns = 5_000_000_000_000_777;
    let stamp = s.ctime_ns;
    assert!(!is_settled(&s, at(stamp)));
    assert!(!is_settled(&s, at(stamp + 19_000_000)));
    assert!(is_settled(&s, at(stamp + 21_000_000)));
    // Stamps of whole seconds promise less.
    s.ctime_ns = 5_000_000_000_000_000;
    assert!(!is_settled(&s, at(s.ctime_ns + 2_000_000_000)));
    assert!(is_settled(&s, at(s.ctime_ns + 2_200_000_000)));
    // An old mtime does not help against a young ctime, nor the other way round, nor a clock set back.
    s = stat(1);
    s.ctime_ns = stamp;
    assert!(!is_settled(&s, at(stamp)));
    s = stat(1);
    s.mtime_ns = stamp + 1_000_000_000_000;
    assert!(!is_settled(&s, at(stamp)));
    assert!(!is_settled(&stat(1), Micros(0)));
    assert!(!is_settled(&Stat { ctime_ns: i64::MAX, ..stat(1) }, NOW));
    assert!(!is_settled(&stat(1), Micros(i64::MIN)));

    let cache = StatCache::empty();
    cache.put(key("f"), &Stat { ctime_ns: stamp, ..stat(1) }, id(1), at(stamp));
    assert_eq!(cache.get(key("f"), &Stat { ctime_ns: stamp, ..stat(1) }), None);
}

#[test]
fn any_damage_costs_entries_and_never_gives_a_wrong_one() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("stat");
    filled(&file, 0..2000);
    let good = std::fs::read(&file).unwrap();
    let damage = |bytes: &[u8]| Fs::real().replace(&file, bytes, false).unwrap();
    for at in (0..good.len()).step_by(397).chain(0..64).chain([good.len() - 1]) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        damage(&bad);
        let cache = StatCache::open(&file);
        let direct = |n: u64| cache.get(key(&format!("dir{}/f{n}", n % 10)), &stat(n));
        let right = (0..2000).filter(|&n| direct(n).inspect(|found| assert_eq!(*found, id(n))).is_some()).count();
        assert!(right < 2000 || (24..32).contains(&at), "byte {at}");
        if at > 64 {
            assert!(right >= 1600, "byte {at}: {right}");
        }
        // A save heals it.
        for n in 0..2000 {
            cache.put(key(&format!("dir{}/f{n}", n % 10)), &stat(n), id(n), NOW);
        }
        if at % 5 == 0 {
            cache.save(&Fs::real(), Forget::Nothing).unwrap();
            let healed = StatCache::open(&file);
            assert!((0..2000).all(|n| got(&healed, n) == Some(id(n))));
        }
    }
    for cut in [0, 1, 63, 64, 65, 100, good.len() / 2, good.len() - 1] {
        damage(&good[..cut]);
        assert_eq!(got(&StatCache::open(&file), 3), None, "{cut}");
    }
    let mut longer = good.clone();
    longer.push(0);
    damage(&longer);
    assert_eq!(got(&StatCache::open(&file), 3), None);
    damage(&good);
    assert_eq!(got(&StatCache::open(&file), 3), Some(id(3)));
}

#[test]
fn a_save_that_fails_anywhere_leaves_the_old_files_or_the_new_ones() {
    let verdicts: [fn(u64) -> NthEffect; 4] = [
        NthEffect::crash,
        |n| NthEffect::from_then_on(n, rustix::io::Errno::NOSPC.raw_os_error()),
        |n| NthEffect::once(n, Verdict::Short(5)),
        |n| NthEffect::once(n, Verdict::DoneButFail(5)),
    ];
    for verdict in verdicts {
        for new in [3000..3010, 3000..9000] {
            for nth in 0.. {
                let tmp = tempfile::tempdir().unwrap();
                let file = tmp.path().join("stat");
                filled(&file, 0..3000);
                filled(&file, 10_000..10_020);
                let fault = Arc::new(verdict(nth));
                let cache = StatCache::open(&file);
                for n in new.clone() {
                    cache.put(key(&format!("dir{}/f{n}", n % 10)), &stat(n), id(n), NOW);
                }
                let saved = cache.save(&Fs::with_fault(fault.clone()), Forget::Nothing);
                let after = StatCache::open(&file);
                for n in (0..3000).chain(10_000..10_020) {
                    assert_eq!(got(&after, n), Some(id(n)), "effect {nth}");
                }
                for n in new.clone() {
                    let found = got(&after, n);
                    assert!(found == Some(id(n)) || (found.is_none() && saved.is_err()), "effect {nth}");
                }
                if !fault.has_struck() {
                    break;
                }
            }
        }
    }
}

#[test]
fn two_processes_that_save_keep_each_others_entries() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("stat");
    let (one, two) = (StatCache::open(&file), StatCache::open(&file));
    one.put(key("dir1/f1"), &stat(1), id(1), NOW);
    two.put(key("dir2/f2"), &stat(2), id(2), NOW);
    one.save(&Fs::real(), Forget::Nothing).unwrap();
    two.save(&Fs::real(), Forget::Nothing).unwrap();
    let after = StatCache::open(&file);
    assert_eq!((got(&after, 1), got(&after, 2)), (Some(id(1)), Some(id(2))));
}

#[test]
fn threads_that_save_at_once_leave_a_sound_file() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("stat");
    std::thread::scope(|scope| {
        for t in 0..4u64 {
            let file = &file;
            scope.spawn(move || {
                for round in 0..20 {
                    let cache = StatCache::open(file);
                    for n in 0..300 {
                        let n = t * 100_000 + round * 1000 + n;
                        cache.put(key(&format!("dir{}/f{n}", n % 10)), &stat(n), id(n), NOW);
                        assert!(got(&cache, n).is_some());
                    }
                    cache.save(&Fs::real(), Forget::Nothing).unwrap();
                }
            });
        }
    });
    let after = StatCache::open(&file);
    let found = (0..400_000).filter(|&n| got(&after, n).inspect(|found| assert_eq!(*found, id(n))).is_some()).count();
    assert!(found >= 300, "{found}");
    let left: Vec<_> = Fs::real().names(tmp.path()).unwrap();
    assert!(left.iter().all(|n| !n.to_string_lossy().ends_with(".tmp")), "{left:?}");
}

#[test]
fn after_a_look_at_everything_what_was_not_asked_for_is_forgotten() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("stat");
    let outside = Key::of(&Place::Outside("/elsewhere/x".into()));
    let cache = StatCache::open(&file);
    cache.put(outside, &stat(77), id(77), NOW);
    cache.save(&Fs::real(), Forget::Nothing).unwrap();
    filled(&file, 0..5000);
    let cache = StatCache::open(&file);
    assert!((0..1000).all(|n| got(&cache, n).is_some()));
    cache.save(&Fs::real(), Forget::Nothing).unwrap();
    assert_eq!(got(&StatCache::open(&file), 4000), Some(id(4000)));
    cache.save(&Fs::real(), Forget::Unasked).unwrap();
    let after = StatCache::open(&file);
    assert!((0..1000).all(|n| got(&after, n) == Some(id(n))));
    assert_eq!(got(&after, 4000), None);
    assert_eq!(after.get(outside, &stat(77)), Some(id(77)));
}

#[test]
fn listings_are_remembered_beside_files() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("stat");
    let cache = StatCache::open(&file);
    cache.put_listing(&id(1), id(2), 33);
    assert_eq!(cache.listing(&id(1)), Some((id(2), 33)));
    cache.save(&Fs::real(), Forget::Nothing).unwrap();
    let cache = StatCache::open(&file);
    assert_eq!(cache.listing(&id(1)), Some((id(2), 33)));
    assert_eq!(cache.listing(&id(2)), None);
}

#[test]
fn bytes_that_are_no_cache_are_an_empty_one() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("stat");
    let mut out = Fs::real().create(&file, 0o666).unwrap();
    out.write_all(&[0x55; 5000]).unwrap();
    let cache = StatCache::open(&file);
    cache.put(key("dir1/f1"), &stat(1), id(1), NOW);
    cache.save(&Fs::real(), Forget::Nothing).unwrap();
    assert_eq!(got(&StatCache::open(&file), 1), Some(id(1)));
    // Neither is a folder in its place.
    let cache = StatCache::open(tmp.path());
    assert_eq!(got(&cache, 1), None);
}

proptest! {
    #[test]
    fn a_cache_gives_what_was_put_last(ops in proptest::collection::vec((0u64..40, 0u64..5, any::<bool>()), 1..120)) {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("stat");
        let mut model = HashMap::new();
        let mut cache = StatCache::open(&file);
        for (name, version, reopen) in ops {
            let mut state = stat(name);
            state.ctime_ns += i64::try_from(version).unwrap();
            cache.put(key(&format!("d/{name}")), &state, id(version), NOW);
            model.insert(name, (state, id(version)));
            if reopen {
                cache.save(&Fs::real(), Forget::Nothing).unwrap();
                cache = StatCache::open(&file);
            }
            for (name, (state, id)) in &model {
                prop_assert_eq!(cache.get(key(&format!("d/{name}")), state), Some(*id));
            }
        }
    }
}
