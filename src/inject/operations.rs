//! The operations of a JSON Patch (RFC 6902), in an order in which each finds what it needs.
//!
//! What changes things in place comes before what inserts into an array, for an insertion moves all that follow. Missing
//! arrays and objects are added first. Paths are built of tokens, so `/` and `~` in a key are escaped (RFC 6901).

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::{Value, json};

/// What is to be done to a pod.
#[derive(Debug, Default)]
pub(super) struct Operations {
    edits: Vec<PatchOperation>,
    inserts: Vec<PatchOperation>,
    missing: Vec<String>,
}

impl Operations {
    /// Sets a value that may be there.
    pub(super) fn set(&mut self, path: &[&str], value: Value) {
        self.edits.push(add(path, value));
    }

    /// Replaces a value that is there.
    pub(super) fn replace(&mut self, path: &[&str], value: Value) {
        self.edits.push(PatchOperation::Replace(ReplaceOperation { path: pointer(path), value }));
    }

    /// Removes a value that is there.
    pub(super) fn remove(&mut self, path: &[&str]) {
        self.edits.push(PatchOperation::Remove(RemoveOperation { path: pointer(path) }));
    }

    /// Puts values into the array at `path` of `root`, from `index` on or at its end; makes the array if there is none.
    pub(super) fn insert(&mut self, root: &Value, path: &[&str], index: Option<usize>, values: Vec<Value>) {
        if values.is_empty() {
            return;
        }
        if !at(root, path).is_some_and(Value::is_array) {
            self.inserts.push(add(path, json!([])));
        }
        for (offset, value) in values.into_iter().enumerate() {
            let place = index.map_or_else(|| "-".to_owned(), |index| (index + offset).to_string());
            self.inserts.push(add(&[path, &[place.as_str()]].concat(), value));
        }
    }

    /// Notes that the pod would not be guarded, or not work, without what was just asked for.
    pub(super) fn is_missing(&mut self, what: impl Into<String>) {
        self.missing.push(what.into());
    }

    /// What a pod that is said to be injected lacks.
    pub(super) fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The patch.
    pub(super) fn patch(self) -> Patch {
        Patch(self.edits.into_iter().chain(self.inserts).collect())
    }
}

/// What is at a path, if anything.
pub(super) fn at<'a>(root: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(root, |value, token| match value {
        Value::Array(items) => items.get(token.parse::<usize>().ok()?),
        Value::Object(members) => members.get(*token),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

fn add(path: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: pointer(path), value })
}

fn pointer(path: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(path.iter().copied())
}
