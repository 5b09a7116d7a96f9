//! The loop around a running child: one thread that sleeps until a stream, the child's end, an interrupt or a deadline wants it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use signal_hook::consts::{SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH};

use super::execute::{Captured, Command, Leftovers, Passed};
use super::exit::Exit;
use super::group::{Group, Remains, Stray};
use super::interrupts::Interrupts;
use super::observer::{Notice, Observer, Stream};
use super::reap;
use super::spool::{Spool, Spooled};
use crate::clock::{Clock, Micros};
use crate::object::run::Resources;

/// What is read at once: what a pipe holds.
const CHUNK: usize = 64 << 10;

/// What a pipe that is ready takes without blocking.
const PIPE_WRITE: usize = 4096;

/// How often to look where nothing can wake us. Only for what is rare: strays on old systems, the moment after a kill.
const TICK: Duration = Duration::from_millis(20);

/// How often to look whether a child was stopped, where no signal tells.
const LOOK: Duration = Duration::from_millis(500);

/// How long killed processes may take to go.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// One stream of the child: its pipe, its spool, and what the observer did not take yet.
#[derive(Debug)]
pub(super) struct Side {
    stream: Stream,
    pipe: Option<OwnedFd>,
    spool: Spool,
    waiting: Vec<u8>,
    taken: usize,
    left_open: bool,
    /// `None` as long as the observer listens.
    deaf: Option<Passed>,
}

impl Side {
    pub(super) fn new(stream: Stream, pipe: Option<OwnedFd>, spool: Spool) -> Self {
        Self { stream, pipe, spool, waiting: Vec::new(), taken: 0, left_open: false, deaf: None }
    }

    pub(super) fn finish(self) -> Captured {
        let (spooled, spool_error) = match self.spool.finish() {
            Ok(finished) => finished,
            Err(err) => (Spooled::default(), Some(err)),
        };
        Captured { spooled, spool_error, left_open: self.left_open, passed: self.deaf.unwrap_or(Passed::All) }
    }

    fn is_blocked(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Reads once; the pipe must be ready.
    fn read(&mut self, buffer: &mut Vec<u8>, observer: &mut dyn Observer) {
        let Some(pipe) = &self.pipe else { return };
        buffer.clear();
        match rustix::io::read(pipe, spare_capacity(buffer)) {
            Ok(0) => self.pipe = None,
            Ok(_) => {
                self.spool.write(buffer);
                if self.deaf.is_none() {
                    self.waiting.extend_from_slice(buffer);
                    if observer.ready_on(self.stream).is_none() {
                        self.pass(observer);
                    }
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.pipe = None,
        }
    }

    /// Hands over what waits, until it is all taken or the observer has enough.
    fn pass(&mut self, observer: &mut dyn Observer) {
        let waits = observer.ready_on(self.stream).is_some();
        while self.is_blocked() && self.deaf.is_none() {
            let rest = &self.waiting[self.taken..];
            let piece = if waits { &rest[..rest.len().min(PIPE_WRITE)] } else { rest };
            match observer.output(self.stream, piece) {
                // Taking nothing is a way of saying "not now".
                Ok(0) => return,
                Ok(n) => self.taken += n.min(piece.len()),
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return,
                Err(err) if err.kind() == io::ErrorKind::BrokenPipe => self.stop_passing(Passed::Stopped),
                Err(err) => self.stop_passing(Passed::Failed(err)),
            }
            if self.taken == self.waiting.len() {
                self.waiting.clear();
                self.taken = 0;
            }
            if waits {
                return;
            }
        }
    }

    fn stop_passing(&mut self, why: Passed) {
        self.deaf = Some(why);
        self.waiting = Vec::new();
        self.taken = 0;
    }
}

/// Why a group is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    TimedOut,
    Interrupt(i32),
    WantsTerminal,
    LeftOver,
}

#[derive(Debug)]
struct Ending {
    since: Instant,
    /// `None` as long as a child that was interrupted may take its time.
    kill_at: Option<Instant>,
    killed_at: Option<Instant>,
}

/// The leader is gone.
#[derive(Debug)]
struct After {
    exit: Exit,
    resources: Resources,
    finished_at: Micros,
    linger_until: Instant,
    group: Rest,
}

/// What is known of the group after its leader.
#[derive(Debug)]
enum Rest {
    /// To be looked at when the streams have ended or the time for lingering is over.
    Unknown,
    Gone,
    Strays(Vec<Stray>),
    Unseen,
}

/// What the pump comes back with.
pub(super) struct End {
    pub(super) exit: Exit,
    pub(super) resources: Resources,
    pub(super) finished_at: Micros,
    pub(super) timed_out: bool,
    pub(super) interrupted_by: Option<i32>,
    pub(super) wanted_terminal: bool,
    pub(super) leftovers: Leftovers,
    pub(super) sides: [Side; 2],
}

/// What a wait found.
#[derive(Default)]
struct Ready {
    ended: bool,
    interrupts: bool,
    strays: bool,
    read: [bool; 2],
    pass: [bool; 2],
}

/// Everything around one running child.
pub(super) struct Pump<'a> {
    command: &'a Command,
    clock: &'a dyn Clock,
    interrupts: Option<&'a Interrupts>,
    observer: &'a mut dyn Observer,
    group: Group,
    pid: Pid,
    ended: OwnedFd,
    sides: [Side; 2],
    timeout_at: Option<Instant>,
    /// Who is to be told that the child lasts, and when.
    lasts: Option<(Instant, &'a mut dyn FnMut(u32))>,
    /// When to look whether the child was stopped.
    look_at: Option<Instant>,
    ending: Option<Ending>,
    after: Option<After>,
    timed_out: bool,
    interrupted_by: Option<i32>,
    wanted_terminal: bool,
    leftovers: Leftovers,
}

impl<'a> Pump<'a> {
    #[expect(clippy::too_many_arguments, reason = "one caller, which has just made them all")]
    pub(super) fn new(
        command: &'a Command,
        clock: &'a dyn Clock,
        interrupts: Option<&'a Interrupts>,
        observer: &'a mut dyn Observer,
        group: Group,
        pid: Pid,
        ended: OwnedFd,
        sides: [Side; 2],
        lasts: Option<(Duration, &'a mut dyn FnMut(u32))>,
    ) -> Self {
        let now = Instant::now();
        Self {
            command,
            clock,
            interrupts,
            observer,
            group,
            pid,
            ended,
            sides,
            timeout_at: command.timeout.and_then(|timeout| now.checked_add(timeout)),
            lasts: lasts.and_then(|(after, tell)| Some((now.checked_add(after)?, tell))),
            look_at: interrupts.filter(|interrupts| !interrupts.hears_children()).map(|_| now + LOOK),
            ending: None,
            after: None,
            timed_out: false,
            interrupted_by: None,
            wanted_terminal: false,
            leftovers: Leftovers::None,
        }
    }

    /// Runs until the child and its group are gone and its streams are read.
    pub(super) fn run(mut self) -> io::Result<End> {
        // Most commands say little: what is not written to costs no memory.
        let mut buffer = Vec::with_capacity(CHUNK);
        loop {
            // One reading for both: what is not due yet at this moment is what to wake up for.
            let now = Instant::now();
            self.look_at_deadlines(now);
            match self.after.take() {
                Some(after) if self.is_done(&after) => return Ok(self.end(after)),
                after => self.after = after,
            }
            let ready = match self.wait(now) {
                Ok(ready) => ready,
                Err(err) => {
                    self.give_up();
                    return Err(err);
                }
            };
            for (i, side) in self.sides.iter_mut().enumerate() {
                if ready.pass[i] {
                    side.pass(self.observer);
                    if let Some(after) = &mut self.after
                        && !side.is_blocked()
                    {
                        // The observer held it up: what is still in the pipe is not late.
                        after.linger_until = after.linger_until.max(Instant::now() + self.command.linger);
                    }
                }
                if ready.read[i] {
                    side.read(&mut buffer, self.observer);
                }
            }
            if ready.interrupts {
                self.take_interrupts();
            }
            if ready.ended
                && self.after.is_none()
                && let Err(err) = self.reap()
            {
                self.give_up();
                return Err(err);
            }
            if let (true, Some(after)) = (ready.strays, &mut self.after) {
                after.group = look(&self.group);
            }
        }
    }

    fn end(self, after: After) -> End {
        End {
            exit: after.exit,
            resources: after.resources,
            finished_at: after.finished_at,
            timed_out: self.timed_out,
            interrupted_by: self.interrupted_by,
            wanted_terminal: self.wanted_terminal,
            leftovers: self.leftovers,
            sides: self.sides,
        }
    }

    /// Whether the group is gone, the streams are read and the observer has them.
    fn is_done(&self, after: &After) -> bool {
        matches!(after.group, Rest::Gone) && self.sides.iter().all(|side| side.pipe.is_none() && !side.is_blocked())
    }

    /// Sleeps until something happens or the next deadline is there; those up to `now` were seen to.
    fn wait(&self, now: Instant) -> io::Result<Ready> {
        #[derive(Clone, Copy)]
        enum Of {
            Ended,
            Interrupts,
            Stray,
            Read(usize),
            Pass(usize),
        }
        let mut of = Vec::with_capacity(8);
        let mut fds = Vec::with_capacity(8);
        let mut tick = false;
        if self.after.is_none() {
            of.push(Of::Ended);
            fds.push(PollFd::new(&self.ended, PollFlags::IN));
        }
        if let Some(interrupts) = self.interrupts {
            of.push(Of::Interrupts);
            fds.push(PollFd::new(interrupts, PollFlags::IN));
        }
        for (i, side) in self.sides.iter().enumerate() {
            if side.is_blocked() {
                match self.observer.ready_on(side.stream) {
                    Some(fd) => {
                        of.push(Of::Pass(i));
                        fds.push(PollFd::from_borrowed_fd(fd, PollFlags::OUT));
                    }
                    None => tick = true,
                }
            } else if let Some(pipe) = &side.pipe {
                of.push(Of::Read(i));
                fds.push(PollFd::new(pipe, PollFlags::IN));
            }
        }
        match self.after.as_ref().map(|after| &after.group) {
            Some(Rest::Strays(strays)) => {
                for stray in strays {
                    match &stray.fd {
                        Some(fd) => {
                            of.push(Of::Stray);
                            fds.push(PollFd::new(fd, PollFlags::IN));
                        }
                        None => tick = true,
                    }
                }
            }
            Some(Rest::Unseen) => tick = true,
            Some(Rest::Unknown | Rest::Gone) | None => {}
        }
        let killed = self.after.is_some() && self.ending.as_ref().is_some_and(|ending| ending.killed_at.is_some());
        let tick = (tick || killed).then_some(TICK);
        let wait = self.next_deadline(now).map(|at| at.saturating_duration_since(Instant::now()));
        let wait = [tick, wait].into_iter().flatten().min();
        // A wait too long to be told is as good as none.
        let timespec = wait.and_then(|wait| Timespec::try_from(wait).ok());

        let mut ready = Ready::default();
        match poll(&mut fds, timespec.as_ref()) {
            Ok(0) if tick.is_some() => ready.strays = true,
            // A signal: what it means is in the pipe of the interrupts.
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => {
                for (fd, of) in fds.iter().zip(of) {
                    // Errors and hang-ups too: the read or write that follows tells more.
                    if !fd.revents().is_empty() {
                        match of {
                            Of::Ended => ready.ended = true,
                            Of::Interrupts => ready.interrupts = true,
                            Of::Stray => ready.strays = true,
                            Of::Read(i) => ready.read[i] = true,
                            Of::Pass(i) => ready.pass[i] = true,
                        }
                    }
                }
            }
            Err(err) => return Err(err.into()),
        }
        for (pass, side) in ready.pass.iter_mut().zip(&self.sides) {
            *pass |= side.is_blocked() && self.observer.ready_on(side.stream).is_none();
        }
        Ok(ready)
    }

    /// The next moment after `now` at which [`Pump::look_at_deadlines`] has something to do.
    fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let timeout = self.timeout_at.filter(|_| self.may_time_out());
        let kill = self.ending.as_ref().filter(|ending| ending.killed_at.is_none()).and_then(|ending| ending.kill_at);
        let linger = self.after.as_ref().map(|after| after.linger_until).filter(|&at| at > now && !self.is_blocked());
        let lasts = self.lasts.as_ref().map(|(at, _)| *at).filter(|_| self.after.is_none());
        let look = self.look_at.filter(|_| self.after.is_none());
        [timeout, kill, linger, lasts, look].into_iter().flatten().min()
    }

    /// Whether the child runs and nothing sets it an end yet: an interrupt that it lives through does not.
    fn may_time_out(&self) -> bool {
        self.after.is_none() && self.ending.as_ref().is_none_or(|ending| ending.kill_at.is_none())
    }

    fn is_blocked(&self) -> bool {
        self.sides.iter().any(Side::is_blocked)
    }

    /// Does what is due.
    fn look_at_deadlines(&mut self, now: Instant) {
        if self.after.is_none() {
            if let Some((_, tell)) = self.lasts.take_if(|(at, _)| now >= *at) {
                let pid = self.pid.as_raw_nonzero().get().unsigned_abs();
                tell(pid);
                self.observer.notice(Notice::Started(pid));
            }
            if self.look_at.is_some_and(|at| now >= at) {
                self.look_at = Some(now + LOOK);
                self.look_whether_stopped();
            }
            if self.may_time_out() && self.timeout_at.is_some_and(|at| now >= at) {
                self.timed_out = true;
                self.begin_ending(Cause::TimedOut);
            }
            self.kill_if_due(now);
            return;
        }
        self.look_at_group(now);
        self.kill_if_due(now);
        let kill_is_due = self.ending.as_ref().is_some_and(|ending| ending.kill_at.is_some_and(|at| now >= at));
        if kill_is_due {
            // Everything was to end by now: whoever does not read on misses the rest.
            self.sides.iter_mut().filter(|side| side.is_blocked()).for_each(|side| side.stop_passing(Passed::Stopped));
        }
        let Some(after) = &self.after else { return };
        if matches!(after.group, Rest::Gone) && now >= after.linger_until && !self.is_blocked() {
            for side in &mut self.sides {
                side.left_open |= side.pipe.take().is_some();
            }
        }
    }

    /// Finds out what is left of the group, once that matters, and begins to end it when its time is over.
    fn look_at_group(&mut self, now: Instant) {
        let is_blocked = self.is_blocked();
        let Some(after) = &mut self.after else { return };
        let is_late = now >= after.linger_until && !is_blocked;
        let is_silent = self.sides.iter().all(|side| side.pipe.is_none());
        if matches!(after.group, Rest::Unknown) && (is_silent || is_late) {
            after.group = look(&self.group);
        }
        if matches!(after.group, Rest::Unknown | Rest::Gone) {
            return;
        }
        match self.ending.as_ref().map(|ending| ending.killed_at) {
            None if is_late => {
                self.leftovers = Leftovers::Ended;
                self.begin_ending(Cause::LeftOver);
            }
            Some(Some(killed_at)) => {
                if now >= killed_at + KILL_PATIENCE {
                    self.leftovers = Leftovers::Survived;
                    after.group = Rest::Gone;
                } else {
                    // What was forked while the others were being killed.
                    self.group.signal(Signal::KILL);
                }
            }
            None | Some(None) => {}
        }
    }

    fn kill_if_due(&mut self, now: Instant) {
        let is_due = |ending: &Ending| ending.killed_at.is_none() && ending.kill_at.is_some_and(|at| now >= at);
        if self.ending.as_ref().is_some_and(is_due)
            && !self.after.as_ref().is_some_and(|after| matches!(after.group, Rest::Gone))
        {
            self.kill();
        }
    }

    fn begin_ending(&mut self, cause: Cause) {
        let now = Instant::now();
        let (signal, notice) = match cause {
            Cause::TimedOut => (Signal::TERM, Notice::TimedOut),
            Cause::Interrupt(signal) => {
                (Signal::from_named_raw(signal).unwrap_or(Signal::TERM), Notice::Forwarded(signal))
            }
            Cause::WantsTerminal => (Signal::TERM, Notice::WantsTerminal),
            Cause::LeftOver => (Signal::TERM, Notice::LeftOver),
        };
        // A child that was interrupted may take its time, as it may without prov; what it leaves behind may not.
        let may_take_its_time = matches!(cause, Cause::Interrupt(_)) && self.after.is_none() && !self.command.must_end;
        let kill_at = (!may_take_its_time).then(|| now + self.command.grace);
        self.ending = Some(Ending { since: now, kill_at, killed_at: None });
        self.group.signal(signal);
        // Whoever is stopped hears nothing else.
        self.group.signal(Signal::CONT);
        self.observer.notice(notice);
    }

    fn kill(&mut self) {
        self.group.kill();
        if let Some(ending) = &mut self.ending {
            let now = Instant::now();
            ending.killed_at = Some(now);
            ending.kill_at = ending.kill_at.or(Some(now));
        }
        self.observer.notice(Notice::Killing);
    }

    fn take_interrupts(&mut self) {
        let Some(interrupts) = self.interrupts else { return };
        for signal in interrupts.take() {
            match signal {
                SIGCHLD => self.look_whether_stopped(),
                SIGTSTP => {
                    self.group.signal(Signal::STOP);
                    // Returns when somebody lets us go on.
                    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
                    self.group.signal(Signal::CONT);
                }
                SIGWINCH => {
                    for side in &self.sides {
                        if let (Some(ours), Some(like)) = (&side.pipe, self.observer.terminal(side.stream)) {
                            super::terminal::resize(ours.as_fd(), like);
                        }
                    }
                    self.group.signal(Signal::WINCH);
                }
                signal => self.interrupt(signal),
            }
        }
    }

    /// Ends a child that was stopped because it wanted the terminal.
    fn look_whether_stopped(&mut self) {
        let wants = self.after.is_none() && reap::stopped_by(self.pid).is_some_and(|by| by == SIGTTIN || by == SIGTTOU);
        if wants && self.ending.is_none() {
            self.wanted_terminal = true;
            self.begin_ending(Cause::WantsTerminal);
        }
    }

    fn interrupt(&mut self, signal: i32) {
        self.interrupted_by = self.interrupted_by.or(Some(signal));
        match &mut self.ending {
            None => self.begin_ending(Cause::Interrupt(signal)),
            Some(ending) if ending.killed_at.is_none() && ending.since.elapsed() >= self.command.repeat_after => {
                ending.kill_at = Some(Instant::now());
                self.kill();
            }
            Some(_) => {}
        }
        if self.after.is_some() {
            // Nobody waits for a slow reader after an interrupt.
            self.sides.iter_mut().filter(|side| side.is_blocked()).for_each(|side| side.stop_passing(Passed::Stopped));
        }
    }

    fn reap(&mut self) -> io::Result<()> {
        let finished_at = self.clock.now();
        let (status, resources) = reap::reap(self.pid)?;
        self.group.leader_is_reaped();
        let now = Instant::now();
        if let Some(ending) = &mut self.ending {
            ending.kill_at = ending.kill_at.or(Some(now + self.command.grace));
        }
        self.after = Some(After {
            exit: Exit::of(status),
            resources,
            finished_at,
            linger_until: now + self.command.linger,
            group: Rest::Unknown,
        });
        Ok(())
    }

    /// The system does not let us wait: nothing may be left running unseen.
    fn give_up(&mut self) {
        self.group.kill();
        if self.after.is_none() {
            // It was killed, and what it would say is of no use any more.
            let _ = reap::reap(self.pid);
        }
    }
}

fn look(group: &Group) -> Rest {
    match group.remains() {
        Remains::Nothing => Rest::Gone,
        Remains::Strays(strays) => Rest::Strays(strays),
        Remains::Unseen => Rest::Unseen,
    }
}
