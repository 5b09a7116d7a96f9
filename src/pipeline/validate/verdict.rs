//! What a check came to.

use std::fmt;

use crate::clock::Micros;
use crate::codec::Value;
use crate::config;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// What was asked for was seen.
    Pass,
    /// Something else was seen.
    Fail,
    /// It could not be seen; that lets it through.
    Unknown,
}

impl Verdict {
    /// Its name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Unknown => "unknown",
        }
    }
}

/// A check that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The name of the check.
    pub check: String,
    /// What it asks for; null if its name says it all.
    pub argument: Value,
    /// The absolute location that was looked at; empty if it was several.
    pub of: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen, a fragment.
    pub saw: String,
    /// Whether there was nothing to look at.
    pub is_absent: bool,
    /// When it began.
    pub started_at: Micros,
    /// When it ended.
    pub finished_at: Micros,
}

impl Checked {
    /// As a value, for records.
    pub fn to_value(&self) -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        Value::Map(
            [
                ("check", text(&self.check)),
                ("argument", self.argument.clone()),
                ("of", text(&self.of)),
                ("verdict", text(self.verdict.as_str())),
                ("saw", text(&self.saw)),
                ("started_at", text(&self.started_at.rfc3339())),
                ("finished_at", text(&self.finished_at.rfc3339())),
            ]
            .map(|(key, value)| (key.to_owned(), value))
            .into(),
        )
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.check)?;
        if self.argument != Value::Null {
            write!(f, " {}", config::to_json(&self.argument))?;
        }
        if !self.of.is_empty() {
            write!(f, " of `{}`", self.of)?;
        }
        match self.verdict {
            Verdict::Pass => write!(f, ": {}", self.saw),
            Verdict::Fail => write!(f, " failed: {}", self.saw),
            Verdict::Unknown => write!(f, " can't be told: {}", self.saw),
        }
    }
}

/// A verdict with what was seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) verdict: Verdict,
    pub(super) saw: String,
    pub(super) is_absent: bool,
}

impl Seen {
    fn new(verdict: Verdict, saw: impl Into<String>) -> Self {
        Self { verdict, saw: saw.into(), is_absent: false }
    }

    pub(super) fn pass(saw: impl Into<String>) -> Self {
        Self::new(Verdict::Pass, saw)
    }

    pub(super) fn fail(saw: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, saw)
    }

    pub(super) fn unknown(saw: impl Into<String>) -> Self {
        Self::new(Verdict::Unknown, saw)
    }

    pub(super) fn absent() -> Self {
        Self { is_absent: true, ..Self::fail("it is not there") }
    }

    pub(super) fn judge(is_good: bool, saw: impl Into<String>) -> Self {
        Self::new(if is_good { Verdict::Pass } else { Verdict::Fail }, saw)
    }
}
