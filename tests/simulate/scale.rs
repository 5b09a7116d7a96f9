//! Makes a store of many runs through the library, to measure questions with.

use std::path::Path;
use std::sync::Arc;

use prov::clock::Micros;
use prov::codec::Value;
use prov::object::config::Config;
use prov::object::recipe::{Content, Recipe};
use prov::object::run::{Cache, Input, LinkedBy, Output, Producer, Run, RunKind, Status};
use prov::object::{Kind, Record, Sink, id_of};
use prov::repo::{InitOptions, Places, Repo, World};
use prov::store::Draft;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs of one transaction, unless told otherwise.
pub(crate) const BATCH: u64 = 500;

/// Each of the first so many takes what the one before it made.
const CHAIN: u64 = 10_000;

/// The run before: its id, its object, what it made.
type Last = Option<(String, prov::hash::Id, Content)>;

/// Makes a project in `root` with `runs` runs, `each` of them in a transaction.
pub(crate) fn make(root: &Path, runs: u64, each: u64) -> Result<(), Failure> {
    drop(Repo::init(root, &InitOptions::default(), &Places::default(), World::real(None))?);
    let repo = Repo::open(root, &Places::default(), World::real(None))?;
    let mut last = None;
    for start in (0..runs).step_by(usize::try_from(each)?) {
        let made = (start..start.saturating_add(each).min(runs))
            .map(|n| one(n, repo.project(), &mut last))
            .collect::<Result<Vec<_>, _>>()?;
        repo.store().publish(repo.new_op(), "scale", &mut |snapshot| -> Result<Option<Draft>, prov::run::Error> {
            let intake = repo.store().intake(snapshot);
            let mut edits = Vec::new();
            for (run, objects) in &made {
                for (kind, bytes) in objects {
                    intake.put(kind, &id_of(kind, bytes), bytes)?;
                }
                let object = objects.last().map_or(prov::hash::Id::ZERO, |(kind, bytes)| id_of(kind, bytes));
                edits.extend(prov::run::record::edits_by_itself(run, object)?);
            }
            Ok(Some(Draft { collected: Some(Arc::new(intake.finish()?)), edits, ..Draft::default() }))
        })?;
    }
    Ok(())
}

/// The n-th run with its config, its recipe and itself.
fn one(n: u64, project: &str, last: &mut Last) -> Result<(Run, Vec<(Kind, Vec<u8>)>), Failure> {
    let step = ["fit", "score", "clean", "join"][usize::try_from(n % 4)?];
    let at = Micros(1_760_000_000_000_000 + i64::try_from(n)? * 1_000_000);
    let id = format!("{}-{step}-{:0>16}", at.compact(), base32(n));
    let config = Config(Value::Map(vec![
        ("alpha".to_owned(), Value::Float(f64::from(u32::try_from(n % 1000)?) / 1000.0)),
        ("model".to_owned(), Value::Map(vec![("depth".to_owned(), Value::Int((n % 7).into()))])),
    ]));
    let config_bytes = config.encode()?;
    let content = |what: &str| Content::Blob(prov::hash::blob(format!("{what}{n}").as_bytes()));
    let mut run = Run::begun(&id, project, ["main", "policy"][usize::try_from(n / 7 % 2)?], RunKind::Command, step, at);
    let raw = Input {
        path: "raw.csv".into(),
        size: 10,
        stored: false,
        content: Content::Blob(prov::hash::blob(b"raw")),
        producer: None,
    };
    run.inputs.insert("raw".to_owned(), raw);
    if let Some((producer, object, made)) = last.as_ref().filter(|_| n < CHAIN) {
        let producer = Producer {
            key: "out".to_owned(),
            run: producer.clone(),
            object: Some(*object),
            linked_by: LinkedBy::Path,
            candidates: Vec::new(),
        };
        let before = Input {
            path: format!("out/{}.csv", n - 1).into(),
            size: 10,
            stored: false,
            content: made.clone(),
            producer: Some(producer),
        };
        run.inputs.insert("before".to_owned(), before);
    }
    let out = Output {
        set: None,
        exec: false,
        meta: std::collections::BTreeMap::default(),
        path: format!("out/{n}.csv").into(),
        size: 10,
        facets: std::collections::BTreeMap::default(),
        format: Some("csv".to_owned()),
        schema: None,
        stored: false,
        content: content("out"),
        members: std::collections::BTreeMap::default(),
    };
    run.outputs.insert("out".to_owned(), out);
    run.facets.insert("n".to_owned(), Value::Int(n.into()));
    run.facets.insert("alpha".to_owned(), Value::Float(f64::from(u32::try_from(n % 1000)?) / 1000.0));
    run.facets.insert("kind".to_owned(), Value::Text(["lin", "tree"][usize::try_from(n % 2)?].to_owned()));
    run.metrics.insert("loss".to_owned(), Value::Float(1.0 / f64::from(u32::try_from(n + 1)?)));
    run.argv = vec!["python".into(), "fit.py".into(), format!("--n={n}").into()];
    run.status = Status::Success;
    run.sealed = true;
    run.cache = Cache::Miss { reasons: Vec::new() };
    run.finished_at = Micros(at.0 + 500_000);
    let mut recipe: Recipe = empty_recipe(step)?;
    recipe.config = Some(id_of(&Kind::CONFIG, &config_bytes));
    recipe.dims.insert("iteration".to_owned(), Value::Int(n.into()));
    let recipe_bytes = recipe.encode()?;
    run.recipe = Some(id_of(&Kind::RECIPE, &recipe_bytes));
    let bytes = run.encode()?;
    *last = Some((id, id_of(&Kind::RUN, &bytes), content("out")));
    Ok((run, vec![(Kind::CONFIG, config_bytes), (Kind::RECIPE, recipe_bytes), (Kind::RUN, bytes)]))
}

fn base32(n: u64) -> String {
    let letters = prov::object::run::BASE32;
    // Spread over the whole range, as real ones are.
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let digit = |nth: u32| letters.get(usize::from((n >> (5 * nth)).to_le_bytes()[0] % 32)).copied().unwrap_or(b'0');
    (0..12).rev().map(|nth| char::from(digit(nth))).collect()
}

/// A recipe that says as little as one can.
fn empty_recipe(step: &str) -> Result<Recipe, Failure> {
    let text = |text: &str| Value::Text(text.to_owned());
    let action = Value::Map(vec![("kind".to_owned(), text("command"))]);
    let value = Value::Map(vec![
        ("step".to_owned(), text(step)),
        ("rules".to_owned(), Value::Int(1)),
        ("action".to_owned(), action),
    ]);
    Ok(prov::codec::decode(&prov::codec::encode(&value)?, &prov::codec::Limits::RECORD)?)
}
