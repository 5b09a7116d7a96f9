//! Finding runs and artifacts: from expressions to SQL, with every name and every type looked at before.

use rusqlite::OptionalExtension;

use super::literal::{guessed, typed};
use super::near::near;
use super::predicate::{Comparison, Expr, Literal};
use super::read::{Answer, Cell, Heading};
use super::tables::{self, Column, Kind, Table};
use super::{Error, Index, ValueKind, read};
use crate::clock::Micros;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum What {
    /// Runs.
    #[default]
    Runs,
    /// Inputs and outputs.
    Artifacts,
}

/// In which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// By this column, or facet and the like.
    pub name: String,
    /// The greatest first.
    pub is_descending: bool,
}

/// A question.
#[derive(Debug, Clone, Default)]
pub struct Find {
    /// For what.
    pub what: What,
    /// Of which project; `None` for all.
    pub project: Option<String>,
    /// Of one of these scenarios; of any if there are none.
    pub scenarios: Vec<String>,
    /// Whether hidden runs are meant as well.
    pub hidden: bool,
    /// All of these hold.
    pub expressions: Vec<Expr>,
    /// This text stands in a name, a step, a description, a command, a tag, or a note.
    pub text: Option<String>,
    /// Among these runs, by run id; `None` for all.
    pub runs: Option<Vec<String>>,
    /// Of artifacts: outputs of this run.
    pub creator: Option<String>,
    /// Of artifacts: inputs of this run.
    pub consumer: Option<String>,
    /// The columns that are wanted; none for the usual ones.
    pub columns: Vec<String>,
    /// Whether the usual ones are those for programs: ids in full.
    pub in_full: bool,
    /// In which order; the newest run first if nothing is said.
    pub order: Vec<Order>,
    /// At most so many.
    pub limit: Option<usize>,
    /// The moment that `2d` counts back from.
    pub now: Micros,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// Columns and rows.
    pub answer: Answer,
    /// Runs of which facets and the like were left out of the index because there are too many, if the question is about such.
    pub left_out: usize,
}

/// The columns that are shown if none are asked for.
const RUN_COLUMNS: [&str; 7] = ["id", "step", "scenario", "status", "cache", "started_at", "duration_ms"];
const RUN_COLUMNS_IN_FULL: [&str; 10] =
    ["run", "object", "name", "step", "scenario", "kind", "status", "cache", "started_at", "duration_ms"];
const ARTIFACT_COLUMNS_IN_FULL: [&str; 12] = [
    "run",
    "role",
    "key",
    "member",
    "path",
    "size",
    "content",
    "content_type",
    "format",
    "step",
    "scenario",
    "started_at",
];
const ARTIFACT_COLUMNS: [&str; 7] = ["run", "role", "key", "path", "size", "content", "started_at"];

/// A name, understood.
#[derive(Debug, Clone)]
enum Named {
    /// A column of the table.
    Column(&'static Column),
    /// Whether the run has this label.
    Tag,
    /// A facet and the like.
    Value { kind: ValueKind, of_run: bool, namespace: Namespace, key: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Namespace {
    /// That of the step.
    Own,
    /// Whichever.
    Any,
    /// This one.
    Named(String),
}

struct Query<'a> {
    index: &'a Index,
    find: &'a Find,
    table: &'static Table,
    parameters: Vec<Cell>,
    asks_values: bool,
}

impl Find {
    /// The columns that it shows if none are asked for: the usual ones, and those it asks about.
    pub fn usual_columns(&self) -> Vec<String> {
        let usual: &[&str] = match (self.what, self.in_full) {
            (What::Runs, false) => &RUN_COLUMNS,
            (What::Runs, true) => &RUN_COLUMNS_IN_FULL,
            (What::Artifacts, false) => &ARTIFACT_COLUMNS,
            (What::Artifacts, true) => &ARTIFACT_COLUMNS_IN_FULL,
        };
        let mut names: Vec<String> = usual.iter().map(|name| (*name).to_owned()).collect();
        let asked = self.expressions.iter().flat_map(Expr::names);
        for name in asked.chain(self.order.iter().map(|order| order.name.as_str())) {
            if !names.iter().any(|known| known == name) && name != "tag" {
                names.push(name.to_owned());
            }
        }
        names
    }
}

impl Find {
    /// Whether it asks about facets, labels, named runs or the like, which lead to runs by themselves.
    fn is_narrow(&self) -> bool {
        let names = self.expressions.iter().flat_map(Expr::names);
        let mut narrow =
            names.filter(|name| name.contains('.') || matches!(*name, "tag" | "run" | "object" | "recipe"));
        self.runs.is_some() || narrow.next().is_some()
    }
}

impl Index {
    /// Finds runs or artifacts.
    ///
    /// # Errors
    /// Unknown names and wrong types, with suggestions; SQLite's.
    pub fn find(&self, find: &Find) -> Result<Found, Error> {
        let table = match find.what {
            What::Runs => &tables::RUNS,
            What::Artifacts => &tables::ARTIFACTS,
        };
        let mut query = Query { index: self, find, table, parameters: Vec::new(), asks_values: false };
        let (sql, columns) = query.sql()?;
        let mut statement = self.connection.prepare_cached(&sql)?;
        let answer = read::rows(&mut statement, &query.parameters, columns)?;
        let left_out = if query.asks_values { self.left_out()? } else { 0 };
        Ok(Found { answer, left_out })
    }

    fn left_out(&self) -> Result<usize, Error> {
        let mut count = self.connection.prepare_cached("select count(*) from t_runs where left_out > 0")?;
        let n: i64 = count.query_row([], |row| row.get(0))?;
        Ok(usize::try_from(n).unwrap_or(0))
    }
}

impl Query<'_> {
    fn parameter(&mut self, cell: Cell) -> String {
        self.parameters.push(cell);
        format!("?{}", self.parameters.len())
    }

    fn text(&mut self, text: &str) -> String {
        self.parameter(Cell::Text(text.to_owned()))
    }

    /// The statement, and what its columns are.
    fn sql(&mut self) -> Result<(String, Vec<Heading>), Error> {
        let names = if self.find.columns.is_empty() { self.find.usual_columns() } else { self.find.columns.clone() };
        let mut columns = Vec::new();
        let mut selected = Vec::new();
        for name in &names {
            let named = self.name(name)?;
            let kind = match &named {
                Named::Column(column) => column.kind,
                Named::Tag => Kind::Text,
                Named::Value { .. } => Kind::Any,
            };
            selected.push(self.scalar(&named));
            columns.push(Heading { name: name.clone(), kind });
        }
        let mut all = Vec::new();
        // What few runs have is found first, and then sorted: SQLite would rather walk through all runs in the right order.
        let is_narrow = self.find.is_narrow();
        let plus = if is_narrow { "+" } else { "" };
        if let Some(project) = &self.find.project {
            let project = self.text(project);
            all.push(format!("{plus}r.project = {project}"));
        }
        if !self.find.scenarios.is_empty() {
            let names: Vec<String> = self.find.scenarios.iter().map(|name| self.text(name)).collect();
            all.push(format!("r.scenario in ({})", names.join(", ")));
        }
        if !self.find.hidden {
            all.push("r.hidden = 0".to_owned());
        }
        if let Some(runs) = &self.find.runs {
            let list = list(runs);
            let list = self.text(&list);
            all.push(format!("r.run in (select value from json_each({list}))"));
        }
        for (run, is_output) in [(&self.find.creator, 1), (&self.find.consumer, 0)] {
            if let Some(run) = run {
                let run = self.text(run);
                all.push(format!("a.is_output = {is_output} and r.run = {run}"));
            }
        }
        if let Some(text) = &self.find.text {
            all.push(self.contains(text));
        }
        for expr in &self.find.expressions {
            let sql = self.expr(expr)?;
            all.push(format!("({sql})"));
        }
        let mut order = Vec::new();
        for one in &self.find.order {
            let named = self.name(&one.name)?;
            let scalar = self.scalar(&named);
            order.push(format!("{scalar} {} nulls last", if one.is_descending { "desc" } else { "asc" }));
        }
        order.push(format!("{plus}r.started_us desc, r.n desc"));
        if self.find.what == What::Artifacts {
            order.push("a.is_output desc, a.key, a.member".to_owned());
        }
        let filter = if all.is_empty() { "1".to_owned() } else { all.join(" and ") };
        let limit = self.find.limit.map_or(String::new(), |n| format!(" limit {n}"));
        let sql = format!(
            "select {} from {} where {filter} order by {}{limit}",
            selected.join(", "),
            self.table.from,
            order.join(", ")
        );
        Ok((sql, columns))
    }

    fn contains(&mut self, text: &str) -> String {
        let pattern = format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        let p = self.text(&pattern);
        let like = |column: &str| format!("{column} like {p} escape '\\'");
        let mut any: Vec<String> =
            ["r.name", "r.step", "r.description", "r.command", "r.error", "r.run"].iter().map(|c| like(c)).collect();
        if self.find.what == What::Artifacts {
            any.extend([like("a.key"), like("a.path")]);
        }
        any.push(format!("r.n in (select t.owner from t_tags t where {})", like("t.tag")));
        any.push(format!("r.object in (select o.object from t_notes o where {})", like("o.text")));
        format!("({})", any.join(" or "))
    }

    fn name(&self, name: &str) -> Result<Named, Error> {
        let is_artifact = self.find.what == What::Artifacts;
        if name == "tag" {
            return Ok(Named::Tag);
        }
        if let Some(column) = self.table.column(name) {
            return Ok(Named::Column(column));
        }
        let (of_run, rest) = match name.strip_prefix("run.") {
            Some(rest) => (true, rest),
            None => (!is_artifact, name),
        };
        if of_run
            && is_artifact
            && let Some(column) = tables::RUNS.column(rest)
        {
            return Ok(Named::Column(column));
        }
        if let Some((word, path)) = rest.split_once('.')
            && let Some(kind) = ValueKind::of(word)
            && !path.is_empty()
        {
            // Only facets are said of artifacts; the rest is the run's.
            let of_run = of_run || kind != ValueKind::Facet;
            let (namespace, key) = match path.split_once(':') {
                Some(("*", key)) => (Namespace::Any, key),
                Some((namespace, key)) if kind == ValueKind::Facet => (Namespace::Named(namespace.to_owned()), key),
                _ if kind == ValueKind::Facet && of_run => (Namespace::Own, path),
                _ => (Namespace::Any, path),
            };
            let named = Named::Value { kind, of_run, namespace, key: key.to_owned() };
            self.is_known(&named, name)?;
            return Ok(named);
        }
        let mut known: Vec<String> = self.table.columns.iter().map(|column| column.name.to_owned()).collect();
        known.push("tag".to_owned());
        // A key that was meant and lacks its kind.
        let mut find = self
            .index
            .connection
            .prepare_cached("select distinct what from t_values where key = ? and output = '' limit 5")?;
        let kinds: Vec<i64> = find.query_map([name], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let meant: Vec<String> = kinds
            .iter()
            .filter_map(|kind| ValueKind::ALL.get(usize::try_from(*kind).ok()?))
            .map(|kind| format!("{}.{name}", kind.as_str()))
            .collect();
        let near = if meant.is_empty() { near(name, &known) } else { meant };
        Err(Error::NoColumn { name: name.to_owned(), known: if near.is_empty() { known } else { near } })
    }

    /// Refuses a key that nothing on record has.
    fn is_known(&self, named: &Named, name: &str) -> Result<(), Error> {
        let Named::Value { kind, key, .. } = named else { return Ok(()) };
        let connection = &self.index.connection;
        let mut find = connection.prepare_cached("select 1 from t_values where what = ? and key = ? limit 1")?;
        if find.exists(rusqlite::params![*kind as i64, key])? {
            return Ok(());
        }
        // From one key to the next, so that a hundred thousand runs with the same keys are a hundred looks.
        let mut next = connection.prepare_cached("select min(key) from t_values where what = ? and key > ?")?;
        let (mut known, mut last) = (Vec::new(), String::new());
        while let Some(found) = next
            .query_row(rusqlite::params![*kind as i64, last], |row| row.get::<_, Option<String>>(0))
            .optional()?
            .flatten()
        {
            known.push(found.clone());
            last = found;
            if known.len() >= 2_000 {
                break;
            }
        }
        let like = near(key, &known);
        let known = if like.is_empty() { known.into_iter().take(12).collect() } else { like };
        let known = known.into_iter().map(|key: String| format!("{}.{key}", kind.as_str())).collect();
        Err(Error::NoKey { what: kind.as_str(), name: name.to_owned(), known })
    }

    /// The types that the values of a key have: from one to the next, since a hundred thousand runs may have the key.
    fn types(&self, kind: ValueKind, key: &str) -> Result<Vec<String>, Error> {
        let mut next = self
            .index
            .connection
            .prepare_cached("select min(type) from t_values where what = ? and key = ? and type > ?")?;
        let mut types: Vec<String> = Vec::new();
        loop {
            let last = types.last().map_or("", String::as_str);
            let found: Option<String> = next.query_row(rusqlite::params![kind as i64, key, last], |row| row.get(0))?;
            match found {
                Some(found) => types.push(found),
                None => return Ok(types),
            }
        }
    }

    /// The condition that finds the values of a name.
    fn values(&mut self, named: &Named) -> String {
        let Named::Value { kind, of_run, namespace, key } = named else { return "0".to_owned() };
        self.asks_values = true;
        let key = self.text(key);
        let output = match (of_run, kind) {
            (_, ValueKind::Param) => "1",
            (true, _) => "v.output = ''",
            (false, _) => "v.output = iif(a.member = '', a.key, a.key || '/' || a.member) and a.is_output = 1",
        };
        let namespace = match namespace {
            Namespace::Any => String::new(),
            Namespace::Own => " and (v.namespace = '' or v.namespace = r.step)".to_owned(),
            Namespace::Named(name) => {
                let name = self.text(name);
                format!(" and (v.namespace = {name} or v.namespace = '' and r.step = {name})")
            }
        };
        format!("v.what = {} and v.key = {key} and {output}{namespace}", *kind as i64)
    }

    fn owner(named: &Named) -> &'static str {
        match named {
            Named::Value { kind: ValueKind::Param, .. } => "r.config_n",
            _ => "r.n",
        }
    }

    /// What stands in a column for a name.
    fn scalar(&mut self, named: &Named) -> String {
        match named {
            Named::Column(column) => column.from.to_owned(),
            Named::Tag => "(select group_concat(t.tag, ', ') from t_tags t where t.owner = r.n)".to_owned(),
            Named::Value { .. } => {
                let values = self.values(named);
                let owner = Self::owner(named);
                format!("(select v.value from t_values v where v.owner = {owner} and {values} limit 1)")
            }
        }
    }

    fn expr(&mut self, expr: &Expr) -> Result<String, Error> {
        let joined = |all: &[Expr], word: &str, query: &mut Self| -> Result<String, Error> {
            let parts: Vec<String> = all.iter().map(|one| query.expr(one)).collect::<Result<_, _>>()?;
            Ok(format!("({})", parts.join(word)))
        };
        match expr {
            Expr::All(all) => joined(all, " and ", self),
            Expr::Any(any) => joined(any, " or ", self),
            Expr::Not(one) => {
                let one = self.expr(one)?;
                // What is neither true nor false is not so.
                Ok(format!("not coalesce({one}, 0)"))
            }
            Expr::Has(name) => {
                let named = self.name(name)?;
                Ok(match &named {
                    Named::Column(column) if column.kind == Kind::Bool => format!("coalesce({}, 0) <> 0", column.from),
                    Named::Column(column) => format!("{} is not null", column.from),
                    Named::Tag => "exists (select 1 from t_tags t where t.owner = r.n)".to_owned(),
                    Named::Value { .. } => {
                        let values = self.values(&named);
                        let owner = Self::owner(&named);
                        format!(
                            "exists (select 1 from t_values v where v.owner = {owner} and {values} and not (v.type = 'bool' and v.value = 0))"
                        )
                    }
                })
            }
            Expr::Compare(name, comparison, literals) => {
                let named = self.name(name)?;
                match &named {
                    Named::Column(column) => self.compare_column(name, column, *comparison, literals),
                    Named::Tag => {
                        let test = self.compare_text("t.tag", positive(*comparison), literals);
                        if matches!(
                            comparison,
                            Comparison::Less | Comparison::AtMost | Comparison::More | Comparison::AtLeast
                        ) {
                            return Err(Error::NoOrder { name: name.clone(), is: "a label" });
                        }
                        let found = format!("r.n in (select t.owner from t_tags t where {test})");
                        Ok(if positive(*comparison) == *comparison { found } else { format!("not {found}") })
                    }
                    Named::Value { .. } => self.compare_value(name, &named, *comparison, literals),
                }
            }
        }
    }

    fn compare_text(&mut self, column: &str, comparison: Comparison, literals: &[Literal]) -> String {
        let values: Vec<String> = literals.iter().map(|one| self.text(&one.text)).collect();
        compared(column, comparison, &values)
    }

    fn compare_column(
        &mut self,
        name: &str,
        column: &Column,
        comparison: Comparison,
        literals: &[Literal],
    ) -> Result<String, Error> {
        let is_order =
            matches!(comparison, Comparison::Less | Comparison::AtMost | Comparison::More | Comparison::AtLeast);
        if is_order && column.kind == Kind::Bool {
            return Err(Error::NoOrder { name: name.to_owned(), is: column.kind.described() });
        }
        let is_pattern = matches!(comparison, Comparison::Like | Comparison::Unlike);
        if is_pattern && !matches!(column.kind, Kind::Text | Kind::Any) {
            return Err(Error::NoOrder { name: name.to_owned(), is: column.kind.described() });
        }
        let is_null = |literal: &Literal| !literal.is_quoted && literal.text == "null";
        if let [one] = literals
            && is_null(one)
            && matches!(comparison, Comparison::Is | Comparison::IsNot)
        {
            let not = if comparison == Comparison::IsNot { "not " } else { "" };
            return Ok(format!("{} is {not}null", column.from));
        }
        if column.name == "id" && matches!(comparison, Comparison::Is) {
            // People type the beginning of it.
            let pattern =
                format!("{}*", literals.first().map_or("", |one| one.text.as_str()).replace(['*', '?', '['], ""));
            let pattern = self.text(&pattern);
            return Ok(format!("{} glob {pattern}", column.from));
        }
        let now = self.find.now;
        let mut values = Vec::new();
        for literal in literals {
            let cell = typed(column.kind, literal, now).ok_or_else(|| Error::WrongType {
                name: name.to_owned(),
                is: column.kind.described(),
                value: literal.text.clone(),
            })?;
            values.push(self.parameter(cell));
        }
        Ok(compared(column.from, comparison, &values))
    }

    fn compare_value(
        &mut self,
        name: &str,
        named: &Named,
        comparison: Comparison,
        literals: &[Literal],
    ) -> Result<String, Error> {
        let Named::Value { kind, key, .. } = named else { return Ok("0".to_owned()) };
        let is_order =
            matches!(comparison, Comparison::Less | Comparison::AtMost | Comparison::More | Comparison::AtLeast);
        let mut cells = Vec::new();
        for literal in literals {
            cells.push(guessed(literal));
        }
        let wanted: &[&str] = match &cells[..] {
            _ if matches!(comparison, Comparison::Like | Comparison::Unlike) => &["text"],
            cells if cells.iter().all(|cell| matches!(cell, Cell::Int(_) | Cell::Real(_))) => &["int", "float"],
            cells if cells.iter().all(|cell| matches!(cell, Cell::Bool(_))) => &["bool"],
            cells if cells.iter().all(|cell| *cell == Cell::Null) => &["null"],
            _ => {
                // Of a list of several types, or of text: numbers in it are text as typed.
                for (cell, literal) in cells.iter_mut().zip(literals) {
                    *cell = Cell::Text(literal.text.clone());
                }
                &["text"]
            }
        };
        if wanted == ["bool"] && is_order {
            return Err(Error::NoOrder { name: name.to_owned(), is: "true or false" });
        }
        let have = self.types(*kind, key)?;
        if !have.iter().any(|one| wanted.contains(&one.as_str()) || one == "null") {
            let is = match have.first().map_or("", String::as_str) {
                "int" | "float" => "a number",
                "bool" => "true or false",
                "text" => "text",
                "list" => "a list",
                _ => "a map",
            };
            let value = literals.first().map_or_else(String::new, |one| one.text.clone());
            return Err(Error::WrongType { name: name.to_owned(), is, value });
        }
        let values: Vec<String> = cells.into_iter().map(|cell| self.parameter(cell)).collect();
        let types: Vec<String> = wanted.iter().map(|one| format!("'{one}'")).collect();
        let test = if wanted == ["null"] {
            if comparison == Comparison::IsNot { "v.type <> 'null'".to_owned() } else { "v.type = 'null'".to_owned() }
        } else {
            format!("{} and v.type in ({})", compared("v.value", comparison, &values), types.join(", "))
        };
        let found = self.values(named);
        let Named::Value { of_run, namespace, .. } = named else { return Ok("0".to_owned()) };
        let owner = Self::owner(named);
        if *of_run && *namespace == Namespace::Any {
            return Ok(format!("{owner} in (select v.owner from t_values v where {found} and {test})"));
        }
        if *of_run {
            // The namespace needs the run; the values come first all the same.
            let bare = format!("v.what = {} and v.key = {}", *kind as i64, self.text(key));
            return Ok(format!(
                "({owner} in (select v.owner from t_values v where {bare} and {test}) and exists (select 1 from t_values v where v.owner = {owner} and {found} and {test}))"
            ));
        }
        Ok(format!("exists (select 1 from t_values v where v.owner = r.n and {found} and {test})"))
    }
}

fn positive(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::IsNot => Comparison::Is,
        Comparison::Unlike => Comparison::Like,
        Comparison::NotIn => Comparison::In,
        other => other,
    }
}

fn compared(column: &str, comparison: Comparison, values: &[String]) -> String {
    let first = values.first().map_or("null", String::as_str);
    match comparison {
        Comparison::Is => format!("{column} = {first}"),
        Comparison::IsNot => format!("{column} <> {first}"),
        Comparison::Less => format!("{column} < {first}"),
        Comparison::AtMost => format!("{column} <= {first}"),
        Comparison::More => format!("{column} > {first}"),
        Comparison::AtLeast => format!("{column} >= {first}"),
        Comparison::Like => format!("{column} glob {first}"),
        Comparison::Unlike => format!("{column} not glob {first}"),
        Comparison::In => format!("{column} in ({})", values.join(", ")),
        Comparison::NotIn => format!("{column} not in ({})", values.join(", ")),
    }
}

/// A list of texts as JSON.
pub(super) fn list(items: &[String]) -> String {
    serde_json::Value::from(items).to_string()
}
