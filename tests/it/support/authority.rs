//! Certificates of every kind: who signed them, what they are for, when they are valid, and what they pretend.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::time::Duration;

/// Someone who signs certificates, whether or not they may.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// The certificates from this one's up to, but without, the root's.
    above: Vec<CertificateDer<'static>>,
}

/// A certificate, what stands above it, and the key.
pub struct Shown {
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: KeyPair,
}

impl Authority {
    /// A trust anchor.
    pub fn root(name: &str) -> Authority {
        let issuer = CertifiedIssuer::self_signed(authority(name), KeyPair::generate().unwrap()).unwrap();
        Authority { issuer, above: Vec::new() }
    }

    /// Someone below, with whatever liberties.
    pub fn below(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Authority {
        let mut params = authority(name);
        change(&mut params);
        let issuer = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.issuer).unwrap();
        let above = std::iter::once(issuer.der().clone()).chain(self.above.iter().cloned()).collect();
        Authority { issuer, above }
    }

    /// PEM, for `client_ca`.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A client certificate in order.
    pub fn client(&self) -> Shown {
        self.issue(|_| {})
    }

    /// A client certificate with whatever liberties.
    pub fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Shown {
        self.issue_for(KeyPair::generate().unwrap(), change)
    }

    /// The same for a key that is there already.
    pub fn issue_for(&self, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Shown {
        let mut params = client();
        change(&mut params);
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let chain = std::iter::once(leaf.der().clone()).chain(self.above.iter().cloned()).collect();
        Shown { chain, key }
    }

    /// A list of revoked serial numbers, PEM.
    pub fn revokes(&self, serials: &[u64], until_year: i32) -> String {
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
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

impl Shown {
    /// Signed by its own key.
    pub fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Shown {
        let (mut params, key) = (client(), KeyPair::generate().unwrap());
        change(&mut params);
        Shown { chain: vec![params.self_signed(&key).unwrap().der().clone()], key }
    }

    /// `x5t#S256` of the leaf.
    pub fn thumbprint(&self) -> String {
        super::proof::sha256(&self.chain[0])
    }

    /// The key as rustls takes it.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// A TLS client that shows it.
    pub fn by(&self, roots: RootCertStore, version: &'static SupportedProtocolVersion) -> ClientConfig {
        let builder = super::stage::client(version).with_root_certificates(roots);
        builder.with_client_auth_cert(self.chain.clone(), self.key()).unwrap()
    }
}

/// Sets when it is valid, in seconds since 1970.
pub fn valid(params: &mut CertificateParams, from: u64, until: u64) {
    params.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(from);
    params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(until);
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn client() -> CertificateParams {
    let mut params = named("client");
    params.subject_alt_names = vec![rcgen::SanType::DnsName("client.example".try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}
