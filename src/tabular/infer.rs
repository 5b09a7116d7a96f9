//! Finding out the types of columns by looking at rows.

use std::collections::HashSet;

use super::{Column, Form, Profile, Source, Stats, Value, next_line, opened, parquet};

/// Different values of a column that are counted at most.
const MOST_DISTINCT: usize = 1_000;
/// Columns at most: what has more is no table.
const MOST_COLUMNS: usize = 100_000;

/// How much of a table is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampled {
    /// All rows.
    All,
    /// So many rows from the beginning; the others are counted.
    First(u64),
}

/// Finds out what a table is.
///
/// # Errors
/// What is wrong with the file.
pub fn profile(form: Form, source: &mut dyn Source, packed: bool, sampled: Sampled) -> Result<Profile, String> {
    if form == Form::Parquet {
        return parquet::profile(source);
    }
    let most = match sampled {
        Sampled::All => u64::MAX,
        Sampled::First(n) => n,
    };
    let mut reader = opened(source, packed);
    let mut seen = Seen::default();
    let mut rows = 0u64;
    match form {
        Form::Csv(delimiter) => {
            let mut records = crate::config::csv::Records::new(&mut *reader, delimiter);
            let head = records.next()?.ok_or("it has no header")?;
            for name in &head {
                if seen.columns.iter().any(|column| column.name == *name) {
                    return Err(format!("two columns are called `{name}`"));
                }
                seen.add(name)?;
            }
            while let Some(fields) = records.next()? {
                rows += 1;
                if fields.len() != head.len() {
                    return Err(format!(
                        "the record that ends in line {} has {} fields, the header {}",
                        records.line(),
                        fields.len(),
                        head.len()
                    ));
                }
                if rows <= most {
                    for (column, field) in seen.columns.iter_mut().zip(&fields) {
                        column.text(field);
                    }
                }
            }
        }
        Form::JsonLines => {
            let mut line = Vec::new();
            while next_line(&mut *reader, &mut line)? {
                if line.trim_ascii().is_empty() {
                    continue;
                }
                rows += 1;
                if rows <= most {
                    let record = record(&line).map_err(|err| format!("record {rows}: {err}"))?;
                    for (name, value) in &record {
                        let at = match seen.columns.iter().position(|column| column.name == *name) {
                            Some(at) => at,
                            None => seen.add(name)?,
                        };
                        seen.columns[at].json(value);
                    }
                }
            }
        }
        Form::Parquet => {}
    }
    let sampled = rows.min(most);
    let columns = seen.columns.into_iter().map(|column| column.done(sampled)).collect();
    Ok(Profile { form, rows: Some(rows), sampled, columns })
}

/// The entries of a line of JSON.
pub(super) fn record(line: &[u8]) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    match serde_json::from_slice(line) {
        Ok(serde_json::Value::Object(entries)) => Ok(entries),
        Ok(_) => Err("a line is no JSON object".to_owned()),
        Err(err) => Err(err.to_string()),
    }
}

/// A value of JSON as a cell.
pub(super) fn plain(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(b) => Value::Bool(*b),
        serde_json::Value::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(n), _) => Value::Int(n),
            (None, Some(n)) => Value::Float(n),
            (None, None) => Value::Text(n.to_string()),
        },
        serde_json::Value::String(text) => Value::Text(text.clone()),
        other => Value::Text(other.to_string()),
    }
}

/// The types of values, from the narrowest to the widest where one is in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Boolean,
    Int64,
    Double,
    Date,
    Timestamp,
    String,
    List,
    Struct,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::Int64 => "int64",
            Kind::Double => "double",
            Kind::Date => "date",
            Kind::Timestamp => "timestamp",
            Kind::String => "string",
            Kind::List => "list",
            Kind::Struct => "struct",
        }
    }

    /// The narrowest type that has the values of both.
    fn with(self, other: Self) -> Self {
        match (self.min(other), self.max(other)) {
            (a, b) if a == b => a,
            (Kind::Int64, Kind::Double) => Kind::Double,
            (Kind::Date, Kind::Timestamp) => Kind::Timestamp,
            _ => Kind::String,
        }
    }
}

#[derive(Default)]
struct Seen {
    columns: Vec<Watched>,
}

impl Seen {
    fn add(&mut self, name: &str) -> Result<usize, String> {
        if self.columns.len() >= MOST_COLUMNS {
            return Err(format!("it has more than {MOST_COLUMNS} columns"));
        }
        self.columns.push(Watched { name: name.to_owned(), ..Watched::default() });
        Ok(self.columns.len() - 1)
    }
}

/// A column that is being looked at.
#[derive(Default)]
struct Watched {
    name: String,
    kind: Option<Kind>,
    values: u64,
    distinct: HashSet<String>,
    numbers: Option<(f64, f64, f64)>,
    texts: Option<(String, String)>,
}

impl Watched {
    fn text(&mut self, field: &str) {
        if !field.is_empty() {
            self.take(kind_of(field), field);
        }
    }

    fn json(&mut self, value: &serde_json::Value) {
        let kind = match value {
            serde_json::Value::Null => return,
            serde_json::Value::Bool(_) => Kind::Boolean,
            serde_json::Value::Number(n) if n.is_i64() || n.is_u64() => Kind::Int64,
            serde_json::Value::Number(_) => Kind::Double,
            // Text that looks like a time is text where everything else has a type of its own.
            serde_json::Value::String(text) => {
                let found = kind_of(text);
                self.take(if matches!(found, Kind::Date | Kind::Timestamp) { found } else { Kind::String }, text);
                return;
            }
            serde_json::Value::Array(_) => Kind::List,
            serde_json::Value::Object(_) => Kind::Struct,
        };
        self.take(kind, &value.to_string());
    }

    fn take(&mut self, kind: Kind, text: &str) {
        self.values += 1;
        self.kind = Some(self.kind.map_or(kind, |known| known.with(kind)));
        if self.distinct.len() < MOST_DISTINCT && !self.distinct.contains(text) {
            self.distinct.insert(text.chars().take(256).collect());
        }
        if matches!(kind, Kind::Int64 | Kind::Double)
            && let Ok(n) = text.parse::<f64>()
        {
            let (least, most, sum) = self.numbers.unwrap_or((n, n, 0.0));
            self.numbers = Some((least.min(n), most.max(n), sum + n));
        }
        let short = || text.chars().take(64).collect::<String>();
        match &mut self.texts {
            None => self.texts = Some((short(), short())),
            Some((least, most)) => {
                if text < least.as_str() {
                    *least = short();
                }
                if text > most.as_str() {
                    *most = short();
                }
            }
        }
    }

    fn done(self, rows: u64) -> (Column, Stats) {
        let kind = self.kind.map_or("null", Kind::as_str);
        let nulls = rows.saturating_sub(self.values);
        let is_number = matches!(self.kind, Some(Kind::Int64 | Kind::Double));
        let number = |n: f64| {
            #[expect(clippy::cast_possible_truncation, reason = "an integer that a double holds exactly")]
            if self.kind == Some(Kind::Int64) && n.abs() < 9e15 { Value::Int(n as i64) } else { Value::Float(n) }
        };
        let (min, max) = match (&self.numbers, &self.texts) {
            (Some((least, most, _)), _) if is_number => (Some(number(*least)), Some(number(*most))),
            (_, Some((least, most))) if !matches!(self.kind, Some(Kind::List | Kind::Struct)) => {
                (Some(Value::Text(least.clone())), Some(Value::Text(most.clone())))
            }
            _ => (None, None),
        };
        #[expect(clippy::cast_precision_loss, reason = "a mean")]
        let mean = self.numbers.filter(|_| is_number).map(|(_, _, sum)| sum / self.values as f64);
        let distinct = u64::try_from(self.distinct.len()).ok();
        (
            Column { name: self.name, kind: kind.to_owned(), is_nullable: nulls > 0 || rows == 0 },
            Stats { nulls, distinct, min, max, mean },
        )
    }
}

/// The narrowest type that this text is a value of.
fn kind_of(text: &str) -> Kind {
    if text == "true" || text == "false" || text == "True" || text == "False" {
        return Kind::Boolean;
    }
    let first = text.as_bytes().first().copied().unwrap_or(0);
    if first.is_ascii_digit() || b"+-.".contains(&first) {
        // `007` is a name, not a number: writing it as one would change it.
        let digits = text.trim_start_matches(['+', '-']);
        let is_padded = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
        if !is_padded {
            if text.parse::<i64>().is_ok() {
                return Kind::Int64;
            }
            if text.parse::<f64>().is_ok() {
                return Kind::Double;
            }
        }
        let shape: Vec<u8> = text.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b }).collect();
        if shape == b"0000-00-00" {
            return Kind::Date;
        }
        let is_time = shape.starts_with(b"0000-00-00T00:00") || shape.starts_with(b"0000-00-00 00:00");
        if is_time && crate::clock::Micros::parse(&text.replacen(' ', "T", 1)).is_some() {
            return Kind::Timestamp;
        }
    }
    Kind::String
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn of(form: Form, text: &str) -> Result<Profile, String> {
        profile(form, &mut Cursor::new(text.as_bytes().to_vec()), false, Sampled::All)
    }

    fn kinds(profile: &Profile) -> Vec<(String, String, bool)> {
        profile.columns.iter().map(|(c, _)| (c.name.clone(), c.kind.clone(), c.is_nullable)).collect()
    }

    #[test]
    fn types_are_the_narrowest_that_hold_all_values() {
        let found = of(
            Form::Csv(b','),
            "i,d,b,day,at,s,zip,e\n1,1,true,2026-01-02,2026-01-02T03:04:05Z,x,01,\n2,2.5,false,2026-01-03,2026-01-02,\"y,z\",02,\n",
        )
        .unwrap();
        let expected = [
            ("i", "int64"),
            ("d", "double"),
            ("b", "boolean"),
            ("day", "date"),
            ("at", "timestamp"),
            ("s", "string"),
            ("zip", "string"),
            ("e", "null"),
        ];
        for ((name, kind, _), (wanted, what)) in kinds(&found).iter().zip(expected) {
            assert_eq!((name.as_str(), kind.as_str()), (wanted, what));
        }
        assert_eq!(found.rows, Some(2));
        assert_eq!(found.columns[1].1.mean, Some(1.75));
        assert_eq!(found.columns[0].1.max, Some(Value::Int(2)));
    }

    #[test]
    fn lines_of_json_may_lack_keys() {
        let found = of(Form::JsonLines, "{\"a\":1}\n\n{\"a\":2.5,\"b\":[1]}\n").unwrap();
        assert_eq!(
            kinds(&found),
            [("a".to_owned(), "double".to_owned(), false), ("b".to_owned(), "list".to_owned(), true)]
        );
        assert!(of(Form::JsonLines, "[1]\n").is_err());
    }

    #[test]
    fn only_the_sample_is_looked_at_and_all_is_counted() {
        let mut source = Cursor::new(b"a\n1\n2\nx\n".to_vec());
        let found = profile(Form::Csv(b','), &mut source, false, Sampled::First(2)).unwrap();
        assert_eq!((found.rows, found.sampled, found.columns[0].0.kind.as_str()), (Some(3), 2, "int64"));
        assert!(of(Form::Csv(b','), "a,b\n1\n").unwrap_err().contains("1 fields"));
        assert!(of(Form::Csv(b','), "a,a\n").unwrap_err().contains("two columns"));
    }
}
