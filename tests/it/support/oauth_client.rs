//! A real OAuth client: npm oauth4webapi and dpop, in `tests/npm/client.mjs`.

use super::authorization_server::{AuthorizationServer, CLIENT_SECRET, node};
use super::pki::Pki;
use super::program::Program;
use super::proof::ProofKey;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// What the client did and got.
pub struct Outcome {
    /// The access token.
    pub token: String,
    /// The key it is bound to, for a DPoP-bound one.
    pub key: Option<ProofKey>,
    /// How often it was asked for a nonce, and tried again.
    pub challenges: u64,
    /// The answers to its calls, in order.
    pub answers: Vec<Answer>,
}

/// One answer as the client saw it.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u64,
    /// The challenge.
    pub challenge: Option<String>,
    /// The body.
    pub body: String,
}

/// How the client binds its token.
#[derive(Clone, Copy)]
pub enum Bind {
    /// To a DPoP key (client `dpop`).
    Dpop,
    /// To a DPoP key, and not a JWT (client `dpop-opaque`).
    DpopOpaque,
    /// To its certificate (client `mtls`).
    Mtls,
    /// Not at all (client `plain`).
    None,
}

/// The host that calls go to, wherever it is.
pub const HOST: &str = "api.example.com";

/// Gets a token for `scope` and makes the calls: `[{ method, url, with? }]`, to clinch at `address`.
pub async fn run(
    server: &AuthorizationServer,
    pki: &Pki,
    bind: Bind,
    scope: &str,
    address: SocketAddr,
    calls: Value,
) -> Outcome {
    let (client, bind, secret, identity) = match bind {
        Bind::Dpop => ("dpop", "dpop", Some(CLIENT_SECRET), None),
        Bind::DpopOpaque => ("dpop-opaque", "dpop", Some(CLIENT_SECRET), None),
        Bind::Mtls => ("mtls", "mtls", None, Some(&pki.client)),
        Bind::None => ("plain", "none", Some(CLIENT_SECRET), None),
    };
    let task = json!({
        "issuer": server.issuer, "ca": pki.ca_pem,
        "certificate": identity.map(|i| &i.certificate), "key": identity.map(|i| &i.key),
        "client_id": client, "client_secret": secret, "bind": bind,
        "scope": scope, "resource": format!("https://{HOST}"),
        "resolve": { HOST: address.port() }, "calls": calls,
    });
    let mut program = Program::start(&mut node("client.mjs"));
    program.tell(&task.to_string());
    program.close_stdin();
    let told: Value =
        program.hear("the OAuth client to finish", |line| serde_json::from_str(line).ok()).await;
    Outcome {
        token: told["token"].as_str().unwrap().to_owned(),
        key: told["private_jwk"].is_object().then(|| ProofKey::from_jwk(&told["private_jwk"])),
        challenges: told["challenges"].as_u64().unwrap(),
        answers: told["answers"].as_array().unwrap().iter().map(answer).collect(),
    }
}

fn answer(told: &Value) -> Answer {
    Answer {
        status: told["status"].as_u64().unwrap(),
        challenge: told["challenge"].as_str().map(str::to_owned),
        body: told["body"].as_str().unwrap().to_owned(),
    }
}
