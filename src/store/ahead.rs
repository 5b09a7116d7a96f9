//! Files of which every part has to be asked for: what is read bit by bit is read ahead.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backend::ReadAt;

/// Bytes that are read ahead where little is asked for.
const WINDOW: u64 = 256 << 10;

/// Bytes that are asked for at once where all of a file is read.
const STRETCH: u64 = 8 << 20;

/// Windows of one file that are kept.
const WINDOWS: usize = 4;

/// Gives parts of one file.
pub trait Parts: Send + Sync + std::fmt::Debug {
    /// `len` bytes from `offset` on, which lie in the file; never fewer.
    ///
    /// # Errors
    /// When they can't be had.
    fn part(&self, offset: u64, len: u64) -> io::Result<Vec<u8>>;
}

/// A file that is read through windows.
#[derive(Debug)]
pub struct Ahead<P> {
    parts: P,
    size: u64,
    windows: Mutex<VecDeque<(u64, Arc<Vec<u8>>)>>,
}

impl<P: Parts> Ahead<P> {
    /// A file of `size` bytes, of which the last ones, `tail`, are known.
    pub fn new(parts: P, size: u64, tail: Vec<u8>) -> Self {
        let at = size.saturating_sub(tail.len() as u64);
        Self { parts, size, windows: Mutex::new(VecDeque::from([(at, Arc::new(tail))])) }
    }

    fn windows(&self) -> MutexGuard<'_, VecDeque<(u64, Arc<Vec<u8>>)>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The window that holds this stretch, if one does.
    fn known(&self, offset: u64, len: u64) -> Option<(u64, Arc<Vec<u8>>)> {
        let holds = |(at, bytes): &&(u64, Arc<Vec<u8>>)| *at <= offset && offset + len <= at + bytes.len() as u64;
        self.windows().iter().find(holds).cloned()
    }
}

impl<P: Parts> ReadAt for Ahead<P> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn at_once(&self) -> u64 {
        STRETCH
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let len = buffer.len() as u64;
        if offset.checked_add(len).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if len == 0 {
            return Ok(());
        }
        let (at, bytes) = match self.known(offset, len) {
            Some(window) => window,
            None if len >= WINDOW => (offset, Arc::new(self.parts.part(offset, len)?)),
            None => {
                let end = self.size.min(offset.saturating_add(WINDOW));
                let window = (offset, Arc::new(self.parts.part(offset, end - offset)?));
                let mut windows = self.windows();
                windows.truncate(WINDOWS - 1);
                windows.push_front(window.clone());
                window
            }
        };
        let start = usize::try_from(offset - at).unwrap_or(usize::MAX);
        let found = bytes.get(start..start.saturating_add(buffer.len()));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
