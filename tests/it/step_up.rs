//! Step-up authentication (RFC 9470) through the shipped binary.

use crate::support::clinch::{command, finish};
use crate::support::front::Front;
use crate::support::proof::{ProofKey, now};
use crate::support::wire::{Answer, get};
use crate::support::world::url;
use serde_json::{Value, json};

const LISTEN: &str = "  public_origins: ['https://api.example.com']\n  resource_metadata: false";
const ROUTES: &str = "  - { path: /strong, proof: [dpop], scopes: [read], acr: ['urn:gold', silver] }
  - { path: /recent, proof: [dpop], scopes: [read], max_auth_age: 5m }
  - { path: /both, proof: [dpop], scopes: [read, write], acr: ['urn:gold'], max_auth_age: 2m }
  - { path: /any, proof: [dpop], scopes: [read] }";

async fn with(front: &Front, path: &str, claims: Value) -> Answer {
    front.get(path, &url(path), &front.token(&claims)).await
}

/// The one challenge of a 401, without the description.
fn challenge(answer: &Answer) -> String {
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(answer.one("cache-control"), "no-store");
    let text = answer.one("www-authenticate");
    let parameters: Vec<&str> = text.split(", ").filter(|p| !p.starts_with("error_description")).collect();
    parameters.join(", ")
}

/// STEP-01, STEP-02, STEP-04, TK-030
#[tokio::test(flavor = "multi_thread")]
async fn a_poor_authentication_is_told_which_one_would_do() {
    let front = Front::start(LISTEN, ROUTES).await;
    for acr in ["urn:gold", "silver"] {
        assert_eq!(with(&front, "/strong", json!({ "acr": acr })).await.status, 200, "{acr}");
    }
    let asked =
        r#"DPoP error="insufficient_user_authentication", acr_values="urn:gold silver", algs="ES256 EdDSA""#;
    for claims in
        [json!({}), json!({ "acr": "bronze" }), json!({ "acr": ["silver"] }), json!({ "acr": "Silver" })]
    {
        let answer = with(&front, "/strong", claims).await;
        assert_eq!(challenge(&answer), asked);
        let document: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(document["reason"], "authentication_insufficient");
    }

    for auth_time in [now(), now() - 290, now() + 3] {
        assert_eq!(with(&front, "/recent", json!({ "auth_time": auth_time })).await.status, 200);
    }
    let asked = r#"DPoP error="insufficient_user_authentication", max_age="300", algs="ES256 EdDSA""#;
    for auth_time in [json!(null), json!(now() - 301), json!(now() + 60), json!(now().to_string()), json!(-1)]
    {
        assert_eq!(challenge(&with(&front, "/recent", json!({ "auth_time": auth_time })).await), asked);
    }
    assert_eq!(with(&front, "/any", json!({})).await.status, 200);
    assert_eq!(front.service.received().len(), 6);
}

/// STEP-03: what lacks is named at once, and nothing that does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_named_beside_it_only_if_it_is_missing() {
    let front = Front::start(LISTEN, ROUTES).await;
    let good = json!({ "acr": "urn:gold", "auth_time": now(), "scope": "read write" });
    assert_eq!(with(&front, "/both", good).await.status, 200);
    let poor = with(&front, "/both", json!({ "scope": "read write", "acr": "urn:gold" })).await;
    let asked = r#"DPoP error="insufficient_user_authentication", acr_values="urn:gold", max_age="120""#;
    assert_eq!(challenge(&poor), format!(r#"{asked}, algs="ES256 EdDSA""#));
    let both = with(&front, "/both", json!({ "auth_time": now() })).await;
    assert_eq!(challenge(&both), format!(r#"{asked}, scope="read write", algs="ES256 EdDSA""#));
    let scope = with(&front, "/both", json!({ "acr": "urn:gold", "auth_time": now() })).await;
    assert_eq!(scope.status, 403, "{scope:?}");
    let told = scope.one("www-authenticate");
    assert!(
        told.contains(r#"error="insufficient_scope""#) && told.contains(r#"scope="read write""#),
        "{told}"
    );
    assert!(!told.contains("acr_values") && !told.contains("max_age"), "{told}");
}

/// STEP-05: who can't prove possession learns nothing of what would do.
#[tokio::test(flavor = "multi_thread")]
async fn the_demands_are_told_to_the_holder_of_the_key_only() {
    let mut front = Front::start(LISTEN, ROUTES).await;
    let token = front.token(&json!({}));
    let bare = front.caller(None).send(&get("/strong", &[])).await;
    let forged = front.get("/strong", &url("/strong"), &format!("{token}x")).await;
    front.client = ProofKey::new();
    let stolen = front.get("/strong", &url("/strong"), &token).await;
    for answer in [bare, forged, stolen] {
        assert!(!challenge(&answer).contains("acr_values"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_what_is_asked_of_the_user() {
    let front = Front::start(LISTEN, ROUTES).await;
    let explain = async |json: bool| {
        let mut command = command();
        command.args(["explain", "--config"]).arg(&front.config);
        command.args(if json { &["--json"][..] } else { &[] }).args(["GET", &url("/both")]);
        String::from_utf8(finish(&mut command).await.stdout).unwrap()
    };
    let words = explain(false).await;
    assert!(
        words.contains("acr       urn:gold\n") && words.contains("auth_time at most 120 seconds ago\n"),
        "{words}"
    );
    let machine: Value = serde_json::from_str(&explain(true).await).unwrap();
    assert_eq!((&machine["acr"], &machine["max_auth_age_seconds"]), (&json!(["urn:gold"]), &json!(120)));
}
