//! `clinch revoke`: publishes one revocation event to a feed and waits until the feed has it.
//!
//! Whether it revokes anything, each replica decides when it reads the event, so nothing is called revoked
//! here. Exit code 0 when it has, 1 when it could not be published, 64 for a wrong command line.

use super::EX_USAGE;
use crate::pop::Timestamp;
use crate::state::revocation::event::Fact;
use crate::state::revocation::event::plain::Plain;
use crate::state::revocation::feed::publish::{Published, Publisher};
use aws_lc_rs::rand;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// Arguments of `clinch revoke`.
#[derive(clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Where to publish: a journal's path, file:/PATH, nats://HOST:PORT[?stream=NAME&subject=NAME],
    /// redis://HOST:PORT[/DB][?stream=NAME],
    /// or kafka://HOST:PORT[,HOST:PORT]?topic=NAME
    #[arg(long, value_name = "URL")]
    feed: String,
    #[command(flatten)]
    target: Target,
    /// The issuer whose tokens are meant, exactly as in their `iss`
    #[arg(long, value_name = "ISSUER")]
    issuer: String,
    /// Tokens issued then or before are revoked: RFC 3339 in UTC, or unix seconds [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// When the event may be forgotten [default: the issuer's longest token lifetime after --at]
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

// Ids are base64url more often than not, which may begin with a hyphen.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// One token, by its `jti`
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    jti: Option<String>,
    /// All tokens of a subject
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    sub: Option<String>,
    /// All tokens of a session
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    sid: Option<String>,
    /// All tokens of a client
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    client: Option<String>,
    /// All tokens bound to a key, by its thumbprint
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    jkt: Option<String>,
    /// All tokens bound to a certificate, by its thumbprint
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    x5t: Option<String>,
    /// All tokens that the issuer signed with one of its keys, by its `kid`
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    kid: Option<String>,
    /// All tokens of the issuer
    #[arg(long)]
    all: bool,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let planned = Publisher::of_url(&arguments.feed)
        .and_then(|feed| Ok((feed, event(arguments, Timestamp::from_system(SystemTime::now()))?)));
    let (feed, event) = match planned {
        Ok(planned) => planned,
        Err(fault) => return complain(&fault, EX_USAGE),
    };
    match publish(&feed, &event) {
        Ok(published) => {
            let _ = report(&event, &feed, &published, arguments.json, &mut io::stdout());
            if published.journal_created {
                let journal = feed.name();
                let _ = writeln!(
                    io::stderr(),
                    "warning: {journal} did not exist and was created; is it the journal that clinch reads?"
                );
            }
            ExitCode::SUCCESS
        }
        Err(error) => complain(&format!("nothing was published: {error:#}"), 1),
    }
}

fn publish(feed: &Publisher, event: &Plain) -> anyhow::Result<Published> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(feed.publish(&event.id, &event.to_json()))
}

fn complain(fault: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {fault}");
    ExitCode::from(code)
}

/// The event that the arguments ask for.
fn event(arguments: &Arguments, now: Timestamp) -> Result<Plain, String> {
    let (fact, value) = arguments.target.chosen().ok_or("nothing to revoke")?;
    if (fact.is_some() && value.is_empty()) || arguments.issuer.is_empty() {
        return Err("the value to revoke and --issuer must not be empty".to_owned());
    }
    let at = arguments.at.unwrap_or(now);
    if arguments.until.is_some_and(|until| until < at) {
        return Err("--until is before --at".to_owned());
    }
    Ok(Plain {
        id: id().ok_or("the system has no randomness")?,
        issuer: arguments.issuer.clone(),
        fact,
        value: value.to_owned(),
        at,
        until: arguments.until,
    })
}

impl Target {
    fn chosen(&self) -> Option<(Option<Fact>, &str)> {
        let all = [
            (Fact::TokenId, &self.jti),
            (Fact::Subject, &self.sub),
            (Fact::Session, &self.sid),
            (Fact::Client, &self.client),
            (Fact::Key, &self.jkt),
            (Fact::Certificate, &self.x5t),
            (Fact::SigningKey, &self.kid),
        ];
        let one = all.into_iter().find_map(|(fact, value)| Some((Some(fact), value.as_deref()?)));
        one.or(self.all.then_some((None, "")))
    }
}

/// 128 random bits in hex.
fn id() -> Option<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).ok()?;
    Some(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn report(
    event: &Plain,
    feed: &Publisher,
    published: &Published,
    json: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let at = rfc3339(event.at);
    let feed = feed.name();
    if json {
        let until = event.until.map(rfc3339);
        let revoke = match event.fact {
            Some(fact) => serde_json::json!({ fact.name(): event.value }),
            None => serde_json::json!({ "all": true }),
        };
        let object = serde_json::json!({
            "id": event.id, "iss": event.issuer, "revoke": revoke, "at": at, "until": until,
            "published": true, "feed": feed, "sequence": sequence(published),
            "journal_created": published.journal_created,
        });
        return writeln!(out, "{object}");
    }
    match event.fact {
        Some(fact) => writeln!(out, "published {} {:?} of {}", fact.name(), event.value, event.issuer)?,
        None => writeln!(out, "published all tokens of {}", event.issuer)?,
    }
    if event.fact.is_none_or(|fact| !fact.is_for_ever()) {
        writeln!(out, "issued    until {at}")?;
    }
    writeln!(out, "event     {}", event.id)?;
    match &published.sequence {
        Some(sequence) => writeln!(out, "feed      {feed}, sequence {sequence}")?,
        None => writeln!(out, "feed      {feed}")?,
    }
    writeln!(out, "effect    when a replica reads it; one without this issuer rejects it")
}

/// A number where the feed counts, a text where it does not.
fn sequence(published: &Published) -> Option<serde_json::Value> {
    let sequence = published.sequence.as_deref()?;
    Some(sequence.parse::<u64>().map_or_else(|_| sequence.into(), Into::into))
}

const AFTER_HELP: &str = "\
Published is not yet revoked: each replica decides when it reads the event, and rejects one for an issuer that \
its configuration does not have (clinch_revocation_rejected_total, and a line in its log).

With --json, one object: published (true), id, iss, revoke (one member: the claim and its value, or all: true), at and until \
(RFC 3339, until may be null), feed (the journal's path or the stream's name), sequence (in the stream; null for a \
journal), journal_created (whether the journal was not there before). On failure nothing is printed on standard \
output, and the exit code is 1, or 64 for wrong usage.";

fn rfc3339(time: Timestamp) -> String {
    let since_1970 = Duration::from_secs(u64::try_from(time.as_secs()).unwrap_or(0));
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since_1970).to_string()
}

fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Timestamp::from_secs(i64::from(seconds)));
    }
    humantime::parse_rfc3339(text)
        .map(Timestamp::from_system)
        .map_err(|_| "expected unix seconds, or RFC 3339 in UTC like 2026-11-21T08:30:00Z".to_owned())
}

#[cfg(test)]
mod tests;
