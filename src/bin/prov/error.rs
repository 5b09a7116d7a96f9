//! Failures as people and scripts see them: whose fault, what, why, and what now.

use std::error::Error;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::exit::Exit;
use crate::output::Painter;

/// What kind of failure it is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// It could not be done: the disk, a permission, the system.
    Failed,
    /// The words make no sense.
    Usage,
    /// There is no store.
    NoStore,
    /// Nothing, or more than one thing, has that name.
    NotFound,
    /// Data is damaged or missing.
    Damaged,
    /// The network, or a server.
    Network,
    /// It would destroy something, or the format is newer.
    Refused,
    /// The user stopped it.
    Interrupted,
    /// Nobody reads standard output any more; never printed.
    BrokenPipe,
}

impl Class {
    /// The exit code of any command but `run`.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Class::Failed => Exit::No,
            Class::Usage => Exit::Usage,
            Class::NoStore => Exit::NoStore,
            Class::NotFound => Exit::NotFound,
            Class::Damaged => Exit::Damaged,
            Class::Network => Exit::Network,
            Class::Refused => Exit::Refused,
            Class::Interrupted => Exit::Interrupted,
            Class::BrokenPipe => Exit::BrokenPipe,
        }
    }
}

/// A failure that ends the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Its kind.
    pub(crate) class: Class,
    /// A stable word for scripts.
    pub(crate) code: &'static str,
    /// What happened: a fragment, without full stop.
    pub(crate) message: String,
    /// Why, outermost first.
    pub(crate) causes: Vec<String>,
    /// What could have been meant.
    pub(crate) candidates: Vec<String>,
    /// What to do now.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure with nothing but a message.
    pub(crate) fn new(class: Class, code: &'static str, message: impl Into<String>) -> Self {
        Self { class, code, message: message.into(), causes: Vec::new(), candidates: Vec::new(), hint: None }
    }

    /// A usage error.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Class::Usage, "usage", message)
    }

    /// A failure told by an error and everything under it.
    pub(crate) fn of(class: Class, code: &'static str, err: &dyn Error) -> Self {
        Self::new(class, code, err.to_string()).because_of(err.source())
    }

    /// Adds an error and everything under it as causes. A cause that says the same as what stands above it is left out.
    pub(crate) fn because_of(mut self, mut source: Option<&dyn Error>) -> Self {
        while let Some(err) = source {
            let text = err.to_string();
            if self.causes.last().unwrap_or(&self.message) != &text {
                self.causes.push(text);
            }
            source = err.source();
        }
        self
    }

    /// Says what to do now.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what to do now, if there is anything to say.
    pub(crate) fn hint_of(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// Lists what could have been meant.
    pub(crate) fn candidates(mut self, candidates: impl IntoIterator<Item = String>) -> Self {
        self.candidates = candidates.into_iter().collect();
        self
    }

    /// The failure in lines of text. What people typed and files are named may stand in it: no control character goes out.
    pub(crate) fn to_text(&self, painter: Painter) -> String {
        let shown = |text: &String| prov::path::shown(text.as_bytes());
        let mut text = String::new();
        let _ = writeln!(text, "{} {}", painter.bad("error:"), shown(&self.message));
        for cause in &self.causes {
            let _ = writeln!(text, "{} {}", painter.dim("caused by:"), shown(cause));
        }
        for candidate in &self.candidates {
            let _ = writeln!(text, "  {}", shown(candidate));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "{} {}", painter.note("hint:"), shown(hint));
        }
        text
    }

    /// The failure as a document.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = Map::new();
        error.insert("code".to_owned(), json!(self.code));
        error.insert("message".to_owned(), json!(self.message));
        error.insert("hint".to_owned(), json!(self.hint));
        if !self.causes.is_empty() {
            error.insert("causes".to_owned(), json!(self.causes));
        }
        if !self.candidates.is_empty() {
            error.insert("candidates".to_owned(), json!(self.candidates));
        }
        json!({ "error": error })
    }
}

/// Failing to write to standard output: quiet if nobody reads it.
impl From<std::io::Error> for Failure {
    fn from(err: std::io::Error) -> Self {
        if err.kind() == std::io::ErrorKind::BrokenPipe {
            Self::new(Class::BrokenPipe, "broken_pipe", "nobody reads the output")
        } else {
            Self::new(Class::Failed, "io", "can not write the output").because_of(Some(&err))
        }
    }
}

/// Makes a panic say in one line that it is a bug, and where; `RUST_BACKTRACE` brings the rest.
pub(crate) fn install_panic_hook(wants_backtrace: bool) {
    let details = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        use std::io::Write;
        let what = info
            .payload()
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| info.payload().downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let mut stderr = std::io::stderr().lock();
        // A panic can't do more about a closed stderr than be silent.
        let _ = writeln!(stderr, "bug: {} ({place})", prov::path::shown(what.as_bytes()));
        let _ = writeln!(
            stderr,
            "hint: this is a mistake in prov {}, not yours; what was recorded before is safe",
            env!("CARGO_PKG_VERSION")
        );
        drop(stderr);
        if wants_backtrace {
            details(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_what_why_and_what_now() {
        let failure = Failure::new(Class::NotFound, "ambiguous", "`7x` could be more than one run")
            .because_of(Some(&std::io::Error::other("deeper")))
            .candidates(["7xk clean".to_owned(), "7xm fit".to_owned()])
            .hint("type more of it");
        assert_eq!(
            failure.to_text(Painter::new(false)),
            "error: `7x` could be more than one run\ncaused by: deeper\n  7xk clean\n  7xm fit\nhint: type more of it\n"
        );
        assert_eq!(failure.to_json()["error"]["code"], "ambiguous");
        assert_eq!(failure.to_json()["error"]["candidates"][1], "7xm fit");
    }

    #[test]
    fn a_closed_pipe_is_not_an_error_to_talk_about() {
        let failure = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(failure.class, Class::BrokenPipe);
    }
}
