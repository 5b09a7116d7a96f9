//! Where the placeholders of a text are.

/// Which rules say what a placeholder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// Otter's: `${key}` and `$key`, `$$` for a `$`, keys of two characters and more with dots and blanks in them, every other `$` a mistake.
    Otter,
    /// prov's: `${key}`, `$${` for `${`; every other `$` is itself.
    Native,
}

/// A stretch of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Text as it is.
    Plain(&'a str),
    /// An escape and what it stands for.
    Escaped { written: &'a str, means: &'static str },
    /// A placeholder as it is written, and its key.
    Key { at: usize, written: &'a str, key: &'a str },
    /// A `$` that begins nothing.
    Malformed { at: usize, written: &'a str },
}

/// The parts of `text`, all of it, in order.
pub(super) fn parts(text: &str, syntax: Syntax) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut plain = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find('$') {
        let dollar = at + found;
        let (part, len) = match syntax {
            Syntax::Otter => otter(text, dollar),
            Syntax::Native => match native(text, dollar) {
                Some(found) => found,
                None => {
                    at = dollar + 1;
                    continue;
                }
            },
        };
        if plain < dollar {
            parts.push(Part::Plain(&text[plain..dollar]));
        }
        parts.push(part);
        at = dollar + len;
        plain = at;
    }
    if plain < text.len() {
        parts.push(Part::Plain(&text[plain..]));
    }
    parts
}

fn otter(text: &str, at: usize) -> (Part<'_>, usize) {
    let rest = &text[at + 1..];
    if rest.starts_with('$') {
        return (Part::Escaped { written: &text[at..at + 2], means: "$" }, 2);
    }
    if let Some(len) = otter_key(rest) {
        return (Part::Key { at, written: &text[at..=at + len], key: &rest[..len] }, len + 1);
    }
    if let Some(inside) = rest.strip_prefix('{')
        && let Some(len) = otter_key(inside)
        && inside[len..].starts_with('}')
    {
        return (Part::Key { at, written: &text[at..at + len + 3], key: &inside[..len] }, len + 3);
    }
    (Part::Malformed { at, written: "$" }, 1)
}

/// The length of the longest key that `text` begins with: a letter or `_`, then letters, digits, `_`, dots and blanks, of which the last
/// is neither dot nor blank.
fn otter_key(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_end = |b: u8| b == b'_' || b.is_ascii_alphanumeric();
    // Python's `\s` has the vertical tab as well.
    let is_inner = |b: u8| is_end(b) || b == b'.' || b.is_ascii_whitespace() || b == 0x0b;
    if !bytes.first().is_some_and(|&b| b == b'_' || b.is_ascii_alphabetic()) {
        return None;
    }
    let run = 1 + bytes[1..].iter().take_while(|&&b| is_inner(b)).count();
    (1..run).rev().find(|&last| is_end(bytes[last])).map(|last| last + 1)
}

/// What begins at the `$`; `None` if it is an ordinary character.
fn native(text: &str, at: usize) -> Option<(Part<'_>, usize)> {
    let rest = &text[at + 1..];
    if rest.starts_with("${") {
        return Some((Part::Escaped { written: &text[at..at + 3], means: "${" }, 3));
    }
    let inside = rest.strip_prefix('{')?;
    let len = inside.bytes().take_while(|&b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')).count();
    let is_key = inside.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
    if is_key && inside[len..].starts_with('}') {
        return Some((Part::Key { at, written: &text[at..at + len + 3], key: &inside[..len] }, len + 3));
    }
    Some((Part::Malformed { at, written: &text[at..at + 2] }, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str, syntax: Syntax) -> Vec<&str> {
        parts(text, syntax)
            .into_iter()
            .filter_map(|part| match part {
                Part::Key { key, .. } => Some(key),
                Part::Malformed { .. } => Some("!"),
                Part::Escaped { .. } => Some("$"),
                Part::Plain(_) => None,
            })
            .collect()
    }

    #[test]
    fn otter_takes_the_longest_key_and_wants_two_characters() {
        for (text, expected) in [
            ("${a}", vec!["!"]),
            ("${ab}", vec!["ab"]),
            ("$ab", vec!["ab"]),
            ("$a", vec!["!"]),
            ("$version of file", vec!["version of file"]),
            ("$version of file.", vec!["version of file"]),
            ("$version. ", vec!["version"]),
            ("${a.b c}", vec!["a.b c"]),
            ("${a.}", vec!["!"]),
            ("${a-b}", vec!["!"]),
            ("$$ab", vec!["$"]),
            ("$$$ab", vec!["$", "ab"]),
            ("100$", vec!["!"]),
            ("a$.txt", vec!["!"]),
            ("$1a", vec!["!"]),
            ("${_x}$_y", vec!["_x", "_y"]),
            ("$é", vec!["!"]),
            ("$abé", vec!["ab"]),
            ("${AB\tc}", vec!["AB\tc"]),
            ("{ab}", vec![]),
        ] {
            assert_eq!(keys(text, Syntax::Otter), expected, "{text}");
        }
    }

    #[test]
    fn native_has_braces_only() {
        for (text, expected) in [
            ("${a}", vec!["a"]),
            ("$HOME/$x $$ 100$", vec![]),
            ("$${a}", vec!["$"]),
            ("$$${a}", vec!["$"]),
            ("${a b}", vec!["!"]),
            ("${", vec!["!"]),
            ("${a-b.c_1}", vec!["a-b.c_1"]),
            ("${1}", vec!["!"]),
        ] {
            assert_eq!(keys(text, Syntax::Native), expected, "{text}");
        }
    }

    #[test]
    fn the_parts_are_the_whole_text() {
        for text in ["", "$", "a$$b${cd}e$", "é${é}$é", "${", "$${", "x${ab}${cd}"] {
            for syntax in [Syntax::Otter, Syntax::Native] {
                let whole: String = parts(text, syntax)
                    .into_iter()
                    .map(|part| match part {
                        Part::Plain(written)
                        | Part::Escaped { written, .. }
                        | Part::Key { written, .. }
                        | Part::Malformed { written, .. } => written,
                    })
                    .collect();
                assert_eq!(whole, text);
            }
        }
    }
}
