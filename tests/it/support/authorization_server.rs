//! A real authorization server: npm oidc-provider, in `tests/npm/as.mjs`.

use super::pki::Pki;
use super::program::Program;
use super::tool;
use super::wire::Caller;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::process::Command;

/// A running authorization server; killed on drop.
pub struct AuthorizationServer {
    /// Its issuer identifier, `https://localhost:port`.
    pub issuer: String,
    program: Program,
}

impl AuthorizationServer {
    /// Starts one whose TLS certificate `pki` signed. Tokens are for `audience`.
    pub async fn start(pki: &Pki, audience: &str) -> AuthorizationServer {
        let mut program = Program::start(&mut node("as.mjs"));
        let settings = json!({
            "certificate": pki.server.certificate,
            "key": pki.server.key,
            "ca": pki.ca_pem,
            "audience": audience,
            "scopes": SCOPES,
            "lifetime": 600,
        });
        program.tell(&settings.to_string());
        let issuer = program.hear("the authorization server to listen", |line| {
            let told: Value = serde_json::from_str(line).ok()?;
            told["issuer"].as_str().map(str::to_owned)
        });
        AuthorizationServer { issuer: issuer.await, program }
    }

    /// Revokes a token in the name of the client that it was issued to (RFC 7009).
    pub async fn revoke(&self, pki: &Pki, client: &str, token: &str) {
        let port = self.issuer.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let (user, body) = (BASE64.encode(format!("{client}:{CLIENT_SECRET}")), format!("token={token}"));
        let request = format!(
            "POST /token/revocation HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\
             Authorization: Basic {user}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = Caller::new(([127, 0, 0, 1], port).into(), pki, None).send(&request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Ends it, as an outage would.
    pub fn kill(&mut self) {
        self.program.kill();
    }
}

/// What its clients may ask for.
pub const SCOPES: &str = "accounts.read accounts.write";
/// The password of those clients that have one.
pub const CLIENT_SECRET: &str = "a-secret-of-the-tests-and-of-nothing-else";

/// The password of those clients that may introspect.
pub const INTROSPECTION_SECRET: &str = "a secret: 100%+/= of the tests and of nothing else";

/// Node with one of the scripts of `tests/npm`.
pub fn node(script: &str) -> Command {
    let mut command = Command::new(tool("bin/node"));
    // The scripts are links beside the installed packages: followed, they would not find them.
    command.args(["--preserve-symlinks", "--preserve-symlinks-main"]);
    command.arg(tool("npm").join(script));
    command
}
