//! What is written in an expression, as a value.

use super::predicate::Literal;
use super::read::Cell;
use super::tables::Kind;
use crate::clock::{Micros, parse_duration_ms};

/// A value of a type that is known.
pub(super) fn typed(kind: Kind, literal: &Literal, now: Micros) -> Option<Cell> {
    let text = literal.text.as_str();
    match kind {
        Kind::Text => Some(Cell::Text(text.to_owned())),
        Kind::Bool => match text {
            "true" | "yes" | "1" => Some(Cell::Int(1)),
            "false" | "no" | "0" => Some(Cell::Int(0)),
            _ => None,
        },
        Kind::Int => text.parse().ok().map(Cell::Int),
        Kind::Real => text.parse().ok().map(Cell::Real),
        Kind::Size => size(text).map(Cell::Int),
        Kind::Millis => {
            let plain: Option<f64> = text.parse().ok();
            let ms = match plain {
                Some(n) => Some(n),
                #[expect(clippy::cast_precision_loss, reason = "durations are far below")]
                None => parse_duration_ms(text).map(|ms| ms as f64),
            };
            ms.filter(|n| n.is_finite()).map(Cell::Real)
        }
        Kind::Time => {
            let parsed = Micros::parse(text).or_else(|| Micros::parse(&format!("{text}T00:00:00Z")));
            let ago = || parse_duration_ms(text).filter(|_| text.ends_with(|c: char| c.is_ascii_alphabetic()));
            let at = parsed.or_else(|| {
                let us = i64::try_from(ago()?.checked_mul(1000)?).ok()?;
                Some(Micros(now.0.saturating_sub(us)))
            });
            at.map(|at| Cell::Int(at.0))
        }
        Kind::Any => Some(guessed(literal)),
    }
}

/// A value whose type is told by how it is written.
pub(super) fn guessed(literal: &Literal) -> Cell {
    let text = literal.text.as_str();
    if literal.is_quoted {
        return Cell::Text(text.to_owned());
    }
    match text {
        "true" => return Cell::Bool(true),
        "false" => return Cell::Bool(false),
        "null" => return Cell::Null,
        _ => {}
    }
    if let Ok(n) = text.parse::<i64>() {
        return Cell::Int(n);
    }
    match text.parse::<f64>() {
        Ok(n) if n.is_finite() && text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => Cell::Real(n),
        _ => Cell::Text(text.to_owned()),
    }
}

/// A size: `1000`, `10k`, `1.5GiB`.
fn size(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = text.split_at(digits);
    let factor: f64 = match unit.trim().to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b') {
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        "g" => 1024.0 * 1024.0 * 1024.0,
        "t" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let n: f64 = number.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "too much is the greatest there is")]
    Some((n * factor) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_type_they_are_written_in() {
        let bare = |text: &str| Literal { text: text.to_owned(), is_quoted: false };
        assert_eq!(guessed(&bare("3")), Cell::Int(3));
        assert_eq!(guessed(&bare("-0.5")), Cell::Real(-0.5));
        assert_eq!(guessed(&bare("true")), Cell::Bool(true));
        assert_eq!(guessed(&bare("inf")), Cell::Text("inf".to_owned()));
        assert_eq!(guessed(&Literal { text: "3".to_owned(), is_quoted: true }), Cell::Text("3".to_owned()));
        let now = Micros(1_000_000_000_000);
        assert_eq!(typed(Kind::Time, &bare("1s"), now), Some(Cell::Int(now.0 - 1_000_000)));
        assert_eq!(typed(Kind::Time, &bare("1970-01-02"), now), Some(Cell::Int(86_400_000_000)));
        assert_eq!(typed(Kind::Time, &bare("soon"), now), None);
        assert_eq!(typed(Kind::Millis, &bare("2s"), now), Some(Cell::Real(2000.0)));
        assert_eq!(typed(Kind::Size, &bare("2KiB"), now), Some(Cell::Int(2048)));
        assert_eq!(typed(Kind::Int, &bare("x"), now), None);
    }
}
