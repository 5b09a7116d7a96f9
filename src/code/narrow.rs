//! What to write when only a wide code part made a run miss.

use std::fmt::Write;

use crate::object::run::Reason;
use crate::path::RelPath;

/// How the code of a step could be narrowed to what its command names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowing {
    /// Lines for `prov.toml`.
    pub lines: String,
    /// The same as words of a command line.
    pub flags: String,
}

/// The narrowing that would have made a hit: `None` unless every reason is a file of the code and none of these
/// files is one that the command names.
///
/// `reasons` are those of [`crate::recipe::explain()`], `named` the files of [`super::named_files`] and the program
/// of `argv[0]` if it is one of the project.
pub fn narrow(step: &str, reasons: &[Reason], named: &[RelPath]) -> Option<Narrowing> {
    let changed: Vec<&str> = reasons.iter().map(|r| r.part.strip_prefix("code.")).collect::<Option<_>>()?;
    let concerns = |part: &&str| {
        *part == "program"
            || named.iter().any(|n| n.to_string() == **part || n.to_string().starts_with(&format!("{part}/")))
    };
    if changed.is_empty() || changed.iter().any(concerns) {
        return None;
    }
    // A name that is no text can't stand in a settings file.
    let mut names: Vec<String> =
        named.iter().map(|n| String::from_utf8(n.as_bytes().to_vec()).ok()).collect::<Option<_>>()?;
    names.sort();
    names.dedup();
    for name in &mut names {
        if matches!(name.as_str(), "project" | "command" | "none") {
            name.insert_str(0, "./");
        }
        // Taken for globs, these would match something else.
        if name.contains(['*', '?', '[', '{']) {
            *name = globset::escape(name);
        }
    }
    if names.is_empty() {
        names.push("none".to_owned());
    }
    let list = names.iter().map(|n| toml_text(n)).collect::<Vec<_>>().join(", ");
    let flags = names.iter().map(|n| format!("--code {}", shell_word(n))).collect::<Vec<_>>().join(" ");
    Some(Narrowing { lines: format!("[steps.{}]\ncode = [{list}]", toml_key(step)), flags })
}

fn toml_key(name: &str) -> String {
    let is_plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_plain { name.to_owned() } else { toml_text(name) }
}

fn toml_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn shell_word(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_alphanumeric() || "_-./+,@%=".contains(c)) && !text.starts_with('-');
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::object::run::ReasonKind;

    fn reasons(parts: &[&str]) -> Vec<Reason> {
        parts
            .iter()
            .map(|p| Reason { part: (*p).to_owned(), kind: ReasonKind::Changed, before: None, after: None })
            .collect()
    }

    fn paths(list: &[&str]) -> Vec<RelPath> {
        list.iter().map(|p| RelPath::new(*p).unwrap()).collect()
    }

    #[test]
    fn the_lines_narrow_the_step_to_what_its_command_names() {
        let n =
            narrow("clean", &reasons(&["code.plot.py", "code.lib/x.py"]), &paths(&["src/clean.py", "a.sh"])).unwrap();
        assert_eq!(n.lines, "[steps.clean]\ncode = [\"a.sh\", \"src/clean.py\"]");
        assert_eq!(n.flags, "--code a.sh --code src/clean.py");
        let n = narrow("my step", &reasons(&["code.plot.py"]), &[]).unwrap();
        assert_eq!(n.lines, "[steps.\"my step\"]\ncode = [\"none\"]");
    }

    #[test]
    fn nothing_is_said_when_narrowing_would_not_help() {
        let named = paths(&["src/clean.py"]);
        for parts in
            [&["code.src/clean.py"][..], &["code.a.py", "inputs.raw"], &["code.program"], &["code.src"], &["code"], &[]]
        {
            assert_eq!(narrow("s", &reasons(parts), &named), None, "{parts:?}");
        }
    }

    #[test]
    fn the_lines_can_be_read_back() {
        let odd = paths(&["a \"b\"\n.py", "none", "x[1].py"]);
        let n = narrow("ünï", &reasons(&["code.z.py"]), &odd).unwrap();
        let mut settings = Settings::new();
        settings.add_text("prov.toml".as_ref(), n.lines.as_bytes()).unwrap();
        let mode = crate::code::Mode::parse(&settings.step("ünï").unwrap().texts("code"), &RelPath::root()).unwrap();
        let crate::code::Mode::Paths(patterns) = mode else { panic!("{mode:?}") };
        for path in &odd {
            assert!(patterns.iter().any(|p| p.matches(path)), "{path}");
        }
    }
}
