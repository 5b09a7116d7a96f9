//! `prov gc`.

use prov::maintain;
use prov::progress::Cancel;
use prov::repo::Repo;
use prov::store::collect::{Action, Collection, Item, Options, Plan};
use prov::sync::{self, Address};
use serde_json::{Value, json};

use super::Context;
use crate::args::GcArgs;
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::{human, json};

/// Room that must be left for packs to be written anew.
const ROOM: u64 = 64 << 20;

/// Takes out of the store what nothing leads to.
pub(crate) fn run(cx: &Context, args: &GcArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    if let Some(name) = &args.remote {
        return at_remote(cx, &repo, name, args);
    }
    let place = repo.store().backend().place();
    let free = prov::fs::space(place.as_ref()).map_or(u64::MAX, |space| space.free_bytes);
    let options = Options { may_write: free >= ROOM, orphans: args.orphans };
    let (bar, cancel) = (cx.ui.bar(), Cancel::new());
    let (plan, done) = if args.dry_run {
        (maintain::plan_gc(&repo, options, &bar, &cancel)?, None)
    } else {
        let (plan, done) = maintain::gc(&repo, options, &bar, &cancel)?;
        (plan, Some(done))
    };
    let shelf = repo.shelf();
    let (shared, bytes) = prov::worktree::restore::sweep_shelf(repo.fs(), &shelf, args.dry_run)
        .map_err(|err| Failure::from(prov::worktree::Error::Io { doing: "clear", path: shelf, source: err }))?;
    if shared > 0 {
        let verb = if args.dry_run { "would go" } else { "gone" };
        cx.ui.say(format_args!(
            "{} that nothing shares any more {verb}, {}",
            human::count(shared, "file"),
            human::size(bytes)
        ));
    }
    let stays = if options.may_write { MOSTLY_USED } else { "there is no room to write packs anew" };
    tell(cx, &plan, done.as_ref(), document(&plan, done.as_ref()), stays)
}

/// Why garbage stays.
const MOSTLY_USED: &str = "most of their packs is in use";

/// Takes out of the store of a remote what nothing leads to there.
fn at_remote(cx: &Context, repo: &Repo, name: &str, args: &GcArgs) -> Result<Exit, Failure> {
    let remote = sync::choose(repo, Some(name), &cx.cwd)?;
    if let (Address::Bucket(_), true) = (&remote.address, args.orphans) {
        let what = "files that no transaction names are not taken from a bucket";
        return Err(Failure::usage(what)
            .hint("a write that is late could bring one back while somebody removes it; without --orphans the rest is collected"));
    }
    let (world, means) = (open::world(cx), super::sync::means(cx)?);
    let at = |source| sync::Error::Remote { remote: sync::redacted(&remote.url), source: Box::new(source) };
    // Far away, packs go or stay as they are: nothing is fetched to be sent again.
    let may_write = match &remote.address {
        Address::Folder(path) => prov::fs::space(path).map_or(u64::MAX, |space| space.free_bytes) >= ROOM,
        _ => false,
    };
    let options = Options { may_write, orphans: args.orphans };
    let (bar, cancel) = (cx.ui.bar(), Cancel::new());
    let near = repo.store().snapshot()?;
    let (plan, done) = if args.dry_run {
        let store = sync::open(&remote.address, &world, &means)?;
        (maintain::plan_gc_of(&store, Some(&near), options, &bar, &cancel).map_err(at)?, None)
    } else {
        let store = sync::open_to_change(&remote.address, &world, &means)?;
        let (plan, done) = maintain::gc_of(&store, Some(&near), options, &bar, &cancel).map_err(at)?;
        (plan, Some(done))
    };
    drop(bar);
    let mut document = document(&plan, done.as_ref());
    document.insert("remote".to_owned(), json!(remote.name));
    let stays = if may_write { MOSTLY_USED } else { "packs there are not written anew" };
    tell(cx, &plan, done.as_ref(), document, stays)
}

/// Tells what was found and done, and why nothing was, if that is so. `stays` says why garbage stays.
fn tell(
    cx: &Context,
    plan: &Plan,
    done: Option<&Collection>,
    document: serde_json::Map<String, Value>,
    stays: &str,
) -> Result<Exit, Failure> {
    if cx.ui.is_json() {
        cx.ui.document(document)?;
    } else {
        for item in &plan.items {
            cx.ui.line(format_args!("{} {}: {}", word(item.action), file(item), reason(item)))?;
        }
        say(cx, plan, done, stays);
    }
    match plan.obstacles.len() {
        0 => Ok(Exit::Done),
        n => Err(Failure::new(
            Class::Damaged,
            "damaged",
            format!("nothing may be deleted: {} can't be read", human::count(n as u64, "thing")),
        )
        .hint("`prov fsck` names all that is damaged")),
    }
}

fn say(cx: &Context, plan: &Plan, done: Option<&Collection>, stays: &str) {
    for obstacle in &plan.obstacles {
        cx.ui.warn(format_args!("{obstacle}"));
    }
    let kept: u64 = plan.kept.iter().map(|usage| usage.dead_bytes).sum();
    if kept > 0 {
        cx.ui.say(format_args!("{} of garbage stay: {stays}", human::size(kept)));
    }
    match done {
        None => cx.ui.say(format_args!(
            "{} would go, {} of garbage; {} are in use",
            human::count(plan.items.len() as u64, "file"),
            human::size(garbage(plan)),
            human::count(plan.live_objects, "object"),
        )),
        Some(done) => cx.ui.say(format_args!(
            "{} gone with {}, {} freed; {} are in use",
            human::count(done.packs, "file"),
            human::count(done.objects, "object"),
            human::size(done.bytes.max(0).unsigned_abs()),
            human::count(plan.live_objects, "object"),
        )),
    }
}

fn garbage(plan: &Plan) -> u64 {
    plan.items
        .iter()
        .map(|item| if item.action == Action::Orphan { item.pack.file_bytes } else { item.pack.dead_bytes })
        .sum()
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Drop => "drop",
        Action::Rewrite => "rewrite",
        Action::Orphan => "orphan",
    }
}

fn file(item: &Item) -> String {
    format!("packs/{}.pack", item.pack.name)
}

fn reason(item: &Item) -> String {
    let pack = &item.pack;
    match item.action {
        Action::Drop => format!(
            "no run, scenario or staged path leads to any of its {} ({})",
            human::count(pack.objects, "object"),
            human::size(pack.bytes)
        ),
        Action::Rewrite => format!(
            "nothing leads to {} of its {} ({} of {})",
            pack.dead_objects,
            human::count(pack.objects, "object"),
            human::size(pack.dead_bytes),
            human::size(pack.bytes)
        ),
        Action::Orphan => format!("no transaction names it ({})", human::size(pack.file_bytes)),
    }
}

fn document(plan: &Plan, done: Option<&Collection>) -> serde_json::Map<String, Value> {
    let mut document = json::document("gc");
    let items = plan.items.iter().map(|item| {
        json!({
            "action": word(item.action),
            "file": file(item),
            "reason": reason(item),
            "objects": item.pack.dead_objects,
            "bytes": if item.action == Action::Orphan { item.pack.file_bytes } else { item.pack.dead_bytes },
        })
    });
    let objects: u64 = plan.items.iter().map(|item| item.pack.dead_objects).sum();
    document.insert("dry_run".to_owned(), done.is_none().into());
    document.insert("objects".to_owned(), done.map_or(objects, |done| done.objects).into());
    document.insert("bytes".to_owned(), done.map_or_else(|| garbage(plan).into(), |done| Value::from(done.bytes)));
    document.insert("items".to_owned(), items.collect());
    document.insert("live_objects".to_owned(), plan.live_objects.into());
    document.insert("obstacles".to_owned(), plan.obstacles.iter().map(|what| Value::from(what.as_str())).collect());
    document
}
