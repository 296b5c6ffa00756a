//! `clinch revocations`: what a replica knows to be revoked, asked over its admin port.
//!
//! Exit code 0 when it has answered, whatever the answer, 1 when it gave none, 64 for a wrong command line.

use super::EX_USAGE;
use super::replica::{Replica, encoded};
use super::revoke::Target;
use serde_json::Value;
use std::io::{self, Write};
use std::process::ExitCode;

/// Arguments of `clinch revocations`.
#[derive(clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The replica's admin address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9901")]
    admin: String,
    /// Ask about tokens of this issuer, exactly as in their `iss`
    #[arg(long, value_name = "ISSUER", requires = "Target")]
    issuer: Option<String>,
    #[command(flatten)]
    target: Option<Target>,
    /// Print the replica's own answer, one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let (replica, path) = match planned(arguments) {
        Ok(planned) => planned,
        Err(fault) => return complain(&fault, EX_USAGE),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = match runtime.map(|runtime| runtime.block_on(replica.ask(&path))) {
        Ok(answer) => answer,
        Err(error) => Err(error.to_string()),
    };
    match answer {
        Ok(Some(answer)) => {
            let _ = report(&answer, arguments.json, &mut io::stdout());
            warn_of(&answer);
            ExitCode::SUCCESS
        }
        Ok(None) => complain(&format!("{} does not know", replica.url()), 1),
        Err(why) => complain(&format!("{} gives no answer: {why}", replica.url()), 1),
    }
}

fn planned(arguments: &Arguments) -> Result<(Replica, String), String> {
    let replica = Replica::new(&arguments.admin)?;
    let (issuer, target) = match (&arguments.issuer, &arguments.target) {
        (None, None) => return Ok((replica, "/revocations".to_owned())),
        (Some(issuer), Some(target)) if !issuer.is_empty() => (issuer, target),
        (Some(_) | None, Some(_) | None) => return Err("--issuer and one of --jti … are needed".to_owned()),
    };
    let mut path = format!("/revocations?issuer={}", encoded(issuer));
    match target.chosen().ok_or("nothing to ask about")? {
        (Some(_), "") => return Err("the value must not be empty".to_owned()),
        (Some(fact), value) => path.push_str(&format!("&{}={}", encoded(fact.name()), encoded(value))),
        (None, _) => {}
    }
    Ok((replica, path))
}

fn report(answer: &Value, json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        return writeln!(out, "{answer}");
    }
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    if let Some(revoked) = answer["revoked"].as_bool() {
        if !revoked {
            return writeln!(out, "not revoked");
        }
        let (by, issuer) = (named(&answer["by"]), text(&answer["issuer"]));
        writeln!(out, "revoked   {by} of {issuer}")?;
        writeln!(out, "issued    until {}", text(&answer["at"]))?;
        return writeln!(out, "known     until {}", text(&answer["until"]));
    }
    writeln!(out, "feed      {}", text(&answer["feed"]))?;
    writeln!(out, "entries   {}", answer["entries"])?;
    for event in answer["recent"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let what = event["revokes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let what = what.iter().map(|one| format!("{} of {}", named(&one["facts"]), text(&one["issuer"])));
        let what = what.collect::<Vec<String>>().join(" or ");
        writeln!(out, "{}  {what}, event {}", text(&event["applied_at"]), text(&event["id"]))?;
    }
    Ok(())
}

/// `sub "alice" and client_id "app"`
fn named(facts: &Value) -> String {
    let Some(facts) = facts.as_object() else { return "-".to_owned() };
    let named = facts.iter().map(|(name, value)| match value.as_str() {
        Some(value) => format!("{name} {value:?}"),
        None => "all tokens".to_owned(),
    });
    named.collect::<Vec<String>>().join(" and ")
}

/// A replica that does not hear of events knows nothing of the latest.
fn warn_of(answer: &Value) {
    match answer["feed"].as_str() {
        Some("current") | None => {}
        Some(state) => {
            let _ =
                writeln!(io::stderr(), "warning: the replica's feed is {state}: it may not know everything");
        }
    }
}

fn complain(fault: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {fault}");
    ExitCode::from(code)
}

const AFTER_HELP: &str = "\
Without --issuer, the last events that the replica applied are listed, the latest first. With --issuer and one of the \
others, the replica says whether exactly that is revoked, or all tokens of the issuer are. An event that revokes by \
several facts together is listed, but not found by one of them.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn path(line: &str) -> Option<String> {
        let line = ["revocations"].into_iter().chain(line.split(' ').filter(|word| !word.is_empty()));
        let arguments = Line::try_parse_from(line).ok()?.arguments;
        planned(&arguments).ok().map(|(_, path)| path)
    }

    fn printed(answer: &Value) -> String {
        let mut out = Vec::new();
        report(answer, false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_command_line_becomes_a_query() {
        assert_eq!(path("").unwrap(), "/revocations");
        assert_eq!(
            path("--issuer https://as --sub a&b").unwrap(),
            "/revocations?issuer=https%3A%2F%2Fas&sub=a%26b"
        );
        assert_eq!(path("--issuer i --x5t -v").unwrap(), "/revocations?issuer=i&x5t%23S256=-v");
        assert_eq!(path("--issuer i --all").unwrap(), "/revocations?issuer=i");
        for wrong in
            ["--issuer i", "--sub a", "--issuer i --sub a --jti b", "--issuer i --sub=", "--admin h:1"]
        {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn answers_are_put_in_lines() {
        let found = json!({
            "revoked": true, "issuer": "https://as", "feed": "current", "by": { "sub": "alice" },
            "at": "2026-11-21T09:00:00.000Z", "until": "2026-11-21T10:00:00.000Z",
        });
        assert_eq!(
            printed(&found),
            "revoked   sub \"alice\" of https://as\n\
             issued    until 2026-11-21T09:00:00.000Z\n\
             known     until 2026-11-21T10:00:00.000Z\n"
        );
        assert_eq!(printed(&json!({ "revoked": false, "feed": "current" })), "not revoked\n");
        let all = json!({ "feed": "current", "entries": 2, "recent": [
            { "id": "e2", "applied_at": "T2", "revokes": [{ "issuer": "i", "facts": { "all": true } }] },
            { "id": "e1", "applied_at": "T1", "revokes": [{ "issuer": "i", "facts": { "sid": "s", "sub": "a" } }] },
        ] });
        assert_eq!(
            printed(&all),
            "feed      current\nentries   2\nT2  all tokens of i, event e2\n\
             T1  sid \"s\" and sub \"a\" of i, event e1\n"
        );
    }
}
