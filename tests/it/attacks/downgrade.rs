//! DG: a bound token passed off as one that is bound to nothing, or to something else.

use super::answers::Code::{A0, A1, A2, A4, A7, Closed};
use super::case::{Call, Case, PATH, Who, each, good_token, granted, refused, token};
use super::forge::{respelled, spki};
use super::stage::Stage;
use crate::support::proof::{Jwt, ProofKey, sha256};
use crate::support::world::url;
use serde_json::{Value, json};

/// CNF-01, CNF-04, CNF-05, DPOP-20, DPOP-31
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_is_never_lost() {
    let stage = Stage::start().await;
    stage
        .run(
            [schemes(), certificates(), confirmations(), unbound(), routes()].into_iter().flatten().collect(),
        )
        .await;
    the_cache_keeps_no_decision(&stage).await;
    stage.finish().await;
}

fn schemes() -> Vec<Case> {
    let proof = |s: &Stage, token: &str| s.good_proof(token).sign(&s.key);
    let mut cases = vec![
        refused("DG-001", A2, "token_bound_as_bearer", |s| Call::get(PATH).bearer(&s.good_token())),
        refused("DG-001", A2, "token_bound_as_bearer", |s| Call::get("/dpop/7").bearer(&s.good_token())),
        refused("DG-001", A2, "token_bound_as_bearer", |s| Call::get("/bearer/7").bearer(&s.good_token())),
        refused("DG-002", A2, "token_bound_as_bearer", move |s| {
            let token = s.good_token();
            Call::get(PATH).bearer(&token).field("DPoP", proof(s, &token))
        }),
        refused("DG-002", A4, "bearer_with_proof", move |s| {
            let token = s.issuer.sign(&s.issuer.token(Value::Null));
            Call::get("/bearer/7").bearer(&token).field("DPoP", proof(s, &token))
        }),
        refused("DG-003", A1, "proof_missing", |s| {
            Call::get(PATH).field("Authorization", format!("DPoP {}", s.good_token()))
        }),
        refused("DG-004", A0, "credentials_missing", |s| s.good(PATH).without("Authorization")),
        granted("DG-028", |r| r.header("dpop-nonce").is_none(), |s| s.good(PATH).field("DPoP-Nonce", "mine")),
    ];
    let authorization = |format: &'static str| {
        move |s: &Stage| {
            let token = s.good_token();
            let proof = proof(s, &token);
            Call::get(PATH).field("Authorization", format.replace("AT", &token)).field("DPoP", proof)
        }
    };
    cases.extend(each(["dpop AT", "DPOP AT", "DPoP  AT", "dPoP    AT"], |a| {
        granted("DG-005", |_| true, authorization(a))
    }));
    let malformed =
        ["DPoP\tAT", "DPoP=AT", "DPoP AT, realm=x", "DPoPAT", "DPoP \tAT", "DPoP AT AT", "DPoP", "DPoP AT;"];
    cases.extend(each(malformed, |a| refused("DG-006", A4, "credentials_malformed", authorization(a))));
    cases
}

fn certificates() -> Vec<Case> {
    /// What the token is bound to, what is shown, by whom.
    fn call(s: &Stage, jkt: bool, proof: bool, who: Who) -> Call {
        let mut cnf = json!({ "x5t#S256": s.pki.client.thumbprint() });
        if jkt {
            cnf["jkt"] = json!(s.key.thumbprint());
        }
        let token = s.issuer.sign(&s.issuer.token(cnf));
        let call = Call::get(PATH).by(who);
        if proof { call.dpop(&token, &s.good_proof(&token).sign(&s.key)) } else { call.bearer(&token) }
    }
    vec![
        refused("DG-007", A2, "token_not_dpop_bound", |s| call(s, false, true, Who::Nobody)),
        refused("DG-007", A2, "token_not_dpop_bound", |s| call(s, false, true, Who::Client)),
        refused("DG-008", A2, "certificate_missing", |s| call(s, false, false, Who::Nobody)),
        refused("DG-008", A2, "certificate_mismatch", |s| call(s, false, false, Who::Thief)),
        granted(
            "DG-008",
            |r| r.header("clinch-proof") == Some("mtls"),
            |s| call(s, false, false, Who::Client),
        ),
        refused("DG-009", A2, "certificate_missing", |s| call(s, true, true, Who::Nobody)),
        refused("DG-009", A2, "token_bound_as_bearer", |s| call(s, true, false, Who::Client)),
        refused("DG-009", A1, "proof_missing", |s| call(s, true, true, Who::Client).without("DPoP")),
        granted(
            "DG-009",
            |r| r.header("clinch-proof") == Some("dpop+mtls"),
            |s| call(s, true, true, Who::Client),
        ),
        refused("DG-009", A2, "certificate_mismatch", |s| call(s, true, true, Who::Thief)),
        refused("DG-009", A2, "proof_kind_refused", |s| {
            let token = s.good_token();
            let proof = Jwt::new(&s.key, "GET", &url("/both/7"), &token).sign(&s.key);
            Call::get("/both/7").dpop(&token, &proof).by(Who::Client)
        }),
    ]
}

fn confirmations() -> Vec<Case> {
    /// `JKT` stands for the thumbprint.
    fn cnf(id: &'static str, reason: &'static str, inputs: &'static [&'static str]) -> Vec<Case> {
        each(inputs.iter().copied(), move |text| {
            token(id, reason, move |s, t| {
                let cnf = text.replace("JKT", &s.key.thumbprint());
                s.issuer.sign(&t.claim("cnf", Value::Null).raw_claim(&format!("\"cnf\":{cnf}")))
            })
        })
    }
    let unknown = "confirmation_unknown";
    let mut cases = cnf("DG-011", unknown, &["null", r#"{"jkt":null}"#, r#"{"jkt":"JKT","x5t#S256":null}"#]);
    cases.extend(cnf(
        "DG-012",
        unknown,
        &[r#""JKT""#, "[]", r#"["JKT"]"#, "true", "0", r#"[{"jkt":"JKT"}]"#],
    ));
    cases.extend(cnf(
        "DG-013",
        unknown,
        &[r#"{"foo":"x"}"#, r#"{"kid":"k1"}"#, r#"{"jwk":{"kty":"EC"}}"#, "{}", r#"{"JKT":"JKT"}"#],
    ));
    cases.extend(cnf(
        "DG-015",
        "token_malformed",
        &[r#"{"jkt":"JKT","jkt":"JKT"}"#, r#"{"jkt":"JKT","\u006akt":"x"}"#],
    ));
    cases.extend(cnf(
        "DG-017",
        unknown,
        &[
            r#"{"jkt":"JKT="}"#,
            r#"{"jkt":""}"#,
            r#"{"jkt":" JKT"}"#,
            r#"{"jkt":["JKT"]}"#,
            r#"{"jkt":"AAAA"}"#,
        ],
    ));
    cases.push(good_token("DG-014", |s, t| {
        s.issuer.sign(&t.claim("cnf", json!({ "jkt": s.key.thumbprint(), "kc-jkt-type": "DPoP" })))
    }));
    let jkt = |id: &str, reason, of: fn(&ProofKey) -> String| {
        token(id, reason, move |s, t| s.issuer.sign(&t.claim("cnf", json!({ "jkt": of(&s.key) }))))
    };
    cases.extend([
        jkt("DG-017", unknown, |key| respelled(&key.thumbprint(), 1)),
        jkt("DG-017", unknown, |_| "0a".repeat(32)),
        jkt("DG-017", unknown, |_| super::forge::b64([7; 31])),
        jkt("DG-018", "key_mismatch", |key| sha256(&spki(&key.jwk()))),
        jkt("DG-018", "key_mismatch", |_| ProofKey::new().thumbprint()),
    ]);
    cases
}

fn unbound() -> Vec<Case> {
    fn call(s: &Stage, path: &str, dpop: bool) -> Call {
        let token = s.issuer.sign(&s.issuer.token(Value::Null));
        let proof = Jwt::new(&s.key, "GET", &url(path), &token).sign(&s.key);
        if dpop { Call::get(path).dpop(&token, &proof) } else { Call::get(path).bearer(&token) }
    }
    vec![
        refused("DG-019", A2, "token_unbound", |s| call(s, PATH, false)),
        refused("DG-019", A2, "token_not_dpop_bound", |s| call(s, PATH, true)),
        refused("DG-020", A2, "token_not_dpop_bound", |s| call(s, "/bearer/7", true)),
        granted("DG-020", |r| r.header("clinch-key").is_none(), |s| call(s, "/bearer/7", false)),
    ]
}

fn routes() -> Vec<Case> {
    let bearer = |s: &Stage, path: &str| Call::get(path).bearer(&s.issuer.sign(&s.issuer.token(Value::Null)));
    let mut cases = each(
        [
            "/bearer/../orders/7",
            "/bearer/%2e%2e/orders/7",
            "/bearer/..;/orders/7",
            "/bearer/x/..%2f..%2forders/7",
            "/bearer/.%2E/orders/7",
            "/bearer//../orders/7",
            "/bearer/..%5c..%5corders/7",
            "/bearer/%2f/orders/7",
        ],
        |path| refused("DG-025", A7, "path_ambiguous", move |s| bearer(s, path)),
    );
    cases.extend(each(["/Bearer/7", "/bearer;x/7", "/bearer"], |path| {
        refused("DG-025", Closed, "route_unknown", move |s| bearer(s, path))
    }));
    cases.extend(each(
        ["/healthz/../orders/7", "/health/../orders/7", "/health/%2e%2e/orders/7", "/health//"],
        |path| refused("DG-026", A7, "path_ambiguous", move |_| Call::get(path)),
    ));
    cases.extend(each(
        ["/health;x", "/HEALTH", "/healthz", "/health/", "/health%00", "/health%20", "/health."],
        |path| {
            let (code, reason) =
                if path.contains("%00") { (A7, "path_ambiguous") } else { (Closed, "route_unknown") };
            refused("DG-026", code, reason, move |_| Call::get(path))
        },
    ));
    cases.extend(each(["kube-probe/1.29", "GoogleHC/1.0", "ELB-HealthChecker/2.0"], |agent| {
        refused("DG-026", A0, "credentials_missing", move |_| Call::get(PATH).field("User-Agent", agent))
    }));
    cases.push(granted("DG-026", |r| r.target == "/health", |_| Call::get("/health")));
    cases
}

/// DG-024: a token that was verified once is still asked for its binding every time.
async fn the_cache_keeps_no_decision(stage: &Stage) {
    let token = stage.good_token();
    let thief = ProofKey::new();
    let with = |signer: &ProofKey| {
        let (token, proof) = (token.clone(), Jwt::new(signer, "GET", &url(PATH), &token).sign(signer));
        move |_: &Stage| Call::get(PATH).dpop(&token, &proof)
    };
    let bearer = token.clone();
    stage
        .run(vec![
            granted("DG-024", |_| true, with(&stage.key)),
            refused("DG-024", A2, "token_bound_as_bearer", move |_| Call::get(PATH).bearer(&bearer)),
            refused("DG-024", A2, "key_mismatch", with(&thief)),
            granted("DG-024", |_| true, with(&stage.key)),
        ])
        .await;
}
