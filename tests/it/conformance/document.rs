//! How `docs/conformance.md` looks.

use super::marks::{Marks, Place};
use super::{Attack, Rule, attacks, data, decided, rules};
use std::collections::BTreeSet;
use std::fmt::Write;

/// The whole text.
pub fn document() -> String {
    let (marks, decided) = (Marks::read(), decided());
    let (rules, attacks) = (rules(), attacks());
    let mut text = data("introduction.md");
    let tested = rules.iter().filter(|rule| !marks.tests(&rule.id).is_empty()).count();
    let (all, words) = (rules.len(), decided.len());
    let _ = writeln!(
        text,
        "\n{all} rules, {tested} of them with a test; a word about {words} rules and attacks."
    );
    for (prefix, title) in RULES {
        let _ = writeln!(
            text,
            "\n## {title}\n\n| id | level | source | rule | code | tests |\n|---|---|---|---|---|---|"
        );
        for rule in rules.iter().filter(|rule| family(&rule.id) == *prefix) {
            text.push_str(&rule_row(rule, &marks, decided.contains_key(&rule.id)));
        }
    }
    text.push_str("\n## Attacks\n\nWhat an attacker would try, each with the test that tries it.\n");
    for (prefix, title) in ATTACKS {
        let _ = writeln!(text, "\n### {title}\n\n| id | attempt | tests |\n|---|---|---|");
        for attack in attacks.iter().filter(|attack| family(&attack.id) == *prefix) {
            text.push_str(&attack_row(attack, &marks, decided.contains_key(&attack.id)));
        }
    }
    format!("{text}\n## Decided\n\n{}\n{}", data("decisions.md"), data("differences.md"))
}

fn rule_row(rule: &Rule, marks: &Marks, decided: bool) -> String {
    let Rule { id, level, source, words } = rule;
    let (code, tests) = (list(marks.code(id)), list(marks.tests(id)));
    format!("| {id} | {level} | {} | {words}{} | {code} | {tests} |\n", linked(source), why(decided))
}

fn attack_row(attack: &Attack, marks: &Marks, decided: bool) -> String {
    let Attack { id, words } = attack;
    format!("| {id} | {words}{} | {} |\n", why(decided), list(marks.tests(id)))
}

fn why(decided: bool) -> &'static str {
    if decided { " ([why](#decided))" } else { "" }
}

/// `DPOP` of `DPOP-17`.
fn family(id: &str) -> &str {
    id.split('-').next().unwrap_or_default()
}

/// The first places, for nobody reads a long list in a table.
fn list(places: &BTreeSet<Place>) -> String {
    let mut names: Vec<String> = places.iter().take(SHOWN).map(link).collect();
    if places.len() > SHOWN {
        names.push(format!("and {} more", places.len() - SHOWN));
    }
    names.join("<br>")
}

fn link(place: &Place) -> String {
    let Place { file, item } = place;
    let short = file.trim_start_matches("src/").trim_start_matches("tests/");
    let item = item.as_ref().map_or(String::new(), |item| format!(" `{item}`"));
    format!("[{short}](../{file}){item}")
}

/// `RFC 9449 §4.3` with a link to that section.
fn linked(source: &str) -> String {
    let mut text = String::new();
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("RFC ") {
        let (number, tail) = after.split_at(4);
        let section = tail.strip_prefix(" §").unwrap_or_default();
        let end = section.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(section.len());
        let anchor = match section[..end].trim_end_matches('.') {
            "" => String::new(),
            section => format!("#section-{section}"),
        };
        let _ = write!(text, "{before}[RFC {number}](https://www.rfc-editor.org/rfc/rfc{number}{anchor})");
        rest = tail;
    }
    text + rest
}

const SHOWN: usize = 3;

const RULES: &[(&str, &str)] = &[
    ("DPOP", "DPoP"),
    ("MTLS", "Certificate-bound tokens"),
    ("CNF", "The confirmation claim"),
    ("THUMB", "Thumbprints"),
    ("JWS", "JWS and JWK"),
    ("BCP", "JWT best current practices"),
    ("AT", "JWT access tokens"),
    ("BEAR", "Bearer usage and error codes"),
    ("INTR", "Introspection"),
    ("JINT", "Signed introspection answers"),
    ("PRM", "Protected resource metadata"),
    ("STEP", "Step-up authentication"),
    ("SBCP", "OAuth security best current practice"),
    ("DISC", "Authorization server metadata"),
    ("JWKS", "Keys of authorization servers"),
    ("FAPI", "FAPI 2.0 security profile"),
    ("CC", "Client-Cert header fields"),
    ("SET", "Security event tokens"),
    ("SUBID", "Subject identifiers"),
    ("SSF", "Shared Signals Framework"),
    ("CAEP", "Continuous access evaluation"),
    ("RISC", "Risk and incident sharing"),
    ("HTTP", "HTTP, as a gateway"),
    ("H2", "HTTP/2"),
];

const ATTACKS: &[(&str, &str)] = &[
    ("PF", "Forged and malformed proofs"),
    ("CL", "Claims of the proof"),
    ("RP", "Replay and clocks"),
    ("DG", "Downgrade and binding"),
    ("TK", "Access tokens"),
    ("AU", "Where credentials are"),
    ("HD", "Headers, framing and smuggling"),
    ("TL", "TLS and certificates"),
    ("RV", "Revocation"),
    ("JW", "Keys and discovery"),
    ("DS", "Denial of service"),
    ("WH", "The injector"),
];
