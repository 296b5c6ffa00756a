//! Which IDs there are, which certificates have one, and which a route admits.

use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose as Usage, SanType, string::Ia5String,
};

#[test]
fn an_id_is_written_in_one_way() {
    for sound in ["spiffe://td", "spiffe://a-b.c_1/ns/x/sa/Y", "spiffe://td/a.b/..c/.d-"] {
        let id: SpiffeId = sound.parse().unwrap();
        assert_eq!(id.as_str(), sound);
    }
    assert_eq!("spiffe://a.example/x/y".parse::<SpiffeId>().unwrap().trust_domain(), "a.example");
    for odd in [
        "",
        "spiffe://",
        "spiffe:///x",
        "SPIFFE://td",
        "spiffe://Td/x",
        "https://td/x",
        "spiffe://td/",
        "spiffe://td//x",
        "spiffe://td/./x",
        "spiffe://td/x/..",
        "spiffe://td:80/x",
        "spiffe://u@td/x",
        "spiffe://td/x?y",
        "spiffe://td/x#y",
        "spiffe://td/%41",
        "spiffe://td/é",
        "spiffe://td/x ",
        "spiffe://td/*",
    ] {
        assert!(odd.parse::<SpiffeId>().is_err(), "{odd}");
    }
    assert!(format!("spiffe://{}", "a".repeat(256)).parse::<SpiffeId>().is_err());
    assert!(format!("spiffe://td/{}", "a".repeat(2036)).parse::<SpiffeId>().is_ok());
    assert!(format!("spiffe://td/{}", "a".repeat(2037)).parse::<SpiffeId>().is_err());
}

#[test]
fn a_pattern_admits_whole_segments() {
    let admits = |pattern: &str, id: &str| {
        let pattern: SpiffePattern = pattern.parse().unwrap();
        pattern.admits(&id.parse().unwrap())
    };
    assert!(admits("spiffe://td/a/b", "spiffe://td/a/b"));
    assert!(!admits("spiffe://td/a/b", "spiffe://td/a/b/c"));
    assert!(admits("spiffe://td/a/*", "spiffe://td/a/b"));
    assert!(admits("spiffe://td/a/*", "spiffe://td/a/b/c"));
    for other in
        ["spiffe://td/a", "spiffe://td/ab", "spiffe://td/ab/c", "spiffe://td2/a/b", "spiffe://td/A/b"]
    {
        assert!(!admits("spiffe://td/a/*", other), "{other}");
    }
    assert!(admits("spiffe://td/*", "spiffe://td/a") && !admits("spiffe://td/*", "spiffe://td.evil/a"));
    for odd in
        ["*", "spiffe://*", "spiffe://*/a", "spiffe://td/*/a", "spiffe://td/a*", "spiffe://td/a/**", "/*"]
    {
        assert!(odd.parse::<SpiffePattern>().is_err(), "{odd}");
    }
    for text in ["spiffe://td/a", "spiffe://td/a/*"] {
        assert_eq!(text.parse::<SpiffePattern>().unwrap().to_string(), text);
    }
}

/// What is found in a certificate that began as a good one.
fn found(change: impl FnOnce(&mut CertificateParams)) -> Option<String> {
    let mut params = CertificateParams::new(vec!["host.example".to_owned()]).unwrap();
    params.subject_alt_names.push(uri_of("spiffe://td/a"));
    params.key_usages = vec![Usage::DigitalSignature];
    change(&mut params);
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let (_, certificate) = x509_parser::parse_x509_certificate(made.der()).unwrap();
    SpiffeId::of_svid(&certificate).map(|id| id.as_str().to_owned())
}

fn uri_of(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

#[test]
fn a_certificate_is_an_svid_or_has_no_id() {
    assert_eq!(found(|_| ()).as_deref(), Some("spiffe://td/a"));
    let second = |text: &'static str| {
        move |params: &mut CertificateParams| params.subject_alt_names.push(uri_of(text))
    };
    assert_eq!(found(second("spiffe://td/b")), None);
    assert_eq!(found(second("https://td/b")), None, "one URI and no other");
    assert_eq!(found(|params| params.subject_alt_names = vec![uri_of("https://td/a")]), None);
    assert_eq!(found(|params| params.subject_alt_names.clear()), None);
    assert_eq!(found(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), None);
    assert_eq!(found(|params| params.key_usages.clear()), None);
    assert_eq!(found(|params| params.key_usages = vec![Usage::KeyAgreement]), None);
    assert_eq!(found(|params| params.key_usages.push(Usage::KeyCertSign)), None);
    assert_eq!(found(|params| params.key_usages.push(Usage::CrlSign)), None);
}
