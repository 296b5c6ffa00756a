//! Edits in block style: entries and items come and go as whole lines.

use super::align;
use super::edit::{Editor, Home};
use super::tree::{Entry, Node};
use serde_json::{Map, Value};
use std::ops::Range;

impl Editor<'_> {
    pub(super) fn block_mapping(&mut self, old: &Node, entries: &[Entry], new: &Map<String, Value>) {
        let Some(first) = entries.first() else { return };
        let column = self.column(first.key_at.start);
        // What is taken in by `<<` stays so unless some of it must not be there, or has changed where it comes from.
        let own = |key: &str| entries.iter().any(|entry| !entry.merge && entry.key == key);
        let gone = |key: &str| !own(key) && !new.contains_key(key);
        let lost = old.value.as_object().is_some_and(|old| old.keys().any(|key| gone(key)));
        let merges = || entries.iter().filter(|entry| entry.merge);
        let spread = lost || merges().any(|entry| self.is_stale(&entry.node));
        for (place, entry) in entries.iter().enumerate() {
            match new.get(&entry.key).filter(|_| !entry.merge) {
                Some(value) => self.node(&entry.node, value, self.behind_key(entry, column)),
                None if entry.merge && !spread => {}
                None => self.remove_entry(entry, entries.get(place + 1), column),
            }
        }
        let taken_in = |key: &str, value: &Value| !spread && old.value.get(key) == Some(value);
        let added = new.iter().filter(|(key, value)| !own(key) && !taken_in(key, value));
        let lines: String = added.map(|(key, value)| self.layout.entry(key, value, column)).collect();
        if !lines.is_empty() {
            self.insert_lines(self.line_end(entries.last().map_or(old.at.end, Entry::end)), lines);
        }
    }

    fn remove_entry(&mut self, entry: &Entry, next: Option<&Entry>, column: usize) {
        let (start, end) = (entry.key_at.start, entry.end());
        if self.is_first_of_line(start) {
            return self.remove_lines(self.line_start(start)..self.line_end(end), column);
        }
        // Behind a dash: the next entry moves up to it, unless a comment stands between.
        let comment_between = |next: &Entry| {
            self.comments.iter().any(|comment| (start..next.key_at.start).contains(&comment.start))
        };
        match next {
            Some(next) if !comment_between(next) => self.edit(start..next.key_at.start, String::new()),
            _ => {
                self.edit(start..end, String::new());
                self.keep_comments(start..end, self.line_end(end), column);
            }
        }
    }

    fn remove_lines(&mut self, lines: Range<usize>, column: usize) {
        self.edit(lines.clone(), String::new());
        self.keep_comments(lines.clone(), lines.end, column);
    }

    fn behind_key(&self, entry: &Entry, column: usize) -> Home {
        Home::Block { after: self.after_colon(entry), column }
    }

    fn after_colon(&self, entry: &Entry) -> usize {
        let rest = self.text.get(entry.key_at.end..).unwrap_or_default();
        entry.key_at.end + rest.find(':').map_or(0, |colon| colon + 1)
    }

    /// `home` is where the sequence itself stands: the byte behind its key's colon, and the key's column.
    pub(super) fn block_sequence(&mut self, old: &Node, items: &[Node], new: &[Value], home: (usize, usize)) {
        let Some(dashes) = self.dashes(items, home.0) else {
            return self.replace(
                old,
                &Value::Array(new.to_vec()),
                Home::Block { after: home.0, column: home.1 },
            );
        };
        let Some(column) = dashes.first().map(|dash| self.column(*dash)) else { return };
        let values: Vec<&Value> = items.iter().map(|item| &item.value).collect();
        let pairs = align::pairs(&values, new);
        let mut next = 0;
        for (place, (item, dash)) in items.iter().zip(&dashes).enumerate() {
            let partner = pairs.iter().find(|(o, _)| *o == place).map(|(_, n)| *n);
            if let Some(partner) = partner {
                let before = if place == 0 { None } else { items.get(place - 1) };
                let added = new.get(next..partner).unwrap_or_default();
                self.insert_items(added, before, (*dash, column), home.0);
                next = partner + 1;
                if let Some(value) = new.get(partner) {
                    self.node(item, value, Home::Block { after: dash + 1, column });
                }
            } else {
                let end = self.line_end(item.at.end.max(dash + 1));
                self.remove_lines(self.line_start(*dash)..end, column);
            }
        }
        let lines: String =
            new.get(next..).unwrap_or_default().iter().map(|item| self.layout.item(item, column)).collect();
        if !lines.is_empty() {
            let last = dashes.last().map_or(0, |dash| dash + 1);
            self.insert_lines(self.line_end(old.at.end.max(last)), lines);
        }
    }

    /// New items between `before` and the item of the dash, above that one's comments.
    fn insert_items(
        &mut self,
        new: &[Value],
        before: Option<&Node>,
        (dash, column): (usize, usize),
        home: usize,
    ) {
        let lines: String = new.iter().map(|item| self.layout.item(item, column)).collect();
        if lines.is_empty() {
            return;
        }
        if let Some(before) = before {
            return self.insert_lines(self.line_end(before.at.end), lines);
        }
        // The first item: below the key, or where the sequence itself is an item, on the line of that one's dash.
        let below_key = self.line_end(home);
        if below_key <= self.line_start(dash) && self.is_first_of_line(dash) {
            return self.insert_lines(below_key, lines);
        }
        let (indent, rest) = lines.split_at(column.min(lines.len()));
        self.edit(dash..dash, format!("{rest}{indent}"));
    }

    /// Where the dash of each item stands; `None` where that is not beyond doubt or items share a line.
    fn dashes(&self, items: &[Node], home: usize) -> Option<Vec<usize>> {
        let mut from = home;
        let mut dashes = Vec::with_capacity(items.len());
        for item in items {
            let dash = self.dash_from(from)?;
            if dash >= item.at.start.max(dash + 1) {
                return None;
            }
            dashes.push(dash);
            from = item.at.end.max(dash + 1);
        }
        let columns = dashes.iter().map(|dash| self.column(*dash));
        let first = columns.clone().next()?;
        columns.clone().all(|column| column == first).then_some(dashes)
    }

    /// The next dash, behind blanks, comments, an anchor or a tag.
    fn dash_from(&self, from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            let rest = self.text.get(at..)?;
            at += rest.len() - rest.trim_start().len();
            let rest = self.text.get(at..)?;
            match rest.chars().next()? {
                '-' => return Some(at),
                '#' => at = self.line_end(at),
                '&' | '!' => at += rest.find(char::is_whitespace)?,
                _ => return None,
            }
        }
    }
}
