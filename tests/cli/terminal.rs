//! A command where prov's own streams are terminals.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::project::project;

/// The two ends of a terminal of this size.
fn terminal(rows: u16, columns: u16) -> (OwnedFd, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    tcsetwinsize(&ours, size(rows, columns)).unwrap();
    (ours, theirs)
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// All that comes until everybody has closed the other end.
fn rest(from: OwnedFd) -> String {
    let (mut text, mut from) = (Vec::new(), File::from(from));
    let mut buffer = [0; 4096];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 {
            break;
        }
        text.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_command_sees_a_terminal_where_prov_has_one_and_the_streams_stay_apart() {
    let sandbox = project();
    let (ours, theirs) = terminal(33, 77);
    let line = "test -t 1 && echo terminal; stty size <&1; test -t 2 || echo pipe >&2; test -t 0 || echo no input; echo 1 > out";
    let words = ["-q", "run", "--name", "t", "-o", "out", "--", "sh", "-c", line];
    let mut command = sandbox.command(words);
    let child = command.stdout(Stdio::from(theirs)).spawn().unwrap();
    drop(command);
    let text = rest(ours);
    let outcome = sandbox.finished(child).ok();
    assert_eq!(text, "terminal\r\n33 77\r\nno input\r\n", "{outcome}");
    assert_eq!(outcome.err(), "pipe\n");
    // What is kept is what the command wrote; a hit gives it to whoever asks.
    let again = sandbox.prov(words).ok();
    assert_eq!((again.out().as_str(), again.err().as_str()), ("terminal\n33 77\nno input\n", "pipe\n"));
}

#[test]
fn without_a_terminal_a_command_has_none() {
    let sandbox = project();
    let outcome = sandbox.prov(["-q", "run", "--", "sh", "-c", "test -t 1 || test -t 2 || echo none"]).ok();
    assert_eq!(outcome.out(), "none\n");
    let (ours, theirs) = terminal(10, 10);
    let mut command =
        sandbox.command(["-q", "--json", "run", "--", "sh", "-c", "test -t 1 || test -t 2 || echo none >&2"]);
    let child = command.stderr(Stdio::from(theirs)).spawn().unwrap();
    drop(command);
    let text = rest(ours);
    sandbox.finished(child).ok();
    assert_eq!(text, "none\r\n", "a program that asks for documents is no person");
}

#[test]
fn a_new_size_is_passed_on_and_an_interrupt_reaches_the_command_once() {
    let sandbox = project();
    let (ours, theirs) = terminal(20, 40);
    let line = "trap 'stty size <&1' WINCH; trap 'echo caught; exit 9' INT; echo ready; while :; do :; done";
    let mut command = sandbox.command(["-q", "run", "--", "sh", "-c", line]);
    let child = command.stdout(Stdio::from(theirs)).spawn().unwrap();
    drop(command);
    let mut seen = File::from(ours.try_clone().unwrap());
    let mut until = |word: &str| {
        let (mut text, mut byte) = (String::new(), [0]);
        while !text.contains(word) {
            seen.read_exact(&mut byte).unwrap();
            text.push(char::from(byte[0]));
        }
    };
    until("ready\r\n");
    tcsetwinsize(&ours, size(21, 41)).unwrap();
    kill_process(Pid::from_child(&child), Signal::WINCH).unwrap();
    until("21 41\r\n");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let text = rest(ours);
    let outcome = sandbox.finished(child);
    assert_eq!((text.matches("caught").count(), outcome.code), (1, 9), "{outcome}");
}

/// As a shell starts it: a session of its own, `theirs` its terminal, its job the one in front.
fn in_front(command: &mut Command, theirs: &OwnedFd) {
    let words: Vec<OsString> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(ToOwned::to_owned).collect();
    let mut setsid = Command::new("setsid");
    setsid.args(["--ctty", "--wait"]).args(&words).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            setsid.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        setsid.current_dir(folder);
    }
    let end = || Stdio::from(theirs.try_clone().unwrap());
    setsid.stdin(end()).stdout(end()).stderr(end());
    *command = setsid;
}

#[test]
fn ctrl_c_on_the_terminal_itself_reaches_the_command_once() {
    let sandbox = project();
    let (ours, theirs) = terminal(20, 40);
    let line = "trap 'echo caught; exit 9' INT; echo ready; while :; do :; done";
    let mut command = sandbox.command(["-q", "run", "--", "sh", "-c", line]);
    in_front(&mut command, &theirs);
    let child = command.spawn().unwrap();
    drop((command, theirs));
    let mut seen = File::from(ours.try_clone().unwrap());
    let (mut text, mut byte) = (String::new(), [0]);
    while !text.contains("ready\r\n") {
        seen.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
    rustix::io::write(&ours, b"\x03").unwrap();
    let text = rest(ours);
    let outcome = sandbox.finished(child);
    assert_eq!((text.matches("caught").count(), outcome.code), (1, 9), "{text}");
}

#[test]
fn in_the_background_of_a_terminal_all_is_printed_and_nothing_stops() {
    let sandbox = project();
    let (ours, theirs) = terminal(20, 40);
    let prov = env!("CARGO_BIN_EXE_prov");
    // The shell with job control puts prov into a group that is not the one in front.
    let line = format!(
        "set -m; {prov} -q run -o out -- sh -c 'test -t 1 && stty size <&1; echo 1 > out' & wait $!; echo code $?"
    );
    let mut command = sandbox.command([""; 0]);
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).env_clear();
    for (name, value) in command.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        shell.env(name, value);
    }
    shell.current_dir(command.get_current_dir().unwrap());
    command = shell;
    in_front(&mut command, &theirs);
    let child = command.spawn().unwrap();
    drop((command, theirs));
    let text = rest(ours);
    sandbox.finished(child);
    assert!(text.contains("20 40\r\n") && text.contains("code 0\r\n"), "{text:?}");
}

#[test]
fn what_is_left_behind_with_the_terminal_open_holds_nobody_up() {
    let sandbox = project();
    for (line, sealed) in
        [("sleep 1000 & echo done; echo 1 > out", true), ("setsid sleep 30 & echo done; echo 2 > out", true)]
    {
        let (ours, theirs) = terminal(20, 40);
        let mut command = sandbox.command(["-q", "run", "-o", "out", "--", "sh", "-c", line]);
        let child = command.stdout(Stdio::from(theirs)).spawn().unwrap();
        drop(command);
        let outcome = sandbox.finished(child);
        assert_eq!((outcome.code, sealed), (0, true), "{outcome}");
        drop(ours);
    }
}

#[test]
fn all_of_a_large_output_comes_through_and_is_kept_as_it_was_written() {
    let sandbox = project();
    let (ours, theirs) = terminal(20, 40);
    // Returns and line ends of both kinds, and no line end at the end.
    let line = "i=0; while [ $i -lt 20000 ]; do printf 'line %s\\r\\n\\tx\\n' $i; i=$((i+1)); done; printf end";
    let words = ["-q", "run", "--name", "t", "--cache", "reuse", "--replay", "all", "--", "sh", "-c", line];
    let mut command = sandbox.command(words);
    let child = command.stdout(Stdio::from(theirs)).spawn().unwrap();
    drop(command);
    let shown = rest(ours);
    sandbox.finished(child).ok();
    let again = sandbox.prov(words).ok();
    let wanted: String = (0..20000).map(|i| format!("line {i}\r\n\tx\n")).chain(["end".to_owned()]).collect();
    assert_eq!(again.out(), wanted);
    assert_eq!(shown, wanted.replace('\n', "\r\n"));
}

#[test]
fn a_program_that_wants_keys_from_its_output_fails_at_once_and_pagers_are_not_asked() {
    let sandbox = project();
    let (ours, theirs) = terminal(20, 40);
    let line = "read key <&1 && echo a key; echo $PAGER $GIT_PAGER";
    let mut command = sandbox.command(["-q", "run", "--", "sh", "-c", line]);
    let child = command.stdout(Stdio::from(theirs)).env("PAGER", "less").spawn().unwrap();
    drop(command);
    let text = rest(ours);
    sandbox.finished(child).ok();
    assert_eq!(text, "cat cat\r\n");
    let piped = sandbox.command(["-q", "run", "--", "sh", "-c", line]).env("PAGER", "less").output().unwrap();
    assert_eq!(piped.stdout, b"less\n");
}
