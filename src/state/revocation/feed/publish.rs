//! Putting events on the feed: for the command line, and for what is pushed or polled elsewhere.

use super::{file, kafka, nats, redis};
use crate::config;
use anyhow::Context;
use std::path::PathBuf;

/// Where events are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Publisher {
    /// A journal.
    File(PathBuf),
    /// A NATS JetStream stream, with a subject without wildcards.
    Nats(config::Nats),
    /// A Redis stream.
    Redis(config::Redis),
    /// A Kafka topic.
    Kafka(config::Kafka),
}

/// What the feed said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The place in the feed, where it has such a thing.
    pub sequence: Option<String>,
    /// Whether a journal was made for it, which perhaps nobody reads.
    pub journal_created: bool,
}

impl Publisher {
    /// Where a command line's URL points: a path, `file:/PATH`, `nats://HOST:PORT[?stream=NAME&subject=NAME]`,
    /// or an address of [`config::RedisAddress`] with `?stream=NAME` or without, or `kafka://HOST:PORT,…?topic=NAME`.
    ///
    /// # Errors
    /// In words what is wrong with it.
    pub fn of_url(url: &str) -> Result<Publisher, String> {
        let Some((scheme, rest)) = url.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
            return Ok(Publisher::File(PathBuf::from(url)));
        };
        match scheme {
            "file" => match rest.strip_prefix("//").unwrap_or(rest) {
                path if path.starts_with('/') => Ok(Publisher::File(PathBuf::from(path))),
                _ => Err("a file: feed needs an absolute path, file:/PATH".to_owned()),
            },
            "nats" | "tls" => nats_url(url),
            _ if redis::is_scheme(scheme) => Ok(Publisher::Redis(redis::of_url(url)?)),
            "kafka" => kafka_url(url),
            _ => Err(format!(
                "{scheme}: is no feed; expected a path, file:/PATH, nats://HOST:PORT, redis://HOST:PORT or \
                 kafka://HOST:PORT"
            )),
        }
    }

    /// What a replica of this configuration reads.
    pub fn of_config(feed: &config::Feed) -> Publisher {
        Publisher::at(feed, "plain")
    }

    /// The same for SETs that are handed on.
    pub(in crate::state::revocation) fn for_sets(feed: &config::Feed) -> Publisher {
        Publisher::at(feed, "set")
    }

    /// `kind` stands for what a filter leaves open.
    fn at(feed: &config::Feed, kind: &str) -> Publisher {
        match feed {
            config::Feed::File { path } => Publisher::File(path.clone()),
            config::Feed::Nats(nats) => {
                Publisher::Nats(config::Nats { subject: concrete(&nats.subject, kind), ..nats.clone() })
            }
            config::Feed::Redis(redis) => Publisher::Redis(redis.clone()),
            config::Feed::Kafka(kafka) => Publisher::Kafka(kafka.clone()),
        }
    }

    /// Publishes one event, a line of text, and waits until the feed has it.
    ///
    /// # Errors
    /// The feed is out of reach, or does not take it: then it is not known to have it.
    pub async fn publish(&self, id: &str, event: &str) -> anyhow::Result<Published> {
        match self {
            Publisher::File(path) => {
                let (at, line) = (path.clone(), event.to_owned());
                let appended = tokio::task::spawn_blocking(move || file::append(&at, &line)).await?;
                let appended = appended.with_context(|| path.display().to_string())?;
                let journal_created = appended == file::Appended::Created;
                Ok(Published { sequence: None, journal_created })
            }
            Publisher::Nats(nats) => {
                let sequence = nats::publish(nats, id, event.as_bytes()).await?;
                Ok(Published { sequence: Some(sequence.to_string()), journal_created: false })
            }
            Publisher::Redis(redis) => {
                let sequence = Some(redis::publish(redis, event).await?);
                Ok(Published { sequence, journal_created: false })
            }
            Publisher::Kafka(kafka) => {
                let sequence = Some(kafka::publish(kafka, id, event).await?);
                Ok(Published { sequence, journal_created: false })
            }
        }
    }

    /// Without the server's address, which may hold a password.
    pub fn name(&self) -> String {
        match self {
            Publisher::File(path) => path.display().to_string(),
            Publisher::Nats(nats) => nats.stream.clone(),
            Publisher::Redis(redis) => redis.stream.clone(),
            Publisher::Kafka(kafka) => kafka.topic.clone(),
        }
    }
}

fn nats_url(url: &str) -> Result<Publisher, String> {
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
    Ok(Publisher::Nats(config::Nats { url: url.to_owned(), stream, subject, ..config::Nats::default() }))
}

fn kafka_url(url: &str) -> Result<Publisher, String> {
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let topic = query.strip_prefix("topic=").filter(|topic| config::is_kafka_topic(topic));
    match (config::kafka_brokers(url), topic) {
        (Some(brokers), Some(topic)) => {
            Ok(Publisher::Kafka(config::Kafka { brokers, topic: topic.to_owned() }))
        }
        (None, _) | (_, None) => Err("a kafka: feed is kafka://HOST:PORT,HOST:PORT?topic=NAME".to_owned()),
    }
}

/// Longer than a drive letter, so that a path is a path.
fn is_scheme(text: &str) -> bool {
    text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'+')
}

/// A subject that fits the filter: `clinch.revocations.plain` for `clinch.revocations.>`.
fn concrete(filter: &str, kind: &str) -> String {
    let tokens = filter.split('.').map(|token| if matches!(token, "*" | ">") { kind } else { token });
    tokens.collect::<Vec<&str>>().join(".")
}

fn is_concrete(subject: &str) -> bool {
    !subject.is_empty() && !subject.contains(['*', '>', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_replicas_filter_for_is_published_to() {
        assert_eq!(concrete("clinch.revocations.>", "plain"), nats::DEFAULT_SUBJECT);
        assert_eq!(concrete("eu.*.revoked", "set"), "eu.set.revoked");
        assert_eq!(concrete("exact", "set"), "exact");
    }
}
