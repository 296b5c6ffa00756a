//! How records look to people: a line each, or everything that is known about one request.
//!
//! A record has text in it that strangers chose. Nothing of it reaches the terminal as a command: control characters, and
//! those that turn the direction of text, are shown by their numbers.

use super::super::record::Record;
use super::super::safe;
use super::super::safe::word;
use owo_colors::Style;
use serde_json::Value;
use std::io::{self, IsTerminal as _};

/// Shows records, in colour or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Show {
    pub(super) colour: bool,
    pub(super) terminal: bool,
}

impl Show {
    /// In colour only on a terminal, and only where colour is wanted (<https://no-color.org>).
    pub(super) fn on_standard_output() -> Show {
        let terminal = io::stdout().is_terminal();
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Show { colour: terminal && !unwanted && !dumb, terminal }
    }

    /// One line.
    pub(super) fn line(self, record: &Record) -> String {
        let time = word(record.text("time").unwrap_or_default());
        if record.text("kind") != Some("decision") {
            let kind = self.paint(Style::new().cyan(), &word(record.text("kind").unwrap_or_default()));
            let said = record.said().map(|(name, value)| format!(" {}={}", word(name), plain(value)));
            return format!("{time} {kind}{}", said.collect::<String>());
        }
        let text = |name: &str| record.text(name).map(word);
        let target = text("target").or_else(|| text("host")).unwrap_or_else(|| "-".to_owned());
        let named = |name: &str| text(name).map(|value| format!(" {name}={value}")).unwrap_or_default();
        format!(
            "{time} {} {} {target}{}{}{}",
            self.verdict(record),
            text("method").unwrap_or_else(|| "-".to_owned()),
            named("client"),
            named("reason"),
            named("request"),
        )
    }

    /// Everything about one decision, what else was recorded of its request, and what was recorded before it that may
    /// explain it.
    pub(super) fn decision(
        self,
        record: &Record,
        others: &[Record],
        before: &[Record],
        file: &str,
    ) -> Vec<String> {
        // A value that has a line of its own needs no quotation marks.
        let text = |name: &str| record.text(name).map(safe::safe);
        let request = text("request").unwrap_or_default();
        let mut lines = vec![format!("request {}  {}", self.bold(&request), self.verdict(record))];
        let mut say = |label: &str, value: Option<String>| {
            if let Some(value) = value {
                lines.push(format!("  {label:<11}{value}"));
            }
        };
        let list = |names: &[&str]| {
            let known = names
                .iter()
                .filter_map(|name| record.text(name).map(|value| format!("{name} {}", word(value))));
            let known = known.collect::<Vec<_>>().join(", ");
            (!known.is_empty()).then_some(known)
        };
        let asked = ["method", "target", "host"].iter().filter_map(|name| record.text(name).map(word));
        say("time", text("time"));
        say("asked", Some(asked.collect::<Vec<_>>().join(" ")));
        say("from", text("peer"));
        say("route", text("route"));
        say("shown", list(&["scheme", "proof", "key"]));
        say("who", list(&["client", "subject", "issuer", "token_id"]));
        say("reason", text("reason"));
        say("rule", text("rule"));
        say("expected", text("expected"));
        say("found", text("found"));
        say(
            "revocation",
            text("revocation")
                .or_else(|| record.said().find(|(n, _)| *n == "revocation").map(|(_, v)| plain(v))),
        );
        say("position", record.said().find(|(name, _)| *name == "position").map(|(_, value)| plain(value)));
        say("trace", text("trace"));
        let generation = record.number("generation").map(|generation| format!("generation {generation}"));
        let replica =
            record.text("replica").map(word).map(|replica| format!(" of {replica}")).unwrap_or_default();
        say("by", generation.map(|generation| format!("configuration {generation}{replica}")));
        let sequence = record.number("seq").unwrap_or_default();
        say("record", Some(format!("{sequence} in {}", safe::safe(file))));
        for (title, records) in [("also of it", others), ("before it", before)] {
            if !records.is_empty() {
                lines.push(title.to_owned());
            }
            lines.extend(records.iter().map(|record| format!("  {}", self.line(record))));
        }
        lines
    }

    /// A record as it is in the file. On a terminal what could command it is spelled otherwise, which means the same.
    pub(super) fn json(self, line: &[u8]) -> String {
        let text = String::from_utf8_lossy(line);
        if !self.terminal {
            return text.into_owned();
        }
        safe::json(&text)
    }

    fn verdict(self, record: &Record) -> String {
        let verdict = word(record.text("verdict").unwrap_or("-"));
        match record.text("verdict") {
            Some("granted") => self.paint(Style::new().green(), &verdict),
            Some("observed") => self.paint(Style::new().yellow(), &verdict),
            Some("refused") => self.paint(Style::new().red().bold(), &verdict),
            Some(_) | None => verdict,
        }
    }

    fn bold(self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    fn paint(self, style: Style, text: &str) -> String {
        if self.colour { style.style(text).to_string() } else { text.to_owned() }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            word(&value.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Show = Show { colour: false, terminal: true };

    fn record(text: &str) -> Record {
        Record::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_decision_is_one_line() {
        let refused = r#"{"seq":1,"time":"T","kind":"decision","request":"r1","method":"GET","target":"https://a/b",
            "client":"app","verdict":"refused","reason":"proof_replayed"}"#;
        let line = "T refused GET https://a/b client=app reason=proof_replayed request=r1";
        assert_eq!(PLAIN.line(&record(refused)), line);
        let coloured = Show { colour: true, ..PLAIN }.line(&record(refused));
        assert!(coloured.contains("\u{1b}[") && coloured.contains("refused"), "{coloured:?}");
        let config = r#"{"seq":1,"time":"T","kind":"config","replica":"r","generation":3,"result":"applied","hash":"h"}"#;
        assert_eq!(PLAIN.line(&record(config)), "T config generation=3 result=applied");
    }

    #[test]
    fn no_text_looks_like_another_field() {
        let spoofed = r#"{"seq":1,"time":"T","kind":"decision","method":"GET","host":"evil client=bank","client":"a request=r1",
            "subject":"x, issuer https://good","verdict":"refused","request":"r2"}"#;
        assert_eq!(
            PLAIN.line(&record(spoofed)),
            r#"T refused GET "evil client=bank" client="a request=r1" request=r2"#
        );
        let told = PLAIN.decision(&record(spoofed), &[], &[], "f").join("\n");
        assert!(
            told.contains(r#"  who        client "a request=r1", subject "x, issuer https://good""#),
            "{told}"
        );
        assert!(told.contains(r#"  asked      GET "evil client=bank""#), "{told}");
        let feed = r#"{"seq":1,"time":"T","kind":"feed","state":"x kind=y"}"#;
        assert_eq!(PLAIN.line(&record(feed)), r#"T feed state="x kind=y""#);
    }

    #[test]
    fn no_text_commands_the_terminal() {
        let nasty = r#"{"seq":1,"time":"T","kind":"decision","host":"\u001b[2J\u009b\u202e\nx","method":"\u0007","verdict":"\u007f"}"#;
        let line = PLAIN.line(&record(nasty));
        assert_eq!(line, r#"T \u{7f} \u{7} "\u{1b}[2J\u{9b}\u{202e}\u{a}x""#);
        for line in PLAIN.decision(&record(nasty), &[], &[], "\u{1b}file") {
            assert!(!line.chars().any(safe::commands), "{line:?}");
        }
        let raw = "{\"seq\":1,\"time\":\"T\",\"kind\":\"feed\",\"state\":\"\u{9b}\"}";
        let spelled = PLAIN.json(raw.as_bytes());
        assert!(
            spelled.contains(r"\u009b")
                && Record::read(spelled.as_bytes()).unwrap().text("state") == Some("\u{9b}")
        );
        assert_eq!(Show { terminal: false, ..PLAIN }.json(raw.as_bytes()), raw);
    }
}
