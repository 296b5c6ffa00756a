//! `docs/conformance.md` is made of what the sources and the tests say of themselves, and says it truly.
//!
//! A rule or an attack has an id. The comment of the code that enforces a rule names its id, and so does the test that
//! would fail without it. What has no test needs a word in `decisions.md`.
//! `BLESS=1 cargo test --test it conformance` writes the document anew.

mod document;
mod marks;

use document::document;
use marks::Marks;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// One rule that binds a resource server or a gateway.
struct Rule {
    id: String,
    level: String,
    source: String,
    words: String,
}

/// One thing that an attacker would try.
struct Attack {
    id: String,
    words: String,
}

#[test]
fn every_rule_has_a_test_or_a_reason() {
    let (marks, decided) = (Marks::read(), decided());
    let open: Vec<String> = rules()
        .into_iter()
        .map(|rule| rule.id)
        .filter(|id| marks.tests(id).is_empty() && !decided.contains_key(id))
        .collect();
    assert!(open.is_empty(), "rules without a test and without a word in decisions.md: {}", open.join(" "));
}

#[test]
fn every_attack_has_a_test_or_a_reason() {
    let (marks, decided) = (Marks::read(), decided());
    let open = attacks().into_iter().map(|attack| attack.id);
    let open: Vec<String> =
        open.filter(|id| marks.tests(id).is_empty() && !decided.contains_key(id)).collect();
    assert!(open.is_empty(), "attacks without a test and without a word in decisions.md: {}", open.join(" "));
}

#[test]
fn nobody_names_a_rule_that_there_is_not() {
    let rules = rules().into_iter().map(|rule| rule.id);
    let known: BTreeSet<String> = rules.chain(attacks().into_iter().map(|attack| attack.id)).collect();
    let unknown: Vec<String> = Marks::read().ids().filter(|id| !known.contains(*id)).cloned().collect();
    assert!(unknown.is_empty(), "named somewhere, but not in the catalogues: {}", unknown.join(" "));
    let undecided: Vec<String> = decided().into_keys().filter(|id| !known.contains(id)).collect();
    assert!(undecided.is_empty(), "decided, but not in the catalogues: {}", undecided.join(" "));
}

#[test]
fn the_document_says_what_the_sources_say() {
    let (file, made) = (root().join("docs/conformance.md"), document());
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &made).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == made, "docs/conformance.md is stale: BLESS=1 cargo test --test it conformance");
}

/// id, level, source, words: separated by tabs.
fn rules() -> Vec<Rule> {
    let read = |line: &str| {
        let mut cells = line.split('\t').map(str::to_owned);
        let mut next = || cells.next().expect("four columns");
        Rule { id: next(), level: next(), source: next(), words: next() }
    };
    data("rules.tsv").lines().map(read).collect()
}

/// id, words: separated by a tab.
fn attacks() -> Vec<Attack> {
    let read = |line: &str| {
        let (id, words) = line.split_once('\t').expect("two columns");
        Attack { id: id.to_owned(), words: words.to_owned() }
    };
    data("attacks.tsv").lines().map(read).collect()
}

/// `- **HTTP-16**, **HTTP-17**: why`, by id.
fn decided() -> BTreeMap<String, String> {
    let text = data("decisions.md");
    let lines = text.lines().filter(|line| line.starts_with("- **"));
    lines
        .flat_map(|line| {
            let head = line.split(':').next().unwrap_or_default();
            marks::ids(head).map(|id| (id.to_owned(), line.to_owned())).collect::<Vec<_>>()
        })
        .collect()
}

fn data(name: &str) -> String {
    let file = root().join("tests/data/conformance").join(name);
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
