//! `prov export`, `prov import`, `prov schema`.

use std::path::{Path, PathBuf};

use prov::interchange::release::{self, Release, Which};
use prov::interchange::{loom, otter};
use prov::object::run::Run;
use prov::pipeline::perform::Address;
use prov::repo::Repo;
use prov::revspec::Target;
use serde_json::json;

use super::Context;
use super::revision::Seen;
use crate::args::{
    ExportArgs, ExportWhat, ImportArgs, ImportWhat, LinesWord, OtterManifestArgs, SchemaArgs, SchemaCommand,
};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::{human, json, table};

/// Writes records in another form.
pub(crate) fn export(cx: &Context, args: &ExportArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx)?;
    match &args.what {
        ExportWhat::OtterManifest(args) => manifest(cx, &seen, args)?,
        ExportWhat::LoomRecords { to } => records(cx, &seen, &cx.cwd.join(to))?,
    }
    open::complete(&seen.snapshot)?;
    Ok(Exit::Done)
}

/// A place as runs have it: a URI without slash at its end, or an absolute path.
fn place(cx: &Context, text: &str) -> String {
    if text.contains("://") {
        text.trim_end_matches('/').to_owned()
    } else {
        prov::path::show(&prov::path::normal(&cx.cwd.join(text)))
    }
}

fn manifest(cx: &Context, seen: &Seen, args: &OtterManifestArgs) -> Result<(), Failure> {
    let which = match (&args.run, &args.place) {
        (Some(rev), _) => match seen.target(cx, rev)? {
            Target::Run(at) if seen.read_run(&at)?.kind == prov::object::run::RunKind::Pipeline => {
                Which::Run(at.object)
            }
            _ => {
                let what = format!("`{}` is no run of a pipeline", prov::path::shown(rev.as_encoded_bytes()));
                return Err(Failure::usage(what).hint("`prov pipeline status` shows the newest one"));
            }
        },
        (None, Some(text)) => Which::Place(place(cx, text)),
        (None, None) => Which::Newest,
    };
    let release = Release::open(&seen.repo, &seen.snapshot, &which)?;
    let lines = match args.log {
        LinesWord::All => otter::Lines::All,
        LinesWord::Failed => otter::Lines::Failed,
        LinesWord::None => otter::Lines::None,
    };
    let manifest = otter::manifest(&seen.snapshot, seen.repo.root(), &release, lines)?;
    let steps = release.steps.len();
    match (&args.to, &args.into) {
        (None, None) => Ok(cx.ui.with_writer(|out| out.write_all(&otter::to_bytes(&manifest)))?),
        (Some(file), _) => {
            let path = cx.cwd.join(file);
            cx.fs
                .replace(&path, &otter::to_bytes(&manifest), false)
                .map_err(|source| prov::interchange::Error::Io { doing: "write", path, source })?;
            told(cx, "otter-manifest", file, steps, steps)
        }
        (None, Some(file)) => {
            let changed = otter::merge(&cx.fs, &cx.cwd.join(file), &manifest)?;
            told(cx, "otter-manifest", file, steps, changed.len())
        }
    }
}

fn told(cx: &Context, what: &str, file: &Path, steps: usize, changed: usize) -> Result<(), Failure> {
    if cx.ui.is_json() {
        let mut document = json::document("export");
        document.insert("what".to_owned(), json!(what));
        document.insert("to".to_owned(), json!(prov::path::show(file)));
        document.insert("steps".to_owned(), json!(steps));
        document.insert("written".to_owned(), json!(changed));
        return cx.ui.document(document);
    }
    let count = |n: usize| human::count(u64::try_from(n).unwrap_or(u64::MAX), "step");
    cx.ui.say(format_args!("wrote {} of {} to {}", changed, count(steps), prov::path::show(file)));
    Ok(())
}

fn records(cx: &Context, seen: &Seen, folder: &Path) -> Result<(), Failure> {
    let exported = loom::export(&seen.repo, &seen.snapshot, folder)?;
    let named = loom::TABLES.iter().zip(exported.rows);
    if cx.ui.is_json() {
        let mut document = json::document("export");
        document.insert("what".to_owned(), json!("loom-records"));
        document.insert("to".to_owned(), json!(prov::path::show(folder)));
        document.insert("added".to_owned(), json!(exported.added));
        document.insert("known".to_owned(), json!(exported.known));
        let rows = named.map(|(table, rows)| (table.name.to_owned(), json!(rows))).collect();
        document.insert("rows".to_owned(), serde_json::Value::Object(rows));
        return cx.ui.document(document);
    }
    let rows: Vec<String> = named.map(|(table, rows)| format!("{rows} of {}", table.name)).collect();
    let runs = human::count(u64::try_from(exported.added).unwrap_or(u64::MAX), "run");
    cx.ui.say(format_args!("added {runs} to {}: rows {}", prov::path::show(folder), rows.join(", ")));
    Ok(())
}

/// Puts the state of the release that a run is for into its manifest.
pub(super) fn keep_manifest(cx: &Context, repo: &Repo, run: &Run) -> Result<(), Failure> {
    let Some(place) = release::place_of(run) else { return Ok(()) };
    let Some(folder) = Address::of(&place).local() else {
        cx.ui.warn(format_args!("the manifest of {place} is not kept: nothing here can write there"));
        return Ok(());
    };
    let snapshot = repo.store().snapshot()?;
    let release = Release::open(repo, &snapshot, &Which::Place(place))?;
    let manifest = otter::manifest(&snapshot, repo.root(), &release, otter::Lines::All)?;
    otter::merge(&cx.fs, &folder.join(otter::FILE), &manifest)?;
    Ok(())
}

/// Puts a step that is on record now into the manifest of its release.
pub(super) fn keep_step(
    fs: &prov::fs::Fs,
    repo: &Repo,
    pipeline: &Run,
    declared: &[String],
    step: Run,
) -> Result<(), Failure> {
    let place = release::place_of(pipeline).unwrap_or_default();
    let Some(folder) = Address::of(&place).local() else {
        // Told of at the end.
        return Ok(());
    };
    let snapshot = repo.store().snapshot()?;
    let release = Release::of_step(pipeline, declared, step);
    let manifest = otter::manifest(&snapshot, repo.root(), &release, otter::Lines::All)?;
    otter::merge(fs, &folder.join(otter::FILE), &manifest)?;
    Ok(())
}

/// Makes records of what another system wrote.
pub(crate) fn import(cx: &Context, args: &ImportArgs) -> Result<Exit, Failure> {
    let ImportWhat::OtterManifest { file, place: given } = &args.what;
    let repo = open::repo(cx)?;
    let path: PathBuf = prov::path::normal(&cx.cwd.join(file));
    let failed = |source| prov::interchange::Error::Io { doing: "read", path: file.clone(), source };
    let bytes = cx.fs.read(&path).map_err(failed)?;
    let bytes = bytes.ok_or_else(|| failed(std::io::Error::from(std::io::ErrorKind::NotFound)))?;
    let folder = path.parent().map(prov::path::show).unwrap_or_default();
    let place = given.as_ref().map_or(folder, |text| place(cx, text));
    let imported = otter::import(&repo, file, &bytes, &place)?;
    if cx.ui.is_json() {
        let mut document = json::document("import");
        document.insert("run".to_owned(), json!(imported.run));
        document.insert("new".to_owned(), json!(imported.is_new));
        document.insert("place".to_owned(), json!(place));
        document.insert("added".to_owned(), json!(imported.added));
        document.insert("known".to_owned(), json!(imported.known));
        document.insert("pending".to_owned(), json!(imported.pending));
        document.insert("tasks".to_owned(), json!(imported.tasks));
        cx.ui.document(document)?;
    } else {
        let count = |n: usize, what| human::count(u64::try_from(n).unwrap_or(u64::MAX), what);
        let tasks = count(imported.tasks, "task");
        let known = if imported.known > 0 { format!(", {} known before", imported.known) } else { String::new() };
        let pending = if imported.pending > 0 { format!(", {} pending", imported.pending) } else { String::new() };
        cx.ui.say(format_args!("recorded {} with {tasks}{known}{pending}", count(imported.added, "step")));
    }
    Ok(Exit::Done)
}

/// Shows what tables look like.
pub(crate) fn schema(cx: &Context, args: &SchemaArgs) -> Result<Exit, Failure> {
    let SchemaCommand::Show { name } = &args.command;
    let Some(found) = name.strip_prefix("loom:").and_then(loom::table) else {
        let known: Vec<String> = loom::TABLES.iter().map(|table| format!("loom:{}", table.name)).collect();
        let failure = Failure::new(Class::NotFound, "not_found", format!("no schema is called `{name}`"));
        return Err(failure.candidates(known).hint("these are known"));
    };
    let word = |is_nullable: bool| if is_nullable { "OPTIONAL" } else { "REQUIRED" };
    if cx.ui.is_json() {
        let mut document = json::document("schema");
        document.insert("name".to_owned(), json!(name));
        document.insert("table".to_owned(), json!(found.name));
        let column = |column: &loom::Column| json!({ "name": column.name, "type": column.kind.as_str(), "nullable": column.is_nullable });
        document.insert("columns".to_owned(), found.columns.iter().map(column).collect());
        cx.ui.document(document)?;
    } else {
        cx.ui.line(format!("{}: {}", found.name, found.about))?;
        let row = |column: &loom::Column| {
            vec![column.name.to_owned(), column.kind.as_str().to_owned(), word(column.is_nullable).to_owned()]
        };
        let rows: Vec<Vec<String>> = found.columns.iter().map(row).collect();
        cx.ui.print(table::columns(&[], &rows))?;
    }
    Ok(Exit::Done)
}
