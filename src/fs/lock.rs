//! An advisory lock for thrift: nothing is ever wrong without it.

use std::any::Any;
use std::path::Path;
use std::time::{Duration, Instant};

/// A lock that is held; dropping it releases it.
#[derive(Debug)]
pub struct Lock {
    _held: Box<dyn Any + Send>,
}

impl Lock {
    pub(super) fn held(held: Box<dyn Any + Send>) -> Self {
        Self { _held: held }
    }
}

/// Tries for at most `wait` to lock the file at `path`, which is created if absent; `None` if that did not work for any reason.
pub fn lock(path: &Path, wait: Duration) -> Option<Lock> {
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path).ok()?;
    let deadline = Instant::now() + wait;
    let mut pause = Duration::from_micros(100);
    loop {
        match file.try_lock() {
            Ok(()) => return Some(Lock::held(Box::new(file))),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(2));
            }
            Err(_) => return None,
        }
    }
}
