//! Whatever the text, the answer is a configuration or problems that can be shown: never a panic.

use super::examples::directory;
use super::fixture::Fixture;
use clinch::config::Config;
use proptest::prelude::*;
use std::sync::LazyLock;

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| Fixture::new("mutation"));
static GOOD: LazyLock<String> =
    LazyLock::new(|| std::fs::read_to_string(directory().join("clinch.yaml")).unwrap());

fn judge(text: &str) {
    let file = FIXTURE.path("clinch.yaml");
    if let Err(problems) = Config::parse(text, &file) {
        assert!(problems.count() > 0);
        assert!(!problems.render(true).is_empty() && !problems.to_string().is_empty());
        assert_eq!(problems.to_json().as_array().unwrap().len(), problems.count());
    }
}

/// Pieces that mean something to YAML or to the file.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("&a ".to_owned()),
        Just("*a ".to_owned()),
        Just("<<: ".to_owned()),
        Just("!!str ".to_owned()),
        Just("\n---\n".to_owned()),
        Just("\t".to_owned()),
        Just(": ".to_owned()),
        Just("{".to_owned()),
        Just("[".to_owned()),
        Just("- ".to_owned()),
        Just("null".to_owned()),
        Just("-1".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("é\u{0301}\u{1f980}".to_owned()),
        "\\PC{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_judged(text in "[\\PC\n\t\r]{0,200}") {
        judge(&text);
    }

    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        judge(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_good_file_with_something_in_between_is_judged(at in any::<prop::sample::Index>(), piece in piece()) {
        let mut text = GOOD.clone();
        let at = text.floor_char_boundary(at.index(text.len()));
        text.insert_str(at, &piece);
        judge(&text);
    }

    #[test]
    fn a_good_file_with_something_cut_out_is_judged(
        from in any::<prop::sample::Index>(),
        length in 0usize..200,
    ) {
        let mut text = GOOD.clone();
        let from = text.floor_char_boundary(from.index(text.len()));
        let to = text.floor_char_boundary((from + length).min(text.len()));
        text.replace_range(from..to, "");
        judge(&text);
    }
}
