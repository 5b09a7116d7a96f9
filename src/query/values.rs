//! What is said of two runs beside their recipes: facets, metrics, times, where they ran.

use std::collections::BTreeMap;

use super::compare::took;
use crate::codec::Value;
use crate::object::run::Run;

/// One value of two runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueDifference {
    /// What it is: `metric.KEY`, `facet.KEY`, `time.KEY` (milliseconds), `environment.KEY`.
    pub name: String,
    /// In the first run.
    pub before: Option<Value>,
    /// In the second.
    pub after: Option<Value>,
}

impl ValueDifference {
    /// Whether both say the same.
    pub fn is_equal(&self) -> bool {
        self.before == self.after
    }
}

/// Which values are told.
#[derive(Debug, Clone, Default)]
pub struct ValueOptions {
    /// Only names that begin with one of these.
    pub prefixes: Vec<String>,
    /// Only these names.
    pub keys: Vec<String>,
    /// Equal ones as well.
    pub with_equal: bool,
}

impl ValueOptions {
    fn wants(&self, name: &str) -> bool {
        (self.prefixes.is_empty() && self.keys.is_empty())
            || self.prefixes.iter().any(|prefix| name.starts_with(prefix))
            || self.keys.iter().any(|key| key == name)
    }
}

fn values_of(run: &Run) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (key, value) in &run.facets {
        nested(&format!("facet.{}", escaped(key)), value, &mut all);
    }
    for (key, value) in &run.metrics {
        all.insert(format!("metric.{}", escaped(key)), value.clone());
    }
    let milliseconds = |us: u64| Value::Int((us / 1000).into());
    all.insert("time.duration".to_owned(), milliseconds(took(run)));
    if let Some(resources) = &run.resources {
        all.insert("time.user".to_owned(), milliseconds(resources.user_us));
        all.insert("time.system".to_owned(), milliseconds(resources.system_us));
    }
    let text = |text: &Option<String>| text.clone().map(Value::Text);
    let git = run.git.as_ref();
    for (name, value) in [
        ("environment.host", text(&run.host)),
        ("environment.author", text(&run.author)),
        ("environment.git.commit", git.and_then(|git| text(&git.commit))),
        ("environment.git.branch", git.and_then(|git| text(&git.branch))),
        ("environment.program", run.program.as_ref().map(|path| Value::Text(crate::path::shown(path)))),
    ] {
        all.extend(value.map(|value| (name.to_owned(), value)));
    }
    all
}

fn escaped(key: &str) -> String {
    key.replace('.', "\\.")
}

fn nested(at: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Map(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                nested(&format!("{at}.{}", escaped(key)), value, into);
            }
        }
        value => drop(into.insert(at.to_owned(), value.clone())),
    }
}

/// What is said of two runs: what differs, and with `with_equal` what does not.
pub fn diff_values(before: &Run, after: &Run, options: &ValueOptions) -> Vec<ValueDifference> {
    let mut all: BTreeMap<String, (Option<Value>, Option<Value>)> = BTreeMap::new();
    for (name, value) in values_of(before) {
        all.entry(name).or_default().0 = Some(value);
    }
    for (name, value) in values_of(after) {
        all.entry(name).or_default().1 = Some(value);
    }
    all.into_iter()
        .map(|(name, (before, after))| ValueDifference { name, before, after })
        .filter(|one| options.wants(&one.name) && (options.with_equal || !one.is_equal()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Micros;
    use crate::object::run::RunKind;

    #[test]
    fn values_are_told_by_name_and_equal_ones_on_request() {
        let run = |rate: f64| {
            let mut run = Run::begun("r", "p", "main", RunKind::Command, "s", Micros(0));
            run.facets.insert("region".to_owned(), Value::Text("north".to_owned()));
            run.facets.insert("a.b".to_owned(), Value::Map(vec![("c".to_owned(), Value::Float(rate))]));
            run.metrics.insert("error".to_owned(), Value::Float(rate));
            run
        };
        let names = |options: &ValueOptions| -> Vec<String> {
            diff_values(&run(0.5), &run(1.5), options).into_iter().map(|one| one.name).collect()
        };
        assert_eq!(names(&ValueOptions::default()), ["facet.a\\.b.c", "metric.error"]);
        let equal = ValueOptions { with_equal: true, prefixes: vec!["facet.".to_owned()], ..ValueOptions::default() };
        assert_eq!(names(&equal), ["facet.a\\.b.c", "facet.region"]);
        let one = ValueOptions { keys: vec!["metric.error".to_owned()], ..ValueOptions::default() };
        assert_eq!(names(&one), ["metric.error"]);
    }
}
