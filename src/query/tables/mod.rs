//! The index of a project's store: opened, brought up to date, made anew when it has to be.
//!
//! A question reads the position of the index first. If the log ends where it did when the index was filled, that is all. Else the refs that
//! came since are read: those of entries that are not folded yet, and those of ref tables that it has not read. Nothing in `prov run` waits
//! for it.

mod fill;
mod row;
mod shortcut;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use shortcut::ByIndex;

use self::fill::Fresh;
use super::Error;
use crate::hash::Id;
use crate::index::{self, Cell, Index, Opened, Place, Position, ValueKind};
use crate::object::run::Run;
use crate::progress::Progress;
use crate::repo::Repo;
use crate::store::Snapshot;

/// The index, as new as a snapshot of the store.
#[derive(Debug)]
pub struct Tables {
    index: Index,
    place: Place,
    /// What could not be read, and so is in no table.
    lost: Vec<String>,
}

/// Where the index of this project's store lies: below `.prov/cache`, or, where that is on a network file system, below the user's own
/// cache folder. Without one it is made in memory, anew each time.
pub fn place(repo: &Repo, user_cache: Option<&Path>) -> Place {
    let own = repo.layout().cache();
    let is_remote = |folder: &Path| crate::fs::space(folder).map(|space| space.is_network);
    match is_remote(&own).or_else(|_| is_remote(repo.layout().dot())) {
        Ok(false) => Place::Folder(own.join("index")),
        _ => match user_cache {
            Some(folder) if !is_remote(folder).unwrap_or(false) => {
                Place::Folder(folder.join("prov").join("index").join(repo.store().id()))
            }
            _ => Place::Memory,
        },
    }
}

/// Opens the index, as new as `snapshot` or newer.
///
/// # Errors
/// When the store can't be read, or another process keeps the index for a minute.
pub fn open(
    repo: &Repo,
    snapshot: &Snapshot,
    user_cache: Option<&Path>,
    progress: &dyn Progress,
) -> Result<Tables, Error> {
    let place = place(repo, user_cache);
    match Index::open(repo.fs(), &place, repo.store().id())? {
        Opened::Here(index, position) => match refreshed(repo, snapshot, &place, index, &position, progress) {
            Err(Error::Index(err)) if err.is_damage() => made(repo, snapshot, place, progress),
            other => other,
        },
        Opened::None => made(repo, snapshot, place, progress),
    }
}

/// Opens the index if it is there and little is missing to make it as new as `snapshot` or newer.
///
/// # Errors
/// Those of [`open`].
pub fn open_if_near(
    repo: &Repo,
    snapshot: &Snapshot,
    user_cache: Option<&Path>,
    progress: &dyn Progress,
) -> Result<Option<Tables>, Error> {
    let place = place(repo, user_cache);
    let Opened::Here(index, position) = Index::open(repo.fs(), &place, repo.store().id())? else { return Ok(None) };
    match refreshed_if(repo, snapshot, &place, index, &position, progress)? {
        Refreshed::Here(tables) if tables.lost.is_empty() => Ok(Some(tables)),
        Refreshed::Here(_) | Refreshed::Anew(_) => Ok(None),
    }
}

impl Tables {
    /// The index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Runs whose records can't be read: what is answered lacks them.
    pub fn lost(&self) -> &[String] {
        &self.lost
    }

    /// Forgets the index that lies there, which turned out to be damaged: the next one is made anew.
    fn forget(&self, repo: &Repo) {
        Index::forget(repo.fs(), &self.place);
    }

    /// Answers by `ask`; if the index turns out to be damaged, it is made anew and asked again.
    ///
    /// # Errors
    /// What `ask` reports.
    pub fn answer<T>(
        mut self,
        repo: &Repo,
        snapshot: &Snapshot,
        ask: impl Fn(&mut Index) -> Result<T, index::Error>,
    ) -> Result<(Self, T), Error> {
        match ask(&mut self.index) {
            Err(err) if err.is_damage() => {
                self.forget(repo);
                self = made(repo, snapshot, self.place, &crate::progress::Silent)?;
                let answer = ask(&mut self.index)?;
                Ok((self, answer))
            }
            Err(err) => Err(err.into()),
            Ok(answer) => Ok((self, answer)),
        }
    }
}

/// A facet of a run or of one of its outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Facet {
    /// The output, `KEY/MEMBER` for a file of a set; empty for the run's own.
    pub output: String,
    /// Its namespace.
    pub namespace: String,
    /// Keys joined by dots; a dot in a key has a backslash before it.
    pub key: String,
    /// The value; of a list, JSON.
    pub value: Cell,
    /// `int`, `float`, `bool`, `text`, `null`, `list`, `map`.
    pub kind: &'static str,
}

/// All facets of a run and of its outputs, from its record: however many they are.
pub fn facets(run: &Run) -> Vec<Facet> {
    let mut rows = Vec::new();
    let own = run.facets.iter().filter(|(key, _)| !key.starts_with(crate::run::lifecycle::OWN_FACETS));
    row::values(&mut rows, ValueKind::Facet, "", own, usize::MAX);
    for (key, output) in &run.outputs {
        row::values(&mut rows, ValueKind::Facet, key, output.facets.iter(), usize::MAX);
        for (member, file) in &output.members {
            let said = format!("{key}/{}", crate::path::shown(member));
            row::values(&mut rows, ValueKind::Facet, &said, file.facets.iter(), usize::MAX);
        }
    }
    rows.into_iter()
        .map(|row| Facet {
            output: row.output,
            namespace: if row.namespace.is_empty() { run.step.clone() } else { row.namespace },
            key: row.key,
            value: match (row.kind_of_value, row.value) {
                ("bool", Cell::Int(n)) => Cell::Bool(n != 0),
                (_, value) => value,
            },
            kind: row.kind_of_value,
        })
        .collect()
}

/// Reads the names of tables that a position keeps.
fn known(position: &Position) -> BTreeSet<Id> {
    position.tables.chunks(33).filter_map(Id::from_bytes).collect()
}

fn op_of(snapshot: &Snapshot) -> Vec<u8> {
    snapshot.tip_op().map(|op| op.to_bytes().to_vec()).unwrap_or_default()
}

/// What bringing an index up to date came to.
enum Refreshed {
    /// It is.
    Here(Tables),
    /// It is to be made anew, from this snapshot.
    Anew(Snapshot),
}

fn refreshed(
    repo: &Repo,
    snapshot: &Snapshot,
    place: &Place,
    index: Index,
    position: &Position,
    progress: &dyn Progress,
) -> Result<Tables, Error> {
    match refreshed_if(repo, snapshot, place, index, position, progress)? {
        Refreshed::Here(tables) => Ok(tables),
        Refreshed::Anew(newest) => made(repo, &newest, place.clone(), progress),
    }
}

fn refreshed_if(
    repo: &Repo,
    snapshot: &Snapshot,
    place: &Place,
    mut index: Index,
    position: &Position,
    progress: &dyn Progress,
) -> Result<Refreshed, Error> {
    let is_fresh = |position: &Position, snapshot: &Snapshot| {
        !position.op.is_empty()
            && position.op == op_of(snapshot)
            && u64::try_from(position.tip).is_ok_and(|tip| tip == snapshot.tip())
    };
    let here = |index: Index, lost: Vec<String>| Refreshed::Here(Tables { index, place: place.clone(), lost });
    if is_fresh(position, snapshot) {
        return Ok(here(index, Vec::new()));
    }
    let mut newest = snapshot.clone();
    if !is_before(position, &newest)? {
        // Another process may have seen more than this one.
        newest = repo.store().snapshot()?;
        if !is_before(position, &newest)? {
            // Not the history that this index was made from: a store that was brought back from a copy.
            return Ok(Refreshed::Anew(newest));
        }
    }
    let lost = index.change(|writer, position| -> Result<Option<Vec<String>>, Error> {
        if is_fresh(position, &newest) {
            return Ok(Some(Vec::new()));
        }
        let fresh = Fresh::of(&newest, writer, Arc::new(known(position)))?;
        if fresh.is_too_much(writer.count()) {
            return Ok(None);
        }
        fresh.add(repo, &newest, writer, progress).map(Some)
    })?;
    Ok(lost.map_or(Refreshed::Anew(newest), |lost| here(index, lost)))
}

/// Whether the log of a snapshot has the entry that an index is at.
fn is_before(position: &Position, snapshot: &Snapshot) -> Result<bool, Error> {
    // An index that is not complete is at no entry; what it holds was true of this store.
    let Ok(op) = <[u8; 16]>::try_from(position.op.as_slice()) else { return Ok(true) };
    let found = snapshot.find_op(crate::store::OpId::from_bytes(op))?;
    Ok(found.is_some_and(|number| i64::try_from(number).is_ok_and(|number| number == position.tip)))
}

fn made(repo: &Repo, snapshot: &Snapshot, place: Place, progress: &dyn Progress) -> Result<Tables, Error> {
    let name = format!("{}-{}", repo.store().id(), crate::hash::hex(&repo.new_op().to_bytes()));
    let now_ns = repo.now().0.saturating_mul(1000);
    let (index, lost) = Index::create(repo.fs(), &place, &name, now_ns, |writer| {
        Fresh::of(snapshot, writer, Arc::default())?.add(repo, snapshot, writer, progress)
    })?;
    Ok(Tables { index, place, lost })
}

/// What an index is at when it holds all of a snapshot.
fn position(repo: &Repo, snapshot: &Snapshot, tables: &BTreeSet<Id>, is_whole: bool) -> Position {
    Position {
        store: repo.store().id().to_owned(),
        tip: i64::try_from(snapshot.tip()).unwrap_or(i64::MAX),
        op: if is_whole { op_of(snapshot) } else { Vec::new() },
        tables: tables.iter().flat_map(|id| id.to_bytes()).collect(),
    }
}

/// Where the index lies, for whoever tells of it; `None` in memory.
pub fn folder(place: &Place) -> Option<PathBuf> {
    match place {
        Place::Folder(folder) => Some(folder.clone()),
        Place::Memory => None,
    }
}
