//! clinch in manifests: what `clinch inject` does to a text of YAML or JSON.
//!
//! Each pod and each template of pods is given to [`patch`](super::patch::patch), as the webhook would be given the pod. What
//! comes back is done to the text by edits, so that comments and layout stay; then the text is read again and has to say
//! exactly what the patch says. A text that does not is never given out.

mod align;
mod block;
mod edit;
mod flow;
mod layout;
mod scalar;
#[cfg(test)]
mod tests;
mod tree;
mod workloads;
mod write;

use super::patch::{Outcome, Place, Refusal};
use crate::config::template::Template;
use serde_json::Value;
use std::fmt;
use tree::{Kind, Node, Stream};
use workloads::{Found, Step};

/// What decides about a pod: [`patch`](super::patch::patch).
pub type Decide = dyn Fn(&Value, &Place<'_>, &Template) -> Result<Outcome, Refusal>;

/// What the operator says about all of them.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Of objects that name none.
    pub namespace: &'a str,
    /// The injector's own namespace.
    pub own: &'a str,
    /// What sidecars are made of.
    pub template: &'a Template,
    /// The end of the paths of new hooks.
    pub token: &'a str,
}

/// A text with clinch in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injected {
    /// All documents of the text that was given.
    pub text: String,
    /// What somebody should know: warnings, and what was left as it is and why.
    pub notes: Vec<Remark>,
}

/// Something about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Where it begins, from 1.
    pub line: usize,
    /// `document 2, Deployment/shop`
    pub object: String,
    /// What there is to say.
    pub words: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.line, self.object, self.words)
    }
}

/// Puts clinch into every pod of a text.
///
/// # Errors
/// Every reason of every object that should be guarded and can't be, or why the text can't be read.
pub fn inject(text: &str, settings: &Settings<'_>, decide: &Decide) -> Result<Injected, Vec<Remark>> {
    // Spans count from behind a byte order mark, which stays where it is.
    let (mark, text) = text.strip_prefix('\u{feff}').map_or(("", text), |rest| ("\u{feff}", rest));
    let json: Option<Value> = serde_json::from_str(text).ok();
    let stream = match (tree::read(text), &json) {
        (Ok(stream), _) => stream,
        // JSON that is no YAML, such as with pairs of surrogates: its layout is lost, nothing else.
        (Err(_), Some(json)) => return inject(&format!("{json:#}\n"), settings, decide),
        (Err(error), None) => {
            let line = line_of(text, error.at);
            return Err(vec![Remark { line, object: "the file".to_owned(), words: error.why }]);
        }
    };
    let mut work = Work { text, settings, decide, notes: Vec::new(), refusals: Vec::new() };
    let wanted: Vec<Value> =
        stream.documents.iter().enumerate().map(|(number, node)| work.document(number + 1, node)).collect();
    let Work { notes, mut refusals, .. } = work;
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let edited = write(text, &stream, &wanted);
    refusals.extend(differences(text, &stream, edited.as_deref(), &wanted, json.is_some()));
    match edited {
        Some(edited) if refusals.is_empty() => Ok(Injected { text: format!("{mark}{edited}"), notes }),
        _ => Err(refusals),
    }
}

/// What the documents of a text say, anchors and merge keys followed.
///
/// # Errors
/// Why it can't be read.
pub fn documents(text: &str) -> Result<Vec<Value>, String> {
    let stream = tree::read(text).map_err(|error| format!("{}: {}", line_of(text, error.at), error.why))?;
    Ok(stream.documents.into_iter().map(|node| node.value).collect())
}

struct Work<'a> {
    text: &'a str,
    settings: &'a Settings<'a>,
    decide: &'a Decide,
    notes: Vec<Remark>,
    refusals: Vec<Remark>,
}

impl Work<'_> {
    /// What a document shall say.
    fn document(&mut self, number: usize, node: &Node) -> Value {
        let mut wanted = node.value.clone();
        for found in workloads::find(&node.value) {
            let line = line_of(self.text, start_of(node, &found.object));
            let object = format!("document {number}, {}/{}", found.kind, found.name);
            let remark = |words: String| Remark { line, object: object.clone(), words };
            let Some(place) = found.pointer().and_then(|pointer| wanted.pointer_mut(&pointer)) else {
                self.notes.push(remark(unknown(&found)));
                continue;
            };
            match self.pod(place, &found) {
                Ok((new, words)) => {
                    *place = new;
                    self.notes.extend(words.into_iter().map(remark));
                }
                Err(faults) => self.refusals.extend(faults.into_iter().map(remark)),
            }
        }
        wanted
    }

    fn pod(&self, template: &Value, found: &Found) -> Result<(Value, Vec<String>), Vec<String>> {
        let namespace = found.namespace.as_deref().unwrap_or(self.settings.namespace);
        let place = Place { namespace, opted_in: true, own: self.settings.own, token: self.settings.token };
        let pod = workloads::as_pod(template);
        let outcome = (self.decide)(&pod, &place, self.settings.template);
        match outcome.map_err(|Refusal { faults }| faults)? {
            Outcome::Complete => Ok((template.clone(), Vec::new())),
            Outcome::Left(why) => Ok((template.clone(), vec![format!("left as it is: {why}")])),
            Outcome::Patched { patch, warnings } => {
                let mut patched = pod;
                json_patch::patch(&mut patched, &patch)
                    .map_err(|error| vec![format!("the patch does not apply: {error}")])?;
                Ok((workloads::from_pod(template, &patched), warnings))
            }
        }
    }
}

fn write(text: &str, stream: &Stream, wanted: &[Value]) -> Option<String> {
    let layout = layout::of(text, stream);
    let both = stream.documents.iter().zip(wanted);
    let edits = both.flat_map(|(old, new)| edit::edits(text, &stream.comments, layout, old, new)).collect();
    edit::apply(text, edits)
}

/// The documents that an edited text does not say as it should: whoever wrote edits for a style that is not understood
/// gets no wrong manifest.
fn differences(
    text: &str,
    stream: &Stream,
    edited: Option<&str>,
    wanted: &[Value],
    json: bool,
) -> Vec<Remark> {
    let read = edited.and_then(|edited| tree::read(edited).ok()).unwrap_or_default().documents;
    let still_json = || match (edited.map(serde_json::from_str::<Value>), wanted) {
        (Some(Ok(read)), [wanted]) => read == *wanted,
        _ => false,
    };
    if read.len() == wanted.len() && json && !still_json() {
        return vec![Remark { line: 1, object: "the file".to_owned(), words: UNWRITABLE.to_owned() }];
    }
    let says = |number: usize| {
        read.len() == wanted.len() && read.get(number).map(|node| &node.value) == wanted.get(number)
    };
    let wrong = (0..wanted.len().max(1)).filter(|number| !says(*number));
    let remark = |number: usize| Remark {
        line: line_of(text, stream.documents.get(number).map_or(0, |node| node.at.start)),
        object: format!("document {}", number + 1),
        words: UNWRITABLE.to_owned(),
    };
    if read.is_empty() && wanted.is_empty() { Vec::new() } else { wrong.map(remark).collect() }
}

fn unknown(found: &Found) -> String {
    format!(
        "left as it is: clinch does not know {}, and the webhook injects its pods when they start",
        found.kind
    )
}

fn start_of(node: &Node, path: &[Step]) -> usize {
    let below = match (path.first(), &node.kind) {
        (Some(Step::Key(key)), Kind::Mapping { entries, .. }) => {
            entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.node)
        }
        (Some(Step::Index(index)), Kind::Sequence { items, .. }) => items.get(*index),
        (_, Kind::Scalar | Kind::Alias(_) | Kind::Mapping { .. } | Kind::Sequence { .. }) => None,
    };
    below.map_or(node.at.start, |below| start_of(below, path.get(1..).unwrap_or_default()))
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}

const UNWRITABLE: &str =
    "clinch can't write this so that it says what it should: write anchors out, or use block style";
