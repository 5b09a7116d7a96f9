//! From the text of a revision to what it means.

use bstr::{BString, ByteSlice};

use super::parse::{self, Base, Moment, Part, Spec};
use crate::clock::Micros;
use crate::hash::Id;
use crate::mark::{MarkKind, Marks};
use crate::object::inputs::InputList;
use crate::object::recipe::Content;
use crate::object::run::{Run, Status};
use crate::object::tree::{self, EntryKind};
use crate::object::{AccessError, Kind, Record, RunRecord, Source};
use crate::path::Place;
use crate::refs::key;
use crate::repo::Repo;
use crate::repo::entry::{self, RunLine, RunPlace, StepRun, Tag, Touch};
use crate::scenario;
use crate::store::{Direction, Snapshot};

/// What a revision means.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A run.
    Run(RunRef),
    /// One artifact of a run: an output, or an input when no output has the key.
    Artifact(RunRef, String),
    /// All outputs of a run.
    Outputs(RunRef),
    /// The config a run was given, as values.
    Config(RunRef, Id),
    /// The folder of configuration that a run was given, or something in it: its name, and what it holds.
    ConfigFolder(RunRef, String, Content),
    /// The code a run was given, a tree.
    Code(RunRef, Id),
    /// An object.
    Object(Id, Kind),
    /// A path that exists in the work tree and that nothing else is named after: relative to the project, or absolute.
    Path(Place),
}

/// A closed run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRef {
    /// Its run id.
    pub run: String,
    /// Its object.
    pub object: Id,
    /// Its project.
    pub project: String,
    /// Its scenario.
    pub scenario: String,
}

/// Why a revision has no meaning.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing is named so.
    #[error("`{text}` is no run, scenario, step, artifact key, object or path")]
    NotFound {
        /// As written.
        text: String,
    },
    /// `@last` where nothing ran yet.
    #[error("no run is on record in scenario `{scenario}`")]
    NoRuns {
        /// The scenario.
        scenario: String,
    },
    /// The step ran, but no run of it is a success here.
    #[error("step `{step}` has no success in scenario `{scenario}`")]
    NoSuccess {
        /// The step.
        step: String,
        /// The current scenario.
        scenario: String,
        /// Its newest run, of any status and scenario.
        newest: String,
    },
    /// The run has no such part.
    #[error("run {run} has no {what}")]
    NoPart {
        /// The run id.
        run: String,
        /// What it has not.
        what: String,
        /// What it has instead.
        keys: Vec<String>,
    },
    /// More than one thing is named so.
    #[error("`{text}` is ambiguous")]
    Ambiguous {
        /// As written.
        text: String,
        /// What it could mean.
        candidates: Vec<String>,
    },
    /// Nothing that can be read is named so, and not everything can be read.
    #[error("`{text}` is not found in what can be read; {file}: {what}")]
    Unreadable {
        /// As written.
        text: String,
        /// A damaged file, from the store's folder.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// The settings of a scenario can't be read.
    #[error(transparent)]
    Scenario(#[from] scenario::Error),
    /// Marks can't be read.
    #[error(transparent)]
    Mark(#[from] crate::mark::Error),
    /// A tag can't be read.
    #[error(transparent)]
    Tag(#[from] crate::tag::Error),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// An object can't be read.
    #[error(transparent)]
    Access(#[from] crate::object::AccessError),
    /// A record is damaged.
    #[error("run {run} can't be read")]
    Record {
        /// The run id or object id.
        run: String,
        /// What is wrong with it.
        source: crate::object::Error,
    },
    /// A ref holds something else than it should.
    #[error("a ref can't be read")]
    Ref(#[from] crate::codec::Error),
}

/// Finds what `text` means, seen from the folder `cwd` and the scenario `scenario`, in the order: run id or name, scenario, tag, step or artifact
/// key, object id, path.
///
/// # Errors
/// [`Error::NotFound`] and [`Error::Ambiguous`] with candidates; [`Error::Unreadable`] instead of the former where the store is
/// damaged; whatever reading the store reports.
pub fn resolve(
    repo: &Repo,
    snapshot: &Snapshot,
    scenario: &str,
    cwd: &std::path::Path,
    text: &str,
) -> Result<Target, Error> {
    let seen = Seen { repo, snapshot, scenario, text };
    if let Some(spec) = parse::parse(text)
        && let Some(target) = seen.spec(&spec)?
    {
        return Ok(target);
    }
    let path = crate::path::from_bytes(text.as_bytes());
    if repo.fs().lstat(&cwd.join(&path)).ok().flatten().is_some() {
        return Ok(Target::Path(crate::path::locate(repo.root(), cwd, &path)));
    }
    let nothing = seen.nothing()?;
    // What is named may stand in what can't be read: then nobody knows that there is no such thing.
    Err(match snapshot.damage().into_iter().next() {
        Some(damage) => Error::Unreadable { text: text.to_owned(), file: damage.file, what: damage.what },
        None => nothing,
    })
}

/// Reads the record of a run.
///
/// # Errors
/// When it is absent or damaged.
pub fn read_run(snapshot: &Snapshot, run: &str, object: &Id) -> Result<Run, Error> {
    let missing = |id: Id, what: &str| {
        Error::Access(AccessError::Damaged { id, place: "the store".to_owned(), what: what.to_owned() })
    };
    let (_, bytes) = snapshot.read(object)?.ok_or_else(|| missing(*object, "the run's record is missing"))?;
    let record = |source| Error::Record { run: run.to_owned(), source };
    RunRecord::decode(&bytes).map_err(record)?.whole_with(|list| {
        let (_, bytes) =
            snapshot.read(list)?.ok_or_else(|| missing(*list, "the list of the run's inputs is missing"))?;
        InputList::decode_verified(&bytes).map_err(record)
    })
}

struct Seen<'a> {
    repo: &'a Repo,
    snapshot: &'a Snapshot,
    scenario: &'a str,
    text: &'a str,
}

impl Seen<'_> {
    /// Why the text means nothing, as far as that can be told.
    fn nothing(&self) -> Result<Error, Error> {
        match parse::parse(self.text).map(|spec| spec.base) {
            Some(Base::Last) => return Ok(Error::NoRuns { scenario: self.scenario.to_owned() }),
            Some(Base::Word(word)) => {
                if scenario::exists(self.snapshot, self.repo.project(), word)? {
                    return Ok(Error::NoRuns { scenario: word.to_owned() });
                }
                if let Some(item) =
                    self.snapshot.scan(&key::steps_of(self.repo.project(), word), Direction::Forward).next()
                    && let Some(newest) = key::last_text(&item?.0)
                {
                    return Ok(Error::NoSuccess { step: word.to_owned(), scenario: self.scenario.to_owned(), newest });
                }
            }
            _ => {}
        }
        Ok(Error::NotFound { text: self.text.to_owned() })
    }

    fn spec(&self, spec: &Spec<'_>) -> Result<Option<Target>, Error> {
        let found = match &spec.base {
            Base::Last => self.newest_of(self.scenario, |_, _| true)?.map(Target::Run),
            Base::Newest(scenario) => {
                let Some(Part::Key(key)) = &spec.part else { return Ok(None) };
                return self.newest_with_key(scenario, key);
            }
            Base::At(scenario, Moment::Nth(n)) => {
                let mut left = *n;
                self.newest_of(scenario, |_, _| {
                    let here = left == 0;
                    left = left.saturating_sub(1);
                    here
                })?
                .map(Target::Run)
            }
            Base::At(scenario, Moment::Time(at)) => {
                self.newest_of(scenario, |_, line| line.at <= *at)?.map(Target::Run)
            }
            Base::Word(word) => self.word(word)?,
        };
        let Some(mut found) = found else { return Ok(None) };
        if spec.back > 0 {
            let Target::Run(run) = &found else { return Ok(None) };
            found = Target::Run(self.earlier(run, spec.back)?);
        }
        let Some(part) = &spec.part else { return Ok(Some(found)) };
        let Target::Run(run) = found else { return Ok(None) };
        self.part(run, part).map(Some)
    }

    fn part(&self, at: RunRef, part: &Part<'_>) -> Result<Target, Error> {
        let run = read_run(self.snapshot, &at.run, &at.object)?;
        let keys = || run.outputs.keys().chain(run.inputs.keys()).cloned().collect();
        let none = |what: &str| Error::NoPart { run: at.run.clone(), what: what.to_owned(), keys: Vec::new() };
        let recipe = || -> Result<crate::object::recipe::Recipe, Error> {
            let id = run.recipe.ok_or_else(|| none("recipe"))?;
            let (_, bytes) = self.snapshot.read(&id)?.ok_or_else(|| none("recipe any more"))?;
            crate::object::recipe::Recipe::decode(&bytes)
                .map_err(|source| Error::Record { run: id.to_string(), source })
        };
        match part {
            Part::All => Ok(Target::Outputs(at)),
            Part::Key(key) if run.outputs.contains_key(*key) || run.inputs.contains_key(*key) => {
                Ok(Target::Artifact(at, (*key).to_owned()))
            }
            Part::Key(key) => {
                Err(Error::NoPart { run: at.run.clone(), what: format!("artifact `{key}`"), keys: keys() })
            }
            Part::Config(role) => self.config(&at, &run, recipe()?.config, *role),
            Part::Code => recipe()?.code.tree.map(|id| Target::Code(at.clone(), id)).ok_or_else(|| none("code")),
        }
    }

    /// A config that a run was given, by role: `values`, or the label of the folder and a path in it.
    fn config(&self, at: &RunRef, run: &Run, values: Option<Id>, role: Option<&str>) -> Result<Target, Error> {
        let folder = run.inputs.iter().find_map(|(key, input)| Some((key.strip_prefix('@')?, &input.content)));
        let roles = || folder.iter().map(|(label, _)| *label).chain(values.map(|_| "values"));
        let keys = || roles().map(|role| format!("@config/{role}")).collect();
        let none = |what: String| Error::NoPart { run: at.run.clone(), what, keys: keys() };
        let Some(role) = role else {
            return match (folder, values) {
                (Some(_), Some(_)) => {
                    let candidates = roles().map(|role| format!("{}:@config/{role}", at.run)).collect();
                    Err(Error::Ambiguous { text: self.text.to_owned(), candidates })
                }
                (Some((label, content)), None) => {
                    Ok(Target::ConfigFolder(at.clone(), label.to_owned(), content.clone()))
                }
                (None, Some(id)) => Ok(Target::Config(at.clone(), id)),
                (None, None) => Err(none("config".to_owned())),
            };
        };
        if let (Some(id), "values") = (values, role) {
            return Ok(Target::Config(at.clone(), id));
        }
        let (name, path) = role.split_once('/').unwrap_or((role, ""));
        let Some((label, content)) = folder.filter(|(label, _)| *label == name) else {
            return Err(none(format!("config `{role}`")));
        };
        let mut at_content = content.clone();
        let mut last = label;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let entries = match at_content {
                Content::Tree(id) => tree::list(id, &mut |id| match self.snapshot.read(id) {
                    Ok(Some((_, bytes))) => Ok(bytes),
                    Ok(None) => Err(none(format!("content of config `{label}` any more"))),
                    Err(err) => Err(err.into()),
                })
                .map_err(|err| match err {
                    tree::ListError::Read(err) => err,
                    tree::ListError::Object(source) => Error::Record { run: at.run.clone(), source },
                })?,
                _ => Vec::new(),
            };
            let entry = entries.into_iter().find(|entry| entry.name == part.as_bytes());
            let entry = entry.ok_or_else(|| none(format!("file `{path}` in config `{label}`")))?;
            at_content = if entry.kind == EntryKind::Tree { Content::Tree(entry.id) } else { Content::Blob(entry.id) };
            last = part;
        }
        Ok(Target::ConfigFolder(at.clone(), last.to_owned(), at_content))
    }

    fn word(&self, word: &str) -> Result<Option<Target>, Error> {
        if let Some(run) = self.run_named(word)? {
            return Ok(Some(Target::Run(run)));
        }
        if let Some(run) = self.newest_of(word, |_, _| true)? {
            return Ok(Some(Target::Run(run)));
        }
        if let Some(tag) = crate::tag::get(self.snapshot, self.repo.project(), word)? {
            return self.tagged(tag).map(Some);
        }
        if let Some(run) = self.newest_of_step(word)? {
            return Ok(Some(Target::Run(run)));
        }
        if let Some(target) = self.newest_with_key(self.scenario, word)? {
            return Ok(Some(target));
        }
        self.object(word)
    }

    /// What a tag means.
    fn tagged(&self, tag: Tag) -> Result<Target, Error> {
        let Some(run) = tag.run else { return Ok(Target::Object(tag.object, tag.kind)) };
        let record = read_run(self.snapshot, &run, &tag.object)?;
        let at = RunRef { run, object: tag.object, project: record.project, scenario: record.scenario };
        Ok(tag.key.map_or(Target::Run(at.clone()), |key| Target::Artifact(at, key)))
    }

    /// A run by its id, a prefix of at least 4 characters of the random part, or a name.
    fn run_named(&self, word: &str) -> Result<Option<RunRef>, Error> {
        let tail = crate::object::run::tail(word);
        let mut found: Vec<RunRef> = Vec::new();
        if tail != word || crate::object::run::is_tail_prefix(word, 4) {
            let prefix = if tail == word { key::ids_prefix(word) } else { key::ids_of_tail(tail) };
            for item in self.snapshot.scan(&prefix, Direction::Forward) {
                let (key, value) = item?;
                let Some(run) = key::last_text(&key) else { continue };
                if tail != word && run != word {
                    continue;
                }
                let place: RunPlace = entry::decode(&value)?;
                found.push(RunRef { run, object: place.object, project: place.project, scenario: place.scenario });
                if found.len() > 16 {
                    break;
                }
            }
        }
        if found.is_empty() {
            for item in self.snapshot.scan(&key::names_of(word), Direction::Forward) {
                let (key, value) = item?;
                let Some(run) = key::last_text(&key) else { continue };
                let place: RunPlace = entry::decode(&value)?;
                found.push(RunRef { run, object: place.object, project: place.project, scenario: place.scenario });
            }
        }
        self.only(found)
    }

    fn only(&self, mut found: Vec<RunRef>) -> Result<Option<RunRef>, Error> {
        if found.len() > 1 {
            let candidates = found.into_iter().map(|run| run.run).collect();
            return Err(Error::Ambiguous { text: self.text.to_owned(), candidates });
        }
        Ok(found.pop())
    }

    /// The newest run of a scenario's history that is not hidden and for which `wanted` holds: its own runs first, then those that its base had
    /// when it was forked.
    fn newest_of(
        &self,
        scenario: &str,
        mut wanted: impl FnMut(&str, &RunLine) -> bool,
    ) -> Result<Option<RunRef>, Error> {
        let project = self.repo.project();
        let marks = Marks::open(self.snapshot)?;
        for part in scenario::chain(self.snapshot, project, scenario)? {
            for item in self.snapshot.scan(&key::runs_of(project, &part.scenario), Direction::Backward) {
                let (key, value) = item?;
                let Some((run, object)) = key::run_and_object(&key) else { continue };
                let line: RunLine = entry::decode(&value)?;
                if part.has(line.at) && !marks.is(&object, MarkKind::Hide)? && wanted(&run, &line) {
                    let (project, scenario) = (project.to_owned(), part.scenario);
                    return Ok(Some(RunRef { run, object, project, scenario }));
                }
            }
        }
        Ok(None)
    }

    fn newest_of_step(&self, step: &str) -> Result<Option<RunRef>, Error> {
        let project = self.repo.project();
        let marks = Marks::open(self.snapshot)?;
        let of_step = key::steps_of(project, step);
        if self.snapshot.scan(&of_step, Direction::Forward).next().transpose()?.is_none() {
            return Ok(None);
        }
        for part in scenario::chain(self.snapshot, project, self.scenario)? {
            for item in self.snapshot.scan(&of_step, Direction::Forward) {
                let (key, value) = item?;
                let line: StepRun = entry::decode(&value)?;
                if line.scenario == part.scenario
                    && line.status == Status::Success
                    && part.has(began(&of_step, &key))
                    && !is_passed_over(&marks, &line.object)?
                    && let Some(run) = key::last_text(&key)
                {
                    return Ok(Some(RunRef {
                        run,
                        object: line.object,
                        project: project.to_owned(),
                        scenario: line.scenario,
                    }));
                }
            }
        }
        Ok(None)
    }

    fn newest_with_key(&self, scenario: &str, wanted: &str) -> Result<Option<Target>, Error> {
        let found = newest_artifact(self.snapshot, self.repo.project(), scenario, wanted, |_| true)?;
        Ok(found.map(|run| Target::Artifact(run, wanted.to_owned())))
    }

    /// The n-th earlier run of the same step in the same scenario.
    fn earlier(&self, from: &RunRef, back: u64) -> Result<RunRef, Error> {
        let run = read_run(self.snapshot, &from.run, &from.object)?;
        let mut left = back;
        let mut seen_it = false;
        for item in self.snapshot.scan(&key::steps_of(&run.project, &run.step), Direction::Forward) {
            let (key, value) = item?;
            let line: StepRun = entry::decode(&value)?;
            let Some(id) = key::last_text(&key) else { continue };
            if line.scenario != run.scenario {
                continue;
            }
            if seen_it {
                left -= 1;
                if left == 0 {
                    return Ok(RunRef { run: id, object: line.object, project: run.project, scenario: run.scenario });
                }
            }
            seen_it = seen_it || id == from.run;
        }
        Err(Error::NoPart {
            run: from.run.clone(),
            what: format!("{back} earlier runs of step `{}`", run.step),
            keys: Vec::new(),
        })
    }

    fn object(&self, word: &str) -> Result<Option<Target>, Error> {
        if !(4..=64).contains(&word.len()) || !word.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let mut found = self.snapshot.find_ids(&word.to_ascii_lowercase(), 16)?;
        found.dedup();
        match found.len() {
            0 => Ok(None),
            1 => {
                let (id, kind) = found.remove(0);
                if kind == Kind::RUN {
                    let run = read_run(self.snapshot, word, &id)?;
                    return Ok(Some(Target::Run(RunRef {
                        run: run.run,
                        object: id,
                        project: run.project,
                        scenario: run.scenario,
                    })));
                }
                Ok(Some(Target::Object(id, kind)))
            }
            _ => {
                let candidates = found.into_iter().map(|(id, kind)| format!("{id} {kind}")).collect();
                Err(Error::Ambiguous { text: self.text.to_owned(), candidates })
            }
        }
    }
}

/// The newest run of a scenario, or of what it was forked from, that has an artifact of this key of which `is` says so; what is
/// hidden or retracted is passed over.
pub(super) fn newest_artifact(
    snapshot: &Snapshot,
    project: &str,
    scenario: &str,
    wanted: &str,
    is: impl Fn(&Touch) -> bool,
) -> Result<Option<RunRef>, Error> {
    let marks = Marks::open(snapshot)?;
    for part in scenario::chain(snapshot, project, scenario)? {
        let artifacts = key::artifacts_of(project, &part.scenario, wanted);
        for item in snapshot.scan(&artifacts, Direction::Forward) {
            let (key, value) = item?;
            let touch: Touch = entry::decode(&value)?;
            let Some(run) = key::last_text(&key) else { return Ok(None) };
            if !is(&touch) || !part.has(began(&artifacts, &key)) || is_passed_over(&marks, &touch.object)? {
                continue;
            }
            let (project, scenario) = (project.to_owned(), part.scenario);
            return Ok(Some(RunRef { run, object: touch.object, project, scenario }));
        }
    }
    Ok(None)
}

/// Whether names that mean the newest success pass over a run: its outcome was retracted, or it is hidden.
pub(super) fn is_passed_over(marks: &Marks<'_>, object: &Id) -> Result<bool, Error> {
    Ok(marks.is(object, MarkKind::Hide)? || marks.retracted(object)?.is_some())
}

/// When a run began, by the key of a ref that has an inverted time after `prefix`.
fn began(prefix: &[u8], key: &[u8]) -> Micros {
    Micros(key::rank_after(prefix, key).and_then(|at| i64::try_from(at).ok()).unwrap_or(0))
}

/// The bytes of a path as records hold it: relative to the project, or absolute.
pub fn recorded_path(place: &Place) -> BString {
    match place {
        Place::Inside(path) => path.as_bytes().to_owned(),
        Place::Outside(path) => crate::path::bytes(path).as_bstr().to_owned(),
    }
}
