//! A configuration as it was written, to tell what a new one changes that a running process can't take over.

use crate::pop::sha256;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// A file's text and its sound part. It may contain secrets, so its Debug shows nothing.
#[derive(Clone, Default)]
pub struct Written {
    text: Arc<str>,
    sound: Value,
}

impl Written {
    pub(super) fn new(sound: Value, text: &str) -> Written {
        Written { text: text.into(), sound }
    }

    /// The text of the file.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Its SHA-256.
    pub fn digest(&self) -> [u8; 32] {
        sha256::of(self.text.as_bytes())
    }

    /// The keys whose change takes effect at the next start only, of those that the other file writes differently.
    pub fn needing_restart(&self, other: &Written) -> Vec<&'static str> {
        let differs = |key: &&str| {
            let pointer = format!("/{}", key.replace('.', "/"));
            self.sound.pointer(&pointer) != other.sound.pointer(&pointer)
        };
        AT_START.iter().copied().filter(differs).collect()
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written(…)")
    }
}

/// What is bound, opened or begun once. The age of proofs is among it, for the memory of used ones goes by it.
const AT_START: &[&str] = &[
    "listen.address",
    "listen.reuse_port",
    "listen.limits.connections_per_peer",
    "listen.limits.handshakes",
    "listen.tls.spiffe.endpoint",
    "dpop.max_age",
    "dpop.max_future",
    "dpop.nonce",
    "dpop.replay",
    "revocation.feed.push.address",
    "telemetry",
    "audit",
    "admin",
    "runtime",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_needs_a_restart_is_told() {
        let before = Written::new(json!({"listen": {"address": "a", "drain": "1s"}, "routes": []}), "");
        let after = Written::new(json!({"listen": {"address": "b", "drain": "2s"}, "routes": [1]}), "");
        assert_eq!(before.needing_restart(&after), ["listen.address"]);
        assert!(before.needing_restart(&before).is_empty());
        let more = Written::new(json!({"listen": {"address": "a"}, "admin": {"address": "c"}}), "");
        assert_eq!(before.needing_restart(&more), ["admin"]);
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let written = Written::new(json!({"url": "redis://user:hunter2@h"}), "");
        assert!(!format!("{written:?}").contains("hunter2"));
    }
}
