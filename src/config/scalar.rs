//! What a written number or word means: the core schema of YAML 1.2, held here so that no library's idea of a
//! number can ever change a recipe's id.

use crate::codec::Value;

/// A scalar that has no place in a configuration, with a hint.
pub(super) type Refused = (String, &'static str);

pub(super) const QUOTE: &str = "quote it to keep it as text";

/// Resolves a plain scalar by the core schema of YAML 1.2; what is nothing else is text.
pub(super) fn plain(text: &str) -> Result<Value, Refused> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if let Some(value) = integer(text) {
        return value.map(Value::Int);
    }
    if is_special(text) {
        return Err((format!("`{text}` is not a finite number"), QUOTE));
    }
    if is_float(text) {
        return float(text).map(Value::Float);
    }
    Ok(Value::Text(text.to_owned()))
}

/// The integer that a text spells by the core schema; `None` if it is none.
pub(super) fn integer(text: &str) -> Option<Result<i128, Refused>> {
    let (radix, digits) = if let Some(rest) = text.strip_prefix("0o") {
        (8, rest)
    } else if let Some(rest) = text.strip_prefix("0x") {
        (16, rest)
    } else {
        (10, text.strip_prefix(['-', '+']).unwrap_or(text))
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some(in_range(digits, radix, text.starts_with('-'), text))
}

/// The integer of these digits if it lies between `i64::MIN` and `u64::MAX`.
pub(super) fn in_range(digits: &str, radix: u32, negative: bool, written: &str) -> Result<i128, Refused> {
    i128::from_str_radix(digits, radix)
        .ok()
        .map(|n| if negative { -n } else { n })
        .filter(|n| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(n))
        .ok_or_else(|| (format!("the integer `{}` does not fit in 64 bits", cut(written)), QUOTE))
}

/// The nearest double of a decimal number; one that is not finite is refused.
pub(super) fn float(text: &str) -> Result<f64, Refused> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err((format!("the number `{}` is too large for a double", cut(text)), QUOTE)),
        Err(_) => Err((format!("`{}` is not a number", cut(text)), QUOTE)),
    }
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
pub(super) fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let mantissa_is_sound = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa_is_sound && exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)))
}

fn is_special(text: &str) -> bool {
    matches!(text.strip_prefix(['-', '+']).unwrap_or(text), ".inf" | ".Inf" | ".INF")
        || matches!(text, ".nan" | ".NaN" | ".NAN")
}

/// A text cut for a message.
pub(super) fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_yaml_versions_stay_text() {
        for text in [
            "no",
            "on",
            "yes",
            "off",
            "y",
            "n",
            "NO",
            "tRUE",
            "nULL",
            "1_000",
            "12:30:45",
            "0b11",
            "0X1f",
            "-0x1f",
            "1e",
            ".",
            "+",
            "-.",
            "e5",
            "inf",
            "nan",
            ".5.5",
            "2026-01-01",
            "1,5",
            "٣",
        ] {
            assert_eq!(plain(text), Ok(Value::Text(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn numbers_follow_the_core_schema() {
        for (text, value) in [("0", 0), ("-0", 0), ("+12", 12), ("007", 7), ("0o14", 12), ("0xfF", 255)] {
            assert_eq!(plain(text), Ok(Value::Int(value)), "{text}");
        }
        for (text, value) in [("1.0", 1.0), ("1.", 1.0), (".5", 0.5), ("-.5e1", -5.0), ("1e3", 1000.0), ("-0.0", -0.0)]
        {
            assert_eq!(plain(text), Ok(Value::Float(value)), "{text}");
        }
        for text in ["18446744073709551616", "-9223372036854775809", "1e999", ".inf", "-.INF", ".nan"] {
            assert!(plain(text).is_err(), "{text}");
        }
        assert_eq!(plain("18446744073709551615"), Ok(Value::Int(u64::MAX.into())));
        assert_eq!(plain("-9223372036854775808"), Ok(Value::Int(i64::MIN.into())));
    }
}
