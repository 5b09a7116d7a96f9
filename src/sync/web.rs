//! A store that a web server gives: files by their names, nothing else. It can't be listed and can't be written.
//!
//! Which entries the log has is found out by asking for them, from the one on that the file `newest` names
//! (`docs/design/0015-more-remotes.md`).

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::fetch::{self, Client, Part, Span, Url, Watch};
use crate::progress::{Cancel, Silent};
use crate::store::backend::{Queued, ReadAt, Staged};
use crate::store::{Ahead, Backend, BackendError, Folder, Outcome, Parts, entry_name, entry_number, is_entry};

/// Bytes of an entry, and of a file from a server that gives no parts, at most.
const WHOLE: u64 = 24 << 20;

/// Bytes of the end of a file that come when it is opened.
const TAIL: u64 = 64 << 10;

/// Entries that are asked for at once.
const BATCH: u64 = 8;

/// How far above where the log was it is searched for, if it isn't there any more.
const REACH: u64 = 256;

/// Entries of a log at most: far more than two folds leave.
const ENTRIES: usize = 4096;

/// Bytes of entries that are kept until they are read.
const KEPT: usize = 64 << 20;

/// How often something is asked for before it counts as out of reach.
const ATTEMPTS: u32 = 5;

/// The first pause between two attempts; each one is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(50);

/// After this long nothing is tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a store may lie below an address.
const BELOW: [&str; 3] = ["", ".prov/store", "store"];

/// Nothing that is asked of a server here can be stopped but by ending the process.
static GO_ON: Cancel = Cancel::new();

/// A store on a web server.
#[derive(Debug, Clone)]
pub(super) struct WebBackend {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    base: Url,
    log: Mutex<Log>,
    lost: Mutex<Option<String>>,
}

/// What is known of the log.
#[derive(Debug, Default)]
struct Log {
    shown: BTreeSet<u64>,
    /// Entries that came when they were looked for, to be read next; good for one reading each.
    entries: HashMap<u64, Vec<u8>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WebBackend {
    /// The store at `address`, or where a project there keeps it.
    ///
    /// # Errors
    /// When the server can't be asked.
    pub(super) fn connect(address: &Url, options: &fetch::Options) -> Result<Self, BackendError> {
        let options = fetch::Options { max_redirects: 3, stays_at_host: true, ..options.clone() };
        let failed =
            |err: fetch::Error| BackendError::Io { action: "reach", file: address.shown(), source: plain(err) };
        let client = Client::new(options).map_err(failed)?;
        let mut shared = Shared { client, base: address.clone(), log: Mutex::default(), lost: Mutex::default() };
        for below in BELOW {
            shared.base = if below.is_empty() { address.clone() } else { address.below(below).map_err(failed)? };
            match shared.ask("format", Span::All) {
                Ok(_) => return Ok(Self { shared: Arc::new(shared) }),
                Err(fetch::Error::Status { status: 404 | 410, .. }) => {}
                Err(err) => return Err(failed(err)),
            }
        }
        shared.base = address.clone();
        Ok(Self { shared: Arc::new(shared) })
    }

    fn read_only(&self) -> BackendError {
        let what = "a web server only gives files";
        BackendError::ReadOnly { place: self.place(), source: io::Error::new(io::ErrorKind::Unsupported, what) }
    }
}

/// An error of a request as the system would say it. What may pass says nothing of the file.
fn plain(err: fetch::Error) -> io::Error {
    if err.may_pass() { io::Error::new(io::ErrorKind::ConnectionAborted, err) } else { io::Error::other(err) }
}

impl Shared {
    /// Asks for a file until an answer comes.
    fn ask(&self, file: &str, span: Span) -> Result<Part, fetch::Error> {
        let url = self.base.below(file)?;
        let watch = Watch { cancel: &GO_ON, progress: &Silent };
        let (mut pause, started) = (PAUSE, Instant::now());
        for _ in 1..ATTEMPTS {
            match self.client.part(&url, span, WHOLE, watch) {
                Err(err) if err.may_pass() && started.elapsed() < PATIENCE => std::thread::sleep(pause),
                done => return done,
            }
            pause *= 2;
        }
        self.client.part(&url, span, WHOLE, watch).inspect_err(|err| {
            if err.may_pass() {
                locked(&self.lost).get_or_insert(err.to_string());
            }
        })
    }

    /// Bytes of a file; `None` if the server has no such file, or says that nobody may know.
    fn get(&self, action: &'static str, file: &str, span: Span) -> Result<Option<Part>, BackendError> {
        match self.ask(file, span) {
            Ok(part) => Ok(Some(part)),
            Err(fetch::Error::Status { status: 403 | 404 | 410, .. }) => Ok(None),
            Err(err) => Err(BackendError::Io { action, file: format!("{}/{file}", self.base), source: plain(err) }),
        }
    }

    fn entry(&self, number: u64) -> Result<Option<Vec<u8>>, BackendError> {
        let file = format!("{}/{}", Folder::Log, entry_name(number));
        Ok(self.get("read", &file, Span::All)?.map(|part| part.bytes))
    }

    /// Asks for several entries at once. A server that has an answer for every name has entries only up to the last one that looks like one.
    fn entries(&self, numbers: std::ops::Range<u64>) -> Result<Vec<(u64, Vec<u8>)>, BackendError> {
        let asked: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = numbers.map(|number| scope.spawn(move || (number, self.entry(number)))).collect();
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        let (mut found, count) = (Vec::new(), asked.len());
        for joined in asked {
            let gone = |_| io::Error::other("a thread broke");
            let (number, bytes) = joined.map_err(gone).map_err(|source| self.unlisted(source))?;
            found.extend(bytes?.map(|bytes| (number, bytes)));
        }
        if found.len() < count {
            // What is missing is told as such, so what is there is an entry, possibly a damaged one.
            return Ok(found);
        }
        let last = found.iter().rposition(|(_, bytes)| is_entry(bytes)).map_or(0, |at| at + 1);
        found.truncate(last);
        Ok(found)
    }

    fn unlisted(&self, source: io::Error) -> BackendError {
        BackendError::Io { action: "list", file: format!("{}/{}", self.base, Folder::Log), source }
    }

    /// The entry that the file `newest` names.
    fn newest(&self) -> Result<Option<u64>, BackendError> {
        let Some(part) = self.get("read", "newest", Span::All)? else { return Ok(None) };
        Ok(std::str::from_utf8(&part.bytes).ok().and_then(|text| entry_number(text.trim_end())))
    }

    /// Names in a folder as a page of the server lists them; none if it doesn't.
    fn page(&self, folder: Folder) -> Result<Vec<String>, BackendError> {
        let page = self.get("list", &format!("{folder}/"), Span::All)?;
        Ok(page.map(|part| names_on_page(&part.bytes)).unwrap_or_default())
    }
}

/// What the links of a page lead to that has a plain name.
fn names_on_page(page: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(page);
    let links = text.split("href=").skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|quote| *quote == '"' || *quote == '\'')?;
        rest[1..].split(quote).next()?.rsplit('/').next()
    });
    let is_plain = |name: &&str| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            && !name.starts_with('.')
    };
    let names: BTreeSet<String> = links.filter(is_plain).map(str::to_owned).collect();
    names.into_iter().collect()
}

impl Log {
    fn add(&mut self, found: Vec<(u64, Vec<u8>)>) {
        for (number, bytes) in found {
            self.shown.insert(number);
            if self.entries.values().map(Vec::len).sum::<usize>() + bytes.len() <= KEPT {
                self.entries.insert(number, bytes);
            }
        }
    }

    /// Adds what lies above, until nothing does.
    fn upward(&mut self, shared: &Shared) -> Result<(), BackendError> {
        while let Some(&tip) = self.shown.last() {
            let found = shared.entries(tip.saturating_add(1)..tip.saturating_add(1 + BATCH))?;
            if found.is_empty() {
                break;
            }
            self.add(found);
            if self.shown.len() > ENTRIES {
                return Err(shared.unlisted(io::Error::other("its log has no end")));
            }
        }
        Ok(())
    }

    /// Adds what lies below, until nothing does.
    fn downward(&mut self, shared: &Shared) -> Result<(), BackendError> {
        while let Some(&lowest) = self.shown.first().filter(|&&lowest| lowest > 0) {
            let found = shared.entries(lowest.saturating_sub(BATCH)..lowest)?;
            if found.is_empty() || self.shown.len() > ENTRIES {
                break;
            }
            self.add(found);
        }
        Ok(())
    }

    /// Finds out which entries there are.
    fn discover(&mut self, shared: &Shared) -> Result<(), BackendError> {
        *self = Self::default();
        let mut from = shared.newest()?.unwrap_or(0);
        for _ in 0..3 {
            let found = shared.entries(from..from.saturating_add(1))?;
            let is_here = !found.is_empty();
            self.add(found);
            if is_here {
                self.upward(shared)?;
                return self.downward(shared);
            }
            // Folded away meanwhile.
            match shared.newest()? {
                Some(newer) if newer != from => from = newer,
                _ => break,
            }
        }
        // A copy of a store has what it was copied with: the page that lists the folder, if there is one, tells; or else a search.
        let listed = shared.page(Folder::Log)?;
        self.shown.extend(listed.iter().filter_map(|name| entry_number(name)));
        if !self.shown.is_empty() {
            return self.upward(shared);
        }
        let mut above = from.saturating_add(1);
        while self.shown.is_empty() && above < from.saturating_add(REACH) {
            let found = shared.entries(above..above.saturating_add(2 * BATCH))?;
            self.add(found);
            above = above.saturating_add(2 * BATCH);
        }
        if self.shown.is_empty() {
            let what = "the file `newest` is missing or old, and the server doesn't list the folder";
            return Err(shared.unlisted(io::Error::new(io::ErrorKind::NotFound, what)));
        }
        self.upward(shared)?;
        self.downward(shared)
    }
}

/// A file on the server.
#[derive(Debug)]
struct WebFile {
    shared: Arc<Shared>,
    file: String,
}

impl Parts for WebFile {
    fn part(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let part = self.shared.ask(&self.file, Span::From(offset, len)).map_err(plain)?;
        let start = usize::try_from(offset - part.at.min(offset)).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(part.bytes.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?.to_vec())
    }
}

impl Backend for WebBackend {
    fn place(&self) -> String {
        self.shared.base.shown()
    }

    fn names(&self, folder: Folder) -> Result<Vec<String>, BackendError> {
        if folder != Folder::Log {
            return self.shared.page(folder);
        }
        let mut log = locked(&self.shared.log);
        let is_there = match log.shown.first() {
            Some(&lowest) => {
                let file = format!("{}/{}", Folder::Log, entry_name(lowest));
                let part = self.shared.get("read", &file, Span::From(0, 8))?;
                part.is_some_and(|part| is_entry(&part.bytes))
            }
            None => false,
        };
        if is_there {
            log.upward(&self.shared)?;
        } else if self.read_format()?.is_some() {
            log.discover(&self.shared)?;
        }
        Ok(log.shown.iter().copied().map(entry_name).collect())
    }

    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>, BackendError> {
        let mut found = Vec::new();
        for name in self.names(folder)? {
            let part = self.shared.get("list", &format!("{folder}/{name}"), Span::Last(1))?;
            found.extend(part.map(|part| (name, part.size)));
        }
        Ok(found)
    }

    fn read(&self, folder: Folder, name: &str) -> Result<Option<Vec<u8>>, BackendError> {
        if folder == Folder::Log
            && let Some(number) = entry_number(name)
            && let Some(bytes) = locked(&self.shared.log).entries.remove(&number)
        {
            return Ok(Some(bytes));
        }
        Ok(self.shared.get("read", &format!("{folder}/{name}"), Span::All)?.map(|part| part.bytes))
    }

    fn open(&self, folder: Folder, name: &str) -> Result<Option<Box<dyn ReadAt>>, BackendError> {
        let file = format!("{folder}/{name}");
        let Some(part) = self.shared.get("open", &file, Span::Last(TAIL))? else { return Ok(None) };
        let file = WebFile { shared: Arc::clone(&self.shared), file };
        Ok(Some(Box::new(Ahead::new(file, part.size, part.bytes))))
    }

    fn stage(&self) -> Result<Box<dyn Staged>, BackendError> {
        Err(self.read_only())
    }

    fn sync(&self, _folder: Folder) -> Result<(), BackendError> {
        Err(self.read_only())
    }

    fn remove(&self, _folder: Folder, _name: &str) -> Result<(), BackendError> {
        Err(self.read_only())
    }

    fn prepare(&self) -> Result<(), BackendError> {
        Err(self.read_only())
    }

    fn read_format(&self) -> Result<Option<Vec<u8>>, BackendError> {
        Ok(self.shared.get("read", "format", Span::All)?.map(|part| part.bytes))
    }

    fn drop_format(&self) -> Result<(), BackendError> {
        Err(self.read_only())
    }

    fn create_format(&self, _bytes: &[u8]) -> Result<Outcome, BackendError> {
        Err(self.read_only())
    }

    fn queue(&self, _wait: Duration) -> Option<Box<dyn Queued>> {
        None
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn lost(&self) -> Option<String> {
        locked(&self.shared.lost).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_pages_of_several_servers() {
        let python =
            "<li><a href=\"00000000000000000032\">00000000000000000032</a></li>\n<li><a href=\"x/\">x/</a></li>";
        let nginx = "<a href='../'>../</a>\r\n<a href='/s/log/00000000000000000033'>..</a> 22-Nov-2026 12:00  512";
        assert_eq!(names_on_page(python.as_bytes()), ["00000000000000000032"]);
        assert_eq!(names_on_page(nginx.as_bytes()), ["00000000000000000033"]);
        assert_eq!(names_on_page(b"href= href=\" href=\xff\"a b\""), Vec::<String>::new());
    }
}
