//! `push`, `fetch`, `pull`, `sync`, `clone`.

use std::path::{Path, PathBuf};

use prov::fetch;
use prov::progress::Cancel;
use prov::repo::{InitOptions, Places, Repo};
use prov::revspec::Target;
use prov::sync::{self, Address, Depth, Means, Moved, Options, Report, Selection};
use serde_json::{Map, Value, json};

use super::Context;
use crate::args::{CloneArgs, FetchArgs, PushArgs, SelectionOptions, SyncArgs};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::{human, json};

/// What it takes to reach remotes.
pub(crate) fn means(cx: &Context) -> Result<Means, Failure> {
    let words = cx.environment.utf8("PROV_SSH")?.unwrap_or_default();
    let text = |name: &str| {
        cx.environment.text(name).and_then(|text| text.to_str()).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let trusted = match cx.environment.path("SSL_CERT_FILE") {
        None => None,
        Some(path) => open::world(cx).fs.read(&path).map_err(|err| {
            let message = format!("can't read `{}` (SSL_CERT_FILE): {err}", prov::path::show(&path));
            Failure::new(Class::Failed, "io", message)
        })?,
    };
    let proxies = fetch::Proxies::of_variables(&text);
    let number = |text: String| {
        let wrong = || Failure::usage("PROV_SSH_TIMEOUT is a number of seconds, at least 1");
        text.parse().ok().filter(|&seconds: &u64| seconds > 0).ok_or_else(wrong)
    };
    let patience = cx.environment.utf8("PROV_SSH_TIMEOUT")?.map(number).transpose()?;
    Ok(Means {
        ssh: words.split_whitespace().map(str::to_owned).collect(),
        patience: patience.map(std::time::Duration::from_secs),
        web: fetch::Options { proxies, trusted, ..fetch::Options::default() },
        variables: sync::Variables(keys_in(cx)),
        profiles: sync::Profiles(profiles(cx)),
        ..Means::default()
    })
}

/// Variables that say how to get at buckets.
fn keys_in(cx: &Context) -> Vec<(String, String)> {
    let is_ours = |name: &str| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.starts_with(prefix));
    let all = cx.environment.all().iter();
    let text = all.filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned())));
    text.filter(|(name, value)| is_ours(name) && !value.is_empty()).collect()
}

/// The user's own files with keys by profile. One that can't be read is as good as none: whoever needs it is told that keys are missing.
fn profiles(cx: &Context) -> Vec<String> {
    let home = |name: &str| cx.environment.path("HOME").map(|home| home.join(".aws").join(name));
    let of = |variable: &str, name: &str| cx.environment.path(variable).or_else(|| home(name));
    let paths = [of("AWS_SHARED_CREDENTIALS_FILE", "credentials"), of("AWS_CONFIG_FILE", "config")];
    let fs = open::world(cx).fs;
    let read = |path: PathBuf| fs.read(&path).ok().flatten().and_then(|bytes| String::from_utf8(bytes).ok());
    paths.into_iter().flatten().filter_map(read).collect()
}

pub(super) fn selection(options: &SelectionOptions) -> Selection {
    Selection {
        runs: options.runs.clone(),
        scenarios: options.scenarios.clone(),
        steps: options.steps.clone(),
        tags: options.tags.clone(),
    }
}

pub(super) fn depth(options: &SelectionOptions) -> Depth {
    if options.records { Depth::Records } else { Depth::Content }
}

/// Runs that revisions of this project stand for, by id, where a transfer goes out from here.
pub(super) fn named_here(cx: &Context, repo: &Repo, selection: &mut Selection) -> Result<(), Failure> {
    if selection.runs.is_empty() {
        return Ok(());
    }
    let snapshot = repo.store().snapshot()?;
    for text in &mut selection.runs {
        match prov::revspec::resolve(repo, &snapshot, repo.scenario(), &cx.cwd, text)? {
            Target::Run(run) | Target::Artifact(run, _) | Target::Outputs(run) => *text = run.run,
            _ => return Err(Failure::usage(format!("`{text}` is no run")).hint("name a run by its id or name")),
        }
    }
    Ok(())
}

/// Sends what the remote lacks.
pub(crate) fn push(cx: &Context, args: &PushArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let remote = sync::choose(&repo, args.remote.as_deref(), &cx.cwd)?;
    let (bar, cancel) = (cx.ui.bar(), Cancel::new());
    let mut selection = selection(&args.selection);
    named_here(cx, &repo, &mut selection)?;
    let options = Options {
        selection,
        depth: depth(&args.selection),
        is_thorough: args.selection.full,
        is_complete: false,
        is_dry: args.dry_run,
        takes_scrubs: false,
        at_once: prov::sync::AT_ONCE,
        progress: &bar,
        cancel: &cancel,
    };
    let report = sync::push(&repo, &remote, &means(cx)?, &options)?;
    tell(cx, &report, true, args.dry_run);
    if cx.ui.is_json() {
        cx.ui.document(document("push", &remote.name, &report, args.dry_run))?;
    }
    Ok(Exit::Done)
}

/// Brings what is missing here.
pub(crate) fn fetch(cx: &Context, args: &FetchArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let remote = sync::choose(&repo, args.remote.as_deref(), &cx.cwd)?;
    let (bar, cancel) = (cx.ui.bar(), Cancel::new());
    let options = Options {
        selection: selection(&args.selection),
        depth: depth(&args.selection),
        is_thorough: args.selection.full,
        is_complete: args.content,
        is_dry: args.dry_run,
        takes_scrubs: args.accept_scrubs,
        at_once: prov::sync::AT_ONCE,
        progress: &bar,
        cancel: &cancel,
    };
    let report = sync::fetch(&repo, &remote, &means(cx)?, &options)?;
    tell(cx, &report, false, args.dry_run);
    if args.content && !args.dry_run && prov::maintain::unmark_records(&repo, &bar, &cancel)? {
        cx.ui.say("all content is here now: what is missing from now on is told by `prov fsck`");
    }
    if cx.ui.is_json() {
        cx.ui.document(document("fetch", &remote.name, &report, args.dry_run))?;
    }
    Ok(Exit::Done)
}

/// Fetches, then pushes.
pub(crate) fn sync(cx: &Context, args: &SyncArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let remote = sync::choose(&repo, args.remote.as_deref(), &cx.cwd)?;
    let (bar, cancel) = (cx.ui.bar(), Cancel::new());
    let options = Options {
        selection: selection(&args.selection),
        depth: depth(&args.selection),
        is_thorough: args.selection.full,
        is_complete: false,
        is_dry: args.dry_run,
        takes_scrubs: args.accept_scrubs,
        at_once: prov::sync::AT_ONCE,
        progress: &bar,
        cancel: &cancel,
    };
    let (fetched, pushed) = sync::sync(&repo, &remote, &means(cx)?, &options)?;
    tell(cx, &fetched, false, args.dry_run);
    tell(cx, &pushed, true, args.dry_run);
    if cx.ui.is_json() {
        let mut all = json::document("sync");
        all.insert("remote".to_owned(), json!(remote.name));
        all.insert("dry_run".to_owned(), json!(args.dry_run));
        all.insert("fetched".to_owned(), Value::Object(counts(&fetched)));
        all.insert("pushed".to_owned(), Value::Object(counts(&pushed)));
        cx.ui.document(all)?;
    }
    Ok(Exit::Done)
}

/// Makes a project of what a remote holds.
pub(crate) fn clone(cx: &Context, args: &CloneArgs) -> Result<Exit, Failure> {
    let address = Address::parse(&args.url, &cx.cwd)?;
    let folder = match &args.folder {
        Some(folder) => cx.cwd.join(folder),
        None => cx.cwd.join(folder_of(&address).ok_or_else(|| {
            Failure::usage("the place gives no name for a folder").hint("name the folder after the URL")
        })?),
    };
    let folder = prov::path::normal(&folder);
    if cx.fs.stat(&folder.join(prov::repo::DOT).join("HEAD")).is_ok_and(|found| found.is_some()) {
        let message = format!("there is a project in `{}` already", prov::path::show(&folder));
        return Err(Failure::new(Class::Refused, "project_exists", message)
            .hint("`prov remote add origin URL` and `prov fetch` bring a remote's history into it"));
    }
    // Looked at before anything is made: a place that can't be cloned leaves no folder behind.
    let means = means(cx)?;
    let far = sync::open(&address, &open::world(cx), &means)?;
    let projects = sync::projects(&far.snapshot()?)?;
    let project = match (&args.project, projects.as_slice()) {
        (Some(name), _) if projects.contains(name) => Some(name.clone()),
        (Some(name), _) => {
            let message = format!("no project there is named `{name}`");
            return Err(Failure::new(Class::NotFound, "not_found", message).candidates(projects));
        }
        (None, []) => None,
        (None, [one]) => Some(one.clone()),
        (None, _) => {
            let place = far.backend().place();
            return Err(sync::Error::WhichProject { place, projects }.into());
        }
    };
    drop(far);
    let places = Places { store: None, dot: None, ..open::places_of_author(cx) };
    let init =
        InitOptions { name: project, store: args.store.as_ref().map(|path| prov::path::normal(&cx.cwd.join(path))) };
    let (repo, _) = Repo::init(&folder, &init, &places, open::world(cx))?;
    sync::add(&repo, &args.origin, &args.url, &cx.cwd)?;
    let root = repo.root().to_owned();
    let repo = Repo::open(&root, &places, open::world(cx))?;
    let remote = sync::choose(&repo, Some(&args.origin), &cx.cwd)?;
    let (bar, cancel) = (cx.ui.bar(), Cancel::new());
    let options = Options {
        selection: selection(&args.selection),
        depth: depth(&args.selection),
        is_thorough: false,
        is_complete: false,
        is_dry: false,
        takes_scrubs: true,
        at_once: prov::sync::AT_ONCE,
        progress: &bar,
        cancel: &cancel,
    };
    let fetched = sync::fetch(&repo, &remote, &means, &options);
    let report = fetched.map_err(|err| {
        let failure = Failure::from(err);
        let hint = format!("go on with `prov -C {} fetch`, or remove that folder", prov::path::show(&root));
        failure.hint(hint)
    })?;
    tell(cx, &report, false, false);
    if cx.ui.is_json() {
        let mut document = document("clone", &remote.name, &report, false);
        json::put_bytes(&mut document, "folder", &prov::path::bytes(&root));
        document.insert("project".to_owned(), json!(repo.project()));
        cx.ui.document(document)?;
    } else {
        cx.ui.line(format_args!("cloned {} into {}", repo.project(), prov::path::show(&root)))?;
    }
    Ok(Exit::Done)
}

/// The folder that a clone of a place goes into.
fn folder_of(address: &Address) -> Option<PathBuf> {
    let path = match address {
        Address::Folder(path) => path.clone(),
        Address::Ssh(address) => PathBuf::from(&address.path),
        Address::Bucket(address) if address.prefix.is_empty() => PathBuf::from(&address.bucket),
        Address::Bucket(address) => PathBuf::from(&address.prefix),
        Address::Web(url) => {
            let name = url.place();
            // The folder of a project, not what lies in it.
            let name = name.trim_end_matches('/').trim_end_matches("/store").trim_end_matches("/.prov");
            PathBuf::from(name.split_once("://")?.1).components().skip(1).collect()
        }
    };
    let name = Path::new(path.file_name()?);
    let name = name.to_str()?.trim_end_matches(".prov");
    (!name.is_empty() && name != "." && name != "..").then(|| PathBuf::from(name))
}

pub(super) fn tell(cx: &Context, report: &Report, is_push: bool, is_dry: bool) {
    let place = prov::path::shown(report.place.as_bytes());
    if report.is_other_history {
        cx.ui.warn(format_args!(
            "{place} has another history than the last time (brought back from a backup?); everything was compared"
        ));
    }
    if report.is_other_store {
        cx.ui.warn(format_args!("{place} is another store than the last time; everything was compared"));
    }
    let moved = &report.moved;
    let way = match (is_push, is_dry) {
        (true, false) => "pushed",
        (true, true) => "would push",
        (false, false) => "fetched",
        (false, true) => "would fetch",
    };
    if moved.is_nothing() {
        cx.ui.say(format_args!("nothing to {} {place}", if is_push { "push to" } else { "fetch from" }));
    } else {
        cx.ui.say(format_args!("{way} {} ({place})", summary(moved)));
    }
    for met in &moved.met {
        let (what, name) = (met.what, prov::path::shown(met.name.as_bytes()));
        match (&met.kept_as, met.conflicts.is_empty()) {
            (_, true) => cx.ui.say(format_args!("{what} {name} was changed on both sides: merged")),
            (Some(kept), _) => cx.ui.warn(format_args!(
                "{what} {name} was changed on both sides ({}): yours stays, the other one is kept as {}",
                met.conflicts.join(", "),
                prov::path::shown(kept.as_bytes())
            )),
            (None, _) => cx.ui.warn(format_args!(
                "{what} {name} is another one there ({}): it stays as it is; `prov fetch` keeps both",
                met.conflicts.join(", ")
            )),
        }
    }
    if moved.absent > 0 {
        cx.ui.say(format_args!("{} that records tell of can't be had there", human::count(moved.absent, "content")));
    }
    if moved.refused > 0 {
        cx.ui.say(format_args!("{} that were scrubbed did not travel", human::count(moved.refused, "content")));
    }
    if !moved.scrubbed_there.is_empty() {
        cx.ui.warn(format_args!(
            "{} that you have were scrubbed there; nothing was removed here",
            human::count(moved.scrubbed_there.len() as u64, "content")
        ));
        cx.ui.hint("`prov fetch --accept-scrubs` removes their bytes here as well");
    }
}

pub(super) fn summary(moved: &Moved) -> String {
    let mut parts = vec![
        human::count(moved.runs, "run"),
        format!("{} in {}", human::size(moved.bytes), human::count(moved.objects, "object")),
    ];
    for (n, what) in [(moved.scenarios, "scenario"), (moved.tags, "tag"), (moved.marks, "mark")] {
        if n > 0 {
            parts.push(human::count(n, what));
        }
    }
    parts.join(", ")
}

pub(super) fn document(what: &str, remote: &str, report: &Report, is_dry: bool) -> Map<String, Value> {
    let mut document = json::document(what);
    document.insert("remote".to_owned(), json!(remote));
    document.insert("dry_run".to_owned(), json!(is_dry));
    document.extend(counts(report));
    document
}

pub(super) fn counts(report: &Report) -> Map<String, Value> {
    let moved = &report.moved;
    let met = moved
        .met
        .iter()
        .map(|met| json!({ "what": met.what, "name": met.name, "conflicts": met.conflicts, "kept_as": met.kept_as }));
    let ids = |ids: &[prov::hash::Id]| ids.iter().map(|id| Value::from(id.to_string())).collect::<Value>();
    let value = json!({
        "place": report.place,
        "runs": moved.runs,
        "objects": moved.objects,
        "bytes": moved.bytes,
        "absent": moved.absent,
        "refused": moved.refused,
        "scenarios": moved.scenarios,
        "tags": moved.tags,
        "marks": moved.marks,
        "met": met.collect::<Value>(),
        "scrubbed": ids(&moved.scrubbed),
        "scrubbed_there": ids(&moved.scrubbed_there),
        "created": report.is_new,
        "other_store": report.is_other_store,
        "other_history": report.is_other_history,
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
