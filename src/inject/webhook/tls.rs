//! TLS of the webhook: one certificate that may change at any time, and clients that may have to show theirs.

use anyhow::Context;
use arc_swap::ArcSwapOption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The certificate that is served; handshakes fail before there is one.
#[derive(Debug, Default)]
pub struct Leaf(ArcSwapOption<CertifiedKey>);

impl Leaf {
    /// Serves another one from now on, and says when it ends, in seconds since 1970. Connections that are open stay as they are.
    ///
    /// # Errors
    /// The key can't be used, or is another certificate's.
    pub fn put_on(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: &PrivateKeyDer<'static>,
    ) -> anyhow::Result<i64> {
        let first = chain.first().context("there is no certificate")?;
        let (_, certificate) = X509Certificate::from_der(first).context("the certificate can't be read")?;
        let until = certificate.validity().not_after.timestamp();
        let key = aws_lc_rs::sign::any_supported_type(key).context("the private key can't be used")?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().context("the private key does not belong to the certificate")?;
        self.0.store(Some(Arc::new(certified)));
        Ok(until)
    }
}

impl ResolvesServerCert for Leaf {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

/// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1; a client certificate of these authorities where there are any (WH-019).
pub(super) fn server(
    client_ca: Option<&[CertificateDer<'static>]>,
    leaf: &Arc<Leaf>,
) -> anyhow::Result<ServerConfig> {
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                roots.add(authority.clone())?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::<Leaf>::clone(leaf));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // API servers keep connections open instead of resuming sessions.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Whether a client's certificate has one of the names: its common name or a DNS name. No names accept everyone whom the
/// authorities vouch for.
pub(super) fn is_named(chain: Option<&[CertificateDer<'_>]>, names: &[String]) -> bool {
    if names.is_empty() {
        return true;
    }
    let Some((_, certificate)) =
        chain.and_then(<[_]>::first).and_then(|der| X509Certificate::from_der(der).ok())
    else {
        return false;
    };
    let is_one = |text: &str| names.iter().any(|name| name == text);
    let common = certificate.subject().iter_common_name().any(|name| name.as_str().is_ok_and(is_one));
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let dns = |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(name) if is_one(name));
    common || alternatives.is_some_and(|names| names.value.general_names.iter().any(dns))
}
