//! Where a Kafka topic of revocations is.

use http::uri::Authority;

/// A Kafka topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    /// Brokers to begin with, each with its port; they name the others.
    pub brokers: Vec<Authority>,
    /// The topic.
    pub topic: String,
}

/// Reads `kafka://HOST[:PORT],…`: brokers, each with its port. No login: without TLS it would be sent in clear.
pub fn kafka_brokers(url: &str) -> Option<Vec<Authority>> {
    let hosts = url.strip_prefix("kafka://")?;
    let hosts = hosts.strip_suffix('/').unwrap_or(hosts);
    if hosts.contains(['@', '/']) {
        return None;
    }
    hosts.split(',').map(|host| super::redis::server(host, 9092)).collect()
}

/// Whether this is the name of a topic: Kafka's own rule.
pub fn is_kafka_topic(name: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=249).contains(&name.len()) && name.bytes().all(sound) && ![".", ".."].contains(&name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_read_and_nothing_else() {
        let brokers = kafka_brokers("kafka://a,b:1,[::1]/").unwrap();
        assert_eq!(
            brokers.iter().map(Authority::as_str).collect::<Vec<_>>(),
            ["a:9092", "b:1", "[::1]:9092"]
        );
        for url in
            ["a:9092", "kafka://", "kafka://a,", "kafka://u:p@a", "kafka://a:0", "kafka://a/t", "kafkas://a"]
        {
            assert_eq!(kafka_brokers(url), None, "{url}");
        }
    }

    #[test]
    fn topics_have_kafkas_names() {
        assert!(is_kafka_topic("clinch.revocations-1_A"));
        for name in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(250)] {
            assert!(!is_kafka_topic(name), "{name}");
        }
    }
}
