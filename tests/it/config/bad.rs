//! `tests/data/config/bad/*.yaml`, each with the exact message beside it.

use super::fixture::Fixture;
use clinch::config::Config;
use std::path::{Path, PathBuf};

fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config/bad");
    let entries = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}

#[test]
fn every_bad_file_gives_the_message_beside_it() {
    let fixture = Fixture::new("bad");
    let bless = std::env::var_os("BLESS").is_some();
    let mut different = Vec::new();
    for file in files() {
        let copy = fixture.copy(&file);
        let Err(problems) = Config::load(&copy) else { panic!("{} loads", file.display()) };
        let said = format!("{problems}\n")
            .replace(&format!("{}/", fixture.path("").display()).replace("//", "/"), "");
        let beside = file.with_extension("stderr");
        if bless {
            std::fs::write(&beside, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&beside).unwrap_or_default();
        if said != expected {
            different.push(format!("{}\nexpected:\n{expected}\nsaid:\n{said}", file.display()));
        }
    }
    assert!(files().len() > 20 && different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn every_problem_is_located_in_the_json_too() {
    let fixture = Fixture::new("bad-json");
    for file in files() {
        let problems = Config::load(&fixture.copy(&file)).unwrap_err();
        let json = problems.to_json();
        let list = json.as_array().unwrap();
        assert_eq!(list.len(), problems.count(), "{}", file.display());
        for problem in list {
            assert!(problem["line"].as_u64().unwrap() > 0 && problem["column"].as_u64().unwrap() > 0);
            assert!(!problem["message"].as_str().unwrap().is_empty());
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_a_problem_of_its_own() {
    let problems = Config::load(Path::new("/nonexistent/clinch.yaml")).unwrap_err();
    assert!(problems.to_string().contains("can't be read"), "{problems}");
}
