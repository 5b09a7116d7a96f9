//! Plans of files, beside what Otter makes of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::codec::Value;
use crate::fs::Fs;
use crate::pipeline::check::{Checked, check, unknown_types};
use crate::pipeline::expand::glob;
use crate::pipeline::file::{Given, Options, parse};
use crate::pipeline::finding::Severity;
use crate::pipeline::graph::draw;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pipelines").join(path)
}

fn checked(name: &str, text: &str) -> Checked {
    let (pipeline, findings) = parse(Path::new(name), None, text.as_bytes()).unwrap();
    let options = Options::resolve(&pipeline, &Given::default(), Path::new("/here")).unwrap();
    check(&pipeline, &options, BTreeMap::new(), findings).unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(fixture(path)).unwrap()
}

#[track_caller]
fn sound(name: &str, text: &str) -> Plan {
    let checked = checked(name, text);
    assert_eq!(checked.count(Severity::Error), 0, "{:#?}", checked.findings);
    checked.plan
}

fn told(checked: &Checked) -> Vec<String> {
    let line = |finding: &Finding| {
        let at = finding.at.unwrap_or_default();
        format!("{}:{} {} {}", at.line, at.column, finding.code, finding.message)
    };
    checked.findings.iter().map(line).collect()
}

fn named(plan: &Plan, name: &str) -> TaskId {
    plan.tasks.iter().find(|task| task.name == name).unwrap_or_else(|| panic!("no {name}")).id
}

fn count(plan: &Plan, why: &str) -> usize {
    plan.edges.iter().filter(|edge| edge.why.as_str() == why).count()
}

#[test]
fn the_production_config_has_its_steps_tasks_and_edges_and_its_one_duplicate_is_found() {
    let checked = checked("config.yaml", &read("otter-pis.yaml"));
    let plan = &checked.plan;
    assert_eq!(checked.count(Severity::Error), 0, "{:#?}", checked.findings);
    assert_eq!((plan.steps.len(), plan.tasks.len()), (40, 227));
    assert_eq!(plan.tasks.iter().filter(|task| task.parent.is_none()).count(), 166);
    assert_eq!(count(plan, "requires"), 23);
    let unknown: Vec<_> = unknown_types(plan).into_iter().collect();
    let expected = [
        ("crawl_encode", 1),
        ("crispr_brain", 1),
        ("elasticsearch", 5),
        ("explode_openfda", 1),
        ("panel_app", 1),
        ("solr", 6),
    ];
    assert_eq!(unknown, expected);
    let of = |code: &str| checked.findings.iter().filter(|finding| finding.code == code).count();
    assert_eq!((of("identical-tasks"), of("shared-destination"), of("unknown-type")), (1, 3, 6));
    let duplicate = checked.findings.iter().find(|finding| finding.code == "identical-tasks").unwrap();
    assert_eq!(
        duplicate.message,
        "`copy_many AZ parquet (quantitative)` does the same as `copy_many AZ parquet (binary)`"
    );
}

/// JSON as values of this crate.
fn json(text: &str) -> Value {
    crate::config::parse(Path::new("x.json"), crate::config::Format::Json, text.as_bytes()).unwrap()
}

#[test]
fn tasks_are_those_that_otter_builds() {
    let data = fixture("otter/data");
    let data = data.to_str().unwrap();
    let mut plan = sound("config.yaml", &read("otter/config.yaml").replace("data: DATA", &format!("data: {data}")));
    let mut late = Scratchpad::default();
    // Otter found this file when its expansion was recorded; the times of files in a checkout say nothing.
    late.set("latest_table", Value::Text(format!("{data}/tables/two.v2.csv")));
    let globs: Vec<TaskId> =
        plan.tasks.iter().filter(|task| task.expands == Expands::AtRunTime).map(|task| task.id).collect();
    for id in globs {
        let body = plan.resolve(id, &late).unwrap();
        let spec = Spec { name: plan.task(id).spec.name.clone(), body };
        let (prefix, pattern) = glob::split(spec.get("glob").unwrap().as_text().unwrap());
        let files = glob::list(&Fs::real(), Path::new(prefix), pattern).unwrap();
        let made = glob::expand(&spec, plan.flavour, &files, &plan.roots, |_| "uuid".to_owned(), &mut Vec::new());
        let mut findings = Vec::new();
        let added = plan.add_made(id, made, &mut findings);
        assert!(findings.is_empty() && added.len() == 3, "{findings:?}");
    }
    let expected = json(&read("otter/expanded.json"));
    let Value::Map(steps) = expected else { unreachable!("it is a map") };
    for (name, tasks) in steps {
        let Value::List(tasks) = tasks else { unreachable!("it is a list") };
        let step = plan.steps.iter().find(|step| step.name == name).unwrap();
        assert_eq!(step.tasks.len(), tasks.len(), "{name}");
        for task in tasks {
            let Some(Value::Text(task_name)) = task.get("name") else { unreachable!("it has a name") };
            let body = plan.resolve(step.task(task_name).unwrap(), &late).unwrap().to_value();
            let Value::Map(fields) = &task else { unreachable!("it is a map") };
            for (key, value) in fields {
                let Some(found) = body.get(key) else { continue };
                let text = crate::config::to_json(value).replace("DATA/", &format!("{data}/"));
                assert_eq!(crate::config::to_json(found), text, "{task_name}: {key}");
            }
            for key in ["source", "destination", "sources", "requires"] {
                let is_given = task.get(key).is_some_and(|value| *value != Value::List(Vec::new()));
                assert_eq!(body.get(key).is_some(), is_given, "{task_name}: {key}");
            }
        }
    }
}

#[test]
fn nested_explodes_late_keys_and_made_names_work() {
    let plan = sound("config.yaml", &read("otter/nested.yaml"));
    let names: Vec<&str> = plan.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "find_latest table",
            "explode outer",
            "explode inner of x",
            "copy x1",
            "copy x2",
            "explode inner of y",
            "copy y1",
            "copy y2",
            "hello_world after one of them"
        ]
    );
    let before = plan.before();
    assert_eq!(before[named(&plan, "hello_world after one of them").0], [named(&plan, "copy y2")]);
    assert_eq!(before[named(&plan, "copy x1").0], [named(&plan, "find_latest table")]);
    let mut late = Scratchpad::default();
    late.set("latest_table", Value::Text("/data/new.csv".to_owned()));
    let body = plan.resolve(named(&plan, "copy y2"), &late).unwrap();
    assert_eq!(body.get("source").unwrap().as_text(), Some("/data/new.csv"));
    assert!(plan.resolve(named(&plan, "copy y2"), &Scratchpad::default()).is_err());
}

#[test]
fn a_native_file_is_planned_with_its_groups_settings_and_paths() {
    let plan = sound("prov.yaml", &read("native/prov.yaml"));
    assert_eq!((plan.steps.len(), plan.tasks.len()), (3, 11));
    let fit = plan.task(named(&plan, "fit south 2"));
    assert_eq!(fit.settings.resources, [("memory_gib".to_owned(), 4)]);
    assert_eq!((fit.settings.timeout_ms, fit.settings.retries.count), (Some(600_000), 2));
    assert_eq!(fit.settings.env, ["OMP_NUM_THREADS=1"]);
    assert_eq!(fit.reads[0].path, "data/regions/south.csv");
    let before = plan.before();
    assert_eq!(before[fit.id.0], [named(&plan, "split south")]);
    // Every model is waited for, since the pattern matches them, and the packed file waits for the summary.
    assert_eq!(before[named(&plan, "summarise models").0].len(), 4);
    assert_eq!(before[named(&plan, "pack the summary").0], [named(&plan, "summarise models")]);
    let level = |name: &str| plan.task(named(&plan, name)).level;
    assert!(level("clean") < level("split north") && level("split north") < level("fit north 1"));
    assert!(level("fit north 1") < level("summarise models"));
}

const TASKS: &str = "prov: 1\nsteps:\n  s:\n";

#[test]
fn cycles_are_named() {
    let text = format!(
        "{TASKS}    - {{name: noop a, requires: noop b}}\n    - {{name: noop b, requires: noop c}}\n    - {{name: noop c, requires: noop a}}\n    - {{name: noop d, requires: noop a}}\n"
    );
    let lines = told(&checked("prov.yaml", &text));
    assert_eq!(lines, ["4:14 cycle tasks wait for each other: s/noop a -> s/noop c -> s/noop b -> s/noop a"]);
    let text =
        "prov: 1\nsteps:\n  a: {needs: [b], tasks: [{name: noop x}]}\n  b: {needs: [a], tasks: [{name: noop y}]}\n";
    let lines = told(&checked("prov.yaml", text));
    assert!(lines[0].contains("cycle tasks wait for each other:") && lines[0].contains("step b"), "{lines:?}");
    // A task that waits for the one that makes it.
    let text = format!(
        "{TASKS}    - name: explode all\n      foreach: [a]\n      do: [{{name: 'noop ${{each}}', requires: explode all}}]\n"
    );
    assert!(told(&checked("prov.yaml", &text))[0].contains("cycle"), "{text}");
}

#[test]
fn a_cycle_of_paths_is_told_and_not_obeyed() {
    let text = format!(
        "{TASKS}    - {{name: a, run: [x], inputs: [two], outputs: [one/a]}}\n    - {{name: b, run: [x], inputs: [one], outputs: [two/b]}}\n    \
         - {{name: c, run: [x], inputs: [two/b], outputs: [three]}}\n"
    );
    let checked = checked("prov.yaml", &text);
    assert_eq!((checked.count(Severity::Error), checked.count(Severity::Warning)), (0, 1), "{:?}", told(&checked));
    assert!(told(&checked)[0].contains("path-cycle"));
    let obeyed: Vec<_> =
        checked.plan.edges.iter().filter(|edge| edge.is_obeyed).map(|edge| (edge.from.0, edge.to.0)).collect();
    assert_eq!(obeyed, [(1, 2)]);
}

#[test]
fn declared_order_wins_over_paths() {
    // b reads what a writes, and is declared to come before it: only the declaration is obeyed.
    let text = format!(
        "{TASKS}    - {{name: a, run: [x], requires: b, outputs: [one]}}\n    - {{name: b, run: [x], inputs: [one], outputs: [two]}}\n"
    );
    let checked = checked("prov.yaml", &text);
    assert_eq!(checked.count(Severity::Error), 0, "{:?}", told(&checked));
    let (a, b) = (named(&checked.plan, "a"), named(&checked.plan, "b"));
    assert!(checked.plan.task(b).level < checked.plan.task(a).level);
}

#[test]
fn what_otter_hangs_on_is_told_before_anything_runs() {
    let of = |tasks: &str| told(&checked("config.yaml", &format!("scratchpad: {{who: x}}\nsteps:\n  s:\n{tasks}")));
    // A cycle.
    let cycle = of(
        "    - {name: hello_world a, requires: [hello_world b]}\n    - {name: hello_world b, requires: [hello_world a]}\n",
    );
    assert!(cycle[0].contains("cycle"), "{cycle:?}");
    // A name within `do` that nobody has.
    let lines = of(
        "    - name: explode x\n      foreach: [a]\n      do:\n        - {name: 'hello_world ${each}', requires: ['hello_word ${each}']}\n",
    );
    assert_eq!(lines, ["7:52 unknown-requires `hello_world a` requires `hello_word a`, which is no task of this step"]);
    // A placeholder in a name is put in place, and names are looked up after it.
    let lines = of(
        "    - {name: 'hello_world ${who}'}\n    - {name: hello_world y, requires: [hello_world x]}\n    - {name: hello_world z, requires: ['hello_world ${who}']}\n",
    );
    assert!(lines.is_empty(), "{lines:?}");
    // Two tasks that become one name.
    let lines = of("    - {name: 'hello_world ${who}'}\n    - {name: hello_world x}\n");
    assert!(lines[0].contains("duplicate-name two tasks are called `hello_world x`"), "{lines:?}");
    // One that overwrites what another writes.
    let lines =
        of("    - {name: copy a, source: /a, destination: t}\n    - {name: copy b, source: /b, destination: ./t}\n");
    assert_eq!(lines, ["5:14 collision `t` is written by `s/copy a`, `s/copy b`"]);
}

#[test]
fn missing_keys_and_fields_are_told_with_their_places() {
    let lines = told(&checked(
        "config.yaml",
        "steps:\n  s:\n    - name: copy a\n      source: /${nowhere}/a\n    - name: explode b\n      foreach: [1, b]\n      do: []\n    - \
         name: copy c\n      source: c\n      destination: 100$\n      sorce: d\n",
    ));
    assert_eq!(
        lines,
        [
            "3:13 missing-field a task of type `copy` needs `destination`",
            "4:16 missing-key nothing is known for `${nowhere}`",
            "6:16 bad-field `foreach` must be a list of texts, not a list with an integer",
            "9:15 relative-source `copy` takes from outside, and `c` is relative",
            "10:23 malformed-placeholder a `$` in `100$` begins no placeholder",
            "11:7 unknown-key unknown key `sorce` in a task of type `copy`",
        ]
    );
}

#[test]
fn placeholders_of_a_glob_are_known_where_its_tasks_are_made_and_nowhere_else() {
    let text = "steps:\n  s:\n    - name: explode_glob x\n      glob: /d/*\n      do:\n        - {name: 'copy ${match_stem}', source: '${uri}', destination: \
                'o/${math_ext}'}\n    - {name: copy y, source: '${uri}', destination: y}\n    - {name: hello_world z, requires: [copy some]}\n";
    let checked = checked("config.yaml", text);
    assert_eq!(
        told(&checked),
        [
            "6:74 missing-key nothing is known for `${math_ext}`",
            "7:31 missing-key nothing is known for `${uri}`",
            "8:40 requires-later `copy some` may be made by `explode_glob x`, all of which is waited for",
        ]
    );
    assert_eq!(checked.findings[0].hint.as_deref(), Some("did you mean `${match_ext}`?"));
}

#[test]
fn native_mistakes_are_errors_with_suggestions() {
    let text = format!(
        "{TASKS}    - {{name: fetch x, typ: copy}}\n    - {{name: copy y, source: a, destination: b, timout: 3s}}\n    - {{name: z, run: [x], timeout: soon, resources: [gpu], \
         validate: [exist]}}\n"
    );
    assert_eq!(
        told(&checked("prov.yaml", &text)),
        [
            "4:14 unknown-type unknown task type `fetch`",
            "5:49 unknown-key unknown key `timout` in a task of type `copy`",
            "6:36 bad-field `timeout` must be a duration such as 90s, 5m or 1h30m, not `soon`",
            "6:53 unknown-resource there is no resource `gpu`",
            "6:71 bad-field `validate` must be a check such as exists, nonempty or {min_rows: 10}, not `exist` (did you mean `exists`?)",
        ]
    );
}

#[test]
fn a_long_chain_and_a_wide_fan_need_no_deep_stack() {
    let mut text = String::from("prov: 1\nsteps:\n  s:\n    - name: noop 0\n");
    for i in 1..5000 {
        text.push_str(&format!("    - {{name: noop {i}, requires: noop {}}}\n", i - 1));
    }
    let plan = sound("prov.yaml", &text);
    assert_eq!(plan.tasks.last().unwrap().level, 4999);
}

#[test]
fn drawings_name_every_task_and_quote_it() {
    let text =
        format!("{TASKS}    - {{name: 'noop <a> & \"b\"'}}\n    - {{name: noop c, requires: 'noop <a> & \"b\"'}}\n");
    let plan = sound("prov.yaml", &text);
    let drawing = draw::drawing(&plan, draw::Detail::Tasks);
    assert!(draw::dot(&drawing).contains("n0 [label=\"noop <a> & \\\"b\\\"\"];"));
    assert!(draw::dot(&drawing).contains("n0 -> n1"));
    assert!(draw::mermaid(&drawing).contains("n0[\"noop #lt;a#gt; & #quot;b#quot;\"]"));
    let svg = draw::svg(&drawing);
    assert!(svg.contains("noop &lt;a&gt; &amp; &quot;b&quot;") && !svg.contains("<a>"));
    assert!(draw::mermaid(&draw::drawing(&plan, draw::Detail::Steps)).contains("s (2 tasks)"));
}
