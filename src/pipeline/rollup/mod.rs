//! How results of tasks make the result of a step, and those of steps that of the whole, by Otter's rules.
//!
//! | of | is | when |
//! |---|---|---|
//! | step | `pending` | it was never started |
//! | step | `success` | every spec became a task, every task is over, none failed or was stopped |
//! | step | `failure` | otherwise: a step that ran ends as nothing else |
//! | root | `failure` | any step is `failure` or `aborted` |
//! | root | `success` | all steps are `success`; also when there is none |
//! | root | `pending` | otherwise |

use std::fmt;

/// A result as manifests know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Not started, or not over.
    Pending,
    /// It went well.
    Success,
    /// It failed.
    Failure,
    /// It was stopped.
    Aborted,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 4] = [Outcome::Pending, Outcome::Success, Outcome::Failure, Outcome::Aborted];

    /// Its word in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Pending => "pending",
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Aborted => "aborted",
        }
    }

    /// The result of that word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of a step when its result is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// No task of it was started, and none will be in this run.
    NotStarted,
    /// It is over, and some of its specs never became a task.
    Cut,
    /// It is over, and every spec became a task.
    Whole,
}

/// The result of a step with tasks of these results.
pub fn step(progress: Progress, tasks: impl IntoIterator<Item = Outcome>) -> Outcome {
    match progress {
        Progress::NotStarted => Outcome::Pending,
        Progress::Whole if tasks.into_iter().all(|task| task == Outcome::Success) => Outcome::Success,
        Progress::Cut | Progress::Whole => Outcome::Failure,
    }
}

/// The result of the whole with steps of these results.
pub fn root(steps: impl IntoIterator<Item = Outcome>) -> Outcome {
    let mut result = Outcome::Success;
    for step in steps {
        match step {
            Outcome::Failure | Outcome::Aborted => return Outcome::Failure,
            Outcome::Pending => result = Outcome::Pending,
            Outcome::Success => {}
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every list of up to four results.
    fn combinations() -> Vec<Vec<Outcome>> {
        let mut all = vec![Vec::new()];
        let mut last = all.clone();
        for _ in 0..4 {
            last = last
                .iter()
                .flat_map(|list| Outcome::ALL.map(|one| list.iter().copied().chain([one]).collect::<Vec<_>>()))
                .collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    #[test]
    fn every_combination_of_tasks_gives_the_step_of_the_rules() {
        for tasks in combinations() {
            let is_well = tasks.iter().all(|task| *task == Outcome::Success);
            let expected = if is_well { Outcome::Success } else { Outcome::Failure };
            assert_eq!(step(Progress::Whole, tasks.iter().copied()), expected, "{tasks:?}");
            assert_eq!(step(Progress::Cut, tasks.iter().copied()), Outcome::Failure, "{tasks:?}");
            assert_eq!(step(Progress::NotStarted, tasks.iter().copied()), Outcome::Pending, "{tasks:?}");
        }
    }

    #[test]
    fn every_combination_of_steps_gives_the_root_of_the_rules() {
        for steps in combinations() {
            let has = |outcome| steps.contains(&outcome);
            let expected = if has(Outcome::Failure) || has(Outcome::Aborted) {
                Outcome::Failure
            } else if has(Outcome::Pending) {
                Outcome::Pending
            } else {
                Outcome::Success
            };
            assert_eq!(root(steps.iter().copied()), expected, "{steps:?}");
        }
    }

    #[test]
    fn words_go_there_and_back() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::of(outcome.as_str()), Some(outcome));
        }
        assert_eq!(Outcome::of("done"), None);
    }
}
