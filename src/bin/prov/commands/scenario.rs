//! `prov scenario`: making, changing, listing and closing scenarios.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use prov::config::{self, Override};
use prov::object::config::Config;
use prov::object::{Kind, Record, id_of};
use prov::repo::Repo;
use prov::run::close::{self, Closing};
use prov::scenario::{self, Changes, Listed, NewOptions};
use prov::store::Snapshot;
use serde_json::{Map, Value, json};

use super::{Context, scenario_diff};
use crate::args::{
    RestoreWord, ScenarioArgs, ScenarioCommand, ScenarioForkArgs, ScenarioNewArgs, ScenarioSays, ScenarioSetArgs,
};
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{human, json, table};
use crate::settings;

/// Does what the words below `scenario` say.
pub(crate) fn run(cx: &Context, args: &ScenarioArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    let or_here = |name: &Option<String>| name.clone().unwrap_or_else(|| repo.scenario().to_owned());
    match &args.command {
        ScenarioCommand::New(args) => new(cx, &repo, args),
        ScenarioCommand::Fork(args) => fork(cx, &repo, args),
        ScenarioCommand::List => list(cx, &repo),
        ScenarioCommand::Switch { name, dry_run } => switch(cx, &repo, name, *dry_run),
        ScenarioCommand::Set(args) => set(cx, &repo, &or_here(&args.name), args),
        ScenarioCommand::Show { name } => show(cx, &repo, &or_here(name)),
        ScenarioCommand::Diff { a, b, exit_code } => scenario_diff::run(cx, &repo, a, &or_here(b), *exit_code),
        ScenarioCommand::Close { name, message, dry_run } => close(cx, &repo, &or_here(name), message, *dry_run),
        ScenarioCommand::Reopen { name } => reopen(cx, &repo, &or_here(name)),
        ScenarioCommand::Rename { name, to, any_case } => rename(cx, &repo, name, to, *any_case),
    }
}

/// What the words say, laid over what is said already.
fn said(cx: &Context, repo: &Repo, says: &ScenarioSays, mut options: NewOptions) -> Result<NewOptions, Failure> {
    if !says.config.is_empty() || !says.set.is_empty() {
        let files: Vec<PathBuf> = says.config.iter().map(|file| cx.cwd.join(file)).collect();
        let overrides = says.set.iter().map(|set| Override::parse(set)).collect::<Result<Vec<_>, _>>()?;
        let base = options.config.take().unwrap_or_else(|| prov::codec::Value::Map(Vec::new()));
        let config = config::resolve_over(repo.fs(), base, &files, &overrides)?;
        let is_set = !matches!(&config, prov::codec::Value::Map(entries) if entries.is_empty());
        options.config = is_set.then_some(config);
    }
    if let Some(message) = &says.message {
        options.description.clone_from(message);
    }
    let texts = |into: &mut BTreeSet<String>, given: &[String]| {
        if !given.is_empty() {
            *into = given.iter().cloned().collect();
        }
    };
    texts(&mut options.tags, &says.tag);
    texts(&mut options.run_tags, &says.run_tag);
    texts(&mut options.required, &says.require);
    for key in &options.required {
        prov::recipe::check_key(key)
            .map_err(|err| Failure::usage(format!("--require {key}")).because_of(Some(&err)))?;
    }
    if !says.run_facet.is_empty() {
        let facets = says.run_facet.iter().map(|word| settings::facet(word));
        options.run_facets = facets.collect::<Result<BTreeMap<_, _>, _>>()?;
    }
    if let Some(epoch) = says.epoch {
        options.epoch = epoch;
    }
    if let Some(word) = says.restore {
        let word = match word {
            RestoreWord::Outputs => "outputs",
            RestoreWord::Metadata => "metadata",
            RestoreWord::None => "none",
        };
        options.restore = Some(word.to_owned());
    }
    Ok(options)
}

fn new(cx: &Context, repo: &Repo, args: &ScenarioNewArgs) -> Result<Exit, Failure> {
    let options = said(cx, repo, &args.says, NewOptions { any_case: args.any_case, ..NewOptions::default() })?;
    make(cx, repo, &args.name, &options, !args.no_switch, args.dry_run)
}

fn fork(cx: &Context, repo: &Repo, args: &ScenarioForkArgs) -> Result<Exit, Failure> {
    let (base, name) = match &args.names[..] {
        [base, name] => (base.as_str(), name),
        [name] => (repo.scenario(), name),
        _ => return Err(Failure::usage("one or two names are meant")),
    };
    let base = scenario::forked(repo, &repo.store().snapshot()?, base)?;
    let options = said(cx, repo, &args.says, NewOptions { any_case: args.any_case, ..base })?;
    make(cx, repo, name, &options, !args.no_switch, args.dry_run)
}

fn make(
    cx: &Context,
    repo: &Repo,
    name: &str,
    options: &NewOptions,
    switches: bool,
    dry_run: bool,
) -> Result<Exit, Failure> {
    scenario::new(repo, name, options, dry_run)?;
    if switches && !dry_run {
        scenario::switch(repo, name)?;
    }
    let would = if dry_run { "would create" } else { "created" };
    let from = options.base.as_ref().map(|base| format!(" from {}", shown(base))).unwrap_or_default();
    let then = if switches { "; it is the current one" } else { "" };
    cx.ui.say(format_args!("{would} scenario {}{from}{then}", shown(name)));
    if options.config.is_some() && options.base.is_none() {
        cx.ui.say("runs take its config with --config @scenario");
    }
    warn_of_variable(cx, name, switches);
    if cx.ui.is_json() {
        let mut map = Map::new();
        map.insert("name".to_owned(), json!(name));
        map.insert("current".to_owned(), json!(switches && !dry_run));
        map.insert("description".to_owned(), json!(options.description));
        map.insert("runs".to_owned(), json!(0));
        map.insert("tags".to_owned(), json!(options.tags));
        map.insert("base".to_owned(), json!(options.base));
        map.insert("epoch".to_owned(), json!(options.epoch));
        map.insert("config".to_owned(), options.config.as_ref().map_or(json!({}), json::stored));
        document(cx, vec![Value::Object(map)])?;
    }
    Ok(Exit::Done)
}

/// What the environment says is stronger than what is switched to.
fn warn_of_variable(cx: &Context, name: &str, switches: bool) {
    if switches && cx.settings.scenario.as_deref().is_some_and(|said| said != name) {
        cx.ui.warn("PROV_SCENARIO names another scenario and is stronger");
    }
}

fn list(cx: &Context, repo: &Repo) -> Result<Exit, Failure> {
    let snapshot = repo.store().snapshot()?;
    let listed = scenario::list(repo, &snapshot)?;
    if cx.ui.is_json() {
        let items = listed.iter().map(|one| item(one, None)).collect();
        document(cx, items)?;
    } else {
        let rows: Vec<Vec<String>> = listed
            .iter()
            .map(|one| {
                let mark = if one.is_current { "*" } else { "" };
                let newest = one.newest.map_or_else(|| "no runs".to_owned(), |at| human::ago(at, cx.clock.now()));
                let mut about = one.settings.as_ref().map(|s| shown(&s.description)).unwrap_or_default();
                if one.settings.as_ref().is_some_and(|settings| settings.closed.is_some()) {
                    about.insert_str(0, if about.is_empty() { "(closed)" } else { "(closed) " });
                }
                vec![mark.to_owned(), shown(name_of(one)), human::count(one.runs, "run"), newest, about]
            })
            .collect();
        cx.ui.print(table::columns(&[], &rows))?;
    }
    Ok(Exit::Done)
}

/// The name that a scenario goes by.
fn name_of(one: &Listed) -> &str {
    one.settings.as_ref().and_then(|settings| settings.alias.as_deref()).unwrap_or(&one.name)
}

fn switch(cx: &Context, repo: &Repo, name: &str, dry_run: bool) -> Result<Exit, Failure> {
    let snapshot = repo.store().snapshot()?;
    let mut one = find(repo, &snapshot, name)?;
    if !dry_run {
        scenario::switch(repo, name)?;
    }
    let did = if dry_run { "would switch" } else { "switched" };
    cx.ui.say(format_args!("{did} to scenario {}", shown(name_of(&one))));
    if let Some(closed) = one.settings.as_ref().and_then(|settings| settings.closed.as_ref()) {
        cx.ui.say(format_args!("it was closed by run {}: nothing is recorded in it", shown(&closed.run)));
    }
    warn_of_variable(cx, name, true);
    if cx.ui.is_json() {
        one.is_current = !dry_run || one.is_current;
        document(cx, vec![item(&one, None)])?;
    }
    Ok(Exit::Done)
}

fn set(cx: &Context, repo: &Repo, name: &str, args: &ScenarioSetArgs) -> Result<Exit, Failure> {
    let says = &args.says;
    let is_said = says.message.is_some()
        || says.epoch.is_some()
        || says.restore.is_some()
        || [&says.tag, &says.set, &says.run_tag, &says.run_facet, &says.require].iter().any(|list| !list.is_empty())
        || !says.config.is_empty();
    if !is_said {
        return Err(Failure::usage("nothing is said of the scenario").hint("see `prov scenario set --help`"));
    }
    let wanted = said(cx, repo, says, NewOptions::default())?;
    let given_config = !says.config.is_empty() || !says.set.is_empty();
    let (before, after) =
        scenario::change(repo, name, "scenario set", &mut |_, settings| -> Result<Option<Changes>, scenario::Error> {
            let old = settings.clone();
            let mut changes = Changes::default();
            if says.message.is_some() {
                settings.description.clone_from(&wanted.description);
            }
            if given_config {
                settings.config = match &wanted.config {
                    None => None,
                    Some(value) => {
                        let record = |source| scenario::Error::Record { name: name.to_owned(), source };
                        let bytes = Config(value.clone()).encode().map_err(record)?;
                        let id = id_of(&Kind::CONFIG, &bytes);
                        changes.objects.push((Kind::CONFIG, id, bytes));
                        Some(id)
                    }
                };
            }
            let texts = |into: &mut BTreeSet<String>, given: &[String], wanted: &BTreeSet<String>| {
                if !given.is_empty() {
                    into.clone_from(wanted);
                }
            };
            texts(&mut settings.tags, &says.tag, &wanted.tags);
            texts(&mut settings.run_tags, &says.run_tag, &wanted.run_tags);
            texts(&mut settings.required, &says.require, &wanted.required);
            if !says.run_facet.is_empty() {
                settings.run_facets.clone_from(&wanted.run_facets);
            }
            settings.epoch = says.epoch.unwrap_or(settings.epoch);
            if wanted.restore.is_some() {
                settings.restore.clone_from(&wanted.restore);
            }
            Ok((*settings != old).then_some(changes))
        })?;
    let name_shown = shown(after.current_name());
    if let Some(epoch) = says.epoch {
        cx.ui.say(if before.epoch == epoch {
            format!("scenario {name_shown} has epoch {epoch} already")
        } else {
            let before = before.epoch;
            format!("scenario {name_shown} has epoch {epoch} now; what was computed in epoch {before} is no hit in it")
        });
    }
    if before == after && says.epoch.is_none() {
        cx.ui.say(format_args!("scenario {name_shown} says so already"));
    }
    if cx.ui.is_json() {
        let snapshot = repo.store().snapshot()?;
        document(cx, vec![item(&find(repo, &snapshot, name)?, None)])?;
    }
    Ok(Exit::Done)
}

fn show(cx: &Context, repo: &Repo, name: &str) -> Result<Exit, Failure> {
    let snapshot = repo.store().snapshot()?;
    let one = find(repo, &snapshot, name)?;
    let config = scenario::config(&snapshot, repo.project(), name)?;
    if cx.ui.is_json() {
        document(cx, vec![item(&one, Some(&config))])?;
        return Ok(Exit::Done);
    }
    let mut rows = vec![
        vec!["name".to_owned(), shown(name_of(&one))],
        vec!["current".to_owned(), if one.is_current { "yes" } else { "no" }.to_owned()],
        vec!["runs".to_owned(), one.runs.to_string()],
    ];
    let mut row = |name: &str, text: String| rows.push(vec![name.to_owned(), text]);
    if let Some(at) = one.newest {
        row("newest", human::time(at));
    }
    if let Some(settings) = &one.settings {
        let list = |items: &BTreeSet<String>| items.iter().map(shown).collect::<Vec<_>>().join(", ");
        row("created", human::time(settings.created_at));
        if settings.alias.is_some() {
            row("born as", shown(&settings.name));
        }
        if let Some(base) = &settings.base {
            row("base", shown(base));
        }
        if !settings.description.is_empty() {
            row("about", shown(&settings.description));
        }
        for (name, items) in
            [("tags", &settings.tags), ("run tags", &settings.run_tags), ("required", &settings.required)]
        {
            if !items.is_empty() {
                row(name, list(items));
            }
        }
        if !settings.run_facets.is_empty() {
            let facets =
                settings.run_facets.iter().map(|(key, value)| format!("{}={}", shown(key), config::to_json(value)));
            row("run facets", facets.collect::<Vec<_>>().join(", "));
        }
        if let Some(restore) = &settings.restore {
            row("restore", shown(restore));
        }
        if settings.epoch > 0 {
            row("epoch", settings.epoch.to_string());
        }
        if settings.config.is_some() {
            row("config", config::to_json(&config));
        }
        if let Some(closed) = &settings.closed {
            row("closed", format!("{} by {}", human::time(closed.at), shown(&closed.run)));
            row("seal", closed.object.to_string());
        }
    }
    cx.ui.print(table::columns(&[], &rows))?;
    Ok(Exit::Done)
}

fn close(cx: &Context, repo: &Repo, name: &str, message: &str, dry_run: bool) -> Result<Exit, Failure> {
    let closing = close::close(repo, name, message, dry_run)?;
    let is_whole = closing.failed_steps.is_empty() && closing.missing.is_empty();
    for (step, run) in &closing.failed_steps {
        cx.ui.warn(format_args!("the newest run of step {} is no success: {}", shown(step), shown(run)));
    }
    for key in &closing.missing {
        cx.ui.warn(format_args!("no successful run has the required output {}", shown(key)));
    }
    let did = if dry_run { "would close" } else { "closed" };
    let runs = human::count(closing.runs, "run");
    let seal = closing.object.short();
    cx.ui.say(if dry_run {
        format!("{did} scenario {} with {runs}", shown(name))
    } else {
        format!("{did} scenario {} with {runs}; its seal is {seal}", shown(name))
    });
    if cx.ui.is_json() {
        let snapshot = repo.store().snapshot()?;
        let mut map = match item(&find(repo, &snapshot, name)?, None) {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        map.insert("closing".to_owned(), closing_document(&closing, dry_run));
        document(cx, vec![Value::Object(map)])?;
    }
    Ok(if is_whole { Exit::Done } else { Exit::No })
}

fn closing_document(closing: &Closing, dry_run: bool) -> Value {
    let failed = closing.failed_steps.iter().map(|(step, run)| json!({"step": step, "run": run}));
    json!({
        "dry_run": dry_run,
        "run": closing.run.run,
        "object": closing.object.to_string(),
        "status": closing.run.status,
        "runs": closing.runs,
        "failed_steps": failed.collect::<Vec<_>>(),
        "missing": closing.missing,
    })
}

fn reopen(cx: &Context, repo: &Repo, name: &str) -> Result<Exit, Failure> {
    let closed = close::reopen(repo, name)?;
    cx.ui.say(format_args!("scenario {} is open again; run {} binds what it bound", shown(name), shown(&closed.run)));
    told(cx, repo, name)
}

fn rename(cx: &Context, repo: &Repo, name: &str, to: &str, any_case: bool) -> Result<Exit, Failure> {
    let (before, after) = scenario::rename(repo, name, to, any_case)?;
    let born = if after.name == to { String::new() } else { format!("; records call it {}", shown(&after.name)) };
    cx.ui.say(format_args!("scenario {} is {} now{born}", shown(before.current_name()), shown(to)));
    told(cx, repo, to)
}

fn told(cx: &Context, repo: &Repo, name: &str) -> Result<Exit, Failure> {
    if cx.ui.is_json() {
        let snapshot = repo.store().snapshot()?;
        document(cx, vec![item(&find(repo, &snapshot, name)?, None)])?;
    }
    Ok(Exit::Done)
}

fn find(repo: &Repo, snapshot: &Snapshot, name: &str) -> Result<Listed, Failure> {
    let mut listed = scenario::list(repo, snapshot)?;
    let born = scenario::born(snapshot, repo.project(), name)?;
    if let Some(at) = listed.iter().position(|one| one.name == born) {
        Ok(listed.swap_remove(at))
    } else {
        let known = listed.iter().map(|one| name_of(one).to_owned()).collect();
        Err(scenario::Error::NotFound { name: name.to_owned(), known }.into())
    }
}

fn item(one: &Listed, config: Option<&prov::codec::Value>) -> Value {
    let settings = one.settings.as_ref();
    let mut map = Map::new();
    map.insert("name".to_owned(), json!(name_of(one)));
    map.insert("born".to_owned(), json!(one.name));
    map.insert("current".to_owned(), json!(one.is_current));
    map.insert("description".to_owned(), json!(settings.map(|settings| &settings.description)));
    map.insert("runs".to_owned(), json!(one.runs));
    map.insert("newest_at".to_owned(), one.newest.map_or(Value::Null, json::time));
    map.insert("epoch".to_owned(), json!(settings.map_or(0, |settings| settings.epoch)));
    map.insert("created_at".to_owned(), settings.map_or(Value::Null, |settings| json::time(settings.created_at)));
    map.insert("tags".to_owned(), json!(settings.map(|settings| &settings.tags)));
    map.insert("base".to_owned(), json!(settings.and_then(|settings| settings.base.as_ref())));
    map.insert("restore".to_owned(), json!(settings.and_then(|settings| settings.restore.as_ref())));
    map.insert("run_tags".to_owned(), json!(settings.map(|settings| &settings.run_tags)));
    let facets = settings.into_iter().flat_map(|settings| &settings.run_facets);
    let facets: Map<String, Value> = facets.map(|(key, value)| (key.clone(), json::stored(value))).collect();
    map.insert("run_facets".to_owned(), Value::Object(facets));
    map.insert("required".to_owned(), json!(settings.map(|settings| &settings.required)));
    let closed = settings.and_then(|settings| settings.closed.as_ref());
    map.insert(
        "closed".to_owned(),
        closed.map_or(
            Value::Null,
            |closed| json!({"at": json::time(closed.at), "run": closed.run, "object": closed.object.to_string()}),
        ),
    );
    if let Some(config) = config {
        map.insert("config".to_owned(), json::stored(config));
    }
    Value::Object(map)
}

fn document(cx: &Context, items: Vec<Value>) -> Result<(), Failure> {
    let mut document = json::document("scenario");
    document.insert("items".to_owned(), Value::Array(items));
    cx.ui.document(document)
}
