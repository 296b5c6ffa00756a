//! Holds `docs/metrics.md` to the registry: every metric has a row, and every row a metric of its type.

use super::Telemetry;
use super::exposition::families;
use std::collections::{BTreeMap, BTreeSet};

const DOCUMENT: &str = include_str!("../../docs/metrics.md");

/// The rows of the document: name and type.
fn rows() -> BTreeMap<&'static str, &'static str> {
    let rows =
        DOCUMENT.lines().filter(|line| line.starts_with("| `clinch_") || line.starts_with("| `process_"));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let mut found = BTreeMap::new();
    for cells in cells {
        assert_eq!(cells.len(), 7, "name, type, labels, meaning, use: {cells:?}");
        assert!(["SLI", "debug"].contains(&cells[5]), "{cells:?}");
        let name = cells[1].trim_matches('`');
        assert!(found.insert(name, cells[2]).is_none(), "{name} has two rows");
    }
    found
}

fn family(name: &str) -> &str {
    name.strip_suffix("_total").or_else(|| name.strip_suffix("_info")).unwrap_or(name)
}

/// Everything that is registered, whether it has a sample yet or not. The registry tells it in no other way.
fn registered(telemetry: &Telemetry) -> BTreeSet<String> {
    let told = format!("{:?}", telemetry.registry);
    let names = told.split("Descriptor { name: \"").skip(1).filter_map(|rest| rest.split('"').next());
    let ours = names.map(|name| format!("clinch_{name}"));
    let page = telemetry.render();
    let process = families(&page).into_iter().map(|family| family.name.to_owned());
    ours.chain(process.filter(|name| name.starts_with("process_"))).collect()
}

#[test]
fn every_metric_is_documented_and_every_row_is_a_metric() {
    let telemetry = Telemetry::off();
    let registered = registered(&telemetry);
    assert!(registered.len() > 60, "{registered:?}");
    let rows = rows();
    let documented: BTreeSet<&str> = rows.keys().map(|name| family(name)).collect();
    let missing: Vec<_> = registered.iter().filter(|name| !documented.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "docs/metrics.md has no row for {missing:?}");
    let gone: Vec<_> = documented.iter().filter(|name| !registered.contains(**name)).collect();
    assert!(gone.is_empty(), "docs/metrics.md has rows for what is not there: {gone:?}");
}

#[test]
fn the_document_has_names_and_types_as_they_are_served() {
    let page = Telemetry::off().render();
    let rows = rows();
    for family in families(&page) {
        let (suffix, kind) = match family.kind {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            kind => ("", kind),
        };
        let name = format!("{}{suffix}", family.name);
        assert_eq!(rows.get(name.as_str()), Some(&kind), "{name}");
    }
}
