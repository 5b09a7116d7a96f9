//! The environment, as it was when prov started.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::error::Failure;

/// The variables with their values. Read once; nothing else in prov looks at the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Reads it.
    pub(crate) fn read() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// These variables.
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// The value of a variable.
    pub(crate) fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsString> {
        self.0.get(name.as_ref())
    }

    /// All variables, by name.
    pub(crate) fn all(&self) -> &BTreeMap<OsString, OsString> {
        &self.0
    }

    /// The value of a variable as it is.
    pub(crate) fn text(&self, name: &str) -> Option<&OsStr> {
        self.get(name).map(OsString::as_os_str)
    }

    /// A path; an empty value counts as none.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).filter(|text| !text.is_empty()).map(PathBuf::from)
    }

    /// A value that must be UTF-8; an empty one counts as none.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub(crate) fn utf8(&self, name: &str) -> Result<Option<String>, Failure> {
        let Some(value) = self.text(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        match value.to_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(Failure::usage(format!("{name} is not UTF-8"))),
        }
    }

    /// Where the user's settings file would be: below `XDG_CONFIG_HOME` if that is absolute, else `~/.config`.
    pub(crate) fn user_config(&self) -> Option<PathBuf> {
        let base = self
            .path("XDG_CONFIG_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| self.path("HOME").map(|home| home.join(".config")))?;
        Some(base.join("prov/config.toml"))
    }

    /// Where the user's caches lie: `XDG_CACHE_HOME` if that is absolute, else `~/.cache`.
    #[cfg(feature = "index")]
    pub(crate) fn user_cache(&self) -> Option<PathBuf> {
        self.path("XDG_CACHE_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| self.path("HOME").map(|home| home.join(".cache")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_config_home_is_ignored() {
        let both = Environment::of([("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")]);
        assert_eq!(both.user_config(), Some("/x/prov/config.toml".into()));
        let relative = Environment::of([("XDG_CONFIG_HOME", "x"), ("HOME", "/h")]);
        assert_eq!(relative.user_config(), Some("/h/.config/prov/config.toml".into()));
        assert_eq!(Environment::default().user_config(), None);
    }
}
