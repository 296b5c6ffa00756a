//! Certificates for one test: a CA, a server, clients, revocation lists.

use crate::config::{ClientCertificates, ClientChain, Own, Tls};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::sync::Arc;

/// A certificate authority.
pub(super) struct Authority {
    pub(super) certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate chain with its key.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    pub(super) fn root() -> Authority {
        let (params, key) = Authority::parts("root");
        Authority { certificate: params.self_signed(&key).unwrap(), issuer: Issuer::new(params, key) }
    }
    pub(super) fn intermediate(&self) -> Authority {
        let (params, key) = Authority::parts("intermediate");
        Authority {
            certificate: params.signed_by(&key, &self.issuer).unwrap(),
            issuer: Issuer::new(params, key),
        }
    }
    fn parts(name: &str) -> (CertificateParams, KeyPair) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params, KeyPair::generate().unwrap())
    }
    /// A certificate for a name; `above`: the chain up to, but without, the root.
    pub(super) fn issue(&self, name: &str, serial: u64, above: &[&Authority]) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let above = above.iter().map(|authority| authority.certificate.der().clone());
        Identity {
            chain: std::iter::once(leaf.der().clone()).chain(above).collect(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    }
    /// A list of revoked serial numbers, expired or not.
    pub(super) fn crl(&self, serials: &[u64], until_year: i32) -> CertificateRevocationListDer<'static> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 6, 17),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 6, 17),
            next_update: date_time_ymd(until_year, 6, 17),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().der().clone()
    }
}

/// What both sides of a test trust and show.
pub(super) struct Pki {
    pub(super) root: Authority,
    server: Identity,
}

impl Pki {
    pub(super) fn new() -> Pki {
        let root = Authority::root();
        let server = root.issue("api.example.com", 1, &[]);
        Pki { root, server }
    }
    pub(super) fn server(&self) -> Tls {
        Tls {
            own: Own::Files {
                certificate: self.server.chain.clone(),
                private_key: self.server.key.clone_key(),
            },
            client_certificate: ClientCertificates::Off,
            client_chain: ClientChain::Verified,
            client_ca: Vec::new(),
            client_crl: Vec::new(),
        }
    }
    pub(super) fn client(&self, identity: Option<&Identity>, protocol: &[u8]) -> ClientConfig {
        self.client_of(&rustls::version::TLS13, identity, protocol)
    }
    pub(super) fn client_of(
        &self,
        version: &'static SupportedProtocolVersion,
        identity: Option<&Identity>,
        protocol: &[u8],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(shown) => builder.with_client_auth_cert(shown.chain.clone(), shown.key.clone_key()).unwrap(),
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }
}
