//! Who gets no connection, for want of a certificate that will do, is in it, too.

use super::{Audited, of_kind};
use crate::support::pki::{Identity, Pki};
use crate::support::stage::{client, status};
use crate::support::wire::get;
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use serde_json::json;

impl Audited {
    async fn is_let_in(
        &self,
        version: &'static SupportedProtocolVersion,
        identity: Option<&Identity>,
    ) -> bool {
        let builder = client(version).with_root_certificates(self.stage.pki.roots());
        let client = match identity.map(Identity::der) {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        let answer = self.stage.ask(&client, &get("/open/1", &[])).await;
        status(answer.as_deref()) == Some(200)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_refused_for_the_certificate_is_a_decision() {
    let required =
        |text: String| text.replace("client_certificate: optional", "client_certificate: required");
    let mut audited = Audited::stage("checkpoint: 1s", required).await;
    audited.stage.restart().await;
    let stranger = Pki::new().client;
    for version in [&TLS13, &TLS12] {
        assert!(!audited.is_let_in(version, None).await);
        assert!(!audited.is_let_in(version, Some(&stranger)).await);
        assert!(audited.is_let_in(version, Some(&audited.stage.pki.client)).await);
    }
    audited.end().await;
    let log = audited.stage.clinch.program.output();
    let records = audited.records();
    let refused = of_kind(&records, "handshake");
    // The stranger's authority is called as ours is, and has another key.
    let (missing, unknown) = ("certificate_missing", "certificate_signature");
    let reasons: Vec<_> = refused.iter().map(|record| record["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, [missing, unknown, missing, unknown], "{refused:#?}");
    for record in refused {
        assert!(record["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
        assert_eq!((&record["verdict"], &record["generation"]), (&json!("refused"), &json!(1)));
        let shown = (record["reason"] == unknown).then(|| stranger.thumbprint());
        assert_eq!(record.get("thumbprint").and_then(|text| text.as_str()), shown.as_deref(), "{record}");
    }
    assert!(log.contains(&stranger.thumbprint()) && log.contains("TLS handshake failed"), "{log}");
    assert_eq!(of_kind(&records, "decision").len(), 2);
}
