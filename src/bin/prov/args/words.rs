//! A first look at the raw words, for what must be known even when they do not parse.

use std::ffi::OsString;

/// What the words say before they are parsed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Glance {
    /// The command, if there is one.
    pub(crate) command: Option<String>,
    /// Whether errors are wanted as JSON.
    pub(crate) json: bool,
}

impl Glance {
    /// Looks at the words after the program's name.
    pub(crate) fn at(words: &[OsString]) -> Self {
        let mut glance = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--") => break,
                Some("--json" | "--json-lines") => glance.json = true,
                Some("-C" | "--color") => {
                    words.next();
                }
                Some(text) if !text.starts_with('-') && glance.command.is_none() => {
                    glance.command = Some(text.to_owned());
                }
                _ => {}
            }
        }
        glance
    }

    /// Whether every failure of prov's own is 125.
    pub(crate) fn is_run(&self) -> bool {
        self.command.as_deref() == Some("run")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glance(words: &[&str]) -> Glance {
        Glance::at(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_is_found_behind_global_options() {
        assert!(glance(&["-C", "run", "--color", "never", "run", "--json"]).is_run());
        assert!(glance(&["-q", "run", "--", "log"]).is_run());
        assert!(!glance(&["-C", "run", "log"]).is_run());
        assert_eq!(glance(&[]), Glance::default());
    }

    #[test]
    fn words_of_the_child_are_not_looked_at() {
        assert!(!glance(&["run", "--", "tool", "--json"]).json);
        assert!(glance(&["run", "--json", "--", "tool"]).json);
    }
}
