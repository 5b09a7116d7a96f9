//! Keys: the names by which a run's inputs and outputs are known.

use bstr::{BStr, ByteSlice};

use super::Error;
use crate::path::shown;

/// Bytes of a key at most.
const MAX_KEY: usize = 255;

fn is_key_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '+')
}

/// Checks a key that a user gave: 1 to 255 bytes of letters, digits, `_`, `-` and `+`, no `-` first.
///
/// So a key can stand in `{input.KEY}`, `RUN:KEY` and `KEY=PATH` without any quoting.
///
/// # Errors
/// [`Error::Key`] with the rule.
pub fn check_key(key: &str) -> Result<(), Error> {
    let refuse = |rule| Err(Error::Key { key: shown(key.as_bytes()), rule });
    if key.is_empty() {
        refuse("it is empty")
    } else if key.len() > MAX_KEY {
        refuse("it is longer than 255 bytes")
    } else if key.starts_with('-') {
        refuse("it begins with `-`")
    } else if !key.chars().all(is_key_char) {
        refuse("it has other characters than letters, digits, `_`, `-` and `+`")
    } else {
        Ok(())
    }
}

/// Checks a step's name: 1 to 100 bytes, no control characters, no blanks at its ends, none of `/ : = @ ~ *`.
///
/// # Errors
/// [`Error::Step`] with the rule.
pub fn check_step(name: &str) -> Result<(), Error> {
    let refuse = |rule| Err(Error::Step { name: shown(name.as_bytes()), rule });
    if name.is_empty() {
        refuse("it is empty")
    } else if name.len() > 100 {
        refuse("it is longer than 100 bytes")
    } else if name.starts_with('-') || name.trim() != name {
        refuse("it begins with `-` or has blanks at its ends")
    } else if name.chars().any(|c| c.is_control() || "/:=@~*".contains(c)) {
        refuse("it has a control character or one of / : = @ ~ *")
    } else {
        Ok(())
    }
}

/// Checks the name of a task with its step, as records have it: 1 to 300 bytes, no control characters.
///
/// # Errors
/// [`Error::Step`] with the rule.
pub fn check_task(name: &str) -> Result<(), Error> {
    let refuse = |rule| Err(Error::Step { name: shown(name.as_bytes()), rule });
    if name.is_empty() {
        refuse("it is empty")
    } else if name.len() > 300 {
        refuse("it is longer than 300 bytes")
    } else if name.chars().any(char::is_control) {
        refuse("it has a control character")
    } else {
        Ok(())
    }
}

/// The key of a path that was declared without one: its file name up to the first dot (a dot at the very front does
/// not count), every character that a key can't have replaced by `_`.
pub fn derive_key(file_name: &BStr) -> String {
    let name: &[u8] = file_name;
    let visible = name.trim_start_with(|c| c == '.');
    let stem = visible.split(|&b| b == b'.').next().unwrap_or_default();
    let mut key = String::new();
    for chunk in stem.utf8_chunks() {
        key.extend(chunk.valid().chars().map(|c| if is_key_char(c) { c } else { '_' }));
        key.extend(chunk.invalid().iter().map(|_| '_'));
    }
    if key.starts_with('-') {
        key.replace_range(..1, "_");
    }
    while key.len() > MAX_KEY {
        key.pop();
    }
    if key.is_empty() { "_".to_owned() } else { key }
}

/// Takes `[KEY=]PATH` apart: what stands before the first `=` is a key if it can be one; `./a=b` is a path.
pub fn split_declaration(text: &[u8]) -> (Option<&str>, &BStr) {
    if let Some((key, path)) = text.split_once_str("=")
        && let Ok(key) = std::str::from_utf8(key)
        && check_key(key).is_ok()
        && !path.is_empty()
    {
        return (Some(key), path.as_bstr());
    }
    (None, text.as_bstr())
}

/// A key as the end of a variable's name: letters of ASCII in upper case, digits, `_` for every other character.
pub fn variable_name(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_file_names() {
        for (name, key) in [
            ("raw.csv", "raw"),
            ("a.b.c", "a"),
            (".env", "env"),
            ("..a", "a"),
            ("my data.csv", "my_data"),
            ("-x.csv", "_x"),
            ("größe.csv", "größe"),
            ("a=b.csv", "a_b"),
            ("x\n'\".txt", "x___"),
            ("...", "_"),
        ] {
            assert_eq!(derive_key(name.into()), key, "{name}");
            assert!(check_key(key).is_ok(), "{key}");
        }
        assert_eq!(derive_key(b"\xff\xfex.csv".as_bstr()), "__x");
        assert!(check_key(&derive_key("ß".repeat(200).as_str().into())).is_ok());
    }

    #[test]
    fn bad_keys_are_refused() {
        for key in ["", "a.b", "a b", "a=b", "a{", "-a", "a:b", "a/b", "a\n"] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn declarations_are_split_at_a_key_only() {
        assert_eq!(split_declaration(b"raw=data/x=y.csv"), (Some("raw"), "data/x=y.csv".into()));
        assert_eq!(split_declaration(b"./raw=x"), (None, "./raw=x".into()));
        assert_eq!(split_declaration(b"data/x.csv"), (None, "data/x.csv".into()));
        assert_eq!(split_declaration(b"raw="), (None, "raw=".into()));
        assert_eq!(split_declaration(b"=x"), (None, "=x".into()));
    }

    #[test]
    fn variables_are_upper_case_with_underscores() {
        assert_eq!(variable_name("my-data_1ß"), "MY_DATA_1_");
    }

    #[test]
    fn step_names_are_checked() {
        for name in ["clean", "my step", "größe", "a.b"] {
            assert!(check_step(name).is_ok(), "{name}");
        }
        for name in ["", "a/b", "-x", " a", "a\n", "@last", "a~1"] {
            assert!(check_step(name).is_err(), "{name:?}");
        }
    }
}
