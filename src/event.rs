//! What a run does, as a stream of typed events: one form for displays, followers, hooks and pipelines.
//!
//! The events of a closed run are a function of its record ([`of_run`]); those of a live run are reported as they come, in the same
//! order. Design: `docs/design/0004-events.md`.

use bstr::BString;

use crate::clock::Micros;
use crate::codec::Value;
use crate::hash::Id;
use crate::object::run::{Cache, Reason, Resources, Run, RunError, RunKind, Status};

/// The levels of work, by the names that Loom gave them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// A whole pipeline.
    Pipeline,
    /// A step of a pipeline.
    Process,
    /// A task of a step, or a command by itself.
    Step,
}

impl Level {
    /// The level of a kind of run.
    pub fn of(kind: RunKind) -> Self {
        match kind {
            RunKind::Pipeline => Self::Pipeline,
            RunKind::Step | RunKind::Sweep | RunKind::Scenario => Self::Process,
            RunKind::Task | RunKind::Command | RunKind::Manual | RunKind::Import => Self::Step,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pipeline => "pipeline",
            Self::Process => "process",
            Self::Step => "step",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum What {
    /// The run begins.
    Start {
        /// The command, as given; empty if there is none.
        argv: Vec<BString>,
    },
    /// The cache was asked.
    Lookup {
        /// What it said.
        cache: Cache,
    },
    /// The command runs.
    CommandStart {
        /// Its process, while it lives.
        pid: Option<u32>,
    },
    /// Something happened around the command.
    Notice {
        /// A word for it.
        notice: &'static str,
    },
    /// The command has ended.
    CommandEnd {
        /// Its exit code.
        exit_code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
        /// What it used.
        resources: Option<Resources>,
    },
    /// An output was recorded.
    Output {
        /// Its key.
        key: String,
        /// Where it lies.
        path: BString,
        /// Its id.
        id: Id,
        /// Its bytes.
        size: u64,
    },
    /// It was looked whether anything changed under the run.
    Seal {
        /// Whether nothing did.
        sealed: bool,
        /// What did.
        unsealed: Vec<String>,
    },
    /// Something went wrong.
    Error {
        /// What.
        error: RunError,
    },
    /// The run is in the store.
    Record {
        /// Its object.
        object: Id,
    },
    /// The run has ended.
    End {
        /// How.
        status: Status,
        /// How long it took, microseconds.
        duration_us: u64,
    },
}

impl What {
    /// Where it stands among the events of a run.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Start { .. } => 0,
            Self::Lookup { .. } => 1,
            Self::CommandStart { .. } => 2,
            Self::Notice { .. } => 3,
            Self::CommandEnd { .. } => 4,
            Self::Output { .. } => 5,
            Self::Seal { .. } => 6,
            Self::Error { .. } => 7,
            Self::Record { .. } => 8,
            Self::End { .. } => 9,
        }
    }
}

/// The rank that the name of an event has; `None` for names that are not known.
pub fn rank_of_name(name: &str) -> Option<u8> {
    Some(match name {
        "pipeline_start" | "process_start" | "step_start" => 0,
        "lookup" => 1,
        "command_start" => 2,
        "notice" => 3,
        "command_end" => 4,
        "output" => 5,
        "seal" => 6,
        "pipeline_error" | "process_error" | "step_error" => 7,
        "record" => 8,
        "pipeline_end" | "process_end" | "step_end" => 9,
        _ => return None,
    })
}

/// Whose events they are: the same for all events of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Of {
    /// The run id.
    pub run: String,
    /// Its level.
    pub level: Level,
    /// Its step's name.
    pub step: String,
    /// Its scenario.
    pub scenario: String,
    /// The run around it.
    pub parent: Option<String>,
    /// What it shares with others.
    pub correlation_id: Option<String>,
    /// Number of the attempt.
    pub attempt: u32,
}

impl Of {
    /// Whose the events of this run are.
    pub fn run(run: &Run) -> Self {
        Self {
            run: run.run.clone(),
            level: Level::of(run.kind),
            step: run.step.clone(),
            scenario: run.scenario.clone(),
            parent: run.parent.clone(),
            correlation_id: run.correlation_id.clone(),
            attempt: run.attempt,
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When.
    pub at: Micros,
    /// What.
    pub what: What,
}

impl Event {
    /// The event's name, e.g. `step_start` or `lookup`.
    pub fn name(&self, level: Level) -> String {
        let at_level = |word: &str| format!("{}_{word}", level.name());
        match &self.what {
            What::Start { .. } => at_level("start"),
            What::Error { .. } => at_level("error"),
            What::End { .. } => at_level("end"),
            What::Lookup { .. } => "lookup".to_owned(),
            What::CommandStart { .. } => "command_start".to_owned(),
            What::Notice { .. } => "notice".to_owned(),
            What::CommandEnd { .. } => "command_end".to_owned(),
            What::Output { .. } => "output".to_owned(),
            What::Seal { .. } => "seal".to_owned(),
            What::Record { .. } => "record".to_owned(),
        }
    }

    /// The event as a value: the document `prov.event/1`.
    pub fn to_value(&self, of: &Of, seq: u64) -> Value {
        let optional = |text: &Option<String>| text.clone().map_or(Value::Null, Value::Text);
        let mut entries = vec![
            ("schema".to_owned(), text("prov.event/1")),
            ("seq".to_owned(), Value::Int(seq.into())),
            ("at".to_owned(), text(&self.at.rfc3339())),
            ("event".to_owned(), Value::Text(self.name(of.level))),
            ("level".to_owned(), text(of.level.name())),
            ("run".to_owned(), text(&of.run)),
            ("step".to_owned(), text(&of.step)),
            ("scenario".to_owned(), text(&of.scenario)),
            ("parent".to_owned(), optional(&of.parent)),
            ("correlation_id".to_owned(), optional(&of.correlation_id)),
            ("attempt".to_owned(), Value::Int(of.attempt.into())),
        ];
        entries.extend(self.details().into_iter().map(|(key, value)| (key.to_owned(), value)));
        Value::Map(entries)
    }

    /// The same as one line of JSON, with its end.
    pub fn to_line(&self, of: &Of, seq: u64) -> String {
        let mut line = crate::config::to_json(&self.to_value(of, seq));
        line.push('\n');
        line
    }

    fn details(&self) -> Vec<(&'static str, Value)> {
        let number = |n: Option<i32>| n.map_or(Value::Null, |n| Value::Int(n.into()));
        let count = |n: u64| Value::Int(n.into());
        match &self.what {
            What::Start { argv } => {
                vec![("argv", Value::List(argv.iter().map(|word| Value::Text(crate::path::shown(word))).collect()))]
            }
            What::Lookup { cache } => lookup(cache),
            What::CommandStart { pid } => vec![("pid", pid.map_or(Value::Null, |pid| Value::Int(pid.into())))],
            What::Notice { notice } => vec![("notice", text(notice))],
            What::CommandEnd { exit_code, signal, resources } => {
                let used =
                    |pick: fn(&Resources) -> u64| resources.as_ref().map_or(Value::Null, |used| count(pick(used)));
                vec![
                    ("exit_code", number(*exit_code)),
                    ("signal", number(*signal)),
                    ("user_ms", used(|used| used.user_us / 1000)),
                    ("system_ms", used(|used| used.system_us / 1000)),
                    ("max_rss_bytes", used(|used| used.max_rss_bytes)),
                ]
            }
            What::Output { key, path, id, size } => vec![
                ("key", text(key)),
                ("path", Value::Text(crate::path::shown(path))),
                ("id", text(&id.to_string())),
                ("size", count(*size)),
            ],
            What::Seal { sealed, unsealed } => vec![
                ("sealed", Value::Bool(*sealed)),
                ("unsealed", Value::List(unsealed.iter().map(|why| text(why)).collect())),
            ],
            What::Error { error } => vec![("error_type", text(&error.kind)), ("error_message", text(&error.message))],
            What::Record { object } => vec![("object", text(&object.to_string()))],
            What::End { status, duration_us } => {
                let word = match status {
                    Status::Success => "success",
                    Status::Failure => "failure",
                    Status::Aborted => "aborted",
                };
                vec![("status", text(word)), ("duration_ms", count(duration_us / 1000))]
            }
        }
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn lookup(cache: &Cache) -> Vec<(&'static str, Value)> {
    let (outcome, source, why): (_, _, &[Reason]) = match cache {
        Cache::Hit { source, .. } => ("hit", text(source), &[]),
        Cache::Miss { reasons } => ("miss", Value::Null, reasons),
        Cache::Off => ("off", Value::Null, &[]),
    };
    let side = |side: &Option<String>| side.as_deref().map_or(Value::Null, text);
    let reason = |reason: &Reason| {
        let kind = crate::codec::to_value(&reason.kind).unwrap_or(Value::Null);
        let entries = [
            ("part", text(&reason.part)),
            ("kind", kind),
            ("before", side(&reason.before)),
            ("after", side(&reason.after)),
        ];
        Value::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    };
    vec![("outcome", text(outcome)), ("source", source), ("reasons", Value::List(why.iter().map(reason).collect()))]
}

/// The events of a run that has ended, in their order; `object` is its object, if it is on record.
pub fn of_run(run: &Run, object: Option<Id>) -> Vec<Event> {
    let mut events = Vec::new();
    let mut add = |at: Micros, what: What| events.push(Event { at, what });
    let was_executed = matches!(run.kind, RunKind::Command | RunKind::Task) && !run.is_hit();
    add(run.started_at, What::Start { argv: run.argv.clone() });
    if matches!(run.kind, RunKind::Command | RunKind::Task) {
        add(run.started_at, What::Lookup { cache: run.cache.clone() });
    }
    if was_executed {
        add(run.started_at, What::CommandStart { pid: None });
        add(
            run.finished_at,
            What::CommandEnd { exit_code: run.exit_code, signal: run.signal, resources: run.resources.clone() },
        );
    }
    for (key, output) in &run.outputs {
        let (path, id, size) = (output.path.clone(), output.content.id(), output.size);
        add(run.finished_at, What::Output { key: key.clone(), path, id, size });
    }
    if was_executed {
        add(run.finished_at, What::Seal { sealed: run.sealed, unsealed: run.unsealed.clone() });
    }
    if let Some(error) = &run.error {
        add(run.finished_at, What::Error { error: error.clone() });
    }
    if let Some(object) = object {
        add(run.finished_at, What::Record { object });
    }
    add(run.finished_at, What::End { status: run.status, duration_us: run.duration_us() });
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_the_rank_of_its_event() {
        let id = crate::hash::blob(b"x");
        let error = RunError { kind: "exit".to_owned(), message: "no".to_owned(), run: None };
        let all = [
            What::Start { argv: Vec::new() },
            What::Lookup { cache: Cache::Off },
            What::CommandStart { pid: None },
            What::Notice { notice: "killing" },
            What::CommandEnd { exit_code: None, signal: None, resources: None },
            What::Output { key: "k".to_owned(), path: "p".into(), id, size: 1 },
            What::Seal { sealed: true, unsealed: Vec::new() },
            What::Error { error },
            What::Record { object: id },
            What::End { status: Status::Success, duration_us: 1 },
        ];
        for (rank, what) in all.into_iter().enumerate() {
            assert_eq!(usize::from(what.rank()), rank);
            for level in [Level::Pipeline, Level::Process, Level::Step] {
                let name = Event { at: Micros(0), what: what.clone() }.name(level);
                assert_eq!(rank_of_name(&name), Some(what.rank()), "{name}");
            }
        }
        assert_eq!(rank_of_name("x"), None);
    }
}
