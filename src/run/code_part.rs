//! The code part of a recipe: which files it is now, and bringing them into the store.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use bstr::{BStr, BString, ByteSlice};

use super::Error;
use super::prepare::Environment;
use super::request::{CodeMode, Request};
use super::session::{Session, Wanted};
use super::stretch::{Base, Moment, Width};
use crate::code::{self, CodeTree, Mode, Program, Rules, Scope, Selected};
use crate::fs::FileKind;
use crate::hash::Id;
use crate::object::run::Reason;
use crate::object::{Kind, Sink};
use crate::path::{Place, RelPath};
use crate::recipe::{Declared, Members, Role, below};
use crate::refs::key;
use crate::store::Snapshot;
use crate::worktree::stat_cache::Key;
use crate::worktree::{self, hash_file};

/// The code of a run.
#[derive(Debug, Clone)]
pub struct CodePart {
    /// The files as a tree.
    pub tree: Arc<CodeTree>,
    /// Files that were left out for their size: path and bytes.
    pub left_out: Vec<(RelPath, u64)>,
    /// Patterns that named no file.
    pub unmatched: Vec<String>,
    /// Files that the command names, and its program.
    pub named: Vec<RelPath>,
    /// What the first word of the command is.
    pub program: Program,
}

impl CodePart {
    /// Paths whose content differs between the two, or that only one has.
    pub fn differences(&self, other: &CodePart) -> Vec<RelPath> {
        let list = |part: &CodePart| {
            part.tree.files.iter().map(|(path, id, _)| (path.clone(), *id)).collect::<std::collections::BTreeSet<_>>()
        };
        let mut paths: Vec<RelPath> =
            list(self).symmetric_difference(&list(other)).map(|(path, _)| path.clone()).collect();
        paths.dedup();
        paths
    }

    /// What is doubtful about it, for people: a pattern that names nothing guards nothing.
    pub(super) fn warnings(&self) -> Vec<String> {
        let warning = |pattern| format!("no file counts as code by `{pattern}`: there is none, or it is ignored");
        self.unmatched.iter().map(warning).collect()
    }

    /// Files that hold the same in both, but whose state shows that they were written or replaced in between.
    pub fn rewritten(&self, after: &CodePart) -> Vec<RelPath> {
        // Both lists are sorted by path and name the same files.
        let pairs = self.tree.files.iter().zip(&after.tree.files);
        pairs.filter(|((_, _, a), (_, _, b))| !a.same_content(b)).map(|((path, ..), _)| path.clone()).collect()
    }

    /// The lines that would narrow the code to what the command names, when only other code caused these reasons.
    pub fn narrow(&self, step: &str, request: &Request, reasons: &[Reason]) -> Option<code::Narrowing> {
        if request.code.is_some() {
            return None;
        }
        code::narrow(step, reasons, &self.named)
    }
}

/// The mode and patterns that hold for a request.
fn rules(session: &Session<'_>, request: &Request, cwd: &RelPath) -> Result<Rules, Error> {
    let settings = session.repo.settings();
    let patterns = |texts: &[String], base: &RelPath| {
        texts.iter().map(|text| code::Pattern::new(text, base)).collect::<Result<Vec<_>, _>>()
    };
    let root = RelPath::root();
    let mode = match &request.code {
        None => Mode::parse(&settings.code_mode(), &root)?,
        Some(CodeMode::Project) => Mode::Project,
        Some(CodeMode::Command) => Mode::Command,
        Some(CodeMode::None) => Mode::None,
        Some(CodeMode::Paths(texts)) => Mode::Paths(patterns(texts, cwd)?),
    };
    Ok(Rules {
        mode,
        include: patterns(&settings.code_include(), &root)?,
        exclude: patterns(&settings.code_exclude(), &root)?,
        ..Rules::default()
    })
}

/// Which files of the project have to be listed to tell the code of a request.
pub(super) fn wanted(session: &Session<'_>, request: &Request) -> Option<Wanted> {
    // What is wrong with a pattern is told where the code is selected.
    let Ok(rules) = rules(session, request, &RelPath::root()) else { return Some(Wanted::All) };
    match rules.mode {
        Mode::None => None,
        Mode::Command if rules.include.is_empty() => None,
        // Which patterns name a file is told only by all of them.
        Mode::Project if rules.include.is_empty() => Some(Wanted::ByName),
        _ => Some(Wanted::All),
    }
}

/// The project's files, and whether they were listed just now: then their states need not be asked for again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listing<'a> {
    pub(super) files: &'a [(RelPath, crate::fs::Stat)],
    /// When they were listed.
    pub(super) at: Moment,
    pub(super) is_fresh: bool,
    /// What the program was before the command ran.
    pub(super) program: Option<&'a Program>,
}

/// Selects the files that count as code and hashes them.
///
/// # Errors
/// When the project can't be listed, a file can't be read, or a pattern has no meaning.
pub(super) fn select(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    declared: &Declared,
    environment: &Environment,
    files: Listing<'_>,
) -> Result<CodePart, Error> {
    select_as(session, snapshot, request, declared, environment, files, false)
}

/// As [`select`], for a look-up: in a batch, what look-ups right before it saw is not looked at again (see [`super::stretch`]).
///
/// # Errors
/// As [`select`].
pub(super) fn select_for_lookup(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    declared: &Declared,
    environment: &Environment,
    files: Listing<'_>,
) -> Result<CodePart, Error> {
    select_as(session, snapshot, request, declared, environment, files, session.batch().is_some())
}

fn select_as(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    declared: &Declared,
    environment: &Environment,
    files: Listing<'_>,
    may_share: bool,
) -> Result<CodePart, Error> {
    let repo = session.repo;
    let cwd = declared.cwd();
    let base = declared.cwd_inside().unwrap_or_default();
    let beside: Vec<RelPath> = request
        .config_files
        .iter()
        .chain(&request.config_folder.dirs)
        .chain(&request.stdin)
        .chain(request.identity.iter().chain(&request.locks).map(|one| &one.path))
        .filter_map(|path| match declared.locate(path) {
            Place::Inside(path) => Some(path),
            Place::Outside(_) => None,
        })
        .collect();
    let is_declared = |path: &RelPath| declared.covers(path) || beside.iter().any(|other| path.is_within(other));
    let claims = OnceCell::new();
    let is_recorded_output = |path: &RelPath| {
        let (paths, sets): &Claimed = claims.get_or_init(|| session.claims(claimed));
        paths.iter().any(|folder| path.is_within(folder))
            || sets.iter().any(|(root, set)| below(path, root).is_some_and(|path| set.has(path)))
            || session.batch().is_some_and(|batch| batch.is_output(path))
            || is_outpath(snapshot, repo.project(), path)
    };
    let io = |source| Error::io("look for", cwd, source);
    let words = &request.argv;
    let first: &BStr = words.first().map_or(BStr::new(""), |word| word.as_bstr());
    let search = environment.get(OsStr::new("PATH")).map_or(OsStr::new(""), |path| path.as_os_str());
    let find = || code::find_program(repo.fs(), repo.root(), cwd, search, first, &|path| session.is_ignored(path));
    let program = match files.program {
        // A program of the machine is recorded and does not count: only another one of the project would make a difference.
        Some(Program::Elsewhere(path)) if !first.contains(&b'/') && !searches_inside(repo.root(), cwd, search) => {
            Ok(Program::Elsewhere(path.clone()))
        }
        _ if may_share && !first.contains(&b'/') => {
            session.stretch().program((first.to_owned(), cwd.to_owned(), search.to_owned()), find)
        }
        _ => find(),
    }
    .map_err(io)?;
    let named = code::named_files(repo.fs(), repo.root(), cwd, words, &is_declared).map_err(io)?;
    let mut names: Vec<RelPath> = named.iter().map(|(path, _)| path.clone()).collect();
    if let Program::Project { path, .. } = &program {
        names.push(path.clone());
    }
    let tree_of = |selected: &Selected| build(session, selected, files.is_fresh);
    if may_share {
        let key = (request.code.clone(), base.clone());
        let shared = session.stretch().code(key, files.at, || {
            let rules = rules(session, request, &base)?;
            let scope = Scope { is_declared: &|_| false, is_recorded_output: &is_recorded_output, named: &[] };
            let selected = selected(files, &rules, &scope);
            let tree = Arc::new(tree_of(&selected)?);
            Ok::<_, Error>(Base {
                width: width(&rules),
                tree,
                left_out: selected.left_out,
                unmatched: selected.unmatched,
            })
        })?;
        if adds_nothing(&shared, declared, &beside, &named) {
            let Base { tree, left_out, unmatched, width: _ } = &*shared;
            let (tree, left_out, unmatched) = (Arc::clone(tree), left_out.clone(), unmatched.clone());
            return Ok(CodePart { tree, left_out, unmatched, named: names, program });
        }
    }
    let rules = rules(session, request, &base)?;
    let scope = Scope { is_declared: &is_declared, is_recorded_output: &is_recorded_output, named: &named };
    let selected = selected(files, &rules, &scope);
    let tree = Arc::new(tree_of(&selected)?);
    Ok(CodePart { tree, left_out: selected.left_out, unmatched: selected.unmatched, named: names, program })
}

/// Whether a folder in which programs are looked for lies in the project.
fn searches_inside(root: &std::path::Path, cwd: &std::path::Path, search: &OsStr) -> bool {
    std::env::split_paths(search).any(|folder| matches!(crate::path::locate(root, cwd, &folder), Place::Inside(_)))
}

fn selected(files: Listing<'_>, rules: &Rules, scope: &Scope<'_>) -> Selected {
    match rules.mode {
        Mode::None => Selected::default(),
        Mode::Command if rules.include.is_empty() => code::select([], rules, scope),
        _ => code::select(files.files.iter().cloned(), rules, scope),
    }
}

/// Which files count besides those that were selected, if a command names them.
fn width(rules: &Rules) -> Width {
    match rules.mode {
        Mode::None => Width::Nothing,
        Mode::Project if rules.include.is_empty() => Width::ByKind,
        _ => Width::Other,
    }
}

/// Whether what a request declares and names changes nothing about the code that the rules alone select. If in doubt, it may.
fn adds_nothing(base: &Base, declared: &Declared, beside: &[RelPath], named: &[(RelPath, crate::fs::Stat)]) -> bool {
    let counts = |path: &RelPath, stat: &crate::fs::Stat| match base.width {
        Width::Nothing => false,
        Width::ByKind => code::counts_when_named(path, stat),
        Width::Other => true,
    };
    let names_nothing = named.iter().all(|(path, stat)| base.has(path) || !counts(path, stat));
    let places = declared.places(Role::Output).values().chain(declared.places(Role::Input).values());
    let places = places.chain(declared.read_places()).filter_map(|place| match place {
        Place::Inside(path) => Some(path),
        Place::Outside(_) => None,
    });
    names_nothing && declared.sets().is_empty() && !places.chain(beside).any(|place| base.reaches(place))
}

/// Hashes what was selected.
fn build(session: &Session<'_>, selected: &Selected, is_fresh: bool) -> Result<CodeTree, Error> {
    let worktree = session.worktree();
    code::build_tree(selected, &mut |path, seen| {
        let place = Place::Inside(path.clone());
        if is_fresh && let Some(id) = worktree.cache.get(Key::of(&place), seen) {
            return Ok(Some((id, *seen)));
        }
        match hash_file(&worktree, Key::of(&place), &worktree.path(&place), None) {
            Ok(hashed) => Ok(Some((hashed.id, hashed.stat))),
            Err(worktree::Error::Absent { .. } | worktree::Error::Special { .. }) => Ok(None),
            Err(_) if seen.kind == FileKind::Link && code::leads_to_no_file(worktree.fs, &worktree.path(&place)) => {
                Ok(None)
            }
            Err(err) => Err(err),
        }
    })
    .map_err(|source| Error::Code { source: Box::new(source) })
}

/// Paths that live runs are going to write, and sets of files by their folder.
pub(super) type Claimed = (Vec<RelPath>, Vec<(RelPath, Members)>);

/// What live runs are going to write below the project.
fn claimed(session: &Session<'_>) -> Claimed {
    let live = super::live_folder(session.repo);
    let (mut paths, mut sets) = (Vec::new(), Vec::new());
    for intent in live.list().unwrap_or_default().into_iter().filter_map(|entry| entry.intent) {
        paths.extend(intent.outputs.into_iter().filter_map(RelPath::new).filter(|path| !path.is_root()));
        // What a run changes of other files is known when it has ended.
        for claim in intent.sets.into_iter().filter(|claim| !claim.files.changed) {
            if let (Some(root), Ok(set)) = (RelPath::new(claim.root), Members::new(&claim.files)) {
                sets.push((root, set));
            }
        }
    }
    (paths, sets)
}

/// Whether an executed run recorded the path, or a folder above it, as an output.
fn is_outpath(snapshot: &Snapshot, project: &str, path: &RelPath) -> bool {
    let mut at = Some(path.clone());
    while let Some(here) = at.filter(|here| !here.is_root()) {
        if snapshot.get_ref(&key::outpath(project, here.as_bytes())).ok().flatten().is_some() {
            return true;
        }
        at = here.parent();
    }
    false
}

/// Stores the code, unless the store has it.
///
/// # Errors
/// When a file changed since it was selected, or can't be stored.
pub(super) fn store(session: &Session<'_>, part: &CodePart, sink: &dyn Sink) -> Result<(), Error> {
    let Some(root) = part.tree.root else { return Ok(()) };
    // A tree is stored together with everything below it.
    if sink.has(&root)? {
        return Ok(());
    }
    let worktree = session.worktree();
    for (path, id, _) in &part.tree.files {
        if !sink.has(id)? {
            let place = Place::Inside(path.clone());
            let absolute = worktree.path(&place);
            let hashed = hash_file(&worktree, Key::of(&place), &absolute, Some(sink))?;
            if hashed.id != *id {
                return Err(Error::ChangedBefore { path: absolute });
            }
        }
    }
    for (id, bytes) in &part.tree.objects {
        sink.put(&Kind::TREE, id, bytes)?;
    }
    Ok(())
}

/// The program's path and content when it is a project file; its path when it is not.
pub(super) fn program(
    session: &Session<'_>,
    part: &CodePart,
) -> Result<(Option<(BString, Id)>, Option<PathBuf>), Error> {
    match &part.program {
        Program::Project { path, .. } => {
            let worktree = session.worktree();
            let place = Place::Inside(path.clone());
            let hashed = hash_file(&worktree, Key::of(&place), &worktree.path(&place), None)?;
            Ok((Some((path.as_bytes().to_owned(), hashed.id)), None))
        }
        Program::Elsewhere(path) | Program::NotExecutable(path) => Ok((None, Some(path.clone()))),
        Program::NotFound => Ok((None, None)),
    }
}
