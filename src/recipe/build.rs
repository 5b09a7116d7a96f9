//! Assembles a recipe from its parts.

use std::collections::BTreeMap;

use bstr::BString;

use super::key::{check_step, check_task};
use super::normalise::Normalised;
use super::{Error, key};
use crate::codec::Value;
use crate::hash::Id;
use crate::object::config::Config;
use crate::object::recipe::{Action, ActionKind, Code, Content, Epochs, RULES, Recipe};
use crate::object::{Kind, Record, id_of};
use crate::path::RelPath;

/// Everything that determines the result of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts {
    /// The step's name.
    pub step: String,
    /// The words of the command and the output keys, as [`super::normalise`] gives them.
    pub command: Option<Normalised>,
    /// Whether it is done by a program between a start and a finish: then the words only describe it, and it is never the same as a
    /// command of these words.
    pub is_function: bool,
    /// What makes it a task of a pipeline; its step is then the step and the task, whatever its name.
    pub task: Option<Task>,
    /// The working folder, relative to the project.
    pub cwd: RelPath,
    /// What the command reads from its standard input; `None` if that is empty.
    pub stdin: Option<Content>,
    /// The code that takes part.
    pub code: Code,
    /// The configuration; an empty map is the same as none.
    pub config: Option<Value>,
    /// Inputs by key.
    pub inputs: BTreeMap<String, Content>,
    /// Files that count but are not inputs, by label.
    pub identity: BTreeMap<String, Content>,
    /// Declared variables; `None` for one that is not set.
    pub env: BTreeMap<String, Option<BString>>,
    /// Versions of tools, as they print them.
    pub tools: BTreeMap<String, BString>,
    /// Digest of the container image.
    pub container: Option<String>,
    /// Year, iteration and other dimensions.
    pub dims: BTreeMap<String, Value>,
    /// The version that the step declares.
    pub version: u64,
    /// Declared epochs.
    pub epochs: Epochs,
}

/// What a task of a pipeline is beyond a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Task {
    /// What it is asked to do; `None` if it is a command.
    pub spec: Option<Value>,
}

/// A recipe, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The record.
    pub recipe: Recipe,
    /// Its id: the cache key.
    pub id: Id,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The config object that it refers to, encoded.
    pub config: Option<(Id, Vec<u8>)>,
}

impl Parts {
    /// Makes the recipe. Without a command it is one of a record made by hand.
    ///
    /// # Errors
    /// A step's name or a key that can't be used; a record above the limits of the format.
    pub fn build(self) -> Result<Built, Error> {
        match &self.task {
            None => check_step(&self.step)?,
            Some(_) => check_task(&self.step)?,
        }
        // What begins with `@` is a folder of configuration; a label of a user never does.
        let labels = self.identity.keys().map(|label| {
            label.strip_prefix("@=").or(label.strip_prefix("@+")).or(label.strip_prefix('@')).unwrap_or(label)
        });
        for name in self.inputs.keys().map(String::as_str).chain(labels).chain(self.dims.keys().map(String::as_str)) {
            key::check_key(name)?;
        }
        let config = match self.config {
            None | Some(Value::Null) => None,
            Some(Value::Map(entries)) if entries.is_empty() => None,
            Some(value) => {
                let bytes = Config(value).encode()?;
                Some((id_of(&Kind::CONFIG, &bytes), bytes))
            }
        };
        let kind = match &self.command {
            Some(_) if self.is_function => ActionKind::Function,
            Some(_) if self.task.as_ref().is_some_and(|task| task.spec.is_some()) => ActionKind::Task,
            Some(_) => ActionKind::Command,
            None => ActionKind::Manual,
        };
        let (argv, outputs, sets) = self.command.map(|c| (c.argv, c.outputs, c.sets)).unwrap_or_default();
        let mut dims = self.dims;
        dims.values_mut().for_each(Value::sort);
        let mut spec = self.task.and_then(|task| task.spec);
        spec.iter_mut().for_each(Value::sort);
        let recipe = Recipe {
            rules: RULES,
            step: self.step,
            action: Action { kind, argv, cwd: self.cwd.as_bytes().to_owned(), stdin: self.stdin, spec },
            code: self.code,
            config: config.as_ref().map(|(id, _)| *id),
            params: BTreeMap::new(),
            inputs: self.inputs,
            identity: self.identity,
            env: self.env,
            tools: self.tools,
            container: self.container,
            dims,
            outputs,
            sets,
            version: self.version,
            epochs: self.epochs,
        };
        let bytes = recipe.encode()?;
        Ok(Built { id: id_of(&Kind::RECIPE, &bytes), recipe, bytes, config })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;
    use crate::hash;
    use crate::recipe::{Declared, Role, normalise};

    pub(crate) fn blob(text: &str) -> Content {
        Content::Blob(hash::blob(text.as_bytes()))
    }

    /// A recipe with something in every part.
    pub(crate) fn full() -> Parts {
        Parts {
            step: "clean".into(),
            command: Some(Normalised {
                argv: vec!["python".into(), "clean.py".into(), "{input.raw}".into()],
                outputs: BTreeMap::from([("out".to_owned(), Some("work/out.csv".into()))]),
                sets: BTreeMap::new(),
            }),
            is_function: false,
            task: None,
            cwd: RelPath::new("sub").unwrap(),
            stdin: Some(blob("stdin")),
            code: Code { tree: Some(hash::blob(b"tree")), program: Some(("bin/x".into(), hash::blob(b"program"))) },
            config: Some(Value::Map(vec![("threshold".into(), Value::Float(0.7))])),
            inputs: BTreeMap::from([("raw".to_owned(), blob("raw")), ("more".to_owned(), blob("more"))]),
            identity: BTreeMap::from([("label".to_owned(), blob("identity"))]),
            env: BTreeMap::from([("OMP_NUM_THREADS".to_owned(), Some("4".into())), ("UNSET".to_owned(), None)]),
            tools: BTreeMap::from([("python".to_owned(), "3.12".into())]),
            container: Some("sha256:1".into()),
            dims: BTreeMap::from([("year".to_owned(), Value::Int(2030))]),
            version: 1,
            epochs: Epochs { project: 1, scenario: 2, step: 3 },
        }
    }

    #[test]
    fn the_bytes_read_back_as_the_record() {
        let built = full().build().unwrap();
        assert_eq!(Recipe::decode(&built.bytes).unwrap(), built.recipe);
        assert_eq!(Config::decode(&built.config.unwrap().1).unwrap().0.get("threshold"), Some(&Value::Float(0.7)));
    }

    #[test]
    fn swapped_contents_are_another_recipe() {
        let mut swapped = full();
        swapped.inputs = BTreeMap::from([("raw".to_owned(), blob("more")), ("more".to_owned(), blob("raw"))]);
        assert_ne!(swapped.build().unwrap().id, full().build().unwrap().id);
    }

    #[test]
    fn a_file_is_not_a_folder_and_not_something_external() {
        let id = hash::blob(b"x");
        let with = |content| {
            let mut parts = full();
            parts.inputs.insert("raw".into(), content);
            parts.build().unwrap().id
        };
        let ids = [with(Content::Blob(id)), with(Content::Tree(id)), with(Content::External("s3".into(), id))];
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    }

    #[test]
    fn empty_config_is_no_config() {
        let with = |config| Parts { config, ..full() }.build().unwrap().id;
        assert_eq!(with(None), with(Some(Value::Map(vec![]))));
        assert_ne!(with(None), full().build().unwrap().id);
    }

    #[test]
    fn what_must_not_change_the_id() {
        let id = full().build().unwrap().id;
        // The order in which things are given.
        let mut parts = full();
        parts.inputs = parts.inputs.into_iter().rev().collect();
        assert_eq!(parts.build().unwrap().id, id);
        let config = |entries: &[(&str, i128)]| {
            let map = Value::Map(entries.iter().map(|(k, v)| ((*k).to_owned(), Value::Int(*v))).collect());
            Parts { config: Some(map), ..full() }.build().unwrap().id
        };
        assert_eq!(config(&[("a", 1), ("b", 2)]), config(&[("b", 2), ("a", 1)]));
        let dims = |entries: &[(&str, i128)]| {
            let map = Value::Map(entries.iter().map(|(k, v)| ((*k).to_owned(), Value::Int(*v))).collect());
            Parts { dims: BTreeMap::from([("d".to_owned(), map)]), ..full() }.build().unwrap().id
        };
        assert_eq!(dims(&[("a", 1), ("bb", 2)]), dims(&[("bb", 2), ("a", 1)]));

        // Where the project lies, where inputs and named outputs lie, how a path is spelled.
        let at = |root: &str, raw: &str, out: &str, words: &[&str]| {
            let mut d = Declared::new(Path::new(root), Path::new(root));
            d.add(Role::Input, Some("raw"), raw.into()).unwrap();
            d.add(Role::Output, Some("out"), out.into()).unwrap();
            let words: Vec<BString> = words.iter().map(|w| BString::from(*w)).collect();
            Parts { command: Some(normalise(&words, &d).unwrap()), ..full() }.build().unwrap().id
        };
        let first = at("/p", "a/raw.csv", "out.csv", &["x", "a/raw.csv", "--o=out.csv", "/p/lib"]);
        assert_eq!(at("/q/r", "b/raw.tsv", "w/o", &["x", "./b/raw.tsv", "--o=/q/r/w/o", "lib"]), first);
        assert_eq!(at("/p", "/data/raw", "/tmp/o", &["x", "{input.raw}", "--o={output.out}", "lib"]), first);
    }

    #[test]
    fn bad_names_are_refused() {
        assert!(Parts { step: "a/b".into(), ..full() }.build().is_err());
        assert!(Parts { dims: BTreeMap::from([("a.b".to_owned(), Value::Null)]), ..full() }.build().is_err());
    }

    #[test]
    fn a_task_is_named_as_it_likes_and_its_spec_counts() {
        let task = |step: &str, spec: Option<Value>| {
            let parts = Parts { step: step.into(), task: Some(Task { spec }), ..full() };
            parts.build().map(|built| built.id)
        };
        let spec = |entries: &[(&str, i128)]| {
            Some(Value::Map(entries.iter().map(|(k, v)| ((*k).to_owned(), Value::Int(*v))).collect()))
        };
        let step = "evidence/copy https://x/y.csv: ~all*";
        assert_eq!(task(step, spec(&[("a", 1), ("b", 2)])).unwrap(), task(step, spec(&[("b", 2), ("a", 1)])).unwrap());
        assert_ne!(task(step, spec(&[("a", 1)])).unwrap(), task(step, spec(&[("a", 2)])).unwrap());
        assert_ne!(task(step, None).unwrap(), task(step, spec(&[])).unwrap());
        assert!(task("a\nb", None).is_err() && task("", None).is_err() && task(&"x".repeat(301), None).is_err());
        assert_eq!(task("clean", None).unwrap(), full().build().unwrap().id, "a command is a command");
    }

    #[test]
    fn a_golden_id_holds_the_format() {
        assert_eq!(
            full().build().unwrap().id.to_string(),
            "5f2474465351f2cec130252fda83532c9e37c0c2644eaf56e6865cbf10e3fa82"
        );
    }
}
