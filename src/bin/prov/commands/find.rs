//! `find`, `history`, `metrics`, `summary`, `sql`: questions to the index.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use prov::index::{self, Answer, Cell, Expr, Find, Found, Heading, Index, Kind, Limits, Order, ValueKind, What};
use prov::query::{sets, tables};
use prov::revspec::Target;
use serde_json::{Map, Value, json};

use super::Context;
use super::revision::Seen;
use crate::args::{
    AnswerFormat, FindArgs, FindArtifactsArgs, FindOptions, FindRunsArgs, FindWhat, HistoryArgs, MetricsArgs, SqlArgs,
    SummaryArgs,
};
use crate::error::{Class, Failure};
use crate::exit::Exit;
use crate::open;
use crate::output::record::shown;
use crate::output::{answer, human, json as documents, table};

/// Opens the index of what was seen.
pub(super) fn index(cx: &Context, seen: &Seen) -> Result<tables::Tables, Failure> {
    let bar = cx.ui.bar();
    Ok(tables::open(&seen.repo, &seen.snapshot, cx.environment.user_cache().as_deref(), &bar)?)
}

/// Answers from the index; tells what the answer may lack.
fn asked<T>(
    cx: &Context,
    seen: &Seen,
    ask: impl Fn(&mut Index) -> Result<T, index::Error>,
) -> Result<(T, Vec<String>), Failure> {
    let (tables, found) = index(cx, seen)?.answer(&seen.repo, &seen.snapshot, ask)?;
    Ok((found, tables.lost().to_vec()))
}

/// Ends a question: what can't be read is named.
fn complete(seen: &Seen, lost: &[String]) -> Result<Exit, Failure> {
    open::complete(&seen.snapshot)?;
    if lost.is_empty() {
        return Ok(Exit::Done);
    }
    let mut failure = Failure::new(Class::Damaged, "damaged", "records are damaged; the answer lacks what they say");
    failure.causes = lost.iter().take(20).map(|run| format!("run {} can't be read", shown(run))).collect();
    Err(failure.hint("`prov fsck` names all that is damaged; what is whole can still be read"))
}

/// Finds runs or artifacts.
pub(crate) fn run(cx: &Context, args: &FindArgs) -> Result<Exit, Failure> {
    match &args.what {
        FindWhat::Runs(args) => runs(cx, args),
        FindWhat::Artifacts(args) => artifacts(cx, args),
    }
}

fn runs(cx: &Context, args: &FindRunsArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx)?;
    let mut find = question(cx, &seen, &args.options, What::Runs)?;
    if let Some(rev) = &args.like {
        let (_, run) = seen.run(cx, rev)?;
        let recipe = run
            .recipe
            .ok_or_else(|| Failure::new(Class::NotFound, "no_recipe", format!("run {} has no recipe", run.tail())))?;
        find.expressions.push(equal("recipe", &recipe.to_string()));
    }
    let (answer, lost) = found(cx, &seen, &mut find, &args.options, args.save.is_some())?;
    if let Some(name) = &args.save {
        let at = answer.position("run").unwrap_or(0);
        let runs: Vec<String> = answer.rows.iter().filter_map(|row| row.get(at)).map(Cell::to_text).collect();
        sets::save(&seen.repo, name, &runs)?;
        let n = human::count(u64::try_from(runs.len()).unwrap_or(0), "run");
        cx.ui.say(format_args!("saved {n} as {}", shown(name)));
    }
    show(cx, "find", &answer, &args.options)?;
    complete(&seen, &lost)
}

fn artifacts(cx: &Context, args: &FindArtifactsArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx)?;
    let mut find = question(cx, &seen, &args.options, What::Artifacts)?;
    let run = |rev: &Option<std::ffi::OsString>| -> Result<Option<String>, Failure> {
        rev.as_ref().map(|rev| Ok(seen.run(cx, rev)?.0.run)).transpose()
    };
    find.creator = run(&args.creator)?;
    find.consumer = run(&args.consumer)?;
    if let Some(key) = &args.key {
        find.expressions.push(pattern("key", key));
    }
    if let Some(path) = &args.path {
        find.expressions.push(below(cx, &seen, path));
    }
    if let Some(mount) = &args.mount {
        let known = seen.repo.mounts();
        if !known.iter().any(|(name, _)| name == mount) {
            // A mount of another machine is as good, if something lived there.
            cx.ui.detail(format_args!("no mount `{}` is known here", shown(mount)));
        }
        find.expressions.push(like("path", &format!("{}://*", globless(mount))));
    }
    if let Some(id) = &args.id {
        let is_hex = id.len() >= 4 && id.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hex {
            return Err(Failure::usage(format!("`{}` is no id", shown(id))).hint("`prov id FILE` prints it"));
        }
        find.expressions.push(like("content", &format!("{}*", id.to_ascii_lowercase())));
    }
    if args.output || args.input {
        find.expressions.push(equal("role", if args.output { "output" } else { "input" }));
    }
    let (answer, lost) = found(cx, &seen, &mut find, &args.options, false)?;
    show(cx, "find", &answer, &args.options)?;
    complete(&seen, &lost)
}

fn literal(text: &str) -> index::Literal {
    index::Literal { text: text.to_owned(), is_quoted: true }
}

fn equal(name: &str, value: &str) -> Expr {
    Expr::Compare(name.to_owned(), index::Comparison::Is, vec![literal(value)])
}

fn like(name: &str, value: &str) -> Expr {
    Expr::Compare(name.to_owned(), index::Comparison::Like, vec![literal(value)])
}

fn pattern(name: &str, value: &str) -> Expr {
    if value.contains(['*', '?']) { like(name, value) } else { equal(name, value) }
}

/// Text of which no letter stands for others.
fn globless(text: &str) -> String {
    text.chars().map(|c| if "*?[".contains(c) { format!("[{c}]") } else { c.to_string() }).collect()
}

/// What lived at a path, seen from the current folder, or below it.
fn below(cx: &Context, seen: &Seen, path: &std::ffi::OsStr) -> Expr {
    let text = path.to_string_lossy();
    if text.contains("://") {
        return pattern("path", &text);
    }
    let place = prov::path::locate(seen.repo.root(), &cx.cwd, path.as_ref());
    let recorded = seen.repo.recorded_path(&place);
    let recorded = prov::path::shown(&recorded);
    if recorded.contains(['*', '?']) {
        return like("path", &recorded);
    }
    if recorded.is_empty() {
        return Expr::Has("path".to_owned());
    }
    Expr::Any(vec![equal("path", &recorded), like("path", &format!("{}/*", globless(&recorded)))])
}

/// What the options ask for.
fn question(cx: &Context, seen: &Seen, options: &FindOptions, what: What) -> Result<Find, Failure> {
    let mut expressions = Vec::new();
    for text in &options.filter {
        expressions.push(Expr::parse(text).map_err(index::Error::from)?);
    }
    for name in &options.scenario {
        if !prov::scenario::exists(&seen.snapshot, seen.repo.project(), name)? {
            let known = prov::scenario::names(&seen.repo, &seen.snapshot)?;
            return Err(prov::scenario::Error::NotFound { name: name.clone(), known }.into());
        }
    }
    let runs = match &options.set {
        None => None,
        Some(name) => {
            let Some(runs) = sets::load(&seen.repo, &seen.snapshot, name)? else {
                let known = sets::names(&seen.repo, &seen.snapshot)?;
                let failure =
                    Failure::new(Class::NotFound, "not_found", format!("no set of runs is called `{}`", shown(name)));
                return Err(failure.candidates(known).hint("`prov find runs ... --save NAME` makes one"));
            };
            Some(runs)
        }
    };
    let order = options.sort.iter().map(|word| order(word)).collect();
    Ok(Find {
        what,
        project: (!options.all).then(|| seen.repo.project().to_owned()),
        scenarios: options.scenario.clone(),
        hidden: options.all,
        expressions,
        text: options.text.clone(),
        runs,
        columns: options.columns.clone(),
        in_full: cx.ui.is_json() || options.format != AnswerFormat::Table,
        order,
        limit: options.limit,
        now: cx.clock.now(),
        ..Find::default()
    })
}

fn order(word: &str) -> Order {
    let (name, is_descending) = match (word.strip_suffix(":desc"), word.strip_suffix(":asc")) {
        (Some(name), _) => (name, true),
        (None, Some(name)) => (name, false),
        (None, None) => (word, false),
    };
    Order { name: name.to_owned(), is_descending }
}

/// Asks, and does with the rows what options beyond the index want. Columns that were only needed for that are taken out again.
fn found(
    cx: &Context,
    seen: &Seen,
    find: &mut Find,
    options: &FindOptions,
    needs_run: bool,
) -> Result<(Answer, Vec<String>), Failure> {
    let grouped = options.group_by.as_ref().or(options.index_by.as_ref());
    if needs_run && find.columns.is_empty() {
        find.columns = usual_columns(find);
    }
    if !find.columns.is_empty() {
        for name in grouped.into_iter().cloned().chain(needs_run.then(|| "run".to_owned())) {
            if !find.columns.contains(&name) {
                find.columns.push(name);
            }
        }
    }
    let limit = find.limit;
    let is_artifacts = find.what == What::Artifacts;
    if options.latest {
        let name = if is_artifacts { "run.iteration" } else { "iteration" };
        find.order.insert(0, Order { name: name.to_owned(), is_descending: true });
        if find.columns.is_empty() {
            // To be sorted by it is no reason to show it.
            let usual = find.clone();
            find.columns = usual_columns(&usual);
        }
        find.limit = options.group_by.is_none().then_some(1);
    }
    if let Some(name) = grouped {
        if find.columns.is_empty() {
            find.columns = usual_columns(find);
        }
        if !find.columns.contains(name) {
            find.columns.push(name.clone());
        }
        if !options.latest {
            find.limit = None;
        }
    }
    if options.exactly_one {
        find.limit = Some(find.limit.unwrap_or(8).min(8));
    }
    let ask = find.clone();
    let (Found { mut answer, left_out }, lost) = asked(cx, seen, |index| index.find(&ask))?;
    if left_out > 0 {
        let runs = human::count(u64::try_from(left_out).unwrap_or(0), "run");
        cx.ui.warn(format_args!(
            "{runs} have more than 1000 facets, metrics or params of a kind; the rest is not searched"
        ));
        cx.ui.hint("`prov find runs --where 'left_out > 0'` lists them; `prov facets RUN` has all");
    }
    if let Some(name) = &options.group_by {
        let at = answer.position(name).unwrap_or(0);
        if options.latest {
            let mut seen = BTreeSet::new();
            answer.rows.retain(|row| seen.insert(row[at].to_text()));
        }
        answer.rows.sort_by(|a, b| compare(&a[at], &b[at]));
        if let Some(limit) = limit {
            answer.rows.truncate(limit);
        }
    }
    if options.exactly_one && answer.rows.len() != 1 {
        let candidates: Vec<String> = answer
            .rows
            .iter()
            .map(|row| row.iter().take(3).map(Cell::to_text).collect::<Vec<_>>().join("  "))
            .collect();
        return Err(if candidates.is_empty() {
            Failure::new(Class::NotFound, "not_found", "nothing is so")
        } else {
            Failure::new(Class::NotFound, "ambiguous", "more than one is so").candidates(candidates)
        });
    }
    Ok((answer, lost))
}

/// The columns that a question without any has.
fn usual_columns(find: &Find) -> Vec<String> {
    let mut find = find.clone();
    find.order.clear();
    find.usual_columns()
}

fn compare(a: &Cell, b: &Cell) -> std::cmp::Ordering {
    match (a.as_number(), b.as_number()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a.to_text().cmp(&b.to_text()),
    }
}

/// Prints rows in the form that is wanted.
fn show(cx: &Context, what: &str, found: &Answer, options: &FindOptions) -> Result<(), Failure> {
    if cx.ui.is_json() || options.format == AnswerFormat::Json {
        let mut document = documents::document(what);
        answer::put(&mut document, found);
        if let Some(name) = &options.index_by {
            document.insert("index".to_owned(), indexed(found, name)?);
        }
        if let Some(name) = &options.group_by {
            document.insert("groups".to_owned(), groups(found, name));
        }
        return cx.ui.document(document);
    }
    if let Some(name) = &options.index_by {
        indexed(found, name)?;
    }
    if options.format == AnswerFormat::Csv {
        return cx.ui.print(answer::csv(found));
    }
    if found.rows.is_empty() {
        cx.ui.say("nothing is so");
        return Ok(());
    }
    cx.ui.page(&cx.environment);
    let Some(name) = &options.group_by else { return cx.ui.print(answer::aligned(found)) };
    let at = found.position(name).unwrap_or(0);
    let mut start = 0;
    while start < found.rows.len() {
        let value = found.rows[start][at].to_text();
        let len = found.rows[start..].iter().take_while(|row| row[at].to_text() == value).count();
        let part = Answer { columns: found.columns.clone(), rows: found.rows[start..start + len].to_vec() };
        let head = format!("{} = {}", shown(name), if value.is_empty() { "-".to_owned() } else { shown(&value) });
        cx.ui.line(cx.ui.painter().strong(head))?;
        cx.ui.print(answer::aligned(&part))?;
        start += len;
        if start < found.rows.len() {
            cx.ui.line("")?;
        }
    }
    Ok(())
}

/// Which row has which value; two rows with the same are an error.
fn indexed(found: &Answer, name: &str) -> Result<Value, Failure> {
    let at = found.position(name).unwrap_or(0);
    let mut map = Map::new();
    for (n, row) in found.rows.iter().enumerate() {
        let value = row[at].to_text();
        if map.insert(value.clone(), json!(n)).is_some() {
            let what = format!("more than one has `{}` = {}", shown(name), shown(&value));
            return Err(Failure::new(Class::NotFound, "ambiguous", what)
                .hint("--group-by puts them together, --latest takes the newest"));
        }
    }
    Ok(Value::Object(map))
}

fn groups(found: &Answer, name: &str) -> Value {
    let at = found.position(name).unwrap_or(0);
    let mut map: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (n, row) in found.rows.iter().enumerate() {
        map.entry(row[at].to_text()).or_default().push(n);
    }
    json!(map)
}

/// Lists runs with what was said of them.
pub(crate) fn history(cx: &Context, args: &HistoryArgs) -> Result<Exit, Failure> {
    table_of_values(cx, args.step.as_deref(), &args.options, "history", false, &[ValueKind::Facet, ValueKind::Metric])
}

/// Shows numbers of runs side by side.
pub(crate) fn metrics(cx: &Context, args: &MetricsArgs) -> Result<Exit, Failure> {
    let kinds = [ValueKind::Dim, ValueKind::Param, ValueKind::Facet, ValueKind::Metric];
    table_of_values(cx, args.step.as_deref(), &args.options, "metrics", args.equal, &kinds)
}

fn table_of_values(
    cx: &Context,
    step: Option<&str>,
    options: &FindOptions,
    what: &'static str,
    with_equal: bool,
    kinds: &[ValueKind],
) -> Result<Exit, Failure> {
    let seen = Seen::open(cx)?;
    let mut find = question(cx, &seen, options, What::Runs)?;
    if let Some(step) = step {
        find.expressions.push(equal("step", step));
    }
    let is_metrics = what == "metrics";
    let own_columns = !find.columns.is_empty();
    if !own_columns {
        find.columns = ["run", "step", "status", "started_at", "duration_ms"].map(ToOwned::to_owned).to_vec();
    }
    if is_metrics && find.expressions.is_empty() {
        // Runs that report nothing would only be in the way.
        find.expressions.push(Expr::Any(vec![equal("cache", "miss"), equal("cache", "off")]));
    }
    let (mut answer, lost) = found(cx, &seen, &mut find, options, false)?;
    if !own_columns {
        let at = answer.position("run").unwrap_or(0);
        let runs: Vec<String> = answer.rows.iter().map(|row| row[at].to_text()).collect();
        let (values, _) = asked(cx, &seen, |index| index.values(&runs, kinds))?;
        add_values(&mut answer, values, with_equal, is_metrics);
        for one in options.sort.iter().map(|word| order(word)) {
            // The index sorted already; nothing is to be done but to show it.
            if answer.position(&one.name).is_none() {
                cx.ui.detail(format_args!("sorted by {}", shown(&one.name)));
            }
        }
    }
    show(cx, what, &answer, options)?;
    if is_metrics && !cx.ui.is_json() && options.format == AnswerFormat::Table {
        sparklines(cx, &answer)?;
    }
    complete(&seen, &lost)
}

/// Adds a column for each value that is worth one.
fn add_values(answer: &mut Answer, values: Vec<index::Valued>, with_equal: bool, is_metrics: bool) {
    let mut columns: BTreeMap<(ValueKind, String), BTreeMap<String, Cell>> = BTreeMap::new();
    for one in values {
        let key = if one.namespace.is_empty() { one.key } else { format!("{}:{}", one.namespace, one.key) };
        columns.entry((one.kind, key)).or_default().insert(one.run, one.value);
    }
    if is_metrics {
        let with: BTreeSet<&String> = columns
            .iter()
            .filter(|((kind, _), _)| *kind == ValueKind::Metric)
            .flat_map(|(_, cells)| cells.keys())
            .collect();
        if !with.is_empty() {
            let at = answer.position("run").unwrap_or(0);
            answer.rows.retain(|row| with.contains(&row[at].to_text()));
        }
    }
    let mut sorted: Vec<_> = columns.into_iter().collect();
    // Metrics last, beside what they may depend on.
    sorted.sort_by_key(|((kind, key), _)| (*kind == ValueKind::Metric, *kind, key.clone()));
    let shown: Vec<String> = {
        let at = answer.position("run").unwrap_or(0);
        answer.rows.iter().map(|row| row[at].to_text()).collect()
    };
    for ((kind, key), cells) in sorted {
        let name = format!("{}.{key}", kind.as_str());
        if answer.position(&name).is_some() {
            continue;
        }
        let column: Vec<Cell> = shown.iter().map(|run| cells.get(run).cloned().unwrap_or(Cell::Null)).collect();
        let is_equal = column.len() > 1 && column.windows(2).all(|pair| pair[0] == pair[1]);
        if column.iter().all(|cell| *cell == Cell::Null) || is_equal && !with_equal && kind != ValueKind::Metric {
            continue;
        }
        answer.columns.push(Heading { name, kind: Kind::Any });
        for (row, cell) in answer.rows.iter_mut().zip(column) {
            row.push(cell);
        }
    }
}

/// A line for each metric, in the order of the rows.
fn sparklines(cx: &Context, found: &Answer) -> Result<(), Failure> {
    if found.rows.len() < 2 {
        return Ok(());
    }
    let painter = cx.ui.painter();
    let mut rows = Vec::new();
    for (at, column) in found.columns.iter().enumerate() {
        let Some(name) = column.name.strip_prefix("metric.") else { continue };
        // From left to right as time goes, at most as wide as a terminal is.
        let numbers: Vec<Option<f64>> = found.rows.iter().rev().map(|row| row[at].as_number()).collect();
        let some: Vec<f64> = numbers.iter().flatten().copied().filter(|n| n.is_finite()).collect();
        if some.is_empty() {
            continue;
        }
        let (least, most) = (
            some.iter().copied().fold(f64::INFINITY, f64::min),
            some.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        );
        let start = numbers.len().saturating_sub(60);
        rows.push(vec![
            shown(name),
            painter.note(answer::sparkline(&numbers[start..])).to_string(),
            format!("{} to {}", Cell::Real(least).to_text(), Cell::Real(most).to_text()),
        ]);
    }
    if !rows.is_empty() {
        cx.ui.line("")?;
        cx.ui.print(table::columns(&[], &rows))?;
    }
    Ok(())
}

/// Sums up what is on record.
pub(crate) fn summary(cx: &Context, args: &SummaryArgs) -> Result<Exit, Failure> {
    let seen = Seen::open(cx)?;
    if let Some(name) = &args.scenario
        && !prov::scenario::exists(&seen.snapshot, seen.repo.project(), name)?
    {
        let known = prov::scenario::names(&seen.repo, &seen.snapshot)?;
        return Err(prov::scenario::Error::NotFound { name: name.clone(), known }.into());
    }
    let project = seen.repo.project().to_owned();
    let (sums, lost) = asked(cx, &seen, |index| index.summary(&project, args.scenario.as_deref()))?;
    let time = |us: i64| documents::time(prov::clock::Micros(us));
    if cx.ui.is_json() {
        let mut document = documents::document("summary");
        document.insert("scenario".to_owned(), json!(args.scenario));
        let step = |sum: &index::Sum| {
            json!({
                "step": sum.step, "runs": sum.runs, "successes": sum.successes, "failures": sum.failures, "hits": sum.hits,
                "executed_ms": sum.executed_us / 1000, "saved_ms": sum.saved_us / 1000, "output_bytes": sum.output_bytes,
                "first_at": time(sum.first_us), "last_at": time(sum.last_us),
            })
        };
        document.insert("steps".to_owned(), sums.iter().map(step).collect());
        cx.ui.document(document)?;
    } else if sums.is_empty() {
        cx.ui.say("no runs are on record");
    } else {
        let ms = |us: i64| human::duration(u64::try_from(us / 1000).unwrap_or(0));
        let most = sums.iter().map(|sum| sum.executed_us).max().unwrap_or(0);
        let painter = cx.ui.painter();
        let mut rows: Vec<Vec<String>> = sums
            .iter()
            .map(|sum| {
                #[expect(clippy::cast_precision_loss, reason = "for a bar")]
                let bar = answer::bar(sum.executed_us as f64, 0.0, most as f64, 10);
                vec![
                    shown(&sum.step),
                    sum.runs.to_string(),
                    sum.hits.to_string(),
                    if sum.failures > 0 { painter.bad(sum.failures).to_string() } else { "0".to_owned() },
                    ms(sum.executed_us),
                    ms(sum.saved_us),
                    human::size(u64::try_from(sum.output_bytes).unwrap_or(0)),
                    human::ago(prov::clock::Micros(sum.last_us), cx.clock.now()),
                    painter.note(bar).to_string(),
                ]
            })
            .collect();
        if sums.len() > 1 {
            let total = |pick: fn(&index::Sum) -> i64| sums.iter().map(pick).sum::<i64>();
            rows.push(vec![
                "all".to_owned(),
                total(|sum| sum.runs).to_string(),
                total(|sum| sum.hits).to_string(),
                total(|sum| sum.failures).to_string(),
                ms(total(|sum| sum.executed_us)),
                ms(total(|sum| sum.saved_us)),
                human::size(u64::try_from(total(|sum| sum.output_bytes)).unwrap_or(0)),
            ]);
        }
        let heads = ["step", "runs", "hits", "failed", "executed", "saved", "outputs", "last", ""];
        cx.ui.print(table::columns(&heads, &rows))?;
    }
    complete(&seen, &lost)
}

/// Answers a query in SQL.
pub(crate) fn sql(cx: &Context, args: &SqlArgs) -> Result<Exit, Failure> {
    if args.tables {
        return list_tables(cx);
    }
    let query = match (&args.query, &args.file) {
        (Some(query), _) => query.clone(),
        (None, Some(file)) if file == "-" => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|err| Failure::new(Class::Failed, "io", "can't read standard input").because_of(Some(&err)))?;
            text
        }
        (None, Some(file)) => {
            let failed = |err: &dyn std::error::Error| {
                Failure::new(Class::Failed, "io", format!("can't read `{}`", shown(file.as_encoded_bytes())))
                    .because_of(Some(err))
            };
            let bytes = cx.fs.read(&cx.cwd.join(file)).map_err(|err| failed(&err))?;
            let bytes = bytes.ok_or_else(|| failed(&std::io::Error::from(std::io::ErrorKind::NotFound)))?;
            String::from_utf8(bytes).map_err(|err| failed(&err))?
        }
        (None, None) => String::new(),
    };
    let seen = Seen::open(cx)?;
    let mut limits = Limits::default();
    if let Some(rows) = args.max_rows {
        limits.rows = rows;
    }
    let (found, lost) = asked(cx, &seen, |index| index.sql(&query, limits))?;
    let options = FindOptions { format: args.format, ..FindOptions::default() };
    if found.rows.is_empty() && options.format == AnswerFormat::Table && !cx.ui.is_json() {
        cx.ui.say("no rows");
    } else {
        show(cx, "sql", &found, &options)?;
    }
    complete(&seen, &lost)
}

fn list_tables(cx: &Context) -> Result<Exit, Failure> {
    if cx.ui.is_json() {
        let mut document = documents::document("sql-tables");
        let column =
            |column: &index::Column| json!({"name": column.name, "type": column.kind.as_str(), "about": column.about});
        let table = |table: &index::tables::Table| json!({"name": table.name, "about": table.about, "columns": table.columns.iter().map(column).collect::<Vec<_>>()});
        document.insert("tables".to_owned(), index::tables::TABLES.iter().map(table).collect());
        cx.ui.document(document)?;
        return Ok(Exit::Done);
    }
    cx.ui.page(&cx.environment);
    for (n, one) in index::tables::TABLES.iter().enumerate() {
        let gap = if n > 0 { "\n" } else { "" };
        cx.ui.line(format_args!("{gap}{}: {}", cx.ui.painter().strong(one.name), one.about))?;
        let rows: Vec<Vec<String>> = one
            .columns
            .iter()
            .map(|column| vec![format!("  {}", column.name), column.kind.as_str().to_owned(), column.about.to_owned()])
            .collect();
        cx.ui.print(table::columns(&[], &rows))?;
    }
    Ok(Exit::Done)
}

/// The run or artifact whose facets are asked for.
pub(super) fn of_target(target: Target) -> Option<(prov::revspec::RunRef, Option<String>)> {
    match target {
        Target::Run(at) | Target::Outputs(at) => Some((at, None)),
        Target::Artifact(at, key) => Some((at, Some(key))),
        _ => None,
    }
}
