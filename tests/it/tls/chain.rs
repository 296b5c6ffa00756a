//! Which chains are verified: every certificate here is the one its token is bound to, so the chain alone decides.

use crate::support::authority::{Authority, Shown, valid};
use crate::support::proof::now;
use crate::support::stage::{Setting, Stage, UNCHECKED, VERIFIED, status};
use crate::support::wire::get;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, NameConstraints, OtherNameValue, SanType,
};
use serde_json::json;

async fn asks(stage: &Stage, shown: &Shown) -> Option<u16> {
    let token = stage.token(&json!({ "x5t#S256": shown.thumbprint() }));
    let request = get("/certified/1", &[("Authorization", &format!("Bearer {token}"))]);
    let client = shown.by(stage.pki.roots(), &rustls::version::TLS13);
    status(stage.ask(&client, &request).await.as_deref())
}

fn within(domain: &str) -> impl FnOnce(&mut CertificateParams) {
    move |params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(domain.to_owned())],
            excluded_subtrees: Vec::new(),
        });
    }
}

fn levels_below(levels: u8) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(levels))
}

fn usage(usage: ExtendedKeyUsagePurpose) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.extended_key_usages = vec![usage]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_is_followed_to_its_authority_by_the_rules() {
    let (root, stranger) = (Authority::root("clients"), Authority::root("clients"));
    let files = vec![("clients.crt", root.pem())];
    let tls = "client_certificate: optional\n    client_ca: [clients.crt]";
    let stage = Stage::set(Setting { tls, files, ..Setting::default() }).await;
    let flat = root.below("flat", levels_below(0));
    let not_a_ca = root.below("leaf", |params| params.is_ca = IsCa::ExplicitNoCa);
    let no_word_of_ca = root.below("leaf", |params| params.is_ca = IsCa::NoCa);
    let (day, now) = (86_400, now());
    let admitted = Some(200);
    let refused = None;
    for (id, what, shown, expected) in [
        ("TL-002", "in order", root.client(), admitted),
        ("TL-002", "two levels down", root.below("a", |_| {}).below("b", |_| {}).client(), admitted),
        ("TL-004", "expired", root.issue(|p| valid(p, now - 2 * day, now - day)), refused),
        ("TL-004", "not yet valid", root.issue(|p| valid(p, now + day, now + 2 * day)), refused),
        ("TL-005", "another authority of the same name", stranger.client(), refused),
        ("TL-005", "self-signed", Shown::self_signed(|_| {}), refused),
        ("TL-005", "signed by a leaf that is explicitly none", not_a_ca.client(), refused),
        ("TL-005", "signed by a leaf that does not say", no_word_of_ca.client(), refused),
        ("TL-005", "as deep as it may be", flat.client(), admitted),
        ("TL-005", "deeper than it may be", flat.below("deep", |_| {}).client(), refused),
        ("TL-005", "a name within the constraints", root.below("c", within("example")).client(), admitted),
        ("TL-005", "a name beyond the constraints", root.below("c", within("example.org")).client(), refused),
        ("TL-006", "for servers", root.issue(usage(ExtendedKeyUsagePurpose::ServerAuth)), refused),
        ("TL-006", "for mail", root.issue(usage(ExtendedKeyUsagePurpose::EmailProtection)), refused),
        ("TL-006", "for clients", root.issue(usage(ExtendedKeyUsagePurpose::ClientAuth)), admitted),
    ] {
        assert_eq!(asks(&stage, &shown).await, expected, "{id}: {what}");
    }
    let failures = stage.metric("clinch_tls_handshake_failures_total{reason=\"client_certificate\"}").await;
    assert_eq!(failures, 10, "each refusal is the certificate's");
    assert_eq!(stage.service.received().len(), 5);
}

/// TL-004, TL-005, TL-006, TL-007, MTLS-07 where no authority is asked: whose certificate it is says the token, and time alone
/// can take that away.
#[tokio::test(flavor = "multi_thread")]
async fn an_unchecked_chain_proves_possession_as_long_as_the_certificate_is_valid() {
    let stage = Stage::set(Setting { tls: UNCHECKED, ..Setting::default() }).await;
    let (day, now) = (86_400, now());
    let nobody = Authority::root("nobody");
    for (what, shown, expected) in [
        ("self-signed", Shown::self_signed(|_| {}), 200),
        ("of an authority unheard of", nobody.client(), 200),
        ("for servers", nobody.issue(usage(ExtendedKeyUsagePurpose::ServerAuth)), 200),
        ("expired", Shown::self_signed(|p| valid(p, now - 2 * day, now - day)), 401),
        ("not yet valid", Shown::self_signed(|p| valid(p, now + day, now + 2 * day)), 401),
    ] {
        assert_eq!(asks(&stage, &shown).await, Some(expected), "{what}");
    }
    for received in stage.service.received() {
        assert_eq!(received.header("clinch-subject"), Some("alice"), "the token's");
        assert_eq!(received.header("clinch-certificate-subject"), None, "nobody vouches for it");
    }
}

/// TL-012, TL-013, MTLS-11: names in a certificate decide nothing, and can't become another header.
#[tokio::test(flavor = "multi_thread")]
async fn names_in_a_certificate_are_told_and_never_believed() {
    let root = Authority::root("clients");
    let files = vec![("clients.crt", root.pem())];
    let tls = "client_certificate: optional\n    client_ca: [clients.crt]";
    let stage = Stage::set(Setting { tls, files, ..Setting::default() }).await;
    let text = |text: &str| text.try_into().unwrap();
    let shown = root.issue(|params| {
        params.subject_alt_names = vec![
            SanType::DnsName(text("client.example")),
            SanType::Rfc822Name(text("root@corp.example\0.evil.example")),
            SanType::URI(text("spiffe://corp/admin")),
            SanType::OtherName((
                vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3],
                OtherNameValue::Utf8String("root".into()),
            )),
        ];
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "a, CN=root\r\nclinch-subject: root");
        params.distinguished_name.push(DnType::OrganizationName, "b\u{0}+CN=root");
    });
    assert_eq!(asks(&stage, &shown).await, Some(200));
    let received = &stage.service.received()[0];
    assert_eq!(received.header("clinch-subject"), Some("alice"));
    let subject = received.header("clinch-certificate-subject").expect("a subject");
    assert!(subject.bytes().all(|b| b.is_ascii_graphic()), "{subject}");
    assert!(!received.headers.iter().any(|(_, value)| value == "root"), "{:?}", received.headers);

    // And with the names of the owner, but not the certificate, it is nobody.
    let (owner, thief) = (root.client(), root.client());
    let token = stage.token(&json!({ "x5t#S256": owner.thumbprint() }));
    let request = get("/certified/1", &[("Authorization", &format!("Bearer {token}"))]);
    let client = thief.by(stage.pki.roots(), &rustls::version::TLS13);
    assert_eq!(status(stage.ask(&client, &request).await.as_deref()), Some(401));
}

/// The authority of the server's own certificate vouches for clients only where it was told to.
#[tokio::test(flavor = "multi_thread")]
async fn optional_means_in_order_or_none() {
    let stage = Stage::set(Setting { tls: VERIFIED, ..Setting::default() }).await;
    let open = get("/open/1", &[]);
    assert_eq!(status(stage.ask(&stage.anonymous(), &open).await.as_deref()), Some(200));
    let bad = Shown::self_signed(|_| {}).by(stage.pki.roots(), &rustls::version::TLS13);
    assert_eq!(stage.ask(&bad, &open).await, None, "worse than none");
}
