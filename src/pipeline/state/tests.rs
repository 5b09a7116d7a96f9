//! Every state with every event, and random lives.

use proptest::prelude::*;

use super::*;

const EVENTS: [Event; 14] = [
    Event::Start,
    Event::NotBuilt,
    Event::Hit,
    Event::Block,
    Event::Ran { subtasks: 0 },
    Event::Ran { subtasks: 2 },
    Event::Valid,
    Event::Failed { again: false },
    Event::Failed { again: true },
    Event::SubtaskDone(End::Success),
    Event::SubtaskDone(End::Failure(Phase::Run)),
    Event::SubtaskDone(End::Aborted),
    Event::SubtaskDone(End::Blocked),
    Event::Abort,
];

fn after(events: &[Event]) -> Machine {
    let mut machine = Machine::default();
    for &event in events {
        machine.take(event).unwrap();
    }
    machine
}

const RUN: [Event; 4] = [Event::Start, Event::Ran { subtasks: 0 }, Event::Start, Event::Valid];

#[test]
fn every_state_takes_what_fits_and_nothing_else() {
    use Event::{Abort, Block, Failed, Hit, NotBuilt, Ran, Start, SubtaskDone, Valid};
    use State::{Done, PendingRun, PendingValidation, Running, Validating, WaitingForSubtasks};
    let waiting = [Start, Ran { subtasks: 1 }, Start, Valid];
    let lives: [(&[Event], State); 8] = [
        (&[], PendingRun),
        (&[Start], Running),
        (&[Start, Ran { subtasks: 0 }], PendingValidation),
        (&[Start, Ran { subtasks: 0 }, Start], Validating),
        (&waiting, WaitingForSubtasks),
        (&RUN, Done(End::Success)),
        (&[Hit], Done(End::Hit)),
        (&[Abort], Done(End::Aborted)),
    ];
    for (life, state) in lives {
        for event in EVENTS {
            let mut machine = after(life);
            assert_eq!(machine.state(), state);
            let expected = match (state, event) {
                (PendingRun, Start) => Some(Running),
                (PendingRun, NotBuilt) => Some(Done(End::Failure(Phase::Build))),
                (PendingRun, Hit) => Some(Done(End::Hit)),
                (PendingRun, Block) => Some(Done(End::Blocked)),
                (Running, Ran { .. }) => Some(PendingValidation),
                (Running, Failed { again: false }) => Some(Done(End::Failure(Phase::Run))),
                (Running | Validating, Failed { again: true }) => Some(PendingRun),
                (PendingValidation, Start) => Some(Validating),
                (Validating, Valid) => Some(Done(End::Success)),
                (Validating, Failed { again: false }) => Some(Done(End::Failure(Phase::Validation))),
                (WaitingForSubtasks, SubtaskDone(End::Success)) => Some(Done(End::Success)),
                (WaitingForSubtasks, SubtaskDone(_)) => Some(Done(End::Failure(Phase::Subtasks))),
                (PendingRun | Running | PendingValidation | Validating | WaitingForSubtasks, Abort) => {
                    Some(Done(End::Aborted))
                }
                _ => None,
            };
            let before = machine;
            let found = machine.take(event);
            assert_eq!(found.ok(), expected, "{state} {event:?}");
            if expected.is_none() {
                assert_eq!(machine, before, "{state} {event:?}: a refused event changes nothing");
            }
        }
    }
}

#[test]
fn a_parent_waits_for_all_it_made_whenever_they_end() {
    // One ends before the parent is validated, one after.
    let mut machine =
        after(&[Event::Start, Event::Ran { subtasks: 2 }, Event::SubtaskDone(End::Success), Event::Start]);
    assert_eq!(machine.take(Event::Valid).unwrap(), State::WaitingForSubtasks);
    assert_eq!(machine.take(Event::SubtaskDone(End::Hit)).unwrap(), State::Done(End::Success));
    // A bad one is remembered.
    let mut machine = after(&[
        Event::Start,
        Event::Ran { subtasks: 2 },
        Event::SubtaskDone(End::Aborted),
        Event::Start,
        Event::Valid,
    ]);
    assert_eq!(machine.take(Event::SubtaskDone(End::Success)).unwrap(), State::Done(End::Failure(Phase::Subtasks)));
    // Even if none is left when the parent is found valid.
    let life = [Event::Start, Event::Ran { subtasks: 1 }, Event::SubtaskDone(End::Blocked), Event::Start, Event::Valid];
    assert_eq!(after(&life).end(), Some(End::Failure(Phase::Subtasks)));
}

#[test]
fn tasks_known_before_count_like_those_made_by_the_run() {
    let mut machine = Machine::with_subtasks(1);
    for event in RUN {
        machine.take(event).unwrap();
    }
    assert_eq!(machine.state(), State::WaitingForSubtasks);
    let mut hit = Machine::with_subtasks(1);
    assert_eq!(hit.take(Event::Hit).unwrap(), State::WaitingForSubtasks);
}

#[test]
fn a_retry_counts_its_attempts_and_what_made_tasks_is_not_run_again() {
    let machine = after(&[Event::Start, Event::Failed { again: true }, Event::Start]);
    assert_eq!((machine.state(), machine.attempts()), (State::Running, 2));
    let mut machine = after(&[Event::Start, Event::Ran { subtasks: 1 }, Event::Start]);
    let end = machine.take(Event::Failed { again: true }).unwrap();
    assert_eq!(end, State::Done(End::Failure(Phase::Validation)));
}

#[test]
fn a_blocked_task_is_pending_to_others_and_blocks_on() {
    assert_eq!(after(&[Event::Block]).end().unwrap().outcome(), Outcome::Pending);
    assert!(!End::Blocked.is_good() && !End::Aborted.is_good() && End::Hit.is_good());
}

proptest! {
    #[test]
    fn no_life_leaves_done_or_loses_count(choices in proptest::collection::vec(0..EVENTS.len(), 0..40)) {
        let mut machine = Machine::default();
        let (mut made, mut ended) = (0usize, 0usize);
        let mut end = None;
        for choice in choices {
            let event = EVENTS[choice];
            if machine.take(event).is_ok() {
                match event {
                    Event::Ran { subtasks } => made += subtasks,
                    Event::SubtaskDone(_) => ended += 1,
                    _ => {}
                }
            }
            prop_assert_eq!(machine.open_subtasks(), made - ended);
            if end.is_some() {
                prop_assert_eq!(machine.end(), end);
            }
            end = machine.end();
            if matches!(end, Some(End::Success | End::Hit)) {
                prop_assert_eq!(machine.open_subtasks(), 0);
            }
        }
    }
}
