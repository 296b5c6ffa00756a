//! No id of the catalogue is without a test, and no test names an id that the catalogue does not have.
//!
//! `tests/data/catalogue.txt` lists the ids. What names one, as a whole word, is a test: in `tests/it`, or in the
//! test modules of `src`, where what a socket can't show is shown.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const SECTIONS: [&str; 12] = ["PF", "CL", "RP", "DG", "TK", "AU", "HD", "TL", "RV", "JW", "DS", "WH"];

#[test]
fn every_id_has_a_case_and_every_case_an_id() {
    let listed = catalogue();
    let named = ids_in_tests();
    let missing: Vec<_> = listed.difference(&named).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
    let unknown: Vec<_> = named.difference(&listed).collect();
    assert!(unknown.is_empty(), "not in the catalogue: {unknown:?}");
}

#[test]
fn an_id_is_a_whole_word() {
    let ids = |text: &str| ids(text).into_iter().collect::<Vec<_>>();
    assert_eq!(ids("(PF-001), `CL-002`\nHD-010/RP-003a"), ["CL-002", "HD-010", "PF-001", "RP-003a"]);
    assert!(ids("XPF-001 PF-1x PF- PF-12 PF-001_ DPOP-17 BCP-01").is_empty());
}

fn catalogue() -> BTreeSet<String> {
    let text = include_str!("../../data/catalogue.txt");
    let listed: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    assert_eq!((listed.len(), &listed), (text.lines().count(), &ids(text)), "one id a line, none twice");
    listed
}

fn ids_in_tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    for path in sources(&root.join("tests/it")) {
        let text = std::fs::read_to_string(&path).unwrap();
        // This list is no test.
        let text = if path.ends_with("attacks/catalogue.rs") { "" } else { &text };
        found.extend(ids(text));
    }
    for path in sources(&root.join("src")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let all_tests =
            path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
        let at = if all_tests { Some(0) } else { text.find("#[cfg(test)]\nmod tests {") };
        found.extend(at.map(|at| ids(&text[at..])).unwrap_or_default());
    }
    found
}

fn ids(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    words.filter(|word| is_id(word)).map(str::to_owned).collect()
}

fn is_id(word: &str) -> bool {
    let Some((section, number)) = word.split_once('-') else { return false };
    let digits = number.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let suffix = number.len() - digits.len();
    SECTIONS.contains(&section)
        && digits.len() == 3
        && suffix <= 1
        && digits.bytes().all(|b| b.is_ascii_digit())
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}
