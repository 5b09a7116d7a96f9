//! Filling the index from the store.

use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::row;
use crate::codec::Value;
use crate::hash::Id;
use crate::index::{NoteRow, RunRow, ValueKind, ValueRow, Writer};
use crate::mark::{self, MarkKind, Marks};
use crate::note;
use crate::object::config::Config;
use crate::object::inputs::InputList;
use crate::object::recipe::Recipe;
use crate::object::{Kind, Record, RunRecord, Source};
use crate::progress::{Progress, Unit};
use crate::query::Error;
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, NoteLine};
use crate::store::{Snapshot, Whereabouts};

/// Runs that are read at once while others are written.
const BATCH: usize = 2_048;
/// So many runs are read one after the other.
const FEW: usize = 64;
/// For more runs than this it pays to find out where all records lie.
const MANY: usize = 2_048;
/// Of more refs than this it isn't asked one by one whether their runs are there.
const ASKED: usize = 1_024;
/// Recipes and configs that are remembered, so that runs that share one read it once.
const REMEMBERED: usize = 16_384;
/// Lists of inputs that are remembered: each may be megabytes.
const LISTS: usize = 8;

/// What a recipe says that a run's own record does not.
#[derive(Debug, Default)]
struct FromRecipe {
    dims: Vec<ValueRow>,
    config: Option<Id>,
}

/// What runs share.
#[derive(Default)]
struct Shared {
    recipes: Mutex<HashMap<Id, Arc<FromRecipe>>>,
    configs: Mutex<HashMap<Id, Arc<Vec<ValueRow>>>>,
    lists: Mutex<HashMap<Id, Option<InputList>>>,
}

fn remembered<T: Clone>(all: &Mutex<HashMap<Id, T>>, most: usize, id: &Id, read: impl FnOnce() -> T) -> T {
    let lock = || all.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lock().get(id) {
        return known.clone();
    }
    let found = read();
    let mut all = lock();
    if all.len() >= most {
        all.clear();
    }
    all.insert(*id, found.clone());
    found
}

/// A run that is to be read.
type Wanted = (String, Id);

/// What a snapshot has and an index has not.
pub(super) struct Fresh {
    /// Runs, in the order of their beginning.
    wanted: Vec<Wanted>,
    /// Tables that were passed over.
    known: Arc<BTreeSet<Id>>,
}

impl Fresh {
    /// What a snapshot has that is neither in the index nor in the ref tables `known`.
    pub(super) fn of(snapshot: &Snapshot, writer: &Writer<'_>, known: Arc<BTreeSet<Id>>) -> Result<Self, Error> {
        let mut wanted: Vec<Wanted> = Vec::new();
        for item in snapshot.scan_beside(&key::all_runs(), Arc::clone(&known)) {
            let (raw, _) = item?;
            wanted.extend(key::run_and_object(&raw));
        }
        if wanted.len() > ASKED {
            let there = writer.objects()?;
            wanted.retain(|(_, object)| !there.contains(&object.to_string()));
        } else {
            let mut fresh = Vec::with_capacity(wanted.len());
            for one in wanted {
                if !writer.has(&one.1.to_string())? {
                    fresh.push(one);
                }
            }
            wanted = fresh;
        }
        // In the order of their beginning: what made an input comes before what took it.
        wanted.sort_unstable();
        Ok(Self { wanted, known })
    }

    /// Whether making the index anew takes less time than adding all this to one that has `there` runs.
    pub(super) fn is_too_much(&self, there: usize) -> bool {
        self.wanted.len() > MANY.max(there / 4)
    }

    /// Puts it into the index; names the runs whose records can't be read.
    pub(super) fn add(
        self,
        repo: &Repo,
        snapshot: &Snapshot,
        writer: &mut Writer<'_>,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, Error> {
        let tables = snapshot.table_names();
        let marks = Marks::open(snapshot)?;
        let is_few = self.wanted.len() <= FEW;
        let lost = add_runs(snapshot, writer, &self.wanted, is_few.then_some(&marks), progress)?;
        // Of few new runs each was asked whether something is said of the run it took; of many, all that was ever said is read.
        said_since(snapshot, writer, if is_few { self.known } else { Arc::default() })?;
        // What could not be read is looked for again by the next question.
        let is_whole = lost.is_empty() && snapshot.damage().is_empty();
        let read = if is_whole { tables } else { BTreeSet::new() };
        writer.position(&super::position(repo, snapshot, &read, is_whole))?;
        Ok(lost)
    }
}

/// Records, read from where they lie.
struct Records<'a> {
    snapshot: &'a Snapshot,
    places: Option<Whereabouts<'a>>,
}

impl Records<'_> {
    /// The bytes of a record; `None` if it can't be read.
    fn get(&self, id: &Id) -> Option<Vec<u8>> {
        let found = match &self.places {
            Some(places) => places.read(id),
            None => self.snapshot.read(id),
        };
        found.ok().flatten().map(|(_, bytes)| bytes)
    }

    /// A list of inputs; `None` if it can't be read.
    fn list(&self, id: &Id) -> Option<InputList> {
        InputList::decode(&self.get(id)?).ok()
    }
}

fn add_runs(
    snapshot: &Snapshot,
    writer: &mut Writer<'_>,
    wanted: &[Wanted],
    marks: Option<&Marks<'_>>,
    progress: &dyn Progress,
) -> Result<Vec<String>, Error> {
    let mut lost = Vec::new();
    let mut put = |rows: Vec<Result<RunRow, String>>, writer: &mut Writer<'_>| -> Result<(), Error> {
        for row in rows {
            match row {
                Ok(mut row) => {
                    if let Some(marks) = marks
                        && marks.are_any()
                        && let Some(object) = row.object.parse().ok().as_ref()
                    {
                        row.retracted = marks.retracted(object)?.is_some();
                        row.hidden = marks.is(object, MarkKind::Hide)?;
                    }
                    writer.add(&row)?;
                }
                Err(run) => lost.push(run),
            }
        }
        Ok(())
    };
    let shared = Shared::default();
    if wanted.len() <= FEW {
        let records = Records { snapshot, places: None };
        put(wanted.iter().map(|one| read(&records, &shared, one)).collect(), writer)?;
        return Ok(lost);
    }
    let kinds = [Kind::RUN, Kind::INPUTS, Kind::RECIPE, Kind::CONFIG];
    let places = if wanted.len() > MANY { Some(snapshot.whereabouts(&kinds)?) } else { None };
    let records = Records { snapshot, places };
    progress.begin("index", u64::try_from(wanted.len()).ok(), Unit::Items);
    let done = std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(2);
        let (shared, records) = (&shared, &records);
        scope.spawn(move || {
            for batch in wanted.chunks(BATCH) {
                let rows: Vec<_> = batch.par_iter().map(|one| read(records, shared, one)).collect();
                if sender.send(rows).is_err() {
                    // Nobody wants more: writing failed.
                    break;
                }
            }
        });
        for rows in receiver {
            let n = rows.len();
            put(rows, writer)?;
            progress.add(u64::try_from(n).unwrap_or(0));
        }
        Ok(())
    });
    progress.end();
    done.map(|()| lost)
}

/// Reads a run with what its recipe and config say; its id if its record can't be read.
fn read(records: &Records<'_>, shared: &Shared, (id, object): &Wanted) -> Result<RunRow, String> {
    let record = records.get(object).and_then(|bytes| RunRecord::decode(&bytes).ok());
    // Runs with the same inputs often come one after the other.
    let list = |list: &Id| remembered(&shared.lists, LISTS, list, || records.list(list)).ok_or(());
    let run = record.and_then(|record| record.whole_with(list).ok()).ok_or_else(|| id.clone())?;
    let mut row = row::of(&run, object.to_string());
    if let Some(recipe) = &run.recipe {
        let said = remembered(&shared.recipes, REMEMBERED, recipe, || Arc::new(from_recipe(records, recipe)));
        row.values.extend(said.dims.iter().cloned());
        if let Some(config) = &said.config {
            row.config = Some(config.to_string());
            row.params = remembered(&shared.configs, REMEMBERED, config, || Arc::new(params(records, config)));
        }
    }
    Ok(row)
}

/// What can't be read says nothing; `prov fsck` names it.
fn from_recipe(records: &Records<'_>, id: &Id) -> FromRecipe {
    let read = records.get(id).and_then(|bytes| Recipe::decode(&bytes).ok());
    let Some(recipe) = read else { return FromRecipe::default() };
    let mut dims = Vec::new();
    row::values(&mut dims, ValueKind::Dim, "", recipe.dims.iter(), row::MOST_VALUES);
    FromRecipe { dims, config: recipe.config }
}

fn params(records: &Records<'_>, id: &Id) -> Vec<ValueRow> {
    let read = records.get(id).and_then(|bytes| Config::decode(&bytes).ok());
    let Some(Config(value)) = read else { return Vec::new() };
    match &value {
        Value::Map(_) => row::params(&value),
        _ => Vec::new(),
    }
}

/// Takes over what was said of runs since: remarks, and marks.
fn said_since(snapshot: &Snapshot, writer: &Writer<'_>, known: Arc<BTreeSet<Id>>) -> Result<(), Error> {
    let mut marked: BTreeSet<Id> = BTreeSet::new();
    for item in snapshot.scan_beside(&key::about(), known) {
        let (raw, value) = item?;
        let Some((object, kind, said)) = key::about_parts(&raw) else { continue };
        if kind == note::ABOUT {
            let line: NoteLine = entry::decode(&value)?;
            writer.note(&NoteRow {
                object: object.to_string(),
                id: said.to_string(),
                at: line.at,
                text: line.text,
                author: line.author,
            })?;
        } else if kind == MarkKind::Retract.as_str() || kind == MarkKind::Hide.as_str() {
            marked.insert(object);
        }
    }
    let marks = Marks::open(snapshot)?;
    for object in &marked {
        let is_hidden = mark::said(snapshot, object, MarkKind::Hide)?.is_some();
        let own = mark::said(snapshot, object, MarkKind::Retract)?.is_some();
        let is_retracted = own || marks.retracted(object)?.is_some();
        writer.mark(&object.to_string(), is_retracted, is_hidden)?;
        for hit in writer.hits_of(&object.to_string())? {
            let Ok(id) = hit.parse::<Id>() else { continue };
            let is_hidden = mark::said(snapshot, &id, MarkKind::Hide)?.is_some();
            writer.mark(&hit, marks.retracted(&id)?.is_some(), is_hidden)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_read_once() {
        let all = Mutex::new(HashMap::new());
        let id = crate::hash::blob(b"x");
        assert_eq!(remembered(&all, 1, &id, || 1), 1);
        assert_eq!(remembered(&all, 1, &id, || 2), 1);
    }
}
