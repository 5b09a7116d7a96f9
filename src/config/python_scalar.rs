//! What a plain word of YAML means to Python's `safe_load`, which follows YAML 1.1.
//!
//! Only for files that were written for such a reader. Dates and times are text in the form in which Python prints them; infinities and
//! `nan`, which no configuration of prov can hold, are the words that Python prints for them.

use super::scalar::{QUOTE, Refused, cut, float, in_range};
use crate::codec::Value;

/// Resolves a plain scalar; what is nothing else is text.
pub(super) fn plain(text: &str) -> Result<Value, Refused> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Ok(Value::Bool(true)),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if let Some(value) = integer(text) {
        return value.map(Value::Int);
    }
    if let Some(value) = fraction(text) {
        return value;
    }
    Ok(Value::Text(timestamp(text).unwrap_or_else(|| text.to_owned())))
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn is_of(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(|b| b == b'_' || allowed(b))
}

fn integer(text: &str) -> Option<Result<i128, Refused>> {
    let (negative, rest) = split_sign(text);
    let plain = |digits: &str| digits.replace('_', "");
    if let Some(digits) = rest.strip_prefix("0b").filter(|digits| is_of(digits, |b| matches!(b, b'0' | b'1'))) {
        return Some(in_range(&plain(digits), 2, negative, text));
    }
    if let Some(digits) = rest.strip_prefix("0x").filter(|digits| is_of(digits, |b| b.is_ascii_hexdigit())) {
        return Some(in_range(&plain(digits), 16, negative, text));
    }
    if let Some(digits) = rest.strip_prefix('0').filter(|digits| is_of(digits, |b| (b'0'..=b'7').contains(&b))) {
        return Some(in_range(&format!("0{}", plain(digits)), 8, negative, text));
    }
    if rest == "0" {
        return Some(Ok(0));
    }
    if !rest.starts_with(|c: char| ('1'..='9').contains(&c)) {
        return None;
    }
    if is_of(rest, |b| b.is_ascii_digit()) {
        return Some(in_range(&plain(rest), 10, negative, text));
    }
    let value = sixties(rest)?;
    Some(Ok(if negative { -value } else { value }))
}

/// `190:20:30`: digits to the base 60, at least two of them.
fn sixties(text: &str) -> Option<i128> {
    let mut parts = text.split(':');
    let first = parts.next().filter(|first| is_of(first, |b| b.is_ascii_digit()))?.replace('_', "");
    let mut value: i128 = first.parse().ok().filter(|first| *first <= i128::from(u32::MAX))?;
    let mut count = 0;
    for part in parts {
        let is_sixty = matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
        count += 1;
        if !is_sixty || count > 6 {
            return None;
        }
        value = value * 60 + part.parse::<i128>().ok()?;
    }
    (count > 0).then_some(value)
}

fn fraction(text: &str) -> Option<Result<Value, Refused>> {
    let (negative, rest) = split_sign(text);
    match rest {
        ".inf" | ".Inf" | ".INF" => return Some(Ok(Value::Text(if negative { "-inf" } else { "inf" }.to_owned()))),
        ".nan" | ".NaN" | ".NAN" if rest == text => return Some(Ok(Value::Text("nan".to_owned()))),
        _ => {}
    }
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    // An exponent needs its sign: `1.0e5` is text.
    let is_exponent = |text: &str| {
        let digits = text.strip_prefix(['-', '+']);
        digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    if exponent.is_some_and(|exponent| !is_exponent(exponent)) {
        return None;
    }
    let (whole, part) = mantissa.split_once('.')?;
    let is_part = part.bytes().all(|b| b == b'_' || b.is_ascii_digit());
    if let (true, true, Some(value)) = (is_part, exponent.is_none(), sixties(whole)) {
        let digits = part.replace('_', "");
        let text = format!("{}{value}.{digits}", if negative { "-" } else { "" });
        return Some(float(&text).map(Value::Float));
    }
    let starts_with_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let is_whole = if whole.is_empty() {
        // No sign before a point.
        rest == text && starts_with_digit(part)
    } else {
        starts_with_digit(whole) && is_of(whole, |b| b.is_ascii_digit())
    };
    if !is_whole || !is_part {
        return None;
    }
    let plain = text.replace('_', "");
    if plain.parse::<f64>().is_ok_and(f64::is_infinite) {
        return Some(Err((format!("the number `{}` is too large for a double", cut(text)), QUOTE)));
    }
    Some(float(&plain).map(Value::Float))
}

/// The text that Python prints for a date or time; `None` if it is none.
fn timestamp(text: &str) -> Option<String> {
    let digits = |text: &str, most: usize| {
        let is_number = !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
        if is_number { text.parse::<u32>().ok() } else { None }
    };
    let (date, time) = match text.find(['T', 't', ' ', '\t']) {
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    let Some(time) = time else {
        return (date.len() == 10).then(|| date.to_owned());
    };
    let time = time.strip_prefix(['T', 't']).unwrap_or(time.trim_start_matches([' ', '\t']));
    let end = time.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').unwrap_or(time.len());
    let (clock, zone) = (&time[..end], time[end..].trim_start_matches([' ', '\t']));
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || minute.len() != 2 || second.len() != 2 {
        return None;
    }
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    let zone = match zone {
        "" => String::new(),
        "Z" => "+00:00".to_owned(),
        other => {
            let sign = other.get(..1).filter(|sign| matches!(*sign, "+" | "-"))?;
            let (hours, minutes) = other[1..].split_once(':').unwrap_or((&other[1..], "00"));
            format!("{sign}{:02}:{:02}", digits(hours, 2)?, digits(minutes, 2).filter(|_| minutes.len() == 2)?)
        }
    };
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let micros = if micros == "000000" { String::new() } else { format!(".{micros}") };
    Some(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{micros}{zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_they_mean_to_python() {
        for (text, value) in [
            ("yes", Value::Bool(true)),
            ("Off", Value::Bool(false)),
            ("y", Value::Text("y".to_owned())),
            ("1_000", Value::Int(1000)),
            ("010", Value::Int(8)),
            ("08", Value::Text("08".to_owned())),
            ("-0b11", Value::Int(-3)),
            ("0x_1F", Value::Int(31)),
            ("0o17", Value::Text("0o17".to_owned())),
            ("190:20:30", Value::Int(685_230)),
            ("12:75", Value::Text("12:75".to_owned())),
            ("1.0", Value::Float(1.0)),
            ("1.5e+3", Value::Float(1500.0)),
            ("1.5e3", Value::Text("1.5e3".to_owned())),
            ("1e3", Value::Text("1e3".to_owned())),
            (".5", Value::Float(0.5)),
            ("-.5", Value::Text("-.5".to_owned())),
            ("-.inf", Value::Text("-inf".to_owned())),
            ("2025-01-16", Value::Text("2025-01-16".to_owned())),
            ("2025-1-6", Value::Text("2025-1-6".to_owned())),
            ("2001-12-14t21:59:43.10-05:00", Value::Text("2001-12-14 21:59:43.100000-05:00".to_owned())),
            ("2001-12-15 2:59:43", Value::Text("2001-12-15 02:59:43".to_owned())),
            ("25.12.2", Value::Text("25.12.2".to_owned())),
            ("2025Q2", Value::Text("2025Q2".to_owned())),
            ("2025_02", Value::Int(202_502)),
            ("12:30:45.5", Value::Float(45_045.5)),
        ] {
            assert_eq!(plain(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn odd_words_break_nothing() {
        for text in
            ["-", "+", ".", "_", "0_", "-_", "0x", "0b", "1:", ":1", "é-01-01", "2001-01-01T", "1.é", "++1", "0x_"]
        {
            let _ = plain(text);
        }
    }
}
