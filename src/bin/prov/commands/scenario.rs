//! `prov scenario new`, `list`, `switch`, `show`.

use std::path::PathBuf;

use prov::config::{self, Override};
use prov::repo::Repo;
use prov::scenario::{self, Listed, NewOptions};
use prov::store::Snapshot;
use serde_json::{Map, Value, json};

use super::Context;
use crate::args::{ScenarioArgs, ScenarioCommand, ScenarioNewArgs};
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::{human, json, record, table};

/// Does what the words below `scenario` say.
pub(crate) fn run(cx: &Context, args: &ScenarioArgs) -> Result<Exit, Failure> {
    let repo = open::repo(cx)?;
    match &args.command {
        ScenarioCommand::New(args) => new(cx, &repo, args),
        ScenarioCommand::List => list(cx, &repo),
        ScenarioCommand::Switch { name, dry_run } => switch(cx, &repo, name, *dry_run),
        ScenarioCommand::Set { name, epoch } => set(cx, &repo, name.as_deref().unwrap_or(repo.scenario()), *epoch),
        ScenarioCommand::Show { name } => show(cx, &repo, name.as_deref().unwrap_or(repo.scenario())),
    }
}

fn new(cx: &Context, repo: &Repo, args: &ScenarioNewArgs) -> Result<Exit, Failure> {
    let files: Vec<PathBuf> = args.config.iter().map(|file| cx.cwd.join(file)).collect();
    let overrides = args.set.iter().map(|set| Override::parse(set)).collect::<Result<Vec<_>, _>>()?;
    let config = config::resolve(repo.fs(), &files, &overrides)?;
    let is_set = !matches!(&config, prov::codec::Value::Map(entries) if entries.is_empty());
    let options = NewOptions {
        description: args.message.clone().unwrap_or_default(),
        tags: args.tag.iter().cloned().collect(),
        base: None,
        config: is_set.then_some(config),
        epoch: args.epoch,
    };
    if args.dry_run {
        scenario::check_name(&args.name)?;
        if scenario::exists(&repo.store().snapshot()?, repo.project(), &args.name)? {
            return Err(scenario::Error::Exists { name: args.name.clone() }.into());
        }
    } else {
        scenario::new(repo, &args.name, &options)?;
        if !args.no_switch {
            scenario::switch(repo, &args.name)?;
        }
    }
    let would = if args.dry_run { "would create" } else { "created" };
    let then = if args.no_switch { "" } else { "; it is the current one" };
    cx.ui.say(format_args!("{would} scenario {}{then}", record::shown(&args.name)));
    warn_of_variable(cx, &args.name, !args.no_switch);
    if cx.ui.is_json() {
        let mut map = Map::new();
        map.insert("name".to_owned(), json!(args.name));
        map.insert("current".to_owned(), json!(!args.no_switch && !args.dry_run));
        map.insert("description".to_owned(), json!(options.description));
        map.insert("runs".to_owned(), json!(0));
        map.insert("tags".to_owned(), json!(options.tags));
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
                let about = one.settings.as_ref().map(|s| record::shown(&s.description)).unwrap_or_default();
                vec![mark.to_owned(), record::shown(&one.name), human::count(one.runs, "run"), newest, about]
            })
            .collect();
        cx.ui.print(table::columns(&[], &rows))?;
    }
    Ok(Exit::Done)
}

fn switch(cx: &Context, repo: &Repo, name: &str, dry_run: bool) -> Result<Exit, Failure> {
    let snapshot = repo.store().snapshot()?;
    if dry_run {
        find(repo, &snapshot, name)?;
    } else {
        scenario::switch(repo, name)?;
    }
    let did = if dry_run { "would switch" } else { "switched" };
    cx.ui.say(format_args!("{did} to scenario {}", record::shown(name)));
    warn_of_variable(cx, name, true);
    if cx.ui.is_json() {
        let mut one = find(repo, &snapshot, name)?;
        one.is_current = !dry_run || one.is_current;
        document(cx, vec![item(&one, None)])?;
    }
    Ok(Exit::Done)
}

fn set(cx: &Context, repo: &Repo, name: &str, epoch: u64) -> Result<Exit, Failure> {
    let before = scenario::set_epoch(repo, name, epoch)?;
    let name_shown = record::shown(name);
    cx.ui.say(if before == epoch {
        format!("scenario {name_shown} has epoch {epoch} already")
    } else {
        format!("scenario {name_shown} has epoch {epoch} now; what was computed in epoch {before} is no hit in it")
    });
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
        vec!["name".to_owned(), record::shown(&one.name)],
        vec!["current".to_owned(), if one.is_current { "yes" } else { "no" }.to_owned()],
        vec!["runs".to_owned(), one.runs.to_string()],
    ];
    if let Some(at) = one.newest {
        rows.push(vec!["newest".to_owned(), human::time(at)]);
    }
    if let Some(settings) = &one.settings {
        rows.push(vec!["created".to_owned(), human::time(settings.created_at)]);
        if !settings.description.is_empty() {
            rows.push(vec!["about".to_owned(), record::shown(&settings.description)]);
        }
        if !settings.tags.is_empty() {
            let tags: Vec<String> = settings.tags.iter().map(record::shown).collect();
            rows.push(vec!["tags".to_owned(), tags.join(", ")]);
        }
        if settings.epoch > 0 {
            rows.push(vec!["epoch".to_owned(), settings.epoch.to_string()]);
        }
        if settings.config.is_some() {
            rows.push(vec!["config".to_owned(), prov::config::to_json(&config)]);
        }
    }
    cx.ui.print(table::columns(&[], &rows))?;
    Ok(Exit::Done)
}

fn find(repo: &Repo, snapshot: &Snapshot, name: &str) -> Result<Listed, Failure> {
    let mut listed = scenario::list(repo, snapshot)?;
    if let Some(at) = listed.iter().position(|one| one.name == name) {
        Ok(listed.swap_remove(at))
    } else {
        let known = listed.into_iter().map(|one| one.name).collect();
        Err(scenario::Error::NotFound { name: name.to_owned(), known }.into())
    }
}

fn item(one: &Listed, config: Option<&prov::codec::Value>) -> Value {
    let settings = one.settings.as_ref();
    let mut map = Map::new();
    map.insert("name".to_owned(), json!(one.name));
    map.insert("current".to_owned(), json!(one.is_current));
    map.insert("description".to_owned(), json!(settings.map(|settings| &settings.description)));
    map.insert("runs".to_owned(), json!(one.runs));
    map.insert("newest_at".to_owned(), one.newest.map_or(Value::Null, json::time));
    map.insert("epoch".to_owned(), json!(settings.map_or(0, |settings| settings.epoch)));
    map.insert("created_at".to_owned(), settings.map_or(Value::Null, |settings| json::time(settings.created_at)));
    map.insert("tags".to_owned(), json!(settings.map(|settings| &settings.tags)));
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
