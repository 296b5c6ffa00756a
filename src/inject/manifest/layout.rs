//! How a text lays out its blocks: what is put into it looks alike.

use super::line_of;
use super::tree::{Kind, Node, Stream};
use super::write::Layout;

/// As the text does it where it does, else as most people do.
pub(super) fn of(text: &str, stream: &Stream) -> Layout {
    let newline = if text.lines().next().is_some_and(|_| text.contains("\r\n")) { "\r\n" } else { "\n" };
    let mut seen = (None, None);
    for document in &stream.documents {
        measure(text, document, &mut seen);
    }
    Layout { step: seen.0.unwrap_or(2), dash: seen.1.unwrap_or(2), newline }
}

/// The first step between a mapping and one below it, and between a mapping and a sequence below it.
fn measure(text: &str, node: &Node, seen: &mut (Option<usize>, Option<usize>)) {
    let column = |at: usize| {
        let before = text.get(..at).unwrap_or_default();
        before.chars().rev().take_while(|c| *c != '\n').count()
    };
    match &node.kind {
        Kind::Scalar | Kind::Alias(_) => {}
        Kind::Sequence { items, .. } => items.iter().for_each(|item| measure(text, item, seen)),
        Kind::Mapping { flow: _, entries } => {
            for entry in entries {
                let below = |at: usize| column(at).checked_sub(column(entry.key_at.start));
                match &entry.node.kind {
                    Kind::Mapping { entries, .. } if seen.0.is_none() => {
                        let first = entries.first().map(|first| first.key_at.start);
                        let own_line =
                            first.filter(|at| line_of(text, *at) > line_of(text, entry.key_at.start));
                        seen.0 = own_line.and_then(below).filter(|step| (1..=8).contains(step));
                    }
                    Kind::Sequence { flow: false, items } if seen.1.is_none() => {
                        let first = items.first().map(|item| item.at.start);
                        // An item stands two columns behind its dash, or more.
                        seen.1 = first
                            .and_then(below)
                            .and_then(|step| step.checked_sub(2))
                            .filter(|step| *step <= 8);
                    }
                    Kind::Scalar | Kind::Alias(_) | Kind::Mapping { .. } | Kind::Sequence { .. } => {}
                }
                measure(text, &entry.node, seen);
            }
        }
    }
}
