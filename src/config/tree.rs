//! The YAML text as a tree in which every key and every value knows where it stands.
//!
//! YAML 1.2 with its core schema (<https://yaml.org/spec/1.2.2/#103-core-schema>), less everything that
//! lets a file say two things at once: duplicate keys, anchors and aliases, merge keys, tags and second
//! documents are faults. What the keys mean is decided in [`shape`](super::shape).

#![allow(clippy::wildcard_enum_match_arm, reason = "the parser's events are not ours and not exhaustive")]

use super::problems::Fault;
use super::scalar;
use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput};
use std::ops::Range;

/// A value and the bytes of the text to point at when it is at fault: the value itself if it stands on
/// one line, else its key or its first line.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Range<usize>,
}

impl Node {
    fn is_collection(&self) -> bool {
        matches!(self.value, Value::Sequence(_) | Value::Mapping(_))
    }
}

/// What a node holds.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
    /// Something that was already reported.
    Broken,
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) node: Node,
}

/// Reads one document. Whatever is wrong with it goes to `faults`; `None` if nothing can be read.
pub(super) fn read(text: &str, faults: &mut Vec<Fault>) -> Option<Node> {
    let mut options = Options::default();
    options.emit_comments = false;
    options.disallow_directives = true;
    options.flow_nesting_limit = NESTING;
    options.block_nesting_limit = NESTING;
    let events = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { events, faults, text };
    reader.document().ok().flatten()
}

/// The text can't be read any further; why has been reported.
struct Stop;

struct Reader<'t, 'f> {
    events: Parser<'t, StrInput<'t>>,
    faults: &'f mut Vec<Fault>,
    text: &'t str,
}

impl<'t> Reader<'t, '_> {
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(..) if root.is_some() => {
                    self.fault(span, "", "a second document begins here", "one document in the file");
                    return Ok(root);
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                node => root = Some(self.node(node, span, "")?),
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, path: &str) -> Result<Node, Stop> {
        let at = self.bytes(&span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.properties(&span, anchor, tag.is_some(), path);
                let value = match style {
                    ScalarStyle::Plain => scalar::resolve(&text),
                    ScalarStyle::SingleQuoted
                    | ScalarStyle::DoubleQuoted
                    | ScalarStyle::Literal
                    | ScalarStyle::Folded => Value::String(text.into_owned()),
                };
                Ok(self.placed(value, at))
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.properties(&span, anchor, tag.is_some(), path);
                self.sequence(at.start, path)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.properties(&span, anchor, tag.is_some(), path);
                self.mapping(at.start, path)
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.fault(span, path, "aliases are not accepted", "the value itself");
                Ok(self.placed(Value::Broken, at))
            }
            // No event that the parser could send here, now or in a later version.
            _ => {
                self.fault(span, path, "this can't be read", "a value");
                Err(Stop)
            }
        }
    }

    fn sequence(&mut self, start: usize, path: &str) -> Result<Node, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                let end = self.bytes(&span).end.max(start);
                return Ok(self.placed(Value::Sequence(items), start..end));
            }
            let path = item(path, items.len());
            items.push(self.node(event, span, &path)?);
        }
    }

    fn mapping(&mut self, start: usize, path: &str) -> Result<Node, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                let end = self.bytes(&span).end.max(start);
                return Ok(self.placed(Value::Mapping(entries), start..end));
            }
            let key = self.key(event, span, path)?;
            let (event, value_span) = self.next()?;
            let below = key.as_deref().map_or_else(|| path.to_owned(), |key| member(path, key));
            let mut node = self.node(event, value_span, &below)?;
            let Some(key) = key else { continue };
            let key_span = self.bytes(&span);
            let line_of_key = self.text.get(key_span.start..).and_then(|t| t.find('\n'));
            let same_line = line_of_key.is_none_or(|n| node.place.start <= key_span.start + n);
            if node.place.is_empty() || (!same_line && node.is_collection()) {
                node.place = key_span.clone();
            }
            if let Some(first) = entries.iter().find(|e| e.key == key) {
                let fault = Fault::new(below, key_span, format!("the key `{key}` appears twice"))
                    .expected("each key once")
                    .related(first.key_span.clone(), "first here");
                self.faults.push(fault);
                continue;
            }
            entries.push(Entry { key, key_span, node });
        }
    }

    /// The text of a key; `None` for one that was refused.
    fn key(&mut self, event: Event<'t>, span: Span, path: &str) -> Result<Option<String>, Stop> {
        if let Event::Scalar(text, _, anchor, tag) = event {
            self.properties(&span, anchor, tag.is_some(), path);
            if text == "<<" {
                self.fault(span, path, "merge keys are not accepted", "the keys themselves");
                return Ok(None);
            }
            return Ok(Some(text.into_owned()));
        }
        self.fault(span, path, "a key must be plain text", "`key: value`");
        self.node(event, span, path)?;
        Ok(None)
    }

    fn properties(&mut self, span: &Span, anchor: usize, tagged: bool, path: &str) {
        if anchor != 0 {
            self.fault(*span, path, "anchors are not accepted", "a value without `&name`");
        }
        if tagged {
            self.fault(*span, path, "tags are not accepted", "a value without `!tag`");
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        loop {
            match self.events.next() {
                Some(Ok((Event::Comment(..) | Event::Anchor(..), _))) => {}
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => {
                    let at = error.marker().byte_offset().unwrap_or(self.text.len()).min(self.text.len());
                    let fault = Fault::new(String::new(), at..at, format!("not YAML: {}", error.info()));
                    self.faults.push(fault.expected("YAML 1.2"));
                    return Err(Stop);
                }
                None => return Err(Stop),
            }
        }
    }

    /// A node over `span`, to be pointed at on its first line.
    fn placed(&self, value: Value, span: Range<usize>) -> Node {
        let text = self.text.get(span.clone()).unwrap_or("");
        let line = text.lines().next().unwrap_or("").trim_end();
        Node { value, place: span.start..span.start + line.len() }
    }

    fn fault(&mut self, span: Span, path: &str, message: &str, expected: &str) {
        let at = self.bytes(&span);
        self.faults.push(Fault::new(path.to_owned(), at, message).expected(expected));
    }

    fn bytes(&self, span: &Span) -> Range<usize> {
        let range = span.byte_range().unwrap_or(0..0);
        let start = range.start.min(self.text.len());
        start..range.end.clamp(start, self.text.len())
    }
}

/// The path of a key below `path`.
pub(super) fn member(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The path of an item of the list at `path`.
pub(super) fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// Deeper than any sound file goes.
const NESTING: usize = 32;
