//! The rings of the crate have one direction: an inner one never names an outer one. And no file outgrows its idea.
//!
//! What is read are the paths that begin with `crate::`, and the `super::` chains that reach the crate's root.

use std::path::{Path, PathBuf};

/// Each ring with those it may name besides itself. A new top-level module needs a row, and an opinion.
const RINGS: &[(&str, &[&str])] = &[
    ("pop", &[]),
    ("config", &["pop"]),
    ("telemetry", &["pop", "config"]),
    ("state", &["pop", "config", "telemetry"]),
    ("gate", &["pop", "config", "telemetry", "state"]),
    ("serve", &["pop", "config", "telemetry", "state", "gate"]),
    ("inject", &["config"]),
    ("cli", &["pop", "config", "telemetry", "state", "gate", "serve", "inject"]),
];
/// The crate's doors: they open on everything.
const DOORS: &[&str] = &["lib", "main"];
const LONGEST_FILE: usize = 300;

#[test]
fn no_arrow_points_outward() {
    let faults: Vec<String> = sources().iter().flat_map(|(file, text)| outward(file, text)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_file_is_short_and_finished() {
    for (file, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines: which two ideas are in it?", file.display());
        for stub in ["todo!(", "unimplemented!("] {
            assert!(!text.contains(stub), "{} has a {stub})", file.display());
        }
    }
}

#[test]
fn an_outward_arrow_is_found_however_it_is_written() {
    let in_pop = |text: &str| outward(Path::new("pop/dpop.rs"), text).len();
    assert_eq!(in_pop("use crate::state::tokens::Tokens;"), 1);
    assert_eq!(in_pop("use crate::{pop::Denial, gate::Gate, telemetry};"), 2);
    assert_eq!(in_pop("use crate::{\n    pop::{Denial, jwk::Key},\n    config::{Feed, Tls},\n};"), 1);
    assert_eq!(in_pop("fn f() { crate::telemetry::count() }"), 1);
    assert_eq!(in_pop("use super::super::config::Config;"), 1);
    assert_eq!(in_pop("use super::jwk::Key;\nuse crate::pop::config_free;\n// crate::gate asks"), 0);
    assert_eq!(outward(Path::new("pop/mod.rs"), "use super::config::Config;").len(), 1);
    assert_eq!(outward(Path::new("telemetry.rs"), "use crate::config::Telemetry;").len(), 0);
    assert_eq!(outward(Path::new("state/replay/redis.rs"), "use crate::gate::Gate;").len(), 1);
    assert_eq!(outward(Path::new("attic.rs"), "").len(), 1, "an unknown ring");
}

/// The faults of a file, its path being relative to `src`.
fn outward(file: &Path, text: &str) -> Vec<String> {
    let parts: Vec<&str> = file.iter().filter_map(|part| part.to_str()).collect();
    let ring = parts[0].trim_end_matches(".rs");
    if DOORS.contains(&ring) {
        return Vec::new();
    }
    let Some((_, inner)) = RINGS.iter().find(|(name, _)| *name == ring) else {
        return vec![format!("src/{}: no ring of this name: add it to RINGS", file.display())];
    };
    let depth = parts.len() - usize::from(parts.last() == Some(&"mod.rs"));
    let allowed =
        |named: &str| named == ring || inner.contains(&named) || !RINGS.iter().any(|(r, _)| *r == named);
    let named = named_rings(&without_comments(text), depth);
    let faults = named.into_iter().filter(|named| !allowed(named));
    faults.map(|named| format!("src/{}: {ring} must not know {named}", file.display())).collect()
}

/// The first segment of every path from the crate's root.
fn named_rings(text: &str, depth: usize) -> Vec<String> {
    let from_root = ["crate::".to_owned(), "super::".repeat(depth)];
    let mut named = Vec::new();
    for root in &from_root {
        for (at, _) in text.match_indices(root.as_str()) {
            let rest = &text[at + root.len()..];
            match rest.strip_prefix('{') {
                Some(group) => named.extend(first_segments(group)),
                None => named.push(identifier(rest)),
            }
        }
    }
    named
}

/// Of `a, b::{c, d}, e}`: a, b and e.
fn first_segments(group: &str) -> Vec<String> {
    let (mut segments, mut depth, mut at_start) = (Vec::new(), 0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if at_start && depth == 0 && !c.is_whitespace() => {
                segments.push(identifier(&group[at..]));
                at_start = false;
            }
            _ => {}
        }
    }
    segments
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// A comment may speak of anything; `https://` in a text is none.
fn without_comments(text: &str) -> String {
    let code = |line: &str| match line.find("//") {
        Some(at) if at == 0 || line[..at].ends_with(char::is_whitespace) => line[..at].to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(code).collect::<Vec<_>>().join("\n")
}

/// Every source file: its path below `src`, and its text.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() > 20, "the sources are not where this test looks");
    found
}
