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
