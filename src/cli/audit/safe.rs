//! Text that strangers chose, as it is shown: it can't command the terminal, and can't look like something else.

/// Text without what a terminal would take for a command: that is shown by its number.
pub(super) fn safe(text: &str) -> String {
    let spelled = |c: char| if commands(c) { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(spelled).collect()
}

/// A word of a line: in quotation marks where it could be taken for several, or for a name with a value.
pub(super) fn word(text: &str) -> String {
    let splits = |c: char| c.is_whitespace() || matches!(c, '=' | '"' | '\'');
    if !text.is_empty() && !text.contains(splits) {
        return safe(text);
    }
    let spelled = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c => safe(c.encode_utf8(&mut [0; 4])),
    };
    format!("\"{}\"", text.chars().map(spelled).collect::<String>())
}

/// JSON in which what could command the terminal is spelled otherwise, which means the same.
pub(super) fn json(text: &str) -> String {
    let spelled = |c: char| if commands(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    text.chars().map(spelled).collect()
}

/// Control characters of either kind, line and paragraph ends, and what turns or hides text.
pub(super) fn commands(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one() {
        for (text, shown) in [
            ("app", "app"),
            ("", r#""""#),
            ("evil client=bank", r#""evil client=bank""#),
            ("a=b", r#""a=b""#),
            (r#"a" b\"#, r#""a\" b\\""#),
            ("a\u{a0}b", "\"a\u{a0}b\""),
            ("\u{1b}[2J", r"\u{1b}[2J"),
            ("a\nb", r#""a\u{a}b""#),
        ] {
            assert_eq!(word(text), shown, "{text:?}");
        }
    }
}
