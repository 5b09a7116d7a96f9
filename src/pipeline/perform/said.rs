//! What a task says while it is performed.

use super::job::Choice;
use crate::codec::Value;
use crate::pipeline::file::Spec;
use crate::run::observer::Stream;

/// How much a line of a log matters: Otter's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For those who look very closely.
    Trace,
    /// For those who look for a mistake.
    Debug,
    /// What happens.
    Info,
    /// Something went well.
    Success,
    /// Something is doubtful.
    Warning,
    /// Something went wrong.
    Error,
    /// Nothing works any more.
    Critical,
}

impl Level {
    /// All of them, the least first.
    pub const ALL: [Level; 7] =
        [Level::Trace, Level::Debug, Level::Info, Level::Success, Level::Warning, Level::Error, Level::Critical];

    /// Its name, as options and logs have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Trace => "TRACE",
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Success => "SUCCESS",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
            Level::Critical => "CRITICAL",
        }
    }

    /// The level of that name, written in letters of either case.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(name))
    }
}

/// One place or a list of them, as it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    /// One.
    One(String),
    /// A list, of any length.
    Many(Vec<String>),
}

impl Places {
    /// The places.
    pub fn all(&self) -> &[String] {
        match self {
            Places::One(one) => std::slice::from_ref(one),
            Places::Many(many) => many,
        }
    }
}

/// What a task made, of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// What it was made of; absolute.
    pub source: Places,
    /// Where it is; absolute.
    pub destination: Places,
    /// What else the task's type says of it, in its order.
    pub more: Vec<(String, Value)>,
}

impl Artifact {
    /// One place made of one place.
    pub fn new(source: impl Into<String>, destination: impl Into<String>) -> Self {
        Self { source: Places::One(source.into()), destination: Places::One(destination.into()), more: Vec::new() }
    }
}

/// Something that a task says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Said {
    /// A line of its log, without the end of the line.
    Log {
        /// How much it matters.
        level: Level,
        /// The line.
        text: String,
    },
    /// It made something.
    Artifact(Artifact),
    /// It provides a value. What is there already wins.
    Scratchpad {
        /// The key.
        key: String,
        /// The value.
        value: Value,
    },
    /// It chose something that may be chosen otherwise another time; to be recorded, and given back as [`super::Job::frozen`].
    Chose(Choice),
    /// It makes these tasks. They start when its run has ended well; none does if it fails.
    AddSpecs(Vec<Spec>),
    /// How far it is.
    Progress {
        /// So much is done.
        done: u64,
        /// Of so much, if that is known.
        total: Option<u64>,
        /// Of what: `bytes`, `files`, ...
        unit: String,
    },
    /// A value that belongs into its record; the last one counts.
    Result(Value),
    /// A process of it was started.
    Started {
        /// Its pid.
        pid: u32,
    },
    /// Its process printed this.
    Output {
        /// Where.
        stream: Stream,
        /// What.
        bytes: Vec<u8>,
    },
}

impl Said {
    /// A line of a log.
    pub fn log(level: Level, text: impl Into<String>) -> Self {
        Said::Log { level, text: text.into() }
    }
}
