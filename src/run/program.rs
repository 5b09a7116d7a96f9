//! Finding the program of a command as `execvp` does, and what can be wrong with it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::io::Errno;

use super::exit;
use crate::fs::Fs;
use crate::path::{show, shown};

/// Where programs are looked for when there is no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Why a program was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// There is no program of that name.
    #[error("command not found: `{}`", shown(.name))]
    NotFound {
        /// The name as given.
        name: Vec<u8>,
    },
    /// There is something, but it may not be executed.
    #[error("not executable: `{}`", show(.path))]
    NotExecutable {
        /// What was found.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder is meant to be executed.
    #[error("is a directory: `{}`", show(.path))]
    IsDirectory {
        /// The folder.
        path: PathBuf,
    },
    /// The first line of the script names an interpreter that does not exist.
    #[error("bad interpreter `{}` of `{}`", shown(.interpreter), show(.path))]
    BadInterpreter {
        /// The script or program.
        path: PathBuf,
        /// What it names, as far as that can be read.
        interpreter: Vec<u8>,
    },
    /// The file is no program of this system, or a script without a first line that names its interpreter.
    #[error("exec format error: `{}`", show(.path))]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// Arguments and environment together are more than the system takes.
    #[error("arguments and environment of `{}` are too long", shown(.name))]
    TooLong {
        /// The name as given.
        name: Vec<u8>,
    },
    /// The command has no words, or one of them, or an environment value, holds a NUL byte.
    #[error("not a command: {what}")]
    Invalid {
        /// What is wrong.
        what: &'static str,
    },
    /// The working folder can't be entered.
    #[error("can't enter `{}`", show(.path))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file meant for standard input can't be opened.
    #[error("can't read `{}` as standard input", show(.path))]
    Stdin {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An interrupt came before the start.
    #[error("interrupted by signal {signal} before the start")]
    Interrupted {
        /// The signal.
        signal: i32,
    },
    /// The system has no room for another process or pipe.
    #[error("can't start `{}`", shown(.name))]
    System {
        /// The name as given.
        name: Vec<u8>,
        /// Why.
        source: io::Error,
    },
}

impl SpawnError {
    /// The exit code of prov for it: 127 not found, 126 found but not to be executed, 128+N interrupted, 125 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } => exit::NOT_FOUND,
            Self::NotExecutable { .. }
            | Self::IsDirectory { .. }
            | Self::BadInterpreter { .. }
            | Self::Format { .. }
            | Self::TooLong { .. } => exit::NOT_EXECUTABLE,
            Self::Interrupted { signal } => exit::signalled(*signal),
            Self::Invalid { .. } | Self::Folder { .. } | Self::Stdin { .. } | Self::System { .. } => exit::OWN_FAILURE,
        }
    }

    /// Whether the fault is the command's (126, 127), which is then recorded as a failed run, and not prov's.
    pub fn is_of_command(&self) -> bool {
        matches!(self.exit_code(), exit::NOT_FOUND | exit::NOT_EXECUTABLE)
    }
}

/// Finds the program named `name` as `execvp` would: a name with a `/` is a path seen from `cwd`, any other is looked
/// for in the folders of `path` (the `PATH` of the child).
///
/// The answer is what gets executed: relative if the name or the entry of `PATH` is, and then meant from `cwd`.
///
/// # Errors
/// Nothing of that name, or nothing that may be executed.
pub fn find(name: &OsStr, cwd: &Path, path: Option<&OsStr>) -> Result<PathBuf, SpawnError> {
    let not_found = || SpawnError::NotFound { name: name.as_bytes().to_vec() };
    if name.is_empty() {
        return Err(not_found());
    }
    if name.as_bytes().contains(&b'/') {
        let program = PathBuf::from(name);
        return check(cwd, &program).map(|()| program);
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let mut refused = None;
    for folder in path.as_bytes().split(|&b| b == b':') {
        // An empty entry is the working folder; the `./` keeps the answer a path.
        let mut program = if folder.is_empty() { b".".to_vec() } else { folder.to_vec() };
        program.push(b'/');
        program.extend_from_slice(name.as_bytes());
        let program = PathBuf::from(OsString::from_vec(program));
        match check(cwd, &program) {
            Ok(()) => return Ok(program),
            Err(err) if err.exit_code() == exit::NOT_EXECUTABLE => refused = refused.or(Some(err)),
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(not_found))
}

/// Whether `known`, which was found for `name` a moment ago, can still be executed and lies in a folder of `path`: then it need not be
/// looked for again.
pub(super) fn is_still(name: &OsStr, known: &Path, path: Option<&OsStr>) -> bool {
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    !name.as_bytes().contains(&b'/')
        && known.is_absolute()
        && known.file_name() == Some(name)
        && path
            .as_bytes()
            .split(|&b| b == b':')
            .any(|folder| known.parent() == Some(Path::new(OsStr::from_bytes(folder))))
        && check(Path::new("/"), known).is_ok()
}

/// Whether `program`, seen from `cwd`, is a file that may be executed.
fn check(cwd: &Path, program: &Path) -> Result<(), SpawnError> {
    let seen = cwd.join(program);
    let not_executable = |source| SpawnError::NotExecutable { path: program.to_owned(), source };
    match std::fs::metadata(&seen) {
        Err(err) if crate::fs::is_absent(&err) => {
            Err(SpawnError::NotFound { name: program.as_os_str().as_bytes().to_vec() })
        }
        Err(err) => Err(not_executable(err)),
        Ok(meta) if meta.is_dir() => Err(SpawnError::IsDirectory { path: program.to_owned() }),
        Ok(_) => rustix::fs::access(&seen, Access::EXEC_OK).map_err(|err| not_executable(err.into())),
    }
}

/// What it means that the system refused to start `program`, which [`find`] had found.
pub(super) fn classify(fs: &Fs, name: &OsStr, program: &Path, cwd: &Path, source: io::Error) -> SpawnError {
    if let Err(source) = std::fs::read_dir(cwd) {
        return SpawnError::Folder { path: cwd.to_owned(), source };
    }
    let path = || program.to_owned();
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::TOOBIG) => SpawnError::TooLong { name: name.as_bytes().to_vec() },
        Some(Errno::NOEXEC) => SpawnError::Format { path: path() },
        Some(Errno::ACCESS | Errno::PERM | Errno::TXTBSY | Errno::LOOP) => {
            SpawnError::NotExecutable { path: path(), source }
        }
        Some(Errno::NOENT | Errno::NOTDIR) => match check(cwd, program) {
            // It is there: what is missing is what runs it.
            Ok(()) => SpawnError::BadInterpreter { path: path(), interpreter: interpreter(fs, &cwd.join(program)) },
            Err(err) => err,
        },
        _ if source.kind() == io::ErrorKind::InvalidInput => SpawnError::Invalid { what: "a NUL byte in a word" },
        _ => SpawnError::System { name: name.as_bytes().to_vec(), source },
    }
}

/// The interpreter that the first line of a script names.
fn interpreter(fs: &Fs, script: &Path) -> Vec<u8> {
    let mut line = Vec::new();
    if let Ok(file) = fs.open(script) {
        // A script that can't be read has no name to show.
        let _ = file.take(256).read_to_end(&mut line);
    }
    let line = line.split(|&b| b == b'\n').next().unwrap_or_default();
    line.strip_prefix(b"#!")
        .map(<[u8]>::trim_ascii)
        .and_then(|rest| rest.split(u8::is_ascii_whitespace).next())
        .unwrap_or_default()
        .to_vec()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(dir: &Path, name: &str, mode: u32) {
        let path = dir.join(name);
        #[expect(clippy::disallowed_methods, reason = "a fixture")]
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let dir = tempfile::tempdir().unwrap();
        let cwd = dir.path();
        std::fs::DirBuilder::new().create(cwd.join("a")).unwrap();
        std::fs::DirBuilder::new().create(cwd.join("b")).unwrap();
        std::fs::DirBuilder::new().create(cwd.join("b/folder")).unwrap();
        file(cwd, "a/plain", 0o644);
        file(cwd, "b/tool", 0o755);
        file(cwd, "here", 0o755);
        let path = OsString::from(format!("{}:b::/nowhere", cwd.join("a").display()));
        let find = |name: &str| find(OsStr::new(name), cwd, Some(&path));

        assert_eq!(find("tool").unwrap(), Path::new("b/tool"));
        assert_eq!(find("here").unwrap(), Path::new("./here"));
        assert_eq!(find("./here").unwrap(), Path::new("./here"));
        assert!(matches!(find("plain"), Err(SpawnError::NotExecutable { .. })));
        assert!(matches!(find("folder"), Err(SpawnError::IsDirectory { .. })));
        assert_eq!(find("a/tool").unwrap_err().exit_code(), 127);
        assert_eq!(find("tool/x").unwrap_err().exit_code(), 127);
        assert_eq!(find("").unwrap_err().exit_code(), 127);
        assert_eq!(find("b/folder").unwrap_err().exit_code(), 126);
        assert_eq!(super::find(OsStr::new("sh"), cwd, None).unwrap().file_name().unwrap(), "sh");
    }

    #[test]
    fn a_program_that_was_found_before_is_taken_only_as_long_as_it_would_be_found() {
        let dir = tempfile::tempdir().unwrap();
        file(dir.path(), "tool", 0o755);
        file(dir.path(), "plain", 0o644);
        let path = OsString::from(format!("/nowhere:{}", dir.path().display()));
        let is_still = |name: &str, known: &Path, path: &OsStr| super::is_still(OsStr::new(name), known, Some(path));

        assert!(is_still("tool", &dir.path().join("tool"), &path));
        assert!(!is_still("plain", &dir.path().join("plain"), &path), "not to be executed");
        assert!(!is_still("other", &dir.path().join("tool"), &path), "another name");
        assert!(!is_still("tool", &dir.path().join("tool"), OsStr::new("/nowhere")), "another PATH");
        assert!(!is_still("gone", &dir.path().join("gone"), &path));
        assert!(!is_still("./tool", &dir.path().join("tool"), &path), "a path is seen from the working folder");
    }
}
