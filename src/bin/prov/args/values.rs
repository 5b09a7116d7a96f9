//! Words that mean something: `KEY=VALUE`, `[KEY=]PATH`, durations, moments.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use bstr::BString;
use prov::clock::Micros;
use prov::run::request::Declared;
use prov::run::web::Freshness;

/// A whole number, or the place of one in a row: `{row.COLUMN}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whole {
    /// The number.
    Number(i64),
    /// What stands there in each row of `prov map`.
    Row(String),
}

/// Reads a whole number, or `{row.COLUMN}`.
///
/// # Errors
/// What is meant.
pub(crate) fn whole(word: &str) -> Result<Whole, String> {
    match prov::config::rows::gap(word) {
        Some(("", _, "")) => Ok(Whole::Row(word.to_owned())),
        _ => word.parse().map(Whole::Number).map_err(|_| "a whole number is meant".to_owned()),
    }
}

/// Checks `KEY=VALUE` and leaves it as it is.
pub(crate) fn assignment(word: &str) -> Result<String, String> {
    match word.split_once('=') {
        Some(("", _)) => Err("there is no key before the `=`".to_owned()),
        Some(_) => Ok(word.to_owned()),
        None => Err("write it as KEY=VALUE".to_owned()),
    }
}

/// Splits `[KEY=]PATH`. What stands before the first `=` is a key if it could be one; `./a=b` is always a path.
pub(crate) fn declared(word: &OsStr) -> Declared {
    let bytes = word.as_bytes();
    if let Some(at) = bytes.iter().position(|&b| b == b'=')
        && let Ok(key) = std::str::from_utf8(&bytes[..at])
        && is_key(key)
    {
        return Declared::named(key, &bytes[at + 1..]);
    }
    Declared::path(bytes)
}

/// Splits `KEY=ROOT:GLOB` and `KEY=ROOT:!GLOB`: the key, the folder, the pattern, and whether it leaves files out. The pattern begins
/// after the first `:` that the folder's name does not need: the last one before any character that only patterns have.
///
/// # Errors
/// What is missing.
pub(crate) fn set(word: &OsStr) -> Result<(String, BString, String, bool), String> {
    let declared = declared(word);
    let shown = prov::path::shown(word.as_bytes());
    let Some(key) = declared.key else { return Err(format!("`{shown}`: write it as KEY=ROOT:GLOB")) };
    let (root, pattern) = folder_and_pattern(&declared.path).map_err(|why| format!("`{shown}`: {why}"))?;
    let pattern = pattern.ok_or_else(|| format!("`{shown}`: write it as KEY=ROOT:GLOB"))?;
    match pattern.strip_prefix('!') {
        Some(pattern) => Ok((key, root, pattern.to_owned(), true)),
        None => Ok((key, root, pattern, false)),
    }
}

/// Splits `ROOT[:GLOB]`.
pub(crate) fn folder_and_pattern(word: &[u8]) -> Result<(BString, Option<String>), String> {
    let special = word.iter().position(|b| b"*?[{!".contains(b)).unwrap_or(word.len());
    let Some(colon) = word[..special].iter().rposition(|&b| b == b':') else {
        return match word.iter().position(|&b| b == b':') {
            Some(_) => Err("the folder's name has a character that patterns have".to_owned()),
            None => Ok((word.into(), None)),
        };
    };
    let pattern = std::str::from_utf8(&word[colon + 1..]).map_err(|_| "the pattern is not UTF-8".to_owned())?;
    let root = if colon == 0 { b"." } else { &word[..colon] };
    Ok((root.into(), Some(pattern.to_owned())))
}

/// The key that a declared path goes by: the given one, else the file name up to its first dot.
pub(crate) fn key_of(declared: &Declared) -> String {
    if let Some(key) = &declared.key {
        return key.clone();
    }
    let path = declared.path.trim_end_with_slashes();
    let name = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    // A leading dot belongs to the name: `.env` is `.env`, not nothing.
    let dot = name.iter().skip(1).position(|&b| b == b'.').map_or(name.len(), |at| at + 1);
    prov::path::shown(&name[..dot])
}

trait TrimSlashes {
    fn trim_end_with_slashes(&self) -> &[u8];
}

impl TrimSlashes for BString {
    fn trim_end_with_slashes(&self) -> &[u8] {
        let end = self.iter().rposition(|&b| b != b'/').map_or(0, |at| at + 1);
        &self[..end]
    }
}

fn is_key(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_alphanumeric() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// Splits `NAME[=VALUE]` of an environment variable.
///
/// # Errors
/// A name that no variable can have.
pub(crate) fn variable(word: &OsStr) -> Result<(String, Option<BString>), String> {
    let bytes = word.as_bytes();
    let (name, value) = match bytes.iter().position(|&b| b == b'=') {
        Some(at) => (&bytes[..at], Some(BString::from(&bytes[at + 1..]))),
        None => (bytes, None),
    };
    match std::str::from_utf8(name) {
        Ok(name) if !name.is_empty() => Ok((name.to_owned(), value)),
        _ => Err(format!("`{}` is no name of a variable", prov::path::shown(name))),
    }
}

/// Checks the name of a variable whose value is nobody's business: it comes from the environment, not from a command line. What is wrong
/// with it is told without repeating it. (A check by the grammar would be told with the whole word.)
///
/// # Errors
/// What is meant.
pub(crate) fn secret_name(word: &str) -> Result<String, String> {
    match word.split_once('=') {
        Some((name, _)) => {
            Err(format!("--secret-env {name}: only the name is given, prov takes the value from its own environment"))
        }
        None if word.is_empty() => Err("--secret-env: the name is empty".to_owned()),
        None => Ok(word.to_owned()),
    }
}

/// Milliseconds of a duration such as `30` (seconds), `250ms`, `90s`, `1h30m`, `2d`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn duration_ms(word: &str) -> Result<u64, String> {
    prov::clock::parse_duration_ms(word)
        .ok_or_else(|| format!("`{word}` is no duration; write 90s, 5m, 1h30m or 250ms"))
}

/// When a server is asked again: `always`, `never`, `offline`, or a duration.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn freshness(word: &str) -> Result<Freshness, String> {
    match word {
        "always" => Ok(Freshness::Always),
        "never" => Ok(Freshness::Never),
        "offline" => Ok(Freshness::Offline),
        word => duration_ms(word)
            .map(Freshness::MaxAge)
            .map_err(|_| format!("`{word}` is neither always, never, offline nor a duration such as 1h or 7d")),
    }
}

/// A moment: a date or an RFC 3339 time, or how long ago it was (`2d`, `90m ago`).
///
/// # Errors
/// What is wrong with it.
pub(crate) fn moment(text: &str, now: Micros) -> Result<Micros, String> {
    if let Some(at) = Micros::parse(text) {
        return Ok(at);
    }
    let ago = text.strip_suffix(" ago").unwrap_or(text).replace(' ', "");
    let looks_like_age = ago.ends_with(|c: char| c.is_ascii_alphabetic());
    match duration_ms(&ago) {
        Ok(ms) if looks_like_age => {
            let micros = i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1000);
            Ok(Micros(now.0.saturating_sub(micros)))
        }
        _ => Err(format!("`{text}` is no time; write 2026-03-01, 2026-03-01T12:00:00Z or 2d")),
    }
}

/// A number of bytes: `1000`, `500k`, `20GiB`; letters count in steps of 1024.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn size(word: &str) -> Result<u64, String> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = word.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let power = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => Some(0),
        "k" => Some(1),
        "m" => Some(2),
        "g" => Some(3),
        "t" => Some(4),
        _ => None,
    };
    let size = number.parse::<u64>().ok().zip(power).and_then(|(n, power)| n.checked_mul(1024u64.pow(power)));
    size.ok_or_else(|| format!("`{word}` is no size; write 500MiB, 20GiB or a number of bytes"))
}

/// The bytes of a word.
pub(crate) fn bytes(word: &OsStr) -> BString {
    word.as_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_split_off_only_if_it_could_be_one() {
        let case = |word: &[u8]| {
            let d = declared(OsStr::from_bytes(word));
            (d.key, d.path)
        };
        assert_eq!(case(b"raw=a/b.csv"), (Some("raw".into()), "a/b.csv".into()));
        assert_eq!(case(b"raw=a=b"), (Some("raw".into()), "a=b".into()));
        assert_eq!(case(b"./raw=a"), (None, "./raw=a".into()));
        assert_eq!(case(b"-x=a"), (None, "-x=a".into()));
        assert_eq!(case(b"=a"), (None, "=a".into()));
        assert_eq!(case(b"\xff=a"), (None, BString::from(&b"\xff=a"[..])));
        assert_eq!(case(b"plain"), (None, "plain".into()));
    }

    #[test]
    fn a_key_is_the_file_name_up_to_its_first_dot() {
        let key = |path: &str| key_of(&Declared::path(path));
        assert_eq!(key("data/raw.tar.gz"), "raw");
        assert_eq!(key("folder/"), "folder");
        assert_eq!(key(".env"), ".env");
        assert_eq!(key(".env.local"), ".env");
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration_ms("30"), Ok(30_000));
        assert_eq!(duration_ms("250ms"), Ok(250));
        assert_eq!(duration_ms("1h30m"), Ok(5_400_000));
        for bad in ["", "x", "5 m", "1.5h", "-1s", "9999999999999999999d", "5y", "m"] {
            assert!(duration_ms(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_moment_is_a_date_or_an_age() {
        let now = Micros(1_795_342_830_000_000);
        assert_eq!(moment("2d", now), Ok(Micros(now.0 - 172_800_000_000)));
        assert_eq!(moment("90 m ago", now), Ok(Micros(now.0 - 5_400_000_000)));
        assert_eq!(moment("2026-11-22", now), Ok(Micros::parse("2026-11-22").unwrap()));
        assert!(moment("17", now).is_err());
        assert!(moment("yesterday", now).is_err());
    }
}
