//! Edits in flow style, and so of JSON: members are put between those that are there; where some go, the node is
//! written anew.

use super::align;
use super::edit::{Editor, Home};
use super::tree::{Entry, Node};
use super::write::spaces;
use serde_json::{Map, Value};

impl Editor<'_> {
    pub(super) fn flow_mapping(&mut self, old: &Node, entries: &[Entry], new: &Map<String, Value>) {
        let stays = |entry: &Entry| !entry.merge && new.contains_key(&entry.key);
        let Some(last) = entries.last().filter(|_| entries.iter().all(stays)) else {
            return self.replace(old, &Value::Object(new.clone()), Home::Flow);
        };
        for entry in entries {
            if let Some(value) = new.get(&entry.key) {
                self.node(&entry.node, value, Home::Flow);
            }
        }
        let line =
            self.line_of_members(old, entries.first().map_or(old.at.start, |first| first.key_at.start));
        let added = new.iter().filter(|(key, _)| !entries.iter().any(|entry| entry.key == **key));
        let texts: Vec<String> = added.map(|(key, value)| self.layout.member(key, value, line)).collect();
        self.append(last.end(), &texts, line);
    }

    pub(super) fn flow_sequence(&mut self, old: &Node, items: &[Node], new: &[Value]) {
        let values: Vec<&Value> = items.iter().map(|item| &item.value).collect();
        let pairs = align::pairs(&values, new);
        let (Some(first), Some(last), true) = (items.first(), items.last(), pairs.len() == items.len())
        else {
            return self.replace(old, &Value::Array(new.to_vec()), Home::Flow);
        };
        let line = self.line_of_members(old, first.at.start);
        let mut next = 0;
        for (item, (_, partner)) in items.iter().zip(&pairs) {
            let added = new.get(next..*partner).unwrap_or_default();
            let between = line.map_or_else(|| " ".to_owned(), |column| self.new_line(column));
            let texts = added.iter().map(|value| self.layout.flow(value, line) + "," + &between);
            let with: String = texts.collect();
            if !with.is_empty() {
                self.edit(item.at.start..item.at.start, with);
            }
            next = partner + 1;
            if let Some(value) = new.get(*partner) {
                self.node(item, value, Home::Flow);
            }
        }
        let rest = new.get(next..).unwrap_or_default();
        let texts: Vec<String> = rest.iter().map(|value| self.layout.flow(value, line)).collect();
        self.append(last.at.end, &texts, line);
    }

    fn append(&mut self, at: usize, texts: &[String], line: Option<usize>) {
        let between = line.map_or_else(|| " ".to_owned(), |column| self.new_line(column));
        let with: String = texts.iter().map(|text| format!(",{between}{text}")).collect();
        if !with.is_empty() {
            self.edit(at..at, with);
        }
    }

    /// The column at which members stand that have lines of their own.
    fn line_of_members(&self, node: &Node, first: usize) -> Option<usize> {
        let apart = self.text.get(node.at.start..first).is_some_and(|gap| gap.contains('\n'));
        apart.then(|| self.column(first))
    }

    fn new_line(&self, column: usize) -> String {
        format!("{}{}", self.layout.newline, spaces(column))
    }
}
