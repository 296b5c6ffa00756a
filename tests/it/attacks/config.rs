//! The config of the attacked sidecar: every kind of route, two issuers, everything logged and exported.

use super::answers::ALGS;
use crate::support::echo::Echo;
use crate::support::issuer::Issuer;
use crate::support::oauth_client::HOST;

/// Its text. Challenges do not name metadata: which URL that is, is asserted elsewhere. Routes need the scopes of [`SCOPES`](super::answers::SCOPES) or none.
pub fn config(issuer: &Issuer, other: &Issuer, service: &Echo, collector: &Echo) -> String {
    let (issuer, other, service, collector) = (&issuer.name, &other.name, service.address, collector.address);
    let algs = ALGS.replace(' ', ", ");
    let entry = |issuer: &str, more: &str| {
        format!(
            "  - {{ issuer: '{issuer}', audiences: ['https://{HOST}'], algorithms: [ES256, RS256], ca: ca.crt{more} }}\n"
        )
    };
    format!(
        "listen:
  address: 127.0.0.1:0
  public_origins: ['https://{HOST}', 'https://127.0.0.1', 'https://[::1]', 'https://xn--bcher-kva.example']
  tls: {{ certificate: server.crt, private_key: server.key, client_certificate: optional, client_ca: [ca.crt] }}
  limits: {{ idle_timeout: 10s, header_timeout: 10s }}
  drain: 5s
  resource_metadata: false
upstream: {{ url: 'http://{service}' }}
issuers:
{}{}dpop: {{ algorithms: [{algs}] }}
identity: {{ headers: {{ x-groups: groups, x-tenant: tenant, x-email: email }} }}
routes:
  - {{ path: /health, danger_unprotected: true }}
  - {{ path: '/public/{{*rest}}', danger_unprotected: true }}
  - {{ path: /, proof: [dpop, mtls], scopes: [accounts.read] }}
  - {{ path: '/orders/{{*rest}}', proof: [dpop, mtls], scopes: [accounts.read] }}
  - {{ path: '/dpop/{{*rest}}', proof: [dpop], scopes: [accounts.read] }}
  - {{ path: '/both/{{*rest}}', proof: {{ all: [dpop, mtls] }} }}
  - {{ path: '/bearer/{{*rest}}', proof: [dpop], danger_bearer: true }}
  - {{ path: '/clients/{{*rest}}', proof: [dpop], clients: [app, other-app] }}
  - {{ path: '/issuers/{{*rest}}', proof: [dpop], issuers: ['{issuer}'] }}
  - {{ path: '/only/get', methods: [GET], proof: [dpop, mtls] }}
telemetry: {{ otlp: 'http://{collector}', log: {{ level: trace }} }}
admin: {{ address: '127.0.0.1:0' }}
",
        entry(issuer, ""),
        entry(other, ", token_types: [at+jwt, JWT]")
    )
}
