//! A certificate authority and the certificates of a test.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// One authority, one server certificate, two clients.
#[derive(Clone)]
pub struct Pki {
    /// The authority's certificate.
    pub ca_pem: String,
    /// For `localhost`, `127.0.0.1`, `api.example.com` and the injector's Service.
    pub server: Identity,
    /// The client that certificate-bound tokens are issued to.
    pub client: Identity,
    /// Another client of the same authority.
    pub thief: Identity,
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: String,
}

impl Pki {
    /// Makes everything anew.
    pub fn new() -> Pki {
        Pki::with(&[])
    }

    /// The same, the server's certificate being good for these hosts, too.
    pub fn with(hosts: &[&str]) -> Pki {
        let mut params = named("clinch tests", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let server =
            [&["localhost", "127.0.0.1", "api.example.com", "clinch-injector.clinch-system.svc"], hosts]
                .concat();
        Pki {
            ca_pem: ca.pem(),
            server: issue(&ca, "server", &server, ExtendedKeyUsagePurpose::ServerAuth),
            client: issue(&ca, "client", &["client.example"], ExtendedKeyUsagePurpose::ClientAuth),
            thief: issue(&ca, "thief", &["thief.example"], ExtendedKeyUsagePurpose::ClientAuth),
        }
    }

    /// The authority as the only trust anchor.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).unwrap()).unwrap();
        roots
    }
}

impl Identity {
    /// For rustls.
    pub fn der(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap();
        (vec![certificate], PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap())
    }

    /// `x5t#S256` of the certificate (RFC 8705 section 3.1).
    pub fn thumbprint(&self) -> String {
        super::proof::sha256(&self.der().0[0])
    }
}

fn issue(
    ca: &CertifiedIssuer<'_, KeyPair>,
    name: &str,
    alternatives: &[&str],
    usage: ExtendedKeyUsagePurpose,
) -> Identity {
    let mut params = named(name, alternatives);
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    Identity { certificate: certificate.pem(), key: key.serialize_pem() }
}

fn named(name: &str, alternatives: &[&str]) -> CertificateParams {
    let alternatives: Vec<String> = alternatives.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(alternatives).unwrap();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}
