//! Certificates in headers: nobody's word counts, but that of a terminator the operator named (RFC 9440).

use crate::support::authority::{Shown, valid};
use crate::support::pki::Identity;
use crate::support::proof::now;
use crate::support::stage::{Setting, Stage, VERIFIED};
use crate::support::wire::{Caller, converse, get};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

const NAMES: [&str; 7] = [
    "Client-Cert",
    "Client_Cert",
    "Client-Cert-Chain",
    "X-Forwarded-Client-Cert",
    "X-SSL-Client-Cert",
    "X-Client-Cert",
    "SSL-Client-Cert",
];

fn sequence(shown: &Shown) -> String {
    format!(":{}:", BASE64.encode(&shown.chain[0]))
}

fn request(stage: &Stage, path: &str, bound_to: &str, fields: &[(&str, &str)]) -> String {
    let token = stage.token(&json!({ "x5t#S256": bound_to }));
    let authorization = format!("Bearer {token}");
    get(path, &[&[("Authorization", &*authorization)], fields].concat())
}

/// What a peer with this certificate, or without, gets.
async fn asks(stage: &Stage, peer: Option<&Identity>, request: &str) -> u16 {
    Caller::new(stage.clinch.address, &stage.pki, peer).send(request).await.status
}

/// TL-014, CC-03, CC-04, CC-06, CC-07, MTLS-02: from a peer that is no terminator such a header is removed and never read.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_from_anybody_is_nothing() {
    for listen in ["", "client_cert_from: { addresses: [10.0.0.0/8, '2001:db8::/32'] }"] {
        let stage =
            Stage::set(Setting { tls: VERIFIED, listen: listen.to_owned(), ..Setting::default() }).await;
        let owner = Shown::self_signed(|_| {});
        for name in NAMES {
            for value in [sequence(&owner), format!("Hash={};Subject=\"CN=a\"", owner.thumbprint())] {
                let spoofed = request(&stage, "/certified/1", &owner.thumbprint(), &[(name, &value)]);
                assert_eq!(asks(&stage, None, &spoofed).await, 401, "{name}");
                assert_eq!(asks(&stage, Some(&stage.pki.thief), &spoofed).await, 401, "{name}");
                assert_eq!(asks(&stage, None, &get("/open/1", &[(name, &value)])).await, 200, "{name}");
            }
        }
        let received = stage.service.received();
        assert_eq!(received.len(), 2 * NAMES.len());
        for request in received {
            assert!(request.headers.iter().all(|(name, _)| !name.contains("cert")), "{:?}", request.headers);
        }
    }
}

/// TL-015, TL-017, CC-01, CC-06, MTLS-09: from a terminator it is all there is, once and in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_from_a_terminator_is_the_callers_certificate() {
    let listen = "client_cert_from: { addresses: [127.0.0.0/8] }".to_owned();
    let stage = Stage::set(Setting { listen, ..Setting::default() }).await;
    let (owner, thief) = (Shown::self_signed(|_| {}), Shown::self_signed(|_| {}));
    let old = Shown::self_signed(|params| valid(params, now() - 200, now() - 100));
    let (cert, other, expired) = (&*sequence(&owner), &*sequence(&thief), &*sequence(&old));
    let pem = owner.chain[0].to_vec();
    let pem = format!("-----BEGIN CERTIFICATE----- {} -----END CERTIFICATE-----", BASE64.encode(pem));
    let long = format!(":{}:", "A".repeat(16 * 1024));
    let (name, chain) = ("Client-Cert", "Client-Cert-Chain");
    let bound = owner.thumbprint();
    for (what, fields, bound_to, expected) in [
        ("in order", vec![(name, cert)], &bound, 200),
        ("with its chain", vec![(name, cert), (chain, other), (chain, other)], &bound, 200),
        ("none", vec![], &bound, 401),
        ("another's", vec![(name, other)], &bound, 401),
        ("expired", vec![(name, expired)], &old.thumbprint(), 401),
        ("twice", vec![(name, cert), (name, cert)], &bound, 400),
        ("two in one line", vec![(name, &*format!("{cert}, {other}"))], &bound, 400),
        ("a chain of nothing", vec![(chain, other)], &bound, 400),
        ("a chain that is none", vec![(name, cert), (chain, "x")], &bound, 400),
        ("PEM", vec![(name, &*pem)], &bound, 400),
        ("encoded PEM", vec![(name, &*pem.replace(' ', "%20"))], &bound, 400),
        ("bare base64", vec![(name, cert.trim_matches(':'))], &bound, 400),
        ("empty", vec![(name, "")], &bound, 400),
        ("too long", vec![(name, &*long)], &bound, 400),
        ("in another header", vec![("X-SSL-Client-Cert", cert)], &bound, 401),
        ("in another spelling", vec![("Client_Cert", cert)], &bound, 401),
    ] {
        let request = request(&stage, "/certified/1", bound_to, &fields);
        assert_eq!(asks(&stage, None, &request).await, expected, "{what}");
    }
    let received = stage.service.received();
    assert_eq!(received.len(), 2);
    for request in &received {
        assert_eq!(request.header("clinch-proof"), Some("mtls"));
        assert_eq!(request.header("clinch-key"), Some(&*bound));
        assert_eq!(request.header("clinch-certificate-subject"), None, "nobody here vouches for it");
        assert!(request.headers.iter().all(|(name, _)| !name.contains("cert")), "{:?}", request.headers);
    }
}

/// TL-015, MTLS-02: the terminator's own certificate is its own, whatever a token says.
#[tokio::test(flavor = "multi_thread")]
async fn a_terminators_own_certificate_is_never_a_callers() {
    let owner = Shown::self_signed(|_| {});
    // Which certificate it has is known once it is made: two stages, the second with the first one's.
    let first = Stage::set(Setting { tls: VERIFIED, ..Setting::default() }).await;
    let own = first.pki.client.thumbprint();
    let files = vec![("proxies.crt", first.pki.ca_pem.clone())];
    let tls = "client_certificate: optional\n    client_ca: [ca.crt, proxies.crt]";
    for addresses in ["", "addresses: [127.0.0.1], "] {
        let listen = format!("client_cert_from: {{ {addresses}certificates: [{own}] }}");
        let stage = Stage::set(Setting { tls, listen, files: files.clone(), ..Setting::default() }).await;
        let terminator = Some(&first.pki.client);
        let told =
            |bound_to: &str| request(&stage, "/certified/1", bound_to, &[("Client-Cert", &sequence(&owner))]);
        assert_eq!(asks(&stage, terminator, &told(&owner.thumbprint())).await, 200);
        assert_eq!(asks(&stage, terminator, &told(&own)).await, 401, "its own certificate, and a header");
        let silent = request(&stage, "/certified/1", &own, &[]);
        assert_eq!(asks(&stage, terminator, &silent).await, 401, "its own certificate, and no header");
        for stranger in [None, Some(&first.pki.thief), Some(&stage.pki.client)] {
            assert_eq!(asks(&stage, stranger, &told(&owner.thumbprint())).await, 401, "no terminator");
        }
        let direct = request(&stage, "/certified/1", &stage.pki.client.thumbprint(), &[]);
        assert_eq!(
            asks(&stage, Some(&stage.pki.client), &direct).await,
            200,
            "callers may still come themselves"
        );
    }
    let listen = format!("client_cert_from: {{ addresses: [10.0.0.0/8], certificates: [{own}] }}");
    let stage = Stage::set(Setting { tls, listen, files, ..Setting::default() }).await;
    let told = request(&stage, "/certified/1", &owner.thumbprint(), &[("Client-Cert", &sequence(&owner))]);
    assert_eq!(asks(&stage, Some(&first.pki.client), &told).await, 401, "both must hold");
}

/// The certificate that is remembered for a connection is that of the request, not of the connection.
#[tokio::test(flavor = "multi_thread")]
async fn each_request_of_a_connection_has_its_own_certificate() {
    let listen = "client_cert_from: { addresses: [127.0.0.1] }".to_owned();
    let stage = Stage::set(Setting { listen, ..Setting::default() }).await;
    let owner = Shown::self_signed(|_| {});
    // As long as the other, so that nothing but the bytes tells them apart.
    let alike = |other: &Shown| sequence(other).len() == sequence(&owner).len();
    let thief = std::iter::repeat_with(|| Shown::self_signed(|_| {})).find(alike).unwrap();
    let mut stream = stage.connect(&stage.anonymous()).await.unwrap();
    let (cert, other) = (sequence(&owner), sequence(&thief));
    for (shown, expected) in [
        (Some(&cert), 200),
        (Some(&cert), 200),
        (Some(&other), 401),
        (None, 401),
        (Some(&cert), 200),
        (None, 401),
    ] {
        let fields: Vec<(&str, &str)> = shown.iter().map(|cert| ("Client-Cert", cert.as_str())).collect();
        let request = request(&stage, "/certified/1", &owner.thumbprint(), &fields)
            .replace("Connection: close\r\n", "");
        let answer = converse(&mut stream, request.as_bytes(), false).await.expect("an answer");
        assert_eq!(answer.status, expected, "{shown:?}");
    }
}
