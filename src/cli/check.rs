//! `clinch check`: every fault of a configuration file in one run, or in a few lines what it does.
//!
//! Looks at the file and at the files it names, never at the network.

use super::EX_USAGE;
use crate::config::{Config, Feed, Issuer, Problems, Revocation, Store};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `clinch check`.
#[derive(clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Also reach the issuers, the feed and the service (not supported yet)
    #[arg(long)]
    online: bool,
    /// Print JSON, for machines
    #[arg(long)]
    json: bool,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    if arguments.online {
        let _ = writeln!(std::io::stderr(), "error: --online is not supported yet");
        return ExitCode::from(EX_USAGE);
    }
    let config = match load(&arguments.config, arguments.json) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let text = if arguments.json {
        format!("{:#}\n", json!({ "problems": [], "warnings": config.warnings }))
    } else {
        summary(&config)
    };
    print(&text)
}

/// Loads a configuration, or shows its problems and gives the exit code. Warnings go to standard error.
pub(super) fn load(file: &Path, as_json: bool) -> Result<Config, ExitCode> {
    let config = Config::load(file).map_err(|problems| show(&problems, as_json))?;
    for warning in config.warnings.iter().filter(|_| !as_json) {
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    Ok(config)
}

/// People read standard error, machines read standard output.
fn show(problems: &Problems, as_json: bool) -> ExitCode {
    if as_json {
        let _ = writeln!(std::io::stdout(), "{:#}", json!({ "problems": problems.to_json() }));
    } else {
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let _ = writeln!(std::io::stderr(), "{}", problems.render(colour));
    }
    ExitCode::from(EX_USAGE)
}

/// Writes to standard output; a reader that went away is a failure.
pub(super) fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn summary<'c>(config: &'c Config) -> String {
    let list = |items: Vec<&str>| items.join(", ");
    let name = |issuer: &'c Issuer| issuer.expected.issuer.as_ref();
    let origins = list(config.listen.public_origins.iter().map(|o| o.as_str()).collect());
    let issuers = list(config.issuers.iter().map(name).collect());
    let revocation = match &config.revocation {
        None => "none: tokens are good until they expire".to_owned(),
        Some(revocation) => {
            let feed = match &revocation.feed {
                Feed::File { path } => format!("from the journal {}", path.display()),
                Feed::Nats(nats) => format!("from the NATS stream {}", nats.stream),
                Feed::Redis(redis) => format!("from the Redis stream {}", redis.stream),
                Feed::Kafka(kafka) => format!("from the Kafka topic {}", kafka.topic),
            };
            let signers: Vec<&str> = revocation.transmitters.iter().map(|one| name(&one.signer)).collect();
            let signed =
                if signers.is_empty() { String::new() } else { format!(", signed by {}", list(signers)) };
            feed + &signed + &received(revocation)
        }
    };
    let replay = match &config.replay.shared {
        None => "used proofs are remembered in this process",
        Some(shared) => match &shared.store {
            Store::Redis { .. } => "used proofs are remembered in Redis, by all replicas",
            Store::Nats { .. } => "used proofs are remembered in NATS, by all replicas",
        },
    };
    let nonces = match (config.nonces.required, &config.nonces.secret) {
        (false, _) => "asked for only after a restart or a loss",
        (true, None) => "in every proof, each good at one replica",
        (true, Some(_)) => "in every proof, good at all replicas that share the secret",
    };
    let asked: Vec<&str> =
        config.issuers.iter().filter(|issuer| issuer.introspection.is_some()).map(name).collect();
    let opaque = if asked.is_empty() {
        "tokens that are not JWTs are refused".to_owned()
    } else {
        format!("tokens that are not JWTs are asked about at {}", list(asked))
    };
    let audit = match &config.audit {
        None => "no log of decisions is kept".to_owned(),
        Some(audit) => {
            let signed = if audit.key.is_some() { "signed" } else { "not signed" };
            format!("every decision is kept in {}, {signed}", audit.file.display())
        }
    };
    let routes = config.routes.iter().count();
    let (address, upstream) = (config.listen.address, &config.upstream.address);
    [
        "the configuration is good".to_owned(),
        format!("  listens on   {address} for {origins}"),
        format!("  forwards to  {upstream}"),
        format!("  trusts       {issuers}"),
        format!("  opaque       {opaque}"),
        format!("  routes       {routes}"),
        format!("  revocation   {revocation}"),
        format!("  replay       {replay}"),
        format!("  nonces       {nonces}"),
        format!("  audit        {audit}"),
        format!("  admin        http://{}", config.admin),
        String::new(),
    ]
    .join("\n")
}

/// What is put on the feed by us.
fn received(revocation: &Revocation) -> String {
    let mut text = String::new();
    if let Some(push) = &revocation.push {
        text += &format!(", pushed to https://{}{}", push.address, push.path);
    }
    for poll in revocation.transmitters.iter().filter_map(|one| one.poll.as_ref()) {
        text += &format!(", polled from {}", poll.endpoint);
    }
    text
}

const AFTER_HELP: &str = "\
With --json, one object: problems, a list that is empty if the configuration is good, and then warnings, a list of \
texts. A problem has file, line and column (in characters, from 1), path (of the key, such as routes[0].proof), \
message, found and expected (texts, perhaps empty). Exit code 0 if the configuration is good, else 64.";
