//! A few worlds of every kind, in every run of the tests; `tests/simulate` runs them by the thousand.

use crate::store::sim::{Limits, Mutation, run};

#[test]
fn simulated_worlds_break_no_promise() {
    for seed in 0..150 {
        if let Err(failure) = run(seed, &Mutation::none(), Limits::default(), true) {
            panic!("seed {seed}: {}\n{}", failure.what, failure.seen.trace.join("\n"));
        }
    }
}

#[test]
fn a_seed_repeats_itself_to_the_step() {
    for seed in 0..20 {
        let [first, second] = [0, 1].map(|_| run(seed, &Mutation::none(), Limits::default(), false).unwrap());
        assert_eq!((first.steps, first.fingerprint), (second.steps, second.fingerprint), "seed {seed}");
    }
}
