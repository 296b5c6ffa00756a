//! Transmitters over real TLS; and the pieces that the tests of parked events share.

use super::*;
use crate::pop::access_token::Expected;
use crate::pop::forge::{Key, NOW};
use crate::state::issuers::published::{Behaviour, Published, eventually};
use crate::state::revocation::event::forged;
use crate::telemetry::Telemetry;
use serde_json::{Value, json};
use std::time::Duration;

/// Its entry in the config: it signs for the issuers of [`forged::transmitter`], and is none itself.
pub(in crate::state::revocation) fn entry(published: &Published) -> Transmitter {
    let (mut entry, config) = (forged::transmitter(), published.config());
    let issuer = Arc::clone(&config.expected.issuer);
    let expected = Expected { issuer, ..Expected::clone(&entry.signer.expected) };
    entry.signer =
        config::Issuer { expected: Arc::new(expected), jwks_cooldown: Duration::from_millis(100), ..config };
    entry
}

/// A SET by this key.
pub(in crate::state::revocation) fn signed_by(
    published: &Published,
    seed: u8,
    kid: &str,
    change: impl FnOnce(&mut Value),
) -> String {
    let (mut header, mut claims) = forged::parts();
    (header["kid"], claims["iss"]) = (json!(kid), json!(published.name));
    change(&mut claims);
    Key::seeded(seed).jws(&header, &claims)
}

async fn started(published: &Published) -> Transmitters {
    let transmitters = Transmitters::start(&[entry(published)], &Telemetry::off().metrics).unwrap();
    eventually("the keys", || transmitters.keys.unready().is_empty()).await;
    transmitters
}

/// SSF-04, SSF-06, RV-010, JWKS-08
#[tokio::test]
async fn a_transmitter_is_found_by_name_and_its_keys_by_its_metadata() {
    let published = Published::start(Behaviour::Keys(vec![(1, "k1")])).await;
    let transmitters = started(&published).await;
    let read = |set: String| transmitters.read(set.as_bytes(), NOW);
    assert!(matches!(read(signed_by(&published, 1, "k1", |_| ())), Ok(Message::Event(_))));
    let unknown = signed_by(&published, 1, "k1", |claims| claims["iss"] = json!(forged::ISSUER));
    assert_eq!(read(unknown), Err(Unread::Refused(Refusal::Transmitter)), "an issuer is no transmitter");
    let forged = signed_by(&published, 3, "k1", |_| ());
    assert_eq!(read(forged), Err(Unread::Refused(Refusal::Signature)));
    let of_itself = json!({ "format": "iss_sub", "iss": published.name, "sub": "alice" });
    let foreign = signed_by(&published, 1, "k1", |claims| claims["sub_id"] = of_itself);
    assert_eq!(read(foreign), Err(Unread::Refused(Refusal::SubjectForeign)), "it speaks for others only");
    let Err(Unread::NoKey { transmitter, asked }) = read(signed_by(&published, 9, "k9", |_| ())) else {
        panic!("a key that nobody has");
    };
    assert_eq!(*transmitter, *published.name);
    assert!(asked.is_some());
}

/// PUSH-03, SSF-15
#[tokio::test]
async fn whoever_hands_on_an_event_is_told_what_is_wrong_with_it() {
    let published = Published::start(Behaviour::Keys(vec![(1, "k1")])).await;
    let transmitters = started(&published).await;
    let verify = async |set: String| transmitters.verify_now(set.as_bytes(), NOW).await;
    let genuine = Genuine { jti: "e1".to_owned(), iss: published.name.clone() };
    assert_eq!(verify(signed_by(&published, 1, "k1", |_| ())).await, Ok(genuine.clone()));
    let did = json!({ "format": "did", "url": "did:example:1" });
    let unsupported = signed_by(&published, 1, "k1", |claims| claims["sub_id"] = did);
    assert_eq!(verify(unsupported).await, Ok(genuine.clone()), "no fault of its bearer's");
    for (change, error) in [
        (json!({ "aud": "https://elsewhere" }), SetError::InvalidAudience),
        (json!({ "iss": "https://evil.example" }), SetError::InvalidIssuer),
        (json!({ "exp": 1 }), SetError::InvalidRequest),
        (json!({ "sub_id": { "format": "email" } }), SetError::InvalidRequest),
    ] {
        let set = signed_by(&published, 1, "k1", |claims| {
            claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        });
        assert_eq!(verify(set).await, Err(error), "{change}");
    }
    assert_eq!(verify(signed_by(&published, 3, "k1", |_| ())).await, Err(SetError::InvalidKey));
    assert_eq!(verify("{}".to_owned()).await, Err(SetError::InvalidRequest));
    assert_eq!(verify(signed_by(&published, 9, "k9", |_| ())).await, Err(SetError::InvalidKey));
    assert_eq!(SetError::InvalidKey.code(), Some("invalid_key"));
}

#[tokio::test]
async fn a_new_key_is_waited_for_and_an_outage_is_no_fault_of_the_event() {
    let published = Published::start(Behaviour::Keys(vec![(1, "k1")])).await;
    let transmitters = started(&published).await;
    let new = signed_by(&published, 9, "k9", |_| ());
    published.set(Behaviour::Status(500));
    let verified = transmitters.verify_now(new.as_bytes(), NOW).await;
    assert_eq!(verified, Err(SetError::KeysUnavailable));
    assert_eq!(SetError::KeysUnavailable.code(), None);
    published.set(Behaviour::Keys(vec![(1, "k1"), (9, "k9")]));
    tokio::time::timeout(Duration::from_secs(10), async {
        while transmitters.verify_now(new.as_bytes(), NOW).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the new key is found");
}
