//! Content that is elsewhere: bringing it when it is needed, `prov evict`, `prov where`.

use std::collections::BTreeSet;

use prov::hash::Id;
use prov::object::recipe::Content;
use prov::object::{Missed, Source};
use prov::progress::{Cancel, Progress};
use prov::repo::Repo;
use prov::revspec::Target;
use prov::run::hydrate::is_whole;
use prov::store::Snapshot;
use prov::sync::{self, EvictOptions, Remotes, Stays};
use serde_json::{Value, json};

use super::Context;
use super::revision::Seen;
use crate::args::{EvictArgs, WhereArgs, values};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{human, json};

/// What a remote says of itself, told to people.
pub(crate) fn teller(cx: &Context) -> impl Fn(&str) + Sync + use<> {
    let is_quiet = cx.settings.streams.verbosity == crate::settings::Verbosity::Quiet;
    move |text: &str| {
        if !is_quiet {
            crate::output::note(text);
        }
    }
}

/// The remotes that may have what is missing here.
pub(crate) fn remotes<'a>(
    cx: &Context,
    repo: &'a Repo,
    progress: &'a dyn Progress,
    cancel: Cancel,
    tell: &'a (dyn Fn(&str) + Sync),
) -> Result<Option<Remotes<'a>>, Failure> {
    if !repo.settings().has_remotes() {
        return Ok(None);
    }
    Ok(Remotes::of(repo, super::sync::means(cx)?, progress, cancel, tell))
}

/// Brings contents here that are missing, if somebody has them. Whether something came.
pub(crate) fn bring(cx: &Context, repo: &Repo, contents: &[Content]) -> Result<bool, Failure> {
    let (bar, tell) = (cx.ui.bar(), teller(cx));
    match remotes(cx, repo, &bar, Cancel::new(), &tell)? {
        Some(remotes) => Ok(remotes.fetch(contents)?),
        None => Ok(false),
    }
}

/// Answers from what is here. What was missing for that is brought, if somebody has it, and the question is asked anew, with as much as
/// there is now: so nothing comes but what is looked at.
pub(crate) fn answer<T>(
    cx: &Context,
    repo: &Repo,
    snapshot: &mut Snapshot,
    look: &mut dyn FnMut(&Snapshot, &dyn Source) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut asked: BTreeSet<Id> = BTreeSet::new();
    let (bar, tell) = (cx.ui.bar(), teller(cx));
    let mut others = None;
    loop {
        let missed = Missed::new(&*snapshot);
        let found = look(snapshot, &missed);
        let missing = missed.into_ids();
        let told = |found| told(cx, snapshot, &missing, found);
        let wanted: Vec<Id> = missing.difference(&asked).copied().collect();
        if wanted.is_empty() {
            return told(found);
        }
        if others.is_none() {
            others = Some(remotes(cx, repo, &bar, Cancel::new(), &tell)?);
        }
        match &others {
            Some(Some(remotes)) if remotes.fetch_objects(&wanted)? => {}
            _ => return told(found),
        }
        asked.extend(wanted);
        *snapshot = repo.store().snapshot_since(snapshot)?;
    }
}

/// What can't be had now, but is known to be elsewhere, can be had later: whoever misses it is told how.
fn told<T>(cx: &Context, snapshot: &Snapshot, missing: &BTreeSet<Id>, found: Result<T, Failure>) -> Result<T, Failure> {
    let names: BTreeSet<String> =
        missing.iter().take(64).flat_map(|id| snapshot.stays_at(id).unwrap_or_default()).collect();
    if names.is_empty() {
        return found;
    }
    let ways = names.iter().map(|name| format!("`prov fetch --content {name}`")).collect::<Vec<_>>().join(" or ");
    let hint = format!("some of it is not here but elsewhere: {ways} brings it once that can be reached");
    match found {
        Ok(found) => {
            cx.ui.hint(hint);
            Ok(found)
        }
        Err(failure) if failure.class == Class::Damaged => Err(failure.hint(hint)),
        Err(failure) => Err(failure),
    }
}

/// The contents that a revision means, with a name for each.
pub(crate) fn contents(seen: &Seen, target: &Target) -> Result<Vec<(String, Content, u64)>, Failure> {
    Ok(match target {
        Target::Run(at) | Target::Outputs(at) => {
            let run = seen.read_run(at)?;
            run.outputs.into_iter().map(|(key, output)| (key, output.content, output.size)).collect()
        }
        Target::Artifact(at, key) => {
            let run = seen.read_run(at)?;
            let found = Seen::artifact(&run, key);
            found.into_iter().map(|one| (one.key, one.content, one.size)).collect()
        }
        Target::Code(_, id) => vec![("@code".to_owned(), Content::Tree(*id), 0)],
        Target::ConfigFolder(_, name, content) => vec![(name.clone(), content.clone(), 0)],
        Target::Object(id, kind) if *kind == prov::object::Kind::BLOB => {
            vec![(id.to_string(), Content::Blob(*id), 0)]
        }
        Target::Object(id, kind) if *kind == prov::object::Kind::TREE => {
            vec![(id.to_string(), Content::Tree(*id), 0)]
        }
        Target::Config(..) | Target::Object(..) | Target::Path(_) => Vec::new(),
    })
}

/// Drops bytes that a remote has.
pub(crate) fn evict(cx: &Context, args: &EvictArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let now = cx.clock.now();
    let before =
        args.older_than.as_deref().map(|text| values::moment(text, now)).transpose().map_err(Failure::usage)?;
    let max_size = args.max_size.as_deref().map(values::size).transpose().map_err(Failure::usage)?;
    let is_chosen = args.all
        || before.is_some()
        || max_size.is_some()
        || args.keep_newest.is_some()
        || !args.scenarios.is_empty()
        || !args.steps.is_empty();
    if !is_chosen {
        return Err(Failure::usage("nothing says what may go")
            .hint("such as --older-than 90d, --max-size 20GiB, --step NAME, --keep-newest 3, or --all"));
    }
    let remote = sync::choose(&repo, args.remote.as_deref(), &cx.cwd)?;
    let (bar, cancel) = (cx.ui.bar(), Cancel::new());
    let options = EvictOptions {
        scenarios: args.scenarios.clone(),
        steps: args.steps.clone(),
        before,
        keep_newest: args.keep_newest,
        max_size,
        is_dry: args.dry_run,
        reads_content: args.verify,
        progress: &bar,
        cancel: &cancel,
    };
    let report = sync::evict(&repo, &remote, &super::sync::means(cx)?, &options)?;
    drop(bar);
    let goes = || report.items.iter().filter(|item| item.stays.is_none());
    let bytes: u64 = goes().map(|item| item.size).sum();
    if cx.ui.is_json() {
        let mut document = json::document("evict");
        document.insert("remote".to_owned(), json!(remote.name));
        document.insert("place".to_owned(), json!(report.place));
        document.insert("dry_run".to_owned(), json!(args.dry_run));
        document.insert("objects".to_owned(), json!(goes().count()));
        document.insert("bytes".to_owned(), json!(bytes));
        document.insert("freed".to_owned(), json!(report.done.bytes));
        let items = report.items.iter().map(|item| {
            json!({
                "id": item.id.to_string(), "size": item.size, "run": item.run,
                "result": if item.stays.is_none() { "evicted" } else { "kept" }, "why": item.stays.map(code),
            })
        });
        document.insert("items".to_owned(), items.collect::<Value>());
        cx.ui.document(document)?;
    } else {
        for why in [Stays::NotThere, Stays::NotKept, Stays::LeavesThere, Stays::Damaged] {
            let n = report.items.iter().filter(|item| item.stays == Some(why)).count();
            if n > 0 {
                cx.ui.say(format_args!("{} stay here: {}", human::count(n as u64, "content"), word(why)));
            }
        }
        let what = format!("{} ({})", human::count(goes().count() as u64, "content"), human::size(bytes));
        if args.dry_run {
            cx.ui.say(format_args!("would drop {what} that {} has", remote.name));
        } else {
            let freed = human::size(report.done.bytes.max(0).unsigned_abs());
            cx.ui.say(format_args!("dropped {what} that {} has; {freed} freed", remote.name));
        }
    }
    if report.items.iter().any(|item| item.stays.is_some()) && goes().next().is_none() {
        cx.ui.hint(format!("`prov push {}` sends what it lacks", remote.name));
    }
    Ok(Exit::Done)
}

fn code(stays: Stays) -> &'static str {
    match stays {
        Stays::NotThere => "not_there",
        Stays::NotKept => "not_kept",
        Stays::LeavesThere => "leaves_there",
        Stays::Damaged => "damaged",
    }
}

fn word(stays: Stays) -> &'static str {
    match stays {
        Stays::NotThere => "the remote does not have it",
        Stays::NotKept => "the remote has no record of a run that keeps it there",
        Stays::LeavesThere => "the remote itself is about to drop it, or has it from elsewhere",
        Stays::Damaged => "what the remote has is damaged",
    }
}

/// How much of some content a store has.
fn part(snapshot: &Snapshot, content: &Content) -> Result<&'static str, Failure> {
    use prov::object::Source;
    if is_whole(snapshot, content)? {
        return Ok("all");
    }
    Ok(if snapshot.header(&content.id())?.is_some() { "part" } else { "no" })
}

/// Says which stores hold some content.
pub(crate) fn whereabouts(cx: &Context, args: &WhereArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx)?;
    let target = seen.look(cx, &args.rev)?;
    let wanted = match &target {
        Target::Path(place) => {
            let session = prov::run::Session::new(&seen.repo, cx.cwd.clone());
            let captured = Seen::capture(&session, place)?;
            vec![(shown(args.rev.as_encoded_bytes()), captured.content, captured.size)]
        }
        target => contents(&seen, target)?,
    };
    if wanted.is_empty() {
        return Err(Failure::new(Class::NotFound, "no_content", "that names no content")
            .hint("name a run with outputs, an artifact, or an object"));
    }
    let means = super::sync::means(cx)?;
    let mut stores: Vec<(String, String, Result<Snapshot, Failure>)> = Vec::new();
    for (remote, _) in sync::list(&seen.repo)? {
        let far = sync::open(&remote.address, &open::world(cx), &means)
            .map_err(Failure::from)
            .and_then(|store| Ok(store.snapshot()?));
        stores.push((remote.name, sync::redacted(&remote.url), far));
    }
    let mut items = Vec::new();
    let mut is_anywhere = true;
    for (key, content, size) in &wanted {
        let here = part(&seen.snapshot, content)?;
        let mut lines = vec![("here".to_owned(), here.to_owned(), None)];
        for (name, place, far) in &stores {
            let has = match far {
                Ok(far) => part(far, content).unwrap_or("unknown"),
                Err(_) => "unknown",
            };
            let why = far.as_ref().err().map(|failure| failure.message.clone());
            lines.push((name.clone(), has.to_owned(), Some((place.clone(), why))));
        }
        is_anywhere &= lines.iter().any(|(_, has, _)| has == "all");
        let marked = seen.snapshot.is_elsewhere(&content.id()).map_err(Failure::from)?;
        items.push((key, content, size, lines, marked));
    }
    if cx.ui.is_json() {
        let mut document = json::document("where");
        let item = |(key, content, size, lines, marked): &(&String, &Content, &u64, Vec<Line>, bool)| {
            let stores: Vec<Value> = lines
                .iter()
                .map(|(name, has, at)| {
                    let (place, why) = at.clone().unzip();
                    json!({ "store": name, "has": has, "place": place, "why": why.flatten() })
                })
                .collect();
            json!({ "key": key, "id": content.id().to_string(), "type": content.type_name(), "size": size, "evicted": marked, "stores": stores })
        };
        document.insert("items".to_owned(), items.iter().map(item).collect::<Value>());
        cx.ui.document(document)?;
    } else {
        for (key, content, _, lines, _) in &items {
            cx.ui.line(format_args!("{}  {}", shown(key.as_str()), content.id().short()))?;
            for (name, has, at) in lines {
                let said = match has.as_str() {
                    "all" => "has it",
                    "part" => "has a part of it",
                    "no" => "has not got it",
                    _ => "can't be asked",
                };
                let why = at.as_ref().and_then(|(_, why)| why.as_ref()).map(|why| format!(": {why}"));
                cx.ui.line(format_args!("  {name:<12} {said}{}", why.unwrap_or_default()))?;
            }
        }
    }
    if is_anywhere {
        return Ok(Exit::Done);
    }
    Err(Failure::new(Class::Damaged, "missing", "nobody that could be asked has all of it")
        .hint("make it again with `prov run -f`, or look for another store that has it"))
}

type Line = (String, String, Option<(String, Option<String>)>);
