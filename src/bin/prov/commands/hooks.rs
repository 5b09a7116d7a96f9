//! `prov hooks`: what Git calls prov for.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::Path;

use prov::clock::Micros;
use prov::code::git::commit::Commit;
use prov::code::git::hooks::{self, State};
use prov::code::git::{Discovery, discover};
use prov::hash::Id;
use prov::object::run::Output;
use prov::progress::Cancel;
use prov::query::{self, Belonging, How};
use prov::repo::Repo;
use prov::run::{RestoreOptions, Session, lockfile};
use prov::store::Snapshot;
use prov::sync::{self, Depth, Options, Selection};
use prov::worktree::restore::Outcome;
use serde_json::{Value, json};

use super::Context;
use crate::args::{HookWord, HooksArgs, HooksCommand};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{human, json};

/// Runs that a commit message names at most.
const TRAILERS: usize = 20;

/// What is named one by one at most.
const NAMED: usize = 5;

/// Does what `prov hooks` is asked.
pub(crate) fn run(cx: &Context, args: &HooksArgs) -> Result<Exit, Failure> {
    match &args.command {
        HooksCommand::Install { shared } => {
            let (repo, hooks) = found(cx)?;
            if hooks.is_shared() && !shared {
                return Err(hooks::Error::Shared { folder: hooks.folder().to_owned() }.into());
            }
            let program = std::env::current_exe().unwrap_or_else(|_| "prov".into());
            hooks.install(repo.fs(), &program)?;
            hooks.set_driver(repo.fs(), Some(&program))?;
            cx.ui.say(format_args!("Git calls prov now: hooks in {}", prov::path::show(hooks.folder())));
            status(cx, &repo, &hooks)
        }
        HooksCommand::Uninstall => {
            let (repo, hooks) = found(cx)?;
            let changed = hooks.uninstall(repo.fs())?;
            // Another project of the work tree may still want its lock merged.
            if hooks.status(repo.fs())?.iter().all(|hook| hook.state != State::Elsewhere) {
                hooks.set_driver(repo.fs(), None)?;
            }
            cx.ui.say(format_args!("{} taken away", human::count(changed as u64, "hook")));
            status(cx, &repo, &hooks)
        }
        HooksCommand::Status => {
            let (repo, hooks) = found(cx)?;
            status(cx, &repo, &hooks)
        }
        HooksCommand::Run { hook, words } => call(cx, *hook, words),
        HooksCommand::MergeLock { base, ours, theirs } => merge_lock(cx, base, ours, theirs),
    }
}

fn found(cx: &Context) -> Result<(Repo, hooks::Hooks), Failure> {
    let repo = open::untouched(cx)?;
    let hooks = hooks::hooks_of(repo.root())?;
    Ok((repo, hooks))
}

fn status(cx: &Context, repo: &Repo, hooks: &hooks::Hooks) -> Result<Exit, Failure> {
    let found = hooks.status(repo.fs())?;
    let has_driver = hooks.has_driver(repo.fs())?;
    let word = |state| match state {
        State::Absent => "absent",
        State::Installed => "installed",
        State::Elsewhere => "elsewhere",
        State::Other => "other",
    };
    if cx.ui.is_json() {
        let mut document = json::document("hooks");
        json::put_bytes(&mut document, "folder", &prov::path::bytes(hooks.folder()));
        document.insert("shared".to_owned(), json!(hooks.is_shared()));
        document.insert("merge_driver".to_owned(), json!(has_driver));
        document.insert("keeps_lock".to_owned(), json!(repo.settings().keeps_lock()));
        let items =
            found.iter().map(|hook| json!({"hook": hook.name, "state": word(hook.state), "chained": hook.is_chained}));
        document.insert("items".to_owned(), items.collect::<Value>());
        cx.ui.document(document)?;
        return Ok(Exit::Done);
    }
    for hook in &found {
        let what = match (hook.state, hook.is_chained) {
            (State::Absent, _) => "not there",
            (State::Installed, false) => "calls prov",
            (State::Installed, true) => "calls what was there before, then prov",
            (State::Elsewhere, _) => "calls prov for other projects of this work tree",
            (State::Other, _) => "is not prov's",
        };
        cx.ui.line(format_args!("{:<18}  {what}", hook.name))?;
    }
    let driver = if has_driver { "unites outputs" } else { "not there" };
    cx.ui.line(format_args!("{:<18}  {driver}", "merge of prov.lock"))?;
    Ok(Exit::Done)
}

fn merge_lock(cx: &Context, base: &Path, ours: &Path, theirs: &Path) -> Result<Exit, Failure> {
    let read = |path: &Path| -> Result<lockfile::Lock, Failure> {
        let path = cx.cwd.join(path);
        let failed = |source| lockfile::Error::Io { doing: "read", path: path.clone(), source };
        let bytes = cx.fs.read(&path).map_err(failed)?.unwrap_or_default();
        Ok(lockfile::Lock::parse(&bytes)?)
    };
    let merged = lockfile::merge(&read(base)?, &read(ours)?, &read(theirs)?);
    let path = cx.cwd.join(ours);
    let failed = |source| lockfile::Error::Io { doing: "write", path: path.clone(), source };
    cx.fs.replace(&path, &merged.text, false).map_err(failed)?;
    if merged.conflicts == 0 {
        return Ok(Exit::Done);
    }
    cx.ui.say(format_args!(
        "{} in prov.lock were made on both sides, each in another way: keep one line of each, or run the steps again",
        human::count(merged.conflicts as u64, "output")
    ));
    Ok(Exit::No)
}

/// Does what a hook does. Nothing that goes wrong is a failure of Git's command, unless the settings say that it is.
fn call(cx: &Context, hook: HookWord, words: &[OsString]) -> Result<Exit, Failure> {
    let is_strict = std::cell::Cell::new(false);
    let done = (|| {
        let repo = open::untouched(cx)?;
        is_strict.set(repo.settings().git_switch("strict"));
        let Discovery::Found(git) = discover(repo.root()) else { return Ok(Exit::Done) };
        let says = |name: &str, default: &'static str| repo.settings().git_word(name).unwrap_or(default).to_owned();
        let head = || git.files_of("HEAD", repo.root()).map_err(|what| Failure::from(query::Error::Git { what }));
        match hook {
            HookWord::PostCommit if says("commit", "tell") == "tell" => {
                head()?.map_or(Ok(()), |head| committed(cx, &repo, &head))?;
            }
            HookWord::PostCheckout | HookWord::PostMerge => {
                let mode = says("checkout", "tell");
                if mode != "off" {
                    head()?.map_or(Ok(()), |head| checked_out(cx, &repo, &head, mode == "restore"))?;
                }
            }
            HookWord::PrePush => {
                let mode = says("push", "records");
                if mode != "off" {
                    return pushing(cx, &repo, head()?.as_ref(), &mode);
                }
            }
            HookWord::PrepareCommitMsg | HookWord::CommitMsg if repo.settings().git_switch("trailers") => {
                // A message that is only used again keeps what it says.
                let is_again = hook == HookWord::PrepareCommitMsg
                    && words.get(1).is_some_and(|word| ["merge", "squash", "commit"].iter().any(|again| word == again));
                if let Some(file) = words.first().filter(|_| !is_again) {
                    trailers(cx, &repo, head()?.as_ref(), &git, Path::new(file))?;
                }
            }
            _ => {}
        }
        Ok(Exit::Done)
    })();
    match done {
        Err(failure) if !is_strict.get() => {
            cx.ui.warn(format_args!("{}", failure.message));
            Ok(Exit::Done)
        }
        // The one code that the hooks pass on.
        Err(failure) => Err(Failure { class: Class::Refused, ..failure }),
        done => done,
    }
}

fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

/// Which runs belong to the commit that was just made: those since the one before it.
fn committed(cx: &Context, repo: &Repo, head: &Commit) -> Result<(), Failure> {
    let snapshot = repo.store().snapshot()?;
    let runs = since_last(repo, &snapshot, head)?;
    if runs.is_empty() {
        return Ok(());
    }
    let steps: BTreeSet<String> = runs.iter().map(|run| shown(&run.step)).collect();
    let names: Vec<&str> = steps.iter().take(NAMED).map(String::as_str).collect();
    let more = if steps.len() > NAMED { ", ..." } else { "" };
    cx.ui.say(format_args!(
        "{} on record for commit {} ({}{more}): `prov log --git HEAD`",
        human::count(runs.len() as u64, "run"),
        short(&head.id()),
        names.join(", ")
    ));
    Ok(())
}

/// Runs of a commit that began after the commit before it was made.
fn since_last(repo: &Repo, snapshot: &Snapshot, head: &Commit) -> Result<Vec<Belonging>, Failure> {
    let git = |what| query::Error::Git { what };
    let mut since = None;
    if let Discovery::Found(repository) = discover(repo.root()) {
        for parent in head.parents().map_err(git)? {
            let Some(parent) = repository.files_of(&parent, repo.root()).map_err(git)? else { continue };
            let at = parent.time().map_err(git)?.saturating_mul(1_000_000);
            since = Some(since.map_or(at, |since: i64| since.max(at)));
        }
    }
    let mut runs = Vec::new();
    query::runs_of_commit(repo, snapshot, head, since.map(Micros), &mut |run| {
        runs.push(run);
        ControlFlow::Continue(())
    })?;
    Ok(runs)
}

/// Tells which outputs of the commit are not in the work tree, or brings them back.
fn checked_out(cx: &Context, repo: &Repo, head: &Commit, restores: bool) -> Result<(), Failure> {
    let snapshot = repo.store().snapshot()?;
    let of = query::of_commit(repo, &snapshot, head)?;
    if of.outputs.is_empty() {
        return Ok(());
    }
    let session = Session::new(repo, repo.root().to_owned());
    let others: BTreeMap<String, Output> = of
        .outputs
        .into_iter()
        .filter(|(_, output)| match repo.place_of(repo.root(), &output.path) {
            Ok(place) => !prov::run::hydrate::lies_there(&session, &place, output),
            Err(_) => false,
        })
        .collect();
    session.save();
    if others.is_empty() {
        return Ok(());
    }
    let hint = "`prov restore --git HEAD` brings them back";
    let n = human::count(others.len() as u64, "output");
    if !restores {
        cx.ui.say(format_args!("{n} of commit {} are not in the work tree: {hint}", short(&head.id())));
        return Ok(());
    }
    let restored = super::restore::bring_outputs(cx, &session, &snapshot, &others, &RestoreOptions::default())?;
    let stays: Vec<String> = restored
        .items
        .iter()
        .filter(|item| !matches!(item.outcome, Outcome::Restored | Outcome::Kept))
        .map(|item| prov::path::show(item.path.strip_prefix(repo.root()).unwrap_or(&item.path)))
        .collect();
    if stays.is_empty() {
        cx.ui.say(format_args!("brought back {n} of commit {}", short(&head.id())));
    } else {
        cx.ui.warn(format_args!(
            "{n} of commit {} stay as they are, since some can't be brought back ({}): `prov restore --git HEAD` says why",
            short(&head.id()),
            stays.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ")
        ));
    }
    Ok(())
}

/// Sends records, and says what else is nowhere but here.
fn pushing(cx: &Context, repo: &Repo, head: Option<&Commit>, mode: &str) -> Result<Exit, Failure> {
    let remote = match sync::choose(repo, None, &cx.cwd) {
        Ok(remote) => remote,
        // Nobody said where to.
        Err(sync::Error::NoRemote | sync::Error::WhichRemote { .. }) => return Ok(Exit::Done),
        Err(err) => return Err(err.into()),
    };
    let means = super::sync::means(cx)?;
    if mode == "records" || mode == "content" {
        let (bar, cancel) = (cx.ui.bar(), Cancel::new());
        let options = Options {
            selection: Selection::default(),
            depth: if mode == "content" { Depth::Content } else { Depth::Records },
            is_thorough: false,
            is_complete: false,
            is_dry: false,
            takes_scrubs: false,
            at_once: prov::sync::AT_ONCE,
            progress: &bar,
            cancel: &cancel,
        };
        let report = sync::push(repo, &remote, &means, &options)?;
        if report.moved.runs > 0 {
            cx.ui.say(format_args!(
                "pushed {} to {}",
                human::count(report.moved.runs, "run"),
                prov::path::shown(report.place.as_bytes())
            ));
        }
    }
    let Some(head) = head else { return Ok(Exit::Done) };
    let snapshot = repo.store().snapshot()?;
    let of = query::of_commit(repo, &snapshot, head)?;
    let contents: Vec<Id> = of.outputs.values().map(|output| output.content.id()).collect();
    if contents.is_empty() {
        return Ok(Exit::Done);
    }
    let far = sync::open(&remote.address, &open::world(cx), &means)?;
    let far = far.snapshot().map_err(sync::Error::Store)?;
    let mut alone = Vec::new();
    for (name, output) in &of.outputs {
        if !prov::run::hydrate::is_whole(&far, &output.content).map_err(sync::Error::Access)? {
            alone.push(name.as_str());
        }
    }
    if alone.is_empty() {
        return Ok(Exit::Done);
    }
    let named = alone.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = if alone.len() > NAMED { ", ..." } else { "" };
    let message = format!(
        "{} of this commit are not in {}: {named}{more}",
        human::count(alone.len() as u64, "output"),
        remote.name
    );
    let hint = format!("`prov push {}` sends them", remote.name);
    if repo.settings().git_switch("strict") {
        return Err(Failure::new(Class::Refused, "content_nowhere_else", message).hint(hint));
    }
    cx.ui.warn(message);
    cx.ui.hint(hint);
    Ok(Exit::Done)
}

/// Adds the runs that were made since the last commit to the message of the next one.
fn trailers(
    cx: &Context,
    repo: &Repo,
    head: Option<&Commit>,
    git: &prov::code::git::Repository,
    file: &Path,
) -> Result<(), Failure> {
    let path = match git.top() {
        Some(top) if !file.is_absolute() => top.join(file),
        _ => file.to_owned(),
    };
    let failed = |doing, path: &Path, err: std::io::Error| {
        Failure::new(Class::Failed, "io", format!("can't {doing} `{}`", prov::path::show(path))).because_of(Some(&err))
    };
    let Some(text) = cx.fs.read(&path).map_err(|err| failed("read", &path, err))? else { return Ok(()) };
    let Ok(text) = String::from_utf8(text) else { return Ok(()) };
    let snapshot = repo.store().snapshot()?;
    let since = match head {
        Some(head) => Some(Micros(head.time().map_err(|what| query::Error::Git { what })?.saturating_mul(1_000_000))),
        None => None,
    };
    let options =
        query::LogOptions { since, statuses: vec![prov::object::run::Status::Success], ..query::LogOptions::default() };
    let mut steps = BTreeSet::new();
    let mut runs = Vec::new();
    query::log(repo, &snapshot, &options, &mut |logged| {
        if !logged.is_retracted && steps.insert(logged.line.step.clone()) {
            runs.push(logged.run);
        }
        if runs.len() < TRAILERS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    if let Some(new) = with_trailers(&text, &runs) {
        cx.fs.replace(&path, new.as_bytes(), false).map_err(|err| failed("write", &path, err))?;
    }
    Ok(())
}

/// A message with `Prov-Run:` lines at its end; `None` if it stays as it is: it says nothing yet, has them, or there are none.
fn with_trailers(text: &str, runs: &[String]) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let is_note = |line: &&str| line.starts_with('#');
    // From the first remark that only remarks and blanks follow on, Git cuts it off, and below a line with scissors.
    let scissors = lines.iter().position(|line| line.starts_with("# ---") && line.contains(">8"));
    let all = scissors.unwrap_or(lines.len());
    let end = (0..all).rev().find(|&at| !is_note(&lines[at]) && !lines[at].trim().is_empty()).map(|at| at + 1)?;
    if runs.is_empty() || lines[..end].iter().any(|line| line.starts_with("Prov-Run: ")) {
        return None;
    }
    let is_trailer = |line: &&str| {
        line.split_once(": ").is_some_and(|(key, _)| {
            key.contains('-') && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
    };
    let start = lines[..end].iter().rposition(|line| line.trim().is_empty());
    let has_trailers = start.is_some_and(|start| lines[start + 1..end].iter().all(is_trailer));
    let mut new: Vec<String> = lines[..end].iter().map(|line| (*line).to_owned()).collect();
    if !has_trailers {
        new.push(String::new());
    }
    new.extend(runs.iter().map(|run| format!("Prov-Run: {run}")));
    new.extend(lines[end..].iter().map(|line| (*line).to_owned()));
    Some(new.join("\n") + "\n")
}

/// The runs that belong to a commit besides those that were recorded at it: their objects.
pub(crate) fn belonging(repo: &Repo, snapshot: &Snapshot, revision: &str) -> Result<BTreeSet<Id>, Failure> {
    let Discovery::Found(git) = discover(repo.root()) else { return Ok(BTreeSet::new()) };
    let found = git.files_of(revision, repo.root()).map_err(|what| query::Error::Git { what })?;
    let mut runs = BTreeSet::new();
    if let Some(commit) = found {
        query::runs_of_commit(repo, snapshot, &commit, None, &mut |run| {
            if run.how != How::Same {
                runs.insert(run.at.object);
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_stand_at_the_end_of_what_is_said() {
        let runs = ["r1".to_owned(), "r2".to_owned()];
        let with = |text: &str| with_trailers(text, &runs);
        assert_eq!(with("a\n").unwrap(), "a\n\nProv-Run: r1\nProv-Run: r2\n");
        assert_eq!(
            with("a\n\nSigned-off-by: x\n# note\n").unwrap(),
            "a\n\nSigned-off-by: x\nProv-Run: r1\nProv-Run: r2\n# note\n"
        );
        // An empty message stays one, so that Git gives up as it was told to.
        assert_eq!(with("\n# Please enter the message\n"), None);
        assert_eq!(with("a\n\nProv-Run: r1\n"), None);
        assert_eq!(with_trailers("a\n", &[]), None);
    }
}
