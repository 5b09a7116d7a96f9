//! `prov ls-tree`.

use bstr::BString;
use prov::hash::Id;
use prov::object::recipe::Content;
use prov::object::tree::Entry;
use prov::object::{Kind, Source};
use prov::revspec::Target;
use prov::run::Session;
use serde_json::{Map, Value, json};

use super::Context;
use super::revision::Seen;
use crate::args::LsTreeArgs;
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::json;
use crate::output::record::shown;

/// Lists a recorded folder.
pub(crate) fn run(cx: &Context, args: &LsTreeArgs) -> Result<Exit, Failure> {
    let mut seen = Seen::open(cx)?;
    let named = shown(std::os::unix::ffi::OsStrExt::as_bytes(args.rev.as_os_str()));
    let root = root(cx, &seen, args, &named)?;
    let entries = super::elsewhere::answer(cx, &seen.repo, &mut seen.snapshot, &mut |_, source| {
        super::revision::entries(source, root, args.recursive)
    })?;
    if cx.ui.is_json() {
        let mut document = json::document("ls-tree");
        document.insert("id".to_owned(), json!(root.to_string()));
        document.insert("entries".to_owned(), entries_json(&entries));
        cx.ui.document(document)?;
    } else {
        cx.ui.page(&cx.environment);
        for (path, entry) in &entries {
            cx.ui.line(format_args!("{} {} {:>10}\t{}", entry.kind.name(), entry.id, entry.size, shown(path)))?;
        }
    }
    open::complete(&seen.snapshot)?;
    Ok(Exit::Done)
}

fn root(cx: &Context, seen: &Seen, args: &LsTreeArgs, named: &str) -> Result<Id, Failure> {
    let not_a_folder = || {
        Failure::usage(format!("`{named}` is not a folder")).hint("name a recorded folder: RUN:KEY, RUN:@code or an id")
    };
    let of = |content: &Content| match content {
        Content::Tree(id) => Ok(*id),
        Content::Blob(_) | Content::External(..) => Err(not_a_folder()),
    };
    match seen.look(cx, &args.rev)? {
        Target::Artifact(at, key) => {
            let run = seen.read_run(&at)?;
            let artifact = Seen::artifact(&run, &key).ok_or_else(not_a_folder)?;
            of(&artifact.content)
        }
        Target::Run(at) | Target::Outputs(at) => of(&Seen::only_output(&seen.read_run(&at)?)?.content),
        Target::Code(_, id) => Ok(id),
        Target::Object(id, kind) if kind == Kind::TREE => Ok(id),
        Target::ConfigFolder(_, _, Content::Tree(id)) => Ok(id),
        Target::Config(..) | Target::ConfigFolder(..) | Target::Object(..) => Err(not_a_folder()),
        Target::Path(place) => {
            let session = Session::new(&seen.repo, cx.cwd.clone());
            let id = of(&Seen::capture(&session, &place)?.content)?;
            if seen.snapshot.header(&id)?.is_none() {
                return Err(Failure::new(
                    Class::NotFound,
                    "not_found",
                    format!("what `{named}` holds now is not on record"),
                )
                .hint("record it with `prov commit`, or name what was recorded: RUN:KEY"));
            }
            Ok(id)
        }
    }
}

/// Entries as a document.
pub(crate) fn entries_json(entries: &[(BString, Entry)]) -> Value {
    entries
        .iter()
        .map(|(path, entry)| {
            let mut map = Map::new();
            json::put_bytes(&mut map, "path", path);
            map.insert("kind".to_owned(), json!(entry.kind.name()));
            map.insert("id".to_owned(), json!(entry.id.to_string()));
            map.insert("size".to_owned(), json!(entry.size));
            Value::Object(map)
        })
        .collect()
}
