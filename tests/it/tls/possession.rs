//! Who shows a certificate has its key, and it is the whole certificate that a token is bound to.

use crate::support::authority::{Authority, Shown};
use crate::support::proof::{Proof, ProofKey};
use crate::support::stage::{Setting, Stage, UNCHECKED, client, status};
use crate::support::wire::get;
use crate::support::world::url;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use p256::pkcs8::DecodePrivateKey;
use rcgen::KeyPair;
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme, SupportedProtocolVersion};
use serde_json::{Value, json};
use std::sync::Arc;

/// Shows a certificate and signs with whatever key it has.
#[derive(Debug)]
struct Pretender(Arc<CertifiedKey>);

impl ResolvesClientCert for Pretender {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
    fn has_certs(&self) -> bool {
        true
    }
}

fn pretend(
    stage: &Stage,
    shown: &Shown,
    key: &Shown,
    version: &'static SupportedProtocolVersion,
) -> ClientConfig {
    let certified = CertifiedKey::new(shown.chain.clone(), any_supported_type(&key.key()).unwrap());
    let builder = client(version).with_root_certificates(stage.pki.roots());
    builder.with_client_cert_resolver(Arc::new(Pretender(Arc::new(certified))))
}

fn bearer(stage: &Stage, path: &str, cnf: &Value) -> String {
    get(path, &[("Authorization", &format!("Bearer {}", stage.token(cnf)))])
}

/// TL-007, MTLS-07, MTLS-10: the certificate of the victim is public; the signature of the handshake is what a thief can't make.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_its_key_is_worth_nothing() {
    let root = Authority::root("clients");
    let (victim, thief) = (root.client(), root.client());
    let verified = Setting {
        tls: "client_certificate: optional\n    client_ca: [clients.crt]",
        files: vec![("clients.crt", root.pem())],
        ..Setting::default()
    };
    for setting in [verified, Setting { tls: UNCHECKED, ..Setting::default() }] {
        let stage = Stage::set(setting).await;
        let request = bearer(&stage, "/certified/1", &json!({ "x5t#S256": victim.thumbprint() }));
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            let theirs = victim.by(stage.pki.roots(), version);
            assert_eq!(status(stage.ask(&theirs, &request).await.as_deref()), Some(200), "{version:?}");
            let pretended = pretend(&stage, &victim, &thief, version);
            assert_eq!(stage.ask(&pretended, &request).await, None, "{version:?}");
        }
        assert_eq!(stage.service.received().len(), 2);
    }
}

/// TL-003, MTLS-03, MTLS-04: neither the subject nor the key is what the token is bound to (RFC 8705 section 3.1).
#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_for_the_same_key_is_another() {
    let stage = Stage::set(Setting { tls: UNCHECKED, ..Setting::default() }).await;
    let root = Authority::root("clients");
    let first = root.client();
    let again = root.issue_for(KeyPair::try_from(first.key.serialize_der().as_slice()).unwrap(), |_| {});
    assert_eq!(first.key.serialize_der(), again.key.serialize_der());
    let request = bearer(&stage, "/certified/1", &json!({ "x5t#S256": first.thumbprint() }));
    for (shown, expected) in [(&first, 200), (&again, 401), (&root.client(), 401)] {
        let client = shown.by(stage.pki.roots(), &rustls::version::TLS13);
        let answer = stage.ask(&client, &request).await.expect("an answer");
        assert_eq!(status(Some(&answer)), Some(expected), "{answer}");
        assert!(expected == 200 || answer.contains("Bearer error=\"invalid_token\""), "{answer}");
    }
}

/// TL-029: one key in both places is still two bindings: a certificate is no proof, and a proof is no certificate.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_in_both_places_is_two_bindings() {
    let stage = Stage::set(Setting { tls: UNCHECKED, ..Setting::default() }).await;
    let shown = Shown::self_signed(|_| {});
    let secret = p256::SecretKey::from_pkcs8_der(&shown.key.serialize_der()).unwrap();
    let key = ProofKey::from_jwk(&json!({ "d": BASE64.encode(secret.to_bytes()) }));
    let (to_key, to_certificate) =
        (json!({ "jkt": key.thumbprint() }), json!({ "x5t#S256": shown.thumbprint() }));
    let with = shown.by(stage.pki.roots(), &rustls::version::TLS13);
    let without = stage.anonymous();
    let (bearer, dpop) = ("Bearer", "DPoP");
    for (cnf, scheme, client, expected) in [
        (&to_key, dpop, &without, 200),
        (&to_key, dpop, &with, 200),
        (&to_key, bearer, &with, 401),
        (&to_certificate, bearer, &with, 200),
        (&to_certificate, bearer, &without, 401),
        (&to_certificate, dpop, &without, 401),
        (&to_certificate, dpop, &with, 401),
    ] {
        let token = stage.token(cnf);
        let proof = Proof::new(&key, "GET", &url("/either/1"), &token).sign(&key);
        let authorization = format!("{scheme} {token}");
        let mut fields = vec![("Authorization", &*authorization)];
        if scheme == dpop {
            fields.push(("DPoP", &*proof));
        }
        let answer = stage.ask(client, &get("/either/1", &fields)).await;
        assert_eq!(status(answer.as_deref()), Some(expected), "{cnf} as {scheme}: {answer:?}");
    }
}
