//! Configuration: files of several formats and single values, layered into one canonical value; and prov's own settings.
//!
//! A configuration is part of the recipe, so what its characters mean is decided here once, for good:
//!
//! | written | becomes |
//! |---|---|
//! | integer (`1`, `-7`, `0x1F` `0o17` in YAML and TOML, `0b1` in TOML) | integer, the same however it is written; from -2^63 to 2^64-1 |
//! | integer beyond that | refused; quote it to keep it as text |
//! | `007` in YAML | the integer 7 (YAML 1.2; JSON and TOML refuse it) |
//! | number with a fraction or exponent (`1.0`, `1e3`) | double, nearest to what is written; `1.0` is not `1` |
//! | `-0.0` | a double that is not `0.0`; the integer `-0` is `0` |
//! | NaN, infinities, numbers beyond doubles (`1e999`) | refused |
//! | `true` `True` `TRUE` `false` `False` `FALSE` in YAML, `true` `false` elsewhere | boolean |
//! | `no` `on` `yes` `off` `y` in YAML | text |
//! | `null` `Null` `NULL` `~` and nothing at all in YAML, `null` in JSON | null; a key with null is not the same as no key |
//! | text, whatever its quotes or block style | its characters; no Unicode normalising, nothing trimmed |
//! | dates and times in YAML | text as written |
//! | dates and times in TOML | text in RFC 3339 form (`T` between date and time, `Z` kept, seconds always there, no zeros at the end of a fraction) |
//! | `1_000`, `12:30`, `0b11`, `1,5` in YAML | text |
//! | text as a key | itself |
//! | integer or boolean as a key (YAML) | its decimal digits; `true`, `false`. So `1:` and `"1":` are the same key, and both in one map are refused |
//! | null, number with fraction, list, map as a key (YAML) | refused |
//! | a key twice in one map | refused, in every format |
//! | YAML merge key `<<` | merged: a key of the map itself wins, then the first of several sources; twice in one map is refused; quoted it is an ordinary key |
//! | YAML alias | what it stands for; copies count against the limits |
//! | YAML tags `!!str` `!!int` `!!float` `!!bool` `!!null` `!!map` `!!seq`, `!` | applied; a value that does not fit is refused. Any other tag is refused |
//! | order of keys | does not count |
//! | order of a list | counts |
//! | INI: `KEY = VALUE`, `KEY: VALUE` | text, as it stands after the sign, blanks around it taken away; quotes, `#` and `%` in it are its own |
//! | INI: `[SECTION]` | a map; its name is one key, dots and all |
//! | INI: a line that goes on, a key without a value, two keys that differ only in case | refused |
//! | empty file, file of comments | empty map; the same as no configuration |
//! | top level that is no map | refused |
//! | second YAML document, `%YAML` other than 1.2 | refused |
//! | UTF-8 byte order mark at the start | ignored |
//! | text that is not UTF-8 | refused |
//! | CR LF at a line's end, also inside of text in several lines | LF |
//! | tab | kept in text; refused by YAML as indentation |
//! | more than 8 MiB of file, 48 levels, 500,000 values, 12 MiB of text | refused |
//!
//! Several files and single values are laid over one another: maps are merged key by key, anything else (a list too) is replaced by
//! the later one. `-S KEY.SUB=VALUE` comes last; VALUE is a YAML 1.2 scalar, so `-S x=` is null and `-S x=''` is empty text.
//!
//! This module is the only user of `serde-saphyr` and `toml`, and of `serde_json` for what people wrote.

mod catalogue;
pub mod csv;
mod error;
pub mod folder;
mod ini;
mod json;
mod layer;
pub mod located;
mod print;
mod python_scalar;
pub mod rows;
mod scalar;
mod settings;
mod step;
mod toml;
mod yaml;

use std::path::{Path, PathBuf};

pub use error::Error;
pub use layer::{Override, merge};
pub use print::to_json;
pub use settings::{Origin, Setting, Settings};
pub use step::{StepSettings, option_names as step_option_names, split_words};

use crate::codec::Value;
use crate::fs::Fs;
use error::Problem;

/// Bytes of a file at most.
pub const MAX_FILE: usize = 8 << 20;
/// Levels of lists and maps at most.
pub const MAX_DEPTH: usize = 48;
/// Values at most, aliases counted as what they stand for.
pub const MAX_VALUES: usize = 500_000;
/// Bytes of text at most, aliases counted as what they stand for.
pub const MAX_TEXT: usize = 12 << 20;

/// The format of a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// YAML 1.2.
    Yaml,
    /// JSON (RFC 8259).
    Json,
    /// TOML 1.
    Toml,
    /// INI: sections of `KEY = VALUE` lines, every value a text.
    Ini,
}

impl Format {
    /// The format by the file's extension: `.yaml`, `.yml`, `.json`, `.toml`, `.ini`, of any case.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            "toml" => Some(Self::Toml),
            "ini" => Some(Self::Ini),
            _ => None,
        }
    }
}

/// The configuration that `bytes` of `file` spell: a map in the form of the table above. `file` is only named in errors.
///
/// # Errors
/// With file, line and column of the first rule broken.
pub fn parse(file: &Path, format: Format, bytes: &[u8]) -> Result<Value, Error> {
    match parse_any(file, format, bytes)? {
        Value::Null => Ok(Value::Map(Vec::new())),
        map @ Value::Map(_) => Ok(map),
        _ => Err(Problem::new((1, 1), "the top level is not a map").hint("write `KEY: VALUE` lines").into_error(file)),
    }
}

/// As [`parse`], of a file that may hold any value; null if it holds none.
///
/// # Errors
/// As [`parse`].
pub fn parse_any(file: &Path, format: Format, bytes: &[u8]) -> Result<Value, Error> {
    let text = text_of(file, bytes)?;
    let parsed = match format {
        Format::Yaml => yaml::parse(&text),
        Format::Json => json::parse(&text),
        Format::Toml => toml::parse(&text).map(Some),
        Format::Ini => ini::parse(&text).map(Some),
    };
    let value = parsed.map_err(|problem| problem.into_error(file))?.unwrap_or(Value::Null);
    check_size(&value).map_err(|problem| Error::File { file: file.to_owned(), problem, hint: None })?;
    Ok(value)
}

/// The YAML of `bytes` of `file` with the place of every key and value, and all that is wrong with it.
///
/// # Errors
/// When it is no text at all.
pub fn locate(file: &Path, dialect: located::Dialect, bytes: &[u8]) -> Result<located::Located, Error> {
    Ok(yaml::locate(&text_of(file, bytes)?, dialect))
}

/// The name among `names` that `typed` was probably meant to be.
pub fn nearest<'a>(typed: &str, names: &[&'a str]) -> Option<&'a str> {
    catalogue::nearest(typed, names)
}

/// Reads one configuration file, its format told by its extension.
///
/// # Errors
/// When it can't be read, has no known extension, or breaks a rule of the table above.
pub fn read(fs: &Fs, file: &Path) -> Result<Value, Error> {
    parse(file, format_of(file)?, &bytes_of(fs, file)?)
}

fn format_of(file: &Path) -> Result<Format, Error> {
    Format::of(file).ok_or_else(|| Error::File {
        file: file.to_owned(),
        problem: "its name does not tell its format".to_owned(),
        hint: Some("a configuration ends in .yaml, .yml, .json, .toml or .ini".to_owned()),
    })
}

/// The configuration of a run: `files` in order, then `overrides` in order, the later winning.
///
/// # Errors
/// As [`read`] and [`Override::apply`].
pub fn resolve(fs: &Fs, files: &[PathBuf], overrides: &[Override]) -> Result<Value, Error> {
    resolve_over(fs, Value::Map(Vec::new()), files, overrides)
}

/// As [`resolve`], laid over `base`.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_over(fs: &Fs, base: Value, files: &[PathBuf], overrides: &[Override]) -> Result<Value, Error> {
    let mut config = base;
    for file in files {
        config = merge(config, read(fs, file)?);
    }
    for one in overrides {
        one.apply(&mut config)?;
    }
    check_size(&config).map_err(|problem| Error::Given {
        origin: "the merged configuration".to_owned(),
        problem,
        hint: None,
    })?;
    Ok(config)
}

/// The bytes of a regular file, not more than [`MAX_FILE`].
fn bytes_of(fs: &Fs, file: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Io { file: file.to_owned(), source };
    let mut open = fs.open(file).map_err(failed)?;
    crate::fs::read_some(&mut open, MAX_FILE as u64 + 1).map_err(failed)
}

/// Text without byte order mark, every line ended by LF.
fn text_of(file: &Path, bytes: &[u8]) -> Result<String, Error> {
    let refuse = |problem: &str, hint: &str| Error::File {
        file: file.to_owned(),
        problem: problem.to_owned(),
        hint: Some(hint.to_owned()),
    };
    if bytes.len() > MAX_FILE {
        return Err(refuse("it is larger than 8 MiB", "give large data as an input (-i) instead"));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(refuse("it is UTF-16", "save it as UTF-8"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.replace("\r\n", "\n")),
        Err(err) => {
            let before = String::from_utf8_lossy(&bytes[..err.valid_up_to()]);
            Err(Problem::new(error::place(&before, before.len()), "not UTF-8 text")
                .hint("save it as UTF-8")
                .into_error(file))
        }
    }
}

fn check_size(value: &Value) -> Result<(), String> {
    fn count(value: &Value, depth: usize, values: &mut usize, text: &mut usize) -> bool {
        *values += 1;
        if depth > MAX_DEPTH || *values > MAX_VALUES || *text > MAX_TEXT {
            return false;
        }
        match value {
            Value::Text(t) => *text += t.len(),
            Value::List(items) => return items.iter().all(|item| count(item, depth + 1, values, text)),
            Value::Map(entries) => {
                return entries.iter().all(|(key, value)| {
                    *text += key.len();
                    count(value, depth + 1, values, text)
                });
            }
            _ => {}
        }
        *text <= MAX_TEXT
    }
    if count(value, 0, &mut 0, &mut 0) {
        Ok(())
    } else {
        Err(format!(
            "it is deeper than {MAX_DEPTH} levels, or larger than {MAX_VALUES} values or {MAX_TEXT} bytes of text"
        ))
    }
}

#[cfg(test)]
mod tests;
