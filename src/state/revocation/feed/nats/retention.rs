//! Whether a stream keeps events for as long as the tokens that they revoke live (ATTACKS RV-025, RV-026).

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};
use std::time::Duration;

/// How a stream of this configuration can forget an event too early; `None` if it can't.
pub(super) fn warning(stream: &Config, longest_lifetime: Duration) -> Option<String> {
    let mut ways = Vec::new();
    if !stream.max_age.is_zero() && stream.max_age < longest_lifetime {
        let [age, lifetime] = [stream.max_age, longest_lifetime].map(humantime::format_duration);
        ways.push(format!("max_age is {age}, and tokens live for {lifetime}"));
    }
    // With `discard: new` a full stream takes nothing more, which its publishers notice.
    if stream.discard == DiscardPolicy::Old {
        for (limit, value) in [("max_msgs", stream.max_messages), ("max_bytes", stream.max_bytes)] {
            if value > 0 {
                ways.push(format!("with {limit} {value} it drops the oldest"));
            }
        }
    }
    let refuses = stream.discard == DiscardPolicy::New && stream.discard_new_per_subject;
    if stream.max_messages_per_subject > 0 && !refuses {
        ways.push(format!("it keeps only {} of a subject", stream.max_messages_per_subject));
    }
    match stream.retention {
        RetentionPolicy::Limits => {}
        RetentionPolicy::Interest | RetentionPolicy::WorkQueue => {
            ways.push("it drops what somebody has read".to_owned());
        }
    }
    (!ways.is_empty()).then(|| ways.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_forget_is_told_and_a_sound_stream_has_none() {
        let hour = Duration::from_secs(3600);
        let told = |stream: Config| warning(&stream, hour);
        assert_eq!(told(Config::default()), None);
        assert_eq!(
            told(Config { max_age: hour, max_messages: -1, max_bytes: -1, ..Config::default() }),
            None
        );
        let full = Config { max_messages: 5, discard: DiscardPolicy::New, ..Config::default() };
        assert_eq!(told(full.clone()), None);
        let short = Config { max_age: hour / 2, ..Config::default() };
        assert_eq!(told(short).unwrap(), "max_age is 30m, and tokens live for 1h");
        let few = Config { max_bytes: 9, discard: DiscardPolicy::Old, ..full.clone() };
        assert_eq!(
            told(few).unwrap(),
            "with max_msgs 5 it drops the oldest; with max_bytes 9 it drops the oldest"
        );
        let last = Config { max_messages_per_subject: 1, ..full.clone() };
        assert_eq!(told(last.clone()).unwrap(), "it keeps only 1 of a subject");
        assert_eq!(told(Config { discard_new_per_subject: true, ..last }), None);
        assert!(told(Config { retention: RetentionPolicy::Interest, ..full }).is_some());
    }
}
