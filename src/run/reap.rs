//! Waiting for one child: a descriptor that tells of its end, and its status with what it used.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::object::run::Resources;

/// A descriptor that becomes readable, or is hung up, once the child `pid` has ended. The child is not reaped by it.
pub(super) fn watch(pid: Pid) -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    if let Ok(fd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        return Ok(fd);
    }
    watch_with_thread(pid)
}

/// For systems without such a descriptor: a thread waits and closes the writing end of a pipe.
fn watch_with_thread(pid: Pid) -> io::Result<OwnedFd> {
    let (read, write) = rustix::pipe::pipe()?;
    rustix::io::fcntl_setfd(&read, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::fcntl_setfd(&write, rustix::io::FdFlags::CLOEXEC)?;
    std::thread::Builder::new().name("prov-wait".to_owned()).spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::INTR)) {}
        drop(write);
    })?;
    Ok(read)
}

/// The signal that stopped the child `pid` since the last time it was asked; `None` if none did.
pub(super) fn stopped_by(pid: Pid) -> Option<i32> {
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
    waitid(WaitId::Pid(pid), options).ok().flatten().and_then(|status| status.stopping_signal())
}

/// Waits for the end of the child `pid` and frees its pid. Returns how it ended and what it and its children used.
///
/// The largest resident memory counts from the moment of the fork, so it is never less than what prov itself held then.
#[expect(unsafe_code, reason = "no safe wrapper at hand gives the resource use of one child")]
pub(super) fn reap(pid: Pid) -> io::Result<(ExitStatus, Resources)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers lead to live values of the right type for the whole call. The system writes
        // `usage` before it returns a pid, and all zeroes are a valid `rusage` in any case.
        let (waited, usage) = unsafe {
            let waited = libc::wait4(pid.as_raw_nonzero().get(), &raw mut status, 0, usage.as_mut_ptr());
            (waited, usage.assume_init_ref())
        };
        if waited >= 0 {
            return Ok((ExitStatus::from_raw(status), resources(usage)));
        }
        let err = io::Error::last_os_error();
        if err.kind() != io::ErrorKind::Interrupted {
            return Err(err);
        }
    }
}

/// The field has 32 bits on some systems and 64 on others.
fn micros_part(n: impl Into<i64>) -> i64 {
    n.into()
}

fn resources(usage: &libc::rusage) -> Resources {
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    let micros = |time: libc::timeval| number(time.tv_sec) * 1_000_000 + number(micros_part(time.tv_usec));
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    Resources {
        user_us: micros(usage.ru_utime),
        system_us: micros(usage.ru_stime),
        max_rss_bytes: number(usage.ru_maxrss).saturating_mul(unit),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    #[test]
    #[expect(clippy::zombie_processes, reason = "reaped by what is tested")]
    fn both_ways_of_watching_tell_of_the_end() {
        for way in [watch, watch_with_thread] {
            let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
            let pid = Pid::from_child(&child);
            let fd = way(pid).unwrap();
            drop(child.stdin.take());
            poll(&mut [PollFd::new(&fd, PollFlags::IN)], None).unwrap();
            let (status, _) = reap(pid).unwrap();
            assert!(status.success());
        }
    }

    #[test]
    fn what_the_child_used_is_told() {
        let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 3";
        let pid = Pid::from_child(&Command::new("sh").args(["-c", script]).spawn().unwrap());
        let (status, used) = reap(pid).unwrap();
        assert_eq!(status.code(), Some(3));
        assert!(used.max_rss_bytes > 0 && used.user_us + used.system_us > 0, "{used:?}");
    }
}
