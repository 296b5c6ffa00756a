//! From what a text says to what it shall say, by edits of the text: what stays the same keeps every byte, comments too.
//!
//! Old and new are compared from the top; where a node has become another, the smallest edit is made that says so, in the
//! style that is there. Comments within what is removed stay, as lines of their own. Whether the edits say what they should
//! is not decided here: the caller reads the result again and compares.

use super::tree::{Kind, Node};
use super::write::{Layout, is_inline, spaces};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Range;

/// Bytes, and what stands there instead.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) at: Range<usize>,
    pub(super) with: String,
}

/// Where a node stands, for a new one in its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Home {
    /// Behind a key's colon or an item's dash that ends at this byte; key or dash stand at this column.
    Block { after: usize, column: usize },
    /// Within flow style.
    Flow,
}

/// The edits by which `old` says `new`.
pub(super) fn edits(
    text: &str,
    comments: &[Range<usize>],
    layout: Layout,
    old: &Node,
    new: &Value,
) -> Vec<Edit> {
    // An anchored node that changes takes its aliases along; those are written out then, which may change further ones.
    let mut dirty = BTreeSet::new();
    loop {
        let mut editor =
            Editor { text, comments, layout, dirty: &dirty, edits: Vec::new(), touched: BTreeSet::new() };
        editor.node(old, new, Home::Block { after: old.at.start, column: 0 });
        let Editor { edits, touched, .. } = editor;
        if touched.is_subset(&dirty) {
            return edits;
        }
        dirty.extend(touched);
    }
}

/// The text with its edits; `None` where two of them are about the same bytes.
pub(super) fn apply(text: &str, mut edits: Vec<Edit>) -> Option<String> {
    edits.sort_by_key(|edit| edit.at.start);
    let (mut out, mut done) = (String::with_capacity(text.len() + 4096), 0);
    for edit in &edits {
        out.push_str(text.get(done..edit.at.start)?);
        out.push_str(&edit.with);
        done = edit.at.end;
    }
    out.push_str(text.get(done..)?);
    Some(out)
}

pub(super) struct Editor<'a> {
    pub(super) text: &'a str,
    pub(super) comments: &'a [Range<usize>],
    pub(super) layout: Layout,
    /// Anchors whose aliases no longer say what they did.
    pub(super) dirty: &'a BTreeSet<usize>,
    pub(super) edits: Vec<Edit>,
    pub(super) touched: BTreeSet<usize>,
}

impl Editor<'_> {
    pub(super) fn node(&mut self, old: &Node, new: &Value, home: Home) {
        if old.value == *new && !self.is_stale(old) {
            return;
        }
        if old.anchor != 0 && old.value != *new {
            self.touched.insert(old.anchor);
        }
        match (&old.kind, new, home) {
            // In block style, what was empty becomes a block.
            (_, _, Home::Block { .. }) if is_inline(&old.value) || is_inline(new) => {
                self.replace(old, new, home)
            }
            (Kind::Mapping { flow: false, entries }, Value::Object(members), _) => {
                self.block_mapping(old, entries, members);
            }
            (Kind::Sequence { flow: false, items }, Value::Array(values), Home::Block { after, column }) => {
                self.block_sequence(old, items, values, (after, column));
            }
            (Kind::Mapping { flow: true, entries }, Value::Object(members), _) => {
                self.flow_mapping(old, entries, members);
            }
            (Kind::Sequence { flow: true, items }, Value::Array(values), _) => {
                self.flow_sequence(old, items, values);
            }
            (
                Kind::Scalar | Kind::Alias(_) | Kind::Mapping { .. } | Kind::Sequence { .. },
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_),
                _,
            ) => self.replace(old, new, home),
        }
    }

    /// Whether something below names an anchor whose node has changed.
    pub(super) fn is_stale(&self, node: &Node) -> bool {
        match &node.kind {
            Kind::Scalar => false,
            Kind::Alias(id) => self.dirty.contains(id),
            Kind::Mapping { entries, .. } => entries.iter().any(|entry| self.is_stale(&entry.node)),
            Kind::Sequence { items, .. } => items.iter().any(|item| self.is_stale(item)),
        }
    }

    /// A node written anew: on one line behind its key or dash, or as a block below it.
    pub(super) fn replace(&mut self, old: &Node, new: &Value, home: Home) {
        let Home::Block { after, column } = home else {
            return self.replace_flow(old, new);
        };
        let end = old.at.end.max(after);
        let gap = self.text.get(after..old.at.start).unwrap_or_default();
        if is_inline(new) {
            let start = if gap.chars().all(|c| c == ' ') && !gap.is_empty() { old.at.start } else { after };
            let space = if start == after { " " } else { "" };
            let old_is_there = !old.is_absent();
            let at = if old_is_there { start..end } else { after..after };
            let space = if old_is_there { space } else { " " };
            self.edit(at.clone(), format!("{space}{}", super::scalar::inline(new)));
            return self.keep_comments(at, self.line_end(end), column);
        }
        let is_item = self.text.get(..after).is_some_and(|before| before.ends_with('-'));
        if is_item {
            let item = self.layout.item(new, column);
            let hanging = item.get(column + 1..).unwrap_or_default().trim_end_matches(['\r', '\n']);
            self.edit(after..end, hanging.to_owned());
            return self.keep_comments(after..end, self.line_end(end), column);
        }
        if !old.is_absent() {
            self.edit(after..end, String::new());
            self.keep_comments(after..end, self.line_end(end), column + self.layout.step);
        }
        let below = column + if new.is_array() { self.layout.dash } else { self.layout.step };
        let lines = self.layout.lines(new, below);
        self.insert_lines(self.line_end(end), lines);
    }

    /// Comments within it stay behind it, each at the end of a line, for what comes next may be on the same one.
    fn replace_flow(&mut self, old: &Node, new: &Value) {
        let mut with = self.layout.flow(new, self.column_if_many_lines(old));
        let start = self.text.get(self.line_start(old.at.start)..).unwrap_or_default();
        let indent = start.len() - start.trim_start_matches(' ').len() + self.layout.step;
        for comment in self.comments.iter().filter(|comment| old.at.contains(&comment.start)) {
            let words = self.text.get(comment.clone()).unwrap_or_default().trim_end();
            with += &format!(" {words}{}{}", self.layout.newline, spaces(indent));
        }
        self.edit(old.at.clone(), with);
    }

    /// Comments of bytes that go away stay, as lines of their own where line `to` begins.
    pub(super) fn keep_comments(&mut self, gone: Range<usize>, to: usize, column: usize) {
        let inside = |comment: &&Range<usize>| gone.start <= comment.start && comment.end <= gone.end;
        let newline = self.layout.newline;
        let line = |comment: &Range<usize>| {
            format!(
                "{}{}{newline}",
                spaces(column),
                self.text.get(comment.clone()).unwrap_or_default().trim_end()
            )
        };
        let lines: String = self.comments.iter().filter(inside).map(line).collect();
        if !lines.is_empty() {
            self.insert_lines(to, lines);
        }
    }

    pub(super) fn edit(&mut self, at: Range<usize>, with: String) {
        self.edits.push(Edit { at, with });
    }

    /// Puts whole lines to the beginning of a line, which may be the one that the text does not have yet.
    pub(super) fn insert_lines(&mut self, at: usize, lines: String) {
        let after_newline = at == 0 || self.text.get(..at).is_some_and(|before| before.ends_with('\n'));
        let with = if after_newline {
            lines
        } else {
            format!("{}{}", self.layout.newline, lines.trim_end_matches(['\r', '\n']))
        };
        self.edit(at..at, with);
    }

    pub(super) fn line_start(&self, at: usize) -> usize {
        self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
    }

    /// Where the line after the one with this byte begins.
    pub(super) fn line_end(&self, at: usize) -> usize {
        self.text
            .get(at..)
            .and_then(|rest| rest.find('\n'))
            .map_or(self.text.len(), |newline| at + newline + 1)
    }

    pub(super) fn column(&self, at: usize) -> usize {
        self.text.get(self.line_start(at)..at).unwrap_or_default().chars().count()
    }

    pub(super) fn is_first_of_line(&self, at: usize) -> bool {
        self.text.get(self.line_start(at)..at).is_some_and(|before| before.trim().is_empty())
    }

    /// For what goes into a node of flow style that has several lines: where the line of its opening bracket begins.
    pub(super) fn column_if_many_lines(&self, node: &Node) -> Option<usize> {
        let many = self.text.get(node.at.clone()).is_some_and(|text| text.contains('\n'));
        let line = self.text.get(self.line_start(node.at.start)..).unwrap_or_default();
        many.then(|| line.len() - line.trim_start_matches(' ').len())
    }
}
