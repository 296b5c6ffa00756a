//! What assertions say, and which files hold keys for them.

use super::*;
use crate::pop::forge::{self, DPOP_ONLY, EITHER, NOW, URL};
use crate::pop::jose::Object;
use crate::pop::mtls::{CertificateThumbprint, ClientCertificate};
use serde_json::{Value, json};
use std::sync::Arc;

fn rules(headers: &[(&'static str, &str)]) -> Rules {
    let own = |(name, claim): &(&'static str, &str)| (HeaderName::from_static(name), (*claim).to_owned());
    Rules {
        issuer: "https://api.example.com".to_owned(),
        audience: "accounts".to_owned(),
        lifetime: Duration::from_secs(60),
        headers: headers.iter().map(own).collect(),
    }
}

fn said(verified: &Verified, standing: Option<&str>, rules: &Rules) -> Value {
    let claims = claims(verified, standing, rules, NOW);
    let parsed: Option<Object<'_>> = Json::parse_object(claims.as_bytes());
    assert!(parsed.is_some(), "read strictly, each member once: {claims}");
    serde_json::from_str(&claims).unwrap()
}

fn with_proof(change: impl FnOnce(&mut Value)) -> Verified {
    let jwt = forge::token(|_, claims| change(claims));
    let (authorization, proof) = (format!("DPoP {jwt}"), forge::proof(&jwt, |_, _| ()));
    let fields = [("authorization", authorization.as_str()), ("dpop", &proof)];
    forge::verdict(DPOP_ONLY, &forge::parts("GET", URL, &fields), None).unwrap()
}

#[test]
fn it_says_what_the_headers_say() {
    let verified = with_proof(|claims| {
        claims["tenant"] = json!("a \"b\"\r\n\u{1F980}");
        claims["groups"] = json!(["x,y", 7, {"n": 1.5}]);
        claims["nothing"] = Value::Null;
    });
    let headers = [("x-tenant", "tenant"), ("x-groups", "groups"), ("x-nothing", "nothing"), ("x-no", "no")];
    let expected = json!({
        "iss": "https://api.example.com", "aud": "accounts",
        "iat": NOW.as_secs(), "exp": NOW.as_secs() + 60,
        "sub": "alice", "client_id": "app", "scope": "orders.read",
        "token_iss": "https://as.example.com", "token_jti": "t1",
        "proof": "dpop", "cnf": { "jkt": forge::client().jkt() },
        "headers": { "x-tenant": "a \"b\"\r\n\u{1F980}", "x-groups": ["x,y", 7, {"n": 1.5}] },
    });
    assert_eq!(said(&verified, None, &rules(&headers)), expected);
    assert_eq!(said(&verified, Some("unchecked"), &rules(&[]))["revocation"], "unchecked");
}

/// AT-05
#[test]
fn it_does_not_outlive_the_token() {
    let verified = with_proof(|claims| claims["exp"] = json!(NOW.as_secs() + 7));
    assert_eq!(said(&verified, None, &rules(&[]))["exp"], NOW.as_secs() + 7);
}

#[test]
fn it_names_the_certificate_where_that_is_the_proof() {
    let thumbprint = CertificateThumbprint::of_der(b"a");
    let jwt = forge::token(|_, claims| claims["cnf"] = json!({ "x5t#S256": thumbprint.as_str() }));
    let authorization = format!("Bearer {jwt}");
    let parts = forge::parts("GET", URL, &[("authorization", &authorization)]);
    let with_subject = |subject: &str| {
        let subject = subject.to_owned();
        let spiffe_id = (!subject.is_empty()).then(|| "spiffe://td/a".parse().unwrap());
        let certificate = ClientCertificate {
            thumbprint,
            subject,
            subject_header: None,
            spiffe_id,
            valid_from: NOW,
            expires_at: NOW,
        };
        let verified = forge::verdict(EITHER, &parts, Some(&Arc::new(certificate))).unwrap();
        said(&verified, None, &rules(&[]))
    };
    let claims = with_subject("CN=a");
    assert_eq!((&claims["proof"], &claims["certificate_subject"]), (&json!("mtls"), &json!("CN=a")));
    assert_eq!(claims["cnf"], json!({ "x5t#S256": thumbprint.as_str() }));
    assert_eq!(claims["certificate_spiffe_id"], "spiffe://td/a");
    let claims = with_subject("");
    assert_eq!(claims["certificate_subject"], Value::Null, "nobody vouched for it");
    assert_eq!(claims["certificate_spiffe_id"], Value::Null);
}

/// BCP-11
#[test]
fn its_type_is_its_own() {
    let verified = with_proof(|_| ());
    let input = signing_input(&verified, None, &rules(&[]), "k", NOW);
    let header = crate::pop::jose::base64url_decode(input.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header, json!({ "typ": "clinch-identity+jwt", "alg": "ES256", "kid": "k" }));
}

#[test]
fn a_file_holds_one_to_four_keys_for_es256() {
    let [a, b] = [(); 2].map(|()| rcgen::KeyPair::generate().unwrap().serialize_pem());
    let of = |kind| rcgen::KeyPair::generate_for(kind).unwrap().serialize_pem();
    let keys = Keys::read(format!("# in use\n{a}{b}").as_bytes()).unwrap();
    let document: Value = serde_json::from_str(&keys.document()).unwrap();
    let published = document["keys"].as_array().unwrap();
    assert_eq!(published.len(), 2);
    assert_eq!(published[0]["kid"], keys.signer().unwrap().1, "the first one signs");
    for jwk in published {
        let text = jwk.to_string();
        let key = PublicJwk::parse(&Json::parse_object(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(jwk["kid"], key.thumbprint().as_str());
    }
    for (file, fault) in [
        (String::new(), "no private key"),
        (format!("{a}{a}"), "twice"),
        (of(&rcgen::PKCS_ECDSA_P384_SHA384), "not for ES256"),
        (format!("{a}{}", of(&rcgen::PKCS_ED25519)), "not for ES256"),
        ((0..5).map(|_| of(&rcgen::PKCS_ECDSA_P256_SHA256)).collect(), "more than four"),
        (a.replace("MI", "!!"), "damaged"),
    ] {
        let why = Keys::read(file.as_bytes()).unwrap_err();
        assert!(why.contains(fault), "{why}, not {fault}");
    }
}
