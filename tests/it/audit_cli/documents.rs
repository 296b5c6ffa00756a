//! The command lines of the documents.

use super::*;

/// What the documents tell whoever is called at night is understood.
#[test]
fn command_lines_of_the_documents_are_no_wrong_usage() {
    let log = Log::new("documents");
    let [open, _] = log.files();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let markdown = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let list = |folder: PathBuf| {
        std::fs::read_dir(folder).expect("documents").map(|entry| entry.expect("a file").path())
    };
    let files = list(folder.clone()).chain(list(folder.join("runbooks"))).filter(markdown);
    let mut tried = 0;
    for text in files.map(|file| std::fs::read_to_string(file).expect("text")) {
        for (at, found) in text.match_indices("clinch audit tail -") {
            let line =
                text[at + found.len() - 1..].split(['|', '`', '#', ';', '\n', '<', '>', ')', '\\']).next();
            let mut words: Vec<&str> = line.expect("a part").split_whitespace().collect();
            words.retain(|word| !matches!(*word, "-f" | "--follow"));
            if let Some(file) = words.iter().position(|word| matches!(*word, "--file" | "--config")) {
                (words[file], words[file + 1]) = ("--file", &open);
            }
            let lone = words.len() == 1; // the name of an option, in a sentence
            let output = log.run(&[&["tail"], &words[..]].concat());
            assert!(lone || output.status.code() != Some(64), "{words:?}: {}", super::text(&output.stderr));
            tried += usize::from(!lone);
        }
    }
    assert!(tried > 10, "{tried}");
}

#[test]
fn what_is_young_enough_is_shown_though_the_clock_was_set_back_after_it() {
    let mut log = Log::new("set-back");
    let late = log.record_of("r1", "08:00:00", "feed", r#","state":"current""#);
    log.change("audit.jsonl", |bytes| bytes.extend(late));
    let shown = |since: &str| {
        let since = format!("2026-11-21T{since}Z");
        let output = log.run(&["tail", "--file", &log.path("audit.jsonl"), "--since", &since, "--json"]);
        assert_eq!(output.status.code(), Some(0));
        text(&output.stdout).lines().count()
    };
    assert_eq!((shown("09:00:10"), shown("09:00:05"), shown("08:00:00"), shown("10:00:00")), (3, 8, 14, 0));
}

/// Whose log it is: one that was put in its place by who may sign in its name is good all the same.
#[test]
fn the_replicas_that_wrote_a_log_are_named() {
    let mut log = Log::new("replicas");
    let start =
        log.record_of("r2 \\u001b[2J", "09:01:00", "start", r#","version":"1","generation":1,"log":"L2""#);
    log.change("audit.jsonl", |bytes| bytes.extend(start));
    let (code, told) = log.verify(&[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("  written by r1\n") && told.contains("  from record 14 on written by "), "{told}");
    assert!(told.contains("r2") && !told.contains('\u{1b}'), "{told}");
    let (_, told) = log.verify(&["--json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let replicas = &told["logs"][0]["replicas"];
    assert_eq!((&replicas[0]["name"], &replicas[0]["from"]), (&"r1".into(), &1.into()), "{told}");
    assert_eq!((&replicas[1]["from"], &told["logs"][0]["replica_count"]), (&14.into(), &2.into()), "{told}");
}
