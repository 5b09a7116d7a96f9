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
use crate::args::{ExportArgs, ExportWhat, ImportArgs, ImportWhat, LinesWord, OtterManifestArgs, TableForm};
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::{human, json};

/// Writes records in another form.
pub(crate) fn export(cx: &Context, args: &ExportArgs) -> Result<Exit, Failure> {
    let mut seen = Seen::open(cx)?;
    match &args.what {
        ExportWhat::OtterManifest(args) => manifest(cx, &mut seen, args)?,
        ExportWhat::Tables { to, form } => tables(cx, &seen, &cx.cwd.join(to), *form)?,
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

fn manifest(cx: &Context, seen: &mut Seen, args: &OtterManifestArgs) -> Result<(), Failure> {
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
    let (repo, root) = (&seen.repo, seen.repo.root());
    let manifest = super::elsewhere::answer(cx, repo, &mut seen.snapshot, &mut |_, source| {
        Ok(otter::manifest(source, root, &release, lines)?)
    })?;
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

#[cfg(not(feature = "index"))]
fn tables(_: &Context, _: &Seen, _: &Path, _: Option<TableForm>) -> Result<(), Failure> {
    Err(super::no_index())
}

/// Writes the tables of records.
#[cfg(feature = "index")]
fn tables(cx: &Context, seen: &Seen, folder: &Path, form: Option<TableForm>) -> Result<(), Failure> {
    use prov::index::tables::TABLES;
    use prov::interchange::records;

    let mut tables = super::find::index(cx, seen)?;
    let mut rows = serde_json::Map::new();
    for table in TABLES {
        let (again, answer) = tables.answer(&seen.repo, &seen.snapshot, |index| index.dump(table))?;
        tables = again;
        rows.insert(table.name.to_owned(), json!(answer.rows.len()));
        let write = |ending: &str, bytes: &[u8]| {
            let path = folder.join(format!("{}.{ending}", table.name));
            let made = cx.fs.make_dirs(folder).and_then(|()| cx.fs.replace(&path, bytes, false));
            made.map_err(|source| prov::interchange::Error::Io { doing: "write", path, source })
        };
        if form != Some(TableForm::Parquet) {
            write("csv", crate::output::answer::csv(&answer).as_bytes())?;
        }
        if form != Some(TableForm::Csv) {
            write("parquet", &records::parquet(&answer))?;
        }
    }
    let lost = tables.lost().len();
    if lost > 0 {
        cx.ui.warn(format_args!("{lost} records can't be read and are in no table; `prov fsck` names them"));
    }
    if cx.ui.is_json() {
        let mut document = json::document("export");
        document.insert("what".to_owned(), json!("tables"));
        document.insert("to".to_owned(), json!(prov::path::show(folder)));
        document.insert("rows".to_owned(), rows.into());
        return cx.ui.document(document);
    }
    let total: u64 = rows.values().filter_map(serde_json::Value::as_u64).sum();
    cx.ui.say(format_args!(
        "wrote {} tables with {} to {}",
        TABLES.len(),
        human::count(total, "row"),
        prov::path::show(folder)
    ));
    Ok(())
}
