//! Long output on a terminal goes through a pager, as with Git.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::settings::Environment;

/// A pager that is running.
#[derive(Debug)]
pub(crate) struct Pager {
    child: Child,
}

impl Pager {
    /// Starts what `PROV_PAGER` or `PAGER` names, else `less`; `None` if there is none, or it is `cat` or empty.
    pub(crate) fn start(environment: &Environment) -> Option<Self> {
        let mut command = command(environment)?;
        if environment.get("LESS").is_none() {
            // Leave short output on the screen, keep colours, do not clear the screen.
            command.env("LESS", "FRX");
        }
        let child = command.stdin(Stdio::piped()).spawn().ok()?;
        Some(Self { child })
    }

    /// Closes its input and waits until the user has left it.
    pub(crate) fn finish(mut self) {
        drop(self.child.stdin.take());
        // However it ended, the output was shown or the user did not want it.
        let _ = self.child.wait();
    }
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.child.stdin {
            Some(stdin) => stdin.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.child.stdin.as_mut().map_or(Ok(()), Write::flush)
    }
}

fn command(environment: &Environment) -> Option<Command> {
    match environment.text("PROV_PAGER").or_else(|| environment.text("PAGER")) {
        Some(line) => {
            let line = shell_line(line)?;
            let mut command = Command::new("sh");
            command.arg("-c").arg(line);
            Some(command)
        }
        None => Some(Command::new(in_path(environment, "less")?)),
    }
}

/// The line for the shell; `None` if it asks for no paging.
fn shell_line(line: &OsStr) -> Option<OsString> {
    let is_none = line.is_empty() || line == "cat";
    (!is_none).then(|| line.to_owned())
}

/// The first program called `name` on the `PATH`.
pub(crate) fn in_path(environment: &Environment, name: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = environment.get("PATH")?;
    std::env::split_paths(path)
        .map(|dir| dir.join(name))
        .find(|file| file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0))
}
