//! What docs/kubernetes.md says, as far as it can be tried here.

use super::{OVERLAYS, deploy};
use crate::support::temporary::Folder;
use std::collections::BTreeSet;
use std::process::Command;

fn page() -> String {
    std::fs::read_to_string(deploy("../docs/kubernetes.md")).unwrap()
}

fn refusal(annotation: &str, value: &str) -> String {
    let folder = Folder::new();
    let pod = format!(
        "kind: Pod\napiVersion: v1\nmetadata: {{annotations: {{{annotation}: {value}}}}}\nspec:\n  containers: [{{name: a, ports: [{{containerPort: 80}}]}}]\n"
    );
    let file = folder.write("pod.yaml", &pod);
    let output =
        Command::new(env!("CARGO_BIN_EXE_clinch")).args(["inject", "-f"]).arg(file).output().unwrap();
    String::from_utf8(output.stderr).unwrap()
}

/// The table has every annotation, and no other.
#[test]
fn every_annotation_is_on_the_page() {
    let known = refusal("clinch.dev/qqqqqqqqqqqq", "x");
    let known = known.trim().rsplit_once("known are ").unwrap().1;
    let known: BTreeSet<String> = known.split(", ").map(str::to_owned).collect();
    let page = page();
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `clinch.dev/") && !line.starts_with("| `clinch.dev/…"));
    let first_cells = rows.map(|row| row.split(" | ").next().unwrap().to_owned());
    let told: BTreeSet<String> = first_cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .map(|name| name.trim_start_matches("clinch.dev/").to_owned())
        .collect();
    assert_eq!(told, known);
}

#[test]
fn what_it_names_is_there() {
    let page = page();
    for overlay in OVERLAYS {
        assert!(page.contains(&format!("`{}`", overlay.trim_start_matches("overlays/"))), "{overlay}");
    }
    let paths = page.split("deploy/kubernetes/").skip(1);
    for path in paths {
        let path: String = path.chars().take_while(|c| c.is_alphanumeric() || "-./_".contains(*c)).collect();
        assert!(deploy("kubernetes").join(path.trim_end_matches('.')).exists(), "{path}");
    }
    for (_, rest) in page.match_indices("clinch ").map(|(at, _)| page.split_at(at)) {
        let line = rest.lines().next().unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        if let ["clinch", verb @ ("inject" | "injector"), ..] = words[..] {
            let help = Command::new(env!("CARGO_BIN_EXE_clinch")).args([verb, "--help"]).output().unwrap();
            let help = String::from_utf8(help.stdout).unwrap();
            let code = line.split(" #").next().unwrap().split(['|', '>', '`']).next().unwrap();
            for option in code.split(' ').filter(|word| word.starts_with("--")) {
                assert!(verb == "injector" || help.contains(option), "{line}: {option}");
            }
        }
    }
}
