//! The certificates of server and client, and the files that the proxies read them from.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

pub(crate) struct Pki {
    pub(crate) ca_certificate: CertificateDer<'static>,
    pub(crate) server: (rcgen::Certificate, KeyPair),
    pub(crate) client: (CertificateDer<'static>, KeyPair),
    pub(crate) ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    pub(crate) fn new() -> Pki {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let issue = |names: Vec<String>| {
            let key = KeyPair::generate().unwrap();
            (CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap(), key)
        };
        let (client, client_key) = issue(vec!["client.example".to_owned()]);
        let server = issue(vec!["localhost".to_owned()]);
        Pki {
            ca_certificate: ca.der().clone(),
            server,
            client: (client.der().clone(), client_key),
            ca_pem: ca.pem(),
            issuer,
        }
    }

    /// A certificate and a key for the same name, in PEM.
    pub(crate) fn another_server(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

pub(crate) struct Files {
    pub(crate) directory: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ca: PathBuf,
}

impl Files {
    /// Where they are, with whatever else a run leaves behind for its reader.
    pub(crate) fn directory() -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("proxy-bench")
    }

    pub(crate) fn write(pki: &Pki) -> Files {
        let directory = Files::directory();
        // A run that was broken off has left the mark of a clinch that did not end in order.
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            path
        };
        Files {
            certificate: write("server.crt", &pki.server.0.pem()),
            key: write("server.key", &pki.server.1.serialize_pem()),
            ca: write("ca.crt", &pki.ca_pem),
            directory,
        }
    }
}
