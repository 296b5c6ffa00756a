//! Names: those of ours in a pod, and how Kubernetes writes names (RFC 1123).

/// The sidecar.
pub(super) const SIDECAR: &str = "clinch";
/// The init container that writes the rules of mode redirect.
pub(super) const REDIRECT: &str = "clinch-redirect";
/// The sidecar's port for the kubelet and for whoever reads metrics.
pub(super) const HEALTH_PORT: &str = "clinch-health";

/// The configuration.
pub(super) const CONFIG: &str = "clinch-config";
/// Certificates.
pub(super) const TLS: &str = "clinch-tls";
/// The Workload API socket.
pub(super) const SPIFFE: &str = "clinch-spiffe";
/// Nothing, where the token of a service account would be.
pub(super) const NO_TOKEN: &str = "clinch-no-token";
/// The mark of a crash.
pub(super) const STATE: &str = "clinch-state";
/// All volumes of ours.
pub(super) const VOLUMES: [&str; 5] = [CONFIG, TLS, SPIFFE, NO_TOKEN, STATE];

/// What our annotations and our label begin with.
pub(super) const PREFIX: &str = "clinch.dev/";
/// Says that a pod was injected, to people: it proves nothing.
pub(super) const MARK: &str = "clinch.dev/injected";

/// Where the admin port of clinch is, on loopback.
pub(super) const ADMIN_PORT: u16 = 9_901;

/// Whether containers and volumes may be called so (RFC 1123 label: at most 63 of a-z, 0-9 and inner `-`).
pub(super) fn is_label(name: &str) -> bool {
    name.len() <= 63 && is_word(name)
}

/// Whether a ConfigMap or Secret may be called so (RFC 1123 subdomain: words with dots between, at most 253).
pub(super) fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_word)
}

fn is_word(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty() && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

/// Whether a port may be called so (RFC 6335: at most 15 of a-z, 0-9 and single inner `-`, a letter among them).
pub(super) fn is_port_name(name: &str) -> bool {
    is_label(name) && name.len() <= 15 && !name.contains("--") && name.bytes().any(|b| b.is_ascii_lowercase())
}

/// Whether an environment variable may be called so, as shells read them.
pub(super) fn is_variable(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A value as the kubelet takes it literally: it reads `$(NAME)` as a reference and `$$` as one `$`.
pub(super) fn literal(value: &str) -> String {
    value.replace('$', "$$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_kubernetes_takes() {
        assert!(is_label("a") && is_label("a-1") && is_label(&"a".repeat(63)));
        assert!(!["", "-a", "a-", "A", "a.b", "a/b", "ä"].into_iter().any(is_label));
        assert!(!is_label(&"a".repeat(64)));
        assert!(is_subdomain("clinch") && is_subdomain("a.b-c.d") && is_subdomain(&"a".repeat(253)));
        assert!(!["", ".", "a..b", "a.", "A", "a\n", "../a"].into_iter().any(is_subdomain));
        assert!(!is_subdomain(&"a".repeat(254)));
        assert!(is_port_name("http-alt") && !is_port_name("8080") && !is_port_name("a--b"));
        assert!(!is_port_name("sixteen-letters-"));
        assert!(is_variable("_A1") && !is_variable("1A") && !is_variable("A-B") && !is_variable(""));
    }

    #[test]
    fn a_dollar_sign_stays_one() {
        assert_eq!(literal("$(HOME) $$ $"), "$$(HOME) $$$$ $$");
    }
}
