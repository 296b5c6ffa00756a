//! Any change of any manifest, however it is laid out: the text says what it should, and no comment is lost.

#![allow(clippy::wildcard_enum_match_arm, reason = "what is left of a value is written as it is")]

use super::super::{tree, write};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_comment_is_lost_and_nothing_else_changes(
        old in value(), change in changes(), seed in any::<u64>(),
    ) {
        let old = json!({ "kind": "List", "a": old });
        let mut printer = Printer { dice: Dice(seed | 1), comments: 0 };
        let text = printer.document(&old);
        let stream = tree::read(&text).map_err(|error| TestCaseError::fail(format!("{error:?}\n{text}")))?;
        prop_assert_eq!(&stream.documents[0].value, &old, "{}", text);
        let mut new = old;
        let mut dice = Dice(change | 1);
        alter(&mut new["a"], &mut dice, 0);
        let edited = write(&text, &stream, std::slice::from_ref(&new));
        let Some(edited) = edited else { return Err(TestCaseError::fail(text)) };
        let read = tree::read(&edited);
        let Ok(read) = read else { return Err(TestCaseError::fail(format!("{text}\n>>>>\n{edited}\n{new}\n{read:?}"))) };
        prop_assert_eq!(&read.documents[0].value, &new, "{}\n>>>>\n{}", text, edited);
        for number in 0..printer.comments {
            let comment = format!("# comment {number}.");
            prop_assert!(edited.contains(&comment), "{comment}\n{text}\n>>>>\n{edited}");
        }
        let again = write(&edited, &read, std::slice::from_ref(&new)).unwrap();
        prop_assert_eq!(again, edited);
    }
}

fn changes() -> impl Strategy<Value = u64> {
    any::<u64>()
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        "[a-z #:'\"{}\\[\\]&*!|>%@,-]{0,8}".prop_map(Value::from),
        Just(json!("two\nlines\n")),
        Just(json!("# no comment\n\n  more\n")),
        Just(json!("0644")),
        Just(json!({})),
        Just(json!([])),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z./]{1,6}|name", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// xorshift
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

fn alter(value: &mut Value, dice: &mut Dice, depth: u64) {
    let new = |dice: &mut Dice| match dice.roll(5) {
        0 => json!({"name": "clinch", "args": ["run", {"a": [1, [2, []]]}], "env": {}}),
        1 => json!(["- x", [[1], {"b": null}]]),
        2 => json!("yes"),
        3 => Value::Null,
        _ => json!("text: 'of' \"one\"\n"),
    };
    match value {
        _ if dice.roll(6 + depth) == 0 => *value = new(dice),
        Value::Object(members) => {
            let keys: Vec<String> = members.keys().cloned().collect();
            for key in keys {
                match dice.roll(8) {
                    0 => drop(members.remove(&key)),
                    1 | 2 => alter(&mut members[&key], dice, depth + 1),
                    _ => {}
                }
            }
            if dice.roll(3) == 0 {
                members.insert("added".to_owned(), new(dice));
            }
        }
        Value::Array(items) => {
            items.retain(|_| dice.roll(8) != 0);
            items.iter_mut().for_each(|item| {
                if dice.roll(3) == 0 {
                    alter(item, dice, depth + 1)
                }
            });
            if dice.roll(2) == 0 {
                let at = usize::try_from(dice.roll(items.len() as u64 + 1)).unwrap();
                items.insert(at, new(dice));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => *value = new(dice),
    }
}

/// Writes YAML as people do, each in another style.
struct Printer {
    dice: Dice,
    comments: usize,
}

impl Printer {
    fn document(&mut self, value: &Value) -> String {
        let start = if self.dice.roll(2) == 0 { "---\n" } else { "" };
        let text = self.block(value.as_object().map(Members::of).unwrap(), 0);
        let text = format!("{start}{text}{}", self.own_line(0));
        if self.dice.roll(4) == 0 { text.trim_end_matches('\n').to_owned() } else { text }
    }

    fn comment(&mut self) -> String {
        self.comments += 1;
        format!("# comment {}.", self.comments - 1)
    }

    fn own_line(&mut self, column: usize) -> String {
        match self.dice.roll(5) {
            0 => format!("{}{}\n", " ".repeat(column), self.comment()),
            1 => "\n".to_owned(),
            _ => String::new(),
        }
    }

    fn end(&mut self) -> String {
        if self.dice.roll(4) == 0 { format!("  {}\n", self.comment()) } else { "\n".to_owned() }
    }

    fn block(&mut self, members: Members, column: usize) -> String {
        let mut out = String::new();
        for (key, value) in members.0 {
            out += &self.own_line(column);
            out += &format!("{}{}:", " ".repeat(column), self.key(&key));
            out += &self.behind(&value, column, true);
        }
        out
    }

    fn behind(&mut self, value: &Value, column: usize, key: bool) -> String {
        match value {
            Value::Object(members) if !members.is_empty() && self.dice.roll(5) != 0 => {
                if !key && self.dice.roll(2) == 0 {
                    let lines = self.block(Members::of(members), column + 2);
                    // The first key on the line of the dash, where no comment comes before it.
                    if lines.trim_start_matches(' ').starts_with('#') || lines.starts_with('\n') {
                        return format!("\n{lines}");
                    }
                    return format!(" {}", &lines[column + 2..]);
                }
                let end = self.end();
                let step = 1 + usize::try_from(self.dice.roll(4)).unwrap();
                end + &self.block(Members::of(members), column + step)
            }
            Value::Array(items) if !items.is_empty() && self.dice.roll(5) != 0 => {
                let step = usize::try_from(self.dice.roll(4)).unwrap() + usize::from(!key);
                let mut out = self.end();
                for item in items {
                    out += &self.own_line(column + step);
                    out += &format!("{}-", " ".repeat(column + step));
                    out += &self.behind(item, column + step, false);
                }
                out
            }
            Value::String(text)
                if text.ends_with('\n')
                    && !text.ends_with("\n\n")
                    && !text.starts_with([' ', '\n'])
                    && self.dice.roll(2) == 0 =>
            {
                let pad = " ".repeat(column + 2);
                let lines: String = text.lines().map(|line| format!("{pad}{line}\n")).collect();
                format!(" |\n{lines}")
            }
            Value::Null if self.dice.roll(2) == 0 => self.end(),
            value => format!(" {}{}", self.flow(value, column + 4), self.end()),
        }
    }

    fn flow(&mut self, value: &Value, column: usize) -> String {
        let gap = |printer: &mut Printer| match printer.dice.roll(6) {
            0 => format!(" {}\n{}", printer.comment(), " ".repeat(column)),
            1 => format!("\n{}", " ".repeat(column)),
            2 => " ".to_owned(),
            _ => String::new(),
        };
        match value {
            Value::Object(members) => {
                let mut parts = Vec::new();
                for (key, value) in members {
                    parts.push(format!(
                        "{}{}: {}{}",
                        gap(self),
                        self.key(key),
                        self.flow(value, column + 2),
                        gap(self)
                    ));
                }
                format!("{{{}}}", parts.join(","))
            }
            Value::Array(items) => {
                let mut parts = Vec::new();
                for item in items {
                    parts.push(format!("{}{}{}", gap(self), self.flow(item, column + 2), gap(self)));
                }
                format!("[{}]", parts.join(","))
            }
            value => value.to_string(),
        }
    }

    fn key(&mut self, key: &str) -> String {
        if self.dice.roll(5) == 0 || super::super::scalar::plain(key) != key || key.starts_with('.') {
            format!("\"{key}\"")
        } else {
            key.to_owned()
        }
    }
}

struct Members(Vec<(String, Value)>);

impl Members {
    fn of(members: &Map<String, Value>) -> Members {
        Members(members.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}
