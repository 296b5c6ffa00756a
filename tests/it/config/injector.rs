//! The injector's file: its example says the defaults, its schema is the one printed, and every fault has its place.

use super::examples::directory;
use super::fixture::Fixture;
use clinch::config::template::Template;
use clinch::config::{Injector, InjectorTls};
use std::path::Path;

#[test]
fn the_example_says_what_is_so_anyway() {
    let fixture = Fixture::new("injector");
    let example = Injector::load(&fixture.copy(&directory().join("injector.yaml")));
    let example = example.unwrap_or_else(|problems| panic!("{problems}"));
    let least = "listen: { tls: { self_managed: {} } }";
    let least = Injector::parse(least, &fixture.path("least.yaml")).unwrap();
    assert_eq!(example.template, Template::default());
    assert_eq!(least.template, example.template);
    let (InjectorTls::SelfManaged(one), InjectorTls::SelfManaged(other)) =
        (&example.listen.tls, &least.listen.tls)
    else {
        panic!("{:?}", example.listen.tls)
    };
    assert_eq!(one, other);
    let rest = |one: &Injector| {
        let listen = &one.listen;
        (listen.address, listen.connections, listen.leave, listen.drain, one.admin, one.namespace.clone())
    };
    assert_eq!(rest(&example), rest(&least));
    assert!(least.warnings.is_empty(), "{:?}", least.warnings);
}

#[test]
fn the_schema_in_the_repository_is_the_one_printed() {
    let file = directory().join("injector.schema.json");
    let printed = format!("{:#}\n", clinch::config::injector_schema());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &printed).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), printed, "run with BLESS=1");
}

#[test]
fn every_bad_file_gives_the_message_beside_it() {
    let fixture = Fixture::new("injector-bad");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config/bad-injector");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        seen += 1;
        let Err(problems) = Injector::load(&fixture.copy(&file)) else { panic!("{} loads", file.display()) };
        let said = format!("{problems}\n")
            .replace(&format!("{}/", fixture.path("").display()).replace("//", "/"), "");
        let beside = file.with_extension("stderr");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&beside, &said).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&beside).unwrap_or_default(), said, "{}", file.display());
    }
    assert!(seen >= 3, "{seen} files");
}
