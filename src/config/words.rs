//! What was found and what is expected, in words.

use super::secrecy::without_passwords;
use super::tree::{Node, Value};
use serde_json::Value as Json;

/// What stands there.
pub(super) fn found(node: &Node) -> String {
    match &node.value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(yes) => format!("`{yes}`"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => quoted(text),
        Value::Sequence(items) if items.is_empty() => "an empty list".to_owned(),
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
        Value::Broken => String::new(),
    }
}

/// Text as it is shown: without passwords, cut when long.
pub(crate) fn quoted(text: &str) -> String {
    let text = without_passwords(text);
    let shown: String =
        text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let rest = if text.chars().count() > LONGEST { "…" } else { "" };
    format!("`{shown}{rest}`")
}

/// What a schema asks for, with its examples.
pub(super) fn expected(schema: &Json) -> String {
    let examples: Vec<String> = schema
        .get("examples")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .map(|example| format!("`{}`", in_yaml(example)))
        .collect();
    let such = if examples.is_empty() { "" } else { ", such as " };
    format!("{}{such}{}", kinds(schema), examples.join(" or "))
}

/// In YAML's flow style; examples need no quotes.
fn in_yaml(example: &Json) -> String {
    match example {
        Json::String(text) => text.clone(),
        Json::Array(items) => format!("[{}]", items.iter().map(in_yaml).collect::<Vec<_>>().join(", ")),
        Json::Object(members) => {
            let members = members.iter().map(|(key, value)| format!("{key}: {}", in_yaml(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => example.to_string(),
    }
}

fn kinds(schema: &Json) -> String {
    if let Some(branches) = schema.get("anyOf").and_then(Json::as_array) {
        return branches.iter().map(expected).collect::<Vec<_>>().join(" or ");
    }
    if schema.get("oneOf").is_some() {
        return allowed(schema);
    }
    match schema.get("format").and_then(Json::as_str) {
        Some("clinch-duration") => return "a duration such as 500ms, 60s, 5m, 24h".to_owned(),
        Some("clinch-size") => return "a size such as 8192B, 32KiB, 1MiB".to_owned(),
        Some(_) | None => {}
    }
    let names = match schema.get("type") {
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).map(in_words).collect(),
        Some(Json::String(name)) => vec![in_words(name)],
        _ => Vec::new(),
    };
    format!("{}{}", names.join(" or "), range(schema))
}

fn in_words(name: &str) -> &str {
    match name {
        "null" => "null",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "text",
        "array" => "a list",
        "object" => "a mapping",
        other => other,
    }
}

fn range(schema: &Json) -> String {
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" of at least {least}"),
        (None, Some(most)) => format!(" of at most {most}"),
        (None, None) => String::new(),
    }
}

/// The values of an enumeration that work.
pub(super) fn allowed(schema: &Json) -> String {
    let choices = schema.get("oneOf").and_then(Json::as_array).into_iter().flatten();
    let working = choices.filter(|c| c.get("x-not-yet").is_none());
    let listed = |c: &Json| c.get("enum").and_then(Json::as_array).cloned().unwrap_or_default();
    let values: Vec<String> = working
        .flat_map(|c| c.get("const").cloned().into_iter().chain(listed(c)))
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect();
    a_list(&values.iter().map(String::as_str).collect::<Vec<_>>())
}

/// `a`, `b` or `c`.
pub(super) fn a_list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

/// The known word that was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = |k: &&str| distance(word, k);
    let best = known.iter().min_by_key(|k| near(k))?;
    (near(best) <= 1 + best.len() / 4).then_some(*best)
}

/// How many single-character edits apart two words are (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate().take(LONGEST) {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Characters of a value that are shown.
const LONGEST: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_recognised_and_a_stranger_is_not() {
        assert_eq!(nearest("adress", &["drain", "address"]), Some("address"));
        assert_eq!(nearest("publicorigins", &["public_origins"]), Some("public_origins"));
        assert_eq!(nearest("banana", &["address", "drain"]), None);
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn long_values_are_cut_and_secrets_blanked() {
        assert_eq!(quoted("nats://a:b@c"), "`nats://a:*@c`");
        assert_eq!(quoted(&"x".repeat(100)).chars().count(), 83);
    }
}
