//! A command where prov's own streams are terminals.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Stdio;

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
