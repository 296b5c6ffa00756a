//! `clinch revoke`: publishes one revocation event to a feed and waits until the feed has it.
//!
//! Whether it revokes anything, each replica decides when it reads the event, so nothing is called revoked
//! here. With `--wait` the replicas are asked until each has said. Exit code 0 when the feed has the event, and every
//! replica that was asked has applied it; 1 when it could not be published or a replica has not; 64 for a wrong
//! command line.

mod feed;
mod report;
mod wait;

use super::EX_USAGE;
use super::replica::Replica;
use crate::pop::Timestamp;
use crate::state::revocation::event::Fact;
use crate::state::revocation::event::plain::Plain;
use crate::state::revocation::feed::publish::Publisher;
use aws_lc_rs::rand;
use feed::Where;
use report::Report;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use wait::Word;

/// Arguments of `clinch revoke`.
#[derive(clap::Args)]
#[command(after_long_help = AFTER_HELP, group = clap::ArgGroup::new("what").required(true).args(TARGETS))]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Where,
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
    /// Wait until these replicas have the event: their admin addresses, such as http://127.0.0.1:9901
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    wait: Vec<String>,
    /// How long to wait for them at most
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

// Ids are base64url more often than not, which may begin with a hyphen.
#[derive(clap::Args)]
#[group(multiple = false)]
pub(super) struct Target {
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
    let planned = arguments
        .place
        .publisher()
        .and_then(|feed| Ok((feed, event(arguments, now())?)))
        .and_then(|(feed, event)| Ok((feed, event, replicas(&arguments.wait)?)));
    let (feed, event, replicas) = match planned {
        Ok(planned) => planned,
        Err(fault) => return complain(&fault, EX_USAGE),
    };
    match revoke(&feed, &event, &replicas, arguments) {
        Ok(words) if words.iter().all(Word::is_applied) => ExitCode::SUCCESS,
        Ok(words) => {
            let applied = words.iter().filter(|word| word.is_applied()).count();
            complain(&format!("{applied} of {} replicas have applied it", words.len()), 1)
        }
        Err(error) => complain(&format!("nothing was published: {error:#}"), 1),
    }
}

/// Publishes, tells, waits, tells.
fn revoke(
    feed: &Publisher,
    event: &Plain,
    replicas: &[Replica],
    arguments: &Arguments,
) -> anyhow::Result<Vec<Word>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let at = now();
    let published = runtime.block_on(feed.publish(&event.id, &event.to_json()))?;
    let (out, waits) = (&mut io::stdout(), !replicas.is_empty());
    let report = Report { event, feed: feed.name(), published: &published, at };
    // From here on the event is published, whatever becomes of the lines about it.
    if !arguments.json {
        let _ = report.print(out);
    }
    if published.journal_created {
        let journal = feed.name();
        let _ = writeln!(
            io::stderr(),
            "warning: {journal} did not exist and was created; is it the journal that clinch reads?"
        );
    }
    let words = runtime.block_on(wait::wait(replicas, &event.id, at, arguments.timeout));
    let _ = match (arguments.json, waits) {
        (true, waits) => report.print_json(waits.then_some(&words), out),
        (false, true) => Report::print_words(&words, arguments.timeout, out),
        (false, false) => Report::print_effect(out),
    };
    Ok(words)
}

fn replicas(urls: &[String]) -> Result<Vec<Replica>, String> {
    urls.iter().map(|url| Replica::new(url)).collect()
}

fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
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
        iat: Some(now),
    })
}

impl Target {
    /// What is meant, all tokens being `None`, and the value.
    pub(super) fn chosen(&self) -> Option<(Option<Fact>, &str)> {
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

/// The options of [`Target`].
const TARGETS: [&str; 8] = ["jti", "sub", "sid", "client", "jkt", "x5t", "kid", "all"];
const AFTER_HELP: &str = "\
Published is not yet revoked: each replica decides when it reads the event, and rejects one for an issuer that \
its configuration does not have (clinch_revocation_rejected_total, and a line in its log). With --wait each replica is \
asked what became of the event, and the exit code is 1 unless all of them have applied it within --timeout. The delay \
is by the two clocks: the replica's and that of this machine.

With --json, one object: published (true), published_at, id, iss, revoke (one member: the claim and its value, or \
all: true), at and until (RFC 3339, until may be null), feed (the journal's path or the stream's name), sequence (in the \
stream; null for a journal), journal_created (whether the journal was not there before). With --wait also replicas (each \
with replica, result, and at, after_ms or reason; result is applied, ignored, rejected, missing or no_answer) and \
applied_everywhere. When nothing was published nothing is printed on standard output, and the exit code is 1, or 64 for \
wrong usage.";

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
