//! Decides by name and size which files are code, before anything is read.

use super::list::{Class, class};
use super::{Mode, Rules};
use crate::fs::{FileKind, Stat};
use crate::path::RelPath;

/// What a run says about files, beside the rules.
pub struct Scope<'a> {
    /// Whether the run itself declares the path or a folder above it: inputs, outputs, standard input, identity
    /// files, and the files given with `--config`. All of them have parts of their own in the recipe.
    pub is_declared: &'a dyn Fn(&RelPath) -> bool,
    /// Whether an executed run recorded the path as output, or a live run claims it.
    pub is_recorded_output: &'a dyn Fn(&RelPath) -> bool,
    /// Files that the command names ([`super::named_files`]). Those that the scan left out as ignored count too.
    pub named: &'a [(RelPath, Stat)],
}

impl std::fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope").field("named", &self.named).finish_non_exhaustive()
    }
}

/// The files that are code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// The files, sorted by path.
    pub files: Vec<(RelPath, Stat)>,
    /// Files that were left out for their size alone, sorted.
    pub left_out: Vec<(RelPath, u64)>,
    /// Patterns that named no file at all, as they were typed.
    pub unmatched: Vec<String>,
}

/// Selects the files that are code from a scan of the project (ignored files left out), in any order.
///
/// Symbolic links are selected by their own name; the one who hashes follows them.
pub fn select(scan: impl IntoIterator<Item = (RelPath, Stat)>, rules: &Rules, scope: &Scope<'_>) -> Selected {
    let mut selected = Selected::default();
    if matches!(rules.mode, Mode::None) {
        return selected;
    }
    let patterns: Vec<_> = match &rules.mode {
        Mode::Paths(patterns) => patterns.iter().chain(&rules.include).collect(),
        _ => rules.include.iter().collect(),
    };
    let mut matched = vec![false; patterns.len()];
    // Decided one by one as the scan goes, so that only code is held, not every file of a large project.
    for (path, stat) in scan.into_iter().chain(scope.named.iter().cloned()) {
        let exec = match stat.kind {
            FileKind::File { exec } => exec,
            FileKind::Link => false,
            FileKind::Folder | FileKind::Other => continue,
        };
        // Every pattern is asked, so that one which another covers does not count as matching nothing.
        let mut by_pattern = false;
        let mut exactly = false;
        for (pattern, matched) in patterns.iter().zip(&mut matched) {
            if pattern.matches(&path) {
                *matched = true;
                by_pattern = true;
                exactly |= pattern.is_exactly(&path);
            }
        }
        let is_named = scope.named.iter().any(|(named, _)| *named == path);
        let class = class(&path, exec);
        let by_mode = match rules.mode {
            Mode::Project => class.is_some() || (is_named && looks_like_a_program(&path, exec)),
            Mode::Command => is_named,
            Mode::Paths(_) | Mode::None => false,
        };
        if !(by_mode || by_pattern)
            || rules.exclude.iter().any(|pattern| pattern.matches(&path))
            || (scope.is_declared)(&path)
            || (class != Some(Class::Source) && !exactly && (scope.is_recorded_output)(&path))
        {
            continue;
        }
        if stat.size > rules.max_size && !is_named && !exactly {
            selected.left_out.push((path, stat.size));
        } else {
            selected.files.push((path, stat));
        }
    }
    // A named file comes from the scan as well, unless it is ignored.
    selected.files.sort_by(|a, b| a.0.cmp(&b.0));
    selected.files.dedup_by(|a, b| a.0 == b.0);
    selected.left_out.sort();
    selected.unmatched =
        patterns.iter().zip(matched).filter(|(_, hit)| !hit).map(|(pattern, _)| pattern.as_str().to_owned()).collect();
    selected
}

/// Whether a file that a command names counts as code where that is told by names alone, whatever was told to be left out.
pub fn counts_when_named(path: &RelPath, stat: &Stat) -> bool {
    match stat.kind {
        FileKind::File { exec } => class(path, exec).is_some() || looks_like_a_program(path, exec),
        FileKind::Link => true,
        FileKind::Folder | FileKind::Other => false,
    }
}

/// A file that a command names, no code by its name: a program if it may be executed or has no extension.
fn looks_like_a_program(path: &RelPath, exec: bool) -> bool {
    exec || path.file_name().is_some_and(|name| !name.contains(&b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Pattern;

    fn stat(size: u64, exec: bool) -> Stat {
        Stat { kind: FileKind::File { exec }, dev: 1, ino: 1, size, mtime_ns: 0, ctime_ns: 0, links: 1, mode: 0 }
    }

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn scan() -> Vec<(RelPath, Stat)> {
        let mut files: Vec<(RelPath, Stat)> = [
            "lib/helper.py",
            "clean.py",
            "README.md",
            "data/raw.csv",
            "config.yaml",
            "work/out.yaml",
            "gen/made.py",
            "uv.lock",
        ]
        .iter()
        .map(|p| (path(p), stat(10, false)))
        .collect();
        files.push((path("big.py"), stat(2 << 20, false)));
        files.push((path("tools/run"), stat(10, true)));
        files.push((path("tools/plain"), stat(10, false)));
        files
    }

    fn patterns(list: &[&str]) -> Vec<Pattern> {
        list.iter().map(|p| Pattern::new(p, &RelPath::root()).unwrap()).collect()
    }

    fn selected(rules: &Rules, named: &[&str], declared: &[&str], recorded: &[&str]) -> (Vec<String>, Vec<String>) {
        let named: Vec<(RelPath, Stat)> = named
            .iter()
            .map(|p| (path(p), scan().into_iter().find(|f| f.0 == path(p)).map_or(stat(5, false), |f| f.1)))
            .collect();
        let scope = Scope {
            is_declared: &|p| declared.iter().any(|d| p.is_within(&path(d))),
            is_recorded_output: &|p| recorded.iter().any(|d| *p == path(d)),
            named: &named,
        };
        let s = select(scan(), rules, &scope);
        (s.files.iter().map(|f| f.0.to_string()).collect(), s.left_out.iter().map(|f| f.0.to_string()).collect())
    }

    #[test]
    fn the_project_is_its_source_and_configuration() {
        let (files, left_out) = selected(&Rules::default(), &[], &[], &[]);
        assert_eq!(
            files,
            ["clean.py", "config.yaml", "gen/made.py", "lib/helper.py", "tools/run", "uv.lock", "work/out.yaml"]
        );
        assert_eq!(left_out, ["big.py"]);
    }

    #[test]
    fn outputs_are_left_out_unless_they_are_source() {
        let (files, _) = selected(&Rules::default(), &[], &["config.yaml", "lib"], &["work/out.yaml", "gen/made.py"]);
        assert_eq!(files, ["clean.py", "gen/made.py", "tools/run", "uv.lock"]);
    }

    #[test]
    fn what_the_command_names_counts_when_it_is_a_program() {
        let (files, left_out) = selected(&Rules::default(), &["big.py", "tools/plain", "data/raw.csv"], &[], &[]);
        assert!(files.contains(&"big.py".to_owned()) && files.contains(&"tools/plain".to_owned()));
        assert!(!files.contains(&"data/raw.csv".to_owned()));
        assert!(left_out.is_empty());
    }

    #[test]
    fn command_mode_takes_the_named_files_only() {
        let rules = Rules { mode: Mode::Command, ..Rules::default() };
        let (files, _) = selected(&rules, &["clean.py", "data/raw.csv", "ignored.py"], &["data"], &[]);
        assert_eq!(files, ["clean.py", "ignored.py"]);
    }

    #[test]
    fn patterns_add_and_take_away() {
        let rules = Rules { mode: Mode::Paths(patterns(&["lib", "data/*.csv", "nope"])), ..Rules::default() };
        assert_eq!(selected(&rules, &[], &[], &[]).0, ["data/raw.csv", "lib/helper.py"]);
        let scope = Scope { is_declared: &|_| false, is_recorded_output: &|_| false, named: &[] };
        assert_eq!(select(scan(), &rules, &scope).unmatched, ["nope"]);
        let rules = Rules {
            include: patterns(&["data/raw.csv", "big.py"]),
            exclude: patterns(&["**/*.yaml", "tools"]),
            ..Rules::default()
        };
        assert_eq!(
            selected(&rules, &[], &[], &["data/raw.csv"]).0,
            ["big.py", "clean.py", "data/raw.csv", "gen/made.py", "lib/helper.py", "uv.lock"]
        );
    }

    #[test]
    fn none_is_nothing() {
        let rules = Rules { mode: Mode::None, include: patterns(&["clean.py"]), ..Rules::default() };
        assert!(selected(&rules, &["clean.py"], &[], &[]).0.is_empty());
    }
}
