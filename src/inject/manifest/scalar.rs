//! Plain scalars as Kubernetes reads them, and texts as it can't misread them.
//!
//! `kubectl` and the API server read YAML 1.1 (<https://yaml.org/type/>) as far as go-yaml 2 has it: `yes`, `on` and `y` are
//! true, `0644` is octal. What is read here must mean the same, or a rewritten value would mean something else.

use serde_json::{Number, Value};

/// What a scalar without quotes says.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        _ => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let digits = text.replace('_', "");
    if let Some(whole) = whole(&digits) {
        return Some(whole);
    }
    let looks_so = digits.contains(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let parsed = digits.parse::<f64>().ok().filter(|_| looks_so)?;
    Number::from_f64(parsed).map(Value::Number)
}

fn whole(digits: &str) -> Option<Value> {
    let (minus, magnitude) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    if !magnitude.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let based = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)];
    let (radix, rest) = based
        .iter()
        .find_map(|(prefix, radix)| Some((*radix, magnitude.strip_prefix(prefix)?)))
        .or_else(|| Some((8, magnitude.strip_prefix('0').filter(|rest| !rest.is_empty())?)))
        .unwrap_or((10, magnitude));
    // `from_str_radix` would take a second sign.
    let number = u64::from_str_radix(rest, radix).ok().filter(|_| !rest.starts_with(['+', '-']))?;
    match minus {
        false => Some(Value::Number(number.into())),
        true => i64::try_from(-i128::from(number)).ok().map(|negative| Value::Number(negative.into())),
    }
}

/// A scalar, or an empty collection, on one line of block style.
pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

/// A text without quotes where nothing could take it for something else, in single ones where they do, else escaped.
pub(super) fn string(text: &str) -> String {
    if is_safe(text) {
        text.to_owned()
    } else if text.chars().all(is_printable) {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        quoted(text)
    }
}

/// In double quotes, as JSON and YAML both read it.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out.push('"');
    out
}

/// YAML 1.2.2 section 5.1, less what ends a line (there or in YAML 1.1) and the byte order mark.
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn is_safe(text: &str) -> bool {
    let flag = text.strip_prefix("--").unwrap_or(text);
    let begins = flag.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_'));
    let digit = text.starts_with(|c: char| c.is_ascii_digit());
    let harmless = |c: char| c.is_ascii_alphanumeric() || "/_.-+=@%:".contains(c);
    begins
        && text.chars().all(harmless)
        && !text.ends_with(':')
        // 1:30 is a number of YAML 1.1, for some.
        && !(digit && text.contains(':'))
        && plain(text) == Value::String(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_scalars_mean_what_they_mean_to_kubernetes() {
        for (text, value) in [
            ("0644", json!(420)),
            ("0o644", json!(420)),
            ("0x1F", json!(31)),
            ("-0b11", json!(-3)),
            ("1_000", json!(1000)),
            ("0", json!(0)),
            ("-7", json!(-7)),
            ("1.5", json!(1.5)),
            ("yes", json!(true)),
            ("off", json!(false)),
            ("~", Value::Null),
            ("50m", json!("50m")),
            ("0.1.2", json!("0.1.2")),
            ("1:30", json!("1:30")),
            ("089", json!(89.0)),
            ("--1", json!("--1")),
            ("-", json!("-")),
            (".", json!(".")),
            ("2026-01-01", json!("2026-01-01")),
        ] {
            assert_eq!(plain(text), value, "{text}");
        }
    }

    #[test]
    fn what_could_be_misread_is_quoted() {
        for text in
            ["app", "ghcr.io/clinch-dev/clinch:0.1.0", "/etc/clinch", "64Mi", "50m", "--config", "--a=b"]
        {
            assert_eq!(string(text), text);
        }
        for text in [
            "yes", "n", "0644", "1e3", "1:30", "", "- a", "---", "-a", "a: b", "a #b", "*a", "a:", "null",
            "a'b", "{}",
        ] {
            assert_eq!(string(text), format!("'{}'", text.replace('\'', "''")), "{text}");
        }
        assert_eq!(string("a\nb\u{1}\u{2028}\"\\"), r#""a\nb\u0001\u2028\"\\""#);
    }
}
