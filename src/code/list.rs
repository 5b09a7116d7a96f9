//! The list by which a file's name says that it is code.
//!
//! | class | what it is |
//! |---|---|
//! | source | programs: by extension ([`SOURCE`]), by name ([`SOURCE_NAMES`]), and executable files without extension |
//! | configuration | what programs are built or set up by: by extension ([`CONFIGURATION`]), by name ([`CONFIGURATION_NAMES`]) |
//! | neither | everything else: data (`csv`, `json`, `xml`, `parquet`, ...), documents (`md`, `rst`, `txt`, `ipynb`, ...), pictures |
//!
//! Lock files of package managers are configuration by their names; any other `*.lock` is a mark that some program is
//! at work and is neither. Notebooks (`ipynb`) are neither, because they hold their own results: running one would change the code. JSON is
//! data unless its name is on the list. Names that begin with a dot, and whatever lies in a folder whose name does,
//! are neither unless the name is on the list; so are folders of other people's packages ([`PACKAGE_FOLDERS`]).
//! `prov.toml`, `prov.yaml` and `prov.lock` are neither: what they say comes into a recipe by its own parts.

use bstr::{BStr, ByteSlice};

use crate::hash::Id;
use crate::path::RelPath;

/// What a file is by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A program or a part of one.
    Source,
    /// What programs are built or set up by.
    Configuration,
}

/// Extensions of program source, lower case (a file's own may be of any case), sorted.
pub const SOURCE: &[&str] = &[
    "ado", "asm", "awk", "bash", "bat", "bzl", "c", "cc", "cjs", "cl", "clj", "cljs", "cmake", "cob", "coffee", "cpp",
    "cs", "cu", "cuh", "cxx", "cypher", "d", "dart", "do", "el", "erl", "ex", "exs", "f", "f03", "f08", "f77", "f90",
    "f95", "fish", "for", "fs", "fsx", "gms", "go", "gp", "gradle", "groovy", "h", "hh", "hpp", "hs", "hxx", "inc",
    "inl", "ipp", "j2", "java", "jinja", "jl", "jq", "js", "jsx", "ksh", "kt", "kts", "lisp", "lua", "m", "mjs", "mk",
    "ml", "mli", "mm", "mts", "nf", "nim", "nix", "pas", "php", "pl", "plt", "pm", "pro", "ps1", "pxd", "pxi", "py",
    "pyi", "pyx", "qmd", "qml", "r", "rb", "rkt", "rmd", "rnw", "rs", "s", "sas", "sc", "scala", "scm", "sed", "sh",
    "smk", "sol", "sps", "sql", "stan", "sv", "svelte", "swift", "tcl", "thrift", "ts", "tsx", "v", "vb", "vhd",
    "vhdl", "vue", "wdl", "wl", "xsl", "xslt", "zig", "zsh",
];

/// Names of program source, sorted.
pub const SOURCE_NAMES: &[&str] = &[
    "BUILD",
    "BUILD.bazel",
    "CMakeLists.txt",
    "Containerfile",
    "DESCRIPTION",
    "Dockerfile",
    "GNUmakefile",
    "Gemfile",
    "Jenkinsfile",
    "Justfile",
    "Makefile",
    "NAMESPACE",
    "Procfile",
    "Rakefile",
    "SConscript",
    "SConstruct",
    "Singularity",
    "Snakefile",
    "Vagrantfile",
    "WORKSPACE",
    "configure.ac",
    "go.mod",
    "justfile",
    "makefile",
    "meson.build",
    "pom.xml",
];

/// Extensions of configuration, lower case, sorted.
pub const CONFIGURATION: &[&str] = &[
    "cfg",
    "cnf",
    "conf",
    "cue",
    "dhall",
    "hcl",
    "hocon",
    "ini",
    "json5",
    "jsonnet",
    "libsonnet",
    "nml",
    "properties",
    "tf",
    "toml",
    "yaml",
    "yml",
];

/// Names of configuration, sorted.
pub const CONFIGURATION_NAMES: &[&str] = &[
    ".Rprofile",
    ".node-version",
    ".nvmrc",
    ".python-version",
    ".ruby-version",
    ".tool-versions",
    "Cargo.lock",
    "Gemfile.lock",
    "Package.resolved",
    "Pipfile",
    "Pipfile.lock",
    "Podfile.lock",
    "bun.lock",
    "cabal.project",
    "composer.json",
    "composer.lock",
    "conan.lock",
    "conanfile.txt",
    "constraints.txt",
    "deno.json",
    "deno.lock",
    "flake.lock",
    "go.sum",
    "go.work",
    "go.work.sum",
    "gradle.lockfile",
    "mix.lock",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "package.json",
    "packrat.lock",
    "pdm.lock",
    "pixi.lock",
    "poetry.lock",
    "pubspec.lock",
    "renv.lock",
    "requirements.in",
    "requirements.txt",
    "rust-toolchain",
    "tsconfig.json",
    "uv.lock",
    "yarn.lock",
];

/// Folders of packages that others wrote, sorted.
pub const PACKAGE_FOLDERS: &[&str] = &["__pycache__", "node_modules", "site-packages", "venv"];

/// prov's own files, whose content comes into a recipe by its own parts.
const OWN: &[&str] = &["prov.lock", "prov.toml", "prov.yaml", "prov.yml"];

/// Grows with every change of what the functions here make of the lists.
const VERSION: &str = "1";

/// Tells what counts as code by its name from what did in other versions of prov: for what is remembered by it.
pub fn id() -> Id {
    let lists = [SOURCE, SOURCE_NAMES, CONFIGURATION, CONFIGURATION_NAMES, PACKAGE_FOLDERS, OWN];
    let text = lists.map(|list| list.join("/")).join("//") + VERSION;
    crate::hash::derived("prov 2026-11 which names are code", text.as_bytes())
}

/// What a file is by its name and its executable bit; `None` if it is no code.
pub fn class(path: &RelPath, exec: bool) -> Option<Class> {
    let name = path.file_name()?;
    let mut folders = path.components().rev().skip(1);
    if folders.all(|folder| may_hold_code(folder)) { class_of_name(name, exec) } else { None }
}

/// Whether a file of this name, that may be executed or not, is code by them where code may lie.
pub fn may_be_code(name: &[u8], exec: bool) -> bool {
    class_of_name(name.as_bstr(), exec).is_some()
}

/// Whether what lies in a folder of this name may be code by its name.
pub fn may_hold_code(folder: &[u8]) -> bool {
    !folder.starts_with(b".") && !PACKAGES.has(folder.as_bstr())
}

/// As [`class`], for a file that lies where code may lie. A file that may be executed is never less than one that may not.
fn class_of_name(name: &BStr, exec: bool) -> Option<Class> {
    if OWN_FILES.has(name) {
        return None;
    }
    if SOURCE_FILES.has(name) {
        return Some(Class::Source);
    }
    if CONFIGURATION_FILES.has(name) || is_requirements(name) {
        return Some(Class::Configuration);
    }
    if name.starts_with(b".") {
        return None;
    }
    let Some((stem, extension)) = name.rsplit_once_str(".") else {
        return exec.then_some(Class::Source);
    };
    if matches!(stem, b"Dockerfile" | b"Makefile" | b"Snakefile") {
        return Some(Class::Source);
    }
    if extension.len() > 16 {
        return None;
    }
    let mut lower = [0; 16];
    let lower = &mut lower[..extension.len()];
    lower.copy_from_slice(extension);
    lower.make_ascii_lowercase();
    if SOURCES.has(lower.as_bstr()) {
        Some(Class::Source)
    } else if CONFIGURATIONS.has(lower.as_bstr()) {
        Some(Class::Configuration)
    } else {
        None
    }
}

/// `requirements-dev.txt`, `requirements_gpu.txt`.
fn is_requirements(name: &BStr) -> bool {
    name.starts_with(b"requirements") && name.ends_with(b".txt")
}

/// A list to look many names up in, most of which are not in it.
struct Names {
    sorted: &'static [&'static str],
    /// A bit for what some bytes of each name make together: where there is none, no name of the list has them.
    bits: [u64; 64],
}

impl Names {
    const fn of(sorted: &'static [&'static str]) -> Self {
        let mut bits = [0; 64];
        let mut at = 0;
        while at < sorted.len() {
            let bit = Self::bit(sorted[at].as_bytes());
            bits[bit / 64] |= 1 << (bit % 64);
            at += 1;
        }
        Self { sorted, bits }
    }

    const fn bit(name: &[u8]) -> usize {
        let [first, .., last] = name else { return name.len() };
        let (first, second, last) = (*first as usize, name[1] as usize, *last as usize);
        (first * 131 + second * 31 + last * 7 + name.len() * 1009) % 4096
    }

    fn has(&self, name: &BStr) -> bool {
        let bit = Self::bit(name);
        self.bits[bit / 64] & (1 << (bit % 64)) != 0
            && self.sorted.binary_search_by(|entry| entry.as_bytes().cmp(name)).is_ok()
    }
}

static SOURCES: Names = Names::of(SOURCE);
static SOURCE_FILES: Names = Names::of(SOURCE_NAMES);
static CONFIGURATIONS: Names = Names::of(CONFIGURATION);
static CONFIGURATION_FILES: Names = Names::of(CONFIGURATION_NAMES);
static PACKAGES: Names = Names::of(PACKAGE_FOLDERS);
static OWN_FILES: Names = Names::of(OWN);

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, exec: bool) -> Option<Class> {
        class(&RelPath::new(path).unwrap(), exec)
    }

    #[test]
    fn the_lists_are_sorted() {
        for list in [SOURCE, SOURCE_NAMES, CONFIGURATION, CONFIGURATION_NAMES, PACKAGE_FOLDERS, OWN] {
            for pair in list.windows(2) {
                assert!(pair[0].as_bytes() < pair[1].as_bytes(), "{} before {}", pair[0], pair[1]);
            }
        }
    }

    #[test]
    fn all_that_is_in_a_list_is_found_in_it_and_nothing_else() {
        for list in [&SOURCES, &SOURCE_FILES, &CONFIGURATIONS, &CONFIGURATION_FILES, &PACKAGES, &OWN_FILES] {
            for name in list.sorted {
                assert!(list.has(name.as_bytes().as_bstr()), "{name}");
                let (longer, shorter) = (format!("{name}{name}"), &name[1..]);
                for other in [longer.as_str(), shorter, "", "x".repeat(70).as_str()] {
                    assert_eq!(list.has(other.as_bytes().as_bstr()), list.sorted.contains(&other), "{other}");
                }
            }
        }
    }

    #[test]
    fn programs_are_source() {
        for path in
            ["a.py", "src/x.R", "a.F90", "m.awk", "Makefile", "sub/Snakefile", "Dockerfile.gpu", "CMakeLists.txt"]
        {
            assert_eq!(of(path, false), Some(Class::Source), "{path}");
        }
        assert_eq!(of("bin/clean", true), Some(Class::Source));
        assert_eq!(of("bin/clean", false), None);
    }

    #[test]
    fn set_up_is_configuration() {
        for path in [
            "config.yaml",
            "Cargo.toml",
            "Cargo.lock",
            "uv.lock",
            "poetry.lock",
            "setup.cfg",
            "environment.yml",
            "requirements-dev.txt",
            "package-lock.json",
            ".python-version",
        ] {
            assert_eq!(of(path, false), Some(Class::Configuration), "{path}");
        }
    }

    #[test]
    fn data_and_documents_are_neither() {
        for path in [
            "raw.csv",
            "x.json",
            "README.md",
            "docs/a.rst",
            "notes.txt",
            "LICENSE",
            "nb.ipynb",
            "a.parquet",
            ".env",
            ".git/config",
            ".github/workflows/ci.yml",
            "node_modules/x/a.js",
            "lib/site-packages/x.py",
            ".pre-commit-config.yaml",
            "run.lock",
            "prov.toml",
            "archive.tar.gz",
            "",
        ] {
            assert_eq!(of(path, false), None, "{path}");
        }
        assert_eq!(of("run.csv", true), None);
    }

    #[test]
    fn nothing_that_is_code_is_left_out_by_its_name_alone() {
        use proptest::prelude::*;
        let name = prop_oneof![
            prop::sample::select(
                [
                    SOURCE_NAMES,
                    CONFIGURATION_NAMES,
                    PACKAGE_FOLDERS,
                    OWN,
                    &["x.PY", "run", ".x", ".x.py", "a.csv", "requirements-x.txt"]
                ]
                .concat()
            )
            .prop_map(str::to_owned),
            prop::sample::select([SOURCE, CONFIGURATION].concat()).prop_map(|extension| format!("a.{extension}")),
            "[.a-c]{1,3}".prop_filter("a name", |name| name != "." && name != ".."),
        ];
        proptest!(|(names in prop::collection::vec(name, 1..4), exec: bool)| {
            let found = of(&names.join("/"), exec);
            let (name, folders) = names.split_last().unwrap();
            let lies_well = folders.iter().all(|folder| may_hold_code(folder.as_bytes()));
            prop_assert_eq!(found.is_some(), lies_well && may_be_code(name.as_bytes(), exec));
            // What is passed over before a look at it is no code after one.
            prop_assert!(found.is_none() || may_be_code(name.as_bytes(), true));
        });
    }
}
