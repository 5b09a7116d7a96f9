//! What differs between two versions of a table: columns, rows, and what stands in them.
//!
//! Rows are compared by their order, the n-th with the n-th, or by the values of columns that tell them apart. What is in one table alone
//! counts as added or removed.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::codec::Value;

/// A table as far as it is compared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// The names of its columns, in order.
    pub columns: Vec<String>,
    /// Its rows, a value for each column.
    pub rows: Vec<Vec<Value>>,
    /// All its rows, if not all of them were read.
    pub count: Option<u64>,
    /// Types that its columns are said to have; otherwise they are told by what stands in them.
    pub kinds: BTreeMap<String, String>,
}

impl Table {
    fn count(&self) -> u64 {
        self.count.unwrap_or(self.rows.len() as u64)
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// The kind of what stands in a column: `integer`, `number`, `boolean`, `text`, `null` if nothing does.
    fn kind(&self, at: usize) -> String {
        if let Some(kind) = self.columns.get(at).and_then(|name| self.kinds.get(name)) {
            return kind.clone();
        }
        let mut kinds = HashSet::new();
        for row in &self.rows {
            kinds.insert(match row.get(at) {
                None | Some(Value::Null) => continue,
                Some(Value::Int(_)) => "integer",
                Some(Value::Float(_)) => "number",
                Some(Value::Bool(_)) => "boolean",
                Some(_) => "text",
            });
        }
        let only = |kind: &str| kinds.iter().all(|known| *known == kind);
        let kind = match () {
            () if kinds.is_empty() => "null",
            () if only("integer") => "integer",
            () if only("boolean") => "boolean",
            () if kinds.iter().all(|kind| matches!(*kind, "integer" | "number")) => "number",
            () => "text",
        };
        kind.to_owned()
    }
}

/// Numbers of a column in short.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// How many there are.
    pub count: u64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
}

/// What differs in a column that both tables have.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDifference {
    /// Its name.
    pub name: String,
    /// The kinds of what stands in it.
    pub kinds: (String, String),
    /// How many rows of both have another value in it.
    pub changed: u64,
    /// The first row that has, from 1, and what stands there.
    pub first: Option<(u64, Value, Value)>,
    /// Its numbers, if these are any.
    pub numbers: (Option<Summary>, Option<Summary>),
    /// The largest difference of two numbers in one row.
    pub largest: Option<f64>,
}

/// What differs between two tables.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TableDifference {
    /// How many rows each has.
    pub rows: (u64, u64),
    /// The columns by whose values rows were brought together; none if it was by their order.
    pub by: Vec<String>,
    /// How many rows only the first has.
    pub removed_rows: u64,
    /// How many rows only the second has.
    pub added_rows: u64,
    /// How many rows of both were compared.
    pub compared: u64,
    /// How many of these differ.
    pub changed_rows: u64,
    /// Columns that only the first has.
    pub removed: Vec<String>,
    /// Columns that only the second has.
    pub added: Vec<String>,
    /// Whether the columns of both stand in another order.
    pub reordered: bool,
    /// Columns of both in which something differs.
    pub columns: Vec<ColumnDifference>,
    /// How many columns of both are the same.
    pub same_columns: u64,
}

#[expect(clippy::cast_precision_loss, reason = "numbers in short")]
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

fn same(a: &Value, b: &Value) -> bool {
    a == b || matches!((number(a), number(b)), (Some(a), Some(b)) if a.to_bits() == b.to_bits())
}

#[expect(clippy::cast_precision_loss, reason = "a mean")]
fn summary(table: &Table, at: usize) -> Option<Summary> {
    let mut found: Option<(u64, f64, f64, f64)> = None;
    for value in table.rows.iter().filter_map(|row| row.get(at)) {
        if matches!(value, Value::Null) {
            continue;
        }
        // A column with something else in it has no numbers in short.
        let number = number(value)?;
        let (count, min, max, sum) = found.unwrap_or((0, number, number, 0.0));
        found = Some((count + 1, min.min(number), max.max(number), sum + number));
    }
    found.map(|(count, min, max, sum)| Summary { count, min, max, mean: sum / count as f64 })
}

/// The rows of a table by the values of columns; what is wrong if these don't tell them apart.
fn by_key<'a>(table: &'a Table, by: &[String]) -> Result<HashMap<String, (usize, &'a [Value])>, String> {
    let columns: Vec<usize> = by.iter().filter_map(|name| table.column(name)).collect();
    let mut rows = HashMap::with_capacity(table.rows.len());
    for (at, row) in table.rows.iter().enumerate() {
        let key: Vec<Value> = columns.iter().map(|at| row.get(*at).cloned().unwrap_or(Value::Null)).collect();
        // Equal numbers are equal keys, however they are written.
        let key = key.into_iter().map(|value| number(&value).map_or(value, Value::Float)).collect();
        let key = crate::config::to_json(&Value::List(key));
        if let Some((other, _)) = rows.insert(key.clone(), (at, row.as_slice())) {
            let (first, second) = (other + 1, at + 1);
            return Err(format!("rows {first} and {second} have the same {}: {key}", by.join(", ")));
        }
    }
    Ok(rows)
}

/// Compares two tables: rows with the same values of the columns `by`, if both have all of them, else by their order.
///
/// # Errors
/// The columns `by` don't tell the rows of one apart: which.
pub fn diff_tables(a: &Table, b: &Table, by: &[String]) -> Result<TableDifference, String> {
    let is_keyed = !by.is_empty() && by.iter().all(|name| a.column(name).is_some() && b.column(name).is_some());
    let mut pairs: Vec<(usize, &[Value], &[Value])> = Vec::new();
    let (mut removed_rows, mut added_rows) = (0, 0);
    if is_keyed {
        let mut new = by_key(b, by)?;
        let mut old: Vec<(String, (usize, &[Value]))> = by_key(a, by)?.into_iter().collect();
        old.sort_unstable_by_key(|(_, (at, _))| *at);
        for (key, (at, row)) in old {
            match new.remove(&key) {
                Some((_, other)) => pairs.push((at, row, other)),
                None => removed_rows += 1,
            }
        }
        added_rows = new.len() as u64;
    } else {
        let both = a.rows.iter().zip(&b.rows).enumerate();
        pairs.extend(both.map(|(at, (old, new))| (at, old.as_slice(), new.as_slice())));
        if a.count() > b.count() {
            removed_rows = a.count() - b.count();
        } else {
            added_rows = b.count() - a.count();
        }
    }
    let shared: Vec<(&String, usize, usize)> =
        a.columns.iter().enumerate().filter_map(|(at, name)| Some((name, at, b.column(name)?))).collect();
    let mut difference = TableDifference {
        rows: (a.count(), b.count()),
        by: if is_keyed { by.to_vec() } else { Vec::new() },
        removed_rows,
        added_rows,
        compared: pairs.len() as u64,
        removed: a.columns.iter().filter(|name| b.column(name).is_none()).cloned().collect(),
        added: b.columns.iter().filter(|name| a.column(name).is_none()).cloned().collect(),
        reordered: shared.windows(2).any(|pair| pair[0].2 > pair[1].2),
        ..TableDifference::default()
    };
    let mut rows = vec![false; pairs.len()];
    for (name, left, right) in shared {
        let (mut changed, mut first, mut largest) = (0, None, None::<f64>);
        for (pair, (at, old, new)) in pairs.iter().enumerate() {
            let (Some(old), Some(new)) = (old.get(left), new.get(right)) else { continue };
            if same(old, new) {
                continue;
            }
            changed += 1;
            rows[pair] = true;
            if first.is_none() {
                first = Some((*at as u64 + 1, old.clone(), new.clone()));
            }
            if let (Some(old), Some(new)) = (number(old), number(new)) {
                let delta = (new - old).abs();
                largest = Some(largest.map_or(delta, |known| known.max(delta)));
            }
        }
        let kinds = (a.kind(left), b.kind(right));
        let numbers = (summary(a, left), summary(b, right));
        let is_complete = removed_rows == 0 && added_rows == 0;
        if changed == 0 && kinds.0 == kinds.1 && (is_complete || numbers.0 == numbers.1) {
            difference.same_columns += 1;
            continue;
        }
        difference.columns.push(ColumnDifference { name: name.clone(), kinds, changed, first, numbers, largest });
    }
    difference.changed_rows = rows.into_iter().filter(|changed| *changed).count() as u64;
    Ok(difference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::rows::Cell;

    fn diff(a: &str, b: &str) -> TableDifference {
        diff_by(a, b, &[]).unwrap()
    }

    fn diff_by(a: &str, b: &str, by: &[&str]) -> Result<TableDifference, String> {
        let table = |text: &str| {
            let mut lines = text.lines().map(|line| line.split(','));
            let columns = lines.next().unwrap().map(ToOwned::to_owned).collect();
            let rows = lines.map(|line| line.map(|field| Cell::of_field(field).value).collect()).collect();
            Table { columns, rows, ..Table::default() }
        };
        let by: Vec<String> = by.iter().map(ToString::to_string).collect();
        diff_tables(&table(a), &table(b), &by)
    }

    #[test]
    fn rows_with_a_key_are_compared_wherever_they_stand() {
        let (old, new) = ("id,x\n1,10\n2,20\n3,30\n", "id,x\n0,5\n3.0,31\n1,10\n");
        let found = diff_by(old, new, &["id"]).unwrap();
        assert_eq!((found.compared, found.changed_rows, found.removed_rows, found.added_rows), (2, 1, 1, 1));
        assert_eq!(found.by, ["id"]);
        let x = found.columns.iter().find(|column| column.name == "x").unwrap();
        assert_eq!((x.changed, x.first.clone()), (1, Some((3, Value::Int(30), Value::Int(31)))));
        // By order, all three differ.
        assert_eq!(diff(old, new).changed_rows, 3);
        // A table without the column is compared by order.
        assert_eq!(diff_by("a\n1\n", "a\n2\n", &["id"]).unwrap().by, [""; 0]);
        let twice = diff_by("id,x\n1,1\n1,2\n", "id,x\n1,1\n", &["id"]).unwrap_err();
        assert_eq!(twice, "rows 1 and 2 have the same id: [1.0]");
    }

    #[test]
    fn several_columns_are_one_key() {
        let found = diff_by("y,z,v\n1,a,1\n1,b,2\n", "y,z,v\n1,b,2\n1,a,1\n", &["y", "z"]).unwrap();
        assert_eq!((found.compared, found.changed_rows, found.same_columns), (2, 0, 3));
    }

    #[test]
    fn changed_cells_are_counted_by_column() {
        let found = diff("id,x,y\n1,1.0,a\n2,2.0,b\n3,3.0,c\n", "id,x,y\n1,1.0,a\n2,2.5,b\n3,1.0,d\n");
        assert_eq!((found.rows, found.compared, found.changed_rows, found.same_columns), ((3, 3), 3, 2, 1));
        let x = &found.columns[0];
        assert_eq!((x.name.as_str(), x.changed, x.largest), ("x", 2, Some(2.0)));
        assert_eq!(x.first, Some((2, Value::Float(2.0), Value::Float(2.5))));
        assert_eq!(x.numbers.1, Some(Summary { count: 3, min: 1.0, max: 2.5, mean: 1.5 }));
        assert_eq!((found.columns[1].name.as_str(), found.columns[1].numbers), ("y", (None, None)));
    }

    #[test]
    fn columns_come_and_go_and_change_their_kind() {
        let found = diff("a,b,c\n1,2,3\n", "c,a,d\n3,x,4\n");
        assert_eq!((found.removed, found.added, found.reordered), (vec!["b".to_owned()], vec!["d".to_owned()], true));
        assert_eq!(found.columns[0].kinds, ("integer".to_owned(), "text".to_owned()));
        assert_eq!(found.same_columns, 1);
    }

    #[test]
    fn one_and_one_point_zero_are_the_same_number() {
        assert!(diff("a\n1\n", "a\n1.0\n").columns.iter().all(|column| column.changed == 0));
        let longer = diff("a\n1\n", "a\n1\n2\n");
        assert_eq!((longer.rows, longer.compared, longer.columns.len()), ((1, 2), 1, 1));
    }
}
