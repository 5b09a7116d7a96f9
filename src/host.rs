//! Facts about this machine and its processes: who is alive, and can that be told from here.
//!
//! A process is named by host, boot, pid namespace, pid and start time. Only from the same boot and namespace can
//! a process be looked at; only the same host can know that a boot is over. Everything else is [`Liveness::Unknown`]:
//! nobody is declared dead by guessing.
//!
//! What is there without `/proc` (macOS and others): host name and pid. A process is then dead when its pid is free,
//! and is taken to be alive as long as any process has its pid.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::hash;

/// The name of one process, unique among all machines and boots.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The machine's name.
    pub host: String,
    /// A digest of the machine's own id, so that two machines of one name are told apart; empty if it has none.
    pub machine: String,
    /// The id of the boot; empty if it can't be had.
    pub boot: String,
    /// The pid namespace; empty if there is no such thing.
    pub pid_namespace: String,
    /// The pid in that namespace.
    pub pid: u32,
    /// Start time in ticks since boot; 0 if it can't be had.
    pub start: u64,
}

/// This process; what names it is looked up when it is first asked for. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct This(Arc<OnceLock<Process>>);

impl This {
    /// Its name.
    pub fn process(&self) -> &Process {
        self.0.get_or_init(Process::current)
    }
}

impl From<Process> for This {
    /// Takes a process for this one.
    fn from(process: Process) -> Self {
        Self(Arc::new(OnceLock::from(process)))
    }
}

/// What can be said about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Liveness {
    /// It runs.
    Alive,
    /// It is gone for good.
    Dead,
    /// It lives, or lived, where we can't look.
    Unknown,
}

impl Process {
    /// This process.
    pub fn current() -> Self {
        let pid = std::process::id();
        Self {
            host: host_name(),
            machine: machine_id(),
            boot: boot_id(),
            pid_namespace: pid_namespace(),
            pid,
            start: status_of(pid).map_or(0, |status| status.start),
        }
    }

    /// The process with `pid` in the namespace of `self`; `None` if there is none.
    pub fn neighbour(&self, pid: u32) -> Option<Self> {
        if !exists(pid) {
            return None;
        }
        Some(Self { pid, start: status_of(pid).map_or(0, |status| status.start), ..self.clone() })
    }

    /// What `self`, which runs here and now, can say about `other`.
    pub fn sees(&self, other: &Process) -> Liveness {
        let same_machine = self.host == other.host && self.machine == other.machine;
        let same_boot = if self.boot.is_empty() || other.boot.is_empty() {
            // No boot ids: the machine has to do, and a reboot shows only by the pid.
            if !same_machine || self.boot != other.boot {
                return Liveness::Unknown;
            }
            true
        } else {
            self.boot == other.boot
        };
        match (same_boot, self.pid_namespace == other.pid_namespace) {
            (true, true) if is_running(other.pid, other.start) => Liveness::Alive,
            (true, true) => Liveness::Dead,
            (false, _) if same_machine => Liveness::Dead,
            (true, false) | (false, _) => Liveness::Unknown,
        }
    }
}

/// Whether the process with `pid` exists, runs (is no zombie), and started at `start` (0: at any time).
pub fn is_running(pid: u32, start: u64) -> bool {
    if !exists(pid) {
        return false;
    }
    match status_of(pid) {
        Some(status) => !status.is_zombie() && (start == 0 || status.start == start),
        // It exists but hides (`hidepid`), or there is no /proc: to be taken for dead it would have to be gone.
        None => true,
    }
}

fn exists(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    // "Not permitted" means that there is one.
    test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

/// One line of the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessStatus {
    /// Its pid.
    pub pid: u32,
    /// The state letter of the system.
    pub state: u8,
    /// Its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// Start time in ticks since boot.
    pub start: u64,
}

impl ProcessStatus {
    /// Whether it has ended and only waits to be reaped.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// Reads the form of `/proc/<pid>/stat`. The name in parentheses may hold anything, parentheses included.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let open = bytes.iter().position(|&b| b == b'(')?;
        let close = bytes.iter().rposition(|&b| b == b')')?;
        let pid = std::str::from_utf8(bytes.get(..open)?).ok()?.trim().parse().ok()?;
        let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let mut number = |skip: usize| fields.nth(skip)?.parse::<i64>().ok();
        // Fields 4, 5, 6 and 22 of proc(5).
        let (parent, group, session, start) = (number(0)?, number(0)?, number(0)?, number(15)?);
        let narrow = |n: i64| u32::try_from(n).unwrap_or(0);
        Some(Self {
            pid,
            state,
            parent: narrow(parent),
            group: narrow(group),
            session: narrow(session),
            start: u64::try_from(start).unwrap_or(0),
        })
    }
}

/// The process table's line of `pid`; `None` if there is no such process or no such table.
pub fn status_of(pid: u32) -> Option<ProcessStatus> {
    ProcessStatus::parse(&read_proc(&format!("/proc/{pid}/stat"))?)
}

/// All processes that can be seen; `None` where there is no process table to read.
pub fn processes() -> Option<Vec<ProcessStatus>> {
    status_of(std::process::id())?;
    let entries = fs::read_dir("/proc").ok()?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Some(pids.filter_map(status_of).collect())
}

/// Whether the environment that `pid` was started with holds the word `NAME=value`; `false` if it can't be read.
pub fn was_started_with(pid: u32, word: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| environ.split(|&b| b == 0).any(|entry| entry == word))
}

/// All of a file that the kernel makes as it is read and tells no size of; one read for most.
fn read_proc(path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4096);
    fs::File::open(path).ok()?.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The signals that this process was told to ignore (as `nohup` does), as a bit set with signal 1 in bit 0; 0 where that can't be had.
pub fn ignored_signals() -> u64 {
    let read = || {
        let text = String::from_utf8(read_proc("/proc/self/status")?).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    read().unwrap_or(0)
}

/// The machine's name.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A digest, because the id itself is meant to stay on its machine.
fn machine_id() -> String {
    let read = |path: &str| fs::read(Path::new(path)).ok().filter(|bytes| !bytes.is_empty());
    let id = read("/etc/machine-id").or_else(|| read("/var/lib/dbus/machine-id"));
    id.map_or_else(String::new, |bytes| hash::derived("prov 2026 machine id", &bytes).short())
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(|_| String::new(), |text| text.trim().to_owned())
}

fn pid_namespace() -> String {
    fs::read_link("/proc/self/ns/pid").map_or_else(|_| String::new(), |link| link.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive() {
        let me = Process::current();
        assert_eq!(me.sees(&me), Liveness::Alive);
    }

    #[test]
    fn a_process_that_was_reaped_is_dead() {
        let me = Process::current();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let it = me.neighbour(child.id()).unwrap();
        assert_eq!(me.sees(&it), Liveness::Alive);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(me.sees(&it), Liveness::Dead);
        assert_eq!(me.neighbour(it.pid), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn another_process_with_the_same_pid_is_not_the_same() {
        let me = Process::current();
        assert_eq!(me.sees(&Process { start: me.start + 1, ..me.clone() }), Liveness::Dead);
    }

    #[test]
    fn only_the_same_machine_knows_that_a_boot_is_over() {
        let me = Process { boot: "b1".to_owned(), ..Process::current() };
        let other_boot = Process { boot: "b2".to_owned(), ..me.clone() };
        assert_eq!(me.sees(&other_boot), Liveness::Dead);
        assert_eq!(me.sees(&Process { host: "elsewhere".to_owned(), ..other_boot.clone() }), Liveness::Unknown);
        assert_eq!(me.sees(&Process { machine: "another".to_owned(), ..other_boot.clone() }), Liveness::Unknown);
        assert_eq!(me.sees(&Process { boot: String::new(), ..other_boot }), Liveness::Unknown);
    }

    #[test]
    fn a_renamed_host_is_still_this_boot() {
        let me = Process { boot: "b1".to_owned(), ..Process::current() };
        assert_eq!(me.sees(&Process { host: "before".to_owned(), ..me.clone() }), Liveness::Alive);
    }

    #[test]
    fn another_pid_namespace_can_not_be_looked_into() {
        let me = Process { boot: "b1".to_owned(), ..Process::current() };
        assert_eq!(me.sees(&Process { pid_namespace: "pid:[1]".to_owned(), ..me.clone() }), Liveness::Unknown);
    }

    #[test]
    fn a_process_name_with_parentheses_and_spaces_does_not_confuse() {
        let line = b"42 (a) b (c)) S 1 40 39 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 2 18446744073709551615";
        let status = ProcessStatus::parse(line).unwrap();
        assert_eq!(status, ProcessStatus { pid: 42, state: b'S', parent: 1, group: 40, session: 39, start: 987_654 });
        assert_eq!(ProcessStatus::parse(b""), None);
        assert_eq!(ProcessStatus::parse(b"42 (x"), None);
    }
}
