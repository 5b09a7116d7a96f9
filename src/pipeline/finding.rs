//! What is wrong or doubtful in a pipeline, with the place.

use crate::config::located::{Place, Remark};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Probably not what was meant; the pipeline can run.
    Warning,
    /// The pipeline can't run.
    Error,
}

impl Severity {
    /// Its name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A stable word for scripts.
    pub code: &'static str,
    /// What it is: a fragment.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where in the file.
    pub at: Option<Place>,
    /// The step it belongs to.
    pub step: Option<String>,
    /// The task it belongs to.
    pub task: Option<String>,
}

impl Finding {
    /// A finding with nothing but a message.
    pub fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self { severity, code, message: message.into(), hint: None, at: None, step: None, task: None }
    }

    /// An error.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// A warning.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    /// A remark about the text of the file.
    pub fn of(severity: Severity, code: &'static str, remark: Remark) -> Self {
        let mut finding = Self::new(severity, code, remark.text).at(remark.at);
        finding.hint = remark.hint;
        finding
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, at: Place) -> Self {
        // Line 0 is no line: the value doesn't come from the file.
        self.at = (at.line > 0).then_some(at);
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says in which task of which step.
    #[must_use]
    pub fn within(mut self, step: &str, task: Option<&str>) -> Self {
        self.step.get_or_insert_with(|| step.to_owned());
        if let Some(task) = task {
            self.task.get_or_insert_with(|| task.to_owned());
        }
        self
    }
}

/// Findings in the order of the file, each once: a task that was made many times by one spec tells the same thing many times.
pub fn in_order(findings: &mut Vec<Finding>) {
    let mut seen = std::collections::HashSet::new();
    findings.retain(|finding| seen.insert((finding.code, finding.at, finding.message.clone())));
    findings.sort_by_key(|finding| (finding.at.is_none(), finding.at));
}
