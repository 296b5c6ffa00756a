//! What a plain scalar means: the YAML 1.2 core schema (<https://yaml.org/spec/1.2.2/#1032-tag-resolution>).
//!
//! `no`, `off` and `yes` are text, `0o17` is a number, `012` is twelve.

use super::tree::Value;
use serde_json::Number;

/// Resolves plain text: null, boolean, number, or the text itself.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    let based = |prefix: &str, base: u32| {
        let digits = text.strip_prefix(prefix)?;
        let plain = digits.bytes().all(|b| b.is_ascii_alphanumeric());
        u64::from_str_radix(digits, base).ok().filter(|_| plain).map(Number::from)
    };
    if let Some(number) = based("0x", 16).or_else(|| based("0o", 8)) {
        return Some(number);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let shaped = unsigned.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    if !shaped || !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let plain = text.strip_prefix('+').unwrap_or(text);
    plain
        .parse::<i64>()
        .map(Number::from)
        .or_else(|_| plain.parse::<u64>().map(Number::from))
        .ok()
        .or_else(|| plain.parse::<f64>().ok().and_then(Number::from_f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match resolve(text) {
            Value::Null => "null".to_owned(),
            Value::Bool(b) => format!("bool {b}"),
            Value::Number(n) => format!("number {n}"),
            Value::String(s) => format!("text {s}"),
            Value::Sequence(_) | Value::Mapping(_) | Value::Broken => unreachable!("a scalar"),
        }
    }

    #[test]
    fn the_core_schema_decides() {
        for (text, meaning) in [
            ("", "null"),
            ("~", "null"),
            ("no", "text no"),
            ("off", "text off"),
            ("True", "bool true"),
            ("012", "number 12"),
            ("0o17", "number 15"),
            ("0x1F", "number 31"),
            ("0x+1", "text 0x+1"),
            ("-3", "number -3"),
            ("+3", "number 3"),
            ("1.5e3", "number 1500.0"),
            (".5", "number 0.5"),
            (".inf", "text .inf"),
            ("1:30", "text 1:30"),
            ("60s", "text 60s"),
            ("127.0.0.1", "text 127.0.0.1"),
            ("18446744073709551615", "number 18446744073709551615"),
        ] {
            assert_eq!(shown(text), meaning, "{text:?}");
        }
    }
}
