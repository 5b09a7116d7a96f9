//! Refs of a snapshot: lookups and walks agree with a map, wherever the edits lie.

use std::collections::BTreeSet;
use std::ops::Bound;

use proptest::prelude::*;

use super::*;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn apply(store: &Store, model: &mut Model, edits: Vec<(Vec<u8>, Option<Vec<u8>>)>) {
    let edits: BTreeMap<_, _> = edits.into_iter().collect();
    let rows = edits.iter().map(|(key, new)| RefEdit { key: key.clone(), expect: Expect::Any, new: new.clone() });
    let draft = Draft { edits: rows.collect(), ..Draft::default() };
    store.publish(op(), "set", &mut |_| Ok::<_, Error>(Some(draft.clone()))).unwrap();
    for (key, new) in edits {
        match new {
            Some(new) => model.insert(key, new),
            None => model.remove(&key),
        };
    }
}

fn collect(scan: Scan) -> Vec<(Vec<u8>, Vec<u8>)> {
    scan.map(Result::unwrap).collect()
}

fn agrees(snapshot: &Snapshot, model: &Model, probes: &[Vec<u8>]) {
    let whole: Vec<_> = model.clone().into_iter().collect();
    assert_eq!(collect(snapshot.scan(b"", Direction::Forward)), whole);
    let backward: Vec<_> = whole.iter().rev().cloned().collect();
    assert_eq!(collect(snapshot.scan(b"", Direction::Backward)), backward);
    let many: BTreeSet<&[u8]> = probes.iter().chain(model.keys()).map(Vec::as_slice).collect();
    let many: Vec<&[u8]> = many.into_iter().collect();
    assert_eq!(snapshot.get_refs(&many).unwrap(), many.iter().map(|key| model.get(*key).cloned()).collect::<Vec<_>>());
    let mut prefixes: Vec<Vec<u8>> = probes.to_vec();
    prefixes.sort();
    prefixes.dedup_by(|later, earlier| later.starts_with(earlier));
    let begun = prefixes.iter().map(|prefix| whole.iter().any(|(key, _)| key.starts_with(prefix)));
    assert_eq!(snapshot.which_begin(&prefixes).unwrap(), begun.collect::<Vec<_>>());
    for probe in probes {
        assert_eq!(snapshot.get_ref(probe).unwrap(), model.get(probe).cloned());
        let under: Vec<_> = whole.iter().filter(|(key, _)| key.starts_with(probe)).cloned().collect();
        assert_eq!(collect(snapshot.scan(probe, Direction::Forward)), under);
        let prefix = &probe[..probe.len().min(1)];
        for bound in [Bound::Included(probe.as_slice()), Bound::Excluded(probe.as_slice())] {
            let from: Vec<_> = model
                .range::<[u8], _>((bound, Bound::Unbounded))
                .filter(|(key, _)| key.starts_with(prefix))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            assert_eq!(collect(snapshot.scan_from(prefix, bound, Direction::Forward)), from);
            let down: Vec<_> = model
                .range::<[u8], _>((Bound::Unbounded, bound))
                .rev()
                .filter(|(key, _)| key.starts_with(prefix))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            assert_eq!(collect(snapshot.scan_from(prefix, bound, Direction::Backward)), down);
        }
    }
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255)], 1..4),
        any::<[u8; 1]>().prop_map(|b| b.to_vec())
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn lookups_and_walks_agree_with_a_map(
        steps in proptest::collection::vec(
            proptest::collection::vec((any_key(), proptest::option::of(proptest::collection::vec(any::<u8>(), 0..3))), 1..4),
            1..150,
        ),
    ) {
        let (_, store) = memory();
        let mut model = Model::new();
        let probes: Vec<Vec<u8>> = steps.iter().flatten().map(|(key, _)| key.clone()).take(40).collect();
        for step in steps {
            apply(&store, &mut model, step);
        }
        agrees(&store.snapshot().unwrap(), &model, &probes);
        assert_sound_refs(&store);
    }
}

fn assert_sound_refs(store: &Store) {
    let report = check(store, &Silent, &Options::default());
    assert!(report.is_sound(), "{report:?}");
}

#[test]
fn the_first_few_of_very_many_are_cheap() {
    let (place, store) = memory();
    let mut model = Model::new();
    for i in 0..40u32 {
        let edits = (0..500u32).map(|j| (format!("k/{:06}", i * 500 + j).into_bytes(), Some(vec![b'v'; 40])));
        apply(&store, &mut model, edits.collect());
    }
    let reads = Lying::new(&place);
    let store = reads.store();
    let snapshot = store.snapshot().unwrap();
    let first: Vec<_> = snapshot.scan(b"k/", Direction::Backward).take(20).map(Result::unwrap).collect();
    assert_eq!(first.len(), 20);
    assert_eq!(first[0].0, b"k/019999");
    assert_eq!(snapshot.get_ref(b"k/000777").unwrap(), Some(vec![b'v'; 40]));
    let all: u64 = place.list(Folder::Tables).unwrap().iter().map(|(_, size)| size).sum();
    assert!(reads.bytes_read() < 100_000 && all > 300_000, "{} of {all}", reads.bytes_read());
}

#[test]
fn many_refs_are_found_however_far_apart_they_lie() {
    let (_, store) = memory();
    let mut model = Model::new();
    let name = |n: u32| format!("k/{n:06}").into_bytes();
    for i in 0..40u32 {
        // Two tables in turn, so that each lacks what the other one has.
        let edits = (0..500u32).map(|j| (name(2 * ((j * 40) + i)), Some(i.to_be_bytes().to_vec())));
        apply(&store, &mut model, edits.collect());
    }
    apply(&store, &mut model, vec![(name(4_000), None), (name(4_002), Some(key("new")))]);
    let snapshot = store.snapshot().unwrap();
    for apart in [1, 2, 7, 499, 5_000, 39_999] {
        let keys: Vec<Vec<u8>> = (0..50_000).step_by(apart).map(name).collect();
        let asked: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let expected: Vec<_> = keys.iter().map(|key| model.get(key).cloned()).collect();
        assert_eq!(snapshot.get_refs(&asked).unwrap(), expected, "{apart}");
    }
    assert_eq!(snapshot.get_refs(&[]).unwrap(), Vec::<Option<Vec<u8>>>::new());
}

#[test]
fn a_deleted_ref_stays_deleted_through_folds() {
    let (_, store) = memory();
    let mut model = Model::new();
    apply(&store, &mut model, vec![(key("a"), Some(key("1"))), (key("b"), Some(key("2")))]);
    for i in 0..200 {
        apply(&store, &mut model, vec![(format!("x{i}").into_bytes(), Some(vec![]))]);
        if i == 60 {
            apply(&store, &mut model, vec![(key("a"), None)]);
        }
    }
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.get_ref(b"a").unwrap(), None);
    assert_eq!(snapshot.get_ref(b"b").unwrap(), Some(key("2")));
    agrees(&snapshot, &model, &[key("a"), key("b")]);
    let past = snapshot.past_edits(b"a").unwrap();
    assert_eq!(past.len(), 1);
    assert_eq!((past[0].old.as_deref(), past[0].new.as_deref()), (Some(b"1".as_slice()), None));
}

#[test]
fn history_keeps_every_move_of_a_ref() {
    let (_, store) = memory();
    for _ in 0..150 {
        count(&store, op()).unwrap();
    }
    let snapshot = store.snapshot().unwrap();
    assert_eq!(counted(&snapshot), 150);
    let past = snapshot.past_edits(b"counter").unwrap();
    let folded: Vec<u64> =
        past.iter().map(|edit| String::from_utf8(edit.new.clone().unwrap()).unwrap().parse().unwrap()).collect();
    assert!(folded.len() >= 118);
    assert_eq!(folded, (1..=folded.len() as u64).rev().collect::<Vec<_>>());
    assert_eq!(past.last().unwrap().old, None);
}
