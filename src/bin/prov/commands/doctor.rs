//! `prov doctor`.

use std::io;
use std::path::PathBuf;

use prov::fs::{self, Probe, Space};
use prov::repo;
use serde_json::{Map, Value, json};

use super::Context;
use crate::args::DoctorArgs;
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{human, in_path, json, table};

/// Less free space than this is worth a word.
const LITTLE_SPACE: u64 = 1 << 30;
/// Fewer free files than this are worth a word.
const FEW_FILES: u64 = 10_000;
/// A file system's clock may differ from the machine's by this much.
const CLOCK_SKEW_MS: u64 = 2_000;
/// No clock is right that shows a time before this version existed: 2026-01-01.
const BUILT_AFTER_US: i64 = 1_767_225_600_000_000;

/// One fact.
struct Item {
    name: &'static str,
    value: Value,
    is_ok: bool,
    note: Option<String>,
}

impl Item {
    fn good(name: &'static str, value: impl Into<Value>) -> Self {
        Self { name, value: value.into(), is_ok: true, note: None }
    }

    /// A fact that is as it should be if `is_ok`, with a note for when it is not.
    fn checked(name: &'static str, value: impl Into<Value>, is_ok: bool, note: &str) -> Self {
        Self { name, value: value.into(), is_ok, note: (!is_ok).then(|| note.to_owned()) }
    }

    /// A fact that is fine either way, with a note on what its absence means.
    fn optional(name: &'static str, value: bool, note: &str) -> Self {
        Self { name, value: json!(value), is_ok: true, note: (!value).then(|| note.to_owned()) }
    }
}

/// Looks at the machine and at the folder that holds `.prov`, or would.
pub(crate) fn run(cx: &Context, _args: &DoctorArgs) -> Result<Exit, Failure> {
    let folder = folder(cx);
    let mut items = vec![
        Item::good("version", env!("CARGO_PKG_VERSION")),
        Item::good("folder", prov::path::show(&folder)),
        Item::good("cpus", std::thread::available_parallelism().map_or(1, usize::from)),
    ];
    match fs::space(&folder) {
        Ok(space) => space_items(&space, &mut items),
        Err(err) => items.push(Item::checked("file_system", Value::Null, false, &err.to_string())),
    }
    probe_items(fs::probe(&cx.fs, &folder), cx.clock.now().0, &mut items);
    items.push(git(cx));
    items.extend(project(cx));

    let is_well = items.iter().all(|item| item.is_ok);
    if cx.ui.is_json() {
        let mut document = json::document("doctor");
        document.insert("items".to_owned(), items.iter().map(to_json).collect());
        cx.ui.document(document)?;
    } else {
        let rows: Vec<_> = items.iter().map(to_row).collect();
        cx.ui.print(table::columns(&[], &rows))?;
    }
    Ok(if is_well { Exit::Done } else { Exit::No })
}

/// The project's `.prov`, else this folder, where it would be.
fn folder(cx: &Context) -> PathBuf {
    open::find(cx).map_or_else(|_| cx.cwd.clone(), |found| found.layout.dot().to_owned())
}

/// The project around this folder and its store, as far as they can be opened.
fn project(cx: &Context) -> Vec<Item> {
    let failed = |name, err: &dyn std::error::Error| Item::checked(name, Value::Null, false, &prov::run::chain(err));
    match open::untouched(cx) {
        Ok(repo) => {
            let mut items = vec![
                Item::good("project", shown(repo.project())),
                Item::good("store", shown(repo.store().backend().place())),
            ];
            match repo.store().snapshot() {
                Ok(snapshot) if snapshot.damage().is_empty() => items.push(Item::good("store_entries", snapshot.tip())),
                Ok(snapshot) => {
                    let note = "parts of it are damaged; `prov fsck` names them";
                    items.push(Item::checked("store_entries", snapshot.tip(), false, note));
                }
                Err(err) => items.push(failed("store_entries", &err)),
            }
            items
        }
        Err(repo::Error::NotFound { .. }) => {
            let mut item = Item::good("project", Value::Null);
            item.note = Some("there is none here; `prov init` makes one".to_owned());
            vec![item]
        }
        Err(err) => vec![failed("project", &err)],
    }
}

fn space_items(space: &Space, items: &mut Vec<Item>) {
    items.push(Item::good("file_system", space.kind.unwrap_or("unknown")));
    let mut network = Item::good("network", space.is_network);
    if space.is_network {
        network.note = Some("other machines may write here too; caches go to the user's cache folder".to_owned());
    }
    items.push(network);
    items.push(Item::checked(
        "read_only",
        space.is_read_only,
        !space.is_read_only,
        "hits work, nothing can be recorded",
    ));
    let is_enough = space.free_bytes >= LITTLE_SPACE;
    items.push(Item::checked("free_bytes", space.free_bytes, is_enough, "little space is left"));
    // File systems that make inodes as they go report none.
    let is_enough = space.total_files == 0 || space.free_files >= FEW_FILES;
    items.push(Item::checked("free_files", space.free_files, is_enough, "few more files can be created"));
}

fn probe_items(probe: io::Result<Probe>, now_us: i64, items: &mut Vec<Item>) {
    let probe = match probe {
        Ok(probe) => probe,
        Err(err) => {
            items.push(Item::checked("writable", false, false, &err.to_string()));
            return;
        }
    };
    items.push(Item::good("writable", true));
    let can_publish = probe.hard_links || probe.rename_no_replace;
    let needed = "neither hard links nor renames that refuse to replace: nothing can be recorded safely";
    items.push(Item::checked("hard_links", probe.hard_links, can_publish, needed));
    items.push(Item::checked("rename_no_replace", probe.rename_no_replace, can_publish, needed));
    items.push(Item::optional("symlinks", probe.symlinks, "folders that hold links can not be restored here"));
    items.push(Item::optional("reflinks", probe.reflinks, "files are copied byte by byte"));
    items.push(Item::optional("locks", probe.locks, "many writers at once will be slower, nothing else"));
    items.push(Item::optional(
        "case_sensitive",
        probe.case_sensitive,
        "names that differ only in case can not be restored here",
    ));
    let skew_ms = now_us.abs_diff(probe.written_ns / 1000) / 1000;
    items.push(Item::checked(
        "clock",
        prov::clock::Micros(now_us).rfc3339(),
        now_us >= BUILT_AFTER_US,
        "the clock is wrong",
    ));
    let note = "the file system's clock differs from this machine's";
    items.push(Item::checked("clock_skew_ms", skew_ms, skew_ms <= CLOCK_SKEW_MS, note));
}

fn git(cx: &Context) -> Item {
    match in_path(&cx.environment, "git") {
        Some(path) => Item::good("git", prov::path::show(&path)),
        None => Item {
            name: "git",
            value: Value::Null,
            is_ok: true,
            note: Some("prov reads Git repositories by itself and works without".to_owned()),
        },
    }
}

fn to_json(item: &Item) -> Value {
    let mut map = Map::new();
    map.insert("name".to_owned(), json!(item.name));
    map.insert("value".to_owned(), item.value.clone());
    map.insert("ok".to_owned(), json!(item.is_ok));
    map.insert("note".to_owned(), json!(item.note));
    Value::Object(map)
}

fn to_row(item: &Item) -> Vec<String> {
    let value = match &item.value {
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if item.name == "free_bytes" => human::size(number.as_u64().unwrap_or_default()),
        other => other.to_string(),
    };
    let name = match item.name {
        "free_bytes" => "free space".to_owned(),
        "clock_skew_ms" => "clock skew (ms)".to_owned(),
        other => other.replace('_', " "),
    };
    let mark = if item.is_ok { "ok" } else { "NO" };
    vec![mark.to_owned(), name, value, item.note.clone().unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe() -> Probe {
        Probe {
            hard_links: true,
            symlinks: true,
            reflinks: false,
            rename_no_replace: true,
            locks: true,
            case_sensitive: true,
            written_ns: 1_795_342_830_000_000_000,
        }
    }

    fn not_ok(probe: io::Result<Probe>, now_us: i64) -> Vec<&'static str> {
        let mut items = Vec::new();
        probe_items(probe, now_us, &mut items);
        items.iter().filter(|item| !item.is_ok).map(|item| item.name).collect()
    }

    #[test]
    fn only_what_prov_needs_is_a_fault() {
        let now = 1_795_342_830_000_000;
        assert!(not_ok(Ok(probe()), now).is_empty());
        assert!(not_ok(Ok(Probe { hard_links: false, locks: false, ..probe() }), now).is_empty());
        let bare = Probe { hard_links: false, rename_no_replace: false, ..probe() };
        assert_eq!(not_ok(Ok(bare), now), ["hard_links", "rename_no_replace"]);
        assert_eq!(not_ok(Err(io::ErrorKind::PermissionDenied.into()), now), ["writable"]);
    }

    #[test]
    fn a_clock_that_is_wrong_is_named() {
        assert_eq!(not_ok(Ok(probe()), 1_795_342_840_000_000), ["clock_skew_ms"]);
        assert_eq!(not_ok(Ok(Probe { written_ns: 0, ..probe() }), 0), ["clock"]);
    }
}
