//! `clinch ready`: whether a sidecar can decide requests, for a `postStart` hook, a `HEALTHCHECK` or a script.
//!
//! Exit code 0 when its `/ready` says so, 1 otherwise, 64 for a wrong command line. What is missing is said on standard error.

use super::EX_USAGE;
use super::replica::Replica;
use serde_json::Value;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Arguments of `clinch ready`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The sidecar's admin address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9901")]
    admin: String,
    /// Ask again for so long, such as 60s
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    wait: Duration,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let replica = match Replica::new(&arguments.admin) {
        Ok(replica) => replica,
        Err(fault) => return complain(&fault, EX_USAGE),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = match runtime {
        Ok(runtime) => runtime.block_on(ready_within(&replica, arguments.wait)),
        Err(error) => Err(error.to_string()),
    };
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => complain(&format!("{} is not ready: {why}", replica.url()), 1),
    }
}

/// Asks until it is ready, or gives its last answer in words.
async fn ready_within(replica: &Replica, wait: Duration) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let why = match replica.readiness().await {
            Ok((true, _)) => return Ok(()),
            Ok((false, document)) => in_words(&document),
            Err(why) => why,
        };
        if begun.elapsed() >= wait {
            return Err(why);
        }
        sleep(PERIOD).await;
    }
}

/// `replay: lost, upstream: down`: what `/ready` says of each part, the lists without their brackets.
fn in_words(document: &Value) -> String {
    let part = |(name, value): (&String, &Value)| match value {
        Value::String(state) => Some(format!("{name}: {state}")),
        Value::Array(list) if !list.is_empty() => {
            let list: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            Some(format!("{name}: {}", list.join(" ")))
        }
        Value::Bool(true) => Some(name.clone()),
        Value::Null | Value::Bool(false) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let parts: Vec<String> = document.as_object().into_iter().flatten().filter_map(part).collect();
    parts.join(", ")
}

fn complain(what: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {what}");
    ExitCode::from(code)
}

const PERIOD: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_missing_is_said_in_one_line() {
        let document = json!({"ready": false, "draining": true, "keys": "unavailable",
            "issuers_without_keys": ["https://a", "https://b"], "upstream": "off"});
        let words = in_words(&document);
        assert_eq!(
            words,
            "draining, issuers_without_keys: https://a https://b, keys: unavailable, upstream: off"
        );
    }
}
