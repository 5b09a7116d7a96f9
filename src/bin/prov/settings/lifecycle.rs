//! What a run is called and counted as, how it is tried, and what a hit prints: from options.

use prov::codec::Value;
use prov::config::Override;
use prov::run::lifecycle::{Lifecycle, OWN_FACETS, Replay, Retry};

use super::Environment;
use crate::args::{LifecycleOptions, ReplayWord};
use crate::error::Failure;

/// Milliseconds before the second attempt when nobody says otherwise.
const DELAY_MS: u64 = 1000;

/// Joins what the step's settings and the command line say; the latter wins, facets are joined key by key.
///
/// # Errors
/// A facet that has no meaning, or options that make no sense without another.
pub(crate) fn lifecycle(file: &LifecycleOptions, given: &LifecycleOptions) -> Result<Lifecycle, Failure> {
    let text = |pick: fn(&LifecycleOptions) -> &Option<String>| pick(given).clone().or_else(|| pick(file).clone());
    let mut lifecycle = Lifecycle {
        model: text(|o| &o.model),
        stage: text(|o| &o.stage),
        phase: text(|o| &o.phase),
        correlation_id: text(|o| &o.correlation_id),
        attempt: given.attempt.or(file.attempt).unwrap_or_default(),
        last_attempt: given.last_attempt || file.last_attempt,
        always: given.always || file.always,
        replay: match given.replay.or(file.replay) {
            None | Some(ReplayWord::Tail) => Replay::Tail,
            Some(ReplayWord::All) => Replay::All,
            Some(ReplayWord::None) => Replay::None,
        },
        ..Lifecycle::default()
    };
    for word in file.facet.iter().chain(&given.facet) {
        let (key, value) = facet(word)?;
        lifecycle.facets.insert(key, value);
    }
    let on = if given.retry_on.is_empty() { &file.retry_on } else { &given.retry_on };
    let delay_ms = given.retry_delay.or(file.retry_delay);
    match given.retries.or(file.retries) {
        Some(times) => {
            lifecycle.retry = Some(Retry { times, delay_ms: delay_ms.unwrap_or(DELAY_MS), on: on.clone() });
        }
        None if delay_ms.is_some() || !on.is_empty() => {
            return Err(
                Failure::usage("--retry-delay and --retry-on say nothing without --retries").hint("add --retries N")
            );
        }
        None => {}
    }
    Ok(lifecycle)
}

/// What Slurm says of the job around prov, and the facet that keeps it.
const SLURM: [(&str, &str); 3] = [
    ("SLURM_JOB_ID", "slurm:job_id"),
    ("SLURM_ARRAY_JOB_ID", "slurm:array_job_id"),
    ("SLURM_ARRAY_TASK_ID", "slurm:array_task_id"),
];

/// Remarks which job of a scheduler a run is part of. What the user says of it himself stays.
pub(crate) fn scheduler(environment: &Environment, lifecycle: &mut Lifecycle) {
    for (name, key) in SLURM {
        let Some(text) = environment.text(name).and_then(|text| text.to_str()).filter(|text| !text.is_empty()) else {
            continue;
        };
        let value = text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Int);
        lifecycle.facets.entry(key.to_owned()).or_insert(value);
    }
}

/// A facet `K=V`: V is a YAML 1.2 scalar, dots in K are its own.
///
/// # Errors
/// A value that is none, or a key that prov keeps for itself.
pub(crate) fn facet(word: &str) -> Result<(String, Value), Failure> {
    let read = Override::parse(word).map_err(|err| Failure::usage(format!("`{word}`")).because_of(Some(&err)))?;
    let key = read.keys.join(".");
    if key.starts_with(OWN_FACETS) {
        return Err(Failure::usage(format!("facets called `{OWN_FACETS}...` are prov's own"))
            .hint("there are options for them: --model, --stage, --phase"));
    }
    Ok((key, read.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facets_keep_their_kind_and_their_dots() {
        assert_eq!(facet("a.b=0.5").unwrap(), ("a.b".to_owned(), Value::Float(0.5)));
        assert_eq!(facet("zip='01'").unwrap(), ("zip".to_owned(), Value::Text("01".to_owned())));
        assert!(facet("prov.stage=x").is_err());
    }

    #[test]
    fn the_command_line_wins_and_a_delay_needs_retries() {
        let file = LifecycleOptions { stage: Some("a".to_owned()), retries: Some(2), ..LifecycleOptions::default() };
        let given =
            LifecycleOptions { stage: Some("b".to_owned()), retry_delay: Some(5), ..LifecycleOptions::default() };
        let made = lifecycle(&file, &given).unwrap();
        assert_eq!(made.stage.as_deref(), Some("b"));
        assert_eq!(made.retry, Some(Retry { times: 2, delay_ms: 5, on: Vec::new() }));
        assert!(lifecycle(&LifecycleOptions::default(), &given).is_err());
    }
}
