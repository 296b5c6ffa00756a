//! Where the sources and the tests name rules and attacks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A function in a file, or a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: String,
    pub item: Option<String>,
}

/// Every id that is named, with the places in code and in tests.
pub struct Marks {
    places: BTreeMap<String, (BTreeSet<Place>, BTreeSet<Place>)>,
}

impl Marks {
    /// Reads `src`, the tests, and the configurations that must not load.
    pub fn read() -> Marks {
        let mut marks = Marks { places: BTreeMap::new() };
        let root = super::root();
        for folder in ["src", "tests/it", "tests/data/config/bad"] {
            marks.folder(&root, &root.join(folder));
        }
        marks
    }

    /// Where the code names it.
    pub fn code(&self, id: &str) -> &BTreeSet<Place> {
        self.places.get(id).map_or(&NOWHERE, |(code, _)| code)
    }

    /// Where tests name it.
    pub fn tests(&self, id: &str) -> &BTreeSet<Place> {
        self.places.get(id).map_or(&NOWHERE, |(_, tests)| tests)
    }

    /// All ids that are named.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        self.places.keys()
    }

    fn folder(&mut self, root: &Path, folder: &Path) {
        let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                self.folder(root, &path);
            } else if path.extension().is_some_and(|e| e == "rs" || e == "yaml") {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                if name.contains("it/conformance") || name.ends_with("attacks/catalogue.rs") {
                    continue;
                }
                self.file(&name, &std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    fn file(&mut self, name: &str, text: &str) {
        let lines: Vec<&str> = text.lines().collect();
        let all_tests = name.starts_with("tests/") || name.ends_with("tests.rs") || name.contains("/tests/");
        let foot = lines.iter().position(|line| line.trim() == "mod tests {").unwrap_or(lines.len());
        for (at, line) in lines.iter().enumerate() {
            for id in ids(line) {
                let place = Place { file: name.to_owned(), item: item(&lines, at) };
                let (code, tests) = self.places.entry(id.to_owned()).or_default();
                if all_tests || at > foot {
                    tests.insert(place)
                } else {
                    code.insert(place)
                };
            }
        }
    }
}

/// The item that a line belongs to: for a comment above it the next one, else the item around the line.
fn item(lines: &[&str], at: usize) -> Option<String> {
    let line = lines[at].trim_start();
    if line.starts_with("//!") || line.starts_with('#') {
        return None;
    }
    let is_code = |l: &str| !l.starts_with("//") && !l.starts_with('#');
    let at = if line.starts_with("///") {
        at + lines[at..].iter().position(|l| is_code(l.trim_start()))?
    } else {
        let opens = |l: &str| l.contains("fn ") || l.starts_with("const ") || l.starts_with("static ");
        lines[..at].iter().rposition(|l| is_code(l.trim_start()) && opens(l) && named(l).is_some())?
    };
    let line = lines[at].trim_start();
    let name =
        named(line).or_else(|| word(line.trim_start_matches("pub(super) ").trim_start_matches("pub ")))?;
    Some(match owner(lines, at) {
        Some(owner) => format!("{owner}::{name}"),
        None => name,
    })
}

/// The type whose `impl` a method stands in.
fn owner(lines: &[&str], at: usize) -> Option<String> {
    if !lines[at].contains("fn ") || !lines[at].starts_with(' ') {
        return None;
    }
    let head = lines[..at]
        .iter()
        .rev()
        .find(|l| l.starts_with("impl") || l.starts_with('}') || l.contains("mod "))?;
    let head = head.strip_prefix("impl")?;
    let head = head.split_once(" for ").map_or(head, |(_, owner)| owner);
    let head = if head.starts_with('<') { head.split_once("> ")?.1 } else { head };
    word(head.trim_start())
}

/// The name that a line gives to an item.
fn named(line: &str) -> Option<String> {
    let keyword = ["fn ", "struct ", "enum ", "const ", "static ", "impl ", "type ", "mod "];
    keyword.iter().find_map(|k| line.split_once(k).map(|(_, after)| after)).and_then(word)
}

/// The name at the head of a text.
fn word(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// The ids in a line: a name of the catalogues, a dash, two or three digits.
pub fn ids(line: &str) -> impl Iterator<Item = &str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    line.split(move |c| !word(c)).filter(|word| {
        word.split_once('-').is_some_and(|(name, number)| {
            let (rule, attack) = (RULES.contains(&name), ATTACKS.contains(&name));
            let digits = number.len() == if rule { 2 } else { 3 };
            (rule || attack) && digits && number.bytes().all(|b| b.is_ascii_digit())
        })
    })
}

static NOWHERE: BTreeSet<Place> = BTreeSet::new();
const RULES: &[&str] = &[
    "DPOP", "MTLS", "CNF", "THUMB", "JWS", "BCP", "AT", "BEAR", "INTR", "JINT", "PRM", "STEP", "SBCP",
    "DISC", "JWKS", "FAPI", "CC", "SET", "PUSH", "POLL", "SUBID", "SSF", "CAEP", "RISC", "HTTP", "H2",
];
const ATTACKS: &[&str] = &["PF", "CL", "RP", "DG", "TK", "AU", "HD", "TL", "RV", "JW", "DS", "WH"];
