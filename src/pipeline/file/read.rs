//! From the text of a file to a [`Pipeline`] and everything that is wrong with it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::kept::Kept;
use super::model::{Flavour, Named, Pipeline, Spec, Step, TypeDeclaration, names};
use crate::codec::Value;
use crate::config::located::{Data, Dialect, Entry, Located, Node, Place};
use crate::config::{self, nearest};
use crate::fs::Fs;
use crate::pipeline::Error;
use crate::pipeline::finding::{Finding, Severity};
use crate::pipeline::task::settings;
use crate::pipeline::template::Scratchpad;

/// Options that a file may set, the same in both flavours.
pub(super) const OPTIONS: [&str; 4] = ["work_path", "release_uri", "pool_size", "log_level"];

const OTTER_TOP: &[&str] = &["work_path", "release_uri", "pool_size", "log_level", "scratchpad", "steps"];

const NATIVE_TOP: &[&str] = &[
    "prov",
    "runner",
    "work_path",
    "release_uri",
    "pool_size",
    "log_level",
    "scratchpad",
    "types",
    "task_path",
    "resources",
    "defaults",
    "steps",
];

const STEP_KEYS: &[&str] = &["description", "needs", "defaults", "tasks"];

/// Reads a pipeline file. `flavour` is told by the file itself if it is not given: it is native if it is called `prov.yaml` or `prov.yml`,
/// or says `prov: 1`. What a large one says is taken from `kept` if it has not changed.
///
/// # Errors
/// The file can't be read, or is no text.
pub fn read(
    fs: &Fs,
    file: &Path,
    flavour: Option<Flavour>,
    kept: Option<&Kept<'_>>,
) -> Result<(Pipeline, Vec<Finding>), Error> {
    let mut open = fs.open(file).map_err(|source| Error::Io { file: file.to_owned(), source })?;
    let bytes = crate::fs::read_some(&mut open, config::MAX_FILE as u64 + 1)
        .map_err(|source| Error::Io { file: file.to_owned(), source })?;
    understand(file, flavour, &bytes, &|dialect| match kept {
        Some(kept) => kept.locate(file, dialect, &bytes),
        None => config::locate(file, dialect, &bytes),
    })
}

/// Reads the bytes of a pipeline file; `file` gives its name.
///
/// # Errors
/// They are no text.
pub fn parse(file: &Path, flavour: Option<Flavour>, bytes: &[u8]) -> Result<(Pipeline, Vec<Finding>), Error> {
    understand(file, flavour, bytes, &|dialect| config::locate(file, dialect, bytes))
}

/// What has places, by the rules of a dialect.
type Locate<'a> = &'a dyn Fn(Dialect) -> Result<Located, config::Error>;

fn understand(
    file: &Path,
    flavour: Option<Flavour>,
    bytes: &[u8],
    locate: Locate<'_>,
) -> Result<(Pipeline, Vec<Finding>), Error> {
    let flavour = match flavour {
        Some(flavour) => flavour,
        None => flavour_of(file, bytes, locate)?,
    };
    let dialect = match flavour {
        Flavour::Otter => Dialect::Python,
        Flavour::Native => Dialect::Core,
    };
    let located = locate(dialect)?;
    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(located.problems.into_iter().map(|remark| Finding::of(Severity::Error, "yaml", remark)));
    findings.extend(located.doubts.into_iter().map(|remark| Finding::of(Severity::Warning, "duplicate-key", remark)));
    let mut pipeline = Pipeline {
        file: file.to_owned(),
        flavour,
        runner: None,
        options: BTreeMap::new(),
        scratchpad: Scratchpad::default(),
        types: BTreeMap::new(),
        task_path: Vec::new(),
        resources: BTreeMap::new(),
        steps: Vec::new(),
    };
    let mut reader = Reader { flavour, findings: &mut findings };
    match located.root {
        Some(root) if !root.is_null() => reader.top(&root, &mut pipeline),
        _ if reader.findings.is_empty() => {
            reader.findings.push(Finding::error("empty", "the file holds no pipeline").hint("it needs `steps`"));
        }
        _ => {}
    }
    Ok((pipeline, findings))
}

/// Tells whose rules a file follows: by its name, else by what it says of itself.
fn flavour_of(file: &Path, bytes: &[u8], locate: Locate<'_>) -> Result<Flavour, Error> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if matches!(name, "prov.yaml" | "prov.yml") || name.ends_with(".prov.yaml") || name.ends_with(".prov.yml") {
        return Ok(Flavour::Native);
    }
    // Looking for the word first saves reading every other file twice.
    if !bytes.windows(5).any(|window| window == b"prov:") {
        return Ok(Flavour::Otter);
    }
    let says = locate(Dialect::Python)?.root.is_some_and(|root| root.get("prov").is_some());
    Ok(if says { Flavour::Native } else { Flavour::Otter })
}

struct Reader<'a> {
    flavour: Flavour,
    findings: &'a mut Vec<Finding>,
}

impl Reader<'_> {
    fn tell(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn bad(&mut self, what: &str, wanted: &str, node: &Node) {
        self.tell(Finding::error("bad-field", format!("`{what}` must be {wanted}, not {}", node.what())).at(node.at));
    }

    /// Tells of a key that nobody reads: a mistake in a native file, a doubt in an Otter config.
    fn unknown(&mut self, place: &str, entry: &Entry, known: &[&str]) {
        let message = format!("unknown key `{}` in {place}", entry.key);
        let finding = match self.flavour {
            Flavour::Native => Finding::error("unknown-key", message),
            Flavour::Otter => Finding::warning("unknown-key", message),
        };
        self.tell(match nearest(&entry.key, known) {
            Some(meant) => finding.at(entry.at).hint(format!("did you mean `{meant}`?")),
            None => finding.at(entry.at),
        });
    }

    fn top(&mut self, root: &Node, pipeline: &mut Pipeline) {
        let Some(entries) = root.as_map() else {
            self.bad("the file", "a map", root);
            return;
        };
        let is_native = self.flavour == Flavour::Native;
        let mut defaults: &[Entry] = &[];
        for entry in entries {
            let node = &entry.value;
            match entry.key.as_str() {
                key if OPTIONS.contains(&key) => self.option(entry, pipeline),
                "scratchpad" => self.scratchpad(node, pipeline),
                "steps" => {}
                "prov" if is_native => {
                    if node.as_scalar() != Some(&Value::Int(1)) {
                        self.tell(
                            Finding::error("newer-file", "this prov reads pipeline files of version 1 only")
                                .at(node.at),
                        );
                    }
                }
                // A name that Otter does not read, and that does no harm there.
                "runner" => match node.as_text() {
                    Some(text) => pipeline.runner = Some(Named { text: text.to_owned(), at: node.at }),
                    None => self.bad("runner", "text", node),
                },
                "types" if is_native => self.types(node, pipeline),
                "task_path" if is_native => pipeline.task_path = self.texts("task_path", node),
                "resources" if is_native => self.resources(node, pipeline),
                "defaults" if is_native => defaults = self.defaults(node),
                key if key.starts_with("x-") => {}
                _ => self.unknown("the file", entry, if is_native { NATIVE_TOP } else { OTTER_TOP }),
            }
        }
        match root.get("steps") {
            Some(steps) => self.steps(steps, defaults, pipeline),
            None => self.tell(Finding::warning("no-steps", "the file has no `steps`").at(root.at)),
        }
    }

    fn option(&mut self, entry: &Entry, pipeline: &mut Pipeline) {
        let node = &entry.value;
        let text = match node.as_scalar() {
            Some(Value::Text(text)) => text.clone(),
            Some(Value::Int(n)) if entry.key == "pool_size" => n.to_string(),
            Some(Value::Null) => return,
            _ => {
                self.bad(&entry.key, if entry.key == "pool_size" { "an integer" } else { "text" }, node);
                return;
            }
        };
        if let Err(what) = super::options::check(&entry.key, &text) {
            self.tell(Finding::error("bad-option", what).at(node.at));
            return;
        }
        pipeline.options.insert(entry.key.clone(), Named { text, at: node.at });
    }

    fn scratchpad(&mut self, node: &Node, pipeline: &mut Pipeline) {
        match &node.data {
            Data::Map(entries) => {
                for entry in entries {
                    pipeline.scratchpad.set(entry.key.clone(), entry.value.to_value());
                }
            }
            _ if node.is_null() => {}
            _ => self.bad("scratchpad", "a map", node),
        }
    }

    fn texts(&mut self, key: &str, node: &Node) -> Vec<Named> {
        let is_text = |node: &Node| node.as_text().is_some();
        if is_text(node) || node.as_list().is_some_and(|items| items.iter().all(is_text)) {
            return names(Some(node));
        }
        self.bad(key, "text or a list of texts", node);
        Vec::new()
    }

    fn resources(&mut self, node: &Node, pipeline: &mut Pipeline) {
        let Some(entries) = node.as_map() else {
            self.bad("resources", "a map of names to amounts", node);
            return;
        };
        for entry in entries {
            match entry.value.as_scalar() {
                Some(Value::Int(n)) if *n > 0 => {
                    pipeline.resources.insert(entry.key.clone(), u64::try_from(*n).unwrap_or(u64::MAX));
                }
                _ => self.bad(&entry.key, "an integer from 1 on", &entry.value),
            }
        }
    }

    fn defaults<'n>(&mut self, node: &'n Node) -> &'n [Entry] {
        let Some(entries) = node.as_map() else {
            self.bad("defaults", "a map", node);
            return &[];
        };
        const NEVER: [&str; 6] = ["name", "requires", "foreach", "matrix", "do", "outputs"];
        for entry in entries.iter().filter(|entry| NEVER.contains(&entry.key.as_str())) {
            self.tell(
                Finding::error("bad-field", format!("`{}` can't be the same for all tasks", entry.key)).at(entry.at),
            );
        }
        entries
    }

    fn types(&mut self, node: &Node, pipeline: &mut Pipeline) {
        const KEYS: &[&str] = &["run", "fields", "expands", "provides", "description"];
        let Some(entries) = node.as_map() else {
            self.bad("types", "a map of names to commands", node);
            return;
        };
        for entry in entries {
            let command = match entry.value.as_map() {
                Some(_) => entry.value.get("run"),
                None => Some(&entry.value),
            };
            for one in entry.value.as_map().unwrap_or_default() {
                if !KEYS.contains(&one.key.as_str()) {
                    self.unknown("a task type", one, KEYS);
                }
            }
            let Some(command) = command else {
                self.tell(
                    Finding::error("missing-field", format!("task type `{}` has no `run`", entry.key)).at(entry.at),
                );
                continue;
            };
            let run = match settings::run(command) {
                Ok(run) => run,
                Err(wrong) => {
                    self.tell(wrong.finding("run", command.at));
                    continue;
                }
            };
            let texts = |key: &str, reader: &mut Self| {
                entry.value.get(key).map(|node| reader.texts(key, node).into_iter().map(|one| one.text).collect())
            };
            let expands = entry.value.get("expands").and_then(Node::as_scalar) == Some(&Value::Bool(true));
            let (fields, provides) = (texts("fields", self), texts("provides", self).unwrap_or_default());
            pipeline.types.insert(entry.key.clone(), TypeDeclaration { at: entry.at, run, fields, expands, provides });
        }
    }

    fn steps(&mut self, node: &Node, defaults: &[Entry], pipeline: &mut Pipeline) {
        let Some(entries) = node.as_map() else {
            if !node.is_null() {
                self.bad("steps", "a map of step names to lists of tasks", node);
            }
            return;
        };
        for entry in entries {
            let mut step = Step { name: entry.key.clone(), at: entry.at, needs: Vec::new(), specs: Vec::new() };
            let before = self.findings.len();
            self.step(&entry.value, defaults, &mut step);
            for finding in &mut self.findings[before..] {
                finding.step.get_or_insert_with(|| entry.key.clone());
            }
            pipeline.steps.push(step);
        }
    }

    fn step(&mut self, node: &Node, defaults: &[Entry], step: &mut Step) {
        let mut own: Vec<Entry> = Vec::new();
        let list = match &node.data {
            Data::List(items) => items.as_slice(),
            Data::Map(entries) if self.flavour == Flavour::Native => {
                for entry in entries {
                    match entry.key.as_str() {
                        "needs" => step.needs = self.texts("needs", &entry.value),
                        "defaults" => own.extend_from_slice(self.defaults(&entry.value)),
                        "tasks" | "description" => {}
                        _ => self.unknown("a step", entry, STEP_KEYS),
                    }
                }
                match node.get("tasks") {
                    Some(tasks) => tasks.as_list().unwrap_or_else(|| {
                        self.bad("tasks", "a list of tasks", tasks);
                        &[]
                    }),
                    None => {
                        self.tell(Finding::error("missing-field", "a step needs `tasks`").at(node.at));
                        &[]
                    }
                }
            }
            // An empty step is a step.
            _ if node.is_null() => &[],
            _ => {
                self.bad(&step.name, "a list of tasks", node);
                &[]
            }
        };
        own.extend(
            defaults.iter().filter(|entry| !own.iter().any(|o| o.key == entry.key)).cloned().collect::<Vec<_>>(),
        );
        for item in list {
            step.specs.extend(self.spec(item, &own));
        }
        self.names(step);
    }

    /// Names that stand twice.
    fn names(&mut self, step: &Step) {
        let mut seen: HashMap<&str, Place> = HashMap::new();
        for spec in &step.specs {
            if let Some(before) = seen.insert(&spec.name.text, spec.name.at) {
                let message = format!("two tasks are called `{}`", spec.name.text);
                let hint = format!("the other one is in line {}", before.line);
                self.tell(Finding::error("duplicate-name", message).at(spec.name.at).hint(hint));
            }
        }
    }

    fn spec(&mut self, node: &Node, defaults: &[Entry]) -> Option<Spec> {
        let mut body = node.clone();
        if let Data::Map(entries) = &mut body.data {
            for default in defaults {
                if !entries.iter().any(|entry| entry.key == default.key) {
                    entries.push(default.clone());
                }
            }
        }
        spec_of(body, self.flavour, self.findings)
    }
}

/// The spec that a map is, if it has what every spec has. What is wrong with that is told.
pub(in crate::pipeline) fn spec_of(body: Node, flavour: Flavour, findings: &mut Vec<Finding>) -> Option<Spec> {
    let mut bad = |what: &str, wanted: &str, node: &Node| {
        let message = format!("`{what}` must be {wanted}, not {}", node.what());
        findings.push(Finding::error("bad-field", message).at(node.at));
    };
    if body.as_map().is_none() {
        bad("a task", "a map with a `name`", &body);
        return None;
    }
    let is_text = |node: &Node| node.as_text().is_some();
    if let Some(requires) = body.get("requires")
        && !requires.as_list().is_some_and(|items| items.iter().all(is_text))
        && !(flavour == Flavour::Native && is_text(requires))
    {
        bad("requires", "a list of task names", requires);
    }
    if let Some(node) = body.get("scratchpad_ignore_missing")
        && !matches!(node.as_scalar(), Some(Value::Bool(_)))
    {
        bad("scratchpad_ignore_missing", "true or false", node);
    }
    let Some(name) = body.get("name") else {
        let hint = "the first word of a name is the task's type, what follows is up to you";
        findings.push(Finding::error("missing-field", "a task needs a `name`").at(body.at).hint(hint));
        return None;
    };
    let Some(text) = name.as_text().filter(|text| !text.is_empty()) else {
        bad("name", "text", name);
        return None;
    };
    let name = Named { text: text.to_owned(), at: name.at };
    let is_described = name.text.split_once(' ').is_some_and(|(_, rest)| !rest.is_empty());
    if flavour == Flavour::Otter && !is_described {
        let message = format!("the name `{}` is a task type without a description", name.text);
        let hint = "write the type, a blank, and what this task is: `copy the raw table`";
        findings.push(Finding::error("bad-name", message).at(name.at).hint(hint));
        return None;
    }
    Some(Spec { name, body })
}
