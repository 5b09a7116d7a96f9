//! What is affected by something that is wrong, and the cheapest way to put it right.
//!
//! All runs that took it, directly or through others, are affected, in whatever scenario. Not all of them have to run again: of runs of one
//! recipe one is enough, and what later runs wrote anew is no longer looked at by anybody.

use std::collections::{HashMap, HashSet};

use crate::index::Affected;

/// What is to be done about an affected run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It runs again.
    Run,
    /// Another run of the same recipe runs again; then it is a hit.
    Shared,
    /// Later runs wrote its outputs anew.
    Superseded,
    /// It failed: there is nothing to put right.
    Failed,
}

/// An affected run with what is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The run.
    pub run: Affected,
    /// What is to be done.
    pub repair: Repair,
    /// In which round, counted from 1: those of one round can run at once.
    pub round: usize,
    /// How long it will take, by what its own execution took, else by those of its step; microseconds.
    pub estimate_us: i64,
}

/// What is affected, and the plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Impact {
    /// All affected runs: those that run again in the order in which they do, then the others.
    pub items: Vec<Item>,
    /// How long all that runs again takes, one after the other; microseconds.
    pub total_us: i64,
    /// How long it takes if everything that can runs at once; microseconds.
    pub longest_us: i64,
}

/// Makes the plan. `affected` is in the order of time.
pub fn plan(affected: Vec<Affected>) -> Impact {
    // Of runs of one recipe, the newest that counts runs again.
    let mut last: HashMap<String, usize> = HashMap::new();
    for (at, run) in affected.iter().enumerate() {
        if run.status == "success"
            && !run.is_superseded
            && let Some(recipe) = &run.recipe
        {
            last.insert(recipe.clone(), at);
        }
    }
    let repair = |at: usize, run: &Affected| {
        if run.status != "success" {
            Repair::Failed
        } else if run.is_superseded {
            Repair::Superseded
        } else if run.recipe.as_ref().and_then(|recipe| last.get(recipe)).is_some_and(|newest| *newest != at) {
            Repair::Shared
        } else {
            Repair::Run
        }
    };
    let repairs: Vec<Repair> = affected.iter().enumerate().map(|(at, run)| repair(at, run)).collect();
    let place: HashMap<String, usize> = affected.iter().enumerate().map(|(at, run)| (run.run.clone(), at)).collect();
    // What has to wait waits for what is run in the place of what it took.
    let stands_for = |at: usize| match (&affected[at].recipe, repairs[at]) {
        (Some(recipe), Repair::Shared) => last.get(recipe).copied().unwrap_or(at),
        _ => at,
    };
    let mut rounds = vec![1usize; affected.len()];
    let mut ends = vec![0i64; affected.len()];
    let estimate = |run: &Affected| if run.executed_us > 0 { run.executed_us } else { run.usual_us.unwrap_or(0) };
    // Each knows only those before it in time, so one pass is enough but where a shared run is newer: then another.
    for _ in 0..affected.len().min(64) {
        let mut is_moved = false;
        for (at, run) in affected.iter().enumerate() {
            let before: HashSet<usize> = run
                .after
                .iter()
                .filter_map(|id| place.get(id).map(|at| stands_for(*at)))
                .filter(|other| *other != at && repairs[*other] == Repair::Run)
                .collect();
            let round = before.iter().map(|other| rounds[*other] + 1).max().unwrap_or(1).min(affected.len());
            let end = before.iter().map(|other| ends[*other]).max().unwrap_or(0).saturating_add(estimate(run));
            if (round, end) != (rounds[at], ends[at]) {
                (rounds[at], ends[at]) = (round, end);
                is_moved = true;
            }
        }
        if !is_moved {
            break;
        }
    }
    let mut impact = Impact::default();
    for (at, run) in affected.into_iter().enumerate() {
        let estimate_us = estimate(&run);
        if repairs[at] == Repair::Run {
            impact.total_us = impact.total_us.saturating_add(estimate_us);
            impact.longest_us = impact.longest_us.max(ends[at]);
        }
        impact.items.push(Item { repair: repairs[at], round: rounds[at], estimate_us, run });
    }
    impact.items.sort_by_key(|item| (item.repair != Repair::Run, item.round, item.run.started_us));
    impact
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, recipe: &str, after: &[&str], seconds: i64) -> Affected {
        Affected {
            run: id.to_owned(),
            object: String::new(),
            project: "p".to_owned(),
            scenario: "main".to_owned(),
            step: id.to_owned(),
            status: "success".to_owned(),
            cache: "miss".to_owned(),
            recipe: Some(recipe.to_owned()),
            started_us: 0,
            executed_us: seconds * 1_000_000,
            usual_us: None,
            is_superseded: false,
            outputs: Vec::new(),
            after: after.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    #[test]
    fn each_recipe_runs_once_and_in_order() {
        let old = Affected { is_superseded: true, ..run("old", "r0", &[], 50) };
        let failed = Affected { status: "failure".to_owned(), ..run("failed", "r9", &["a"], 9) };
        let impact = plan(vec![
            old,
            run("a", "r1", &[], 1),
            run("b", "r2", &["a"], 2),
            run("c", "r3", &["a"], 5),
            run("a2", "r1", &[], 1),
            run("d", "r4", &["b", "c"], 4),
            failed,
        ]);
        let done: Vec<(&str, usize)> = impact
            .items
            .iter()
            .filter(|item| item.repair == Repair::Run)
            .map(|item| (item.run.run.as_str(), item.round))
            .collect();
        assert_eq!(done, [("a2", 1), ("b", 2), ("c", 2), ("d", 3)]);
        assert_eq!((impact.total_us, impact.longest_us), (12_000_000, 10_000_000));
        assert!(impact.items.iter().any(|item| item.run.run == "a" && item.repair == Repair::Shared));
        assert!(impact.items.iter().any(|item| item.run.run == "old" && item.repair == Repair::Superseded));
    }
}
