//! Who is let in by a real nats-server, and whom we believe to be one.

use super::*;
use crate::config::{ClientIdentity, Login, Nats, Secret};
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Publishes and follows as this client: the event arrives.
async fn works(nats: &Nats) {
    let revocations = start(&config(config::Feed::Nats(nats.clone()))).unwrap();
    ready(&revocations).await;
    let event = event(Fact::TokenId, "t");
    let target = Nats { subject: super::super::DEFAULT_SUBJECT.to_owned(), ..nats.clone() };
    super::super::publish(&target, &event.id, event.to_json().as_bytes()).await.unwrap();
    revoked(&revocations, "t").await;
}

/// This client can't even publish, and what it is told has `why` in it.
async fn is_refused(nats: &Nats, why: &str) {
    let target = Nats { subject: super::super::DEFAULT_SUBJECT.to_owned(), ..nats.clone() };
    let told = super::super::publish(&target, "e", b"{}").await.unwrap_err();
    assert!(format!("{told:#}").contains(why), "{told:#}");
}

async fn configured(text: &str) -> Server {
    let mut server = Server::stopped();
    let file = server.directory.path().join("server.conf");
    std::fs::write(&file, text).unwrap();
    server.start_with(&["-c", file.to_str().unwrap()]).await;
    server
}

#[tokio::test]
async fn a_user_and_a_password_are_in_the_url_of_one_server_of_several() {
    let server = configured("authorization { user: clinch, password: s3cret }").await;
    let nats = server.target("clinch.revocations.>");
    let (port, nobody) = (server.port, "nats://127.0.0.1:1");
    let with = |url: String| Nats { url, ..nats.clone() };
    works(&with(format!("{nobody}, nats://clinch:s3cret@127.0.0.1:{port}"))).await;
    is_refused(&with(format!("nats://clinch:wrong@127.0.0.1:{port}")), "authorization violation").await;
    is_refused(&nats, "authorization violation").await;
}

#[tokio::test]
async fn a_seed_of_an_nkey_lets_in() {
    let (user, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    let text = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", user.public_key());
    let server = configured(&text).await;
    let with = |key: &KeyPair| Nats {
        login: Some(Login::Nkey(Secret::new(key.seed().unwrap()))),
        ..server.target("clinch.revocations.>")
    };
    works(&with(&user)).await;
    is_refused(&with(&stranger), "authorization violation").await;
}

#[tokio::test]
async fn credentials_let_in() {
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let (system, user) = (KeyPair::new_account(), KeyPair::new_user());
    let limits = serde_json::json!({
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
    });
    let of_operator =
        jwt(&operator, &operator, "operator", serde_json::json!({ "system_account": system.public_key() }));
    let of_account = jwt(&account, &operator, "account", serde_json::json!({ "limits": limits }));
    let of_system = jwt(&system, &operator, "account", serde_json::json!({}));
    let of_user = jwt(&user, &account, "user", serde_json::json!({ "subs": -1, "data": -1, "payload": -1 }));
    let text = format!(
        "operator: {of_operator}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {of_account}, {}: {of_system} }}\n",
        system.public_key(),
        account.public_key(),
        system.public_key()
    );
    let server = configured(&text).await;
    let seed = user.seed().unwrap();
    let credentials = format!(
        "-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    assert!(Login::are_credentials(&credentials) && !Login::are_credentials(&seed));
    let login = Some(Login::Credentials(Secret::new(credentials)));
    let nats = Nats { login, ..server.target("clinch.revocations.>") };
    works(&nats).await;
    assert!(!format!("{nats:?}").contains(&seed));
    is_refused(&Nats { login: None, ..nats }, "authorization violation").await;
}

/// A NATS JWT (version 2): its header names the algorithm `ed25519-nkey`.
fn jwt(subject: &KeyPair, issuer: &KeyPair, kind: &str, mut nats: serde_json::Value) -> String {
    use crate::pop::jose::base64url;
    (nats["type"], nats["version"]) = (kind.into(), 2.into());
    let claims = serde_json::json!({
        "jti": "1", "iat": 1_700_000_000, "iss": issuer.public_key(), "name": kind, "sub": subject.public_key(), "nats": nats,
    });
    let header = base64url(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!("{header}.{}", base64url(claims.to_string()));
    let signature = base64url(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_believed_and_ours_may_want_a_certificate() {
    let (ca, key) = (authority(), rcgen::KeyPair::generate().unwrap());
    let certificate = leaf(&ca, &key);
    let mut server = Server::stopped();
    let file = |name: &str, text: String| {
        let path = server.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (ca_file, cert) = (file("ca.pem", ca.pem.clone()), file("cert.pem", certificate.pem()));
    let key_file = file("key.pem", key.serialize_pem());
    server
        .start_with(&["--tlsverify", "--tlscert", &cert, "--tlskey", &key_file, "--tlscacert", &ca_file])
        .await;
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let identity = Some(Arc::new(ClientIdentity { chain: vec![certificate.der().clone()], key }));
    let url = format!("tls://127.0.0.1:{}", server.port);
    let nats = Nats { url, ca: vec![ca.der.clone()], identity, ..server.target("clinch.revocations.>") };
    works(&nats).await;
    is_refused(&Nats { ca: vec![authority().der], ..nats.clone() }, "invalid peer certificate").await;
    is_refused(&Nats { ca: Vec::new(), ..nats.clone() }, "invalid peer certificate").await;
    is_refused(&Nats { identity: None, ..nats }, "").await;
}

#[tokio::test]
async fn tls_is_not_given_up_for_a_server_without_it() {
    let server = Server::running().await;
    let nats =
        Nats { url: format!("tls://127.0.0.1:{}", server.port), ..server.target("clinch.revocations.>") };
    is_refused(&nats, "").await;
}

struct Authority {
    issuer: Issuer<'static, rcgen::KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

fn authority() -> Authority {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let (pem, der) = (certificate.pem(), certificate.der().clone());
    Authority { issuer: Issuer::new(params, key), pem, der }
}

fn leaf(ca: &Authority, key: &rcgen::KeyPair) -> rcgen::Certificate {
    use rcgen::ExtendedKeyUsagePurpose as Purpose;
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.extended_key_usages = vec![Purpose::ServerAuth, Purpose::ClientAuth];
    params.signed_by(key, &ca.issuer).unwrap()
}
