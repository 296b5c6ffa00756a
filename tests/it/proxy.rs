//! Every protocol that the service speaks passes through the shipped binary, by clients and services that are not ours.

mod curl;
mod desync;
mod grpc;
mod load;
mod sockets;
mod sockets_http2;

use crate::support::front::Front;
use crate::support::proof::{Proof, claims, now, unique};
use crate::support::wire::plain_get;
use crate::support::world::url;
use serde_json::json;
use std::io::Write;
use std::net::SocketAddr;

/// clinch before a service, with a journal of revocations.
struct Scene {
    front: Front,
}

const LISTEN: &str = "  public_origins: ['https://api.example.com']";
const FEED: &str = "revocation:\n  accept_plain: true\n  feed: { kind: file, path: revocations.jsonl }";

impl Scene {
    /// With these routes, as YAML lines, and these lines more of `listen`.
    async fn before(address: SocketAddr, routes: &str, listen: &str) -> Scene {
        let (listen, routes) = (format!("{LISTEN}{listen}"), format!("{routes}{FEED}"));
        Scene { front: Front::before_service(address, &listen, &routes).await }
    }

    /// The same before a service that speaks HTTP/2.
    async fn before_http2(address: SocketAddr, routes: &str) -> Scene {
        Scene::before_http2_within(address, routes, "").await
    }

    /// The same with these lines more of `listen`.
    async fn before_http2_within(address: SocketAddr, routes: &str, listen: &str) -> Scene {
        let upstream = format!("url: 'http://{address}', protocol: http2");
        let (listen, routes) = (format!("{LISTEN}{listen}"), format!("{routes}{FEED}"));
        Scene { front: Front::before_upstream(&upstream, &listen, &routes).await }
    }

    /// A token of its own name.
    fn token(&self) -> String {
        self.front.token(&json!({ "jti": unique() }))
    }

    /// Credentials for one request: the token, and a proof for this method and path.
    fn credentials(&self, method: &str, path: &str, token: &str) -> [(&'static str, String); 2] {
        let key = &self.front.client;
        let proof = Proof::new(key, method, &url(path), token).sign(key);
        [("authorization", format!("DPoP {token}")), ("dpop", proof)]
    }

    /// Publishes that it is revoked.
    fn revoke(&self, token: &str) {
        let revoked = json!({ "jti": claims(token)["jti"] });
        let event = json!({ "id": unique(), "iss": self.front.issuer.name, "revoke": revoked, "at": now() });
        let journal = self.front.config.with_file_name("revocations.jsonl");
        let mut journal = std::fs::OpenOptions::new().append(true).open(journal).unwrap();
        journal.write_all(format!("{event}\n").as_bytes()).unwrap();
    }

    async fn metrics(&self) -> String {
        plain_get(self.front.clinch.admin, "/metrics").await.expect("metrics").body
    }

    async fn metric(&self, line: &str) -> u64 {
        self.metrics()
            .await
            .lines()
            .find_map(|l| l.strip_prefix(line)?.trim().parse().ok())
            .unwrap_or_default()
    }
}
