//! What the service can rely on: the assertion of the caller's identity, verified by a real library (npm jose) with the
//! keys of the admin port, and the ways to refuse who comes around clinch.

use crate::support::authorization_server::node;
use crate::support::eventually;
use crate::support::front::Front;
use crate::support::link::Link;
use crate::support::oauth_client::HOST;
use crate::support::program::Program;
use crate::support::proof::{ProofKey, jwt, now};
use crate::support::temporary::Folder;
use crate::support::wire::{Answer, exchange, get, plain_get};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// The service of `docs/identity.md`, with clinch in front of it.
struct Guarded {
    front: Front,
    service: SocketAddr,
    keys: Folder,
    _link: Link,
    _program: Program,
}

fn pem() -> String {
    rcgen::KeyPair::generate().unwrap().serialize_pem()
}

impl Guarded {
    /// With these keys in the key file.
    async fn start(pem: &str) -> Guarded {
        // The service must know the keys' port before clinch can know the service's.
        let mut link = Link::to(1).await;
        let jwks = format!("http://127.0.0.1:{}/.well-known/jwks.json", link.port);
        let mut program = Program::start(node("service.mjs").env("CLINCH_JWKS", jwks).env("PORT", "0"));
        let port: u16 =
            program.hear("the service to listen", |line| line.strip_prefix("port ")?.parse().ok()).await;
        let service = SocketAddr::from(([127, 0, 0, 1], port));
        let keys = Folder::new();
        let key_file = keys.write("identity.key", pem);
        let rest = format!(
            "  - {{ path: '/open/{{*rest}}', danger_unprotected: true }}
  - {{ path: '/{{*rest}}', proof: [dpop], scopes: [read] }}
identity:
  headers: {{ x-tenant: tenant }}
  assertion: {{ enabled: true, key_file: '{}', audience: accounts.internal }}",
            key_file.display()
        );
        let front =
            Front::before_service(service, &format!("  public_origins: [https://{HOST}]"), &rest).await;
        link.cut().await;
        link.lead_to(front.clinch.admin.port());
        link.heal().await;
        Guarded { front, service, keys, _link: link, _program: program }
    }

    async fn get(&self, token: &str) -> Answer {
        self.front.get("/accounts/1", &format!("https://{HOST}/accounts/1"), token).await
    }

    /// What the service was told, by its own account.
    async fn told(&self, token: &str) -> Value {
        let answer = self.get(token).await;
        assert_eq!(answer.status, 200, "{answer:?}\n{}", self.front.clinch.program.output());
        serde_json::from_str(&answer.body).unwrap()
    }

    /// A request around clinch.
    async fn directly(&self, assertion: &str) -> u16 {
        let request = get("/accounts/1", &[("Clinch-Identity", assertion), ("Clinch-Subject", "alice")]);
        exchange(TcpStream::connect(self.service).await.unwrap(), &request).await.status
    }

    async fn kids(&self) -> Vec<String> {
        let set = plain_get(self.front.clinch.admin, "/.well-known/jwks.json").await.unwrap();
        assert_eq!(set.one("content-type"), "application/jwk-set+json");
        let set: Value = serde_json::from_str(&set.body).unwrap();
        set["keys"].as_array().unwrap().iter().map(|k| k["kid"].as_str().unwrap().to_owned()).collect()
    }
}

/// TL-033: whoever reaches the service directly can't say who they are.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_believes_the_assertion_of_clinch_and_nobody_elses() {
    let guarded = Guarded::start(&pem()).await;
    let token = guarded.front.token(&json!({ "tenant": "acme", "jti": "t1" }));
    let told = guarded.told(&token).await;
    assert_eq!(told["hello"], "alice");
    let said = &told["told"];
    let front = &guarded.front;
    for (claim, value) in [
        ("client_id", json!("app")),
        ("token_iss", json!(front.issuer.name)),
        ("token_jti", json!("t1")),
        ("scope", json!("read")),
        ("proof", json!("dpop")),
        ("cnf", json!({ "jkt": front.client.thumbprint() })),
        ("headers", json!({ "x-tenant": "acme" })),
    ] {
        assert_eq!(said[claim], value, "{claim}");
    }
    let again = guarded.told(&token).await;
    assert!(again["told"]["exp"].as_u64().unwrap() >= now() + 25, "half of its life is before it: {again}");

    let thief = ProofKey::new();
    let forged = |kid: &str| {
        let header = json!({ "typ": "clinch-identity+jwt", "alg": "ES256", "kid": kid });
        jwt(&header, said, &thief)
    };
    let kid = &guarded.kids().await[0];
    for assertion in ["", "alice", &token, &forged(kid), &forged(&thief.thumbprint())] {
        assert_eq!(guarded.directly(assertion).await, 403, "{assertion}");
    }
    // A client's own goes no further than clinch, in whatever spelling: the open route brings none to the service.
    for name in ["Clinch-Identity", "clinch_identity", "CLINCH.IDENTITY"] {
        let forged = forged(kid);
        assert_eq!(front.ask("GET", "/open/1", &[(name, &forged)]).await.status, 403, "{name}");
        let url = format!("https://{HOST}/accounts/1");
        let proof = crate::support::proof::Proof::new(&front.client, "GET", &url, &token).sign(&front.client);
        let authorization = format!("DPoP {token}");
        let fields = [("Authorization", authorization.as_str()), ("DPoP", &proof), (name, &forged)];
        let answer = front.ask("GET", "/accounts/1", &fields).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_exchanged_without_a_refusal() {
    let (old, new) = (pem(), pem());
    let guarded = Guarded::start(&old).await;
    let first = guarded.kids().await;
    guarded.keys.write("identity.key", &format!("{old}{new}"));
    let both = eventually("both keys to be published", async || {
        Some(guarded.kids().await).filter(|kids| kids.len() == 2)
    })
    .await;
    assert_eq!(both[0], first[0]);
    let token = guarded.front.token(&json!({}));
    guarded.told(&token).await;
    guarded.keys.write("identity.key", &format!("{new}{old}"));
    eventually("the new key to sign", async || {
        // Whichever signs at this moment, the service knows it.
        guarded.told(&token).await;
        Some(guarded.kids().await).filter(|kids| kids[0] == both[1])
    })
    .await;
    guarded.told(&token).await;
    guarded.keys.write("identity.key", &new);
    eventually("the old key to be gone", async || {
        guarded.told(&token).await;
        Some(guarded.kids().await).filter(|kids| kids[..] == both[1..])
    })
    .await;
}

/// The pages show what is tested here.
#[test]
fn the_documentation_shows_the_service_that_is_tested() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/identity.md")).unwrap();
    let service = std::fs::read_to_string(root.join("tests/npm/service.mjs")).unwrap();
    let code = service.split_once('\n').unwrap().1;
    assert!(page.contains(code), "docs/identity.md does not show tests/npm/service.mjs as it is");
}
