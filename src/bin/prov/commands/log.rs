//! `prov log`.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use prov::object::run::{RunKind, Status};
use prov::query::{self, LogOptions, Logged};
use prov::repo::Repo;
use prov::store::Snapshot;

use super::Context;
use crate::args::{LogArgs, StatusFilter};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::{milliseconds, row, shown, word};
use crate::output::{Painter, human, json};

/// Lists runs.
pub(crate) fn run(cx: &Context, args: &LogArgs) -> Result<Exit, Failure> {
    let repo = open::to_look(cx)?;
    let snapshot = repo.store().snapshot()?;
    let options = options(cx, args, &repo, &snapshot)?;
    if cx.ui.is_json() {
        let mut runs = Vec::new();
        let end = query::log(&repo, &snapshot, &options, &mut |logged| {
            let mut one = row(&logged.run, &logged.scenario, &logged.line);
            one["retracted"] = logged.is_retracted.into();
            one["hidden"] = logged.is_hidden.into();
            one["notes"] = logged.notes.into();
            runs.push(one);
            ControlFlow::Continue(())
        })?;
        let mut document = json::document("log");
        document.insert("runs".to_owned(), runs.into());
        document.insert("next".to_owned(), end.next.into());
        cx.ui.document(document)?;
    } else {
        cx.ui.page(&cx.environment);
        let text = Text {
            painter: cx.ui.painter(),
            oneline: args.oneline,
            now: cx.clock.now(),
            here: repo.scenario().to_owned(),
        };
        let (mut listed, mut printed) = (0, Ok(()));
        let end = query::log(&repo, &snapshot, &options, &mut |logged| {
            listed += 1;
            printed = text.folded(cx, logged.folded, logged.hidden).and_then(|()| cx.ui.print(text.of(&logged)));
            if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        printed?;
        text.folded(cx, end.folded, end.hidden)?;
        if listed == 0 && end.folded == 0 && end.hidden == 0 {
            cx.ui.say("no such runs are on record");
        }
    }
    open::complete(&snapshot)?;
    Ok(Exit::Done)
}

fn options(cx: &Context, args: &LogArgs, repo: &Repo, snapshot: &Snapshot) -> Result<LogOptions, Failure> {
    if let Some(name) = &args.scenario
        && !prov::scenario::exists(snapshot, repo.project(), name)?
    {
        let known = prov::scenario::names(repo, snapshot)?;
        return Err(prov::scenario::Error::NotFound { name: name.clone(), known }.into());
    }
    let now = cx.clock.now();
    Ok(LogOptions {
        scenario: args.scenario.clone(),
        all: args.all && args.scenario.is_none(),
        hits: args.all,
        limit: args.limit,
        since: args.since(now).map_err(Failure::usage)?,
        until: args.until(now).map_err(Failure::usage)?,
        steps: args.step.clone(),
        statuses: args
            .status
            .iter()
            .map(|status| match status {
                StatusFilter::Success => Status::Success,
                StatusFilter::Failure => Status::Failure,
                StatusFilter::Aborted => Status::Aborted,
            })
            .collect(),
        tags: args.tag.clone(),
        commit: args.git.as_deref().map(|revision| commit(repo, revision)).transpose()?,
        besides: match &args.git {
            Some(revision) => super::hooks::belonging(repo, snapshot, revision)?,
            None => std::collections::BTreeSet::new(),
        },
        facets: args.facet.iter().map(|word| crate::settings::facet(word)).collect::<Result<_, _>>()?,
        from: args.from.clone(),
    })
}

/// The commit that a revision of Git's names; hexadecimal digits stand for themselves, so that a repository need not be there.
fn commit(repo: &Repo, revision: &str) -> Result<String, Failure> {
    use prov::code::git::{Discovery, discover};
    if let Discovery::Found(git) = discover(repo.root())
        && let Some(commit) = git.commit(revision)
    {
        return Ok(commit);
    }
    if (4..=64).contains(&revision.len()) && revision.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(revision.to_ascii_lowercase());
    }
    Err(Failure::new(Class::NotFound, "not_found", format!("`{}` names no Git commit", shown(revision)))
        .hint("name a commit, branch or tag of the Git repository around the project"))
}

struct Text {
    painter: Painter,
    oneline: bool,
    now: prov::clock::Micros,
    /// The scenario that goes without saying.
    here: String,
}

impl Text {
    fn folded(&self, cx: &Context, hits: u64, hidden: u64) -> Result<(), Failure> {
        let mut folded = Vec::new();
        if hits > 0 {
            folded.push(human::count(hits, "hit"));
        }
        if hidden > 0 {
            folded.push(format!("{hidden} hidden"));
        }
        if folded.is_empty() {
            return Ok(());
        }
        let indent = if self.oneline { "          " } else { "" };
        let gap = if self.oneline { "" } else { "\n" };
        cx.ui.print(format_args!("{indent}{}\n{gap}", self.painter.dim(format!("({} folded)", folded.join(", ")))))
    }

    fn of(&self, logged: &Logged) -> String {
        let line = &logged.line;
        let tail = prov::object::run::tail(&logged.run);
        let id = self.painter.id(shown(human::short(tail, 8)));
        let status = word(&line.status);
        let status = match line.status {
            Status::Success => self.painter.good(status).to_string(),
            Status::Failure | Status::Aborted => self.painter.bad(status).to_string(),
        };
        let mut labels: Vec<String> = line.name.iter().map(|name| format!("named {}", shown(name))).collect();
        for (is_so, word) in [(logged.is_retracted, "retracted"), (logged.is_hidden, "hidden")] {
            if is_so {
                labels.push(word.to_owned());
            }
        }
        if logged.notes > 0 {
            labels.push(human::count(logged.notes as u64, "note"));
        }
        if !line.tags.is_empty() {
            let tags: Vec<String> = line.tags.iter().map(shown).collect();
            labels.push(format!("tags {}", tags.join(", ")));
        }
        if logged.scenario != self.here {
            labels.insert(0, format!("scenario {}", shown(&logged.scenario)));
        }
        let took = match line.kind {
            RunKind::Manual => String::new(),
            _ => format!(", took {}", human::duration(milliseconds(line.us))),
        };
        let how = if line.cache == "off" { String::new() } else { format!(" {}", shown(&line.cache)) };
        let step = self.painter.strong(shown(&line.step));
        if self.oneline {
            let labels = if labels.is_empty() { String::new() } else { format!("  ({})", labels.join("; ")) };
            return format!("{id}  {}  {step}  {status}{how}{took}{labels}\n", human::time(line.at));
        }
        let mut text = format!("run {id}  {step}  {status}{how}\n");
        let _ = writeln!(text, "    {} ({}){took}", human::time(line.at), human::ago(line.at, self.now));
        if let Some(commit) = &line.commit {
            labels.push(format!("Git {}", shown(commit.get(..12).unwrap_or(commit))));
        }
        if !line.sealed && line.status == Status::Success {
            labels.push("not sealed".to_owned());
        }
        if !labels.is_empty() {
            let _ = writeln!(text, "    {}", labels.join("; "));
        }
        text.push('\n');
        text
    }
}
