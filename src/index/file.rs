//! The file: where it lies, how it is opened, how a new one takes the place of an old one.
//!
//! A folder holds databases with names that never recur, and `current`, which names the one that counts. So a new one is made beside the old,
//! whole, and then named; processes that still read the old one keep it. The write-ahead log makes a commit one write without a sync: what
//! is lost with the power is found missing by its position and read from the store again.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::rows::Position;
use super::write::Writer;
use super::{Error, VERSION};
use crate::fs::Fs;

/// Names the database that counts.
const CURRENT: &str = "current";
/// How long a process waits for another one that writes.
const WAIT: Duration = Duration::from_secs(60);
/// What nobody names is removed when it is so old, nanoseconds: whoever made it has died.
const OLD_NS: i64 = 3_600_000_000_000;

/// Where an index lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this folder.
    Folder(PathBuf),
    /// In memory: there is no place on a local disk that can be written.
    Memory,
}

/// An open index.
pub struct Index {
    pub(super) connection: Connection,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("path", &self.connection.path()).finish()
    }
}

/// What opening came to.
#[derive(Debug)]
pub enum Opened {
    /// It is there, and this far.
    Here(Index, Position),
    /// There is none of this store that can be read.
    None,
}

pub(super) fn position(connection: &Connection) -> Result<Position, Error> {
    let mut find = connection.prepare_cached("select store, tip, op, tables from t_position")?;
    let found = find
        .query_row([], |row| {
            Ok(Position { store: row.get(0)?, tip: row.get(1)?, op: row.get(2)?, tables: row.get(3)? })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

fn settle(connection: &Connection) -> Result<(), Error> {
    connection.busy_timeout(WAIT)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    // What a damaged file says is not believed.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(())
}

impl Index {
    /// Opens the index of a store.
    ///
    /// # Errors
    /// [`Error::Busy`]. One that can't be read is none.
    pub fn open(fs: &Fs, place: &Place, store: &str) -> Result<Opened, Error> {
        let Place::Folder(folder) = place else { return Ok(Opened::None) };
        let Ok(Some(name)) = fs.read(&folder.join(CURRENT)) else { return Ok(Opened::None) };
        let Some(name) = String::from_utf8(name).ok().filter(|name| is_name(name.trim_end())) else {
            return Ok(Opened::None);
        };
        let path = folder.join(name.trim_end());
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let read = || -> Result<(Index, Position), Error> {
            let connection = Connection::open_with_flags(&path, flags)?;
            settle(&connection)?;
            let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            let position = if version == VERSION { position(&connection)? } else { Position::default() };
            Ok((Index { connection }, position))
        };
        match read() {
            Ok((index, position)) if position.store == store => Ok(Opened::Here(index, position)),
            Err(Error::Busy) => Err(Error::Busy),
            // Of another store, of another layout, damaged, or gone: there is none.
            Ok(_) | Err(_) => Ok(Opened::None),
        }
    }

    /// Makes an index with what `fill` adds, and puts it into the place of any other. `name` must never have been used.
    ///
    /// # Errors
    /// Whatever `fill` reports, or SQLite. Where nothing can be written, it is made in memory.
    pub fn create<T, E: From<Error>>(
        fs: &Fs,
        place: &Place,
        name: &str,
        now_ns: i64,
        fill: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<(Self, T), E> {
        let wrong = |err: rusqlite::Error| E::from(Error::from(err));
        let folder = match place {
            Place::Folder(folder) if fs.make_dirs(folder).is_ok() => Some(folder),
            _ => None,
        };
        let file = format!("{name}.db");
        let opened = folder.and_then(|folder| {
            let path = folder.join(&file);
            let connection = Connection::open(&path).ok()?;
            // Nobody reads it before it is whole, so nothing has to be taken back.
            connection.execute_batch("pragma journal_mode = off; pragma synchronous = off; pragma user_version = 0; create table t_probe (n); drop table t_probe;").ok()?;
            Some((folder, path, connection))
        });
        let Some((folder, path, connection)) = opened else {
            let connection = Connection::open_in_memory().map_err(wrong)?;
            settle(&connection)?;
            let mut index = Self { connection };
            let done = index.fill(fill)?;
            return Ok((index, done));
        };
        let made = (|| {
            connection.pragma_update(None, "cache_size", -200_000).map_err(wrong)?;
            connection.pragma_update(None, "temp_store", "MEMORY").map_err(wrong)?;
            let mut index = Self { connection };
            let done = index.fill(fill)?;
            index.connection.execute_batch("pragma optimize; pragma journal_mode = wal;").map_err(wrong)?;
            settle(&index.connection)?;
            Ok((index, done))
        })();
        match made {
            Ok(made) => {
                let synced = fs.open(&path).and_then(|file| file.sync_all());
                let named =
                    synced.and_then(|()| fs.replace(&folder.join(CURRENT), format!("{file}\n").as_bytes(), false));
                if named.is_err() {
                    // It answers this time; the next command makes another.
                    let _ = fs.remove_file(&path);
                }
                sweep(fs, folder, &file, now_ns);
                Ok(made)
            }
            Err(err) => {
                let _ = fs.remove_file(&path);
                Err(err)
            }
        }
    }

    /// Forgets the index that lies there: the next one is made anew.
    pub fn forget(fs: &Fs, place: &Place) {
        if let Place::Folder(folder) = place {
            let _ = fs.remove_file(&folder.join(CURRENT));
        }
    }
}

fn is_name(name: &str) -> bool {
    name.strip_suffix(".db").is_some() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

/// Removes databases that nobody names any more. One that was named until now is still read by who has it open.
fn sweep(fs: &Fs, folder: &Path, keep: &str, now_ns: i64) {
    for name in fs.names(folder).unwrap_or_default() {
        let text = name.to_string_lossy();
        let base = text.split(".db").next().unwrap_or_default();
        if text == CURRENT || !text.contains(".db") || keep.starts_with(base) && keep.len() == base.len() + 3 {
            continue;
        }
        let path = folder.join(&name);
        let is_old = fs.stat(&path).ok().flatten().is_some_and(|stat| now_ns.saturating_sub(stat.mtime_ns) > OLD_NS);
        if is_old {
            let _ = fs.remove_file(&path);
        }
    }
}
