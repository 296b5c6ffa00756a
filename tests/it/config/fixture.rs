//! A directory with everything that configuration files name: certificates, keys, lists, and faulty ones.

use rcgen::{BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyPair};
use rcgen::{KeyIdMethod, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd};
use std::fs;
use std::path::{Path, PathBuf};

/// A temporary directory, removed when dropped.
pub(crate) struct Fixture(PathBuf);

impl Fixture {
    pub(crate) fn new(name: &str) -> Fixture {
        let directory = std::env::temp_dir().join(format!("clinch-config-{name}-{}", std::process::id()));
        let tls = directory.join("tls");
        fs::create_dir_all(&tls).unwrap();
        let server = certificate(&tls, "server", (2020, 2120));
        certificate(&tls, "expired", (2020, 2021));
        certificate(&tls, "future", (2120, 2121));
        authority(&tls);
        private(&directory.join("nonce.secrets"), "a secret of the tests and of nothing else\n");
        fs::write(tls.join("empty.crt"), "").unwrap();
        fs::write(tls.join("text.crt"), "not a certificate\n").unwrap();
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(tls.join("garbage.crt"), garbage).unwrap();
        fs::write(tls.join("half.crt"), format!("{server}{garbage}")).unwrap();
        fs::create_dir_all(tls.join("directory.crt")).unwrap();
        let secrets = directory.join("secrets");
        fs::create_dir_all(&secrets).unwrap();
        private(&directory.join("identity.key"), &KeyPair::generate().unwrap().serialize_pem());
        let signer = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        private(&directory.join("audit.key"), &signer.serialize_pem());
        private(&secrets.join("introspection"), "a-client-secret\n");
        private(&secrets.join("empty"), "\n");
        let user = nkeys::KeyPair::new_user().seed().unwrap();
        private(&secrets.join("nats.nkey"), &format!("{user}\n"));
        private(&secrets.join("lines"), "one-secret\ntwo-secrets\n");
        private(&secrets.join("ssf"), "Bearer of-the-transmitter\n");
        Fixture(directory)
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// Puts a configuration file into the directory.
    pub(crate) fn copy(&self, file: &Path) -> PathBuf {
        let to = self.path(file.file_name().unwrap().to_str().unwrap());
        fs::copy(file, &to).unwrap();
        to
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn certificate(tls: &Path, name: &str, (from, until): (i32, i32)) -> String {
    let mut params = CertificateParams::new(vec!["api.example.com".to_owned()]).unwrap();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    fs::write(tls.join(format!("{name}.crt")), &pem).unwrap();
    private(&tls.join(format!("{name}.key")), &key.serialize_pem());
    pem
}

fn authority(tls: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    fs::write(tls.join("clients-ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2025, 1, 1),
        next_update: date_time_ymd(2120, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::<RevokedCertParams>::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let issuer = Issuer::from_params(&params, &key);
    fs::write(tls.join("clients.crl"), list.signed_by(&issuer).unwrap().pem().unwrap()).unwrap();
}

#[cfg(unix)]
fn private(file: &Path, pem: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(file, pem).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}
#[cfg(not(unix))]
fn private(file: &Path, pem: &str) {
    fs::write(file, pem).unwrap();
}
