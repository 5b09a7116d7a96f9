//! The two streams: data goes to standard output, talk to standard error.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, BufWriter, Write};

use serde_json::{Map, Value};

use super::pager::Pager;
use super::{Bar, Painter, Tasks};
use crate::error::Failure;
use crate::settings::{Environment, Verbosity};

/// How the streams are to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Streams {
    /// Whether data is JSON.
    pub(crate) is_json: bool,
    /// How much is said.
    pub(crate) verbosity: Verbosity,
    /// Whether standard output is a terminal.
    pub(crate) out_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub(crate) err_is_terminal: bool,
    /// Whether standard output is coloured.
    pub(crate) out_in_colour: bool,
    /// Whether standard error is coloured.
    pub(crate) err_in_colour: bool,
    /// Whether long output may be paged.
    pub(crate) may_page: bool,
}

/// Where a command prints.
#[derive(Debug)]
pub(crate) struct Ui {
    streams: Streams,
    out: RefCell<Out>,
}

enum Out {
    Plain(BufWriter<io::Stdout>),
    Paged(BufWriter<Pager>),
}

impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Out::Plain(_) => "Plain",
            Out::Paged(_) => "Paged",
        })
    }
}

impl Out {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Out::Plain(out) => out,
            Out::Paged(out) => out,
        }
    }
}

impl Ui {
    /// Standard output and standard error, used as told.
    pub(crate) fn new(streams: Streams) -> Self {
        Self { streams, out: RefCell::new(Out::Plain(BufWriter::with_capacity(64 * 1024, io::stdout()))) }
    }

    /// Whether data is to be JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.streams.is_json
    }

    /// Paints what goes to standard output.
    pub(crate) fn painter(&self) -> Painter {
        Painter::new(self.streams.out_in_colour)
    }

    /// Paints what goes to standard error.
    pub(crate) fn talk_painter(&self) -> Painter {
        Painter::new(self.streams.err_in_colour)
    }

    /// Sends what follows through a pager if a person is looking and wants one.
    pub(crate) fn page(&self, environment: &Environment) {
        if self.streams.may_page
            && self.streams.out_is_terminal
            && !self.streams.is_json
            && let Some(pager) = Pager::start(environment)
        {
            *self.out.borrow_mut() = Out::Paged(BufWriter::new(pager));
        }
    }

    /// Writes text to standard output.
    pub(crate) fn print(&self, text: impl fmt::Display) -> Result<(), Failure> {
        Ok(write!(self.out.borrow_mut().writer(), "{text}")?)
    }

    /// Writes a line of text to standard output.
    pub(crate) fn line(&self, text: impl fmt::Display) -> Result<(), Failure> {
        Ok(writeln!(self.out.borrow_mut().writer(), "{text}")?)
    }

    /// Writes bytes to standard output as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.out.borrow_mut().writer().write_all(bytes)?)
    }

    /// Lends standard output to something that writes a stream of bytes.
    pub(crate) fn with_writer<T>(&self, write: impl FnOnce(&mut dyn Write) -> T) -> T {
        write(self.out.borrow_mut().writer())
    }

    /// Writes a document to standard output: in lines for people, in one line for programs.
    pub(crate) fn document(&self, document: Map<String, Value>) -> Result<(), Failure> {
        let document = Value::Object(document);
        let text = if self.streams.out_is_terminal { format!("{document:#}") } else { document.to_string() };
        self.line(text)
    }

    /// Prints a document that would be large in memory: it is written as it is made.
    pub(crate) fn written(&self, document: &impl serde::Serialize) -> Result<(), Failure> {
        let mut out = self.out.borrow_mut();
        let mut to = std::io::BufWriter::with_capacity(64 << 10, out.writer());
        let written = if self.streams.out_is_terminal {
            serde_json::to_writer_pretty(&mut to, document)
        } else {
            serde_json::to_writer(&mut to, document)
        };
        written.map_err(std::io::Error::from)?;
        to.write_all(b"\n")?;
        Ok(to.flush()?)
    }

    /// Says something that people may want to know; silent under `--quiet`.
    pub(crate) fn say(&self, text: impl fmt::Display) {
        if self.streams.verbosity >= Verbosity::Normal {
            talk(&text);
        }
    }

    /// Says something only under `-v`.
    pub(crate) fn detail(&self, text: impl fmt::Display) {
        if self.streams.verbosity >= Verbosity::Detailed {
            talk(&text);
        }
    }

    /// Says that something is doubtful; even under `--quiet`.
    pub(crate) fn warn(&self, text: impl fmt::Display) {
        talk(&format_args!("{} {text}", self.talk_painter().warning("warning:")));
    }

    /// Adds what to do about a warning.
    pub(crate) fn hint(&self, text: impl fmt::Display) {
        talk(&format_args!("{} {text}", self.talk_painter().note("hint:")));
    }

    /// Tells of a failure in the form that is wanted.
    pub(crate) fn fail(&self, failure: &Failure) {
        if self.streams.is_json {
            talk(&failure.to_json());
        } else {
            talk(&failure.to_text(self.talk_painter()).trim_end());
        }
    }

    /// A bar for long work, shown only where a person watches.
    pub(crate) fn bar(&self) -> Bar {
        Bar::new(self.streams.err_is_terminal && self.streams.verbosity >= Verbosity::Normal)
    }

    /// Lines for tasks under way, shown only where a person watches.
    pub(crate) fn tasks(&self) -> Tasks {
        Tasks::new(self.streams.err_is_terminal && self.streams.verbosity >= Verbosity::Normal)
    }

    /// Writes out what is buffered, for when a child is about to write to the same stream.
    pub(crate) fn flush(&self) -> Result<(), Failure> {
        Ok(self.out.borrow_mut().writer().flush()?)
    }

    /// Writes out what is buffered and waits for the pager.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        let plain = Out::Plain(BufWriter::new(io::stdout()));
        match self.out.replace(plain) {
            Out::Plain(mut out) => Ok(out.flush()?),
            Out::Paged(out) => {
                // Whoever quits the pager early has seen enough: what could not be written is dropped.
                let pager = out.into_inner().unwrap_or_else(|err| err.into_inner().into_parts().0);
                pager.finish();
                Ok(())
            }
        }
    }
}

/// Says something on standard error for who has no [`Ui`] at hand: another thread.
pub(crate) fn note(text: &str) {
    talk(&text);
}

fn talk(text: &dyn fmt::Display) {
    // One write a message, so that processes that share a terminal do not mix within a line. Nobody can be told that
    // standard error is gone.
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}
