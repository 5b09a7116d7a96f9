//! How wide the code of a run is.

use super::{Error, Pattern};
use crate::path::RelPath;

/// Bytes of a file that counts as code without being named.
pub const MAX_SIZE: u64 = 1 << 20;

/// What counts as code.
#[derive(Debug, Clone, Default)]
pub enum Mode {
    /// Every file of the project that is source or configuration by the list ([`super::list`]).
    #[default]
    Project,
    /// The files that the command names.
    Command,
    /// Files by path or glob.
    Paths(Vec<Pattern>),
    /// Nothing.
    None,
}

impl Mode {
    /// Reads the values of `--code`, seen from `base`: `project`, `command` or `none` alone, else paths and globs.
    /// No value at all is `project`.
    ///
    /// # Errors
    /// A mode beside other values, a bad pattern.
    pub fn parse(values: &[String], base: &RelPath) -> Result<Self, Error> {
        let mut patterns = Vec::new();
        for value in values {
            let mode = match value.as_str() {
                "project" => ("project", Self::Project),
                "command" => ("command", Self::Command),
                "none" => ("none", Self::None),
                _ => {
                    patterns.push(Pattern::new(value, base)?);
                    continue;
                }
            };
            if values.iter().any(|other| other != value) {
                return Err(Error::Mixed { mode: mode.0 });
            }
            return Ok(mode.1);
        }
        Ok(if patterns.is_empty() { Self::Project } else { Self::Paths(patterns) })
    }
}

/// A mode, and what is added to it and taken from it.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The mode.
    pub mode: Mode,
    /// Files that count besides; not looked at when the mode is [`Mode::None`].
    pub include: Vec<Pattern>,
    /// Files that do not count, whatever else says so.
    pub exclude: Vec<Pattern>,
    /// Bytes of a file that counts without being named.
    pub max_size: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { mode: Mode::default(), include: Vec::new(), exclude: Vec::new(), max_size: MAX_SIZE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read() {
        let parse = |values: &[&str]| {
            Mode::parse(&values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>(), &RelPath::root())
        };
        assert!(matches!(parse(&[]), Ok(Mode::Project)));
        assert!(matches!(parse(&["command"]), Ok(Mode::Command)));
        assert!(matches!(parse(&["none", "none"]), Ok(Mode::None)));
        assert!(matches!(parse(&["a.py", "./project"]), Ok(Mode::Paths(p)) if p.len() == 2));
        assert!(matches!(parse(&["a.py", "none"]), Err(Error::Mixed { mode: "none" })));
    }
}
