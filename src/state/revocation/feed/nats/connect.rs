//! Reaching NATS: servers, TLS, who we are, and how long to wait before the next attempt.

use super::super::attempts::pause;
use crate::config::{Login, Nats};
use anyhow::Context;
use async_nats::{ConnectOptions, ServerAddr};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;

/// The servers, and how to connect to them. Addresses may hold a password, so they are never shown.
///
/// # Errors
/// An address that is none, or anchors, certificates and keys that TLS can't use.
pub(super) fn options(nats: &Nats) -> anyhow::Result<(Vec<ServerAddr>, ConnectOptions)> {
    let parsed = nats.url.split(',').map(|url| url.trim().parse().ok());
    let addresses: Option<Vec<ServerAddr>> = parsed.collect();
    let addresses = addresses.context("the feed's url is not an address of a NATS server")?;
    let mut options = ConnectOptions::new()
        .name("clinch")
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE))
        .reconnect_delay_callback(|attempts| {
            backoff(u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX))
        });
    let login = addresses.iter().find_map(|address| address.username().zip(address.password()));
    options = match (&nats.login, login) {
        (Some(Login::Credentials(credentials)), _) => {
            let read = options.credentials(credentials.expose());
            read.ok().context("the credentials of the feed are not those of a NATS user")?
        }
        (Some(Login::Nkey(seed)), _) => options.nkey(seed.expose().to_owned()),
        (None, Some((user, password))) => options.user_and_password(user.to_owned(), password.to_owned()),
        (None, None) => options,
    };
    if !nats.ca.is_empty() || nats.identity.is_some() {
        options = options.tls_client_config(tls(nats)?);
    }
    // No downgrade: a server that says that it has no TLS is not believed.
    let encrypted = nats.url.contains("tls://");
    Ok((addresses, options.require_tls(encrypted)))
}

/// TLS that trusts the anchors of the configuration, or the system's if it has none.
fn tls(nats: &Nats) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for anchor in &nats.ca {
        roots.add(anchor.clone()).context("revocation.feed.ca")?;
    }
    if nats.ca.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(roots);
    match &nats.identity {
        Some(identity) => config
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .context("revocation.feed.client_certificate"),
        None => Ok(config.with_no_client_auth()),
    }
}

/// At once, and then with the pauses of every feed.
pub(super) fn backoff(failures: u32) -> Duration {
    if failures == 0 { Duration::ZERO } else { pause(failures) }
}

/// For a connection or an answer.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_second_and_are_never_all_the_same() {
        assert_eq!(backoff(0), Duration::ZERO);
        for (failures, longest) in [(1, 20), (2, 40), (6, 640), (7, 1000), (1000, 1000)] {
            let waits: Vec<Duration> = (0..50).map(|_| backoff(failures)).collect();
            let longest = Duration::from_millis(longest);
            assert!(waits.iter().all(|wait| *wait >= longest / 2 && *wait <= longest), "{waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
        }
    }
}
