//! Two scenarios beside each other: their steps, or their runs aligned one to one.

use std::collections::{BTreeMap, BTreeSet};

use super::Error;
use crate::codec::Value;
use crate::hash::Id;
use crate::mark::{MarkKind, Marks};
use crate::object::recipe::Recipe;
use crate::object::run::{Reason, Run, RunKind, Status};
use crate::object::{Kind, Record, RunRecord, Source};
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, RunLine};
use crate::scenario;
use crate::store::{Direction, Snapshot};

/// For more runs than this it pays to find out where all records lie.
const MANY: usize = 512;

/// What differs between two runs of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The step.
    pub step: String,
    /// The values that both have under the names that they are aligned on.
    pub key: Vec<Value>,
    /// The first scenario's run and its object.
    pub a: (String, Id),
    /// The second one's.
    pub b: (String, Id),
    /// Parts of the recipe that differ.
    pub changed: Vec<Reason>,
    /// Keys of outputs with other bytes, or that only one has.
    pub outputs: Vec<String>,
    /// Metrics of either, in both.
    pub metrics: BTreeMap<String, (Option<Value>, Option<Value>)>,
    /// How long their commands took, microseconds.
    pub took_us: (u64, u64),
}

/// A run that has no partner.
#[derive(Debug, Clone, PartialEq)]
pub struct Alone {
    /// The step.
    pub step: String,
    /// Its values.
    pub key: Vec<Value>,
    /// The run.
    pub run: String,
}

/// Two scenarios, aligned.
#[derive(Debug, Clone, PartialEq)]
pub struct Aligned {
    /// Runs of both, by step and values.
    pub rows: Vec<Pair>,
    /// Runs that only the first has.
    pub only_a: Vec<Alone>,
    /// Runs that only the second has.
    pub only_b: Vec<Alone>,
}

/// How runs are aligned.
#[derive(Debug, Clone, Default)]
pub struct CompareOptions {
    /// Names of dimensions, else facets, whose values say which runs belong together.
    pub on: Vec<String>,
    /// Only runs of this step.
    pub step: Option<String>,
    /// Whether of several runs with the same values the newest is taken; else they are an error.
    pub takes_latest: bool,
}

/// A run with its recipe.
#[derive(Debug, Clone)]
struct Side {
    run: Run,
    object: Id,
    recipe: Option<Recipe>,
}

type Sides = BTreeMap<(String, String), (Vec<Value>, Side)>;

/// Aligns the successful runs of two scenarios one to one by the values of `on`, step by step. Runs without such a value are left out, hidden
/// and retracted ones passed over. Several runs of one recipe count once, as a result and the hits that took it do.
///
/// # Errors
/// [`Error::Twins`] if runs of different recipes have the same values; [`Error::NoSuchKey`] if no run has a value of that name; what reading
/// the store reports.
pub fn compare(
    repo: &Repo,
    snapshot: &Snapshot,
    source: &dyn Source,
    (a, b): (&str, &str),
    options: &CompareOptions,
) -> Result<Aligned, Error> {
    let mut names = BTreeSet::new();
    let before = side(repo, snapshot, a, options, &mut names)?;
    let mut after = side(repo, snapshot, b, options, &mut names)?;
    if before.is_empty()
        && after.is_empty()
        && let Some(missing) = options.on.iter().find(|name| !names.contains(*name))
        && !names.is_empty()
    {
        return Err(Error::NoSuchKey { name: missing.clone(), known: names.into_iter().collect() });
    }
    let mut aligned = Aligned { rows: Vec::new(), only_a: Vec::new(), only_b: Vec::new() };
    let alone = |(step, _): (String, String), key: Vec<Value>, side: Side| Alone { step, key, run: side.run.run };
    for (at, (key, old)) in before {
        match after.remove(&at) {
            Some((_, new)) => aligned.rows.push(pair(source, at.0, key, old, new)),
            None => aligned.only_a.push(alone(at, key, old)),
        }
    }
    aligned.only_b = after.into_iter().map(|(at, (key, side))| alone(at, key, side)).collect();
    let order = |a: &[Value], b: &[Value]| {
        let mut both = a.iter().zip(b).map(|(a, b)| compare_values(a, b));
        both.find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    };
    aligned.rows.sort_by(|a, b| a.step.cmp(&b.step).then_with(|| order(&a.key, &b.key)));
    for side in [&mut aligned.only_a, &mut aligned.only_b] {
        side.sort_by(|a, b| a.step.cmp(&b.step).then_with(|| order(&a.key, &b.key)));
    }
    Ok(aligned)
}

fn compare_values(a: &Value, b: &Value) -> std::cmp::Ordering {
    #[expect(clippy::cast_precision_loss, reason = "for an order among numbers of different kinds")]
    let number = |value: &Value| match value {
        Value::Int(v) => Some(*v as f64),
        Value::Float(v) => Some(*v),
        _ => None,
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => crate::config::to_json(a).cmp(&crate::config::to_json(b)),
    }
}

fn recipe_of(snapshot: &Snapshot, run: &Run) -> Result<Option<Recipe>, Error> {
    let Some(id) = run.recipe else { return Ok(None) };
    let Some((_, bytes)) = snapshot.read(&id)? else { return Ok(None) };
    Ok(Some(Recipe::decode(&bytes)?))
}

/// The runs of a scenario by its birth name that count, newest last.
fn successes(
    repo: &Repo,
    snapshot: &Snapshot,
    born: &str,
    each: &mut dyn FnMut(String, Id, RunLine) -> Result<(), Error>,
) -> Result<(), Error> {
    let marks = Marks::open(snapshot)?;
    for item in snapshot.scan(&key::runs_of(repo.project(), born), Direction::Forward) {
        let (raw, value) = item?;
        let Some((id, object)) = key::run_and_object(&raw) else { continue };
        let line: RunLine = entry::decode(&value)?;
        let is_one = matches!(line.kind, RunKind::Command | RunKind::Task | RunKind::Manual | RunKind::Import);
        if is_one
            && line.status == Status::Success
            && !marks.is(&object, MarkKind::Hide)?
            && marks.retracted(&object)?.is_none()
        {
            each(id, object, line)?;
        }
    }
    Ok(())
}

fn side(
    repo: &Repo,
    snapshot: &Snapshot,
    name: &str,
    options: &CompareOptions,
    names: &mut BTreeSet<String>,
) -> Result<Sides, Error> {
    let born = found(repo, snapshot, name)?;
    let mut wanted: Vec<(String, Id)> = Vec::new();
    successes(repo, snapshot, &born, &mut |id, object, line| {
        if options.step.as_ref().is_none_or(|step| *step == line.step) {
            wanted.push((id, object));
        }
        Ok(())
    })?;
    // Of many, it is found out at once where they lie.
    let kinds = [Kind::RUN, Kind::RECIPE];
    let places = if wanted.len() > MANY { Some(snapshot.whereabouts(&kinds)?) } else { None };
    let read = |id: &Id| match &places {
        Some(places) => places.read(id),
        None => snapshot.read(id),
    };
    let mut sides: Sides = BTreeMap::new();
    for (id, object) in wanted {
        let told = read(&object).ok().flatten().and_then(|(_, bytes)| RunRecord::decode(&bytes).ok());
        let run = match told.filter(|run| run.head().inputs.list().is_none()) {
            Some(run) => run.into_head(),
            // Whoever can't read it says why.
            None => crate::revspec::read_run(snapshot, &id, &object)?,
        };
        let recipe = match run.recipe {
            Some(id) => read(&id)?.map(|(_, bytes)| Recipe::decode(&bytes)).transpose()?,
            None => None,
        };
        let dims = recipe.as_ref().map(|recipe| &recipe.dims);
        names.extend(dims.into_iter().flat_map(|dims| dims.keys().cloned()).chain(run.facets.keys().cloned()));
        let value = |name: &String| dims.and_then(|dims| dims.get(name)).or_else(|| run.facets.get(name)).cloned();
        let Some(key) = options.on.iter().map(value).collect::<Option<Vec<Value>>>() else { continue };
        let at = (run.step.clone(), crate::config::to_json(&Value::List(key.clone())));
        if let Some((_, known)) = sides.get(&at)
            && known.run.recipe != run.recipe
            && !options.takes_latest
        {
            return Err(Error::Twins {
                step: run.step.clone(),
                key: options
                    .on
                    .iter()
                    .zip(&key)
                    .map(|(name, value)| format!("{name} {}", crate::config::to_json(value)))
                    .collect::<Vec<_>>()
                    .join(", "),
                runs: vec![known.run.run.clone(), run.run.clone()],
            });
        }
        sides.insert(at, (key, Side { run, object, recipe }));
    }
    Ok(sides)
}

/// The birth name of a scenario that exists.
fn found(repo: &Repo, snapshot: &Snapshot, name: &str) -> Result<String, Error> {
    scenario::check_name(name)?;
    if !scenario::exists(snapshot, repo.project(), name)? {
        let known = scenario::names(repo, snapshot)?;
        return Err(scenario::Error::NotFound { name: name.to_owned(), known }.into());
    }
    Ok(scenario::born(snapshot, repo.project(), name)?)
}

fn pair(source: &dyn Source, step: String, key: Vec<Value>, a: Side, b: Side) -> Pair {
    let read = |_: &Kind, id: &Id| source.read(id).ok().flatten().map(|(_, bytes)| bytes);
    let changed = match (&a.recipe, &b.recipe) {
        (Some(old), Some(new)) if a.run.recipe != b.run.recipe => crate::recipe::explain(old, new, &read),
        _ => Vec::new(),
    };
    let keys: BTreeSet<&String> = a.run.outputs.keys().chain(b.run.outputs.keys()).collect();
    let content = |run: &Run, key: &str| run.outputs.get(key).map(|output| output.content.clone());
    let outputs = keys.into_iter().filter(|key| content(&a.run, key) != content(&b.run, key)).cloned().collect();
    let names: BTreeSet<&String> = a.run.metrics.keys().chain(b.run.metrics.keys()).collect();
    let metrics = names
        .into_iter()
        .map(|name| (name.clone(), (a.run.metrics.get(name).cloned(), b.run.metrics.get(name).cloned())))
        .collect();
    let took_us = (took(&a.run), took(&b.run));
    Pair { step, key, a: (a.run.run, a.object), b: (b.run.run, b.object), changed, outputs, metrics, took_us }
}

/// How long the command of a run took; of a hit, that of the run that it took.
pub(super) fn took(run: &Run) -> u64 {
    match &run.cache {
        crate::object::run::Cache::Hit { source_duration_us, .. } => *source_duration_us,
        _ => run.duration_us(),
    }
}

/// One value that two scenarios say differently.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// What: `config.KEY`, `epoch`, `required` and so on.
    pub what: String,
    /// In the first.
    pub before: Option<Value>,
    /// In the second.
    pub after: Option<Value>,
}

/// What differs between two scenarios.
#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioDifference {
    /// What is said of them.
    pub said: Vec<Said>,
    /// How many runs each has.
    pub runs: (u64, u64),
    /// Steps of both, their newest successes: only those that differ.
    pub steps: Vec<Pair>,
    /// How many steps have newest successes that don't differ.
    pub equal_steps: u64,
    /// Steps that only the first has a success of.
    pub only_a: Vec<String>,
    /// Steps that only the second has.
    pub only_b: Vec<String>,
}

impl ScenarioDifference {
    /// Whether nothing differs that determines a result, or a result.
    pub fn is_empty(&self) -> bool {
        self.said.is_empty() && self.steps.is_empty() && self.only_a.is_empty() && self.only_b.is_empty()
    }
}

/// Compares what is said of two scenarios, and the newest success of each of their steps.
///
/// # Errors
/// When one does not exist, or the store can't be read.
pub fn diff_scenarios(
    repo: &Repo,
    snapshot: &Snapshot,
    source: &dyn Source,
    (a, b): (&str, &str),
) -> Result<ScenarioDifference, Error> {
    let names = [found(repo, snapshot, a)?, found(repo, snapshot, b)?];
    let mut runs = [0, 0];
    let mut steps: [BTreeMap<String, (String, Id)>; 2] = Default::default();
    for (nth, name) in names.iter().enumerate() {
        runs[nth] = snapshot
            .scan(&key::runs_of(repo.project(), name), Direction::Forward)
            .try_fold(0, |count, item| item.map(|_| count + 1))?;
        successes(repo, snapshot, name, &mut |id, object, line| {
            steps[nth].insert(line.step, (id, object));
            Ok(())
        })?;
    }
    let [before, mut after] = steps;
    let read = |(id, object): (String, Id)| -> Result<Side, Error> {
        let run = crate::revspec::read_run(snapshot, &id, &object)?;
        let recipe = recipe_of(snapshot, &run)?;
        Ok(Side { run, object, recipe })
    };
    let (mut found, mut equal_steps, mut only_a) = (Vec::new(), 0, Vec::new());
    for (step, old) in before {
        let Some(new) = after.remove(&step) else {
            only_a.push(step);
            continue;
        };
        let pair = pair(source, step, Vec::new(), read(old)?, read(new)?);
        if pair.changed.is_empty() && pair.outputs.is_empty() {
            equal_steps += 1;
        } else {
            found.push(pair);
        }
    }
    let said = said(repo, snapshot, &names)?;
    let only_b = after.into_keys().collect();
    Ok(ScenarioDifference { said, runs: (runs[0], runs[1]), steps: found, equal_steps, only_a, only_b })
}

fn said(repo: &Repo, snapshot: &Snapshot, names: &[String; 2]) -> Result<Vec<Said>, Error> {
    let mut sides: Vec<BTreeMap<String, Value>> = Vec::new();
    for name in names {
        let mut all = BTreeMap::new();
        let settings = scenario::settings(snapshot, repo.project(), name)?;
        flatten("config", &scenario::config_of(snapshot, settings.as_ref())?, &mut all);
        if let Some(settings) = settings {
            let texts = |items: &BTreeSet<String>| Value::List(items.iter().cloned().map(Value::Text).collect());
            let lists = [("tags", &settings.tags), ("run_tags", &settings.run_tags), ("required", &settings.required)];
            for (what, items) in lists.into_iter().filter(|(_, items)| !items.is_empty()) {
                all.insert(what.to_owned(), texts(items));
            }
            if settings.epoch > 0 {
                all.insert("epoch".to_owned(), Value::Int(settings.epoch.into()));
            }
            all.extend(settings.restore.map(|word| ("restore".to_owned(), Value::Text(word))));
            for (key, value) in settings.run_facets {
                all.insert(format!("run_facets.{}", key.replace('.', "\\.")), value);
            }
        }
        sides.push(all);
    }
    let keys: BTreeSet<String> = sides.iter().flat_map(|side| side.keys().cloned()).collect();
    let differs = keys.into_iter().filter(|key| sides[0].get(key) != sides[1].get(key));
    Ok(differs
        .map(|key| Said { before: sides[0].get(&key).cloned(), after: sides[1].get(&key).cloned(), what: key })
        .collect())
}

/// A config value by value: `config.a.b`, dots in names with a backslash.
fn flatten(at: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Map(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                flatten(&format!("{at}.{}", key.replace('.', "\\.")), value, into);
            }
        }
        Value::Map(_) if at == "config" => {}
        value => drop(into.insert(at.to_owned(), value.clone())),
    }
}
