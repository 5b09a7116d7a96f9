//! `prov ops`, `prov undo`.

use prov::journal::{self, Operation, State};
use prov::run::{Session, UndoStep};
use serde_json::{Value, json};

use super::Context;
use crate::args::{OpsArgs, UndoArgs};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{human, json};

/// Lists the operations of this workspace.
pub(crate) fn ops(cx: &Context, args: &OpsArgs) -> Result<Exit, Failure> {
    let repo = open::to_look(cx)?;
    let snapshot = repo.store().snapshot()?;
    let operations = journal::list(&repo, &snapshot, args.limit)?;
    if cx.ui.is_json() {
        let mut document = json::document("ops");
        document.insert("operations".to_owned(), operations.iter().map(operation).collect());
        cx.ui.document(document)?;
    } else {
        cx.ui.page(&cx.environment);
        let painter = cx.ui.painter();
        for one in &operations {
            let state = match &one.state {
                State::Undoable => String::new(),
                State::Undone => painter.dim("  (undone)").to_string(),
                State::Never(why) => painter.dim(format!("  (stays: {})", shown(why))).to_string(),
            };
            cx.ui.line(format_args!(
                "{}  {}  {}  {}{state}",
                painter.id(human::short(&one.id(), 8)),
                human::time(one.at),
                painter.strong(shown(&one.line.command)),
                shown(&one.line.about),
            ))?;
        }
        if operations.is_empty() {
            cx.ui.say("no operation of this workspace is on record");
        }
    }
    open::complete(&snapshot)?;
    Ok(Exit::Done)
}

/// Takes back the last operation of this workspace.
pub(crate) fn undo(cx: &Context, args: &UndoArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let session = Session::new(&repo, cx.cwd.clone());
    let Some(undone) = prov::run::undo(&session, args.dry_run)? else {
        return Err(Failure::new(Class::NotFound, "nothing_to_undo", "there is no operation to take back")
            .hint("`prov ops` lists the operations of this workspace"));
    };
    let line = &undone.operation.line;
    let would = if args.dry_run { "would take back" } else { "took back" };
    cx.ui.say(format_args!(
        "{would} `{} {}` of {}",
        shown(&line.command),
        shown(&line.about),
        human::time(undone.operation.at)
    ));
    for step in &undone.steps {
        cx.ui.say(format_args!("  {}", text(step)));
    }
    if cx.ui.is_json() {
        let mut document = json::document("undo");
        document.insert("dry_run".to_owned(), args.dry_run.into());
        document.insert("operation".to_owned(), operation(&undone.operation));
        document.insert("steps".to_owned(), undone.steps.iter().map(step).collect());
        cx.ui.document(document)?;
    }
    Ok(Exit::Done)
}

fn text(step: &UndoStep) -> String {
    match step {
        UndoStep::Hidden { run } => {
            let tail = human::short(prov::object::run::tail(run), 8);
            format!("run {} is hidden; `prov log --all` lists it", shown(tail))
        }
        UndoStep::Answered { kind, on } => format!("{kind} {}", if *on { "holds again" } else { "holds no longer" }),
        UndoStep::Moved { name } => format!("{} is as it was", shown(name)),
        UndoStep::Restored { path } => format!("{} is as it was", prov::path::show(path)),
        UndoStep::Left { path, content } => format!(
            "{} was changed since and is left; what lay there before: prov restore {} --to PATH",
            prov::path::show(path),
            content.id()
        ),
    }
}

fn step(step: &UndoStep) -> Value {
    match step {
        UndoStep::Hidden { run } => json!({"action": "hidden", "run": run}),
        UndoStep::Answered { kind, on } => json!({"action": kind.as_str(), "on": on}),
        UndoStep::Moved { name } => json!({"action": "moved", "ref": shown(name)}),
        UndoStep::Restored { path } => json!({"action": "restored", "path": prov::path::show(path)}),
        UndoStep::Left { path, content } => {
            json!({"action": "left", "path": prov::path::show(path), "content": content.id().to_string()})
        }
    }
}

fn operation(one: &Operation) -> Value {
    let why = match &one.state {
        State::Undoable => None,
        State::Undone => Some("it was taken back"),
        State::Never(why) => Some(why.as_str()),
    };
    json!({
        "operation": one.id(),
        "at": json::time(one.at),
        "command": one.line.command,
        "about": one.line.about,
        "by": one.line.by,
        "host": one.line.host,
        "runs": one.line.runs.iter().map(|(run, _)| run).collect::<Vec<_>>(),
        "undoable": one.state == State::Undoable,
        "why_not": why,
    })
}
