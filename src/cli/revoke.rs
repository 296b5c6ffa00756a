//! `clinch revoke`: publishes one revocation event to a feed and waits until the feed has it.
//!
//! Whether it revokes anything, each replica decides when it reads the event, so nothing is called revoked
//! here. Exit code 0 when it has, 1 when it could not be published, 64 for a wrong command line, which includes
//! kinds and feeds of the contract that do not work yet: an operator must not believe revoked what is not.

use super::EX_USAGE;
use crate::pop::Timestamp;
use crate::state::revocation::event::{Event, Kind};
use crate::state::revocation::feed::file::{self, Appended};
use crate::state::revocation::feed::nats;
use anyhow::Context;
use aws_lc_rs::rand;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// Arguments of `clinch revoke`.
#[derive(clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Where to publish: a journal's path, file:/PATH, or nats://HOST:PORT[?stream=NAME&subject=NAME]
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
    /// All tokens of a session (not supported yet)
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    sid: Option<String>,
    /// All tokens of a client (not supported yet)
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    client: Option<String>,
    /// All tokens bound to a key, by its thumbprint (not supported yet)
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    jkt: Option<String>,
    /// All tokens bound to a certificate, by its thumbprint (not supported yet)
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    x5t: Option<String>,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let planned = Feed::parse(&arguments.feed)
        .and_then(|feed| Ok((feed, event(arguments, Timestamp::from_system(SystemTime::now()))?)));
    let (feed, event) = match planned {
        Ok(planned) => planned,
        Err(fault) => return complain(&fault, EX_USAGE),
    };
    match feed.publish(&event) {
        Ok(published) => {
            let _ = report(&event, &feed, published, arguments.json, &mut io::stdout());
            if published == Published::NewJournal {
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

fn complain(fault: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {fault}");
    ExitCode::from(code)
}

/// The event that the arguments ask for.
fn event(arguments: &Arguments, now: Timestamp) -> Result<Event, String> {
    let (kind, value) = arguments.target.chosen().ok_or("nothing to revoke")?;
    if !kind.is_supported() {
        return Err(format!("revoking by {} is not supported yet", kind.name()));
    }
    if value.is_empty() || arguments.issuer.is_empty() {
        return Err("the value to revoke and --issuer must not be empty".to_owned());
    }
    let at = arguments.at.unwrap_or(now);
    if arguments.until.is_some_and(|until| until < at) {
        return Err("--until is before --at".to_owned());
    }
    Ok(Event {
        id: id().ok_or("the system has no randomness")?,
        issuer: arguments.issuer.clone(),
        kind,
        value: value.to_owned(),
        at,
        until: arguments.until,
    })
}

impl Target {
    fn chosen(&self) -> Option<(Kind, &str)> {
        let all = [
            (Kind::Token, &self.jti),
            (Kind::Subject, &self.sub),
            (Kind::Session, &self.sid),
            (Kind::Client, &self.client),
            (Kind::Key, &self.jkt),
            (Kind::Certificate, &self.x5t),
        ];
        all.into_iter().find_map(|(kind, value)| Some((kind, value.as_deref()?)))
    }
}

/// 128 random bits in hex.
fn id() -> Option<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).ok()?;
    Some(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Where an event can go.
#[derive(Debug, PartialEq, Eq)]
enum Feed {
    File(PathBuf),
    Nats { url: String, stream: String, subject: String },
}

impl Feed {
    fn parse(url: &str) -> Result<Feed, String> {
        let Some((scheme, rest)) = url.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
            return Ok(Feed::File(PathBuf::from(url)));
        };
        match scheme {
            "file" => match rest.strip_prefix("//").unwrap_or(rest) {
                path if path.starts_with('/') => Ok(Feed::File(PathBuf::from(path))),
                _ => Err("a file: feed needs an absolute path, file:/PATH".to_owned()),
            },
            "nats" | "tls" => Feed::nats(url),
            "redis" | "rediss" | "kafka" => Err(format!("{scheme}: feeds are not supported yet")),
            _ => Err(format!("{scheme}: is no feed; expected a path, file:/PATH or nats://HOST:PORT")),
        }
    }

    fn nats(url: &str) -> Result<Feed, String> {
        let (url, query) = url.split_once('?').unwrap_or((url, ""));
        let mut stream = nats::DEFAULT_STREAM.to_owned();
        let mut subject = nats::DEFAULT_SUBJECT.to_owned();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("stream", value)) if !value.is_empty() => value.clone_into(&mut stream),
                Some(("subject", value)) if is_concrete(value) => value.clone_into(&mut subject),
                Some(("subject", _)) => return Err("the feed's subject must have no wildcard".to_owned()),
                Some(_) | None => return Err("a nats: feed takes stream= and subject= only".to_owned()),
            }
        }
        Ok(Feed::Nats { url: url.to_owned(), stream, subject })
    }

    fn publish(&self, event: &Event) -> anyhow::Result<Published> {
        match self {
            Feed::File(path) => {
                let appended = file::append(path, event).with_context(|| path.display().to_string())?;
                Ok(match appended {
                    Appended::Existing => Published::Journal,
                    Appended::Created => Published::NewJournal,
                })
            }
            Feed::Nats { url, stream, subject } => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(nats::publish(url, stream, subject, event)).map(Published::Stream)
            }
        }
    }

    /// Without the server's address, which may hold a password.
    fn name(&self) -> String {
        match self {
            Feed::File(path) => path.display().to_string(),
            Feed::Nats { stream, .. } => stream.clone(),
        }
    }
}

/// Where the event is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Published {
    Journal,
    /// The journal was not there before.
    NewJournal,
    /// With this sequence.
    Stream(u64),
}

/// Longer than a drive letter, so that a path is a path.
fn is_scheme(text: &str) -> bool {
    text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn is_concrete(subject: &str) -> bool {
    !subject.is_empty() && !subject.contains(['*', '>', ' '])
}

fn report(
    event: &Event,
    feed: &Feed,
    published: Published,
    json: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let at = rfc3339(event.at);
    let (feed, kind) = (feed.name(), event.kind.name());
    let sequence = match published {
        Published::Stream(sequence) => Some(sequence),
        Published::Journal | Published::NewJournal => None,
    };
    if json {
        let until = event.until.map(rfc3339);
        let object = serde_json::json!({
            "id": event.id, "iss": event.issuer, "revoke": { kind: event.value }, "at": at, "until": until,
            "published": true, "feed": feed, "sequence": sequence,
            "journal_created": published == Published::NewJournal,
        });
        return writeln!(out, "{object}");
    }
    writeln!(out, "published {kind} {:?} of {}", event.value, event.issuer)?;
    if event.kind == Kind::Subject {
        writeln!(out, "issued    until {at}")?;
    }
    writeln!(out, "event     {}", event.id)?;
    match sequence {
        Some(sequence) => writeln!(out, "feed      {feed}, sequence {sequence}")?,
        None => writeln!(out, "feed      {feed}")?,
    }
    writeln!(out, "effect    when a replica reads it; one without this issuer rejects it")
}

const AFTER_HELP: &str = "\
Published is not yet revoked: each replica decides when it reads the event, and rejects one for an issuer that \
its configuration does not have (clinch_revocation_rejected_total, and a line in its log).

With --json, one object: published (true), id, iss, revoke (one member: the claim and its value), at and until \
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
