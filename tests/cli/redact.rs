//! Takes out of a text what differs from one run of the tests to the next.

use std::path::Path;

/// The text with the sandbox as `[DIR]`, ids as `[ID]`, run ids as `[RUN]`, times as `[TIME]` and durations as `[TOOK]`.
pub(crate) fn redacted(text: &str, root: &Path) -> String {
    let root = root.to_str().unwrap();
    // Where the temporary folder is itself a link, both forms occur.
    let real = Path::new(root).canonicalize().unwrap_or_else(|_| root.into());
    let text = text.replace(real.to_str().unwrap(), "[DIR]").replace(root, "[DIR]");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let at_start = !before.is_alphanumeric();
        let found =
            at_start.then(|| RULES.iter().find_map(|(rule, name)| rule(rest).map(|len| (len, *name)))).flatten();
        if let Some((len, name)) = found {
            out.push_str(name);
            rest = &rest[len..];
            before = ']';
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            before = c;
        }
    }
    out
}

type Rule = fn(&str) -> Option<usize>;

const RULES: &[(Rule, &str)] = &[(run, "[RUN]"), (time, "[TIME]"), (id, "[ID]"), (took, "[TOOK]")];

/// Matches a shape in which `0` stands for a digit; gives its length.
fn shape(text: &str, shape: &str) -> Option<usize> {
    let mut bytes = text.bytes();
    let fits = shape
        .bytes()
        .all(|want| bytes.next().is_some_and(|byte| if want == b'0' { byte.is_ascii_digit() } else { byte == want }));
    fits.then_some(shape.len())
}

fn run(text: &str) -> Option<usize> {
    let stamp = shape(text, "00000000T000000.000000Z-")?;
    let word =
        text[stamp..].bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')).count();
    (word >= 18).then_some(stamp + word)
}

fn time(text: &str) -> Option<usize> {
    shape(text, "0000-00-00T00:00:00.000000Z").or_else(|| shape(text, "0000-00-00 00:00:00 UTC"))
}

fn id(text: &str) -> Option<usize> {
    let hex = text.bytes().take_while(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b)).count();
    let ends = !text[hex..].starts_with(char::is_alphanumeric);
    (hex == 64 && ends).then_some(hex)
}

fn took(text: &str) -> Option<usize> {
    let number = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let unit = [" ms", " s"].into_iter().find(|unit| text[number..].starts_with(unit))?;
    let ends = !text[number + unit.len()..].starts_with(char::is_alphanumeric);
    (number > 0 && ends).then_some(number + unit.len())
}

#[test]
fn what_differs_is_taken_out() {
    let id = "0123456789abcdef".repeat(4);
    let text = format!(
        "/t/x/a {id} x{id} 2026-11-22T10:20:30.123456Z 20261122T102030.123456Z-clean-abcdefgh12345678 took 3 ms 3 msx"
    );
    assert_eq!(redacted(&text, Path::new("/t/x")), format!("[DIR]/a [ID] x{id} [TIME] [RUN] took [TOOK] 3 msx"));
}
