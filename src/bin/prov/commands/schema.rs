//! `prov schema`, `prov preview`: what stands in tables, by the content of files.

use std::ffi::OsStr;

use prov::interchange::loom;
use prov::object::recipe::Content;
use prov::query::content::{self, Drift, Named};
use prov::revspec::Target;
use prov::run::Session;
use prov::tabular::emit::{Language, emit};
use prov::tabular::{Column, Head, Profile, Sampled, Value as TableValue, schema_id};
use serde_json::{Map, Value, json};

use super::Context;
use super::elsewhere::answer;
use super::revision::Seen;
use crate::args::{LanguageWord, PreviewArgs, SchemaArgs, SchemaCommand};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{human, json as documents, table};

/// A file that is a table by its name.
struct Table {
    /// How to call it.
    label: String,
    path: Vec<u8>,
    id: prov::hash::Id,
    size: u64,
}

impl Table {
    fn named(&self) -> Named<'_> {
        Named { id: self.id, path: &self.path, size: self.size }
    }

    /// What a table of these rows is called: the file's name up to its first dot.
    fn name(&self) -> String {
        let name = self.path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        let name = name.split(|b| *b == b'.').next().unwrap_or_default();
        let name = shown(name);
        if name.is_empty() { "table".to_owned() } else { name }
    }
}

/// Tables that a revision names, and what it names besides.
struct Tables {
    tables: Vec<Table>,
    others: Vec<String>,
}

/// Shows, writes and compares schemas.
pub(crate) fn run(cx: &Context, args: &SchemaArgs) -> Result<Exit, Failure> {
    match &args.command {
        SchemaCommand::Show { name, sample } => match name.to_str() {
            Some(text) if text.starts_with("loom:") => own(cx, text),
            _ => show(cx, name, *sample),
        },
        SchemaCommand::Export { rev, language, name, sample } => export(cx, rev, *language, name.as_deref(), *sample),
        SchemaCommand::Diff { a, b, sample, exit_code } => diff(cx, a, b.as_deref(), *sample, *exit_code),
    }
}

fn sampled(n: u64) -> Sampled {
    if n == 0 { Sampled::All } else { Sampled::First(n) }
}

/// Shows what a table that prov writes looks like.
fn own(cx: &Context, name: &str) -> Result<Exit, Failure> {
    let Some(found) = name.strip_prefix("loom:").and_then(loom::table) else {
        let known: Vec<String> = loom::TABLES.iter().map(|table| format!("loom:{}", table.name)).collect();
        let failure = Failure::new(Class::NotFound, "not_found", format!("no schema is called `{}`", shown(name)));
        return Err(failure.candidates(known).hint("these are known"));
    };
    let word = |is_nullable: bool| if is_nullable { "OPTIONAL" } else { "REQUIRED" };
    if cx.ui.is_json() {
        let mut document = documents::document("schema");
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

/// The tables that a revision names: an artifact, all outputs of a run, a file of the work tree.
fn tables(cx: &Context, seen: &Seen, rev: &OsStr) -> Result<Tables, Failure> {
    let mut found = Tables { tables: Vec::new(), others: Vec::new() };
    let mut add = |label: String, path: &[u8], content: &Content, size: u64| match content {
        Content::Blob(id) if prov::tabular::Form::of_name(path).is_some() => {
            found.tables.push(Table { label, path: path.to_vec(), id: *id, size });
        }
        _ => found.others.push(label),
    };
    let target = match seen.target(cx, rev) {
        Ok(target) => Some(target),
        Err(failure) => {
            let made = seen.made_at(cx, rev, failure)?;
            if made.is_whole {
                Some(Target::Artifact(made.at, made.key))
            } else {
                // One file of a folder has its name from its place alone.
                let output = made.output;
                add(shown(&output.path), &output.path, &output.content, output.size);
                None
            }
        }
    };
    match target {
        None => {}
        Some(Target::Run(at) | Target::Outputs(at)) => {
            let run = seen.read_run(&at)?;
            for (key, output) in &run.outputs {
                let label = format!("{}:{}", run.tail(), shown(key));
                if output.members.is_empty() {
                    add(label.clone(), &output.path, &output.content, output.size);
                }
                for (member, file) in &output.members {
                    add(format!("{label}/{}", shown(member)), member, &Content::Blob(file.id), file.size);
                }
            }
        }
        Some(Target::Artifact(at, key)) => {
            let run = seen.read_run(&at)?;
            let label = format!("{}:{}", run.tail(), shown(&key));
            if let Some(output) = run.outputs.get(&key).filter(|output| !output.members.is_empty()) {
                for (member, file) in &output.members {
                    add(format!("{label}/{}", shown(member)), member, &Content::Blob(file.id), file.size);
                }
            } else if let Some(artifact) = Seen::artifact(&run, &key) {
                add(label, &artifact.path, &artifact.content, artifact.size);
            }
        }
        Some(Target::Path(place)) => {
            let bar = cx.ui.bar();
            let session = Session::with_progress(&seen.repo, cx.cwd.clone(), &bar);
            let captured = Seen::capture(&session, &place)?;
            session.save();
            let path = seen.repo.recorded_path(&place);
            add(shown(&path), &path, &captured.content, captured.size);
        }
        Some(Target::Object(id, _)) => {
            // What an id is called is told by whoever made or took it.
            let matches = prov::query::id_matches(&seen.snapshot, &id)?;
            let size = super::describe::size_of(&seen.snapshot, &id)?;
            match matches.first() {
                Some(first) => add(id.short(), &first.path, &Content::Blob(id), size),
                None => found.others.push(id.short()),
            }
        }
        Some(_) => found.others.push(shown(rev.as_encoded_bytes())),
    }
    if found.tables.is_empty() {
        let what = format!("`{}` is no table", shown(rev.as_encoded_bytes()));
        return Err(Failure::usage(what)
            .candidates(found.others)
            .hint("tables are told by their names: .csv, .tsv, .jsonl, each also with .gz, and .parquet"));
    }
    Ok(found)
}

/// One table, by its revision.
fn one(cx: &Context, seen: &Seen, rev: &OsStr) -> Result<Table, Failure> {
    let mut found = tables(cx, seen, rev)?.tables;
    if found.len() > 1 {
        let what = format!("`{}` has more than one table", shown(rev.as_encoded_bytes()));
        return Err(Failure::new(Class::NotFound, "ambiguous", what)
            .candidates(found.into_iter().map(|table| table.label))
            .hint("name one of them"));
    }
    found.pop().ok_or_else(|| Failure::usage("there is no table"))
}

/// Where the bytes of a table are not in the store and lie in the work tree, they are read there.
fn profile_of(cx: &Context, seen: &mut Seen, table: &Table, sample: u64) -> Result<Profile, Failure> {
    if let Some(mut file) = on_disk(cx, seen, table)? {
        let (form, packed) = table.named().form()?;
        return Ok(prov::tabular::profile(form, &mut file, packed, sampled(sample)).map_err(|what| bad(table, what))?);
    }
    let repo = &seen.repo;
    answer(cx, repo, &mut seen.snapshot, &mut |_, source| {
        Ok(content::profile(repo, source, &table.named(), sampled(sample))?)
    })
}

fn bad(table: &Table, what: String) -> prov::query::Error {
    prov::query::Error::BadTable { path: shown(&table.path), what }
}

/// The file of a table that the store has not, if it still lies where it was, with the same bytes.
fn on_disk(cx: &Context, seen: &Seen, table: &Table) -> Result<Option<std::fs::File>, Failure> {
    use std::io::Seek as _;
    if prov::run::hydrate::is_whole(&seen.snapshot, &Content::Blob(table.id))? {
        return Ok(None);
    }
    let path = seen.repo.root().join(prov::path::from_bytes(&table.path));
    let Ok(mut file) = cx.fs.open(&path) else { return Ok(None) };
    let is_it = prov::hash::blob_from(&mut file).is_ok_and(|(id, _)| id == table.id);
    Ok((is_it && file.rewind().is_ok()).then_some(file))
}

fn in_json(value: Option<&TableValue>) -> Value {
    match value {
        None | Some(TableValue::Null) => Value::Null,
        Some(TableValue::Bool(b)) => json!(b),
        Some(TableValue::Int(n)) => json!(n),
        Some(TableValue::Float(n)) => json!(n),
        Some(TableValue::Text(text)) => json!(text),
    }
}

fn column_json(column: &Column) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("name".to_owned(), json!(column.name));
    map.insert("type".to_owned(), json!(column.kind));
    map.insert("nullable".to_owned(), json!(column.is_nullable));
    map
}

fn table_json(table: &Table, found: &Result<Profile, Failure>) -> Value {
    let mut map = Map::new();
    map.insert("table".to_owned(), json!(table.label));
    documents::put_bytes(&mut map, "path", &table.path);
    map.insert("id".to_owned(), json!(table.id.to_string()));
    match found {
        Ok(profile) => {
            map.insert("schema_id".to_owned(), json!(schema_id(&profile.schema()).to_string()));
            map.insert("format".to_owned(), json!(profile.form.as_str()));
            map.insert("rows".to_owned(), json!(profile.rows));
            map.insert("sampled".to_owned(), json!(profile.sampled));
            let column = |(column, stats): &(Column, prov::tabular::Stats)| {
                let mut map = column_json(column);
                map.insert("nulls".to_owned(), json!(stats.nulls));
                map.insert("distinct".to_owned(), json!(stats.distinct));
                map.insert("min".to_owned(), in_json(stats.min.as_ref()));
                map.insert("max".to_owned(), in_json(stats.max.as_ref()));
                map.insert("mean".to_owned(), json!(stats.mean));
                Value::Object(map)
            };
            map.insert("columns".to_owned(), profile.columns.iter().map(column).collect());
        }
        Err(failure) => {
            map.insert("problem".to_owned(), json!(failure.message));
        }
    }
    Value::Object(map)
}

fn show(cx: &Context, rev: &OsStr, sample: u64) -> Result<Exit, Failure> {
    let mut seen = Seen::open(cx)?;
    let found = tables(cx, &seen, rev)?;
    let profiles: Vec<(&Table, Result<Profile, Failure>)> =
        found.tables.iter().map(|table| (table, profile_of(cx, &mut seen, table, sample))).collect();
    if cx.ui.is_json() {
        let mut document = documents::document("schema");
        document.insert("tables".to_owned(), profiles.iter().map(|(table, found)| table_json(table, found)).collect());
        cx.ui.document(document)?;
    } else {
        cx.ui.page(&cx.environment);
        for (n, (table, profile)) in profiles.iter().enumerate() {
            let gap = if n > 0 { "\n" } else { "" };
            if let Ok(profile) = profile {
                cx.ui.line(format_args!("{gap}{}", headline(cx, table, profile)))?;
                cx.ui.print(table_text(profile))?;
            }
        }
    }
    ended(&seen, profiles.into_iter().filter_map(|(_, found)| found.err()).collect())
}

fn headline(cx: &Context, table: &Table, profile: &Profile) -> String {
    let painter = cx.ui.painter();
    let rows = profile.rows.map_or_else(|| "? rows".to_owned(), |rows| human::count(rows, "row"));
    let seen = match profile.rows {
        Some(rows) if profile.sampled < rows => format!(", the first {} looked at", profile.sampled),
        _ => String::new(),
    };
    let id = schema_id(&profile.schema()).short();
    format!(
        "{}  {}  {}, {rows}{seen}; schema {}",
        painter.strong(&table.label),
        shown(&table.path),
        profile.form.as_str(),
        painter.dim(id)
    )
}

fn table_text(profile: &Profile) -> String {
    let value = |value: &Option<TableValue>| {
        value
            .as_ref()
            .map_or_else(|| "-".to_owned(), |value| shown(value.to_text().chars().take(32).collect::<String>()))
    };
    let rows: Vec<Vec<String>> = profile
        .columns
        .iter()
        .map(|(column, stats)| {
            vec![
                shown(&column.name),
                column.kind.clone(),
                if column.is_nullable { format!("{} missing", stats.nulls) } else { String::new() },
                stats.distinct.map_or_else(String::new, |n| if n >= 1000 { "1000+".to_owned() } else { n.to_string() }),
                value(&stats.min),
                value(&stats.max),
                stats.mean.map_or_else(String::new, |mean| format!("{mean:.6}")),
            ]
        })
        .collect();
    table::columns(&["column", "type", "", "distinct", "least", "greatest", "mean"], &rows)
}

/// Ends a command over several tables: those that can't be read are named.
fn ended(seen: &Seen, mut failures: Vec<Failure>) -> Result<Exit, Failure> {
    open::complete(&seen.snapshot)?;
    match failures.len() {
        0 => Ok(Exit::Done),
        1 => Err(failures.remove(0)),
        n => {
            let mut all = failures.remove(0);
            all.causes.extend(failures.into_iter().map(|failure| failure.message));
            all.message = format!("{n} tables can't be read: {}", all.message);
            Err(all)
        }
    }
}

fn export(cx: &Context, rev: &OsStr, language: LanguageWord, name: Option<&str>, sample: u64) -> Result<Exit, Failure> {
    let mut seen = Seen::open(cx)?;
    let table = one(cx, &seen, rev)?;
    let profile = profile_of(cx, &mut seen, &table, sample)?;
    let language = match language {
        LanguageWord::Json => Language::Json,
        LanguageWord::Sql => Language::Sql,
        LanguageWord::Python => Language::Python,
        LanguageWord::Rust => Language::Rust,
    };
    let own = table.name();
    cx.ui.print(emit(language, name.unwrap_or(&own), &profile.schema()))?;
    ended(&seen, Vec::new())
}

fn diff(cx: &Context, a: &OsStr, b: Option<&OsStr>, sample: u64, exit_code: bool) -> Result<Exit, Failure> {
    let mut seen = Seen::open(cx)?;
    let (before, after) = match b {
        Some(b) => (one(cx, &seen, a)?, one(cx, &seen, b)?),
        None => {
            // The same output of the run before.
            let text = a.to_str().and_then(|text| text.split_once(':'));
            let Some((run, key)) = text else {
                return Err(Failure::usage("with one revision, name an output: RUN:KEY")
                    .hint("it is compared with that of the run before; or name two"));
            };
            (one(cx, &seen, OsStr::new(&format!("{run}~1:{key}")))?, one(cx, &seen, a)?)
        }
    };
    let profiles = [&before, &after].map(|table| profile_of(cx, &mut seen, table, sample));
    let [Ok(old), Ok(new)] = profiles else {
        return ended(&seen, profiles.into_iter().filter_map(Result::err).collect());
    };
    let drift = content::drift(&old.schema(), &new.schema());
    if cx.ui.is_json() {
        let mut document = documents::document("schema");
        document.insert("a".to_owned(), json!(before.label));
        document.insert("b".to_owned(), json!(after.label));
        document.insert("equal".to_owned(), json!(drift.is_empty()));
        document.insert("rows".to_owned(), json!([old.rows, new.rows]));
        let side = |column: &Option<Column>| column.as_ref().map(column_json);
        let one =
            |drift: &Drift| json!({"column": drift.name, "before": side(&drift.before), "after": side(&drift.after)});
        document.insert("changes".to_owned(), drift.iter().map(one).collect());
        cx.ui.document(document)?;
    } else {
        let word =
            |column: &Column| format!("{}{}", column.kind, if column.is_nullable { ", may be missing" } else { "" });
        let painter = cx.ui.painter();
        for one in &drift {
            let name = shown(&one.name);
            cx.ui.line(match (&one.before, &one.after) {
                (None, Some(new)) => painter.good(format!("+ {name} {}", word(new))).to_string(),
                (Some(old), None) => painter.bad(format!("- {name} {}", word(old))).to_string(),
                (Some(old), Some(new)) => format!("~ {name} {} -> {}", word(old), word(new)),
                (None, None) => name,
            })?;
        }
        if drift.is_empty() {
            cx.ui.say("the schemas are equal");
        }
        if let (Some(old), Some(new)) = (old.rows, new.rows)
            && old != new
        {
            cx.ui.say(format_args!("rows: {old} -> {new}"));
        }
    }
    ended(&seen, Vec::new())?;
    Ok(if exit_code && !drift.is_empty() { Exit::No } else { Exit::Done })
}

/// As [`profile_of`], the first rows.
fn head_of(cx: &Context, seen: &mut Seen, table: &Table, rows: usize) -> Result<Head, Failure> {
    if let Some(mut file) = on_disk(cx, seen, table)? {
        let (form, packed) = table.named().form()?;
        return Ok(prov::tabular::head(form, &mut file, packed, rows).map_err(|what| bad(table, what))?);
    }
    let repo = &seen.repo;
    answer(cx, repo, &mut seen.snapshot, &mut |_, source| Ok(content::head(repo, source, &table.named(), rows)?))
}

/// Shows the first rows of tables, or the beginning of a text.
pub(crate) fn preview(cx: &Context, args: &PreviewArgs) -> Result<Exit, Failure> {
    let mut seen = Seen::open(cx)?;
    let found = tables(cx, &seen, &args.rev)?;
    let mut failures = Vec::new();
    let mut heads: Vec<(&Table, Head)> = Vec::new();
    for table in &found.tables {
        match head_of(cx, &mut seen, table, args.rows) {
            Ok(head) => heads.push((table, head)),
            Err(failure) => failures.push(failure),
        }
    }
    if cx.ui.is_json() {
        let mut document = documents::document("preview");
        let one = |(table, head): &(&Table, Head)| {
            let row = |row: &Vec<TableValue>| row.iter().map(|value| in_json(Some(value))).collect::<Value>();
            let mut map = Map::new();
            map.insert("table".to_owned(), json!(table.label));
            documents::put_bytes(&mut map, "path", &table.path);
            map.insert("id".to_owned(), json!(table.id.to_string()));
            map.insert("columns".to_owned(), json!(head.columns));
            map.insert("rows".to_owned(), head.rows.iter().map(row).collect());
            map.insert("more".to_owned(), json!(head.is_cut));
            Value::Object(map)
        };
        document.insert("tables".to_owned(), heads.iter().map(one).collect());
        cx.ui.document(document)?;
    } else {
        cx.ui.page(&cx.environment);
        let many = found.tables.len() > 1;
        for (n, (table, head)) in heads.iter().enumerate() {
            if many {
                let gap = if n > 0 { "\n" } else { "" };
                cx.ui.line(format_args!("{gap}{}", cx.ui.painter().strong(&table.label)))?;
            }
            let names: Vec<String> = head.columns.iter().map(shown).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let cell = |value: &TableValue| match value {
                TableValue::Null => "-".to_owned(),
                value => {
                    let text = value.to_text();
                    let short: String = text.chars().take(40).collect();
                    shown(if short.len() < text.len() { format!("{short}…") } else { short })
                }
            };
            let rows: Vec<Vec<String>> = head.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
            cx.ui.print(table::columns(&names, &rows))?;
            if head.is_cut {
                cx.ui.say(format_args!("there are more rows; -n shows more than {}", head.rows.len()));
            }
        }
    }
    ended(&seen, failures)
}
