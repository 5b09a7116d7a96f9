//! Colour: an addition to words, never the only bearer of a meaning.

use std::fmt;

use anstyle::{AnsiColor, Style};

/// Paints text, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Painter {
    is_on: bool,
}

impl Painter {
    /// Paints if told so.
    pub(crate) fn new(is_on: bool) -> Self {
        Self { is_on }
    }

    /// Whether it paints.
    pub(crate) fn is_on(self) -> bool {
        self.is_on
    }

    /// Text that is to stand out.
    pub(crate) fn strong(self, text: impl fmt::Display) -> Painted<impl fmt::Display> {
        self.paint(Style::new().bold(), text)
    }

    /// Text that may be overlooked.
    pub(crate) fn dim(self, text: impl fmt::Display) -> Painted<impl fmt::Display> {
        self.paint(Style::new().dimmed(), text)
    }

    /// Ids and names of runs.
    pub(crate) fn id(self, text: impl fmt::Display) -> Painted<impl fmt::Display> {
        self.paint(AnsiColor::Yellow.on_default(), text)
    }

    /// What is as it should be.
    pub(crate) fn good(self, text: impl fmt::Display) -> Painted<impl fmt::Display> {
        self.paint(AnsiColor::Green.on_default(), text)
    }

    /// What is to be looked at.
    pub(crate) fn note(self, text: impl fmt::Display) -> Painted<impl fmt::Display> {
        self.paint(AnsiColor::Cyan.on_default(), text)
    }

    /// What is doubtful.
    pub(crate) fn warning(self, text: impl fmt::Display) -> Painted<impl fmt::Display> {
        self.paint(AnsiColor::Yellow.on_default().bold(), text)
    }

    /// What is wrong.
    pub(crate) fn bad(self, text: impl fmt::Display) -> Painted<impl fmt::Display> {
        self.paint(AnsiColor::Red.on_default().bold(), text)
    }

    fn paint<T: fmt::Display>(self, style: Style, text: T) -> Painted<T> {
        Painted { style: if self.is_on { style } else { Style::new() }, text }
    }
}

/// Text with a style around it.
#[derive(Debug)]
pub(crate) struct Painted<T> {
    style: Style,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { style, text } = self;
        write!(f, "{style}{text}{style:#}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_text_stays_as_it_is() {
        assert_eq!(Painter::new(false).bad("x").to_string(), "x");
        assert_eq!(Painter::new(true).good("x").to_string(), "\u{1b}[32mx\u{1b}[0m");
    }
}
