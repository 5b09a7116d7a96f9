//! Finding what is typed as an input, and declaring what it stands for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};

use super::globs::matching;
use super::{Matched, ReadyInput, Set, Stored, aside};
use crate::clock::Micros;
use crate::code::{CodeTree, Glob, Selected, build_tree, is_glob};
use crate::fetch::Url;
use crate::mark::Marks;
use crate::object::recipe::Content;
use crate::object::run::{LinkedBy, Output, Producer};
use crate::object::{Kind, Source};
use crate::path::{Place, RelPath, shown};
use crate::recipe::{self, Declared, Role};
use crate::refs::key;
use crate::repo::{entry, split_name};
use crate::revspec::{self, RunRef, Target};
use crate::run::Error;
use crate::run::hydrate;
use crate::run::session::Session;
use crate::run::web;
use crate::store::Snapshot;
use crate::worktree::stat_cache::Key;
use crate::worktree::{self, CaptureOptions, Captured, Fence};

/// The fewest hexadecimal digits that name content as an input.
const LEAST_DIGITS: usize = 16;

/// One declared input.
#[derive(Debug, Clone, Copy)]
struct Typed<'a> {
    key: Option<&'a str>,
    text: &'a BStr,
    is_optional: bool,
}

/// What lies where an input says.
#[derive(Debug)]
pub(in crate::run) struct Lying {
    place: Place,
    captured: Captured,
}

/// Looks at what lies at a path that was typed in `cwd`; `None` if nothing does, or it is no path, or what lies there would have to be read
/// and `is_glance`.
///
/// # Errors
/// When it can't be read.
pub(in crate::run) fn lying(
    session: &Session<'_>,
    cwd: &Path,
    text: &[u8],
    is_glance: bool,
) -> Result<Option<Lying>, Error> {
    if address(text.as_bstr()).is_some() {
        return Ok(None);
    }
    let fs = session.repo.fs();
    let path = cwd.join(crate::path::from_bytes(text));
    let Some(stat) = fs.stat(&path).map_err(|source| Error::io("read", &path, source))? else { return Ok(None) };
    let place = crate::path::locate(session.repo.root(), cwd, &path);
    let worktree = session.worktree();
    if is_glance && (stat.is_folder() || worktree.cache.get(Key::of(&place), &stat).is_none()) {
        return Ok(None);
    }
    let options = CaptureOptions::default();
    // Where `..` leads past a link, the path that is recorded is another.
    let recorded = worktree.path(&place);
    let captured = if recorded == path {
        worktree::capture_seen(&worktree, &place, recorded, stat, &options, None)?
    } else {
        worktree::capture(&worktree, &place, &options, None)?
    };
    Ok(Some(Lying { place, captured }))
}

/// The address of the web that is meant, and where it goes, if that is said.
fn address(text: &BStr) -> Option<(Option<&BStr>, &BStr)> {
    if Url::is_meant(text) {
        return Some((None, text));
    }
    web::place_and_url(text).map(|(place, url)| (Some(place), url))
}

/// What finding inputs goes by, and what was found.
pub(in crate::run) struct Finder<'a, 's> {
    pub(in crate::run) session: &'a Session<'s>,
    pub(in crate::run) snapshot: &'a Snapshot,
    pub(in crate::run) scenario: &'a str,
    pub(in crate::run) cwd: &'a Path,
    pub(in crate::run) argv: &'a [BString],
    /// Whether what is not there is restored from what was made there last.
    pub(in crate::run) restores: bool,
    /// Where the outputs go: what lies there is no input that a glob stands for.
    pub(in crate::run) outputs: &'a [Place],
    /// How addresses are asked.
    pub(in crate::run) web: web::Asking<'a>,
    pub(in crate::run) declared: &'a mut Declared,
    pub(in crate::run) inputs: BTreeMap<String, ReadyInput>,
    pub(in crate::run) globs: Vec<Matched>,
}

impl Finder<'_, '_> {
    /// Finds one declared input and declares what it stands for.
    ///
    /// # Errors
    /// When there is no such thing, or it can't be read.
    pub(in crate::run) fn find(&mut self, input: &crate::run::Declared, is_optional: bool) -> Result<(), Error> {
        self.find_seen(input, is_optional, None)
    }

    /// As [`Finder::find`]; `seen` is what was seen to lie there, if that was looked at.
    ///
    /// # Errors
    /// As [`Finder::find`].
    pub(in crate::run) fn find_seen(
        &mut self,
        input: &crate::run::Declared,
        is_optional: bool,
        seen: Option<Lying>,
    ) -> Result<(), Error> {
        let typed = Typed { key: input.key.as_deref(), text: input.path.as_bstr(), is_optional };
        if let Some((place, url)) = address(typed.text) {
            if is_optional {
                return Err(Error::Usage {
                    what: "an address can't be an optional input: declare it with -i".to_owned(),
                });
            }
            return self.web(typed.key, place, url);
        }
        let here = match seen {
            Some(seen) => Some(seen),
            None => lying(self.session, self.cwd, typed.text, false)?,
        };
        if let Some(Lying { place, captured }) = here {
            return self.taken(typed, place, captured);
        }
        if let Some((name, rest)) = split_name(typed.text) {
            return self.named(typed, name, rest);
        }
        let text = typed.text.to_str().ok().filter(|text| text.contains(':') || text.starts_with('@') || is_id(text));
        if let Some(text) = text.filter(|text| text.ends_with(":*"))
            && let Some(found) = self.resolve(text)?
        {
            return self.revision(typed, text, found);
        }
        if is_glob(typed.text) {
            return self.glob(typed);
        }
        if let Some(text) = text
            && let Some(found) = self.resolve(text)?
        {
            return self.revision(typed, text, found);
        }
        let path = self.cwd.join(crate::path::from_bytes(typed.text));
        let place = crate::path::locate(self.session.repo.root(), self.cwd, &path);
        self.missing(typed, place)
    }

    /// Nothing is there: what was made there last, if that is to be restored, else a fact or an error.
    fn missing(&mut self, typed: Typed<'_>, place: Place) -> Result<(), Error> {
        if typed.is_optional {
            return self.absent(typed, place, None);
        }
        let path = self.session.worktree().path(&place);
        let Some(captured) = restorable(self.session, self.snapshot, &place)? else {
            return Err(Error::InputMissing { path, is_restorable: false });
        };
        if !self.restores {
            return Err(Error::InputMissing { path, is_restorable: true });
        }
        let key = self.declared.add_at(Role::Input, typed.key, place.clone(), typed.text)?;
        self.put(key, ReadyInput { is_to_be_fetched: true, ..Self::plain(place, captured) });
        Ok(())
    }

    pub(in crate::run) fn put(&mut self, key: String, input: ReadyInput) {
        self.inputs.insert(key, input);
    }

    pub(in crate::run) fn plain(place: Place, captured: Captured) -> ReadyInput {
        let (set, recorded, web) = (None, None, None);
        ReadyInput { place, captured, declared_by: None, is_to_be_fetched: false, set, recorded, web }
    }

    /// What lies at a place.
    fn at(&mut self, typed: Typed<'_>, place: Place) -> Result<(), Error> {
        let captured = worktree::capture(&self.session.worktree(), &place, &CaptureOptions::default(), None)?;
        self.taken(typed, place, captured)
    }

    fn taken(&mut self, typed: Typed<'_>, place: Place, captured: Captured) -> Result<(), Error> {
        let key = self.declared.add_at(Role::Input, typed.key, place.clone(), typed.text)?;
        self.put(key, Self::plain(place, captured));
        Ok(())
    }

    /// Nothing, and that counts.
    fn absent(&mut self, typed: Typed<'_>, place: Place, watched: Option<Fence>) -> Result<(), Error> {
        let key = self.declared.add_at(Role::Input, typed.key, place.clone(), typed.text)?;
        let path = self.session.worktree().path(&place);
        let fence = watched.unwrap_or_else(|| Fence::around_nothing(path));
        let captured = Captured { content: Content::absent(), size: 0, exec: false, files: 0, fence };
        self.put(key, Self::plain(place, captured));
        Ok(())
    }

    /// A path below a mount.
    fn named(&mut self, typed: Typed<'_>, name: &str, rest: &BStr) -> Result<(), Error> {
        let repo = self.session.repo;
        let place = repo.place_of(self.cwd, typed.text)?;
        let path = self.session.worktree().path(&place);
        let here = repo.fs().stat(&path).map_err(|source| Error::io("read", &path, source))?;
        if here.is_some() {
            return self.at(typed, place);
        }
        if is_glob(rest)
            && let Some((_, folder)) = repo.mounts().iter().find(|(known, _)| known == name)
        {
            let text = crate::path::bytes(folder);
            let whole = format!("{}/{rest}", text.to_str_lossy());
            return self.glob(Typed { text: whole.as_bytes().as_bstr(), ..typed });
        }
        self.missing(typed, place)
    }

    /// The files that a glob stands for: one input each, or with a key one set.
    fn glob(&mut self, typed: Typed<'_>) -> Result<(), Error> {
        let repo = self.session.repo;
        let text = typed.text.to_str().map_err(|_| Error::InputMissing {
            path: self.cwd.join(crate::path::from_bytes(typed.text)),
            is_restorable: false,
        })?;
        let glob = Glob::new(text, self.cwd)?;
        let files = matching(self.session, &glob, self.outputs)?;
        let places: Vec<Place> = files.iter().map(|file| crate::path::locate(repo.root(), repo.root(), file)).collect();
        let base = crate::path::locate(repo.root(), repo.root(), glob.base());
        let is_empty = files.is_empty();
        self.globs.push(Matched { glob: glob.clone(), files });
        if is_empty {
            return match typed.key {
                _ if !typed.is_optional => Err(Error::NothingMatches { pattern: shown(typed.text) }),
                Some(_) => self.absent(typed, base, Some(Fence::new())),
                None => Ok(()),
            };
        }
        let Some(key) = typed.key else {
            for place in places {
                let one = Typed { text: typed.text, key: None, is_optional: false };
                self.at(one, place).map_err(|err| one_set(err, typed.text))?;
            }
            return Ok(());
        };
        let (set, captured) = self.set(glob.base(), &places)?;
        let key = self.declared.add_files(key, base.clone(), places, typed.text)?;
        let recorded =
            repo.recorded_path(&crate::path::locate(repo.root(), self.cwd, &crate::path::from_bytes(typed.text)));
        self.put(key, ReadyInput { set: Some(set), recorded: Some(recorded), ..Self::plain(base, captured) });
        Ok(())
    }

    /// Captures files as one folder: each at its path below `base`.
    fn set(&self, base: &Path, places: &[Place]) -> Result<(Set, Captured), Error> {
        let worktree = self.session.worktree();
        let (mut files, mut selected, mut by_path) = (Vec::new(), Selected::default(), BTreeMap::new());
        let (mut fence, mut size) = (Fence::new(), 0u64);
        for place in places {
            let path = worktree.path(place);
            let below = path.strip_prefix(base).ok().and_then(|rest| RelPath::new(crate::path::bytes(rest)));
            let Some(below) = below else { return Err(Error::InputMissing { path, is_restorable: false }) };
            let captured = worktree::capture(&worktree, place, &CaptureOptions::default(), None)?;
            let stat = worktree.fs.stat(&path).map_err(|source| Error::io("read", &path, source))?;
            let (Content::Blob(id), Some(stat)) = (&captured.content, stat) else {
                return Err(Error::ChangedBefore { path });
            };
            size = size.saturating_add(captured.size);
            let kind = crate::fs::FileKind::File { exec: captured.exec };
            let stat = crate::fs::Stat { kind, size: captured.size, ..stat };
            selected.files.push((below.clone(), stat));
            by_path.insert(below, (*id, stat));
            files.push((place.clone(), Some(*id)));
            fence.join(captured.fence);
        }
        let built: CodeTree =
            build_tree(&selected, &mut |path, _| Ok::<_, worktree::Error>(by_path.get(path).copied()))
                .map_err(|source| Error::Code { source: Box::new(source) })?;
        let Some(root) = built.root else {
            return Err(Error::InputMissing { path: base.to_owned(), is_restorable: false });
        };
        let content = Content::Tree(root);
        let count = u64::try_from(files.len()).unwrap_or(u64::MAX);
        Ok((Set { files, trees: built.objects }, Captured { content, size, exec: false, files: count, fence }))
    }

    fn resolve(&self, text: &str) -> Result<Option<Target>, Error> {
        match revspec::resolve(self.session.repo, self.snapshot, self.scenario, self.cwd, text) {
            Ok(target) => Ok(Some(target)),
            Err(revspec::Error::NotFound { .. } | revspec::Error::NoRuns { .. } | revspec::Error::NoSuccess { .. }) => {
                Ok(None)
            }
            Err(err) => Err(err.into()),
        }
    }

    /// What a revision names: an artifact, all outputs of a run, or content.
    fn revision(&mut self, typed: Typed<'_>, text: &str, target: Target) -> Result<(), Error> {
        match target {
            Target::Artifact(at, key) => self.artifact(text, &at, &key, typed.key.unwrap_or(&key).to_owned()),
            Target::Outputs(at) => {
                let run = revspec::read_run(self.snapshot, &at.run, &at.object)?;
                for key in run.outputs.keys() {
                    let own = typed.key.map_or_else(|| key.clone(), |prefix| format!("{prefix}_{key}"));
                    self.artifact(&format!("{}:{key}", at.run), &at, key, own)?;
                }
                Ok(())
            }
            Target::Object(id, kind) if kind == Kind::BLOB || kind == Kind::TREE => {
                let Some(key) = typed.key else {
                    return Err(Error::Usage { what: format!("`{text}` has no name: give it a key, -i KEY={text}") });
                };
                let size = self.snapshot.header(&id)?.map_or(0, |(_, size)| size);
                let content = if kind == Kind::BLOB { Content::Blob(id) } else { Content::Tree(id) };
                let (path, options) = (key.into(), CaptureOptions::default());
                let (producer, named, members) = (None, None, None);
                let wanted = Stored { text, content, size, exec: false, producer, path, named, members, options };
                self.stored(key.to_owned(), wanted, None)
            }
            Target::Config(..) | Target::ConfigFolder(..) | Target::Code(..) => self.given(typed.key, text, target),
            _ => Err(Error::Usage { what: format!("`{text}` is not one artifact: name an output, RUN:KEY") }),
        }
    }

    fn artifact(&mut self, text: &str, at: &RunRef, key: &str, own: String) -> Result<(), Error> {
        let run = revspec::read_run(self.snapshot, &at.run, &at.object)?;
        let wanted = if let Some(output) = run.outputs.get(key) {
            let producer = Producer {
                run: at.run.clone(),
                object: Some(at.object),
                key: key.to_owned(),
                linked_by: LinkedBy::Declared,
                candidates: Vec::new(),
            };
            let (content, path) = (output.content.clone(), output.path.clone());
            let members = output.set.as_ref().map(|_| output.members.keys().cloned().collect());
            let options = crate::run::outputs::recorded(output);
            let (size, exec, producer) = (output.size, output.exec, Some(producer));
            Stored { text, content, size, exec, producer, path, named: None, members, options }
        } else if let Some(input) = run.inputs.get(key) {
            let (content, path) = (input.content.clone(), input.path.clone());
            let (size, producer) = (input.size, input.producer.clone());
            let options = CaptureOptions::default();
            Stored { text, content, size, exec: false, producer, path, named: None, members: None, options }
        } else {
            return Err(Error::Usage { what: format!("run {} has no artifact `{key}`", at.run) });
        };
        if wanted.content.kind().is_none() {
            return Err(Error::Usage { what: format!("the content of `{text}` is kept elsewhere, or never was") });
        }
        let place = self.session.repo.place_of(self.session.repo.root(), &wanted.path).ok();
        self.stored(own, wanted, place)
    }

    /// Content of the store: where it was recorded, if it lies there or nothing does, else in a place of its own that only `{input.KEY}` and
    /// `PROV_INPUT_<KEY>` lead to. What reads it by its old path would read something else, so one of them must stand in the command.
    pub(in crate::run) fn stored(
        &mut self,
        key: String,
        wanted: Stored<'_>,
        recorded: Option<Place>,
    ) -> Result<(), Error> {
        let worktree = self.session.worktree();
        if let Some(place) = &recorded
            && self.is_free(place)
        {
            let path = worktree.path(place);
            let here = worktree.fs.lstat(&path).map_err(|source| Error::io("read", &path, source))?;
            let found = match here {
                Some(_) => Some(worktree::capture(&worktree, place, &wanted.options, None)?),
                None => None,
            };
            let may_fetch = hydrate::recorded_destination(self.session, place).is_ok();
            match found {
                Some(captured) if captured.content == wanted.content => {
                    return self.declare(&key, place, captured, false, &wanted, None);
                }
                None if may_fetch => return self.declare(&key, place, wanted.captured(), true, &wanted, None),
                _ => {}
            }
        }
        if let Some(place) = &recorded
            && !self.is_named(&key)
        {
            return Err(Error::RevisionNotHere { text: wanted.text.to_owned(), path: worktree.path(place), key });
        }
        let name = crate::path::from_bytes(&wanted.path);
        let name = name.file_name().map_or_else(|| PathBuf::from(&key), PathBuf::from);
        let path = aside(self.session, &wanted.content.id()).join(name);
        let place = crate::path::locate(self.session.repo.root(), self.session.repo.root(), &path);
        let here = worktree::capture(&worktree, &place, &CaptureOptions::default(), None).ok();
        let here = here.filter(|captured| captured.content == wanted.content);
        let is_to_be_fetched = here.is_none();
        let captured = here.unwrap_or_else(|| wanted.captured());
        let recorded = if recorded.is_some() { Some(wanted.path.clone()) } else { wanted.named.clone() };
        self.declare(&key, &place, captured, is_to_be_fetched, &wanted, recorded)
    }

    /// Declares content of the store where it lies or will lie. A set is its files there, wherever that is.
    fn declare(
        &mut self,
        key: &str,
        place: &Place,
        captured: Captured,
        is_to_be_fetched: bool,
        wanted: &Stored<'_>,
        recorded: Option<BString>,
    ) -> Result<(), Error> {
        let path = self.session.worktree().path(place);
        let typed = crate::path::bytes(&path);
        let input = Self::plain(place.clone(), captured);
        let declared_by = wanted.producer.clone();
        let Some(members) = &wanted.members else {
            let key = self.declared.add_at(Role::Input, Some(key), place.clone(), typed.as_bstr())?;
            self.put(key, ReadyInput { declared_by, is_to_be_fetched, recorded, ..input });
            return Ok(());
        };
        let root = self.session.repo.root();
        let files: Vec<Place> = members
            .iter()
            .map(|member| crate::path::locate(root, root, &path.join(crate::path::from_bytes(member))))
            .collect();
        // Its bytes are in the store already.
        let set = Set { files: files.iter().map(|file| (file.clone(), None)).collect(), trees: Vec::new() };
        let key = self.declared.add_files(key, place.clone(), files, typed.as_bstr())?;
        self.put(key, ReadyInput { declared_by, is_to_be_fetched, recorded, set: Some(set), ..input });
        Ok(())
    }

    /// Whether nothing else of this run is or goes at a place.
    fn is_free(&self, place: &Place) -> bool {
        self.declared.find(place).is_none()
            && !self.outputs.iter().any(|output| crate::run::overlap::overlaps(output, place))
    }

    /// Whether the command is given the input by its key.
    fn is_named(&self, key: &str) -> bool {
        let placeholder = format!("{{input.{key}}}");
        let variable = format!("PROV_INPUT_{}", recipe::variable_name(key));
        self.argv.iter().any(|word| word.contains_str(&placeholder) || word.contains_str(&variable))
    }
}

fn is_id(text: &str) -> bool {
    (LEAST_DIGITS..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What the newest run that recorded an output at this place made there, if the store has it, nobody retracted it, and no folder around it was
/// made later.
fn restorable(session: &Session<'_>, snapshot: &Snapshot, place: &Place) -> Result<Option<Captured>, Error> {
    let recorded = session.repo.recorded_path(place);
    let refs = |source| Error::Ref { source };
    let Some(value) = snapshot.get_ref(&key::outpath(session.repo.project(), recorded.as_ref()))? else {
        return Ok(None);
    };
    let run: String = entry::decode(&value).map_err(refs)?;
    let Some(value) = snapshot.get_ref(&key::id(&run))? else { return Ok(None) };
    let at: entry::RunPlace = entry::decode(&value).map_err(refs)?;
    if Marks::open(snapshot)
        .and_then(|marks| marks.retracted(&at.object))
        .map_err(crate::run::lookup::Error::from)?
        .is_some()
    {
        return Ok(None);
    }
    let record = revspec::read_run(snapshot, &run, &at.object)?;
    if is_in_newer_folder(session, snapshot, recorded.as_ref(), record.started_at)? {
        return Ok(None);
    }
    let found = record.outputs.values().find_map(|output| match &output.set {
        None if output.path == recorded => Some((output.content.clone(), output.size, output.exec)),
        None => None,
        Some(_) => {
            let member = output.members.iter().find(|(name, _)| output.member_path(name) == recorded);
            member.map(|(_, file)| (Content::Blob(file.id), file.size, file.exec))
        }
    });
    let Some((content, size, exec)) = found else { return Ok(None) };
    // What other stores may have is brought before the command starts.
    let can_be_had = hydrate::is_whole(snapshot, &content)? || session.elsewhere().is_some();
    Ok(can_be_had.then(|| Captured { content, size, exec, files: 1, fence: Fence::new() }))
}

/// Whether a folder around a path was made as a whole later than `at`: what lay at the path then is not what was made there by itself.
fn is_in_newer_folder(session: &Session<'_>, snapshot: &Snapshot, path: &BStr, at: Micros) -> Result<bool, Error> {
    let refs = |source| Error::Ref { source };
    for end in (1..path.len()).filter(|&end| path[end] == b'/') {
        let folder = path[..end].as_bstr();
        let Some(value) = snapshot.get_ref(&key::outpath(session.repo.project(), folder))? else { continue };
        let run: String = entry::decode(&value).map_err(refs)?;
        let Some(value) = snapshot.get_ref(&key::id(&run))? else { continue };
        let known: entry::RunPlace = entry::decode(&value).map_err(refs)?;
        let record = revspec::read_run(snapshot, &run, &known.object)?;
        let is_it = |output: &Output| output.set.is_none() && output.path == folder;
        if record.started_at > at && record.outputs.values().any(is_it) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An error about two files of one glob, with what to type instead.
fn one_set(err: Error, text: &BStr) -> Error {
    match err {
        Error::Recipe(recipe::Error::Collision { key, first, second, .. }) => Error::Usage {
            what: format!(
                "of the files that `{}` matches, {first} and {second} have the key `{key}`; take them as one set: -i KEY='{}'",
                shown(text),
                shown(text)
            ),
        },
        err => err,
    }
}
