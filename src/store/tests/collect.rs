//! Garbage goes, everything else stays, whoever writes at the same time.

use super::intake::publish;
use super::*;
use crate::hash;
use crate::progress::Cancel;
use crate::store::collect::{self, Action, Collection, Plan};

const ALL: collect::Options = collect::Options { may_write: true, orphans: true };

/// Refs under `keep/` hold an id.
fn targets(key: &[u8], value: &[u8]) -> Result<Vec<Id>, String> {
    if key.starts_with(b"strange/") {
        return Err("a newer prov wrote it".to_owned());
    }
    Ok(if key.starts_with(b"keep/") { vec![Id::from_bytes(value).ok_or("no id")?] } else { Vec::new() })
}

fn planned(store: &Store, options: collect::Options) -> Plan {
    collect::plan(store, &targets, options, &Silent, &Cancel::new()).unwrap()
}

fn collected(store: &Store) -> Collection {
    collect::carry_out(&planned(store, ALL), "gc").unwrap()
}

fn store_of(bytes: &[Vec<u8>], store: &Store) -> Collected {
    let snapshot = store.snapshot().unwrap();
    let intake = store.intake(&snapshot);
    for bytes in bytes {
        intake.put_blob(&hash::blob(bytes), bytes.len() as u64, &mut bytes.as_slice()).unwrap();
    }
    intake.finish().unwrap()
}

/// Stores contents and keeps some of them by refs.
fn keep(store: &Store, bytes: &[Vec<u8>], kept: &[usize]) {
    publish(store, store_of(bytes, store));
    let edits: Vec<RefEdit> = kept.iter().map(|&at| kept_ref(&bytes[at])).collect();
    refs(store, edits);
}

fn kept_ref(bytes: &[u8]) -> RefEdit {
    let id = hash::blob(bytes);
    RefEdit::set(key(&format!("keep/{id}")), id.to_bytes().to_vec())
}

fn refs(store: &Store, edits: Vec<RefEdit>) {
    try_refs(store, edits).unwrap();
}

fn try_refs(store: &Store, edits: Vec<RefEdit>) -> Result<Published, Error> {
    let relies_on = edits.iter().filter_map(|edit| Id::from_bytes(edit.new.as_deref()?)).collect();
    let draft = Draft { edits, relies_on, ..Draft::default() };
    store.publish(op(), "refs", &mut |_| Ok::<_, Error>(Some(draft.clone())))
}

fn has(store: &Store, bytes: &[u8]) -> bool {
    let found = store.snapshot().unwrap().read(&hash::blob(bytes)).unwrap();
    found.is_some_and(|(_, found)| found == bytes)
}

fn packs(place: &MemoryBackend) -> usize {
    place.names(Folder::Packs).unwrap().len()
}

#[test]
fn packs_of_garbage_go_and_others_stay() {
    let (place, store) = memory();
    let live: Vec<_> = (0..3).map(|seed| noise(seed, 200_000)).collect();
    let dead: Vec<_> = (10..13).map(|seed| noise(seed, 200_000)).collect();
    keep(&store, &live, &[0, 1, 2]);
    keep(&store, &dead, &[]);
    let plan = planned(&store, ALL);
    assert_eq!(plan.items.len(), 1);
    assert_eq!((plan.items[0].action, plan.items[0].pack.dead_objects), (Action::Drop, 3));
    assert_eq!(plan.live_objects, 3);
    assert_eq!(packs(&place), 2, "a plan changes nothing");
    let done = collect::carry_out(&plan, "gc").unwrap();
    assert_eq!((done.packs, done.objects), (1, 3));
    assert!(done.bytes > 600_000);
    assert_eq!(packs(&place), 1);
    let store = again(&place);
    assert!(live.iter().all(|bytes| has(&store, bytes)) && !dead.iter().any(|bytes| has(&store, bytes)));
    assert_sound(&store, "");
    assert_eq!(collected(&store), Collection::default(), "nothing is left to do");
}

#[test]
fn a_pack_that_is_mostly_garbage_is_written_anew() {
    let (place, store) = memory();
    let all: Vec<_> = (0..8).map(|seed| noise(seed, 100_000)).collect();
    keep(&store, &all, &[2]);
    // Without room it stays.
    assert!(planned(&store, collect::Options { may_write: false, orphans: false }).items.is_empty());
    let done = collected(&store);
    assert_eq!((done.packs, done.objects), (1, 7));
    let store = again(&place);
    assert!(has(&store, &all[2]) && !has(&store, &all[3]));
    assert_sound(&store, "");
}

#[test]
fn pieces_are_kept_as_long_as_anything_is_made_of_them() {
    let (place, store) = memory();
    let old = noise(1, 6 << 20);
    let mut new = old.clone();
    new.splice((3 << 20)..(3 << 20), noise(2, 100_000));
    keep(&store, std::slice::from_ref(&old), &[]);
    keep(&store, std::slice::from_ref(&new), &[0]);
    collected(&store);
    let store = again(&place);
    assert!(has(&store, &new), "its pieces lay in the pack of the other");
    assert_sound(&store, "");
    // Unused content in a pack that stays keeps its pieces too: whoever relies on that pack relies on them.
    let (place, store) = memory();
    keep(&store, std::slice::from_ref(&old), &[]);
    let others: Vec<_> = (10..20).map(|seed| noise(seed, 900_000)).collect();
    let mut both = vec![new.clone()];
    both.extend(others.iter().cloned());
    keep(&store, &both, &(1..11).collect::<Vec<_>>());
    collected(&store);
    let store = again(&place);
    assert!(others.iter().all(|bytes| has(&store, bytes)));
    if store.snapshot().unwrap().header(&hash::blob(&new)).unwrap().is_some() {
        assert!(has(&store, &new));
    }
    assert_sound(&store, "");
}

#[test]
fn what_a_transaction_began_to_rely_on_meanwhile_stays() {
    let (place, store) = memory();
    let all: Vec<_> = (0..3).map(|seed| noise(seed, 200_000)).collect();
    keep(&store, &all, &[]);
    let plan = planned(&store, ALL);
    refs(&store, vec![kept_ref(&all[1])]);
    assert!(matches!(collect::carry_out(&plan, "gc"), Err(Error::Outdated)));
    assert_eq!(packs(&place), 1);
    collected(&store);
    assert!(has(&again(&place), &all[1]));
    assert_sound(&again(&place), "");
}

#[test]
fn a_writer_frozen_over_a_whole_collection_loses_nothing() {
    let (place, store) = memory();
    let content = noise(1, 300_000);
    keep(&store, std::slice::from_ref(&content), &[]);
    // It found its content in the store, and relies on it.
    let relying = store_of(std::slice::from_ref(&content), &store);
    assert!(relying.packs.is_empty());
    // Another has written a pack that no entry names yet.
    let other = noise(2, 300_000);
    let making = store_of(std::slice::from_ref(&other), &store);
    let done = collected(&store);
    assert_eq!(done.packs, 2, "the orphan too");
    for i in 0..40 {
        record(&store, &format!("r{i}"));
    }
    #[derive(Debug)]
    struct Again(Vec<u8>);
    impl Restore for Again {
        fn restore(&self, id: &Id, sink: &dyn Sink) -> Result<bool, crate::object::AccessError> {
            sink.put_blob(id, self.0.len() as u64, &mut self.0.as_slice())?;
            Ok(true)
        }
    }
    for (bytes, collected) in [(&content, relying), (&other, making)] {
        let draft = Draft {
            collected: Some(Arc::new(collected)),
            edits: vec![kept_ref(bytes)],
            restore: Some(Arc::new(Again(bytes.clone()))),
            ..Draft::default()
        };
        store.publish(op(), "thawed", &mut |_| Ok::<_, Error>(Some(draft.clone()))).unwrap();
        assert!(has(&again(&place), bytes));
    }
    assert_sound(&again(&place), "");
}

#[test]
fn what_can_not_be_read_stops_deletion_and_not_the_report() {
    let (_, store) = memory();
    let all: Vec<_> = (0..3).map(|seed| noise(seed, 200_000)).collect();
    keep(&store, &all, &[]);
    refs(&store, vec![RefEdit::set(key("strange/ref"), b"?".to_vec())]);
    let plan = planned(&store, ALL);
    assert_eq!((plan.items.len(), plan.obstacles.len()), (1, 1));
    assert!(matches!(collect::carry_out(&plan, "gc"), Err(Error::Obstructed { .. })));
    assert!(has(&store, &all[0]));

    let (place, store) = memory();
    keep(&store, &all, &[0]);
    let file = place.names(Folder::Packs).unwrap().remove(0);
    place.overwrite(Folder::Packs, &file, Some(b"no pack".to_vec()));
    let plan = planned(&again(&place), ALL);
    assert!(!plan.obstacles.is_empty());
    assert!(matches!(collect::carry_out(&plan, "gc"), Err(Error::Obstructed { .. })));
}

#[test]
fn of_two_who_found_one_orphan_the_second_makes_another_plan() {
    let (place, store) = memory();
    drop(store_of(&[noise(1, 300_000)], &store));
    let plans = [0, 1].map(|_| planned(&again(&place), ALL));
    assert!(plans.iter().all(|plan| plan.items.len() == 1 && plan.items[0].action == Action::Orphan));
    collect::carry_out(&plans[0], "gc").unwrap();
    assert!(matches!(collect::carry_out(&plans[1], "gc"), Err(Error::Outdated)));
    assert_sound(&store, "");
}

#[test]
fn collecting_while_others_write_loses_nothing() {
    let (place, store) = memory();
    std::thread::scope(|scope| {
        for writer in 0..3u64 {
            let place = place.clone();
            scope.spawn(move || {
                let store = again(&place);
                for i in 0..20 {
                    let bytes = noise(writer * 1000 + i, 70_000);
                    let dead = noise(9_000_000 + writer * 1000 + i, 300_000);
                    let wanted = [kept_ref(&bytes)];
                    let all = [bytes, dead];
                    // Orphans go on request only, since they may be what somebody is about to name, who then has to bring it again.
                    loop {
                        let collected = Arc::new(store_of(&all, &store));
                        let draft = Draft { collected: Some(collected), ..Draft::default() };
                        match store.publish(op(), "put", &mut |_| Ok::<_, Error>(Some(draft.clone()))) {
                            Ok(_) => {}
                            Err(Error::ReliedGone { .. }) => continue,
                            Err(err) => panic!("{err}"),
                        }
                        match try_refs(&store, wanted.to_vec()) {
                            Ok(_) => break,
                            Err(Error::ReliedGone { .. }) => {}
                            Err(err) => panic!("{err}"),
                        }
                    }
                }
            });
        }
        let store = again(&place);
        for _ in 0..15 {
            match collect::carry_out(&planned(&store, ALL), "gc") {
                Ok(_) | Err(Error::Outdated) => {}
                Err(err) => panic!("{err}"),
            }
        }
    });
    for writer in 0..3u64 {
        for i in 0..20 {
            assert!(has(&store, &noise(writer * 1000 + i, 70_000)), "{writer} {i}");
        }
    }
    assert_sound(&store, "");
}

#[test]
fn copies_of_a_pack_that_somebody_condemned_since_are_not_taken() {
    // What is copied here may be what somebody scrubs or evicts there, out of the same pack, from the same state.
    let (_, store) = memory();
    let large = pattern(3, 300_000);
    keep(&store, std::slice::from_ref(&large), &[0]);
    let snapshot = store.snapshot().unwrap();
    let names: Vec<Id> = snapshot.state().packs.iter().map(PackRow::name).collect();
    assert!(!names.is_empty());
    let draft = Draft { condemn: names.clone(), ..Draft::default() };
    store.publish(op(), "condemn", &mut |_| Ok::<_, Error>(Some(draft.clone()))).unwrap();
    let copies = {
        let intake = crate::store::intake::Intake::shunning(&snapshot, names.iter().copied().collect());
        intake.put_blob(&hash::blob(&large), large.len() as u64, &mut large.as_slice()).unwrap();
        Arc::new(intake.finish().unwrap())
    };
    let retired = collect::retire(&snapshot, &names, Some(&copies), "late");
    assert!(matches!(retired, Err(Error::Outdated)), "{retired:?}");
    assert_eq!(store.snapshot().unwrap().state().packs.len(), names.len());
    // Seen as it is, it goes.
    collect::retire(&store.snapshot().unwrap(), &names, Some(&copies), "again").unwrap();
    assert!(has(&store, &large));
}

#[test]
fn copies_that_a_collection_took_for_an_orphan_are_made_again_later() {
    // Found by the simulated world: seed 79991.
    let (place, store) = memory();
    let large = pattern(3, 300_000);
    keep(&store, std::slice::from_ref(&large), &[0]);
    let snapshot = store.snapshot().unwrap();
    let names: Vec<Id> = snapshot.state().packs.iter().map(PackRow::name).collect();
    let copies = {
        let intake = crate::store::intake::Intake::shunning(&snapshot, names.iter().copied().collect());
        intake.put_blob(&hash::blob(&large), large.len() as u64, &mut large.as_slice()).unwrap();
        Arc::new(intake.finish().unwrap())
    };
    let plan = planned(&again(&place), ALL);
    assert!(plan.items.len() == 1 && plan.items[0].action == Action::Orphan, "{plan:?}");
    collect::carry_out(&plan, "gc").unwrap();
    let retired = collect::retire(&snapshot, &names, Some(&copies), "late");
    assert!(matches!(retired, Err(Error::Outdated)), "{retired:?}");
    assert!(has(&store, &large));
    assert_sound(&store, "");
}

#[test]
fn a_condemned_pack_whose_pieces_went_before_it_is_no_damage() {
    // Found by the simulated world: seed 92528.
    let (_, store) = memory();
    let old = noise(1, 6 << 20);
    let mut new = old.clone();
    new.splice((3 << 20)..(3 << 20), noise(2, 100_000));
    let packs = |store: &Store| store.snapshot().unwrap().state().packs.iter().map(PackRow::name).collect::<Vec<_>>();
    keep(&store, std::slice::from_ref(&old), &[]);
    let first = packs(&store);
    keep(&store, std::slice::from_ref(&new), &[]);
    let step = |draft: Draft| {
        store.publish(op(), "step", &mut |_| Ok::<_, Error>(Some(draft.clone()))).unwrap();
    };
    step(Draft { condemn: packs(&store), ..Draft::default() });
    step(Draft { remove: first.clone(), ..Draft::default() });
    for name in &first {
        store.backend().remove(Folder::Packs, &Folder::Packs.file(name)).unwrap();
        store.files().forget(Folder::Packs, name);
    }
    assert!(!packs(&store).is_empty());
    assert_sound(&store, "what is on its way out");
}

#[test]
fn what_moved_since_the_last_look_is_looked_for_once_more() {
    // Found by the simulated world: seed 336533.
    let (_, store) = memory();
    let large = pattern(3, 300_000);
    keep(&store, std::slice::from_ref(&large), &[0]);
    let old = store.snapshot().unwrap();
    let names: Vec<Id> = old.state().packs.iter().map(PackRow::name).collect();
    let copies = {
        let intake = crate::store::intake::Intake::shunning(&old, names.iter().copied().collect());
        intake.put_blob(&hash::blob(&large), large.len() as u64, &mut large.as_slice()).unwrap();
        Arc::new(intake.finish().unwrap())
    };
    let step = |draft: Draft| {
        store.publish(op(), "step", &mut |_| Ok::<_, Error>(Some(draft.clone()))).unwrap();
    };
    step(Draft { collected: Some(copies), condemn: names.clone(), ..Draft::default() });
    // A reader looks at the newest state while the pack is on its way out, and again when it is gone.
    old.newer().unwrap();
    step(Draft { remove: names.clone(), ..Draft::default() });
    for name in &names {
        store.backend().remove(Folder::Packs, &Folder::Packs.file(name)).unwrap();
        store.files().forget(Folder::Packs, name);
    }
    assert!(old.read(&hash::blob(&large)).unwrap().is_some_and(|(_, bytes)| bytes == large));
    assert!(old.damage().is_empty(), "{:?}", old.damage());
}
