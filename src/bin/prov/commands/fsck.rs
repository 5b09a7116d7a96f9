//! `prov fsck`.

use std::fmt::Write as _;

use prov::hash::Id;
use prov::progress::Cancel;
use prov::repo;
use prov::store::check::Finding;
use prov::store::repair::Done;
use prov::store::{self, Report, Severity};
use serde_json::{Map, Value, json};

use super::Context;
use crate::args::FsckArgs;
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{human, json};

/// Checks every byte of the store, or a part of it. Touches nothing, unless it is to repair.
pub(crate) fn run(cx: &Context, args: &FsckArgs) -> Result<Exit, Failure> {
    if args.repair && !args.dry_run {
        return repair(cx, args);
    }
    let report = report(cx, args.sample)?;
    if cx.ui.is_json() {
        cx.ui.document(document(&report))?;
    } else {
        print(cx, &report)?;
    }
    end(&report, "`prov fsck --repair` brings back what can be; `--from STORE` looks in a copy, too")
}

fn end(report: &Report, hint: &'static str) -> Result<Exit, Failure> {
    let errors = errors(report);
    if errors == 0 {
        return Ok(Exit::Done);
    }
    let message = format!("the store is damaged: {}", human::count(errors, "error"));
    Err(Failure::new(Class::Damaged, "damaged", message).hint(hint))
}

fn errors(report: &Report) -> u64 {
    report.findings.iter().filter(|finding| finding.severity == Severity::Error).count() as u64
}

fn document(report: &Report) -> Map<String, Value> {
    let mut document = json::document("fsck");
    document.insert("findings".to_owned(), report.findings.iter().map(finding).collect());
    document.insert(
        "checked".to_owned(),
        json!({
            "packs": report.checked.packs,
            "objects": report.checked.objects,
            "refs": report.checked.refs,
            "bytes": report.checked.bytes,
        }),
    );
    document
}

pub(super) fn print(cx: &Context, report: &Report) -> Result<(), Failure> {
    let painter = cx.ui.painter();
    for one in &report.findings {
        let word = match one.severity {
            Severity::Error => painter.bad("error").to_string(),
            Severity::Warning => painter.warning("warning").to_string(),
            Severity::Info => painter.dim("info").to_string(),
        };
        let place = place(one.file.as_deref(), one.object.as_ref());
        cx.ui.line(format_args!("{word} [{}]{place}: {}", one.code, shown(&one.message)))?;
    }
    let checked = &report.checked;
    let errors = errors(report);
    cx.ui.say(format_args!(
        "checked {}, {}, {}, {}: {}",
        human::count(checked.packs, "pack"),
        human::count(checked.objects, "object"),
        human::count(checked.refs, "ref"),
        human::size(checked.bytes),
        if errors == 0 { "sound".to_owned() } else { human::count(errors, "error") }
    ));
    Ok(())
}

fn place(file: Option<&str>, object: Option<&Id>) -> String {
    let mut place = file.map(|file| format!(" {}", shown(file))).unwrap_or_default();
    if let Some(object) = object {
        let _ = write!(place, " object {object}");
    }
    place
}

/// Repairs what can be repaired, then says what was done and what is still damaged.
fn repair(cx: &Context, args: &FsckArgs) -> Result<Exit, Failure> {
    let world = open::world(cx);
    let others = args
        .from
        .iter()
        .map(|path| repo::open_store(&prov::path::normal(&cx.cwd.join(path)), &world))
        .collect::<Result<Vec<_>, _>>()?;
    let (bar, cancel) = (cx.ui.bar(), Cancel::new());
    let mut rebuilt = None;
    let repo = match open::untouched(cx) {
        Err(repo::Error::Store(store::Error::Damaged { .. })) => {
            let place = repo::store_of(&open::find(cx)?, &open::places(cx), &world)?;
            let mut id = [0; 16];
            world.random.fill(&mut id);
            rebuilt = store::repair::repair_format(&place, &others, id)?;
            open::untouched(cx)?
        }
        opened => opened?,
    };
    let mut repaired = prov::maintain::repair(&repo, &others, &bar, &cancel)?;
    if let Some(rebuilt) = rebuilt {
        repaired
            .found
            .findings
            .insert(0, unopenable(rebuilt.file.clone().unwrap_or_default(), "it was no format file"));
        repaired.done.insert(0, rebuilt);
    }
    if cx.ui.is_json() {
        let mut document = document(&repaired.found);
        document.insert("repairs".to_owned(), repaired.done.iter().map(done).collect());
        document.insert("left".to_owned(), repaired.left.findings.iter().map(finding).collect());
        cx.ui.document(document)?;
    } else {
        for one in &repaired.done {
            let painter = cx.ui.painter();
            let word = if one.is_loss { painter.bad("lost").to_string() } else { painter.good("repaired").to_string() };
            let place = place(one.file.as_deref(), one.object.as_ref());
            cx.ui.line(format_args!("{word} [{}]{place}: {}", one.code, shown(&one.message)))?;
        }
        print(cx, &repaired.left)?;
    }
    end(
        &repaired.left,
        "what is named is nowhere that was looked at: `--from` a copy of the store, or another that has it",
    )
}

fn unopenable(file: String, what: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        code: "format-damaged",
        object: None,
        file: Some(file),
        message: what.to_owned(),
    }
}

fn report(cx: &Context, percent: Option<u8>) -> Result<Report, Failure> {
    match open::untouched(cx) {
        Ok(repo) => {
            let bar = cx.ui.bar();
            Ok(prov::maintain::fsck(&repo, percent, &bar, &Cancel::new()))
        }
        // A store that can't be opened at all is the worst finding, not a reason to find nothing.
        Err(repo::Error::Store(store::Error::Damaged { file, what })) => {
            Ok(Report { findings: vec![unopenable(file, &what)], ..Report::default() })
        }
        Err(err) => Err(err.into()),
    }
}

fn done(done: &Done) -> Value {
    json!({
        "code": done.code,
        "lost": done.is_loss,
        "object": done.object.map(|id| id.to_string()),
        "file": done.file,
        "message": done.message,
    })
}

pub(super) fn finding(finding: &Finding) -> Value {
    json!({
        "severity": finding.severity.as_str(),
        "code": finding.code,
        "object": finding.object.map(|id| id.to_string()),
        "file": finding.file,
        "message": finding.message,
    })
}
