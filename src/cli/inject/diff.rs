//! What has changed, as `diff -u` writes it.

use similar::TextDiff;

/// Empty where nothing has.
pub(super) fn unified(name: &str, old: &str, new: &str, coloured: bool) -> String {
    let diff = TextDiff::from_lines(old, new);
    let text = diff.unified_diff().header(name, &format!("{name} with clinch")).to_string();
    if !coloured {
        return text;
    }
    let paint = |line: &str| match (
        COLOURS.iter().find(|(start, _)| line.starts_with(start)),
        line.trim_end_matches('\n'),
    ) {
        (Some((_, colour)), shown) => format!("\u{1b}[{colour}m{shown}\u{1b}[0m\n"),
        (None, shown) => format!("{shown}\n"),
    };
    text.lines().map(paint).collect()
}

/// As Git has them. The first that fits counts.
const COLOURS: &[(&str, &str)] = &[("@@", "36"), ("-", "31"), ("+", "32")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_has_no_colour_and_nothing_is_said_of_no_change() {
        assert_eq!(
            unified("f", "a\nb\n", "a\nc\n", false),
            "--- f\n+++ f with clinch\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
        );
        let coloured = unified("f", "a\nb\n", "a\nc\n", true);
        assert!(coloured.contains("\n a\n\u{1b}[31m-b\u{1b}[0m\n\u{1b}[32m+c\u{1b}[0m\n"), "{coloured:?}");
        assert_eq!(unified("f", "a\n", "a\n", true), "");
    }
}
