//! Downgrade and binding: whatever the token is bound to must be shown.

use super::forge::*;
use super::mtls::{CertificateThumbprint, ClientCertificate, Names};
use super::policy::{ProofKind, ProofRule, Requirements};
use super::{Denial, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

fn certificate(der: &[u8]) -> Arc<ClientCertificate> {
    let thumbprint = CertificateThumbprint::of_der(der);
    let subject = "CN=a".to_owned();
    Arc::new(ClientCertificate {
        thumbprint,
        subject,
        subject_header: None,
        spiffe_id: None,
        valid_from: NOW,
        expires_at: NOW,
    })
}

fn x5t(der: &[u8]) -> String {
    CertificateThumbprint::of_der(der).as_str().to_owned()
}

/// What comes of a token with this `cnf`, a proof or none, and a certificate or none.
fn outcome(
    rule: ProofRule,
    scheme: &str,
    cnf: Value,
    with_proof: bool,
    der: Option<&[u8]>,
) -> Result<ProofKind, Denial> {
    let jwt = token(|_, claims| {
        claims["cnf"] = cnf;
        if claims["cnf"] == UNBOUND {
            claims.as_object_mut().unwrap().remove("cnf");
        }
    });
    let (authorization, proof) = (format!("{scheme} {jwt}"), proof(&jwt, |_, _| ()));
    let mut fields = vec![("authorization", authorization.as_str())];
    if with_proof {
        fields.push(("dpop", &proof));
    }
    verdict(rule, &parts("GET", URL, &fields), der.map(certificate).as_ref()).map(|v| v.kind())
}

fn jkt() -> Value {
    json!({ "jkt": client().jkt() })
}
fn bound_to_certificate() -> Value {
    json!({ "x5t#S256": x5t(b"a") })
}
fn bound_to_both() -> Value {
    json!({ "jkt": client().jkt(), "x5t#S256": x5t(b"a") })
}
const UNBOUND: Value = Value::Bool(false);

/// DPOP-20, DPOP-23, DPOP-31, DG-001, DG-002, DG-003
#[test]
fn a_dpop_bound_token_needs_its_proof_whatever_the_route_says() {
    for rule in [DPOP_ONLY, EITHER, BEARER_TOO] {
        assert_eq!(outcome(rule, "DPoP", jkt(), true, None), Ok(ProofKind::Dpop));
        assert_eq!(outcome(rule, "Bearer", jkt(), false, None), Err(Denial::TokenBoundAsBearer));
        assert_eq!(outcome(rule, "Bearer", jkt(), true, None), Err(Denial::TokenBoundAsBearer));
        assert_eq!(outcome(rule, "DPoP", jkt(), false, None), Err(Denial::ProofMissing));
    }
}

/// MTLS-01, MTLS-03, MTLS-08, MTLS-12, DG-007, DG-008, TL-003
#[test]
fn a_certificate_bound_token_needs_its_certificate() {
    let of = |scheme, proof, der| outcome(EITHER, scheme, bound_to_certificate(), proof, der);
    assert_eq!(of("Bearer", false, Some(b"a")), Ok(ProofKind::Mtls));
    assert_eq!(of("Bearer", false, Some(b"b")), Err(Denial::CertificateMismatch));
    assert_eq!(of("Bearer", false, None), Err(Denial::CertificateMissing));
    assert_eq!(of("DPoP", true, Some(b"a")), Err(Denial::TokenNotDpopBound));
    assert_eq!(of("Bearer", true, Some(b"a")), Err(Denial::BearerWithProof));
    assert_eq!(
        outcome(DPOP_ONLY, "Bearer", bound_to_certificate(), false, Some(b"a")),
        Err(Denial::ProofKindRefused)
    );
}

#[test]
fn a_connection_that_outlives_its_certificate_has_none() {
    let within = |valid_from, expires_at| {
        let jwt = token(|_, claims| claims["cnf"] = bound_to_certificate());
        let certificate = ClientCertificate { valid_from, expires_at, ..certificate(b"a").as_ref().clone() };
        let fields = [("authorization", &*format!("Bearer {jwt}"))];
        verdict(EITHER, &parts("GET", URL, &fields), Some(&Arc::new(certificate))).map(|v| v.kind())
    };
    let (before, after) = (NOW.as_secs() - 1, NOW.as_secs() + 1);
    let (before, after) = (Timestamp::from_secs(before), Timestamp::from_secs(after));
    assert_eq!(within(NOW, NOW), Ok(ProofKind::Mtls));
    assert_eq!(within(before, before), Err(Denial::CertificateMissing));
    assert_eq!(within(after, after), Err(Denial::CertificateMissing));
    let unreadable = ClientCertificate::from_der(b"not a certificate", Names::Vouched);
    assert!(!unreadable.still_valid(NOW));
}

/// CNF-05, DG-009, TL-029
#[test]
fn a_token_bound_to_both_needs_both() {
    let of = |rule, scheme, proof, der| outcome(rule, scheme, bound_to_both(), proof, der);
    for rule in [EITHER, BOTH, DPOP_ONLY] {
        assert_eq!(of(rule, "DPoP", true, Some(b"a")), Ok(ProofKind::DpopAndMtls));
        assert_eq!(of(rule, "DPoP", true, None), Err(Denial::CertificateMissing));
        assert_eq!(of(rule, "DPoP", true, Some(b"b")), Err(Denial::CertificateMismatch));
        assert_eq!(of(rule, "Bearer", false, Some(b"a")), Err(Denial::TokenBoundAsBearer));
    }
    assert_eq!(outcome(BOTH, "DPoP", jkt(), true, Some(b"a")), Err(Denial::ProofKindRefused));
}

/// FAPI-05, SBCP-01, DG-019, DG-020
#[test]
fn an_unbound_token_passes_only_as_bearer_where_the_route_admits_it() {
    assert_eq!(outcome(BEARER_TOO, "Bearer", UNBOUND, false, None), Ok(ProofKind::Bearer));
    assert_eq!(outcome(EITHER, "Bearer", UNBOUND, false, Some(b"a")), Err(Denial::TokenUnbound));
    assert_eq!(outcome(BEARER_TOO, "Bearer", UNBOUND, true, None), Err(Denial::BearerWithProof));
    assert_eq!(outcome(BEARER_TOO, "DPoP", UNBOUND, true, None), Err(Denial::TokenNotDpopBound));
}

/// CNF-01, CNF-04, DG-011, DG-013
#[test]
fn a_binding_we_cannot_verify_is_refused_everywhere() {
    for cnf in
        [Value::Null, json!({}), json!({ "jkt": null }), json!({ "kid": "x" }), json!([client().jkt()])]
    {
        assert_eq!(outcome(BEARER_TOO, "Bearer", cnf.clone(), false, None), Err(Denial::ConfirmationUnknown));
        assert_eq!(outcome(BEARER_TOO, "DPoP", cnf, true, None), Err(Denial::ConfirmationUnknown));
    }
}

/// AT-09, SBCP-03, FAPI-04
#[test]
fn scopes_are_whole_words() {
    for (scope, expected) in [
        ("orders.read x", Ok(())),
        ("orders.readx", Err(Denial::ScopeInsufficient)),
        ("", Err(Denial::ScopeInsufficient)),
    ] {
        let jwt = token(|_, claims| claims["scope"] = json!(scope));
        let (authorization, proof) = (format!("DPoP {jwt}"), proof(&jwt, |_, _| ()));
        let parts = parts("GET", URL, &[("authorization", &authorization), ("dpop", &proof)]);
        assert_eq!(verdict(DPOP_ONLY, &parts, None).map(|_| ()), expected, "{scope}");
    }
}

#[test]
fn a_route_for_workloads_admits_no_others() {
    let demands = |ids: &[&str]| Requirements {
        spiffe_ids: ids.iter().map(|id| id.parse().unwrap()).collect(),
        ..Requirements::default()
    };
    let shown = |id: Option<&str>| {
        let spiffe_id = id.map(|id| id.parse().unwrap());
        Arc::new(ClientCertificate { spiffe_id, ..certificate(b"a").as_ref().clone() })
    };
    let workloads = demands(&["spiffe://td/a", "spiffe://td/b/*"]);
    for admitted in ["spiffe://td/a", "spiffe://td/b/c"] {
        assert_eq!(super::check_workload(Some(&shown(Some(admitted))), &workloads), Ok(()));
    }
    for other in [Some("spiffe://td/b"), Some("spiffe://evil/a"), None] {
        let refused = super::check_workload(Some(&shown(other)), &workloads);
        assert_eq!(refused, Err(Denial::WorkloadRefused), "{other:?}");
    }
    assert_eq!(super::check_workload(None, &workloads), Err(Denial::WorkloadRefused));
    assert_eq!(super::check_workload(None, &demands(&[])), Ok(()), "a route that does not ask");
}
