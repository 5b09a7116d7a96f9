//! `prov fsck`.

use std::fmt::Write as _;

use prov::progress::Cancel;
use prov::repo;
use prov::store::check::Finding;
use prov::store::{self, Report, Severity};
use serde_json::{Value, json};

use super::Context;
use crate::args::FsckArgs;
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{human, json};

/// Checks every byte of the store. Touches nothing.
pub(crate) fn run(cx: &Context, _args: &FsckArgs) -> Result<Exit, Failure> {
    let report = report(cx)?;
    let errors = report.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    if cx.ui.is_json() {
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
        cx.ui.document(document)?;
    } else {
        let painter = cx.ui.painter();
        for one in &report.findings {
            let word = match one.severity {
                Severity::Error => painter.bad("error").to_string(),
                Severity::Warning => painter.warning("warning").to_string(),
                Severity::Info => painter.dim("info").to_string(),
            };
            let mut place = one.file.as_ref().map(|file| format!(" {}", shown(file))).unwrap_or_default();
            if let Some(object) = &one.object {
                let _ = write!(place, " object {object}");
            }
            cx.ui.line(format_args!("{word} [{}]{place}: {}", one.code, shown(&one.message)))?;
        }
        let checked = &report.checked;
        cx.ui.say(format_args!(
            "checked {}, {}, {}, {}: {}",
            human::count(checked.packs, "pack"),
            human::count(checked.objects, "object"),
            human::count(checked.refs, "ref"),
            human::size(checked.bytes),
            if errors == 0 { "sound".to_owned() } else { human::count(errors as u64, "error") }
        ));
    }
    if errors == 0 {
        return Ok(Exit::Done);
    }
    Err(Failure::new(
        Class::Damaged,
        "damaged",
        format!("the store is damaged: {}", human::count(errors as u64, "error")),
    )
    .hint("keep a copy of it as it is; what is whole can still be read and added to"))
}

fn report(cx: &Context) -> Result<Report, Failure> {
    match open::untouched(cx) {
        Ok(repo) => {
            let bar = cx.ui.bar();
            Ok(prov::maintain::fsck(&repo, &bar, &Cancel::new()))
        }
        // A store that can't be opened at all is the worst finding, not a reason to find nothing.
        Err(repo::Error::Store(store::Error::Damaged { file, what })) => {
            let finding = Finding {
                severity: Severity::Error,
                code: "format-damaged",
                object: None,
                file: Some(file),
                message: what,
            };
            Ok(Report { findings: vec![finding], ..Report::default() })
        }
        Err(err) => Err(err.into()),
    }
}

fn finding(finding: &Finding) -> Value {
    json!({
        "severity": finding.severity.as_str(),
        "code": finding.code,
        "object": finding.object.map(|id| id.to_string()),
        "file": finding.file,
        "message": finding.message,
    })
}
