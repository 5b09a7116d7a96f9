//! Holds the architecture: reads `src/` and fails on an import that goes up, on a wrapped dependency used outside its
//! owner, on a file that grew too long, and on a folder that does not say what it is for.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The rows of the architecture, lowest first. A module uses lower rows only. Within a row modules may use each other as
/// long as there is no cycle; a row marked `ordered` lets a module use only those before it.
const ROWS: &[Row] = &[
    Row { name: "base", modules: &["hash", "path", "fs", "clock", "progress", "host", "deflate"], is_ordered: false },
    Row { name: "format", modules: &["codec", "config", "tabular"], is_ordered: false },
    Row { name: "model", modules: &["object", "event"], is_ordered: false },
    Row { name: "services", modules: &["worktree", "code", "fetch", "index"], is_ordered: false },
    Row { name: "storage", modules: &["store", "refs", "recipe"], is_ordered: false },
    Row { name: "handle", modules: &["repo"], is_ordered: false },
    Row {
        name: "domain",
        modules: &["journal", "mark", "note", "tag", "scenario", "verdict", "revspec", "lineage", "run"],
        is_ordered: true,
    },
    Row { name: "workflows", modules: &["pipeline", "query", "sync", "interchange", "maintain"], is_ordered: false },
];

/// Rows that a row must not use although they lie below it: the store knows nothing of work trees or of Git.
const APART: &[(&str, &str)] = &[("storage", "services")];

/// Dependencies with the only place that may name them: a module, or `bin`.
const OWNERS: &[(&str, &str)] = &[
    ("blake3", "hash"),
    ("sha2", "hash"),
    ("flate2", "deflate"),
    ("rmp_serde", "codec"),
    ("gix", "code"),
    ("memmap2", "fs"),
    ("walkdir", "fs"),
    ("ignore", "worktree"),
    ("globset", "code"),
    ("serde_saphyr", "config"),
    ("toml", "config"),
    ("fastcdc", "store"),
    ("zstd", "store"),
    ("similar", "query"),
    ("ureq", "fetch"),
    ("rusqlite", "index"),
    ("object_store", "sync"),
    ("tokio", "sync"),
    ("getrandom", "clock"),
    ("jiff", "clock"),
    ("signal_hook", "run"),
    ("clap", "bin"),
    ("clap_complete", "bin"),
    ("comfy_table", "bin"),
    ("indicatif", "bin"),
    ("anstyle", "bin"),
];

/// No file is longer than this.
const MOST_LINES: usize = 1000;
/// A file this long is worth looking at for a second noun.
const MANY_LINES: usize = 700;

struct Row {
    name: &'static str,
    modules: &'static [&'static str],
    is_ordered: bool,
}

/// A source file without comments, text and tests.
struct Source {
    /// Relative to `src/`.
    path: PathBuf,
    /// The modules that lead to it: `["fs", "stat"]`; empty for the library's root.
    module: Vec<String>,
    tokens: Vec<String>,
    text: String,
}

impl Source {
    fn is_binary(&self) -> bool {
        self.path.starts_with("bin")
    }

    /// The module below the library's root that it belongs to, or `bin`.
    fn owner(&self) -> &str {
        if self.is_binary() { "bin" } else { self.module.first().map_or("", String::as_str) }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let fs = prov::fs::Fs::real();
    let mut sources: Vec<Source> = fs
        .walk(&root)
        .map(|item| item.unwrap().0)
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(&root).unwrap().to_owned();
            let tokens = without_tests(&tokens(&text));
            Source { module: module_of(&path), tokens, text, path }
        })
        .collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn module_of(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        path.with_extension("").components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// Words and signs of Rust source, comments and literals left out.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            let mut depth = 1;
            i += 2;
            while i < chars.len() && depth > 0 {
                match (chars[i], at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 1),
                    ('*', '/') => (depth, i) = (depth - 1, i + 1),
                    _ => {}
                }
                i += 1;
            }
        } else if c == '"' {
            i += 1;
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if c == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            // A character; a lifetime has no closing quote.
            i += if at(i + 1) == '\\' { 3 } else { 2 };
            while i < chars.len() && chars[i] != '\'' {
                i += 1;
            }
            i += 1;
        } else if c.is_alphabetic() || c == '_' {
            let start = i;
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            let word: String = chars[start..i].iter().collect();
            let hashes = (0..chars.len()).take_while(|n| at(i + n) == '#').count();
            if matches!(word.as_str(), "r" | "br" | "cr") && at(i + hashes) == '"' {
                i += hashes + 1;
                while i < chars.len() && !(chars[i] == '"' && (1..=hashes).all(|n| at(i + n) == '#')) {
                    i += 1;
                }
                i += hashes + 1;
            } else {
                tokens.push(word);
            }
        } else if c == ':' && at(i + 1) == ':' {
            tokens.push("::".to_owned());
            i += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            i += 1;
        }
    }
    tokens
}

/// Leaves out what follows `#[cfg(test)]`: one item, up to its closing brace or semicolon.
fn without_tests(tokens: &[String]) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        if tokens[i..].iter().take(MARK.len()).eq(MARK) {
            i += MARK.len();
            let mut depth = 0;
            while i < tokens.len() {
                match tokens[i].as_str() {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    _ => {}
                }
                i += 1;
                if depth == 0 && matches!(tokens[i - 1].as_str(), "}" | ";") {
                    break;
                }
            }
        } else {
            kept.push(tokens[i].clone());
            i += 1;
        }
    }
    kept
}

/// The modules below the root that a library source uses.
fn used(source: &Source) -> BTreeSet<String> {
    let tokens = &source.tokens;
    let mut used = BTreeSet::new();
    let mut i = 0;
    while i < tokens.len() {
        let starts_path = i == 0 || tokens[i - 1] != "::";
        let is_path = tokens.get(i + 1).is_some_and(|next| next == "::");
        match tokens[i].as_str() {
            "crate" if is_path && starts_path => names_at(tokens, i + 2, &mut used),
            "super" if is_path && starts_path => {
                let mut depth = 0;
                while tokens.get(i).is_some_and(|token| token == "super")
                    && tokens.get(i + 1).is_some_and(|t| t == "::")
                {
                    depth += 1;
                    i += 2;
                }
                // `super` of a module right below the root is the root.
                if depth >= source.module.len() {
                    names_at(tokens, i, &mut used);
                }
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    used.remove(source.owner());
    used
}

/// The name at `i`, or all first names of the group `{...}` there.
fn names_at(tokens: &[String], i: usize, names: &mut BTreeSet<String>) {
    let is_name = |token: &String| token.chars().all(|c| c.is_alphanumeric() || c == '_');
    match tokens.get(i) {
        Some(open) if open == "{" => {
            let mut depth = 0;
            for (at, token) in tokens.iter().enumerate().skip(i) {
                match token.as_str() {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                if depth == 1 && is_name(token) && matches!(tokens[at - 1].as_str(), "{" | ",") {
                    names.insert(token.clone());
                }
            }
        }
        Some(name) if is_name(name) => {
            names.insert(name.clone());
        }
        _ => {}
    }
}

fn row_of(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.modules.contains(&module))
}

/// Why `from` must not use `to`; `None` if it may.
fn objection(from: &str, to: &str) -> Option<String> {
    let (Some(upper), Some(lower)) = (row_of(from), row_of(to)) else { return None };
    let (row, other) = (&ROWS[upper], &ROWS[lower]);
    if APART.contains(&(row.name, other.name)) {
        return Some(format!("{} and {} are to stay apart", row.name, other.name));
    }
    let rank = |module: &str| row.modules.iter().position(|name| *name == module);
    if lower > upper {
        return Some(format!("{} is above {}", other.name, row.name));
    }
    let is_after = lower == upper && row.is_ordered && rank(to) > rank(from);
    is_after.then(|| format!("within {}, `{to}` comes after `{from}`", row.name))
}

#[test]
fn imports_go_down() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.is_binary() && !source.module.is_empty()) {
        let owner = source.owner();
        if row_of(owner).is_none() {
            wrong.push(format!("src/{}: module `{owner}` is in no row", source.path.display()));
        }
        for to in used(source) {
            if let Some(why) = objection(owner, &to) {
                wrong.push(format!("src/{} uses `{to}`: {why}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn modules_of_a_row_do_not_use_each_other_in_a_circle() {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources().iter().filter(|source| !source.is_binary()) {
        edges.entry(source.owner().to_owned()).or_default().extend(used(source));
    }
    for row in ROWS {
        for start in row.modules {
            let mut seen = BTreeSet::new();
            let mut next: Vec<&str> = vec![start];
            while let Some(module) = next.pop() {
                for to in edges.get(module).into_iter().flatten().filter(|to| row.modules.contains(&to.as_str())) {
                    assert_ne!(to, start, "`{start}` uses itself through `{module}`");
                    if seen.insert(to) {
                        next.push(to);
                    }
                }
            }
        }
    }
}

#[test]
fn the_binary_uses_the_library_by_its_name_and_the_library_not_the_binary() {
    for source in sources() {
        let names_prov = source.tokens.windows(2).any(|pair| pair[0] == "prov" && pair[1] == "::");
        assert!(source.is_binary() || !names_prov, "src/{} names the crate from within", source.path.display());
    }
}

#[test]
fn a_wrapped_dependency_is_named_by_its_owner_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        let mut before = "";
        for pair in source.tokens.windows(2) {
            let is_path_start = pair[1] == "::" && before != "::" || before == "use";
            if is_path_start
                && let Some((dependency, owner)) = OWNERS.iter().find(|(dependency, _)| *dependency == pair[0])
                && *owner != source.owner()
            {
                wrong.push(format!("src/{} uses {dependency}, which belongs to {owner}", source.path.display()));
            }
            before = &pair[0];
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    for source in sources() {
        let lines = source.text.lines().count();
        assert!(lines <= MOST_LINES, "src/{} has {lines} lines", source.path.display());
        if lines > MANY_LINES {
            println!("src/{} has {lines} lines: look for a second noun", source.path.display());
        }
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "src/{} does not open with its purpose", source.path.display());
        let parts = source.path.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
        for name in parts.map(|part| part.trim_end_matches(".rs").to_owned()) {
            let is_vague = ["util", "utils", "helper", "helpers", "manager", "common", "misc"].contains(&name.as_str());
            assert!(!is_vague, "src/{}: a name that says nothing", source.path.display());
        }
    }
}

mod the_reader {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        let path = PathBuf::from(path);
        Source { module: module_of(&path), tokens: without_tests(&tokens(text)), text: text.to_owned(), path }
    }

    #[test]
    fn sees_single_grouped_and_relative_imports() {
        let text = r##"
            //! crate::run
            use crate::{codec::{self, run}, hash::Id, path};
            use super::super::store::Store; /* crate::query */
            fn f<'a>(x: &'a str) -> char { crate::clock::now("crate::pipeline"); r#"crate::sync"#; '"' }
            #[cfg(test)]
            mod tests { use crate::repo; fn g() {} }
            fn after() { super::near(); crate::fs::open() }
        "##;
        let used = used(&source("object/tree.rs", text));
        let expected = ["clock", "codec", "fs", "hash", "path", "store"].map(String::from);
        assert_eq!(used, BTreeSet::from(expected));
    }

    #[test]
    fn objects_to_ways_up() {
        assert!(objection("object", "store").is_some());
        assert!(objection("store", "worktree").is_some());
        assert!(objection("worktree", "store").is_some());
        assert!(objection("revspec", "run").is_some());
        assert!(objection("run", "revspec").is_none());
        assert!(objection("repo", "code").is_none());
    }
}
