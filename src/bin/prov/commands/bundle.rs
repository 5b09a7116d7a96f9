//! `prov bundle`.

use std::path::{Path, PathBuf};

use prov::progress::Cancel;
use prov::sync::bundle::{self, Options};
use prov::sync::{self, Address, Remote};
use serde_json::{Map, Value, json};

use super::sync::{counts, depth, document, means, named_here, selection, summary, tell};
use super::{Context, fsck};
use crate::args::{BundleArgs, BundleCommand};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::{human, json};

/// Makes, checks and takes in bundles.
pub(crate) fn run(cx: &Context, args: &BundleArgs) -> Result<Exit, Failure> {
    match &args.command {
        BundleCommand::Create { file, revs, selection: options } => {
            let mut options = options.clone();
            options.runs.extend(revs.iter().cloned());
            create(cx, &path_of(cx, file), &options)
        }
        BundleCommand::Verify { file } => verify(cx, &path_of(cx, file)),
        BundleCommand::Import { file, dry_run } => import(cx, &path_of(cx, file), *dry_run),
    }
}

fn path_of(cx: &Context, file: &Path) -> PathBuf {
    prov::path::normal(&cx.cwd.join(file))
}

fn said(action: &str, file: &Path) -> Map<String, Value> {
    let mut document = json::document("bundle");
    document.insert("action".to_owned(), json!(action));
    json::put_bytes(&mut document, "file", &prov::path::bytes(file));
    document
}

fn create(cx: &Context, file: &Path, words: &crate::args::SelectionOptions) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let (bar, cancel) = (cx.ui.bar(), Cancel::new());
    let mut selection = selection(words);
    named_here(cx, &repo, &mut selection)?;
    let options = Options { selection, depth: depth(words), progress: &bar, cancel: &cancel };
    let created = bundle::create(&repo, file, &options)?;
    let moved = &created.moved;
    cx.ui.say(format_args!("{}: {}, {}", prov::path::show(file), summary(moved), human::size(created.size)));
    if moved.absent > 0 {
        let absent = human::count(moved.absent, "content");
        cx.ui.warn(format_args!("{absent} that records tell of can't be had here, and are not in it"));
        cx.ui.hint("`prov fetch --content` brings them first");
    }
    if cx.ui.is_json() {
        let mut document = said("create", file);
        document.insert("size".to_owned(), json!(created.size));
        for (name, n) in [("runs", moved.runs), ("objects", moved.objects), ("bytes", moved.bytes)] {
            document.insert(name.to_owned(), json!(n));
        }
        document.insert("absent".to_owned(), json!(moved.absent));
        cx.ui.document(document)?;
    }
    Ok(Exit::Done)
}

fn verify(cx: &Context, file: &Path) -> Result<Exit, Failure> {
    let (bar, cancel) = (cx.ui.bar(), Cancel::new());
    let verified = bundle::verify(&open::world(cx), file, &bar, &cancel)?;
    let (moved, report) = (&verified.moved, &verified.report);
    if cx.ui.is_json() {
        let mut document = said("verify", file);
        document.insert("projects".to_owned(), json!(verified.projects));
        for (name, n) in [("runs", moved.runs), ("objects", moved.objects), ("bytes", moved.bytes)] {
            document.insert(name.to_owned(), json!(n));
        }
        document.insert("absent".to_owned(), json!(moved.absent));
        document.insert("findings".to_owned(), report.findings.iter().map(fsck::finding).collect());
        cx.ui.document(document)?;
    } else {
        fsck::print(cx, report)?;
        cx.ui.say(format_args!("{}: {}", prov::path::show(file), summary(moved)));
    }
    if report.is_sound() {
        return Ok(Exit::Done);
    }
    let message = format!("{} is damaged", prov::path::show(file));
    Err(Failure::new(Class::Damaged, "damaged", message).hint("make it again where it came from"))
}

fn import(cx: &Context, file: &Path, is_dry: bool) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let place = prov::path::show(file);
    if !repo.fs().stat(file).is_ok_and(|stat| stat.is_some_and(|stat| stat.is_file())) {
        return Err(Failure::new(Class::NotFound, "not_found", format!("there is no file `{place}`")));
    }
    let means = means(cx)?;
    let address = Address::Folder(file.to_owned());
    let far = sync::open(&address, repo.world(), &means)?;
    let projects = sync::projects(&far.snapshot()?)?;
    if !projects.is_empty() && !projects.iter().any(|name| name == repo.project()) {
        return Err(sync::Error::OtherProject { place, project: repo.project().to_owned(), projects }.into());
    }
    let remote = Remote { name: "bundle".to_owned(), url: place, address };
    let (bar, cancel) = (cx.ui.bar(), Cancel::new());
    let options = sync::Options {
        selection: sync::Selection::default(),
        depth: sync::Depth::Content,
        is_thorough: true,
        is_complete: true,
        is_dry,
        takes_scrubs: false,
        at_once: prov::sync::AT_ONCE,
        progress: &bar,
        cancel: &cancel,
    };
    let report = sync::fetch(&repo, &remote, &means, &options)?;
    tell(cx, &report, false, is_dry);
    if cx.ui.is_json() {
        let mut document = document("bundle", &remote.name, &report, is_dry);
        document.extend(said("import", file));
        document.extend(counts(&report));
        cx.ui.document(document)?;
    }
    Ok(Exit::Done)
}
