//! A text of YAML as documents in which every node knows its bytes.
//!
//! Unlike the configuration, manifests are other people's files: anchors, aliases, merge keys, flow style and several
//! documents are read as Kubernetes reads them. What it would not read (a key twice) is refused.

#![allow(clippy::wildcard_enum_match_arm, reason = "the parser's events are not ours and not exhaustive")]

use super::scalar;
use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput, StructureStyle, Tag};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::ops::Range;

/// All documents of a text, and where comments stand.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) documents: Vec<Node>,
    pub(super) comments: Vec<Range<usize>>,
}

/// A value, and its bytes.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Without anchor and tag; of a collection in block style from its first key or item to the end of its last.
    pub(super) at: Range<usize>,
    /// What it says when aliases and merge keys are followed.
    pub(super) value: Value,
    /// Its anchor's number, or 0.
    pub(super) anchor: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Scalar,
    /// Of the anchor of this number.
    Alias(usize),
    Mapping {
        flow: bool,
        entries: Vec<Entry>,
    },
    Sequence {
        flow: bool,
        items: Vec<Node>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Range<usize>,
    /// `<<`: what it names is taken in.
    pub(super) merge: bool,
    pub(super) node: Node,
}

/// Why a text can't be read, and at which byte.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) at: usize,
    pub(super) why: String,
}

/// Reads a text.
pub(super) fn read(text: &str) -> Result<Stream, Unreadable> {
    let mut options = Options::default();
    options.emit_comments = true;
    options.flow_nesting_limit = NESTING;
    options.block_nesting_limit = NESTING;
    let events = Parser::new_from_str_with_options(text, options);
    let mut reader =
        Reader { text, events, comments: Vec::new(), anchors: HashMap::new(), left: MOST_NODES, at: 0 };
    let mut documents = Vec::new();
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            Event::StreamEnd => return Ok(Stream { documents, comments: reader.comments }),
            event => documents.push(reader.node(event, &span)?),
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    events: Parser<'t, StrInput<'t>>,
    comments: Vec<Range<usize>>,
    /// What each anchor stands for, and of how many nodes that is.
    anchors: HashMap<usize, (Value, usize)>,
    /// How many nodes may still come, aliases followed: a small text may say a billion.
    left: usize,
    at: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Range<usize>), Unreadable> {
        loop {
            match self.events.next() {
                Some(Ok((Event::Comment(..), span))) => {
                    let at = self.bytes(&span);
                    self.comments.push(at);
                }
                Some(Ok((Event::Anchor(..), _))) => {}
                Some(Ok((event, span))) => {
                    let at = self.bytes(&span);
                    self.at = at.start;
                    return Ok((event, at));
                }
                Some(Err(error)) => {
                    let at = error.marker().byte_offset().unwrap_or(self.text.len());
                    return Err(Unreadable { at, why: format!("not YAML: {}", error.info()) });
                }
                None => return Err(self.unreadable("not YAML: it ends too early")),
            }
        }
    }

    fn node(&mut self, event: Event<'t>, at: &Range<usize>) -> Result<Node, Unreadable> {
        self.spend(1)?;
        let before = self.left;
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref())?;
                let end = self.end_of_scalar(at, style, &text);
                (anchor, Node { at: at.start..end, value, anchor, kind: Kind::Scalar })
            }
            Event::Alias(id) => {
                let (value, size) =
                    self.anchors.get(&id).cloned().ok_or_else(|| self.unreadable("an alias of nothing"))?;
                self.spend(size)?;
                (0, Node { at: at.clone(), value, anchor: 0, kind: Kind::Alias(id) })
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.only_core(tag.as_deref())?;
                (anchor, self.sequence(at, style == StructureStyle::Flow)?)
            }
            Event::MappingStart(style, anchor, tag) => {
                self.only_core(tag.as_deref())?;
                (anchor, self.mapping(at, style == StructureStyle::Flow)?)
            }
            _ => return Err(self.unreadable("this can't be read")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.value.clone(), before - self.left + 1));
        }
        Ok(Node { anchor, ..node })
    }

    fn sequence(&mut self, at: &Range<usize>, flow: bool) -> Result<Node, Unreadable> {
        let mut items: Vec<Node> = Vec::new();
        loop {
            let (event, place) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                let end = if flow { place.end } else { items.last().map_or(at.end, |last| last.at.end) };
                let value = Value::Array(items.iter().map(|item| item.value.clone()).collect());
                let kind = Kind::Sequence { flow, items };
                return Ok(Node { at: at.start..end, value, anchor: 0, kind });
            }
            items.push(self.node(event, &place)?);
        }
    }

    fn mapping(&mut self, at: &Range<usize>, flow: bool) -> Result<Node, Unreadable> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, key_at) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                let end = if flow { key_at.end } else { entries.last().map_or(at.end, Entry::end) };
                let value = Value::Object(merged(&entries));
                let kind = Kind::Mapping { flow, entries };
                return Ok(Node { at: at.start..end, value, anchor: 0, kind });
            }
            let Event::Scalar(key, style, _, _) = event else {
                return Err(self.unreadable("a key that is no text"));
            };
            let merge = key == "<<" && style == ScalarStyle::Plain;
            if !merge && entries.iter().any(|entry| entry.key == key) {
                return Err(self.unreadable(&format!("the key {key} appears twice")));
            }
            let (event, place) = self.next()?;
            let mut node = self.node(event, &place)?;
            if node.is_absent() {
                node.at = self.behind_colon(key_at.end);
            }
            if merge && !mergeable(&node.value) {
                return Err(self.unreadable("<< takes in mappings only"));
            }
            entries.push(Entry { key: key.into_owned(), key_at, merge, node });
        }
    }

    /// Where a value would stand that is not there.
    fn behind_colon(&self, key: usize) -> Range<usize> {
        let rest = self.text.get(key..).unwrap_or_default();
        let colon = rest.trim_start_matches(' ').strip_prefix(':').map(|behind| rest.len() - behind.len());
        let at = key + colon.unwrap_or(0);
        at..at
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, Unreadable> {
        self.only_core(tag)?;
        let words = || Value::String(text.to_owned());
        let as_text = match tag.and_then(Tag::core_suffix) {
            Some(suffix) => suffix == "str",
            None => style != ScalarStyle::Plain,
        };
        Ok(if as_text { words() } else { scalar::plain(text) })
    }

    fn only_core(&self, tag: Option<&Tag>) -> Result<(), Unreadable> {
        let known = |tag: &Tag| tag.core_suffix().is_some_and(|suffix| CORE.contains(&suffix));
        if tag.is_none_or(known) {
            Ok(())
        } else {
            Err(self.unreadable("a tag that Kubernetes does not know"))
        }
    }

    /// A literal reaches to where the next thing begins: without the blank lines that it does not hold.
    fn end_of_scalar(&self, at: &Range<usize>, style: ScalarStyle, value: &str) -> usize {
        if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            return at.end;
        }
        let text = self.text.get(at.clone()).unwrap_or("");
        let lines = text.trim_end_matches([' ', '\t']);
        let kept = value.ends_with("\n\n") || value == "\n";
        let trimmed = if kept { lines.strip_suffix('\n').unwrap_or(lines) } else { text.trim_end() };
        at.start + trimmed.trim_end_matches('\r').len()
    }

    fn bytes(&self, span: &Span) -> Range<usize> {
        let range = span.byte_range().unwrap_or(0..0);
        let start = range.start.min(self.text.len());
        start..range.end.clamp(start, self.text.len())
    }

    fn spend(&mut self, nodes: usize) -> Result<(), Unreadable> {
        self.left =
            self.left.checked_sub(nodes).ok_or_else(|| self.unreadable("too much, aliases followed"))?;
        Ok(())
    }

    fn unreadable(&self, why: &str) -> Unreadable {
        Unreadable { at: self.at, why: why.to_owned() }
    }
}

impl Node {
    /// Whether there is no text: `key:`, and nothing.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.kind, Kind::Scalar) && self.at.is_empty()
    }
}

impl Entry {
    /// Where its text ends.
    pub(super) fn end(&self) -> usize {
        self.node.at.end.max(self.key_at.end)
    }
}

fn mergeable(value: &Value) -> bool {
    value.is_object() || value.as_array().is_some_and(|all| all.iter().all(Value::is_object))
}

/// What a mapping says: its own keys, then those that it takes in, the first that has one counts.
fn merged(entries: &[Entry]) -> Map<String, Value> {
    let own = entries.iter().filter(|entry| !entry.merge);
    let mut all: Map<String, Value> =
        own.map(|entry| (entry.key.clone(), entry.node.value.clone())).collect();
    for entry in entries.iter().filter(|entry| entry.merge) {
        let sources = entry.node.value.as_array().cloned().unwrap_or_else(|| vec![entry.node.value.clone()]);
        for (key, value) in sources.iter().filter_map(Value::as_object).flatten() {
            all.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    all
}

/// The tags of YAML's core schema.
const CORE: &[&str] = &["str", "int", "bool", "float", "null", "map", "seq"];
/// Deeper than any manifest goes.
const NESTING: usize = 64;
/// More than fits into etcd, many times over.
const MOST_NODES: usize = 2_000_000;
