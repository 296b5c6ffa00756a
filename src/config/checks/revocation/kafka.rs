//! `revocation.feed` of `kind: kafka`.

use super::needed;
use crate::config::checks::Checks;
use crate::config::checks::upstream::is_loopback;
use crate::config::file::Feed as Written;
use crate::config::words::quoted;
use crate::config::{Kafka, is_kafka_topic, kafka_brokers};
use http::uri::Authority;

/// The topic; `None` if something in it is at fault.
pub(super) fn check(c: &mut Checks<'_>, written: &Written) -> Option<Kafka> {
    if cfg!(not(feature = "kafka")) {
        c.fault("revocation.feed.kind", "this clinch was built without Kafka")
            .found("`kafka`")
            .expected("another kind, or a clinch from `cargo build --release --features kafka`");
    }
    let brokers = needed(c, "kafka", "url", &written.url).and_then(|url| brokers(c, url));
    let topic = needed(c, "kafka", "topic", &written.topic).and_then(|name| topic(c, name));
    Some(Kafka { brokers: brokers?, topic: topic? }).filter(|_| cfg!(feature = "kafka"))
}

fn brokers(c: &mut Checks<'_>, written: &str) -> Option<Vec<Authority>> {
    let Some(brokers) = kafka_brokers(written) else {
        c.fault(URL, "this is not the URL of Kafka; logins and TLS are not supported")
            .found(quoted(written))
            .expected("kafka://HOST:PORT,HOST:PORT");
        return None;
    };
    if !brokers.iter().all(|broker| is_loopback(broker.host())) {
        c.warn(URL, "revocations cross the network in clear, and whoever is on it may add some");
    }
    Some(brokers)
}

fn topic(c: &mut Checks<'_>, written: &str) -> Option<String> {
    let sound = is_kafka_topic(written);
    if !sound {
        c.fault("revocation.feed.topic", "this is not the name of a topic")
            .found(quoted(written))
            .expected("letters, digits, `.`, `_` and `-`, at most 249");
    }
    sound.then(|| written.to_owned())
}

const URL: &str = "revocation.feed.url";
