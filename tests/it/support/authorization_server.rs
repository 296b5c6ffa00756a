//! A real authorization server: npm oidc-provider, in `tests/npm/as.mjs`.

use super::pki::Pki;
use super::program::Program;
use super::tool;
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

    /// Ends it, as an outage would.
    pub fn kill(&mut self) {
        self.program.kill();
    }
}

/// What its clients may ask for.
pub const SCOPES: &str = "accounts.read accounts.write";
/// The password of those clients that have one.
pub const CLIENT_SECRET: &str = "a-secret-of-the-tests-and-of-nothing-else";

/// Node with one of the scripts of `tests/npm`.
pub fn node(script: &str) -> Command {
    let mut command = Command::new(tool("bin/node"));
    // The scripts are links beside the installed packages: followed, they would not find them.
    command.args(["--preserve-symlinks", "--preserve-symlinks-main"]);
    command.arg(tool("npm").join(script));
    command
}
