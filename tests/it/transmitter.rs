//! Security events signed by npm jose, over a real NATS, against the shipped binary: what a transmitter says of a
//! subject ends its tokens, and what it does not say so ends nothing.

use crate::support::clinch::Clinch;
use crate::support::echo::Echo;
use crate::support::eventually;
use crate::support::issuer::Issuer;
use crate::support::nats::{Nats, STREAM, SUBJECT};
use crate::support::pki::Pki;
use crate::support::proof::{Jwt, Proof, ProofKey, claims, now};
use crate::support::temporary::Folder;
use crate::support::transmitter::{AUDIENCE, SESSION_REVOKED, Transmitter};
use crate::support::wire::{Caller, get, plain_get};
use crate::support::world;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATH: &str = "/accounts/1";

/// The parts, running.
struct Scene {
    pki: Pki,
    issuer: Issuer,
    transmitter: Transmitter,
    bus: async_nats::jetstream::Context,
    clinch: Clinch,
    key: ProofKey,
    _service: Echo,
    _nats: Nats,
    _folder: Folder,
}

impl Scene {
    async fn set() -> Scene {
        let (pki, folder, service, nats) =
            (Pki::new(), Folder::new(), Echo::start().await, Nats::start().await);
        let (issuer, transmitter) = (Issuer::start(&pki).await, Transmitter::start(&pki).await);
        let text = world::config(&issuer.name, &service.address.to_string())
            + &revocation(&nats.url(), &transmitter.name, &issuer.name);
        let clinch = Clinch::start(&world::write(&folder, &pki, &text)).await;
        let bus = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
        let key = ProofKey::new();
        Scene { pki, issuer, transmitter, bus, clinch, key, _service: service, _nats: nats, _folder: folder }
    }

    /// A good token of alice's, with a change.
    fn token(&self, change: impl FnOnce(Jwt) -> Jwt) -> String {
        self.issuer.sign(&change(self.issuer.token_for(&self.key)))
    }

    fn alice(&self) -> Value {
        json!({ "format": "iss_sub", "iss": self.issuer.name, "sub": "alice" })
    }

    /// The status of a request with the token and a fresh proof.
    async fn status(&self, token: &str) -> u16 {
        let proof = Proof::new(&self.key, "GET", &world::url(PATH), token).sign(&self.key);
        let authorization = format!("DPoP {token}");
        let request = get(PATH, &[("Authorization", &authorization), ("DPoP", &proof)]);
        Caller::new(self.clinch.address, &self.pki, None).send(&request).await.status
    }

    /// Puts an event on the bus, and waits until that has it.
    async fn publish(&self, set: String) {
        let sent = self.bus.publish("clinch.revocations.sets", set.into()).await.unwrap();
        sent.await.unwrap();
    }

    async fn refused(&self, token: &str) {
        let refused = async || (self.status(token).await == 401).then_some(());
        eventually("the token to be refused", refused).await;
    }

    /// The value of one line of the metrics, zero if it is not there.
    async fn metric(&self, line: &str) -> u64 {
        let page = plain_get(self.clinch.admin, "/metrics").await.expect("metrics").body;
        page.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok()).unwrap_or_default()
    }
}

fn revocation(bus: &str, transmitter: &str, issuer: &str) -> String {
    format!(
        "revocation:
  feed: {{ kind: nats, url: '{bus}', stream: {STREAM}, subject: '{SUBJECT}' }}
  transmitters:
    - {{ issuer: '{transmitter}', audience: ['{AUDIENCE}'], algorithms: [RS256], ca: ca.crt, speaks_for: ['{issuer}'] }}
  max_staleness: 8s
"
    )
}

/// RV-004, RV-014, CAEP-03, CAEP-04, SSF-06
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_its_transmitter_ends_is_over_at_once() {
    let mut scene = Scene::set().await;
    let (token, bob) = (scene.token(|token| token), scene.token(|token| token.claim("sub", "bob")));
    assert_eq!((scene.status(&token).await, scene.status(&bob).await), (200, 200));
    let at = claims(&token)["iat"].as_u64().unwrap();
    let event = scene.transmitter.event(scene.alice(), at);
    let set = scene.transmitter.sign("t1", event).await;
    scene.publish(set).await;
    let published = Instant::now();
    scene.refused(&token).await;
    let took = published.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(scene.status(&bob).await, 200);
    let later = scene.token(|token| token.claim("iat", at + 1));
    assert_eq!(scene.status(&later).await, 200, "issued after that");
    assert_eq!(scene.metric("clinch_revocation_events_total{result=\"applied\"}").await, 1);
}

/// SSF-08, SSF-11: a user, a session and an organisation, as Keycloak names them.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_users_sessions_only_the_one_that_is_named_ends() {
    let mut scene = Scene::set().await;
    let ended = scene.token(|token| token.claim("sid", "s1"));
    let other = scene.token(|token| token.claim("sid", "s2"));
    let subject = json!({
        "format": "complex", "user": scene.alice(),
        "session": { "format": "opaque", "id": "s1" }, "tenant": { "format": "opaque", "id": "acme" },
    });
    let event = scene.transmitter.event(subject, now());
    let set = scene.transmitter.sign("t1", event).await;
    scene.publish(set).await;
    scene.refused(&ended).await;
    assert_eq!(scene.status(&other).await, 200);
}

/// RV-009, RV-010, RV-011, RV-017, RV-018, RV-031, SET-03, SSF-02, SSF-03, SSF-05
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_order_is_counted_by_its_reason_and_ends_nothing() {
    let mut scene = Scene::set().await;
    let token = scene.token(|token| token);
    let foreign = json!({ "format": "iss_sub", "iss": "https://evil.example", "sub": "alice" });
    let cases: Vec<(&str, &str, &str, Value)> = vec![
        ("type_invalid", "t1", "/header/typ", json!("JWT")),
        ("algorithm_refused", "e1", "/header/alg", json!("ES256")),
        ("key_unknown", "t2", "/header/kid", json!("t2")),
        ("signature_invalid", "t2", "/header/kid", json!("t1")),
        ("transmitter_unknown", "t1", "/claims/iss", json!("https://evil.example")),
        ("audience_refused", "t1", "/claims/aud", json!("https://elsewhere.example")),
        ("sub_present", "t1", "/claims/sub", json!("alice")),
        ("exp_present", "t1", "/claims/exp", json!(now() + 60)),
        ("events_invalid", "t1", "/claims/events", json!({ SESSION_REVOKED: {}, "urn:second": {} })),
        (
            "event_time_invalid",
            "t1",
            "/claims/events",
            json!({ SESSION_REVOKED: { "event_timestamp": now() * 1000 } }),
        ),
        ("subject_foreign", "t1", "/claims/sub_id", foreign),
        ("subject_unsupported", "t1", "/claims/sub_id", json!({ "format": "did", "url": "did:example:1" })),
        ("subject_obsolete", "t1", "/claims/sub_id", json!({ "subject_type": "iss-sub" })),
    ];
    for (_, key, place, value) in &cases {
        let (header, claims) = scene.transmitter.event(scene.alice(), now());
        let mut both = json!({ "header": header, "claims": claims });
        let (parent, name) = place.rsplit_once('/').unwrap();
        both.pointer_mut(parent).unwrap()[name] = value.clone();
        let set = scene.transmitter.sign(key, (both["header"].clone(), both["claims"].clone())).await;
        scene.publish(set).await;
    }
    // An access token of the issuer's, and an event of no consequence.
    scene.publish(token.clone()).await;
    let (header, mut claims) = scene.transmitter.event(scene.alice(), now());
    claims["events"] = json!({ "urn:example:new": {} });
    let set = scene.transmitter.sign("t1", (header, claims)).await;
    scene.publish(set).await;
    for (reason, ..) in &cases {
        let expected = if *reason == "type_invalid" { 2 } else { 1 };
        let line = format!("clinch_revocation_rejected_total{{reason=\"{reason}\"}}");
        eventually(reason, async || (scene.metric(&line).await == expected).then_some(())).await;
    }
    assert_eq!(scene.metric("clinch_revocation_events_total{result=\"ignored\"}").await, 1);
    assert_eq!(scene.metric("clinch_revocation_events_total{result=\"applied\"}").await, 0);
    assert_eq!(scene.metric("clinch_revocation_entries").await, 0);
    assert_eq!(scene.status(&token).await, 200);
}
