//! The story for people: calm, aligned, at most 80 columns; colour where it means something.

use super::caller::{Answer, Call, is_subject};
use super::outcome::Outcome;
use super::stage::{MACHINE, Stage};
use super::story::Told;
use comfy_table::{Cell, Color, Table, TableStyle};
use owo_colors::Style;
use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

/// Writes the story to standard output.
pub(super) struct Telling {
    colour: bool,
    out: io::Stdout,
}

impl Telling {
    /// In colour only on a terminal, and only where colour is wanted (<https://no-color.org>).
    pub(super) fn new() -> Telling {
        let out = io::stdout();
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Telling { colour: out.is_terminal() && !unwanted && !dumb, out }
    }

    pub(super) fn opening(&mut self, stage: &Stage) -> io::Result<()> {
        let title = self.paint(Style::new().bold(), "clinch demo");
        let dim = |telling: &Telling, text: &str| telling.paint(Style::new().dimmed(), text);
        let part = |telling: &Telling, name: &str, url: &str, what: &str| {
            format!("    {name:<9}{url:<27}{}", dim(telling, what))
        };
        let lines = [
            format!("\n{title}  why a stolen access token is worthless\n"),
            part(self, "clinch", &stage.origin, "in front of the service"),
            part(self, "service", &format!("http://{}", stage.service), "knows nothing of tokens"),
            part(self, "issuer", &stage.issuer.url, "signs access tokens, each bound to a key"),
            part(self, "journal", "a file", "revocations, read by clinch as it grows"),
            format!("\n    {}", dim(self, "All of it in this process and on loopback.")),
        ];
        writeln!(self.out, "{}", lines.join("\n"))
    }

    pub(super) fn step(&mut self, told: &Told) -> io::Result<()> {
        let heading = self.paint(Style::new().bold(), &format!("{:>2}  {}", told.number, told.title));
        writeln!(self.out, "\n{heading}")?;
        for line in wrapped(told.tale, " ", WIDTH - 4) {
            writeln!(self.out, "    {line}")?;
        }
        for (at, (call, answer)) in told.exchanges.iter().enumerate() {
            writeln!(self.out)?;
            if at > 0 {
                let event = match told.delay {
                    Some(delay) => {
                        format!("revoked in the journal; the first refusal came {} later", millis(delay))
                    }
                    None => "revoked in the journal; no refusal came in time".to_owned(),
                };
                writeln!(self.out, "    {event}\n")?;
            }
            self.request(call)?;
            self.answer(answer, told.all_headers)?;
        }
        self.verdict(told)
    }

    fn request(&mut self, call: &Call) -> io::Result<()> {
        let path = call.url.splitn(4, '/').nth(3).unwrap_or_default();
        match call.certificate {
            Some(true) => self.sent(&format!("TLS client certificate CN={MACHINE}"), "")?,
            Some(false) => self.sent("TLS without a client certificate", "")?,
            None => {}
        }
        self.sent(&format!("{} /{path}", call.method), "")?;
        self.sent(&format!("Authorization: {} {}", call.scheme, shortened(&call.token)), call.binding)?;
        if let Some((proof, from)) = &call.proof {
            self.sent(&format!("DPoP: {}", shortened(proof)), from)?;
        }
        for (name, value) in &call.extra {
            self.sent(&format!("{name}: {value}"), "")?;
        }
        Ok(())
    }

    fn sent(&mut self, text: &str, note: &str) -> io::Result<()> {
        let dim = Style::new().dimmed();
        let line = format!("    {} {text:<38}{}", self.paint(dim, ">"), self.paint(dim, note));
        writeln!(self.out, "{}", line.trim_end())
    }

    /// The challenges that give no error only say what else is accepted here, and where the metadata is comes
    /// with each: the document has them.
    fn answer(&mut self, answer: &Answer, all_headers: bool) -> io::Result<()> {
        let dim = Style::new().dimmed();
        let mark = self.paint(dim, "<");
        writeln!(self.out, "    {mark} {}", answer.status)?;
        for challenge in answer.challenges.iter().filter(|challenge| challenge.contains("error=")) {
            let told = challenge.split(", ").filter(|parameter| !parameter.starts_with("resource_metadata="));
            let told = told.collect::<Vec<_>>().join(", ");
            let lines = wrapped(&format!("WWW-Authenticate: {told}"), ", ", WIDTH - 8);
            writeln!(self.out, "    {mark} {}", lines.join(",\n        "))?;
        }
        let shown = |name: &str| all_headers || is_subject(name);
        let mut note = "the service was told";
        for (name, value) in answer.told.iter().filter(|(name, _)| shown(name)) {
            let text = format!("{name}: {value}");
            let width = if note.is_empty() { 0 } else { 38 };
            let line = format!("    {} {text:<width$}{}", self.paint(dim, "="), self.paint(dim, note));
            writeln!(self.out, "{}", line.trim_end())?;
            note = "";
        }
        Ok(())
    }

    fn verdict(&mut self, told: &Told) -> io::Result<()> {
        let (word, detail, style) = match &told.seen {
            Outcome::Admitted { subject } => ("admitted", format!("as {subject}"), GREEN),
            Outcome::Refused(denial) => ("refused", denial.reason().to_owned(), RED),
            Outcome::Strange(status) => ("strange", status.to_string(), WRONG),
        };
        let line = format!("{}  {detail}", self.paint(style, word));
        let gap = " ".repeat((WIDTH - 4 - 15).saturating_sub(word.len() + 2 + detail.chars().count()));
        let judged = if told.as_expected() {
            self.paint(Style::new().dimmed(), "    as expected")
        } else {
            self.paint(WRONG, "NOT AS EXPECTED")
        };
        writeln!(self.out, "\n    {line}{gap}{judged}")
    }

    pub(super) fn ending(&mut self, told: &[Told], took: Duration) -> io::Result<()> {
        writeln!(self.out, "\n{}\n", self.table(told).trim_fmt())?;
        let right = told.iter().filter(|told| told.as_expected()).count();
        let sum = format!("{right} of {} verdicts as expected", told.len());
        let sum = self.paint(if right == told.len() { Style::new().bold() } else { WRONG }, &sum);
        writeln!(self.out, "{sum}, in {} ms.", took.as_millis())?;
        if let Some(delay) = told.iter().find_map(|told| told.delay) {
            writeln!(self.out, "From the revocation to the first refusal: {}.", millis(delay))?;
        }
        Ok(())
    }

    fn table(&self, told: &[Told]) -> Table {
        let mut table = Table::new();
        table.load_style(PLAIN);
        if self.colour {
            table.enforce_styling()
        } else {
            table.force_no_tty()
        };
        table.set_header(["", "step", "expected", "seen", ""]);
        for told in told {
            let colour = match &told.seen {
                Outcome::Admitted { .. } => Color::DarkGreen,
                Outcome::Refused(_) => Color::DarkRed,
                Outcome::Strange(_) => Color::DarkYellow,
            };
            let ok = if told.as_expected() { Cell::new("ok") } else { Cell::new("NO").fg(Color::DarkYellow) };
            let seen = Cell::new(&told.seen).fg(colour);
            let number = format!("{:>2}", told.number);
            table.add_row([Cell::new(number), Cell::new(told.title), Cell::new(&told.expected), seen, ok]);
        }
        table.column_iter_mut().for_each(|column| {
            column.set_padding((0, 1));
        });
        table
    }

    /// What else there is to see.
    pub(super) fn hint(&mut self) -> io::Result<()> {
        let hint = "`clinch demo --stay` goes on running, and prints lines for curl to try it.";
        writeln!(self.out, "\n{}", self.paint(Style::new().dimmed(), hint))
    }

    /// What to try by hand while it goes on running.
    pub(super) fn invitation(&mut self, offers: &[super::stay::Offer]) -> io::Result<()> {
        for offer in offers {
            writeln!(self.out, "\n{}\n{}", self.paint(Style::new().bold(), &offer.what), offer.command)?;
        }
        writeln!(self.out, "\n{}", self.paint(Style::new().dimmed(), "Running until Ctrl-C."))
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.colour && !text.is_empty() { style.style(text).to_string() } else { text.to_owned() }
    }
}

/// Enough of a token or proof to recognise it by, too little to use it.
pub(super) fn shortened(secret: &str) -> String {
    let end = secret.len().saturating_sub(3);
    format!("{}…{}", secret.get(..3).unwrap_or_default(), secret.get(end..).unwrap_or_default())
}

fn millis(delay: Duration) -> String {
    format!("{:.1} ms", delay.as_secs_f64() * 1000.0)
}

/// The text in lines of at most `width`, broken at the separator, which ends no line.
fn wrapped(text: &str, separator: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(separator) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + separator.len() + word.chars().count() <= width => {
                line.push_str(separator);
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

const WIDTH: usize = 80;
const GREEN: Style = Style::new().green().bold();
const RED: Style = Style::new().red().bold();
const WRONG: Style = Style::new().yellow().bold();
const PLAIN: TableStyle =
    TableStyle::new().header_separator(comfy_table::LineStyle::none().fill('─').junction('─'));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown_whole() {
        assert_eq!(shortened("eyJhbGciOiJFUzI1NiJ9.e30.c2ln"), "eyJ…2ln");
        assert!(shortened("abc").chars().count() < 8);
    }

    #[test]
    fn lines_break_at_the_separator_only() {
        assert_eq!(wrapped("a=1, b=2, c=3", ", ", 8), ["a=1, b=2", "c=3"]);
        assert_eq!(wrapped("longerthanthat", " ", 5), ["longerthanthat"]);
    }
}
