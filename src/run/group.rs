//! The processes of one child: its process group, what is left of it, and how to end it without hitting a stranger.
//!
//! As long as the leader is not reaped its pid keeps the group's number from being given away, so the group can be
//! signalled as a whole. Afterwards only its members keep it; each is then looked up in the process table and
//! signalled by itself, through a descriptor that can't come to mean another process.
//!
//! Killing reaches further than the group: what descends from it in the same session goes too, so that a nested
//! `prov run`, or a shell with job control, leaves nothing behind. Daemons started on purpose leave the session
//! (`setsid`) and are let alone.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use crate::host::{self, Process, ProcessStatus};

/// The process group of a running or just ended child.
#[derive(Debug)]
pub(super) struct Group {
    leader: Pid,
    session: u32,
    is_reaped: bool,
}

/// A process of a group whose leader is gone.
#[derive(Debug)]
pub(super) struct Stray {
    status: ProcessStatus,
    /// Readable once it has ended; `None` where there are no such descriptors.
    pub(super) fd: Option<OwnedFd>,
}

/// What is left of a group whose leader is gone.
#[derive(Debug)]
pub(super) enum Remains {
    Nothing,
    Strays(Vec<Stray>),
    /// Something, and there is no process table to tell what.
    Unseen,
}

impl Group {
    pub(super) fn new(leader: Pid) -> Self {
        Self { leader, session: own_session(), is_reaped: false }
    }

    /// To be told before anything else once the leader is reaped.
    pub(super) fn leader_is_reaped(&mut self) {
        self.is_reaped = true;
    }

    fn id(&self) -> u32 {
        self.leader.as_raw_nonzero().get().unsigned_abs()
    }

    /// What is left after the leader.
    pub(super) fn remains(&self) -> Remains {
        // The usual case takes one system call.
        if test_kill_process_group(self.leader) == Err(Errno::SRCH) {
            return Remains::Nothing;
        }
        match host::processes() {
            None => Remains::Unseen,
            Some(all) => {
                let strays: Vec<Stray> = all.into_iter().filter(|p| self.has(p)).map(Stray::new).collect();
                if strays.is_empty() { Remains::Nothing } else { Remains::Strays(strays) }
            }
        }
    }

    fn has(&self, process: &ProcessStatus) -> bool {
        process.group == self.id() && process.session == self.session && !process.is_zombie()
    }

    /// Sends `signal` to the group.
    pub(super) fn signal(&self, signal: Signal) {
        if !self.is_reaped {
            // It fails only if all have ended.
            let _ = kill_process_group(self.leader, signal);
            return;
        }
        match self.remains() {
            Remains::Nothing => {}
            Remains::Strays(strays) => strays.iter().for_each(|stray| stray.signal(signal)),
            // The group is not empty a moment after it was looked at: its number is still its own.
            Remains::Unseen => drop(kill_process_group(self.leader, signal)),
        }
    }

    /// Kills the group and what descends from it in its session.
    pub(super) fn kill(&self) {
        let tree = host::processes().map(|all| self.tree(&all)).unwrap_or_default();
        // Before the parents die, after which nobody could tell whose children they are.
        let tree: Vec<Stray> = tree.into_iter().map(Stray::new).collect();
        self.signal(Signal::KILL);
        for stray in &tree {
            stray.signal(Signal::KILL);
        }
    }

    fn tree(&self, all: &[ProcessStatus]) -> Vec<ProcessStatus> {
        let mut pids: BTreeSet<u32> = all.iter().filter(|p| self.has(p)).map(|p| p.pid).collect();
        let is_descendant = |p: &ProcessStatus, pids: &BTreeSet<u32>| {
            p.session == self.session && pids.contains(&p.parent) && p.pid != std::process::id()
        };
        loop {
            let more: Vec<u32> =
                all.iter().filter(|p| !pids.contains(&p.pid) && is_descendant(p, &pids)).map(|p| p.pid).collect();
            if more.is_empty() {
                return all.iter().filter(|p| pids.contains(&p.pid) && !p.is_zombie()).copied().collect();
            }
            pids.extend(more);
        }
    }
}

impl Stray {
    fn new(status: ProcessStatus) -> Self {
        #[cfg(target_os = "linux")]
        let fd =
            pid(status.pid).and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok());
        #[cfg(not(target_os = "linux"))]
        let fd = None;
        Self { status, fd }
    }

    /// Signals the process if it is still the one that was seen.
    fn signal(&self, signal: Signal) {
        // Looked at after the descriptor was opened: what it leads to is what was seen, or nothing.
        if host::status_of(self.status.pid).is_none_or(|now| now.start != self.status.start) {
            return;
        }
        #[cfg(target_os = "linux")]
        if let Some(fd) = &self.fd
            && rustix::process::pidfd_send_signal(fd, signal) != Err(Errno::NOSYS)
        {
            return;
        }
        if let Some(pid) = pid(self.status.pid) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// The session of this process, as the process table tells it. 0 in a container that was entered from outside: its
/// leader has no number in here (and `rustix::process::getsid` takes none for an answer).
#[expect(unsafe_code, reason = "no safe wrapper at hand allows for 0")]
pub(super) fn own_session() -> u32 {
    // SAFETY: a system call that takes and returns a number; it can't fail for the calling process.
    unsafe { libc::getsid(0) }.unsigned_abs()
}

fn pid(raw: u32) -> Option<Pid> {
    i32::try_from(raw).ok().and_then(Pid::from_raw)
}

/// Limits the private memory that a process can write to, and those that it starts from now on: each of them by itself
/// (`RLIMIT_DATA`). What can't be limited is not. Only on Linux.
pub fn limit_memory(child: u32, bytes: u64) {
    #[cfg(target_os = "linux")]
    if let Some(pid) = pid(child) {
        let limit = rustix::process::Rlimit { current: Some(bytes), maximum: Some(bytes) };
        let _ = rustix::process::prlimit(Some(pid), rustix::process::Resource::Data, limit);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (child, bytes);
}

/// What still runs of a child whose prov was killed: the members of its group that are proven to be its.
///
/// `leader` is the child, `word` the `NAME=value` that it was started with and that names its run. Empty when the child
/// ran on another host or boot or in another pid namespace, or where there is no process table.
pub fn orphans(here: &Process, leader: &Process, word: &[u8]) -> Vec<ProcessStatus> {
    let is_here = here.boot == leader.boot && here.pid_namespace == leader.pid_namespace && !here.boot.is_empty();
    let all = if is_here { host::processes().unwrap_or_default() } else { Vec::new() };
    let is_leader = |p: &ProcessStatus| p.pid == leader.pid && p.start == leader.start;
    let is_own = |p: &ProcessStatus| p.start >= leader.start && host::was_started_with(p.pid, word);
    all.into_iter()
        .filter(|p| p.group == leader.pid && !p.is_zombie() && leader.start != 0 && (is_leader(p) || is_own(p)))
        .collect()
}

/// Kills every process that was started with `word`, a `NAME=value`, in its environment, and waits until they are gone; returns whether
/// nothing is left. Gives up after `patience`.
pub fn end_started_with(word: &[u8], patience: Duration) -> bool {
    end_all(&|| started_with(word), patience)
}

/// The processes that were started with `word`, a `NAME=value`, in their environment.
pub fn started_with(word: &[u8]) -> Vec<ProcessStatus> {
    let is_meant = |p: &ProcessStatus| !p.is_zombie() && host::was_started_with(p.pid, word);
    host::processes().unwrap_or_default().into_iter().filter(is_meant).collect()
}

/// Kills what [`orphans`] finds and waits until it is gone; returns whether nothing is left.
/// Gives up after `patience`: a process that hangs in the kernel can't be killed.
pub fn end_orphans(here: &Process, leader: &Process, word: &[u8], patience: Duration) -> bool {
    end_all(&|| orphans(here, leader, word), patience)
}

/// Kills what `look` finds until that is nothing.
fn end_all(look: &dyn Fn() -> Vec<ProcessStatus>, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        let found = look();
        if found.is_empty() {
            return true;
        }
        let strays: Vec<Stray> = found.into_iter().map(Stray::new).collect();
        for stray in &strays {
            stray.signal(Signal::KILL);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let mut fds: Vec<PollFd<'_>> =
            strays.iter().filter_map(|stray| Some(PollFd::new(stray.fd.as_ref()?, PollFlags::IN))).collect();
        // Woken by the first that ends, and now and then, since not all systems can wake us.
        let wait = left.min(Duration::from_millis(20));
        let _ = poll(&mut fds, Timespec::try_from(wait).ok().as_ref());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn orphans_are_found_by_their_word_and_ended() {
        let here = Process::current();
        let mut child = Command::new("sh")
            .args(["-c", "sleep 1000 & echo $!; exec 1>&-; trap '' TERM; wait"])
            .env("PROV_RUN_ID", "group-1")
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let leader = here.neighbour(child.id()).unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let grandchild: u32 = line.trim().parse().unwrap();

        assert_eq!(orphans(&here, &leader, b"PROV_RUN_ID=group-1").len(), 2);
        let elsewhere = Process { boot: "other".to_owned(), ..leader.clone() };
        assert!(orphans(&here, &elsewhere, b"PROV_RUN_ID=group-1").is_empty());

        child.kill().unwrap();
        child.wait().unwrap();
        let left: Vec<u32> = orphans(&here, &leader, b"PROV_RUN_ID=group-1").iter().map(|p| p.pid).collect();
        assert_eq!(left, [grandchild]);
        assert!(orphans(&here, &leader, b"PROV_RUN_ID=group-2").is_empty(), "another run's process is a stranger");
        assert!(end_orphans(&here, &leader, b"PROV_RUN_ID=group-1", Duration::from_secs(60)));
        assert!(!host::is_running(grandchild, 0));
    }
}
