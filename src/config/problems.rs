//! Every fault of a configuration: where it is, which key, what was found, what is expected.
//!
//! Decides how faults look, to people ([`Problems::render`]) and to machines ([`Problems::to_json`]).
//! What is a fault is decided in [`tree`](super::tree), [`shape`](super::shape) and `checks`.

use super::secrecy::{without_passwords, without_secrets};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Every fault of a configuration, each with file:line:column, the path of its key, what was found and
/// what is expected. Displays as source snippets.
pub struct Problems {
    file: PathBuf,
    /// The file's text with passwords blanked out, byte for byte as long as the original.
    source: Option<String>,
    faults: Vec<Fault>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    path: String,
    span: Range<usize>,
    message: String,
    found: String,
    expected: String,
    related: Option<(Range<usize>, &'static str)>,
}

impl Fault {
    /// A fault of the key at `path`, standing in the bytes `span`.
    pub(super) fn new(path: impl Into<String>, span: Range<usize>, message: impl Into<String>) -> Fault {
        let (found, expected) = (String::new(), String::new());
        Fault { path: path.into(), span, message: message.into(), found, expected, related: None }
    }
    /// The path of the key.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
    /// What was found; never a secret.
    pub(super) fn found(mut self, found: impl Into<String>) -> Fault {
        self.found = found.into();
        self
    }
    /// What would be right.
    pub(super) fn expected(mut self, expected: impl Into<String>) -> Fault {
        self.expected = expected.into();
        self
    }
    /// Another place that has to do with it.
    pub(super) fn related(mut self, span: Range<usize>, label: &'static str) -> Fault {
        self.related = Some((span, label));
        self
    }
}

impl Problems {
    /// The faults of a text that stood in `file`, in the order of the text.
    pub(super) fn new(file: &Path, source: &str, mut faults: Vec<Fault>) -> Problems {
        faults.sort_by(|a, b| (a.span.start, &a.path).cmp(&(b.span.start, &b.path)));
        faults.dedup();
        for fault in &mut faults {
            // The path too: where the space after a colon is missing, a URL is part of a key.
            for text in [&mut fault.path, &mut fault.message, &mut fault.found] {
                *text = without_passwords(text);
            }
        }
        Problems { file: file.to_owned(), source: Some(without_secrets(source)), faults }
    }

    /// The file itself can't be read.
    pub(super) fn unreadable(file: &Path, why: impl Into<String>) -> Problems {
        let fault = Fault::new("", 0..0, why).expected("a readable YAML file");
        Problems { file: file.to_owned(), source: None, faults: vec![fault] }
    }

    /// How many faults there are; at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.faults.len()
    }

    /// For people: a source snippet for each fault, then how many there are.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let file = self.file.display().to_string();
        let mut text = String::new();
        for fault in &self.faults {
            text.push_str(&renderer.render(&[self.group(fault, &file)]));
            text.push_str("\n\n");
        }
        let s = if self.faults.len() == 1 { "" } else { "s" };
        text.push_str(&format!("{} problem{s} in {file}", self.faults.len()));
        text
    }

    fn group<'a>(&'a self, fault: &'a Fault, file: &'a str) -> Group<'a> {
        let title = Level::ERROR.primary_title(fault.message.as_str());
        let mut group = match &self.source {
            None => Group::with_title(title),
            Some(source) => {
                let mut primary = AnnotationKind::Primary.span(fault.span.clone());
                if !fault.found.is_empty() {
                    primary = primary.label(format!("found {}", fault.found));
                }
                let mut snippet = Snippet::source(source.as_str()).path(file).annotation(primary);
                if let Some((span, label)) = &fault.related {
                    snippet = snippet.annotation(AnnotationKind::Context.span(span.clone()).label(*label));
                }
                title.element(snippet)
            }
        };
        if !fault.path.is_empty() {
            group = group.element(Level::NOTE.with_name("key").message(fault.path.as_str()));
        }
        if !fault.expected.is_empty() {
            group = group.element(Level::HELP.with_name("expected").message(fault.expected.as_str()));
        }
        group
    }

    /// For machines: a list of `{file, line, column, path, found, expected, message}`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let one = |fault: &Fault| {
            let (line, column) = self.position(fault);
            serde_json::json!({
                "file": self.file.display().to_string(),
                "line": line,
                "column": column,
                "path": fault.path,
                "found": fault.found,
                "expected": fault.expected,
                "message": fault.message,
            })
        };
        self.faults.iter().map(one).collect()
    }

    /// Line and column in characters, from 1.
    fn position(&self, fault: &Fault) -> (usize, usize) {
        let before = self.source.as_deref().and_then(|s| s.get(..fault.span.start)).unwrap_or("");
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
        (before.bytes().filter(|b| *b == b'\n').count() + 1, column)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}
/// Only the faults: the source may hold what does not belong in a log.
impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problems").field("file", &self.file).field("faults", &self.faults).finish()
    }
}
impl std::error::Error for Problems {}
