//! The tree against the JSON Schema of the file: every fault of its shape at once.
//!
//! Unknown and missing keys, wrong types, values that are not allowed, keys that are not supported yet.
//! What is sound comes back as JSON; what is not is left out, so that the checks of meaning can look at
//! the rest. Only the part of JSON Schema that [`file`](super::file) produces is understood.

use super::file::{Size, Span};
use super::problems::Fault;
use super::tree::{Node, Value, item, member};
use super::words::{a_list, allowed, expected, found, nearest};
use serde_json::{Map, Value as Json};

/// Walks the tree; `None` if its root is not even a mapping.
pub(super) fn sound_part(root: &Node, schema: &Json, faults: &mut Vec<Fault>) -> Option<Json> {
    Walk { faults }.node(root, schema, "")
}

struct Walk<'f> {
    faults: &'f mut Vec<Fault>,
}

impl Walk<'_> {
    /// The node as JSON, or `None` if it must be left out.
    fn node(&mut self, node: &Node, schema: &Json, path: &str) -> Option<Json> {
        if matches!(node.value, Value::Broken) {
            return None;
        }
        if is_not_yet(schema) {
            if !is_idle(node, schema) {
                let name = path.rsplit('.').next().unwrap_or(path);
                self.fault(node, path, format!("`{name}` is not supported yet"), "the key left out");
            }
            return None;
        }
        let Some(schema) = alternatives(schema).into_iter().find(|s| admits_type(s, node)) else {
            let kind = if matches!(node.value, Value::String(_)) { "the text " } else { "" };
            let fault = Fault::new(path, node.place.clone(), "wrong type");
            self.faults.push(fault.found(format!("{kind}{}", found(node))).expected(expected(schema)));
            return None;
        };
        match &node.value {
            Value::Mapping(_) => Some(self.mapping(node, schema, path)),
            Value::Sequence(items) => self.sequence(node, items, schema, path),
            Value::String(text) => self.text(node, text, schema, path),
            Value::Number(number) => self.number(node, number, schema, path),
            Value::Bool(yes) => Some(Json::Bool(*yes)),
            Value::Null => Some(Json::Null),
            Value::Broken => None,
        }
    }

    fn mapping(&mut self, node: &Node, schema: &Json, path: &str) -> Json {
        let entries = entries(node);
        let known = schema.get("properties").and_then(Json::as_object);
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let mut sound = Map::new();
        for entry in entries {
            let below = member(path, &entry.key);
            if let Some(schema) = known.and_then(|k| k.get(&entry.key)).or(others) {
                if let Some(value) = self.node(&entry.node, schema, &below) {
                    sound.insert(entry.key.clone(), value);
                }
                continue;
            }
            let keys: Vec<&str> = known.into_iter().flat_map(|k| k.keys()).map(String::as_str).collect();
            let expected = match nearest(&entry.key, &keys) {
                Some(key) => format!("`{key}`, perhaps"),
                None => format!("one of {}", a_list(&keys)),
            };
            let fault = Fault::new(below, entry.key_span.clone(), format!("unknown key `{}`", entry.key));
            self.faults.push(fault.expected(expected));
        }
        for key in schema.get("required").and_then(Json::as_array).into_iter().flatten() {
            let key = key.as_str().unwrap_or_default();
            if !entries.iter().any(|e| e.key == key) {
                let wanted = known.and_then(|k| k.get(key)).map(expected).unwrap_or_default();
                let fault =
                    Fault::new(member(path, key), node.place.clone(), format!("the key `{key}` is missing"));
                self.faults.push(fault.expected(format!("`{key}:` with {wanted}")));
            }
        }
        Json::Object(sound)
    }

    /// One unsound item spoils the list: what is left would not be what the operator meant.
    fn sequence(&mut self, node: &Node, items: &[Node], schema: &Json, path: &str) -> Option<Json> {
        if items.is_empty() && schema.get("minItems").and_then(Json::as_u64) > Some(0) {
            self.fault(node, path, "the list is empty", "at least one item");
            return None;
        }
        let of_items = schema.get("items").unwrap_or(&Json::Null);
        let sound: Vec<Option<Json>> = items
            .iter()
            .enumerate()
            .map(|(index, one)| self.node(one, of_items, &item(path, index)))
            .collect();
        sound.into_iter().collect::<Option<Vec<Json>>>().map(Json::Array)
    }

    fn text(&mut self, node: &Node, text: &str, schema: &Json, path: &str) -> Option<Json> {
        if let Some(choices) = schema.get("oneOf").and_then(Json::as_array) {
            let choice = choices.iter().find(|c| is_choice(c, text));
            match choice {
                Some(choice) if is_not_yet(choice) => {
                    let wanted = allowed(schema);
                    self.fault(node, path, format!("`{text}` is not supported yet"), wanted);
                    return None;
                }
                Some(_) => {}
                None => {
                    self.fault(node, path, "this value is not allowed", allowed(schema));
                    return None;
                }
            }
        }
        let sound = match schema.get("format").and_then(Json::as_str) {
            Some("clinch-duration") => Span::parse(text).is_some(),
            Some("clinch-size") => Size::parse(text).is_some(),
            Some(_) | None => true,
        };
        if !sound {
            self.fault(node, path, "this value can't be read", expected(schema));
            return None;
        }
        Some(Json::from(text))
    }

    fn number(
        &mut self,
        node: &Node,
        number: &serde_json::Number,
        schema: &Json,
        path: &str,
    ) -> Option<Json> {
        let value = number.as_f64().unwrap_or(f64::NAN);
        let bound = |name| schema.get(name).and_then(Json::as_f64);
        let low = bound("minimum").is_some_and(|least| value < least);
        if low || bound("maximum").is_some_and(|most| value > most) {
            self.fault(node, path, "out of range", expected(schema));
            return None;
        }
        Some(Json::Number(number.clone()))
    }

    fn fault(&mut self, node: &Node, path: &str, message: impl Into<String>, expected: impl Into<String>) {
        let fault = Fault::new(path, node.place.clone(), message);
        self.faults.push(fault.found(found(node)).expected(expected));
    }
}

fn entries(node: &Node) -> &[super::tree::Entry] {
    match &node.value {
        Value::Mapping(entries) => entries,
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Sequence(_)
        | Value::Broken => &[],
    }
}

fn is_not_yet(schema: &Json) -> bool {
    schema.get("x-not-yet").and_then(Json::as_bool) == Some(true)
}

/// A choice of an enumeration: `oneOf` holds `const`s and lists of values.
fn is_choice(choice: &Json, text: &str) -> bool {
    let listed = choice.get("enum").and_then(Json::as_array);
    choice.get("const").and_then(Json::as_str) == Some(text)
        || listed.is_some_and(|l| l.iter().any(|v| v.as_str() == Some(text)))
}

/// Whether a key that is not supported yet says nothing: null, or its default.
fn is_idle(node: &Node, schema: &Json) -> bool {
    let default = schema.get("default");
    match &node.value {
        Value::Null => true,
        Value::Bool(yes) => default.and_then(Json::as_bool) == Some(*yes),
        Value::String(text) => default.and_then(Json::as_str) == Some(text),
        Value::Sequence(items) => items.is_empty(),
        Value::Number(_) | Value::Mapping(_) | Value::Broken => false,
    }
}

/// The schemas of which one must fit: the branches of `anyOf`, at any depth, or the schema itself.
fn alternatives(schema: &Json) -> Vec<&Json> {
    match schema.get("anyOf").and_then(Json::as_array) {
        Some(branches) => branches.iter().flat_map(alternatives).collect(),
        None => vec![schema],
    }
}

fn admits_type(schema: &Json, node: &Node) -> bool {
    let integer = |n: &serde_json::Number| n.is_u64() || n.is_i64();
    let admits = |name: &str| match &node.value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Number(n) => name == "number" || (name == "integer" && integer(n)),
        Value::String(_) => name == "string",
        Value::Sequence(_) => name == "array",
        Value::Mapping(_) => name == "object",
        Value::Broken => true,
    };
    match schema.get("type") {
        Some(Json::String(name)) => admits(name),
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).any(admits),
        _ => schema.get("oneOf").is_some() && admits("string"),
    }
}
