//! Tables of answers: aligned for people, CSV and JSON for programs.

use prov::clock::Micros;
use prov::index::{Answer, Cell, Kind};
use serde_json::{Map, Value, json};

use super::{human, json as documents, table};
use crate::output::record::shown;

/// Adds `columns`, `types` and `rows` to a document.
pub(crate) fn put(document: &mut Map<String, Value>, answer: &Answer) {
    document.insert("columns".to_owned(), answer.columns.iter().map(|column| json!(column.name)).collect());
    document.insert("types".to_owned(), answer.columns.iter().map(|column| json!(column.kind.as_str())).collect());
    document
        .insert("rows".to_owned(), answer.rows.iter().map(|row| row.iter().map(value).collect::<Value>()).collect());
}

/// A cell as JSON.
pub(crate) fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(b) => json!(b),
        Cell::Int(n) => json!(n),
        Cell::Real(n) => json!(n),
        Cell::Text(text) => json!(text),
        Cell::Bytes(bytes) => json!({ "b64": documents::base64(bytes) }),
    }
}

/// The answer as CSV: a head line, fields in quotes where they need them, lines that end as RFC 4180 lets them.
pub(crate) fn csv(answer: &Answer) -> String {
    let field = |text: &str| {
        if text.contains(['"', ',', '\n', '\r']) || text.starts_with(' ') || text.ends_with(' ') {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let mut out = String::new();
    let head: Vec<String> = answer.columns.iter().map(|column| field(&column.name)).collect();
    out.push_str(&head.join(","));
    out.push('\n');
    for row in &answer.rows {
        let cells: Vec<String> = row.iter().map(|cell| field(&cell.to_text())).collect();
        // A line with nothing in it would be no line at all.
        out.push_str(if cells.len() == 1 && cells[0].is_empty() { "\"\"" } else { "" });
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    out
}

/// A cell for people.
pub(crate) fn text(name: &str, kind: Kind, cell: &Cell) -> String {
    match (kind, cell) {
        (_, Cell::Null) => "-".to_owned(),
        (Kind::Time, Cell::Text(at)) => Micros::parse(at).map_or_else(|| at.clone(), human::time),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration is neither")]
        (Kind::Millis, cell) => match cell.as_number() {
            Some(ms) if ms >= 0.0 => human::duration(ms as u64),
            _ => cell.to_text(),
        },
        (Kind::Size, Cell::Int(bytes)) => u64::try_from(*bytes).map_or_else(|_| bytes.to_string(), human::size),
        (_, Cell::Text(text)) => match name {
            "id" => human::short(text, 8).to_owned(),
            "run" | "producer" | "source" | "parent" => human::short(prov::object::run::tail(text), 8).to_owned(),
            "content" | "object" | "recipe" | "config" | "git_commit" => text.get(..12).unwrap_or(text).to_owned(),
            _ => shown(text),
        },
        (_, cell) => cell.to_text(),
    }
}

/// The answer in aligned columns.
pub(crate) fn aligned(answer: &Answer) -> String {
    let heads: Vec<&str> = answer.columns.iter().map(|column| head(&column.name)).collect();
    let rows: Vec<Vec<String>> = answer
        .rows
        .iter()
        .map(|row| {
            row.iter().zip(&answer.columns).map(|(cell, column)| text(&column.name, column.kind, cell)).collect()
        })
        .collect();
    table::columns(&heads, &rows)
}

fn head(name: &str) -> &str {
    match name {
        "started_at" => "started",
        "finished_at" => "finished",
        "duration_ms" => "took",
        other => other,
    }
}

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A line of bars, one for each number, the least lowest; a gap where there is none.
pub(crate) fn sparkline(numbers: &[Option<f64>]) -> String {
    let finite = || numbers.iter().flatten().copied().filter(|n| n.is_finite());
    let (least, most) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    numbers
        .iter()
        .map(|n| match n {
            Some(n) if n.is_finite() => BARS[step(*n, least, most, BARS.len() - 1)],
            _ => ' ',
        })
        .collect()
}

/// A bar of at most `width` letters, in eighths.
pub(crate) fn bar(n: f64, least: f64, most: f64, width: usize) -> String {
    const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    if !n.is_finite() || !least.is_finite() || !most.is_finite() {
        return String::new();
    }
    let least = least.min(0.0);
    let eighths = step(n, least, most, width * 8);
    let mut text = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        text.push(EIGHTHS[eighths % 8 - 1]);
    }
    text
}

/// Where `n` lies between `least` and `most`, in steps from 0 to `steps`.
fn step(n: f64, least: f64, most: f64, steps: usize) -> usize {
    let span = most - least;
    if span <= 0.0 || !span.is_finite() {
        return steps / 2;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place on a line of a few hundred letters"
    )]
    let at = (((n - least) / span) * steps as f64).round() as usize;
    at.min(steps)
}

#[cfg(test)]
mod tests {
    use prov::index::Heading;

    use super::*;

    #[test]
    fn fields_of_csv_are_quoted_where_they_must_be() {
        let columns = vec![
            Heading { name: "a".to_owned(), kind: Kind::Text },
            Heading { name: "b,c".to_owned(), kind: Kind::Real },
        ];
        let rows = vec![vec![Cell::Text("x\"y".to_owned()), Cell::Real(1.0)], vec![Cell::Null, Cell::Int(2)]];
        assert_eq!(csv(&Answer { columns, rows }), "a,\"b,c\"\n\"x\"\"y\",1.0\n,2\n");
    }

    #[test]
    fn lines_and_bars_are_to_scale() {
        assert_eq!(sparkline(&[Some(0.0), Some(1.0), None, Some(0.5)]), "▁█ ▅");
        assert_eq!(sparkline(&[Some(1.0), Some(1.0)]), "▄▄");
        assert_eq!(sparkline(&[Some(f64::NAN)]), " ");
        assert_eq!(bar(1.0, 0.0, 2.0, 4), "██");
        assert_eq!(bar(0.25, 0.0, 2.0, 4), "▌");
        assert_eq!(bar(2.0, 0.0, 2.0, 2), "██");
    }
}
